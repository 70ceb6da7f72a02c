//! The one workflow task of a run: none, scheduled or started, and how it relates to history.
//!
//! Invariants
//! - A speculative task is in memory only: what is stored of it is no task.
//! - Only a sticky or speculative task is given up when nobody takes it; any other waits for whoever comes.

use crate::{ids::EventId, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a speculative workflow task may wait for a poller before it becomes a normal one.
pub const SPECULATIVE_SCHEDULE_TO_START: Duration = Duration::from_secs(5);

/// The one workflow task that a run may have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum WorkflowTask {
    None,
    Scheduled(ScheduledTask),
    Started(StartedTask),
}

/// How a workflow task relates to history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskClass {
    /// Its events are in history as they happen.
    Normal,
    /// A retry after a failure: its events are written only when it completes.
    Transient,
    /// Carries updates only: leaves no trace if all are rejected, and is forgotten by a crash.
    Speculative,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduledTask {
    pub class: TaskClass,
    /// Its WorkflowTaskScheduled event, or the id that one would get.
    pub scheduled: EventId,
    pub attempt: i32,
    pub scheduled_at: Timestamp,
    /// Of the first task in a chain of heartbeats.
    pub original_scheduled_at: Timestamp,
    pub start_to_close: Duration,
    /// The sticky queue it went to, if any.
    pub sticky: Option<Sticky>,
    /// Its place in the task queue; 0 for a speculative task, which has none on disk.
    pub task: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartedTask {
    pub class: TaskClass,
    pub scheduled: EventId,
    pub started: EventId,
    pub attempt: i32,
    pub scheduled_at: Timestamp,
    pub original_scheduled_at: Timestamp,
    pub started_at: Timestamp,
    pub start_to_close: Duration,
    pub request_id: String,
    pub identity: String,
    pub history_bytes: i64,
    pub suggest_continue_as_new: Vec<i32>,
}

/// The worker whose cache holds this run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sticky {
    pub queue: String,
    pub schedule_to_start: Duration,
}

impl WorkflowTask {
    /// When the task times out, if it does.
    pub fn deadline(&self) -> Option<Timestamp> {
        match self {
            WorkflowTask::None => None,
            WorkflowTask::Scheduled(task) if task.class == TaskClass::Speculative => {
                Some(task.scheduled_at + SPECULATIVE_SCHEDULE_TO_START)
            }
            WorkflowTask::Scheduled(task) => task.sticky.as_ref().map(|it| task.scheduled_at + it.schedule_to_start),
            WorkflowTask::Started(task) => Some(task.started_at + task.start_to_close),
        }
    }

    /// What a crash leaves of it: a speculative task is in memory only.
    pub fn stored(&self) -> WorkflowTask {
        match self {
            WorkflowTask::Scheduled(task) if task.class == TaskClass::Speculative => WorkflowTask::None,
            WorkflowTask::Started(task) if task.class == TaskClass::Speculative => WorkflowTask::None,
            WorkflowTask::None | WorkflowTask::Scheduled(_) | WorkflowTask::Started(_) => self.clone(),
        }
    }

    pub fn is_started(&self) -> bool {
        matches!(self, WorkflowTask::Started(_))
    }

    pub fn is_none(&self) -> bool {
        matches!(self, WorkflowTask::None)
    }
}
