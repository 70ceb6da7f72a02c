//! The row that lists show of a run.

use crate::shared::Shared;
use api::common::v1::{Memo, SearchAttributes};
use bytes::Bytes;
use prost::Message;
use std::time::Duration;
use store::row::VisibilityRow;
use tradewind_core::{
    ids::{NamespaceKey, RunKey},
    properties::{self, REPORTED_PROBLEMS},
    search_attributes::{self, AttributeValue},
    state::MutableState,
};

impl Shared {
    /// How long a closed run of this namespace is kept.
    pub fn retention(&self, namespace: NamespaceKey) -> Duration {
        self.namespaces.with_key(namespace).map_or(self.limits.namespace_retention_default, |it| it.retention)
    }
}

/// The row of a run as it is now.
pub(crate) fn row(run: RunKey, state: &MutableState, shared: &Shared) -> VisibilityRow {
    let start = &state.start;
    let progress = &state.recorded.progress;
    let closed = progress.closed_at.is_some();
    let memo = &state.recorded.memo;
    let memo = if memo.is_empty() { Bytes::new() } else { Memo { fields: (**memo).clone() }.encode_to_vec().into() };
    let fields = properties::all_search_attributes(state);
    let (search_attributes, attributes) = if fields.is_empty() {
        (Bytes::new(), Vec::new())
    } else {
        let namespace = shared.namespaces.with_key(start.namespace);
        // One by one: an attribute that the namespace has no more must not take the others along.
        let decoded = fields.iter().filter_map(|(name, payload)| {
            let namespace = namespace.as_ref()?;
            let one = SearchAttributes { indexed_fields: [(name.clone(), payload.clone())].into() };
            search_attributes::decode(&one, &namespace.name, &namespace.search_attributes, &shared.limits).ok()
        });
        let values = decoded.flatten().filter_map(|(name, value)| Some((name, value?))).collect();
        let message = SearchAttributes { indexed_fields: fields };
        (message.encode_to_vec().into(), values)
    };
    let root = start.event.root_workflow_execution.as_ref();
    let own = (start.workflow_id.clone(), start.run_id);
    VisibilityRow {
        run,
        namespace: start.namespace,
        workflow_id: start.workflow_id.clone(),
        run_id: start.run_id,
        workflow_type: start.workflow_type().to_owned(),
        status: progress.status,
        task_queue: start.task_queue().to_owned(),
        start_time: start.started_at,
        execution_time: start.execution_time(),
        close_time: progress.closed_at,
        history_length: closed.then_some(progress.next_event_id - 1),
        history_size_bytes: closed.then_some(progress.history_bytes as i64),
        state_transitions: closed.then_some(state.unrecorded.task.transitions as i64),
        parent: start.parent().map(|it| (it.workflow_id, it.run_id)),
        root: root.and_then(|it| Some((it.workflow_id.clone(), it.run_id.parse().ok()?))).unwrap_or(own),
        first_run_id: start.event.first_execution_run_id.parse().unwrap_or(start.run_id),
        division: None,
        memo,
        search_attributes,
        attributes,
    }
}

/// Shows that a run is parked, where runs in trouble are looked for.
pub(crate) fn mark_parked(row: &mut VisibilityRow, panic: &str) {
    let values = vec!["category=EngineError".to_owned(), format!("cause={panic}")];
    let value = AttributeValue::KeywordList(values);
    let mut message = SearchAttributes::decode(row.search_attributes.as_ref()).unwrap_or_default();
    message.indexed_fields.insert(REPORTED_PROBLEMS.to_owned(), search_attributes::encode(&value));
    row.search_attributes = message.encode_to_vec().into();
    row.attributes.retain(|(name, _)| name != REPORTED_PROBLEMS);
    row.attributes.push((REPORTED_PROBLEMS.to_owned(), value));
}
