//! Activities: scheduled by a command, tried by workers until one attempt settles them.
//!
//! Invariants
//! - An activity id names at most one pending activity.
//! - ActivityTaskStarted is written together with the closing event, with the attempt that closed it: attempts
//!   that are retried leave nothing in history.
//! - A report counts only for the attempt that is running; a late one changes nothing.
//! - The attempt's one deadline is the earliest of its timeouts, or the end of its back-off.

mod back_off;
mod command;

pub use command::{check_priority, check_queue_name};

use self::{
    back_off::{back_off, dispatch_again, next_attempt},
    command::normalize,
};
use crate::{
    completion::Commands,
    draft::Draft,
    ids::{EventId, TaskKind},
    proto::Proto,
    retry,
    state::{Activity, ActivityAttempt, ActivityPhase},
    step::{ActivityRef, BadCommand, Dispatch, PolledActivity, Rejection, Reply},
    workflow_task,
};
use api::{
    command::v1::{RequestCancelActivityTaskCommandAttributes, ScheduleActivityTaskCommandAttributes},
    common::v1::Payloads,
    enums::v1::{RetryState, TimeoutType, WorkflowTaskFailedCause as Cause},
    failure::v1::{Failure, ServerFailureInfo, TimeoutFailureInfo, failure::FailureInfo},
    history::v1::{
        ActivityTaskCancelRequestedEventAttributes, ActivityTaskCanceledEventAttributes,
        ActivityTaskCompletedEventAttributes, ActivityTaskFailedEventAttributes, ActivityTaskScheduledEventAttributes,
        ActivityTaskStartedEventAttributes, ActivityTaskTimedOutEventAttributes, HistoryEvent,
        history_event::Attributes,
    },
};
use prost::Message;

/// What a cancelled activity that no worker had taken reports.
const NOT_STARTED: &str = "ACTIVITY_ID_NOT_STARTED";

pub(crate) fn on_schedule(
    draft: &mut Draft<'_>,
    commands: &Commands,
    mut command: ScheduleActivityTaskCommandAttributes,
) -> Result<(), BadCommand> {
    let bad = |text: String| BadCommand::new(Cause::BadScheduleActivityAttributes, text);
    normalize(draft, &mut command).map_err(bad)?;

    let limits = draft.env.limits;
    let bytes = command.input.as_ref().map_or(0, Message::encoded_len);
    if bytes > limits.blob_size_bytes_max {
        return Err(BadCommand::fatal(
            Cause::BadScheduleActivityAttributes,
            format!(
                "ScheduleActivityTaskCommandAttributes.Input exceeds size limit. ActivityId={} Size={bytes} Limit={}",
                command.activity_id, limits.blob_size_bytes_max
            ),
        ));
    }
    let pending = draft.state.unrecorded.attempts.len();
    if pending >= limits.pending_activities_max {
        return Err(BadCommand::new(
            Cause::PendingActivitiesLimitExceeded,
            format!(
                "the number of pending activities, {pending}, has reached the per-workflow limit of {}",
                limits.pending_activities_max
            ),
        ));
    }
    if draft.state.recorded.activity_ids.contains_key(&command.activity_id) {
        return Err(BadCommand::new(
            Cause::ScheduleActivityDuplicateId,
            format!(
                "invalid history builder state for action: add-activitytask-scheduled-event, ActivityID: {}",
                command.activity_id
            ),
        ));
    }

    let priority = draft.state.start.activity_priority(command.priority.as_ref());
    let queue = command.task_queue.as_ref().map(|it| it.name.clone()).unwrap_or_default();
    let scheduled = draft.record(Attributes::ActivityTaskScheduledEventAttributes(Box::new(
        ActivityTaskScheduledEventAttributes {
            activity_id: command.activity_id,
            activity_type: command.activity_type,
            task_queue: command.task_queue,
            header: command.header,
            input: command.input,
            schedule_to_close_timeout: command.schedule_to_close_timeout,
            schedule_to_start_timeout: command.schedule_to_start_timeout,
            start_to_close_timeout: command.start_to_close_timeout,
            heartbeat_timeout: command.heartbeat_timeout,
            workflow_task_completed_event_id: commands.completed,
            retry_policy: command.retry_policy,
            use_workflow_build_id: command.use_workflow_build_id,
            priority: command.priority,
        },
    )));
    let task = if command.request_eager_execution {
        draft.eager.push(scheduled);
        0
    } else {
        let task = draft.next_id();
        draft.dispatch(Dispatch { id: task, kind: TaskKind::Activity, queue, sticky: None, scheduled, priority });
        task
    };
    let attempt = ActivityAttempt {
        attempt: 1,
        phase: ActivityPhase::Queued { task },
        attempt_scheduled_at: draft.now(),
        heartbeat_details: None,
        last_heartbeat: None,
        last_failure: None,
        last_worker: String::new(),
        last_started_at: None,
        last_completed_at: None,
        retry_interval: None,
    };
    draft.add_attempt(scheduled, attempt);
    Ok(())
}

pub(crate) fn on_request_cancel(
    draft: &mut Draft<'_>,
    commands: &mut Commands,
    command: &RequestCancelActivityTaskCommandAttributes,
) -> Result<(), BadCommand> {
    let bad = |text: String| BadCommand::new(Cause::BadRequestCancelActivityAttributes, text);
    let scheduled = command.scheduled_event_id;
    if scheduled <= 0 {
        return Err(bad("ScheduledEventId is not set on RequestCancelActivityTaskCommand.".into()));
    }
    // Asking twice is as wrong as asking of an activity that is not pending.
    if draft.state.recorded.activities.get(&scheduled).is_none_or(|it| it.cancel_requested.is_some()) {
        return Err(bad(format!(
            "invalid history builder state for action: add-activitytask-cancel-requested-event, ScheduledEventID: {scheduled}"
        )));
    }
    let requested = draft.record(Attributes::ActivityTaskCancelRequestedEventAttributes(Box::new(
        ActivityTaskCancelRequestedEventAttributes {
            scheduled_event_id: scheduled,
            workflow_task_completed_event_id: commands.completed,
        },
    )));
    draft.touch(crate::state::ItemRef::Activity(scheduled));
    let Some(activity) = draft.state.activity(scheduled) else {
        // Over already; its closing event waits in the buffer.
        return Ok(());
    };
    if !matches!(activity.attempt.phase, ActivityPhase::Started { .. }) {
        draft.remove_attempt(scheduled);
        draft.record(Attributes::ActivityTaskCanceledEventAttributes(Box::new(ActivityTaskCanceledEventAttributes {
            details: Some(text_payload(NOT_STARTED)),
            latest_cancel_requested_event_id: requested,
            scheduled_event_id: scheduled,
            identity: commands.identity.clone(),
            ..ActivityTaskCanceledEventAttributes::default()
        })));
        commands.wake = true;
    }
    Ok(())
}

fn text_payload(text: &str) -> Payloads {
    let payload = api::common::v1::Payload {
        metadata: [("encoding".to_owned(), bytes::Bytes::from_static(b"json/plain"))].into(),
        data: format!("\"{text}\"").into(),
        ..api::common::v1::Payload::default()
    };
    Payloads { payloads: vec![payload] }
}

/// A poller was matched with the task.
pub(crate) fn on_start(
    draft: &mut Draft<'_>,
    scheduled: EventId,
    task: i64,
    identity: String,
    request_id: String,
) -> Result<Reply, Rejection> {
    match draft.state.activity(scheduled) {
        Some(activity) if activity.attempt.phase == (ActivityPhase::Queued { task }) => {
            // An attempt that is counted must not be forgotten.
            draft.step.durable |= activity.retry_policy().is_some_and(|it| it.maximum_attempts > 0);
        }
        _ => return Err(Rejection::StaleTask { scheduled }),
    }
    start(draft, scheduled, identity, request_id);
    Ok(Reply::ActivityTask(Box::new(polled(draft, scheduled))))
}

/// Hands an activity to the worker that scheduled it, in the reply to its completion.
pub(crate) fn start_eagerly(draft: &mut Draft<'_>, scheduled: EventId, identity: String) -> PolledActivity {
    let request_id = draft.env.run_id(scheduled as u64).to_string();
    start(draft, scheduled, identity, request_id);
    polled(draft, scheduled)
}

fn start(draft: &mut Draft<'_>, scheduled: EventId, identity: String, request_id: String) {
    let now = draft.now();
    draft.change_attempt(scheduled, |attempt| {
        attempt.phase = ActivityPhase::Started { at: now, request_id };
        attempt.last_worker = identity;
        attempt.last_started_at = Some(now);
    });
}

fn polled(draft: &Draft<'_>, scheduled: EventId) -> PolledActivity {
    PolledActivity { activity: draft.activity(scheduled), started_at: draft.now() }
}

/// The activity that a report is about, if its attempt is the running one.
fn reported(draft: &Draft<'_>, activity: &ActivityRef) -> Result<Activity, Rejection> {
    let found = match activity {
        ActivityRef::Token { scheduled, attempt } => {
            let found = draft.state.activity(*scheduled).ok_or(Rejection::StaleActivity)?;
            if found.attempt.attempt != *attempt {
                return Err(Rejection::StaleActivity);
            }
            found
        }
        ActivityRef::Id(id) => draft
            .state
            .recorded
            .activity_ids
            .get(id)
            .and_then(|scheduled| draft.state.activity(*scheduled))
            .ok_or_else(|| Rejection::NoSuchActivity(id.clone()))?,
    };
    match found.attempt.phase {
        ActivityPhase::Started { .. } => Ok(found),
        ActivityPhase::BackingOff | ActivityPhase::Queued { .. } => Err(Rejection::StaleActivity),
    }
}

pub(crate) fn on_complete(
    draft: &mut Draft<'_>,
    activity: ActivityRef,
    result: Option<Payloads>,
    identity: String,
) -> Result<Reply, Rejection> {
    let found = match (reported(draft, &activity), &activity) {
        (Ok(found), _) => found,
        // Completion by id may come before any worker took it: then it starts now.
        (Err(Rejection::StaleActivity), ActivityRef::Id(id)) => {
            let scheduled = draft.state.recorded.activity_ids[id];
            let request_id = draft.env.run_id(scheduled as u64).to_string();
            start(draft, scheduled, identity.clone(), request_id);
            draft.activity(scheduled)
        }
        (Err(rejection), _) => return Err(rejection),
    };
    let bytes = result.as_ref().map_or(0, Message::encoded_len);
    let limit = draft.env.limits.blob_size_bytes_max;
    if bytes > limit {
        let failure = oversize(format!("Complete result exceeds size limit. Size={bytes} Limit={limit}"));
        close_failed(draft, &found, failure, RetryState::NonRetryableFailure, identity);
        return Ok(Reply::Done);
    }
    close(draft, &found, |started| {
        Attributes::ActivityTaskCompletedEventAttributes(Box::new(ActivityTaskCompletedEventAttributes {
            result,
            scheduled_event_id: found.facts.scheduled,
            started_event_id: started,
            identity,
            worker_version: None,
        }))
    });
    Ok(Reply::Done)
}

fn oversize(message: String) -> Failure {
    Failure {
        message,
        failure_info: Some(FailureInfo::ServerFailureInfo(ServerFailureInfo { non_retryable: true })),
        ..Failure::default()
    }
}

/// Writes the started event, if any, and the closing one; then workflow code must see it.
fn close(draft: &mut Draft<'_>, activity: &Activity, event: impl FnOnce(EventId) -> Attributes) {
    let scheduled = activity.facts.scheduled;
    draft.remove_attempt(scheduled);
    let mut started = 0;
    if let ActivityPhase::Started { at, request_id } = &activity.attempt.phase {
        let attributes = Attributes::ActivityTaskStartedEventAttributes(Box::new(ActivityTaskStartedEventAttributes {
            scheduled_event_id: scheduled,
            identity: activity.attempt.last_worker.clone(),
            request_id: request_id.clone(),
            attempt: activity.attempt.attempt,
            last_failure: activity.attempt.last_failure.as_ref().map(|it| it.0.clone()),
            ..ActivityTaskStartedEventAttributes::default()
        }));
        started = draft.record_external(HistoryEvent {
            event_time: Some((*at).into()),
            attributes: Some(attributes),
            ..HistoryEvent::default()
        });
    }
    draft.record_external(HistoryEvent { attributes: Some(event(started)), ..HistoryEvent::default() });
    workflow_task::schedule(draft);
}

fn close_failed(
    draft: &mut Draft<'_>,
    activity: &Activity,
    failure: Failure,
    retry_state: RetryState,
    identity: String,
) {
    close(draft, activity, |started| {
        Attributes::ActivityTaskFailedEventAttributes(Box::new(ActivityTaskFailedEventAttributes {
            failure: Some(failure),
            scheduled_event_id: activity.facts.scheduled,
            started_event_id: started,
            identity,
            retry_state: retry_state as i32,
            ..ActivityTaskFailedEventAttributes::default()
        }))
    });
}

pub(crate) fn on_fail(
    draft: &mut Draft<'_>,
    activity: ActivityRef,
    failure: Option<Failure>,
    last_heartbeat: Option<Payloads>,
    identity: String,
) -> Result<Reply, Rejection> {
    let found = reported(draft, &activity)?;
    let mut failure = failure.unwrap_or_default();
    let (bytes, limit) = (failure.encoded_len(), draft.env.limits.blob_size_bytes_max);
    if bytes > limit {
        failure = oversize(format!("Failure exceeds size limit. Size={bytes} Limit={limit}"));
    }
    if let Some(details) = last_heartbeat {
        let now = draft.now();
        draft.change_attempt(found.facts.scheduled, |attempt| {
            attempt.heartbeat_details = Some(Proto(details));
            attempt.last_heartbeat = Some(now);
        });
    }
    let found = draft.activity(found.facts.scheduled);
    match next_attempt(draft, &found, &failure) {
        Ok(interval) => back_off(draft, &found, &failure, interval),
        Err(retry_state) => close_failed(draft, &found, failure, retry_state, identity),
    }
    Ok(Reply::Done)
}

pub(crate) fn on_cancel(
    draft: &mut Draft<'_>,
    activity: ActivityRef,
    details: Option<Payloads>,
    identity: String,
) -> Result<Reply, Rejection> {
    let found = reported(draft, &activity)?;
    let Some(requested) = found.facts.cancel_requested else {
        return Err(Rejection::Invalid(
            "unable to mark activity as canceled without activity being request canceled first".into(),
        ));
    };
    close(draft, &found, |started| {
        Attributes::ActivityTaskCanceledEventAttributes(Box::new(ActivityTaskCanceledEventAttributes {
            details,
            latest_cancel_requested_event_id: requested,
            scheduled_event_id: found.facts.scheduled,
            started_event_id: started,
            identity,
            worker_version: None,
        }))
    });
    Ok(Reply::Done)
}

pub(crate) fn on_heartbeat(
    draft: &mut Draft<'_>,
    activity: ActivityRef,
    details: Option<Payloads>,
    identity: String,
) -> Result<Reply, Rejection> {
    let found = reported(draft, &activity)?;
    let (bytes, limit) = (details.as_ref().map_or(0, Message::encoded_len), draft.env.limits.blob_size_bytes_max);
    if bytes > limit {
        let failure = oversize(format!("Heartbeat details exceed size limit. Size={bytes} Limit={limit}"));
        close_failed(draft, &found, failure, RetryState::NonRetryableFailure, identity);
        return Ok(Reply::Heartbeat { cancel_requested: true, reset: false });
    }
    let now = draft.now();
    // A checkpoint is promised to the next attempt; a bare ping only moves a timeout.
    draft.step.durable |= details.is_some();
    draft.change_attempt(found.facts.scheduled, |attempt| {
        if let Some(details) = details {
            attempt.heartbeat_details = Some(Proto(details));
        }
        attempt.last_heartbeat = Some(now);
    });
    Ok(Reply::Heartbeat { cancel_requested: found.facts.cancel_requested.is_some(), reset: false })
}

/// Its deadline has come: a back-off or one of the timeouts is over.
pub(crate) fn on_deadline(draft: &mut Draft<'_>, scheduled: EventId) {
    let activity = draft.activity(scheduled);
    let now = draft.now();
    if activity.expires().is_some_and(|expires| expires <= now) {
        return time_out(draft, &activity, TimeoutType::ScheduleToClose);
    }
    match &activity.attempt.phase {
        ActivityPhase::BackingOff => dispatch_again(draft, &activity),
        ActivityPhase::Queued { .. } => time_out(draft, &activity, TimeoutType::ScheduleToStart),
        ActivityPhase::Started { at, .. } => {
            let close = activity.start_to_close();
            let over = !close.is_zero() && *at + close <= now;
            time_out(draft, &activity, if over { TimeoutType::StartToClose } else { TimeoutType::Heartbeat });
        }
    }
}

fn time_out(draft: &mut Draft<'_>, activity: &Activity, timeout: TimeoutType) {
    let failure = timeout_failure(format!("activity {} timeout", retry::timeout_name(timeout)), timeout, None);
    let retry_state = match next_attempt(draft, activity, &failure) {
        Ok(interval) => return back_off(draft, activity, &failure, interval),
        Err(retry_state) => retry_state,
    };
    let details = activity.attempt.heartbeat_details.as_ref().map(|it| it.0.clone());
    // There was no time for another attempt: to the workflow that is the overall timeout.
    let mut failure = if retry_state == RetryState::Timeout && timeout != TimeoutType::ScheduleToStart {
        let text = "Not enough time to schedule next retry before activity ScheduleToClose timeout, giving up retrying";
        timeout_failure(text.to_owned(), TimeoutType::ScheduleToClose, details)
    } else {
        timeout_failure(failure.message, timeout, details)
    };
    failure.cause = activity.attempt.last_failure.as_ref().map(|it| Box::new(it.0.clone()));
    close(draft, activity, |started| {
        Attributes::ActivityTaskTimedOutEventAttributes(Box::new(ActivityTaskTimedOutEventAttributes {
            failure: Some(failure),
            scheduled_event_id: activity.facts.scheduled,
            started_event_id: started,
            retry_state: retry_state as i32,
        }))
    });
}

fn timeout_failure(message: String, timeout: TimeoutType, last_heartbeat_details: Option<Payloads>) -> Failure {
    Failure {
        message,
        source: "Server".to_owned(),
        failure_info: Some(FailureInfo::TimeoutFailureInfo(TimeoutFailureInfo {
            timeout_type: timeout as i32,
            last_heartbeat_details,
        })),
        ..Failure::default()
    }
}

#[cfg(test)]
mod tests;
