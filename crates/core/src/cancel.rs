//! A request to cancel: recorded once, and left to workflow code.

use crate::{
    draft::Draft,
    step::{CancelRequest, Rejection, Reply},
    workflow_task,
};
use api::history::v1::{HistoryEvent, WorkflowExecutionCancelRequestedEventAttributes, history_event::Attributes};

pub(crate) fn on_request(draft: &mut Draft<'_>, request: CancelRequest) -> Result<Reply, Rejection> {
    check_target(draft, &request)?;
    let requested = draft.state.recorded.progress.cancel_requested
        || draft.state.is_buffered(|it| matches!(it, Attributes::WorkflowExecutionCancelRequestedEventAttributes(_)));
    if requested {
        return Ok(Reply::Done);
    }
    let (external_workflow_execution, external_initiated_event_id) = match request.external {
        Some((execution, initiated)) => (Some(execution), initiated),
        None => (None, 0),
    };
    let attributes = Attributes::WorkflowExecutionCancelRequestedEventAttributes(Box::new(
        WorkflowExecutionCancelRequestedEventAttributes {
            cause: request.reason,
            external_initiated_event_id,
            external_workflow_execution,
            identity: request.identity,
        },
    ));
    draft.record_external(HistoryEvent {
        attributes: Some(attributes),
        links: request.links,
        ..HistoryEvent::default()
    });
    // A run that is held back (start delay, cron) hears of it at once: it may never need to start.
    workflow_task::schedule(draft);
    Ok(Reply::Done)
}

/// Cancelling what is over has nothing left to do.
pub(crate) fn on_request_when_closed(draft: &mut Draft<'_>, request: &CancelRequest) -> Result<Reply, Rejection> {
    check_target(draft, request)?;
    if request.external.is_some() || request.child_only.is_some() {
        return Err(Rejection::Closed);
    }
    Ok(Reply::Done)
}

fn check_target(draft: &Draft<'_>, request: &CancelRequest) -> Result<(), Rejection> {
    let start = &draft.state.start;
    if let Some(first) = request.first_run_id
        && start.event.first_execution_run_id != first.to_string()
    {
        return Err(Rejection::NotThisExecution);
    }
    if let Some(parent) = request.child_only
        && start.parent().is_none_or(|it| it.run_id != parent)
    {
        return Err(Rejection::NotThisExecution);
    }
    Ok(())
}
