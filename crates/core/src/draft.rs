//! A step in the making: the copy of the state it works on, and what has been decided so far.
//!
//! Deciders go through this type alone, so that the rules which hold for every step are written once:
//! an event exists only by [`Draft::record`], which numbers it, stamps it and folds it; an item changes only
//! through a setter that remembers it was touched and moves its deadline.

use crate::{
    fold,
    ids::{EventId, TaskKind},
    proto::Proto,
    state::{Activity, ActivityAttempt, ActivityPhase, Deadline, ItemRef, MutableState, TaskState, WorkflowTask},
    step::{Dispatch, Env, Settled, Step},
    time::Timestamp,
    transfer::Transfer,
    workflow_task,
};
use api::{
    enums::v1::EventType,
    history::v1::{HistoryEvent, history_event::Attributes},
    sdk::v1::{EventGroupMarker, UserMetadata},
};
use prost::Message;
use std::{collections::BTreeMap, sync::Arc};

pub struct Draft<'a> {
    pub state: MutableState,
    pub env: &'a Env<'a>,
    pub step: Step,
    /// Activities to hand back in the reply, if they are still pending at the end.
    pub eager: Vec<EventId>,
}

impl<'a> Draft<'a> {
    pub fn new(state: MutableState, env: &'a Env<'a>) -> Draft<'a> {
        Draft { state, env, step: Step::default(), eager: Vec::new() }
    }

    /// Goes back to `state` and forgets everything decided since, as when a command turns out to be bad.
    pub fn reset(&mut self, state: MutableState) {
        self.state = state;
        self.eager.clear();
        self.step = Step { durable: true, ..Step::default() };
    }

    pub fn into_parts(self) -> (MutableState, Step) {
        (self.state, self.step)
    }

    pub fn now(&self) -> Timestamp {
        self.env.now
    }

    /// The small unrecorded part. Whoever changes it has changed the state.
    pub fn task(&mut self) -> &mut TaskState {
        self.step.changed = true;
        &mut self.state.unrecorded.task
    }

    pub fn next_id(&mut self) -> i64 {
        let id = self.env.first_id + self.step.ids_used;
        self.step.ids_used += 1;
        id
    }

    /// Writes one event: numbers it, stamps it and folds it into the state.
    pub fn record(&mut self, attributes: Attributes) -> EventId {
        self.record_with(HistoryEvent { attributes: Some(attributes), ..HistoryEvent::default() })
    }

    /// The same, for an event that brings its own time, metadata or links.
    pub fn record_with(&mut self, mut event: HistoryEvent) -> EventId {
        let id = self.state.recorded.progress.next_event_id;
        event.event_id = id;
        event.task_id = id;
        event.event_time.get_or_insert_with(|| self.env.now.into());
        event.event_type = event_type(event.attributes.as_ref().expect("an event has attributes")) as i32;
        fold::fold(&mut self.state, &event);
        self.step.touched.extend(fold::touched(&event));
        self.state.recorded.progress.history_bytes += event.encoded_len() as u64;
        self.step.events.push(event);
        self.step.changed = true;
        self.step.durable = true;
        id
    }

    /// Adds what a user attached to a command to the event that the command has become.
    pub fn annotate(
        &mut self,
        event: usize,
        user_metadata: Option<UserMetadata>,
        event_group_markers: Vec<EventGroupMarker>,
    ) {
        let Some(event) = self.step.events.get_mut(event) else { return };
        let bytes = event.encoded_len();
        event.user_metadata = user_metadata;
        event.event_group_markers = event_group_markers;
        self.state.recorded.progress.history_bytes += (event.encoded_len() - bytes) as u64;
    }

    /// Writes an event that the outside caused, or keeps it until the running workflow task is over; then it
    /// has no id yet and the answer is 0.
    pub fn record_external(&mut self, event: HistoryEvent) -> EventId {
        workflow_task::make_normal(self);
        if self.state.workflow_task().is_started() {
            self.buffer(event);
            0
        } else {
            self.record_with(event)
        }
    }

    fn buffer(&mut self, mut event: HistoryEvent) {
        event.event_time.get_or_insert_with(|| self.env.now.into());
        event.event_type = event_type(event.attributes.as_ref().expect("an event has attributes")) as i32;
        let key = self.task().next_buffered;
        self.task().next_buffered += 1;
        self.task().buffered_bytes += event.encoded_len() as u64;
        self.task().buffered_unasked += i64::from(workflow_task::is_unasked(&event));
        self.state.unrecorded.buffered.insert(key, Arc::new(Proto(event)));
        self.touch(ItemRef::Buffered(key));
        self.step.durable = true;
    }

    /// Takes a buffered event out again, if `which` finds one.
    pub fn unbuffer(&mut self, which: impl Fn(&Attributes) -> bool) -> Option<HistoryEvent> {
        let (key, event) = self
            .state
            .unrecorded
            .buffered
            .iter()
            .find(|(_, event)| event.attributes.as_ref().is_some_and(&which))
            .map(|(key, event)| (*key, event.0.clone()))?;
        self.state.unrecorded.buffered.remove(&key);
        self.task().buffered_bytes -= event.encoded_len() as u64;
        self.task().buffered_unasked -= i64::from(workflow_task::is_unasked(&event));
        self.touch(ItemRef::Buffered(key));
        Some(event)
    }

    pub fn has_buffered(&self) -> bool {
        !self.state.unrecorded.buffered.is_empty()
    }

    /// Writes what waited behind the workflow task, completions of activities and children last (a rule of
    /// the protocol: workflow code sees signals first).
    pub fn flush_buffered(&mut self) {
        if !self.has_buffered() {
            return;
        }
        let buffered = std::mem::take(&mut self.state.unrecorded.buffered);
        for key in buffered.keys() {
            self.touch(ItemRef::Buffered(*key));
        }
        self.task().buffered_bytes = 0;
        self.task().buffered_unasked = 0;
        let (last, first): (Vec<_>, Vec<_>) = buffered.values().cloned().partition(|event| is_completion(event));
        let mut started = BTreeMap::new();
        for event in first.into_iter().chain(last) {
            let mut event = Arc::unwrap_or_clone(event).0;
            self.point_at_started(&mut event, &started);
            let begins = match &event.attributes {
                Some(Attributes::ActivityTaskStartedEventAttributes(it)) => Some(it.scheduled_event_id),
                _ => None,
            };
            let id = self.record_with(event);
            started.extend(begins.map(|scheduled| (scheduled, id)));
        }
    }

    /// A buffered completion refers to a started event that had no id when it was buffered. Both waited together, so
    /// `started` has it by now: the last ActivityTaskStarted that was flushed of each scheduled event.
    fn point_at_started(&self, event: &mut HistoryEvent, started: &BTreeMap<EventId, EventId>) {
        use Attributes as A;
        let activity = |scheduled: EventId| started.get(&scheduled).copied();
        let child = |initiated: EventId| {
            self.state.recorded.children.get(&initiated).and_then(|it| it.started).map(|(started, _)| started)
        };
        match event.attributes.as_mut() {
            Some(A::ActivityTaskCompletedEventAttributes(it)) if it.started_event_id == 0 => {
                it.started_event_id = activity(it.scheduled_event_id).unwrap_or(0);
            }
            Some(A::ActivityTaskFailedEventAttributes(it)) if it.started_event_id == 0 => {
                it.started_event_id = activity(it.scheduled_event_id).unwrap_or(0);
            }
            Some(A::ActivityTaskTimedOutEventAttributes(it)) if it.started_event_id == 0 => {
                it.started_event_id = activity(it.scheduled_event_id).unwrap_or(0);
            }
            Some(A::ActivityTaskCanceledEventAttributes(it)) if it.started_event_id == 0 => {
                it.started_event_id = activity(it.scheduled_event_id).unwrap_or(0);
            }
            Some(A::ChildWorkflowExecutionCompletedEventAttributes(it)) => {
                it.started_event_id = child(it.initiated_event_id).unwrap_or(it.started_event_id);
            }
            Some(A::ChildWorkflowExecutionFailedEventAttributes(it)) => {
                it.started_event_id = child(it.initiated_event_id).unwrap_or(it.started_event_id);
            }
            Some(A::ChildWorkflowExecutionCanceledEventAttributes(it)) => {
                it.started_event_id = child(it.initiated_event_id).unwrap_or(it.started_event_id);
            }
            Some(A::ChildWorkflowExecutionTimedOutEventAttributes(it)) => {
                it.started_event_id = child(it.initiated_event_id).unwrap_or(it.started_event_id);
            }
            Some(A::ChildWorkflowExecutionTerminatedEventAttributes(it)) => {
                it.started_event_id = child(it.initiated_event_id).unwrap_or(it.started_event_id);
            }
            _ => {}
        }
    }

    pub fn touch(&mut self, item: ItemRef) {
        self.step.touched.insert(item);
        self.step.changed = true;
    }

    /// Puts the workflow task in a new phase and moves its deadline; a task leaving its queue is settled.
    pub fn set_workflow_task(&mut self, next: WorkflowTask) {
        let stored = |task: &WorkflowTask| task.stored() != WorkflowTask::None;
        let changed = self.step.changed || stored(&next) || stored(self.state.workflow_task());
        let old = std::mem::replace(&mut self.state.unrecorded.task.workflow_task, next);
        self.move_deadline(old.deadline(), self.state.workflow_task().deadline(), Deadline::WorkflowTask);
        self.step.changed = changed;
        if let WorkflowTask::Scheduled(task) = old
            && task.task != 0
        {
            let kept = matches!(self.state.workflow_task(), WorkflowTask::Scheduled(now) if now.task == task.task);
            if !kept {
                let settled = Settled {
                    id: task.task,
                    kind: TaskKind::Workflow,
                    queue: self.state.start.task_queue().to_owned(),
                    priority: self.state.start.priority(),
                };
                self.settle(settled);
            }
        }
    }

    fn settle(&mut self, settled: Settled) {
        // A task that this very step put in the queue never gets there.
        let before = self.step.dispatch.len();
        self.step.dispatch.retain(|task| task.id != settled.id);
        if self.step.dispatch.len() == before {
            self.step.settled.push(settled);
        }
    }

    /// Sets when something waits until; `old` must be what it waited for before.
    pub fn move_deadline(&mut self, old: Option<Timestamp>, new: Option<Timestamp>, what: Deadline) {
        if old == new {
            return;
        }
        if let Some(old) = old {
            self.state.deadlines.remove(&(old, what.clone()));
        }
        if let Some(new) = new {
            self.state.deadlines.insert((new, what));
        }
        self.step.changed = true;
    }

    /// Adds a new activity's unrecorded half. Its event has been recorded.
    pub fn add_attempt(&mut self, scheduled: EventId, attempt: ActivityAttempt) {
        self.state.unrecorded.attempts.insert(scheduled, Arc::new(attempt));
        let deadline = self.activity(scheduled).deadline();
        self.move_deadline(None, deadline, Deadline::Activity(scheduled));
        self.touch(ItemRef::Activity(scheduled));
    }

    pub fn activity(&self, scheduled: EventId) -> Activity {
        self.state.activity(scheduled).expect("a pending activity")
    }

    /// Changes an attempt, moves its deadline, and settles its task if it left the queue.
    pub fn change_attempt(&mut self, scheduled: EventId, change: impl FnOnce(&mut ActivityAttempt)) {
        let old = self.activity(scheduled);
        let attempts = &mut self.state.unrecorded.attempts;
        let mut attempt = (**attempts.get(&scheduled).expect("a pending activity")).clone();
        change(&mut attempt);
        attempts.insert(scheduled, Arc::new(attempt));
        let new = self.activity(scheduled);
        self.move_deadline(old.deadline(), new.deadline(), Deadline::Activity(scheduled));
        self.touch(ItemRef::Activity(scheduled));
        if let ActivityPhase::Queued { task } = old.attempt.phase
            && task != 0
            && new.attempt.phase != (ActivityPhase::Queued { task })
        {
            self.settle_activity(&old, task);
        }
    }

    fn settle_activity(&mut self, activity: &Activity, task: i64) {
        let settled = Settled {
            id: task,
            kind: TaskKind::Activity,
            queue: activity.task_queue().to_owned(),
            priority: self.state.start.activity_priority(activity.facts.attributes.priority.as_ref()),
        };
        self.settle(settled);
    }

    /// Forgets an activity's unrecorded half, before its closing event is recorded or buffered.
    pub fn remove_attempt(&mut self, scheduled: EventId) {
        let activity = self.activity(scheduled);
        self.move_deadline(activity.deadline(), None, Deadline::Activity(scheduled));
        if let ActivityPhase::Queued { task } = activity.attempt.phase
            && task != 0
        {
            self.settle_activity(&activity, task);
        }
        self.state.unrecorded.attempts.remove(&scheduled);
        self.touch(ItemRef::Activity(scheduled));
    }

    pub fn dispatch(&mut self, task: Dispatch) {
        self.step.dispatch.push(task);
    }

    pub fn transfer(&mut self, transfer: Transfer) {
        let id = self.next_id();
        self.step.transfers.push((id, transfer));
        self.step.durable = true;
    }

    /// The end of every step: a transition more, and the visible row if a closing or an upsert changed it.
    pub fn finish(&mut self) {
        if self.step.changed {
            self.state.unrecorded.task.transitions += 1;
        }
        if !self.state.is_running() {
            crate::close::drop_pending(self);
        }
        debug_assert!(self.deadlines_agree(), "deadlines do not agree with what is pending");
    }

    fn deadlines_agree(&self) -> bool {
        let mut derived = self.state.clone();
        derived.derive_deadlines();
        derived.deadlines == self.state.deadlines
    }
}

fn is_completion(event: &HistoryEvent) -> bool {
    use Attributes as A;
    matches!(
        event.attributes,
        Some(
            A::ActivityTaskCompletedEventAttributes(_)
                | A::ActivityTaskFailedEventAttributes(_)
                | A::ActivityTaskTimedOutEventAttributes(_)
                | A::ActivityTaskCanceledEventAttributes(_)
                | A::ChildWorkflowExecutionCompletedEventAttributes(_)
                | A::ChildWorkflowExecutionFailedEventAttributes(_)
                | A::ChildWorkflowExecutionCanceledEventAttributes(_)
                | A::ChildWorkflowExecutionTimedOutEventAttributes(_)
                | A::ChildWorkflowExecutionTerminatedEventAttributes(_)
        )
    )
}

/// The type of an event, from its attributes.
pub fn event_type(attributes: &Attributes) -> EventType {
    use Attributes as A;
    match attributes {
        A::WorkflowExecutionStartedEventAttributes(_) => EventType::WorkflowExecutionStarted,
        A::WorkflowExecutionCompletedEventAttributes(_) => EventType::WorkflowExecutionCompleted,
        A::WorkflowExecutionFailedEventAttributes(_) => EventType::WorkflowExecutionFailed,
        A::WorkflowExecutionTimedOutEventAttributes(_) => EventType::WorkflowExecutionTimedOut,
        A::WorkflowTaskScheduledEventAttributes(_) => EventType::WorkflowTaskScheduled,
        A::WorkflowTaskStartedEventAttributes(_) => EventType::WorkflowTaskStarted,
        A::WorkflowTaskCompletedEventAttributes(_) => EventType::WorkflowTaskCompleted,
        A::WorkflowTaskTimedOutEventAttributes(_) => EventType::WorkflowTaskTimedOut,
        A::WorkflowTaskFailedEventAttributes(_) => EventType::WorkflowTaskFailed,
        A::ActivityTaskScheduledEventAttributes(_) => EventType::ActivityTaskScheduled,
        A::ActivityTaskStartedEventAttributes(_) => EventType::ActivityTaskStarted,
        A::ActivityTaskCompletedEventAttributes(_) => EventType::ActivityTaskCompleted,
        A::ActivityTaskFailedEventAttributes(_) => EventType::ActivityTaskFailed,
        A::ActivityTaskTimedOutEventAttributes(_) => EventType::ActivityTaskTimedOut,
        A::ActivityTaskCancelRequestedEventAttributes(_) => EventType::ActivityTaskCancelRequested,
        A::ActivityTaskCanceledEventAttributes(_) => EventType::ActivityTaskCanceled,
        A::TimerStartedEventAttributes(_) => EventType::TimerStarted,
        A::TimerFiredEventAttributes(_) => EventType::TimerFired,
        A::TimerCanceledEventAttributes(_) => EventType::TimerCanceled,
        A::WorkflowExecutionCancelRequestedEventAttributes(_) => EventType::WorkflowExecutionCancelRequested,
        A::WorkflowExecutionCanceledEventAttributes(_) => EventType::WorkflowExecutionCanceled,
        A::MarkerRecordedEventAttributes(_) => EventType::MarkerRecorded,
        A::WorkflowExecutionSignaledEventAttributes(_) => EventType::WorkflowExecutionSignaled,
        A::WorkflowExecutionTerminatedEventAttributes(_) => EventType::WorkflowExecutionTerminated,
        A::WorkflowExecutionContinuedAsNewEventAttributes(_) => EventType::WorkflowExecutionContinuedAsNew,
        A::StartChildWorkflowExecutionInitiatedEventAttributes(_) => EventType::StartChildWorkflowExecutionInitiated,
        A::StartChildWorkflowExecutionFailedEventAttributes(_) => EventType::StartChildWorkflowExecutionFailed,
        A::ChildWorkflowExecutionStartedEventAttributes(_) => EventType::ChildWorkflowExecutionStarted,
        A::ChildWorkflowExecutionCompletedEventAttributes(_) => EventType::ChildWorkflowExecutionCompleted,
        A::ChildWorkflowExecutionFailedEventAttributes(_) => EventType::ChildWorkflowExecutionFailed,
        A::ChildWorkflowExecutionCanceledEventAttributes(_) => EventType::ChildWorkflowExecutionCanceled,
        A::ChildWorkflowExecutionTimedOutEventAttributes(_) => EventType::ChildWorkflowExecutionTimedOut,
        A::ChildWorkflowExecutionTerminatedEventAttributes(_) => EventType::ChildWorkflowExecutionTerminated,
        A::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(_) => {
            EventType::RequestCancelExternalWorkflowExecutionInitiated
        }
        A::RequestCancelExternalWorkflowExecutionFailedEventAttributes(_) => {
            EventType::RequestCancelExternalWorkflowExecutionFailed
        }
        A::ExternalWorkflowExecutionCancelRequestedEventAttributes(_) => {
            EventType::ExternalWorkflowExecutionCancelRequested
        }
        A::SignalExternalWorkflowExecutionInitiatedEventAttributes(_) => {
            EventType::SignalExternalWorkflowExecutionInitiated
        }
        A::SignalExternalWorkflowExecutionFailedEventAttributes(_) => EventType::SignalExternalWorkflowExecutionFailed,
        A::ExternalWorkflowExecutionSignaledEventAttributes(_) => EventType::ExternalWorkflowExecutionSignaled,
        A::UpsertWorkflowSearchAttributesEventAttributes(_) => EventType::UpsertWorkflowSearchAttributes,
        A::WorkflowPropertiesModifiedEventAttributes(_) => EventType::WorkflowPropertiesModified,
        A::WorkflowExecutionOptionsUpdatedEventAttributes(_) => EventType::WorkflowExecutionOptionsUpdated,
        A::WorkflowExecutionUpdateAcceptedEventAttributes(_) => EventType::WorkflowExecutionUpdateAccepted,
        A::WorkflowExecutionUpdateCompletedEventAttributes(_) => EventType::WorkflowExecutionUpdateCompleted,
        other => unreachable!("no decider records {other:?}"),
    }
}
