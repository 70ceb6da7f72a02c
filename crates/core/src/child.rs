//! Child workflows: initiated by a command, started by the engine, closed by themselves.
//!
//! Invariants
//! - A child that closed before its start was reported is first recorded as started.
//! - Each report is recorded once, however often it is delivered.

use crate::{
    activity::{check_priority, check_queue_name},
    completion::Commands,
    cron,
    draft::Draft,
    ids::EventId,
    proto::Proto,
    retry, search_attributes, start,
    state::ItemRef,
    step::{BadCommand, ChildOutcome, Rejection, Reply},
    time::{duration, wire},
    transfer::Transfer,
    workflow_task,
};
use api::{
    command::v1::StartChildWorkflowExecutionCommandAttributes,
    common::v1::WorkflowExecution,
    enums::v1::{
        ParentClosePolicy, RetryState, StartChildWorkflowExecutionFailedCause, TaskQueueKind, WorkflowIdReusePolicy,
        WorkflowTaskFailedCause as Cause,
    },
    history::v1::{
        ChildWorkflowExecutionCanceledEventAttributes, ChildWorkflowExecutionCompletedEventAttributes,
        ChildWorkflowExecutionFailedEventAttributes, ChildWorkflowExecutionStartedEventAttributes,
        ChildWorkflowExecutionTerminatedEventAttributes, ChildWorkflowExecutionTimedOutEventAttributes, HistoryEvent,
        StartChildWorkflowExecutionFailedEventAttributes, StartChildWorkflowExecutionInitiatedEventAttributes,
        history_event::Attributes as A,
    },
};
use prost::Message;
use uuid::Uuid;

pub(crate) fn on_command(
    draft: &mut Draft<'_>,
    commands: &Commands,
    mut command: StartChildWorkflowExecutionCommandAttributes,
    user_metadata: Option<api::sdk::v1::UserMetadata>,
) -> Result<(), BadCommand> {
    normalize(draft, &mut command)?;
    let limits = draft.env.limits;
    let pending = draft.state.recorded.children.len();
    if pending >= limits.pending_children_max {
        return Err(BadCommand::new(
            Cause::PendingChildWorkflowsLimitExceeded,
            format!(
                "the number of pending child workflow executions, {pending}, has reached the per-workflow limit of {}",
                limits.pending_children_max
            ),
        ));
    }
    let execution_timeout = duration(command.workflow_execution_timeout.as_ref());
    let run = start::run_timeout(duration(command.workflow_run_timeout.as_ref()), execution_timeout);
    let task = start::task_timeout(duration(command.workflow_task_timeout.as_ref()), run, limits);
    let attributes = StartChildWorkflowExecutionInitiatedEventAttributes {
        namespace: draft.env.namespace.name.clone(),
        namespace_id: draft.env.namespace.id.clone(),
        workflow_id: command.workflow_id,
        workflow_type: command.workflow_type,
        task_queue: command.task_queue,
        input: command.input,
        workflow_execution_timeout: wire(execution_timeout),
        workflow_run_timeout: wire(run),
        workflow_task_timeout: wire(task),
        parent_close_policy: command.parent_close_policy,
        control: command.control,
        workflow_task_completed_event_id: commands.completed,
        workflow_id_reuse_policy: command.workflow_id_reuse_policy,
        retry_policy: command.retry_policy,
        cron_schedule: command.cron_schedule,
        header: command.header,
        memo: command.memo,
        search_attributes: command.search_attributes,
        inherit_build_id: command.inherit_build_id,
        priority: command.priority,
        ..StartChildWorkflowExecutionInitiatedEventAttributes::default()
    };
    let initiated = draft.record(A::StartChildWorkflowExecutionInitiatedEventAttributes(Box::new(attributes.clone())));
    let request_id = draft.env.run_id(initiated as u64);
    let priority = draft.state.start.inherited_priority(attributes.priority.clone());
    draft.transfer(Transfer::StartChild {
        initiated,
        attributes: Box::new(Proto(StartChildWorkflowExecutionInitiatedEventAttributes { priority, ..attributes })),
        user_metadata: user_metadata.map(Proto),
        request_id,
    });
    Ok(())
}

/// Checks a command and fills in what it leaves unset.
fn normalize(draft: &Draft<'_>, command: &mut StartChildWorkflowExecutionCommandAttributes) -> Result<(), BadCommand> {
    let limits = draft.env.limits;
    let cause = Cause::BadStartChildExecutionAttributes;
    let bad = |text: String| BadCommand::new(cause, text);
    let name = "StartChildWorkflowExecutionCommand";
    if !command.namespace.is_empty() && command.namespace != draft.env.namespace.name {
        return Err(bad("cross namespace commands are not allowed".into()));
    }
    let (id, namespace) = (command.workflow_id.clone(), command.namespace.clone());
    let kind = command.workflow_type.as_ref().map_or("", |it| it.name.as_str()).to_owned();
    if id.is_empty() {
        return Err(bad(format!(
            "Required field WorkflowId is not set on {name}. WorkflowType={kind} Namespace={namespace}"
        )));
    }
    if kind.is_empty() {
        return Err(bad(format!(
            "Required field WorkflowType is not set on {name}. WorkflowId={id} Namespace={namespace}"
        )));
    }
    for (what, value) in [("WorkflowId", &id), ("WorkflowType", &kind)] {
        if value.len() > limits.id_length_max {
            return Err(bad(format!(
                "{what} on {name} exceeds length limit. WorkflowId={id} Length={} Limit={} WorkflowType={kind} Namespace={namespace}",
                value.len(),
                limits.id_length_max
            )));
        }
    }
    for (what, timeout) in [
        ("WorkflowExecutionTimeout", &command.workflow_execution_timeout),
        ("WorkflowRunTimeout", &command.workflow_run_timeout),
        ("WorkflowTaskTimeout", &command.workflow_task_timeout),
    ] {
        if timeout.as_ref().is_some_and(|it| it.seconds < 0 || it.nanos < 0) {
            return Err(bad(format!(
                "Invalid {what} on {name}: negative duration. WorkflowId={id} WorkflowType={kind} Namespace={namespace}"
            )));
        }
    }
    if let Some(policy) = &mut command.retry_policy {
        retry::fill(policy, &limits.workflow_retry_policy);
        retry::validate(policy).map_err(|text| {
            bad(format!("invalid WorkflowRetryPolicy on {name}: {text}. WorkflowId={id} WorkflowType={kind} Namespace={namespace}"))
        })?;
    }
    cron::check(&command.cron_schedule, draft.env.now).map_err(|text| {
        bad(format!(
            "invalid CronSchedule on {name}: {text}. WorkflowId={id} WorkflowType={kind} Namespace={namespace}"
        ))
    })?;
    if let Some(attributes) = &mut command.search_attributes {
        let space = draft.env.namespace;
        search_attributes::decode(attributes, &space.name, &space.search_attributes, limits).map_err(|text| {
            BadCommand::new(
                Cause::BadSearchAttributes,
                format!(
                    "invalid SearchAttributes on StartChildWorkflowCommand: {text}. WorkflowId={id} WorkflowType={kind} \
                     Namespace={namespace}"
                ),
            )
        })?;
        search_attributes::apply_types(attributes, &space.search_attributes);
    }
    check_priority(command.priority.as_ref(), limits.fairness_key_length_max).map_err(bad)?;
    let queue = command.task_queue.get_or_insert_default();
    if queue.name.is_empty() {
        queue.name = draft.state.start.task_queue().to_owned();
    }
    queue.kind = TaskQueueKind::Normal as i32;
    check_queue_name(&queue.name, limits.id_length_max).map_err(|text| {
        bad(format!("invalid TaskQueue on {name}: {text}. WorkflowId={id} WorkflowType={kind} Namespace={namespace}"))
    })?;
    if command.parent_close_policy == ParentClosePolicy::Unspecified as i32 {
        command.parent_close_policy = ParentClosePolicy::Terminate as i32;
    }
    if command.workflow_id_reuse_policy == WorkflowIdReusePolicy::Unspecified as i32 {
        command.workflow_id_reuse_policy = WorkflowIdReusePolicy::AllowDuplicate as i32;
    }
    for (what, bytes, limit) in [
        ("Input", command.input.as_ref().map_or(0, Message::encoded_len), limits.blob_size_bytes_max),
        ("Memo", command.memo.as_ref().map_or(0, Message::encoded_len), limits.memo_size_bytes_max),
    ] {
        if bytes > limit {
            return Err(BadCommand::fatal(
                cause,
                format!(
                    "StartChildWorkflowExecutionCommandAttributes. {what} exceeds size limit. Size={bytes} Limit={limit}"
                ),
            ));
        }
    }
    Ok(())
}

/// Whether the start of this child has been reported, if only into the buffer.
fn is_started(draft: &Draft<'_>, initiated: EventId) -> bool {
    draft.state.recorded.children.get(&initiated).is_some_and(|it| it.started.is_some())
        || draft.state.is_buffered(|it| match it {
            A::ChildWorkflowExecutionStartedEventAttributes(it) => it.initiated_event_id == initiated,
            A::StartChildWorkflowExecutionFailedEventAttributes(it) => it.initiated_event_id == initiated,
            _ => false,
        })
}

fn is_closed(draft: &Draft<'_>, initiated: EventId) -> bool {
    !draft.state.recorded.children.contains_key(&initiated)
        || draft.state.is_buffered(|it| match it {
            A::ChildWorkflowExecutionCompletedEventAttributes(it) => it.initiated_event_id == initiated,
            A::ChildWorkflowExecutionFailedEventAttributes(it) => it.initiated_event_id == initiated,
            A::ChildWorkflowExecutionCanceledEventAttributes(it) => it.initiated_event_id == initiated,
            A::ChildWorkflowExecutionTimedOutEventAttributes(it) => it.initiated_event_id == initiated,
            A::ChildWorkflowExecutionTerminatedEventAttributes(it) => it.initiated_event_id == initiated,
            A::StartChildWorkflowExecutionFailedEventAttributes(it) => it.initiated_event_id == initiated,
            _ => false,
        })
}

pub(crate) fn on_started(draft: &mut Draft<'_>, initiated: EventId, run_id: Uuid) -> Result<Reply, Rejection> {
    if is_closed(draft, initiated) || is_started(draft, initiated) {
        return Ok(Reply::Done);
    }
    record_started(draft, initiated, run_id);
    workflow_task::schedule(draft);
    Ok(Reply::Done)
}

fn record_started(draft: &mut Draft<'_>, initiated: EventId, run_id: Uuid) {
    let child = draft.state.recorded.children[&initiated].clone();
    let attributes = ChildWorkflowExecutionStartedEventAttributes {
        namespace: child.attributes.namespace.clone(),
        namespace_id: child.attributes.namespace_id.clone(),
        initiated_event_id: initiated,
        workflow_execution: Some(WorkflowExecution {
            workflow_id: child.attributes.workflow_id.clone(),
            run_id: run_id.to_string(),
        }),
        workflow_type: child.attributes.workflow_type.clone(),
        header: child.attributes.header.clone(),
    };
    let event = A::ChildWorkflowExecutionStartedEventAttributes(Box::new(attributes));
    draft.record_external(HistoryEvent { attributes: Some(event), ..HistoryEvent::default() });
}

pub(crate) fn on_start_failed(
    draft: &mut Draft<'_>,
    initiated: EventId,
    cause: StartChildWorkflowExecutionFailedCause,
) -> Result<Reply, Rejection> {
    if is_closed(draft, initiated) || is_started(draft, initiated) {
        return Ok(Reply::Done);
    }
    let child = draft.state.recorded.children[&initiated].clone();
    let attributes = StartChildWorkflowExecutionFailedEventAttributes {
        namespace: child.attributes.namespace.clone(),
        namespace_id: child.attributes.namespace_id.clone(),
        workflow_id: child.attributes.workflow_id.clone(),
        workflow_type: child.attributes.workflow_type.clone(),
        cause: cause as i32,
        control: child.attributes.control.clone(),
        initiated_event_id: initiated,
        workflow_task_completed_event_id: child.attributes.workflow_task_completed_event_id,
    };
    let event = A::StartChildWorkflowExecutionFailedEventAttributes(Box::new(attributes));
    draft.record_external(HistoryEvent { attributes: Some(event), ..HistoryEvent::default() });
    workflow_task::schedule(draft);
    Ok(Reply::Done)
}

pub(crate) fn on_closed(
    draft: &mut Draft<'_>,
    initiated: EventId,
    workflow_id: String,
    run_id: Uuid,
    outcome: ChildOutcome,
) -> Result<Reply, Rejection> {
    let expected =
        draft.state.recorded.children.get(&initiated).is_some_and(|it| it.attributes.workflow_id == workflow_id);
    if !expected || is_closed(draft, initiated) {
        return Ok(Reply::Done);
    }
    if !is_started(draft, initiated) {
        record_started(draft, initiated, run_id);
    }
    let child = draft.state.recorded.children[&initiated].clone();
    let namespace = child.attributes.namespace.clone();
    let namespace_id = child.attributes.namespace_id.clone();
    let workflow_execution = Some(WorkflowExecution { workflow_id, run_id: run_id.to_string() });
    let workflow_type = child.attributes.workflow_type.clone();
    let started_event_id = child.started.map_or(0, |(event, _)| event);
    let initiated_event_id = initiated;
    let attributes = match outcome.event.attributes {
        Some(A::WorkflowExecutionCompletedEventAttributes(it)) => A::ChildWorkflowExecutionCompletedEventAttributes(
            Box::new(ChildWorkflowExecutionCompletedEventAttributes {
                result: it.result,
                namespace,
                namespace_id,
                workflow_execution,
                workflow_type,
                initiated_event_id,
                started_event_id,
            }),
        ),
        Some(A::WorkflowExecutionFailedEventAttributes(it)) => {
            A::ChildWorkflowExecutionFailedEventAttributes(Box::new(ChildWorkflowExecutionFailedEventAttributes {
                failure: it.failure,
                namespace,
                namespace_id,
                workflow_execution,
                workflow_type,
                initiated_event_id,
                started_event_id,
                retry_state: it.retry_state,
            }))
        }
        Some(A::WorkflowExecutionCanceledEventAttributes(it)) => {
            A::ChildWorkflowExecutionCanceledEventAttributes(Box::new(ChildWorkflowExecutionCanceledEventAttributes {
                details: it.details,
                namespace,
                namespace_id,
                workflow_execution,
                workflow_type,
                initiated_event_id,
                started_event_id,
            }))
        }
        Some(A::WorkflowExecutionTimedOutEventAttributes(it)) => {
            A::ChildWorkflowExecutionTimedOutEventAttributes(Box::new(ChildWorkflowExecutionTimedOutEventAttributes {
                namespace,
                namespace_id,
                workflow_execution,
                workflow_type,
                initiated_event_id,
                started_event_id,
                retry_state: if it.retry_state == 0 { RetryState::Timeout as i32 } else { it.retry_state },
            }))
        }
        Some(A::WorkflowExecutionTerminatedEventAttributes(_)) => A::ChildWorkflowExecutionTerminatedEventAttributes(
            Box::new(ChildWorkflowExecutionTerminatedEventAttributes {
                namespace,
                namespace_id,
                workflow_execution,
                workflow_type,
                initiated_event_id,
                started_event_id,
            }),
        ),
        other => unreachable!("a child's chain cannot end with {other:?}"),
    };
    draft.record_external(HistoryEvent { attributes: Some(attributes), ..HistoryEvent::default() });
    draft.touch(ItemRef::Child(initiated));
    workflow_task::schedule(draft);
    Ok(Reply::Done)
}

#[cfg(test)]
mod tests;
