//! Activities: scheduled by a command, tried by workers until one attempt settles them.
//!
//! Invariants
//! - An activity id names at most one pending activity.
//! - ActivityTaskStarted is written together with the closing event, with the attempt that closed it: attempts
//!   that are retried leave nothing in history.
//! - A report counts only for the attempt that is running; a late one changes nothing.
//! - The attempt's one deadline is the earliest of its timeouts, or the end of its back-off.

use crate::{
    completion::Commands,
    draft::Draft,
    ids::{EventId, TaskKind},
    proto::Proto,
    retry,
    state::{Activity, ActivityAttempt, ActivityPhase, priority_key},
    step::{ActivityRef, BadCommand, Dispatch, PolledActivity, Rejection, Reply},
    time::{duration, wire},
    workflow_task,
};
use api::{
    command::v1::{RequestCancelActivityTaskCommandAttributes, ScheduleActivityTaskCommandAttributes},
    common::v1::Payloads,
    enums::v1::{RetryState, TaskQueueKind, TimeoutType, WorkflowTaskFailedCause as Cause},
    failure::v1::{ApplicationFailureInfo, Failure, ServerFailureInfo, TimeoutFailureInfo, failure::FailureInfo},
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

    let priority = priority_key(command.priority.as_ref());
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

/// Checks a command and fills what it leaves unset: queue, retry policy, timeouts.
fn normalize(draft: &Draft<'_>, command: &mut ScheduleActivityTaskCommandAttributes) -> Result<(), String> {
    let limits = draft.env.limits;
    let queue = command.task_queue.as_mut().ok_or("taskQueue is not set")?;
    queue.normal_name.clear();
    check_queue_name(&queue.name, limits.id_length_max)?;
    if queue.kind == TaskQueueKind::Unspecified as i32 {
        queue.kind = TaskQueueKind::Normal as i32;
    }
    let kind = command.activity_type.as_ref().map_or("", |it| it.name.as_str());
    if command.activity_id.is_empty() {
        return Err("activityId is not set".into());
    }
    if kind.is_empty() {
        return Err("activityType is not set".into());
    }
    let policy = command.retry_policy.get_or_insert_default();
    retry::fill(policy, &limits.activity_retry_policy);
    retry::validate(policy)?;
    for (what, length) in [("activityId", command.activity_id.len()), ("activityType", kind.len())] {
        if length > limits.id_length_max {
            return Err(format!("{what} exceeds length limit. Length={length} Limit={}", limits.id_length_max));
        }
    }
    check_priority(command.priority.as_ref(), limits.fairness_key_length_max)
        .map_err(|text| format!("invalid priorities: {text}"))?;
    // What the activity leaves open it takes from its workflow.
    if let Some(inherited) = &draft.state.start.event.priority {
        let own = command.priority.get_or_insert_with(|| inherited.clone());
        if own.priority_key == 0 {
            own.priority_key = inherited.priority_key;
        }
        if own.fairness_key.is_empty() {
            own.fairness_key = inherited.fairness_key.clone();
            own.fairness_weight = inherited.fairness_weight;
        }
    }
    for (what, timeout) in [
        ("ScheduleToCloseTimeout", &command.schedule_to_close_timeout),
        ("ScheduleToStartTimeout", &command.schedule_to_start_timeout),
        ("StartToCloseTimeout", &command.start_to_close_timeout),
        ("HeartbeatTimeout", &command.heartbeat_timeout),
    ] {
        if timeout.as_ref().is_some_and(|it| it.seconds < 0 || it.nanos < 0) {
            return Err(format!("invalid {what}: negative duration"));
        }
    }

    let run = draft.state.start.run_timeout();
    let mut to_close = duration(command.schedule_to_close_timeout.as_ref());
    let mut to_start = duration(command.schedule_to_start_timeout.as_ref());
    let mut start_to_close = duration(command.start_to_close_timeout.as_ref());
    let mut heartbeat = duration(command.heartbeat_timeout.as_ref());
    if !to_close.is_zero() {
        to_start = if to_start.is_zero() { to_close } else { to_start.min(to_close) };
        start_to_close = if start_to_close.is_zero() { to_close } else { start_to_close.min(to_close) };
    } else if !start_to_close.is_zero() {
        to_close = run;
        if to_start.is_zero() {
            to_start = run;
        }
    } else {
        return Err(format!(
            "a valid StartToCloseTimeout or ScheduleToCloseTimeout must be set on the activity. ActivityId={} \
             ActivityType={kind}",
            command.activity_id
        ));
    }
    if !run.is_zero() {
        for timeout in [&mut to_close, &mut to_start, &mut start_to_close, &mut heartbeat] {
            *timeout = (*timeout).min(run);
        }
    }
    command.schedule_to_close_timeout = wire(to_close);
    command.schedule_to_start_timeout = wire(to_start);
    command.start_to_close_timeout = wire(start_to_close);
    command.heartbeat_timeout = wire(heartbeat.min(start_to_close));
    Ok(())
}

/// Queue names that users may use.
pub fn check_queue_name(name: &str, length_max: usize) -> Result<(), String> {
    if name.is_empty() {
        return Err("missing task queue name".into());
    }
    if name.len() > length_max {
        return Err(format!("taskQueue length exceeds limit. Length={} Limit={length_max}", name.len()));
    }
    if name.starts_with("/_sys/") {
        return Err("task queue name cannot start with reserved prefix /_sys/".into());
    }
    Ok(())
}

/// Priorities that users may give.
pub fn check_priority(
    priority: Option<&api::common::v1::Priority>,
    fairness_key_length_max: usize,
) -> Result<(), String> {
    let Some(priority) = priority else { return Ok(()) };
    if priority.priority_key < 0 {
        return Err("priority key can't be negative".into());
    }
    if priority.fairness_key.len() > fairness_key_length_max {
        return Err(format!(
            "fairness key length exceeds limit. Length={} Limit={fairness_key_length_max}",
            priority.fairness_key.len()
        ));
    }
    if priority.fairness_weight < 0.0 {
        return Err("fairness weight can't be negative".into());
    }
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

fn next_attempt(draft: &Draft<'_>, activity: &Activity, failure: &Failure) -> Result<std::time::Duration, RetryState> {
    let policy = activity.retry_policy().ok_or(RetryState::RetryPolicyNotSet)?;
    if activity.facts.cancel_requested.is_some() {
        return Err(RetryState::CancelRequested);
    }
    retry::next(policy, activity.attempt.attempt, failure, draft.now(), activity.expires())
}

fn back_off(draft: &mut Draft<'_>, activity: &Activity, failure: &Failure, interval: std::time::Duration) {
    let now = draft.now();
    let kept = truncated(failure, draft.env.limits.retained_activity_failure_bytes_max);
    draft.change_attempt(activity.facts.scheduled, |attempt| {
        attempt.attempt += 1;
        attempt.phase = ActivityPhase::BackingOff;
        attempt.attempt_scheduled_at = now + interval;
        attempt.last_failure = Some(Proto(kept));
        attempt.last_completed_at = Some(now);
        attempt.retry_interval = Some(interval);
    });
    draft.step.durable = true;
}

/// What is kept of a failure between attempts, so that retries cannot make the state grow without bound: one that
/// is too long becomes the cause of a failure that says so, cut to what fits.
fn truncated(failure: &Failure, bytes_max: usize) -> Failure {
    if failure.encoded_len() <= bytes_max {
        return failure.clone();
    }
    let cut = |text: &str, bytes: usize| text.get(..text.floor_char_boundary(bytes)).unwrap_or_default().to_owned();
    let kept_info = match &failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(it)) => {
            Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo { details: None, ..it.clone() }))
        }
        _ => None,
    };
    let original = Failure {
        message: cut(&failure.message, bytes_max / 2),
        source: cut(&failure.source, bytes_max / 16),
        stack_trace: cut(&failure.stack_trace, bytes_max / 4),
        failure_info: kept_info,
        ..Failure::default()
    };
    Failure {
        message: format!("Failure exceeds size limit. Size={} Limit={bytes_max}", failure.encoded_len()),
        source: "Server".to_owned(),
        failure_info: Some(FailureInfo::ServerFailureInfo(ServerFailureInfo::default())),
        cause: Some(Box::new(original)),
        ..Failure::default()
    }
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

fn dispatch_again(draft: &mut Draft<'_>, activity: &Activity) {
    let task = draft.next_id();
    draft.dispatch(Dispatch {
        id: task,
        kind: TaskKind::Activity,
        queue: activity.task_queue().to_owned(),
        sticky: None,
        scheduled: activity.facts.scheduled,
        priority: priority_key(activity.facts.attributes.priority.as_ref()),
    });
    draft.change_attempt(activity.facts.scheduled, |attempt| attempt.phase = ActivityPhase::Queued { task });
    draft.step.durable = true;
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
