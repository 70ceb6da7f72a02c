//! Signals and cancel requests to other executions: initiated by a command, answered by the other side.
//!
//! Invariants
//! - Each initiated request ends in exactly one answering event, however often the answer is delivered.

use crate::{
    completion::Commands,
    draft::Draft,
    ids::EventId,
    proto::Proto,
    state::{External, ItemRef},
    step::{BadCommand, Rejection, Reply},
    transfer::Transfer,
    workflow_task,
};
use api::{
    command::v1::{
        RequestCancelExternalWorkflowExecutionCommandAttributes, SignalExternalWorkflowExecutionCommandAttributes,
    },
    common::v1::WorkflowExecution,
    enums::v1::{
        CancelExternalWorkflowExecutionFailedCause, SignalExternalWorkflowExecutionFailedCause,
        WorkflowTaskFailedCause as Cause,
    },
    history::v1::{
        ExternalWorkflowExecutionCancelRequestedEventAttributes, ExternalWorkflowExecutionSignaledEventAttributes,
        HistoryEvent, RequestCancelExternalWorkflowExecutionFailedEventAttributes,
        RequestCancelExternalWorkflowExecutionInitiatedEventAttributes,
        SignalExternalWorkflowExecutionFailedEventAttributes, SignalExternalWorkflowExecutionInitiatedEventAttributes,
        history_event::Attributes,
    },
};
use prost::Message;
use uuid::Uuid;

/// Checks the target of a command; the namespace, if named, must be the run's own.
fn check_target(
    draft: &Draft<'_>,
    cause: Cause,
    command: &str,
    namespace: &str,
    workflow_id: &str,
    run_id: &str,
    signal: Option<&str>,
) -> Result<(), BadCommand> {
    let bad = |text: String| {
        let signal = signal.map(|name| format!(" SignalName={name}")).unwrap_or_default();
        Err(BadCommand::new(cause, text + &signal))
    };
    let limit = draft.env.limits.id_length_max;
    let own = &draft.env.namespace.name;
    if !namespace.is_empty() && namespace != own {
        return bad("cross namespace commands are not allowed".into());
    }
    if workflow_id.is_empty() {
        return bad(format!("WorkflowId is not set on {command}. Namespace={namespace} RunId={run_id}"));
    }
    if workflow_id.len() > limit {
        return bad(format!(
            "WorkflowId on {command} exceeds length limit. WorkflowId={workflow_id} Length={} Limit={limit} RunId={run_id} \
             Namespace={namespace}",
            workflow_id.len()
        ));
    }
    if !run_id.is_empty() && run_id.parse::<Uuid>().is_err() {
        let place = match signal {
            Some(_) => format!("Namespace={namespace} RunId={run_id}"),
            None => format!("RunId={run_id} Namespace={namespace}"),
        };
        return bad(format!("Invalid RunId set on {command}. WorkflowId={workflow_id} {place}"));
    }
    Ok(())
}

pub(crate) fn on_signal(
    draft: &mut Draft<'_>,
    commands: &Commands,
    command: SignalExternalWorkflowExecutionCommandAttributes,
) -> Result<(), BadCommand> {
    let cause = Cause::BadSignalWorkflowExecutionAttributes;
    let Some(target) = command.execution else {
        return Err(BadCommand::new(cause, "Execution is not set on SignalExternalWorkflowExecutionCommand."));
    };
    let name = "SignalExternalWorkflowExecutionCommand";
    let signal = Some(command.signal_name.as_str());
    check_target(draft, cause, name, &command.namespace, &target.workflow_id, &target.run_id, signal)?;
    if command.signal_name.is_empty() {
        return Err(BadCommand::new(
            cause,
            format!(
                "SignalName is not set on {name}. WorkflowId={} Namespace={} RunId={}",
                target.workflow_id, command.namespace, target.run_id
            ),
        ));
    }
    let limits = draft.env.limits;
    let bytes = command.input.as_ref().map_or(0, Message::encoded_len);
    if bytes > limits.blob_size_bytes_max {
        return Err(BadCommand::fatal(
            cause,
            format!(
                "SignalExternalWorkflowExecutionCommandAttributes.Input exceeds size limit. Size={bytes} Limit={}",
                limits.blob_size_bytes_max
            ),
        ));
    }
    let pending = draft.state.recorded.external_signals.len();
    if pending >= limits.pending_signals_max {
        return Err(BadCommand::new(
            Cause::PendingSignalsLimitExceeded,
            format!(
                "the number of pending signals to external workflows, {pending}, has reached the per-workflow limit of {}",
                limits.pending_signals_max
            ),
        ));
    }
    let initiated = draft.record(Attributes::SignalExternalWorkflowExecutionInitiatedEventAttributes(Box::new(
        SignalExternalWorkflowExecutionInitiatedEventAttributes {
            workflow_task_completed_event_id: commands.completed,
            namespace: draft.env.namespace.name.clone(),
            namespace_id: draft.env.namespace.id.clone(),
            workflow_execution: Some(target.clone()),
            signal_name: command.signal_name.clone(),
            input: command.input.clone(),
            control: command.control,
            child_workflow_only: command.child_workflow_only,
            header: command.header.clone(),
        },
    )));
    draft.touch(ItemRef::ExternalSignal(initiated));
    let request_id = draft.env.run_id(initiated as u64);
    draft.transfer(Transfer::SignalExternal {
        initiated,
        target: Proto(target),
        signal_name: command.signal_name,
        input: command.input.map(Proto),
        header: command.header.map(Proto),
        child_only: command.child_workflow_only,
        request_id,
    });
    Ok(())
}

pub(crate) fn on_cancel(
    draft: &mut Draft<'_>,
    commands: &Commands,
    command: RequestCancelExternalWorkflowExecutionCommandAttributes,
) -> Result<(), BadCommand> {
    let cause = Cause::BadRequestCancelExternalWorkflowExecutionAttributes;
    let name = "RequestCancelExternalWorkflowExecutionCommand";
    check_target(draft, cause, name, &command.namespace, &command.workflow_id, &command.run_id, None)?;
    let initiated_now = draft.step.events.iter().any(|event| {
        matches!(&event.attributes, Some(Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(it))
            if it.workflow_id == command.workflow_id)
    });
    if initiated_now {
        return Err(BadCommand::new(
            cause,
            format!(
                "Start and RequestCancel for child workflow is not allowed in same workflow task. WorkflowId={} RunId={} \
                 Namespace={}",
                command.workflow_id, command.run_id, command.namespace
            ),
        ));
    }
    let limits = draft.env.limits;
    let pending = draft.state.recorded.external_cancels.len();
    if pending >= limits.pending_cancels_max {
        return Err(BadCommand::new(
            Cause::PendingRequestCancelLimitExceeded,
            format!(
                "the number of pending requests to cancel external workflows, {pending}, has reached the per-workflow \
                 limit of {}",
                limits.pending_cancels_max
            ),
        ));
    }
    let target = WorkflowExecution { workflow_id: command.workflow_id, run_id: command.run_id };
    let initiated = draft.record(Attributes::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(Box::new(
        RequestCancelExternalWorkflowExecutionInitiatedEventAttributes {
            workflow_task_completed_event_id: commands.completed,
            namespace: draft.env.namespace.name.clone(),
            namespace_id: draft.env.namespace.id.clone(),
            workflow_execution: Some(target.clone()),
            control: command.control,
            child_workflow_only: command.child_workflow_only,
            reason: command.reason.clone(),
        },
    )));
    draft.touch(ItemRef::ExternalCancel(initiated));
    let request_id = draft.env.run_id(initiated as u64);
    draft.transfer(Transfer::CancelExternal {
        initiated,
        target: Proto(target),
        reason: command.reason,
        child_only: command.child_workflow_only,
        request_id,
    });
    Ok(())
}

fn target(external: &External) -> Option<WorkflowExecution> {
    Some(WorkflowExecution { workflow_id: external.workflow_id.clone(), run_id: external.run_id.clone() })
}

/// The other side has the signal, or refused it.
pub(crate) fn on_signaled(
    draft: &mut Draft<'_>,
    initiated: EventId,
    failed: Option<SignalExternalWorkflowExecutionFailedCause>,
) -> Result<Reply, Rejection> {
    use Attributes as A;
    let answered = draft.state.is_buffered(|it| match it {
        A::ExternalWorkflowExecutionSignaledEventAttributes(it) => it.initiated_event_id == initiated,
        A::SignalExternalWorkflowExecutionFailedEventAttributes(it) => it.initiated_event_id == initiated,
        _ => false,
    });
    let Some(external) = draft.state.recorded.external_signals.get(&initiated).cloned().filter(|_| !answered) else {
        return Ok(Reply::Done);
    };
    let (namespace, namespace_id) = (draft.env.namespace.name.clone(), draft.env.namespace.id.clone());
    let attributes = match failed {
        None => A::ExternalWorkflowExecutionSignaledEventAttributes(Box::new(
            ExternalWorkflowExecutionSignaledEventAttributes {
                initiated_event_id: initiated,
                namespace,
                namespace_id,
                workflow_execution: target(&external),
                control: external.control.clone(),
            },
        )),
        Some(cause) => A::SignalExternalWorkflowExecutionFailedEventAttributes(Box::new(
            SignalExternalWorkflowExecutionFailedEventAttributes {
                cause: cause as i32,
                workflow_task_completed_event_id: external.task_completed,
                namespace,
                namespace_id,
                workflow_execution: target(&external),
                initiated_event_id: initiated,
                control: external.control.clone(),
            },
        )),
    };
    answer(draft, attributes, ItemRef::ExternalSignal(initiated))
}

/// The other side has the cancel request, or refused it.
pub(crate) fn on_canceled(
    draft: &mut Draft<'_>,
    initiated: EventId,
    failed: Option<CancelExternalWorkflowExecutionFailedCause>,
) -> Result<Reply, Rejection> {
    use Attributes as A;
    let answered = draft.state.is_buffered(|it| match it {
        A::ExternalWorkflowExecutionCancelRequestedEventAttributes(it) => it.initiated_event_id == initiated,
        A::RequestCancelExternalWorkflowExecutionFailedEventAttributes(it) => it.initiated_event_id == initiated,
        _ => false,
    });
    let Some(external) = draft.state.recorded.external_cancels.get(&initiated).cloned().filter(|_| !answered) else {
        return Ok(Reply::Done);
    };
    let (namespace, namespace_id) = (draft.env.namespace.name.clone(), draft.env.namespace.id.clone());
    let attributes = match failed {
        None => A::ExternalWorkflowExecutionCancelRequestedEventAttributes(Box::new(
            ExternalWorkflowExecutionCancelRequestedEventAttributes {
                initiated_event_id: initiated,
                namespace,
                namespace_id,
                workflow_execution: target(&external),
            },
        )),
        Some(cause) => A::RequestCancelExternalWorkflowExecutionFailedEventAttributes(Box::new(
            RequestCancelExternalWorkflowExecutionFailedEventAttributes {
                cause: cause as i32,
                workflow_task_completed_event_id: external.task_completed,
                namespace,
                namespace_id,
                workflow_execution: target(&external),
                initiated_event_id: initiated,
                control: external.control.clone(),
            },
        )),
    };
    answer(draft, attributes, ItemRef::ExternalCancel(initiated))
}

fn answer(draft: &mut Draft<'_>, attributes: Attributes, item: ItemRef) -> Result<Reply, Rejection> {
    draft.record_external(HistoryEvent { attributes: Some(attributes), ..HistoryEvent::default() });
    draft.touch(item);
    workflow_task::schedule(draft);
    Ok(Reply::Done)
}

#[cfg(test)]
mod tests;
