//! What a filter means, evaluated row by row; and random rows and queries to hold the store against it.

use crate::testkit::*;
use proptest::prelude::*;
use std::cmp::Ordering;
use store::{
    filter::{Column, Comparison, Expression, Field, Query, Source, Value},
    row::{AttributeValue, VisibilityRow},
};
use tradewind_core::{
    search_attributes::{Schema, type_named},
    time::Timestamp,
};
use uuid::Uuid;

pub fn schema() -> Schema {
    ["Keyword", "KeywordList", "Text", "Int", "Double", "Bool", "Datetime"]
        .map(|kind| {
            let name = if kind == "KeywordList" { "List" } else { kind };
            (format!("Custom{name}"), type_named(kind).expect("every type has a name"))
        })
        .into()
}

/// Whether a query finds a row.
pub fn finds(query: &Query, row: &VisibilityRow) -> bool {
    (query.names_division || row.division.is_none())
        && query.filter.as_ref().is_none_or(|filter| truth(filter, row) == Some(true))
}

/// True, false or unknown, as in SQL.
fn truth(expression: &Expression, row: &VisibilityRow) -> Option<bool> {
    match expression {
        Expression::All(parts) => {
            let truths: Vec<_> = parts.iter().map(|part| truth(part, row)).collect();
            let any_false = truths.contains(&Some(false));
            if any_false { Some(false) } else { truths.into_iter().collect::<Option<Vec<_>>>().map(|_| true) }
        }
        Expression::Any(parts) => {
            let truths: Vec<_> = parts.iter().map(|part| truth(part, row)).collect();
            let any_true = truths.contains(&Some(true));
            if any_true { Some(true) } else { truths.into_iter().collect::<Option<Vec<_>>>().map(|_| false) }
        }
        Expression::Not(inner) => truth(inner, row).map(|truth| !truth),
        Expression::Compare { field, operator, value } => {
            let order = compare(&single(field, row)?, value);
            Some(match operator {
                Comparison::Equal => order == Ordering::Equal,
                Comparison::NotEqual => order != Ordering::Equal,
                Comparison::Less => order == Ordering::Less,
                Comparison::LessOrEqual => order != Ordering::Greater,
                Comparison::Greater => order == Ordering::Greater,
                Comparison::GreaterOrEqual => order != Ordering::Less,
            })
        }
        Expression::In { field, negated, values } => {
            let any = |found: &Value| values.iter().any(|value| compare(found, value) == Ordering::Equal);
            let found = match many(field, row) {
                Some(all) => all.iter().any(any),
                None => any(&single(field, row)?),
            };
            Some(found != *negated)
        }
        Expression::Between { field, negated, from, to } => {
            let found = single(field, row)?;
            let inside = compare(&found, from) != Ordering::Less && compare(&found, to) != Ordering::Greater;
            Some(inside != *negated)
        }
        Expression::StartsWith { field, negated, prefix } => {
            let Value::Text(found) = single(field, row)? else { panic!("only keywords have a beginning") };
            Some(found.starts_with(prefix) != *negated)
        }
        Expression::SearchKey { .. } => unreachable!("no text says this"),
        Expression::IsNull { field, negated } => {
            let missing = match many(field, row) {
                Some(all) => all.is_empty(),
                None => single(field, row).is_none(),
            };
            Some(missing != *negated)
        }
    }
}

fn compare(left: &Value, right: &Value) -> Ordering {
    let number = |value: &Value| match value {
        Value::Int(number) => Some(*number as f64),
        Value::Double(number) => Some(*number),
        _ => None,
    };
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => left.as_bytes().cmp(right.as_bytes()),
        (Value::Int(left), Value::Int(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Datetime(left), Value::Datetime(right)) => left.cmp(right),
        _ => {
            let (left, right) = (number(left).expect("a number"), number(right).expect("a number"));
            left.partial_cmp(&right).expect("no random number is NaN")
        }
    }
}

/// The values of a field that may have several; none for other fields.
fn many(field: &Field, row: &VisibilityRow) -> Option<Vec<Value>> {
    let Source::Attribute(name) = &field.source else { return None };
    let value = row.attributes.iter().find(|(found, _)| found == name).map(|(_, value)| value);
    let texts = |texts: Vec<String>| Some(texts.into_iter().map(Value::Text).collect());
    match (name.as_str(), value) {
        ("CustomList" | "CustomText", None) => Some(Vec::new()),
        (_, Some(AttributeValue::KeywordList(items))) => texts(items.clone()),
        (_, Some(AttributeValue::Text(text))) => {
            texts(text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase).filter(|w| !w.is_empty()).collect())
        }
        _ => None,
    }
}

fn single(field: &Field, row: &VisibilityRow) -> Option<Value> {
    let text = |text: &str| Some(Value::Text(text.to_owned()));
    let uuid = |uuid: Uuid| Some(Value::Text(uuid.to_string()));
    let column = match &field.source {
        Source::Column(column) => column,
        Source::Attribute(name) => {
            let (_, value) = row.attributes.iter().find(|(found, _)| found == name)?;
            return Some(match value.clone() {
                AttributeValue::Keyword(text) => Value::Text(text),
                AttributeValue::Int(number) => Value::Int(number),
                AttributeValue::Double(number) => Value::Double(number),
                AttributeValue::Bool(flag) => Value::Bool(flag),
                AttributeValue::Datetime(instant) => Value::Datetime(instant),
                AttributeValue::KeywordList(_) | AttributeValue::Text(_) => panic!("{name} has several values"),
            });
        }
    };
    match column {
        Column::WorkflowId => text(&row.workflow_id),
        Column::RunId => uuid(row.run_id),
        Column::WorkflowType => text(&row.workflow_type),
        Column::ExecutionStatus => Some(Value::Int(i64::from(row.status))),
        Column::TaskQueue => text(&row.task_queue),
        Column::StartTime => Some(Value::Datetime(row.start_time)),
        Column::ExecutionTime => Some(Value::Datetime(row.execution_time)),
        Column::CloseTime => row.close_time.map(Value::Datetime),
        Column::ExecutionDuration => {
            row.close_time.map(|close| Value::Int(close.as_nanos() - row.execution_time.as_nanos()))
        }
        Column::HistoryLength => row.history_length.map(Value::Int),
        Column::HistorySizeBytes => row.history_size_bytes.map(Value::Int),
        Column::StateTransitionCount => row.state_transitions.map(Value::Int),
        Column::ParentWorkflowId => row.parent.as_ref().and_then(|(id, _)| text(id)),
        Column::ParentRunId => row.parent.as_ref().and_then(|(_, id)| uuid(*id)),
        Column::RootWorkflowId => text(&row.root.0),
        Column::RootRunId => uuid(row.root.1),
        Column::Division => row.division.as_deref().and_then(text),
    }
}

/// The order of lists.
pub fn in_order(rows: &mut [VisibilityRow]) {
    rows.sort_by_key(|row| {
        let key = (row.close_time.unwrap_or(Timestamp::MAX), row.start_time, row.run);
        std::cmp::Reverse(key)
    });
}

const WORDS: [&str; 5] = ["a", "b", "ab", "B", "ä%"];

fn word() -> impl Strategy<Value = String> + Clone {
    proptest::sample::select(WORDS.to_vec()).prop_map(str::to_owned)
}

fn maybe<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    proptest::option::of(strategy)
}

fn attributes() -> impl Strategy<Value = Vec<(String, AttributeValue)>> {
    (
        maybe(word()),
        maybe(proptest::collection::vec(word(), 1..3)),
        maybe((word(), word())),
        maybe(0..3_i64),
        maybe(0..3_i64),
        maybe(any::<bool>()),
        maybe(0..3_i64),
    )
        .prop_map(|(keyword, list, text, int, double, flag, datetime)| {
            let named = |name: &str, value: Option<AttributeValue>| value.map(|value| (name.to_owned(), value));
            [
                named("CustomKeyword", keyword.map(AttributeValue::Keyword)),
                named("CustomList", list.map(AttributeValue::KeywordList)),
                named("CustomText", text.map(|(one, two)| AttributeValue::Text(format!("{one} - {two}!")))),
                named("CustomInt", int.map(AttributeValue::Int)),
                named("CustomDouble", double.map(|number| AttributeValue::Double(number as f64 / 2.0))),
                named("CustomBool", flag.map(AttributeValue::Bool)),
                named("CustomDatetime", datetime.map(|seconds| AttributeValue::Datetime(at(seconds)))),
            ]
            .into_iter()
            .flatten()
            .collect()
        })
}

/// A row whose values are few, so that queries hit.
pub fn row(run: i64) -> impl Strategy<Value = VisibilityRow> {
    let identity = (word(), word(), word(), maybe(0..3_u128), maybe(0..3_u128), maybe(word()));
    let times = (0..3_i64, 0..3_i64, 1..8_i32, 0..3_i64);
    (identity, times, attributes()).prop_map(move |(identity, times, attributes)| {
        let (workflow_id, workflow_type, task_queue, parent, root, division) = identity;
        let (start, delay, status, duration) = times;
        let closed = status != 1;
        let mut row = shown(run, start);
        row.root = root.map_or((workflow_id.clone(), row.run_id), |root| ("a".to_owned(), Uuid::from_u128(root)));
        row.workflow_id = workflow_id;
        row.workflow_type = workflow_type;
        row.task_queue = task_queue;
        row.status = status;
        row.execution_time = at(start + delay);
        row.close_time = closed.then(|| at(start + delay + duration));
        row.history_length = closed.then_some(duration);
        row.history_size_bytes = closed.then_some(duration * 100);
        row.state_transitions = closed.then_some(start);
        row.parent = parent.map(|parent| ("b".to_owned(), Uuid::from_u128(parent)));
        row.division = division.filter(|division| division == "a");
        row.attributes = attributes;
        row
    })
}

fn quoted() -> impl Strategy<Value = String> + Clone {
    word().prop_map(|word| format!("'{word}'"))
}

fn run_id() -> impl Strategy<Value = String> + Clone {
    (0..6_u128).prop_map(|id| format!("'{}'", Uuid::from_u128(id)))
}

/// What can be asked of a kind of field beside comparisons.
#[derive(Clone, Copy, PartialEq)]
enum Also {
    Nothing,
    In,
    InAndBetween,
}

/// A condition on one of these fields, with literals from `literal`.
fn condition(
    names: &'static [&'static str],
    operators: &'static [&'static str],
    also: Also,
    literal: impl Strategy<Value = String> + Clone,
) -> impl Strategy<Value = String> {
    let name = proptest::sample::select(names.to_vec());
    let operator = proptest::sample::select(operators.to_vec());
    let shape = (0..5, any::<bool>());
    (name, operator, literal.clone(), literal, shape).prop_map(move |(name, operator, one, two, (shape, negated))| {
        let not = if negated { "NOT " } else { "" };
        match shape {
            0 => format!("{name} IS {not}NULL"),
            1 if also != Also::Nothing => format!("{name} {not}IN ({one}, {two})"),
            2 if also == Also::InAndBetween => format!("{name} {not}BETWEEN {one} AND {two}"),
            _ => format!("{name} {operator} {one}"),
        }
    })
}

const EQUAL: &[&str] = &["=", "!="];
const ORDER: &[&str] = &["=", "!=", "<", "<=", ">", ">="];
const KEYWORD: &[&str] = &["=", "!=", "<", ">=", "STARTS_WITH", "NOT STARTS_WITH"];

fn leaf() -> impl Strategy<Value = String> {
    let status =
        proptest::sample::select(vec!["'Running'", "'Completed'", "'Failed'", "4", "7"]).prop_map(str::to_owned);
    let date = (0..5_i64).prop_map(|s| format!("'1970-01-01T00:00:0{s}Z'"));
    let seconds = (0..4_i64).prop_map(|seconds| format!("'{seconds}s'"));
    let number = proptest::sample::select(vec!["0", "1", "2", "0.5", "100"]).prop_map(str::to_owned);
    prop_oneof![
        condition(
            &["WorkflowId", "WorkflowType", "TaskQueue", "ParentWorkflowId", "RootWorkflowId", "CustomKeyword"],
            KEYWORD,
            Also::InAndBetween,
            quoted()
        ),
        condition(&["RunId", "ParentRunId", "RootRunId"], KEYWORD, Also::InAndBetween, run_id()),
        condition(&["ExecutionStatus"], ORDER, Also::InAndBetween, status),
        condition(&["StartTime", "ExecutionTime", "CloseTime", "CustomDatetime"], ORDER, Also::InAndBetween, date),
        condition(&["ExecutionDuration"], ORDER, Also::InAndBetween, seconds),
        condition(
            &["HistoryLength", "HistorySizeBytes", "StateTransitionCount", "CustomInt", "CustomDouble"],
            ORDER,
            Also::InAndBetween,
            number
        ),
        condition(&["CustomList"], EQUAL, Also::In, quoted()),
        condition(&["CustomText"], EQUAL, Also::Nothing, quoted()),
        condition(&["CustomBool"], EQUAL, Also::In, any::<bool>().prop_map(|flag| flag.to_string())),
        (1..2_u8).prop_map(|_| "TemporalNamespaceDivision = 'a'".to_owned()),
        (1..2_u8).prop_map(|_| "TemporalNamespaceDivision IS NOT NULL".to_owned()),
    ]
}

/// A query that the language accepts.
pub fn query() -> impl Strategy<Value = String> {
    leaf().prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" AND "))),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" OR "))),
            inner.prop_map(|part| format!("NOT ({part})")),
        ]
    })
}
