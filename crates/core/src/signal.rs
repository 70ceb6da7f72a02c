//! Signals: recorded once for each request id, and shown to workflow code in order of arrival.

use crate::{
    draft::Draft,
    state::ItemRef,
    step::{Rejection, Reply, Signal},
    workflow_task,
};
use api::history::v1::{HistoryEvent, WorkflowExecutionSignaledEventAttributes, history_event::Attributes};

pub(crate) fn on_signal(draft: &mut Draft<'_>, signal: Signal) -> Result<Reply, Rejection> {
    if !signal.request_id.is_empty() {
        if draft.state.unrecorded.signal_requests.contains(&signal.request_id) {
            return Ok(Reply::Done);
        }
        check_limit(draft)?;
        draft.state.unrecorded.signal_requests.insert(signal.request_id.clone());
        draft.touch(ItemRef::SignalRequest(signal.request_id.clone()));
    } else {
        check_limit(draft)?;
    }
    record(draft, signal);
    // While the first workflow task is held back (start delay, cron), a signal waits for it too.
    if draft.state.unrecorded.task.first_task_at.is_none() {
        workflow_task::schedule(draft);
    }
    Ok(Reply::Done)
}

fn check_limit(draft: &Draft<'_>) -> Result<(), Rejection> {
    let is_signal = |event: &HistoryEvent| {
        matches!(event.attributes, Some(Attributes::WorkflowExecutionSignaledEventAttributes(_)))
    };
    let buffered = draft.state.unrecorded.buffered.values().filter(|event| is_signal(event)).count();
    let count = i64::from(draft.state.recorded.progress.signal_count) + buffered as i64;
    let limit = draft.env.limits.signals_per_run_max;
    if count >= limit {
        return Err(Rejection::Invalid(format!(
            "exceeded workflow execution limit for signal events: {count} signals, limit {limit}"
        )));
    }
    Ok(())
}

/// Records the signal, without asking for a workflow task.
pub(crate) fn record(draft: &mut Draft<'_>, signal: Signal) {
    let attributes =
        Attributes::WorkflowExecutionSignaledEventAttributes(Box::new(WorkflowExecutionSignaledEventAttributes {
            signal_name: signal.name,
            input: signal.input,
            identity: signal.identity,
            header: signal.header,
            external_workflow_execution: signal.external,
            request_id: signal.request_id,
            ..WorkflowExecutionSignaledEventAttributes::default()
        }));
    draft.record_external(HistoryEvent {
        attributes: Some(attributes),
        links: signal.links,
        ..HistoryEvent::default()
    });
}

#[cfg(test)]
mod tests;
