//! The events of a workflow task, in history or not yet.
//!
//! Invariants
//! - A transient or speculative task is shown its events under the next ids, and gets them under these.
//! - An event that is written late carries the time at which it happened.

use crate::{
    draft::Draft,
    ids::{EventId, TaskKind},
    state::{StartedTask, TaskClass, WorkflowTask},
    step::Dispatch,
    time::{Timestamp, wire},
};
use api::{
    enums::v1::EventType,
    history::v1::{
        HistoryEvent, WorkflowTaskScheduledEventAttributes, WorkflowTaskStartedEventAttributes,
        history_event::Attributes,
    },
    taskqueue::v1::TaskQueue,
};
use std::time::Duration;

/// The queue as events show it: sticky with the normal name beside it, or normal.
fn queue_shown(draft: &Draft<'_>, attempt: i32) -> TaskQueue {
    use api::enums::v1::TaskQueueKind;
    let normal = draft.state.start.task_queue();
    match draft.state.unrecorded.task.sticky.as_ref().filter(|_| attempt == 1) {
        Some(sticky) => {
            TaskQueue { name: sticky.queue.clone(), kind: TaskQueueKind::Sticky as i32, normal_name: normal.to_owned() }
        }
        None => TaskQueue { name: normal.to_owned(), kind: TaskQueueKind::Normal as i32, normal_name: String::new() },
    }
}

pub(super) fn scheduled_event(draft: &Draft<'_>, start_to_close: Duration, attempt: i32) -> Attributes {
    Attributes::WorkflowTaskScheduledEventAttributes(Box::new(WorkflowTaskScheduledEventAttributes {
        task_queue: Some(queue_shown(draft, attempt)),
        start_to_close_timeout: wire(start_to_close),
        attempt,
    }))
}

pub(super) fn started_event(task: &StartedTask) -> Attributes {
    Attributes::WorkflowTaskStartedEventAttributes(Box::new(WorkflowTaskStartedEventAttributes {
        scheduled_event_id: task.scheduled,
        identity: task.identity.clone(),
        request_id: task.request_id.clone(),
        suggest_continue_as_new: !task.suggest_continue_as_new.is_empty(),
        suggest_continue_as_new_reasons: task.suggest_continue_as_new.clone(),
        history_size_bytes: task.history_bytes,
        ..WorkflowTaskStartedEventAttributes::default()
    }))
}

/// What a reader of history sees of a task that history does not hold yet.
pub fn unrecorded_events(task: &WorkflowTask, queue: &str) -> Vec<HistoryEvent> {
    match task {
        WorkflowTask::Started(task) => unrecorded_pair(task, queue),
        WorkflowTask::Scheduled(task) if task.class != TaskClass::Normal => {
            vec![unrecorded_scheduled(task.scheduled, task.scheduled_at, task.start_to_close, task.attempt, queue)]
        }
        WorkflowTask::None | WorkflowTask::Scheduled(_) => Vec::new(),
    }
}

fn unrecorded_scheduled(
    id: EventId,
    at: Timestamp,
    start_to_close: Duration,
    attempt: i32,
    queue: &str,
) -> HistoryEvent {
    let attributes = WorkflowTaskScheduledEventAttributes {
        task_queue: Some(TaskQueue {
            name: queue.to_owned(),
            kind: api::enums::v1::TaskQueueKind::Normal as i32,
            normal_name: String::new(),
        }),
        start_to_close_timeout: wire(start_to_close),
        attempt,
    };
    HistoryEvent {
        event_id: id,
        event_time: Some(at.into()),
        event_type: EventType::WorkflowTaskScheduled as i32,
        task_id: id,
        attributes: Some(Attributes::WorkflowTaskScheduledEventAttributes(Box::new(attributes))),
        ..HistoryEvent::default()
    }
}

/// The events of a started task that history does not hold, as a worker gets them.
pub fn unrecorded_pair(task: &StartedTask, queue: &str) -> Vec<HistoryEvent> {
    if task.class == TaskClass::Normal {
        return Vec::new();
    }
    let started = HistoryEvent {
        event_id: task.started,
        event_time: Some(task.started_at.into()),
        event_type: EventType::WorkflowTaskStarted as i32,
        task_id: task.started,
        attributes: Some(started_event(task)),
        ..HistoryEvent::default()
    };
    vec![unrecorded_scheduled(task.scheduled, task.scheduled_at, task.start_to_close, task.attempt, queue), started]
}

/// Writes the events of a speculative task that history does not hold, because something else needs the next id.
pub(crate) fn make_normal(draft: &mut Draft<'_>) {
    match draft.state.workflow_task().clone() {
        WorkflowTask::Scheduled(mut task) if task.class == TaskClass::Speculative => {
            task.class = TaskClass::Normal;
            let attributes = scheduled_event(draft, task.start_to_close, task.attempt);
            task.scheduled = draft.record_with(HistoryEvent {
                event_time: Some(task.scheduled_at.into()),
                attributes: Some(attributes),
                ..HistoryEvent::default()
            });
            // From here on it must survive a crash, so it needs a place in its queue.
            task.task = draft.next_id();
            draft.dispatch(Dispatch {
                id: task.task,
                kind: TaskKind::Workflow,
                queue: draft.state.start.task_queue().to_owned(),
                sticky: task.sticky.as_ref().map(|it| it.queue.clone()),
                scheduled: task.scheduled,
                priority: draft.state.start.priority(),
            });
            draft.set_workflow_task(WorkflowTask::Scheduled(task));
        }
        WorkflowTask::Started(mut task) if task.class == TaskClass::Speculative => {
            record_pair(draft, &mut task);
            task.class = TaskClass::Normal;
            draft.set_workflow_task(WorkflowTask::Started(task));
        }
        WorkflowTask::None | WorkflowTask::Scheduled(_) | WorkflowTask::Started(_) => {}
    }
}

/// Writes the Scheduled and Started events that a transient or speculative task still lacks.
pub(crate) fn record_pair(draft: &mut Draft<'_>, task: &mut StartedTask) {
    if task.class == TaskClass::Normal {
        return;
    }
    let attributes = scheduled_event(draft, task.start_to_close, task.attempt);
    task.scheduled = draft.record_with(HistoryEvent {
        event_time: Some(task.scheduled_at.into()),
        attributes: Some(attributes),
        ..HistoryEvent::default()
    });
    task.started = draft.record_with(HistoryEvent {
        event_time: Some(task.started_at.into()),
        attributes: Some(started_event(task)),
        ..HistoryEvent::default()
    });
}

#[cfg(test)]
mod tests;
