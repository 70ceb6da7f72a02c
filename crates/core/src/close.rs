//! How a run ends: completed, failed, cancelled, timed out, terminated; and what its end owes to others.
//!
//! A failing run may be retried and a cron run comes again: then the next run of the chain is created in the
//! same step, and nobody outside hears of the end.

use crate::{
    completion::Commands,
    continue_as_new::{self, Continuation},
    cron,
    draft::Draft,
    proto::Proto,
    retry,
    state::{ItemRef, WorkflowTask},
    step::BadCommand,
    transfer::Transfer,
    update,
};
use api::{
    command::v1::{
        CancelWorkflowExecutionCommandAttributes, CompleteWorkflowExecutionCommandAttributes,
        FailWorkflowExecutionCommandAttributes,
    },
    common::v1::{Link, Payloads},
    enums::v1::{ContinueAsNewInitiator, ParentClosePolicy, RetryState, TimeoutType, WorkflowTaskFailedCause as Cause},
    failure::v1::{Failure, TimeoutFailureInfo, failure::FailureInfo},
    history::v1::{
        HistoryEvent, WorkflowExecutionCanceledEventAttributes, WorkflowExecutionCompletedEventAttributes,
        WorkflowExecutionFailedEventAttributes, WorkflowExecutionTerminatedEventAttributes,
        WorkflowExecutionTimedOutEventAttributes, history_event::Attributes,
    },
};
use prost::Message;
use std::time::Duration;
use uuid::Uuid;

pub(crate) fn on_complete(
    draft: &mut Draft<'_>,
    commands: &Commands,
    command: CompleteWorkflowExecutionCommandAttributes,
) -> Result<(), BadCommand> {
    commands.may_close()?;
    // Not the cause that one would expect, but the one that clients are used to.
    let cause = Cause::BadScheduleActivityAttributes;
    check_size(draft, cause, "CompleteWorkflowExecutionCommandAttributes.Result", command.result.as_ref())?;
    let again = cron_backoff(draft).map(|backoff| (backoff, draft.env.run_id(u64::MAX)));
    draft.record(Attributes::WorkflowExecutionCompletedEventAttributes(Box::new(
        WorkflowExecutionCompletedEventAttributes {
            result: command.result.clone(),
            workflow_task_completed_event_id: commands.completed,
            new_execution_run_id: again.map(|(_, run_id)| run_id.to_string()).unwrap_or_default(),
        },
    )));
    if let Some((backoff, run_id)) = again {
        let continuation = Continuation {
            last_completion_result: command.result,
            ..continuation(draft, ContinueAsNewInitiator::CronSchedule, run_id, backoff)
        };
        continue_as_new::begin(draft, continuation);
    }
    on_closed(draft);
    Ok(())
}

pub(crate) fn on_fail(
    draft: &mut Draft<'_>,
    commands: &Commands,
    command: FailWorkflowExecutionCommandAttributes,
) -> Result<(), BadCommand> {
    commands.may_close()?;
    let cause = Cause::BadFailWorkflowExecutionAttributes;
    let Some(failure) = command.failure else {
        return Err(BadCommand::new(cause, "Failure is not set on FailWorkflowExecutionCommand."));
    };
    check_size(draft, cause, "FailWorkflowExecutionCommandAttributes.Failure", Some(&failure))?;
    let next = Next::after(draft, &failure);
    draft.record(Attributes::WorkflowExecutionFailedEventAttributes(Box::new(
        WorkflowExecutionFailedEventAttributes {
            failure: Some(failure.clone()),
            retry_state: next.retry_state as i32,
            workflow_task_completed_event_id: commands.completed,
            new_execution_run_id: next.run_id(),
        },
    )));
    next.begin(draft, failure);
    on_closed(draft);
    Ok(())
}

/// What comes after a failed or timed-out run.
struct Next {
    retry_state: RetryState,
    again: Option<(ContinueAsNewInitiator, Duration, Uuid)>,
}

impl Next {
    fn after(draft: &Draft<'_>, failure: &Failure) -> Next {
        let start = &draft.state.start;
        let run_id = draft.env.run_id(u64::MAX);
        let retried = match &start.event.retry_policy {
            None => Err(RetryState::RetryPolicyNotSet),
            Some(policy) => retry::next(policy, start.event.attempt, failure, draft.now(), start.execution_expires()),
        };
        match retried {
            Ok(backoff) => Next {
                retry_state: RetryState::InProgress,
                again: Some((ContinueAsNewInitiator::Retry, backoff, run_id)),
            },
            Err(retry_state) => Next {
                retry_state,
                again: cron_backoff(draft).map(|backoff| (ContinueAsNewInitiator::CronSchedule, backoff, run_id)),
            },
        }
    }

    fn run_id(&self) -> String {
        self.again.map(|(_, _, run_id)| run_id.to_string()).unwrap_or_default()
    }

    fn begin(self, draft: &mut Draft<'_>, failure: Failure) {
        if let Some((initiator, backoff, run_id)) = self.again {
            let continuation =
                Continuation { failure: Some(failure), ..continuation(draft, initiator, run_id, backoff) };
            continue_as_new::begin(draft, continuation);
        }
    }
}

/// The next run of the same thing, as it was started.
fn continuation(draft: &Draft<'_>, initiator: ContinueAsNewInitiator, run_id: Uuid, backoff: Duration) -> Continuation {
    let event = &draft.state.start.event;
    Continuation {
        run_id,
        initiator,
        backoff,
        attempt: if initiator == ContinueAsNewInitiator::Retry { event.attempt + 1 } else { 1 },
        workflow_type: event.workflow_type.clone(),
        task_queue: event.task_queue.clone(),
        input: event.input.clone(),
        run_timeout: draft.state.start.run_timeout(),
        task_timeout: draft.state.start.task_timeout(),
        retry_policy: event.retry_policy.clone(),
        cron_schedule: event.cron_schedule.clone(),
        header: event.header.clone(),
        memo: event.memo.clone(),
        search_attributes: event.search_attributes.clone(),
        last_completion_result: event.last_completion_result.clone(),
        failure: None,
    }
}

/// How long until a cron run comes again; never past the execution's own end.
fn cron_backoff(draft: &Draft<'_>) -> Option<Duration> {
    let start = &draft.state.start;
    if start.event.cron_schedule.is_empty() {
        return None;
    }
    let backoff = cron::backoff(&start.event.cron_schedule, start.execution_time(), draft.now())?;
    let in_time = start.execution_expires().is_none_or(|expires| draft.now() + backoff < expires);
    in_time.then_some(backoff)
}

pub(crate) fn on_cancel(
    draft: &mut Draft<'_>,
    commands: &Commands,
    command: CancelWorkflowExecutionCommandAttributes,
) -> Result<(), BadCommand> {
    commands.may_close()?;
    let cause = Cause::BadCancelWorkflowExecutionAttributes;
    check_size(draft, cause, "CancelWorkflowExecutionCommandAttributes.Details", command.details.as_ref())?;
    draft.record(Attributes::WorkflowExecutionCanceledEventAttributes(Box::new(
        WorkflowExecutionCanceledEventAttributes {
            workflow_task_completed_event_id: commands.completed,
            details: command.details,
        },
    )));
    on_closed(draft);
    Ok(())
}

fn check_size<M: Message>(draft: &Draft<'_>, cause: Cause, what: &str, message: Option<&M>) -> Result<(), BadCommand> {
    let (bytes, limit) = (message.map_or(0, Message::encoded_len), draft.env.limits.blob_size_bytes_max);
    if bytes > limit {
        return Err(BadCommand::fatal(cause, format!("{what} exceeds size limit. Size={bytes} Limit={limit}")));
    }
    Ok(())
}

pub(crate) fn terminate(
    draft: &mut Draft<'_>,
    reason: String,
    details: Option<Payloads>,
    identity: String,
    links: Vec<Link>,
) {
    end_running_task(draft);
    draft.record_with(HistoryEvent {
        attributes: Some(Attributes::WorkflowExecutionTerminatedEventAttributes(Box::new(
            WorkflowExecutionTerminatedEventAttributes { reason, details, identity },
        ))),
        links,
        ..HistoryEvent::default()
    });
    on_closed(draft);
}

/// The run's own time is over.
pub(crate) fn time_out(draft: &mut Draft<'_>) {
    end_running_task(draft);
    let failure = Failure {
        message: "workflow timeout".to_owned(),
        source: "Server".to_owned(),
        failure_info: Some(FailureInfo::TimeoutFailureInfo(TimeoutFailureInfo {
            timeout_type: TimeoutType::StartToClose as i32,
            last_heartbeat_details: None,
        })),
        ..Failure::default()
    };
    // Past the execution's own end nothing comes after.
    let expired = draft.state.start.execution_expires().is_some_and(|expires| expires <= draft.now());
    let next =
        if expired { Next { retry_state: RetryState::Timeout, again: None } } else { Next::after(draft, &failure) };
    draft.record(Attributes::WorkflowExecutionTimedOutEventAttributes(Box::new(
        WorkflowExecutionTimedOutEventAttributes {
            retry_state: next.retry_state as i32,
            new_execution_run_id: next.run_id(),
        },
    )));
    next.begin(draft, failure);
    on_closed(draft);
}

/// Before a run is ended from outside: a running workflow task fails, and what waited behind it is recorded.
fn end_running_task(draft: &mut Draft<'_>) {
    match draft.state.workflow_task().clone() {
        WorkflowTask::Started(task) => {
            if task.class == crate::state::TaskClass::Speculative {
                draft.set_workflow_task(WorkflowTask::None);
            } else {
                let cause = Cause::ForceCloseCommand;
                let identity = crate::terminate::SERVER_IDENTITY.to_owned();
                crate::workflow_task::fail(draft, task, cause, None, identity, String::new());
            }
        }
        WorkflowTask::Scheduled(_) => draft.set_workflow_task(WorkflowTask::None),
        WorkflowTask::None => {}
    }
    draft.flush_buffered();
}

/// After the closing event: tells waiting updates, the parent and the children.
pub(crate) fn on_closed(draft: &mut Draft<'_>) {
    draft.step.visibility = true;
    update::on_close(draft);
    // A chain that goes on has not ended for its parent.
    let continued = draft.state.recorded.progress.successor.is_some();
    if let Some(parent) = draft.state.start.parent().filter(|_| !continued) {
        let mut event = draft.step.events.last().cloned().expect("the closing event was just recorded");
        event.links.clear();
        draft.transfer(Transfer::ChildClosed { parent: parent.into(), event: Box::new(Proto(event)) });
    }
    apply_parent_close_policies(draft);
}

/// Children belong to the run that started them: they are not handed on to the next of its chain.
fn apply_parent_close_policies(draft: &mut Draft<'_>) {
    let children: Vec<_> = draft.state.recorded.children.values().cloned().collect();
    for child in children {
        let Some((_, first_run_id)) = child.started else { continue };
        let workflow_id = child.attributes.workflow_id.clone();
        match child.close_policy() {
            ParentClosePolicy::Abandon => {}
            ParentClosePolicy::RequestCancel => draft.transfer(Transfer::CancelChild { workflow_id, first_run_id }),
            ParentClosePolicy::Terminate | ParentClosePolicy::Unspecified => {
                draft.transfer(Transfer::TerminateChild { workflow_id, first_run_id });
            }
        }
    }
}

/// Forgets what is pending in a closed run, so that nothing of it is kept, waited for or dispatched.
pub(crate) fn drop_pending(draft: &mut Draft<'_>) {
    let activities: Vec<i64> = draft.state.unrecorded.attempts.keys().copied().collect();
    for scheduled in activities {
        draft.remove_attempt(scheduled);
    }
    if !draft.state.workflow_task().is_none() {
        draft.set_workflow_task(WorkflowTask::None);
    }
    draft.state.deadlines.clear();
    draft.task().first_task_at = None;
    let recorded = &mut draft.state.recorded;
    let mut gone: Vec<ItemRef> = Vec::new();
    gone.extend(std::mem::take(&mut recorded.activities).keys().map(|id| ItemRef::Activity(*id)));
    recorded.activity_ids.clear();
    gone.extend(std::mem::take(&mut recorded.timers).keys().map(|id| ItemRef::Timer(id.clone())));
    gone.extend(std::mem::take(&mut recorded.children).keys().map(|id| ItemRef::Child(*id)));
    gone.extend(std::mem::take(&mut recorded.external_signals).keys().map(|id| ItemRef::ExternalSignal(*id)));
    gone.extend(std::mem::take(&mut recorded.external_cancels).keys().map(|id| ItemRef::ExternalCancel(*id)));
    let unrecorded = &mut draft.state.unrecorded;
    gone.extend(std::mem::take(&mut unrecorded.buffered).keys().map(|key| ItemRef::Buffered(*key)));
    gone.extend(std::mem::take(&mut unrecorded.signal_requests).iter().map(|id| ItemRef::SignalRequest(id.clone())));
    draft.step.touched.extend(gone);
}

#[cfg(test)]
mod tests;
