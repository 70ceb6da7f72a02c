//! Where the search for executions begins.
//!
//! SQLite has no statistics here and would guess. Instead: each condition that every match must meet and that
//! an index can answer is asked for its first rows. If it has few, the search begins with those and sorts what
//! is left; otherwise it walks an index in the order of the list and stops when the page is full.

use crate::{
    condition::{self, Sql, plain, symbol},
    error::Error,
    filter::{Column, Comparison, Expression, Field, Query, Source, Value},
    list::{By, Order},
    schema::OPEN,
};
use rusqlite::{Connection, params_from_iter, types::Value as Bound};
use tradewind_core::ids::NamespaceKey;

/// The states that the index by status leaves out.
const COMMON_STATUS_MAX: i64 = 2;
const RUNNING: i64 = 1;
const PAUSED: i64 = 8;

/// `FROM … WHERE …`: the rows `v` that match, and perhaps a way to them in the order of the list.
pub(crate) fn matching(
    connection: &Connection,
    namespace: NamespaceKey,
    query: &Query,
    order: Order,
    few: usize,
) -> Result<Sql, Error> {
    let musts = musts(query.filter.as_ref());
    let mut sql = Sql::default();
    sql.push(" FROM ");
    match fewest(connection, namespace, &musts, few)? {
        Some(begin) => {
            sql.push("(SELECT DISTINCT run FROM (").append(begin);
            sql.push(")) AS begin CROSS JOIN visibility AS v ON v.run = begin.run");
        }
        None => {
            sql.push("visibility AS v").push(match order.by {
                By::End => ordered_index(query, &musts),
                By::Start => " NOT INDEXED",
            });
        }
    }
    sql.push(" WHERE v.namespace = ").bind(namespace.0);
    if !query.names_division {
        sql.push(" AND v.division IS NULL");
    }
    for must in &musts {
        push_implied(&mut sql, must);
    }
    if let Some(filter) = &query.filter {
        sql.push(" AND ");
        condition::write(&mut sql, connection, filter)?;
    }
    Ok(sql)
}

/// The conditions that every match meets.
fn musts(filter: Option<&Expression>) -> Vec<&Expression> {
    match filter {
        Some(Expression::All(all)) => all.iter().flat_map(|part| musts(Some(part))).collect(),
        Some(other) => vec![other],
        None => Vec::new(),
    }
}

/// The index to walk when nothing narrows the search.
fn ordered_index(query: &Query, musts: &[&Expression]) -> &'static str {
    let equal = |column: Column| {
        musts.iter().find_map(|must| match must {
            Expression::Compare { field, operator: Comparison::Equal, value } => {
                (field.source == Source::Column(column)).then_some(value)
            }
            _ => None,
        })
    };
    if query.names_division {
        return if equal(Column::Division).is_some() { " INDEXED BY visibility_by_division" } else { "" };
    }
    match equal(Column::ExecutionStatus) {
        Some(Value::Int(status)) if *status > COMMON_STATUS_MAX => " INDEXED BY visibility_by_status",
        _ if equal(Column::WorkflowType).is_some() => " INDEXED BY visibility_by_type",
        _ => " INDEXED BY visibility_by_order",
    }
}

/// Conditions that follow from another and that an index understands.
fn push_implied(sql: &mut Sql, must: &Expression) {
    let Expression::Compare { field, operator, value } = must else { return };
    let Source::Column(column) = field.source else { return };
    match (column, operator, value) {
        (Column::ExecutionStatus, Comparison::Equal, Value::Int(status)) => {
            if *status > COMMON_STATUS_MAX {
                // Word for word the condition of the partial index.
                sql.push(" AND v.status > 2");
            }
            let open = matches!(*status, RUNNING | PAUSED);
            sql.push(if open { " AND v.close_time = " } else { " AND v.close_time <= " }).bind(OPEN);
        }
        (Column::Division, Comparison::Equal, _) => {
            sql.push(" AND v.division IS NOT NULL");
        }
        // A run closes after it started, and an open one counts as closing at the end of time.
        (Column::StartTime, Comparison::Equal | Comparison::Greater | Comparison::GreaterOrEqual, value) => {
            sql.push(" AND v.close_time >= ").bind(plain(value));
        }
        (Column::CloseTime, operator, value) if *operator != Comparison::NotEqual => {
            sql.push(" AND v.close_time < ").bind(OPEN);
            sql.push(" AND v.close_time").push(symbol(*operator)).bind(plain(value));
        }
        _ => {}
    }
}

/// The condition with the fewest rows, if it has fewer than `few`.
fn fewest(
    connection: &Connection,
    namespace: NamespaceKey,
    musts: &[&Expression],
    few: usize,
) -> Result<Option<Sql>, Error> {
    let mut best: Option<(usize, Sql)> = None;
    for must in musts {
        let Some(rows) = rows_of(connection, namespace, must)? else { continue };
        let limit = best.as_ref().map_or(few, |(rows, _)| *rows);
        let mut probe = Sql::default();
        probe.push("SELECT count(*) FROM (SELECT 1 FROM (").append(rows.clone()).push(") LIMIT ");
        probe.bind(limit as i64).push(")");
        let found: i64 = connection
            .prepare_cached(&probe.text)?
            .query_row(params_from_iter(probe.bound.iter()), |row| row.get(0))?;
        if (found as usize) < limit {
            best = Some((found as usize, rows));
        }
    }
    Ok(best.map(|(_, rows)| rows))
}

/// The runs that may meet a condition, read from an index; none if there is no index for it.
fn rows_of(connection: &Connection, namespace: NamespaceKey, must: &Expression) -> Result<Option<Sql>, Error> {
    let (field, test) = match must {
        Expression::Compare { field, operator, value } if *operator != Comparison::NotEqual => {
            (field, Test::Compare(*operator, value))
        }
        Expression::In { field, negated: false, values } => (field, Test::In(values)),
        Expression::Between { field, negated: false, from, to } => (field, Test::Between(from, to)),
        Expression::StartsWith { field, negated: false, prefix } => (field, Test::Prefix(prefix)),
        Expression::SearchKey { key, part } => {
            let mut sql = Sql::default();
            sql.push("SELECT k.run FROM search_key AS k INDEXED BY search_key_by_value WHERE ");
            condition::write_search_key(&mut sql, key, part);
            return Ok(Some(sql));
        }
        _ => return Ok(None),
    };
    match &field.source {
        Source::Column(column) => Ok(rows_of_column(namespace, *column, &test)),
        Source::Attribute(name) => rows_of_attribute(connection, field, name, &test).map(Some),
    }
}

/// What a value is tested for.
enum Test<'a> {
    Compare(Comparison, &'a Value),
    In(&'a [Value]),
    Between(&'a Value, &'a Value),
    Prefix(&'a str),
}

impl Test<'_> {
    fn write(&self, sql: &mut Sql, operand: &str) {
        match self {
            Test::Compare(operator, value) => {
                sql.push(operand).push(symbol(*operator)).bind(plain(value));
            }
            Test::In(values) => {
                sql.push(operand).push(" IN ").bind_all(values.iter().map(plain));
            }
            Test::Between(from, to) => {
                sql.push(operand).push(" BETWEEN ").bind(plain(from)).push(" AND ").bind(plain(to));
            }
            Test::Prefix(prefix) => {
                let operand = Sql { text: operand.to_owned(), bound: Vec::new() };
                condition::write_prefix(sql, &operand, prefix);
            }
        }
    }

    /// The run ids it is tested for, if it is a test for equality.
    fn run_ids(&self) -> Option<Vec<Bound>> {
        let bytes = |value: &Value| match value {
            Value::Text(text) => Bound::Blob(condition::uuid_bytes(text)),
            other => plain(other),
        };
        match self {
            Test::Compare(Comparison::Equal, value) => Some(vec![bytes(value)]),
            Test::In(values) => Some(values.iter().map(bytes).collect()),
            _ => None,
        }
    }
}

fn rows_of_column(namespace: NamespaceKey, column: Column, test: &Test<'_>) -> Option<Sql> {
    let mut sql = Sql::default();
    match column {
        Column::RunId => {
            sql.push("SELECT id AS run FROM run WHERE run_id IN ").bind_all(test.run_ids()?);
        }
        Column::WorkflowId => {
            write_executions(&mut sql, namespace, test);
        }
        Column::ParentWorkflowId => {
            sql.push("SELECT run FROM visibility WHERE namespace = ").bind(namespace.0);
            sql.push(" AND parent_workflow_id IS NOT NULL AND ");
            test.write(&mut sql, "parent_workflow_id");
        }
        Column::RootWorkflowId => {
            sql.push("SELECT run FROM visibility WHERE namespace = ").bind(namespace.0);
            sql.push(" AND root_workflow_id IS NOT NULL AND ");
            test.write(&mut sql, "root_workflow_id");
            // Most runs are their own root and say nothing about it.
            sql.push(" UNION ALL ");
            write_executions(&mut sql, namespace, test);
        }
        _ => return None,
    }
    Some(sql)
}

fn write_executions(sql: &mut Sql, namespace: NamespaceKey, test: &Test<'_>) {
    sql.push("SELECT run FROM execution WHERE namespace = ").bind(namespace.0).push(" AND run > 0 AND ");
    test.write(sql, "workflow_id");
}

fn rows_of_attribute(connection: &Connection, field: &Field, name: &str, test: &Test<'_>) -> Result<Sql, Error> {
    let mut sql = Sql::default();
    sql.push("SELECT run FROM attribute INDEXED BY attribute_by_value WHERE name = ");
    sql.bind(condition::name_number(connection, name)?).push(" AND kind = ").bind(i64::from(field.kind as i32));
    sql.push(" AND ");
    test.write(&mut sql, "value");
    Ok(sql)
}
