//! The workflow task: scheduled when workflow code has something to see, started by a worker, then completed,
//! failed or timed out. What a completion does is in `completion`.
//!
//! Invariants
//! - A run has at most one workflow task.
//! - Events of a normal task are in history as they happen. A transient task (a retry, attempt above 1) and a
//!   speculative one (carrying updates alone) get their events when they complete, with the ids they were
//!   shown under. So no other event may be recorded while one of them holds the next ids: whatever comes
//!   first makes it normal.
//! - A failed or timed-out task clears the sticky binding; while there was one, no attempt is counted.

mod events;

pub(crate) use events::{make_normal, record_pair};
pub use events::{unrecorded_events, unrecorded_pair};

use self::events::{scheduled_event, started_event};
use crate::{
    draft::Draft,
    ids::{EventId, TaskKind},
    state::{ScheduledTask, StartedTask, TaskClass, WorkflowTask},
    step::{Dispatch, PolledTask, Rejection, Reply, TaskToken},
    time::Timestamp,
    update,
};
use api::{
    enums::v1::{SuggestContinueAsNewReason, TimeoutType, WorkflowTaskFailedCause as Cause},
    failure::v1::Failure,
    history::v1::{
        HistoryEvent, WorkflowTaskFailedEventAttributes, WorkflowTaskTimedOutEventAttributes, history_event::Attributes,
    },
};
use std::time::Duration;

/// Attempts that retry at once with the plain timeout; from the next on the timeout grows.
const ATTEMPTS_WITHOUT_BACKOFF: i32 = 3;
const BACKOFF_INITIAL: Duration = Duration::from_secs(5);
/// A speculative task that shipped more events than this is written even if all its updates were rejected.
pub const SPECULATIVE_EVENTS_MAX: i64 = 10;

/// Makes sure that workflow code will run: schedules a task unless there is one.
pub(crate) fn schedule(draft: &mut Draft<'_>) {
    make_normal(draft);
    let now = draft.now();
    schedule_as(draft, TaskClass::Normal, now);
}

/// Schedules a task to carry updates, which leaves no trace if all of them are rejected.
pub(crate) fn schedule_speculative(draft: &mut Draft<'_>) {
    let now = draft.now();
    schedule_as(draft, TaskClass::Speculative, now);
}

pub(crate) fn schedule_as(draft: &mut Draft<'_>, wanted: TaskClass, original_scheduled_at: Timestamp) {
    if !draft.state.workflow_task().is_none() || !draft.state.is_running() {
        return;
    }
    let mut class = wanted;
    if draft.has_buffered() {
        draft.task().attempt = 1;
        class = TaskClass::Normal;
        draft.flush_buffered();
    }
    let attempt = draft.state.unrecorded.task.attempt;
    if attempt > 1 {
        class = TaskClass::Transient;
    }
    // Whatever waited for the first task has it now.
    if draft.state.unrecorded.task.first_task_at.is_some() {
        let waited = draft.task().first_task_at.take();
        draft.move_deadline(waited, None, crate::state::Deadline::FirstWorkflowTask);
    }

    let start_to_close = start_to_close(draft, attempt);
    let scheduled = match class {
        TaskClass::Normal => draft.record(scheduled_event(draft, start_to_close, attempt)),
        TaskClass::Transient | TaskClass::Speculative => draft.state.next_event_id(),
    };
    let task = if class == TaskClass::Speculative { 0 } else { draft.next_id() };
    let sticky = draft.state.unrecorded.task.sticky.clone().filter(|_| attempt == 1);
    draft.dispatch(Dispatch {
        id: task,
        kind: TaskKind::Workflow,
        queue: draft.state.start.task_queue().to_owned(),
        sticky: sticky.as_ref().map(|it| it.queue.clone()),
        scheduled,
        priority: draft.state.start.priority(),
    });
    draft.set_workflow_task(WorkflowTask::Scheduled(ScheduledTask {
        class,
        scheduled,
        attempt,
        scheduled_at: draft.now(),
        original_scheduled_at,
        start_to_close,
        sticky,
        task,
    }));
}

/// The task's own timeout: that of the run, and after some failures growing, since SDKs stay silent when they
/// keep failing and so the timeout is the back-off.
fn start_to_close(draft: &Draft<'_>, attempt: i32) -> Duration {
    let default = draft.state.start.task_timeout();
    if attempt <= ATTEMPTS_WITHOUT_BACKOFF {
        return default;
    }
    let doublings = (attempt - ATTEMPTS_WITHOUT_BACKOFF - 1).min(20) as u32;
    let grown = BACKOFF_INITIAL.saturating_mul(1 << doublings);
    default + grown.min(draft.env.limits.workflow_task_retry_interval_max)
}

/// A poller was matched with the task.
pub(crate) fn on_start(
    draft: &mut Draft<'_>,
    scheduled: EventId,
    task: i64,
    identity: String,
    request_id: String,
    sticky: bool,
) -> Result<Reply, Rejection> {
    match draft.state.workflow_task() {
        WorkflowTask::Scheduled(waiting) if waiting.scheduled == scheduled && (task == 0 || waiting.task == task) => {}
        _ => return Err(Rejection::StaleTask { scheduled }),
    }
    let polled = start(draft, identity, request_id, sticky, true);
    Ok(Reply::WorkflowTask(Box::new(polled)))
}

/// Starts the scheduled task, for a poller or for the worker that just completed the one before. With `resend`
/// it carries updates again that were sent and not answered.
pub(crate) fn start(
    draft: &mut Draft<'_>,
    identity: String,
    request_id: String,
    sticky: bool,
    resend: bool,
) -> PolledTask {
    let WorkflowTask::Scheduled(mut waiting) = draft.state.workflow_task().clone() else {
        unreachable!("callers check that a task is scheduled");
    };
    if waiting.class != TaskClass::Normal && waiting.scheduled != draft.state.next_event_id() {
        // Something was recorded since: the ids are taken, so it becomes a normal first attempt.
        waiting.class = TaskClass::Normal;
        waiting.attempt = 1;
        draft.task().attempt = 1;
        waiting.scheduled = draft.record(scheduled_event(draft, waiting.start_to_close, 1));
    }
    let now = draft.now();
    let mut task = StartedTask {
        class: waiting.class,
        scheduled: waiting.scheduled,
        started: waiting.scheduled + 1,
        attempt: waiting.attempt,
        scheduled_at: waiting.scheduled_at,
        original_scheduled_at: waiting.original_scheduled_at,
        started_at: now,
        start_to_close: waiting.start_to_close,
        request_id,
        identity: identity.clone(),
        history_bytes: draft.state.recorded.progress.history_bytes as i64,
        suggest_continue_as_new: suggest_continue_as_new(draft),
    };
    let previous_started = draft.state.recorded.progress.last_completed_started;
    if task.class == TaskClass::Normal {
        // A worker may be handed this task again after a crash, so nobody waits for the write.
        let promised = draft.step.durable;
        task.started = draft.record(started_event(&task));
        draft.step.durable = promised;
    }
    if task.class != TaskClass::Speculative {
        draft.task().last_worker = identity;
    }
    draft.set_workflow_task(WorkflowTask::Started(task.clone()));
    let messages = update::messages_for(draft, &task, resend);
    PolledTask {
        scheduled: task.scheduled,
        started: task.started,
        attempt: task.attempt,
        previous_started,
        history_from: if sticky { previous_started + 1 } else { 1 },
        history_until: draft.state.next_event_id(),
        extra: unrecorded_pair(&task, draft.state.start.task_queue()),
        messages,
        scheduled_at: task.scheduled_at,
        started_at: task.started_at,
        sticky,
    }
}

fn suggest_continue_as_new(draft: &Draft<'_>) -> Vec<i32> {
    let limits = draft.env.limits;
    let progress = &draft.state.recorded.progress;
    let mut reasons = Vec::new();
    if progress.history_bytes >= limits.history_size_bytes_suggest_continue_as_new as u64 {
        reasons.push(SuggestContinueAsNewReason::HistorySizeTooLarge as i32);
    }
    if progress.next_event_id > limits.history_events_suggest_continue_as_new {
        reasons.push(SuggestContinueAsNewReason::TooManyHistoryEvents as i32);
    }
    if f64::from(progress.update_count) >= limits.updates_total_max as f64 * limits.updates_suggest_continue_as_new {
        reasons.push(SuggestContinueAsNewReason::TooManyUpdates as i32);
    }
    reasons
}

/// The started task that a token names, if it is still the current one.
pub(crate) fn current(draft: &Draft<'_>, token: &TaskToken) -> Result<StartedTask, Rejection> {
    match draft.state.workflow_task() {
        WorkflowTask::Started(task)
            if task.scheduled == token.scheduled
                && task.started == token.started
                && task.attempt == token.attempt
                && task.started_at == token.started_at =>
        {
            Ok(task.clone())
        }
        _ => Err(Rejection::StaleWorkflowTask),
    }
}

/// The worker says that it cannot process the task.
pub(crate) fn on_fail(
    draft: &mut Draft<'_>,
    token: TaskToken,
    cause: Cause,
    failure: Option<Failure>,
    identity: String,
    binary_checksum: String,
) -> Result<Reply, Rejection> {
    let task = current(draft, &token)?;
    if cause == Cause::GrpcMessageTooLarge {
        // The answer will never fit: retrying cannot help.
        crate::terminate::by_server(draft, crate::step::cause_name(cause));
        return Ok(Reply::Done);
    }
    fail(draft, task, cause, failure, identity, binary_checksum);
    update::unsend(draft);
    schedule(draft);
    Ok(Reply::Done)
}

/// Ends the started task as failed. Does not schedule the next.
pub(crate) fn fail(
    draft: &mut Draft<'_>,
    mut task: StartedTask,
    cause: Cause,
    failure: Option<Failure>,
    identity: String,
    binary_checksum: String,
) {
    if task.class == TaskClass::Speculative {
        record_pair(draft, &mut task);
        task.class = TaskClass::Normal;
    }
    draft.set_workflow_task(WorkflowTask::None);
    if task.class == TaskClass::Normal {
        draft.record(Attributes::WorkflowTaskFailedEventAttributes(Box::new(WorkflowTaskFailedEventAttributes {
            scheduled_event_id: task.scheduled,
            started_event_id: task.started,
            cause: cause as i32,
            failure,
            identity,
            binary_checksum,
            ..WorkflowTaskFailedEventAttributes::default()
        })));
    }
    if cause == Cause::UnhandledCommand {
        // The worker did nothing wrong: something arrived while it was closing the run.
        draft.task().sticky = None;
        return;
    }
    count_failure(draft, "WorkflowTaskFailed", &format!("WorkflowTaskFailedCause{}", crate::step::cause_name(cause)));
}

/// A failure or timeout: the next attempt is transient, on the normal queue. With a worker that has the run in
/// its cache the cache may be to blame, so the next one counts as the first.
fn count_failure(draft: &mut Draft<'_>, category: &str, cause: &str) {
    let reported_after = draft.env.limits.workflow_task_attempts_reported;
    draft.step.durable = true;
    let task = draft.task();
    if task.sticky.take().is_some() {
        task.attempt = 1;
        return;
    }
    task.attempt += 1;
    task.failures_in_a_row += 1;
    if reported_after > 0 && task.failures_in_a_row >= reported_after {
        crate::properties::report_problem(draft, category, cause);
    }
}

/// The matching found nobody at the sticky queue: to the normal queue, with full history.
pub(crate) fn on_sticky_unavailable(draft: &mut Draft<'_>, scheduled: EventId) -> Result<Reply, Rejection> {
    match draft.state.workflow_task().clone() {
        WorkflowTask::Scheduled(mut task) if task.scheduled == scheduled && task.sticky.is_some() => {
            task.sticky = None;
            draft.dispatch(Dispatch {
                id: task.task,
                kind: TaskKind::Workflow,
                queue: draft.state.start.task_queue().to_owned(),
                sticky: None,
                scheduled,
                priority: draft.state.start.priority(),
            });
            draft.set_workflow_task(WorkflowTask::Scheduled(task));
            Ok(Reply::Done)
        }
        _ => Err(Rejection::StaleTask { scheduled }),
    }
}

/// The current task's time is over.
pub(crate) fn on_timeout(draft: &mut Draft<'_>) {
    match draft.state.workflow_task().clone() {
        WorkflowTask::None => unreachable!("no task, no deadline"),
        WorkflowTask::Scheduled(mut task) => {
            // Nobody took it: from the sticky queue, or for 5 s if speculative.
            if task.class == TaskClass::Speculative {
                let attributes = scheduled_event(draft, task.start_to_close, task.attempt);
                task.scheduled = draft.record_with(HistoryEvent {
                    event_time: Some(task.scheduled_at.into()),
                    attributes: Some(attributes),
                    ..HistoryEvent::default()
                });
            }
            draft.set_workflow_task(WorkflowTask::None);
            draft.record(Attributes::WorkflowTaskTimedOutEventAttributes(Box::new(
                WorkflowTaskTimedOutEventAttributes {
                    scheduled_event_id: task.scheduled,
                    started_event_id: 0,
                    timeout_type: TimeoutType::ScheduleToStart as i32,
                },
            )));
            let state = draft.task();
            state.sticky = None;
            state.attempt = 1;
            update::unsend(draft);
            schedule(draft);
        }
        WorkflowTask::Started(task) => {
            time_out_started(draft, task);
            update::unsend(draft);
            schedule(draft);
        }
    }
}

/// Ends the started task as timed out. Does not schedule the next.
pub(crate) fn time_out_started(draft: &mut Draft<'_>, mut task: StartedTask) {
    if task.class == TaskClass::Speculative {
        record_pair(draft, &mut task);
        task.class = TaskClass::Normal;
    }
    draft.set_workflow_task(WorkflowTask::None);
    if task.class == TaskClass::Normal {
        draft.record(Attributes::WorkflowTaskTimedOutEventAttributes(Box::new(WorkflowTaskTimedOutEventAttributes {
            scheduled_event_id: task.scheduled,
            started_event_id: task.started,
            timeout_type: TimeoutType::StartToClose as i32,
        })));
    }
    count_failure(draft, "WorkflowTaskTimedOut", "WorkflowTaskTimedOutCauseStartToClose");
}

/// A worker that sits on its task while too much arrives loses it, so that the buffer cannot grow for ever.
pub(crate) fn check_buffer(draft: &mut Draft<'_>) {
    let limits = draft.env.limits;
    let unrecorded = &draft.state.unrecorded;
    let over = unrecorded.task.buffered_unasked > limits.buffered_events_max as i64
        || unrecorded.task.buffered_bytes > limits.buffered_bytes_max as u64;
    if !over {
        return;
    }
    if let WorkflowTask::Started(task) = draft.state.workflow_task().clone() {
        let identity = crate::terminate::SERVER_IDENTITY.to_owned();
        fail(draft, task, Cause::ForceCloseCommand, None, identity, String::new());
        update::unsend(draft);
        schedule(draft);
    }
}

/// Whether an event comes as often as anybody likes. What ends an activity, a timer or a child does not: there are never
/// more of those than may be pending, and a task should not fail because many of them end while it runs.
pub(crate) fn is_unasked(event: &HistoryEvent) -> bool {
    matches!(
        event.attributes,
        Some(
            Attributes::WorkflowExecutionSignaledEventAttributes(_)
                | Attributes::WorkflowExecutionCancelRequestedEventAttributes(_)
                | Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(_)
        )
    )
}

#[cfg(test)]
mod tests;
