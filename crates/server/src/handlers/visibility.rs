//! What the lists and counts of executions share: read a query, run it off the request's thread, convert rows.

use crate::namespaces::Namespace;
use crate::{Error, Service, handlers::support, validate};
use api::common::v1::{Memo, SearchAttributes, WorkflowExecution, WorkflowType};
use api::enums::v1::IndexedValueType;
use api::filter::v1::StartTimeFilter;
use api::workflow::v1::WorkflowExecutionInfo;
use bytes::Bytes;
use prost::Message;
use std::sync::Arc;
use store::Store;
use store::filter::{self, Column, Comparison, Expression, Field, Query, Source, Value};
use store::row::VisibilityRow;
use tradewind_core::time::{self, Timestamp};

/// One page of a list.
pub struct Page {
    pub executions: Vec<WorkflowExecutionInfo>,
    pub next_page_token: Bytes,
}

/// One page of the executions that a query text matches.
pub async fn list(
    service: &Service,
    namespace: &str,
    query: &str,
    page_size: i32,
    token: Bytes,
) -> Result<Page, Error> {
    let namespace = validate::namespace(&service.namespaces, namespace)?;
    let query = parse(query, &namespace)?;
    page(service, namespace, query, page_size, token).await
}

pub fn parse(text: &str, namespace: &Namespace) -> Result<Query, Error> {
    filter::parse(text, &namespace.search_attributes).map_err(|refused| Error::invalid(refused.to_string()))
}

/// One page of the executions that meet all conditions.
pub async fn list_matching(
    service: &Service,
    namespace: Arc<Namespace>,
    mut conditions: Vec<Expression>,
    page_size: i32,
    token: Bytes,
) -> Result<Page, Error> {
    let filter = if conditions.len() > 1 { Some(Expression::All(conditions)) } else { conditions.pop() };
    let query = Query { filter, group_by: Vec::new(), names_division: false };
    page(service, namespace, query, page_size, token).await
}

async fn page(
    service: &Service,
    namespace: Arc<Namespace>,
    query: Query,
    page_size: i32,
    token: Bytes,
) -> Result<Page, Error> {
    let max = service.limits.visibility_page_max;
    let page_size = usize::try_from(page_size).ok().filter(|asked| *asked > 0).map_or(max, |asked| asked.min(max));
    let key = namespace.key;
    let (rows, next) = read(service, move |store| {
        let after = (!token.is_empty()).then_some(token.as_ref());
        store.list(key, &query, page_size, after)
    })
    .await?;
    Ok(Page {
        executions: rows.into_iter().map(|row| item(row, &namespace)).collect(),
        next_page_token: next.unwrap_or_default(),
    })
}

/// Reads off the request's thread: a condition that no index answers visits every row.
pub async fn read<T: Send + 'static>(
    service: &Service,
    read: impl FnOnce(&Store) -> Result<T, store::Error> + Send + 'static,
) -> Result<T, Error> {
    let store = service.store.clone();
    match tokio::task::spawn_blocking(move || read(&store)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(store::Error::PageToken)) => Err(Error::invalid("Invalid NextPageToken.")),
        Ok(Err(error)) => Err(error.into()),
        Err(panic) => Err(Error::Internal(format!("a read of the list of executions failed: {panic}"))),
    }
}

fn item(row: VisibilityRow, namespace: &Namespace) -> WorkflowExecutionInfo {
    // What was stored decodes; a field that does not is shown empty, so that one bad row does not hide a page.
    let attributes = SearchAttributes::decode(row.search_attributes).unwrap_or_default();
    WorkflowExecutionInfo {
        execution: Some(WorkflowExecution { workflow_id: row.workflow_id, run_id: row.run_id.to_string() }),
        r#type: Some(WorkflowType { name: row.workflow_type }),
        start_time: Some(micros(row.start_time)),
        close_time: row.close_time.map(micros),
        status: row.status,
        history_length: row.history_length.unwrap_or_default(),
        parent_execution: row
            .parent
            .map(|(workflow_id, run_id)| WorkflowExecution { workflow_id, run_id: run_id.to_string() }),
        execution_time: Some(micros(row.execution_time)),
        memo: Some(Memo::decode(row.memo).unwrap_or_default()),
        search_attributes: Some(support::search_attributes(attributes.indexed_fields, namespace)),
        task_queue: row.task_queue,
        state_transition_count: row.state_transitions.unwrap_or_default(),
        history_size_bytes: row.history_size_bytes.unwrap_or_default(),
        execution_duration: row.close_time.and_then(|at| time::wire(at - row.execution_time)),
        root_execution: Some(WorkflowExecution { workflow_id: row.root.0, run_id: row.root.1.to_string() }),
        ..WorkflowExecutionInfo::default()
    }
}

/// Lists show microseconds, as the reference's store keeps them: clients compare times of two lists.
fn micros(at: Timestamp) -> prost_types::Timestamp {
    Timestamp::from_nanos(at.as_nanos().div_euclid(1_000) * 1_000).into()
}

/// `field = value` on a column of the list.
pub fn compare(column: Column, operator: Comparison, value: Value) -> Expression {
    Expression::Compare { field: field(column), operator, value }
}

/// The condition that a time filter stands for, on the column that the list is about.
pub fn within(column: Column, range: Option<StartTimeFilter>) -> Result<Option<Expression>, Error> {
    let range = range.unwrap_or_default();
    let bound = |wire: Option<prost_types::Timestamp>| wire.filter(is_set).map(|wire| Value::Datetime(wire.into()));
    let (from, to) = (bound(range.earliest_time), bound(range.latest_time));
    Ok(match (from, to) {
        (None, None) => None,
        (Some(from), None) => Some(compare(column, Comparison::GreaterOrEqual, from)),
        (None, Some(to)) => Some(compare(column, Comparison::LessOrEqual, to)),
        (Some(Value::Datetime(from)), Some(Value::Datetime(to))) if from > to => {
            return Err(Error::invalid("EarliestTime in StartTimeFilter should not be larger than LatestTime."));
        }
        (Some(from), Some(to)) => Some(Expression::Between { field: field(column), negated: false, from, to }),
    })
}

/// Go's zero time stands for an absent one; Go clients send it.
fn is_set(wire: &prost_types::Timestamp) -> bool {
    (wire.seconds, wire.nanos) != (GO_ZERO_TIME_SECONDS, 0)
}

/// 0001-01-01T00:00:00Z
const GO_ZERO_TIME_SECONDS: i64 = -62_135_596_800;

fn field(column: Column) -> Field {
    let (name, kind) = match column {
        Column::WorkflowId => ("WorkflowId", IndexedValueType::Keyword),
        Column::WorkflowType => ("WorkflowType", IndexedValueType::Keyword),
        Column::ExecutionStatus => ("ExecutionStatus", IndexedValueType::Keyword),
        Column::StartTime => ("StartTime", IndexedValueType::Datetime),
        Column::CloseTime => ("CloseTime", IndexedValueType::Datetime),
        other => unreachable!("no filter of the API is about {other:?}"),
    };
    Field { name: name.to_owned(), source: Source::Column(column), kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_filter_becomes_the_narrowest_condition() {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let within = |earliest_time, latest_time| {
            within(Column::StartTime, Some(StartTimeFilter { earliest_time, latest_time }))
        };
        assert_eq!(within(None, None), Ok(None));
        assert_eq!(within(at(GO_ZERO_TIME_SECONDS), None), Ok(None));
        assert!(matches!(
            within(at(1), None),
            Ok(Some(Expression::Compare { operator: Comparison::GreaterOrEqual, .. }))
        ));
        assert!(matches!(within(None, at(2)), Ok(Some(Expression::Compare { operator: Comparison::LessOrEqual, .. }))));
        assert!(matches!(within(at(1), at(2)), Ok(Some(Expression::Between { .. }))));
        assert_eq!(
            within(at(2), at(1)).unwrap_err().to_string(),
            "EarliestTime in StartTimeFilter should not be larger than LatestTime."
        );
    }

    #[test]
    fn times_in_lists_are_cut_to_microseconds() {
        assert_eq!(micros(Timestamp::from_nanos(1_000_000_001_999)).nanos, 1_000);
        assert_eq!(micros(Timestamp::from_nanos(-1)).nanos, 999_999_000);
    }
}
