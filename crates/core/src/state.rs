//! What the engine knows of one run.
//!
//! Three parts, apart by how they come back after a restart:
//! - [`Start`]: what the first history event says. Never changes, never stored again.
//! - [`Recorded`]: what folding the history gives. Rebuilding from history must give the same value.
//! - [`Unrecorded`]: what history does not say (attempt counts, heartbeat details, the sticky binding, events
//!   buffered behind a workflow task). Stored beside history; the part marked as volatile is not even that.
//!
//! Invariants
//! - Collections are persistent maps: cloning a state is cheap, whatever its size, so a step works on a copy
//!   and a refused or panicking step leaves no trace.
//! - `deadlines` holds exactly one entry for each thing that waits for time, kept by the setters in `draft`.
//! - A closed run has no workflow task, no deadlines and no pending items.

mod activity;
mod start;
mod workflow_task;

pub use activity::{Activity, ActivityAttempt, ActivityFacts, ActivityPhase};
pub use start::{PRIORITY_DEFAULT, Parent, Start};
pub use workflow_task::{SPECULATIVE_SCHEDULE_TO_START, ScheduledTask, StartedTask, Sticky, TaskClass, WorkflowTask};

use crate::{ids::EventId, proto::Proto, time::Timestamp};
use api::{
    common::v1::Payload,
    enums::v1::{ParentClosePolicy, WorkflowExecutionStatus as Status},
    history::v1::{HistoryEvent, StartChildWorkflowExecutionInitiatedEventAttributes},
};
use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use uuid::Uuid;

/// A run's identity, its facts and its pending items.
#[derive(Debug, Clone, PartialEq)]
pub struct MutableState {
    pub start: Arc<Start>,
    pub recorded: Recorded,
    pub unrecorded: Unrecorded,
    /// Derived: what waits for time, earliest first.
    pub deadlines: OrdSet<(Timestamp, Deadline)>,
}

/// What folding the history gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    pub progress: Progress,
    pub activities: OrdMap<EventId, Arc<ActivityFacts>>,
    pub activity_ids: OrdMap<String, EventId>,
    pub timers: OrdMap<String, OpenTimer>,
    pub children: OrdMap<EventId, Arc<Child>>,
    pub external_signals: OrdMap<EventId, Arc<External>>,
    pub external_cancels: OrdMap<EventId, Arc<External>>,
    pub updates: OrdMap<String, RecordedUpdate>,
    pub memo: Arc<BTreeMap<String, Payload>>,
    pub search_attributes: Arc<BTreeMap<String, Payload>>,
}

/// The small part of what is recorded: rewritten with every step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub status: i32,
    pub next_event_id: EventId,
    pub history_bytes: u64,
    /// The WorkflowTaskStarted of the last completed workflow task; 0 before the first.
    pub last_completed_started: EventId,
    /// The last WorkflowTaskCompleted; 0 before the first.
    pub last_task_completed: EventId,
    pub closed_at: Option<Timestamp>,
    pub cancel_requested: bool,
    pub signal_count: u32,
    pub update_count: u32,
    pub successor: Option<Uuid>,
    /// Build ids seen in completed workflow tasks, as they appear in the search attribute.
    pub first_completed_task: EventId,
    pub first_completed_task_at: Option<Timestamp>,
}

impl Progress {
    pub fn status(&self) -> Status {
        Status::try_from(self.status).unwrap_or(Status::Unspecified)
    }
}

/// A timer that has started and neither fired nor been cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenTimer {
    pub timer_id: String,
    pub started: EventId,
    pub fires_at: Timestamp,
}

/// A child that has been initiated and not closed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Child {
    pub initiated: EventId,
    pub attributes: Proto<StartChildWorkflowExecutionInitiatedEventAttributes>,
    /// The ChildWorkflowExecutionStarted event and the child's run, once started.
    pub started: Option<(EventId, Uuid)>,
}

impl Child {
    pub fn close_policy(&self) -> ParentClosePolicy {
        ParentClosePolicy::try_from(self.attributes.parent_close_policy).unwrap_or(ParentClosePolicy::Terminate)
    }
}

/// A signal or cancel request to another execution, not yet answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct External {
    pub initiated: EventId,
    pub namespace: String,
    pub workflow_id: String,
    pub run_id: String,
    pub control: String,
    pub task_completed: EventId,
}

/// An update that is in history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedUpdate {
    pub accepted: EventId,
    /// The WorkflowExecutionUpdateCompleted event, whose outcome is read from history when asked for.
    pub completed: Option<EventId>,
}

/// What history does not say of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Unrecorded {
    pub volatile: Volatile,
    pub task: TaskState,
    pub attempts: OrdMap<EventId, Arc<ActivityAttempt>>,
    /// Events that wait behind the running workflow task, in order of arrival.
    pub buffered: OrdMap<i64, Arc<Proto<HistoryEvent>>>,
    /// Request ids of signals, so that a repeated one is recorded once.
    pub signal_requests: OrdSet<String>,
}

/// Rewritten with every step, beside [`Progress`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskState {
    pub workflow_task: WorkflowTask,
    /// The attempt of the workflow task that is pending or comes next; above 1 it is transient.
    pub attempt: i32,
    /// Failures and timeouts since the last success, for the reported-problems attribute.
    pub failures_in_a_row: i32,
    pub sticky: Option<Sticky>,
    /// The end of the back-off before the first workflow task, while it lasts.
    pub first_task_at: Option<Timestamp>,
    pub create_request_id: String,
    /// Request ids of starts that were attached to this run by the use-existing policy.
    pub attached_request_ids: Vec<String>,
    pub transitions: u64,
    pub last_worker: String,
    pub buffered_bytes: u64,
    pub next_buffered: i64,
    /// The reported-problems search attribute, which history does not record.
    pub reported_problems: Vec<String>,
    /// How many of the buffered events nothing else limits the number of.
    #[serde(default)]
    pub buffered_unasked: i64,
}

/// What a crash may forget: a client that still waits asks again.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Volatile {
    /// Updates that are not in history yet, in order of admission.
    pub updates: Vec<Arc<PendingUpdate>>,
}

/// An update between its admission and its acceptance or rejection.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingUpdate {
    pub id: String,
    pub request: api::update::v1::Request,
    /// The message as the worker of the running workflow task saw it.
    pub sent: bool,
    pub bytes: u64,
}

/// What waits for time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deadline {
    Run,
    FirstWorkflowTask,
    WorkflowTask,
    Activity(EventId),
    Timer(String),
}

/// Names one pending item, so that a step can say which it changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ItemRef {
    Activity(EventId),
    Timer(String),
    Child(EventId),
    ExternalSignal(EventId),
    ExternalCancel(EventId),
    Update(String),
    Buffered(i64),
    SignalRequest(String),
    Memo,
    SearchAttributes,
}

impl MutableState {
    /// A run before its first event.
    pub fn new(start: Arc<Start>) -> MutableState {
        let memo = start.event.memo.as_ref().map(|it| it.fields.clone()).unwrap_or_default();
        let search_attributes =
            start.event.search_attributes.as_ref().map(|it| it.indexed_fields.clone()).unwrap_or_default();
        MutableState {
            recorded: Recorded {
                progress: Progress {
                    status: Status::Running as i32,
                    next_event_id: 1,
                    history_bytes: 0,
                    last_completed_started: 0,
                    last_task_completed: 0,
                    closed_at: None,
                    cancel_requested: false,
                    signal_count: 0,
                    update_count: 0,
                    successor: None,
                    first_completed_task: 0,
                    first_completed_task_at: None,
                },
                activities: OrdMap::new(),
                activity_ids: OrdMap::new(),
                timers: OrdMap::new(),
                children: OrdMap::new(),
                external_signals: OrdMap::new(),
                external_cancels: OrdMap::new(),
                updates: OrdMap::new(),
                memo: Arc::new(memo),
                search_attributes: Arc::new(search_attributes),
            },
            unrecorded: Unrecorded {
                volatile: Volatile::default(),
                task: TaskState {
                    workflow_task: WorkflowTask::None,
                    attempt: 1,
                    failures_in_a_row: 0,
                    sticky: None,
                    first_task_at: None,
                    create_request_id: String::new(),
                    attached_request_ids: Vec::new(),
                    transitions: 0,
                    last_worker: String::new(),
                    buffered_bytes: 0,
                    next_buffered: 0,
                    reported_problems: Vec::new(),
                    buffered_unasked: 0,
                },
                attempts: OrdMap::new(),
                buffered: OrdMap::new(),
                signal_requests: OrdSet::new(),
            },
            deadlines: OrdSet::new(),
            start,
        }
    }

    pub fn status(&self) -> Status {
        self.recorded.progress.status()
    }

    pub fn is_running(&self) -> bool {
        self.status() == Status::Running
    }

    pub fn next_event_id(&self) -> EventId {
        self.recorded.progress.next_event_id
    }

    pub fn workflow_task(&self) -> &WorkflowTask {
        &self.unrecorded.task.workflow_task
    }

    /// A pending activity; `None` also for one that is over but whose closing event is still buffered.
    pub fn activity(&self, scheduled: EventId) -> Option<Activity> {
        Some(Activity {
            attempt: self.unrecorded.attempts.get(&scheduled)?.clone(),
            facts: self.recorded.activities.get(&scheduled).expect("an attempt belongs to an activity").clone(),
        })
    }

    /// Whether an event that `which` recognises waits behind the running workflow task.
    pub fn is_buffered(&self, which: impl Fn(&api::history::v1::history_event::Attributes) -> bool) -> bool {
        self.unrecorded.buffered.values().any(|event| event.attributes.as_ref().is_some_and(&which))
    }

    pub fn timer_fire_is_buffered(&self, timer_id: &str) -> bool {
        use api::history::v1::history_event::Attributes as A;
        self.is_buffered(|it| matches!(it, A::TimerFiredEventAttributes(fired) if fired.timer_id == timer_id))
    }

    /// The earliest moment at which this run has something to do by itself.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.get_min().map(|(due, _)| *due)
    }

    /// Rebuilds `deadlines` from what is pending, as after loading.
    pub fn derive_deadlines(&mut self) {
        let mut deadlines = OrdSet::new();
        if self.is_running() {
            deadlines.extend(self.start.run_expires().map(|due| (due, Deadline::Run)));
            deadlines.extend(self.unrecorded.task.first_task_at.map(|due| (due, Deadline::FirstWorkflowTask)));
            deadlines.extend(self.workflow_task().deadline().map(|due| (due, Deadline::WorkflowTask)));
            for scheduled in self.unrecorded.attempts.keys() {
                let activity = self.activity(*scheduled).expect("iterating over pending activities");
                deadlines.extend(activity.deadline().map(|due| (due, Deadline::Activity(*scheduled))));
            }
            for timer in self.recorded.timers.values().filter(|it| !self.timer_fire_is_buffered(&it.timer_id)) {
                deadlines.insert((timer.fires_at, Deadline::Timer(timer.timer_id.clone())));
            }
        }
        self.deadlines = deadlines;
    }
}
