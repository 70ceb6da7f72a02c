//! A filter as a condition of SQL.
//!
//! Text of a query never becomes text of SQL: literals are bound, and names are looked up first and become
//! numbers.
//!
//! Invariant: a condition has SQL's three truth values exactly where [`Expression`] says so. A single-valued
//! attribute is therefore read by a subquery, which is null where there is none, and not by a join.

use crate::{
    apply::key_of,
    error::Error,
    filter::{Column, Comparison, Expression, Field, Source, Value},
    schema::OPEN,
};
use api::enums::v1::IndexedValueType;
use rusqlite::{Connection, OptionalExtension, types::Value as Bound};
use uuid::Uuid;

/// SQL under construction, and the values for its question marks, in order.
#[derive(Debug, Default, Clone)]
pub(crate) struct Sql {
    pub(crate) text: String,
    pub(crate) bound: Vec<Bound>,
}

impl Sql {
    pub(crate) fn push(&mut self, text: &str) -> &mut Sql {
        self.text.push_str(text);
        self
    }

    /// A question mark for the value.
    pub(crate) fn bind(&mut self, value: impl Into<Bound>) -> &mut Sql {
        self.bound.push(value.into());
        self.push("?")
    }

    pub(crate) fn append(&mut self, other: Sql) -> &mut Sql {
        self.bound.extend(other.bound);
        self.push(&other.text)
    }

    /// `(?, ?, …)`
    pub(crate) fn bind_all(&mut self, values: impl IntoIterator<Item = Bound>) -> &mut Sql {
        self.push("(");
        for (index, value) in values.into_iter().enumerate() {
            self.push(if index == 0 { "" } else { ", " }).bind(value);
        }
        self.push(")")
    }
}

/// The number of a name, or one that no row has.
pub(crate) fn name_number(connection: &Connection, text: &str) -> Result<i64, Error> {
    let mut find = connection.prepare_cached("SELECT id FROM name WHERE text = ?")?;
    Ok(find.query_row([text], |row| row.get(0)).optional()?.unwrap_or(-1))
}

/// Appends the condition that `expression` puts on the row `v` of `visibility`.
pub(crate) fn write(sql: &mut Sql, connection: &Connection, expression: &Expression) -> Result<(), Error> {
    match expression {
        Expression::All(all) => write_joined(sql, connection, all, " AND "),
        Expression::Any(any) => write_joined(sql, connection, any, " OR "),
        Expression::Not(inner) => {
            sql.push("(NOT ");
            write(sql, connection, inner)?;
            sql.push(")");
            Ok(())
        }
        Expression::Compare { field, operator, value } => {
            let exact = matches!(operator, Comparison::Equal | Comparison::NotEqual);
            let operand = Operand::of(connection, field, exact)?;
            let value = operand.bound(connection, value)?;
            sql.push("(").append(operand.sql).push(symbol(*operator)).bind(value).push(")");
            Ok(())
        }
        Expression::In { field, negated, values } => write_in(sql, connection, field, *negated, values),
        Expression::Between { field, negated, from, to } => {
            let operand = Operand::of(connection, field, false)?;
            let (from, to) = (operand.bound(connection, from)?, operand.bound(connection, to)?);
            sql.push("(").append(operand.sql).push(if *negated { " NOT BETWEEN " } else { " BETWEEN " });
            sql.bind(from).push(" AND ").bind(to).push(")");
            Ok(())
        }
        Expression::StartsWith { field, negated, prefix } => {
            let operand = Operand::of(connection, field, false)?.sql;
            sql.push(if *negated { "(NOT " } else { "(" });
            write_prefix(sql, &operand, prefix);
            sql.push(")");
            Ok(())
        }
        Expression::SearchKey { key, part } => {
            sql.push("EXISTS (SELECT 1 FROM search_key AS k WHERE k.run = v.run AND ");
            write_search_key(sql, key, part);
            sql.push(")");
            Ok(())
        }
        Expression::IsNull { field, negated } => {
            if is_many(field) {
                sql.push(if *negated { "EXISTS (" } else { "NOT EXISTS (" });
                sql.append(attribute_rows(connection, field)?).push(")");
            } else {
                let operand = Operand::of(connection, field, true)?;
                sql.push("(").append(operand.sql).push(if *negated { " IS NOT NULL)" } else { " IS NULL)" });
            }
            Ok(())
        }
    }
}

/// Balanced, because SQLite bounds how deep a condition is, and a chain is as deep as it is long.
fn write_joined(sql: &mut Sql, connection: &Connection, parts: &[Expression], word: &str) -> Result<(), Error> {
    if let [part] = parts {
        return write(sql, connection, part);
    }
    let (left, right) = parts.split_at(parts.len() / 2);
    sql.push("(");
    write_joined(sql, connection, left, word)?;
    sql.push(word);
    write_joined(sql, connection, right, word)?;
    sql.push(")");
    Ok(())
}

fn write_in(
    sql: &mut Sql,
    connection: &Connection,
    field: &Field,
    negated: bool,
    values: &[Value],
) -> Result<(), Error> {
    if is_many(field) {
        sql.push(if negated { "NOT EXISTS (" } else { "EXISTS (" });
        sql.append(attribute_rows(connection, field)?).push(" AND a.value IN ").bind_all(values.iter().map(plain));
        sql.push(")");
        return Ok(());
    }
    let operand = Operand::of(connection, field, true)?;
    let values = values.iter().map(|value| operand.bound(connection, value)).collect::<Result<Vec<_>, _>>()?;
    sql.push("(").append(operand.sql).push(if negated { " NOT IN " } else { " IN " }).bind_all(values).push(")");
    Ok(())
}

/// What a row `k` of `search_key` must be.
pub(crate) fn write_search_key(sql: &mut Sql, key: &str, part: &str) {
    let mut pattern = String::with_capacity(part.len() + 2);
    pattern.push('%');
    for char in part.chars() {
        if matches!(char, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern.push('%');
    sql.push("k.key = ").bind(key.to_owned()).push(" AND k.value LIKE ").bind(pattern).push(" ESCAPE '\\'");
}

/// That a text begins with another one, in a form that an index can serve.
pub(crate) fn write_prefix(sql: &mut Sql, operand: &Sql, prefix: &str) {
    sql.push("(").append(operand.clone()).push(" >= ").bind(prefix.to_owned());
    if let Some(end) = after_prefix(prefix) {
        sql.push(" AND ").append(operand.clone()).push(" < ").bind(end);
    }
    sql.push(")");
}

/// The least text after all that begin with `prefix`.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        let next = match last {
            // The next number is half of a pair and no character.
            '\u{d7ff}' => Some('\u{e000}'),
            last => char::from_u32(last as u32 + 1),
        };
        if let Some(next) = next {
            end.push(next);
            return Some(end);
        }
    }
    None
}

/// What stands on the left of a comparison.
struct Operand {
    sql: Sql,
    stored: Stored,
}

/// How the values of a column are stored, where that is not as they are.
enum Stored {
    Plain,
    /// As the number of a name.
    Name,
    /// As the bytes of a UUID.
    Uuid,
}

impl Operand {
    /// `exact`: it is compared for equality only, so a number will do for a name.
    fn of(connection: &Connection, field: &Field, exact: bool) -> Result<Operand, Error> {
        let column = match &field.source {
            Source::Attribute(_) => {
                let mut sql = Sql::default();
                sql.push("(").append(attribute_rows(connection, field)?).push(")");
                return Ok(Operand { sql, stored: Stored::Plain });
            }
            Source::Column(column) => *column,
        };
        let (text, stored) = match column_sql(column) {
            (text, Stored::Name) if !exact => (format!("(SELECT text FROM name WHERE id = {text})"), Stored::Plain),
            (text, Stored::Uuid) if !exact => (uuid_text(text), Stored::Plain),
            (text, stored) => (text.to_owned(), stored),
        };
        Ok(Operand { sql: Sql { text, bound: Vec::new() }, stored })
    }

    fn bound(&self, connection: &Connection, value: &Value) -> Result<Bound, Error> {
        Ok(match (&self.stored, value) {
            (Stored::Name, Value::Text(text)) => Bound::Integer(name_number(connection, text)?),
            (Stored::Uuid, Value::Text(text)) => Bound::Blob(uuid_bytes(text)),
            (_, value) => plain(value),
        })
    }
}

fn column_sql(column: Column) -> (&'static str, Stored) {
    const { assert!(OPEN == 9_223_372_036_854_775_807) }
    match column {
        Column::WorkflowId => ("v.workflow_id", Stored::Plain),
        Column::RunId => ("v.run_id", Stored::Uuid),
        Column::WorkflowType => ("v.workflow_type", Stored::Name),
        Column::ExecutionStatus => ("v.status", Stored::Plain),
        Column::TaskQueue => ("v.task_queue", Stored::Name),
        Column::StartTime => ("v.start_time", Stored::Plain),
        Column::ExecutionTime => ("v.execution_time", Stored::Plain),
        Column::CloseTime => ("nullif(v.close_time, 9223372036854775807)", Stored::Plain),
        Column::ExecutionDuration => ("(nullif(v.close_time, 9223372036854775807) - v.execution_time)", Stored::Plain),
        Column::HistoryLength => ("v.history_length", Stored::Plain),
        Column::HistorySizeBytes => ("v.history_size_bytes", Stored::Plain),
        Column::StateTransitionCount => ("v.state_transitions", Stored::Plain),
        Column::ParentWorkflowId => ("v.parent_workflow_id", Stored::Plain),
        Column::ParentRunId => ("v.parent_run_id", Stored::Uuid),
        Column::RootWorkflowId => ("coalesce(v.root_workflow_id, v.workflow_id)", Stored::Plain),
        Column::RootRunId => ("coalesce(v.root_run_id, v.run_id)", Stored::Uuid),
        Column::Division => ("v.division", Stored::Plain),
    }
}

/// A UUID as it is written; null stays null.
fn uuid_text(bytes: &str) -> String {
    let part = |from: u32, length: u32| format!("substr(hex({bytes}), {from}, {length})");
    let parts = [part(1, 8), part(9, 4), part(13, 4), part(17, 4), part(21, 12)].join(" || '-' || ");
    // `hex` of null is an empty text.
    format!("(CASE WHEN {bytes} IS NOT NULL THEN lower({parts}) END)")
}

/// The bytes of a run id; of a text that is none, something that no row has.
pub(crate) fn uuid_bytes(text: &str) -> Vec<u8> {
    match Uuid::try_parse(text) {
        Ok(uuid) if uuid.as_hyphenated().to_string() == text => key_of(&uuid).to_vec(),
        _ => Vec::new(),
    }
}

/// The rows of an attribute of the run at hand: at most one unless it is a list or a text.
fn attribute_rows(connection: &Connection, field: &Field) -> Result<Sql, Error> {
    let Source::Attribute(name) = &field.source else { unreachable!("only attributes have rows of their own") };
    let mut sql = Sql::default();
    sql.push("SELECT a.value FROM attribute AS a WHERE a.run = v.run AND a.name = ");
    sql.bind(name_number(connection, name)?).push(" AND a.kind = ").bind(i64::from(field.kind as i32));
    Ok(sql)
}

/// Whether a run may have several values of it.
pub(crate) fn is_many(field: &Field) -> bool {
    matches!(field.kind, IndexedValueType::KeywordList | IndexedValueType::Text)
}

pub(crate) fn plain(value: &Value) -> Bound {
    match value {
        Value::Text(text) => Bound::Text(text.clone()),
        Value::Int(number) => Bound::Integer(*number),
        Value::Double(number) => Bound::Real(*number),
        Value::Bool(flag) => Bound::Integer(i64::from(*flag)),
        Value::Datetime(instant) => Bound::Integer(instant.as_nanos()),
    }
}

pub(crate) fn symbol(operator: Comparison) -> &'static str {
    match operator {
        Comparison::Equal => " = ",
        Comparison::NotEqual => " <> ",
        Comparison::Less => " < ",
        Comparison::LessOrEqual => " <= ",
        Comparison::Greater => " > ",
        Comparison::GreaterOrEqual => " >= ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_past_everything_that_begins_with_it() {
        for (prefix, end) in [
            ("ab", Some("ac")),
            ("a\u{10ffff}", Some("b")),
            ("\u{d7ff}", Some("\u{e000}")),
            ("\u{10ffff}", None),
            ("", None),
        ] {
            assert_eq!(after_prefix(prefix).as_deref(), end, "{prefix:?}");
        }
    }
}
