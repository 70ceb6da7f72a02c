//! A pending activity, in two halves: what history says of it, and what it does not.
//!
//! Invariants
//! - An attempt belongs to an activity that history knows. The activity outlives it while its closing event is buffered.
//! - The deadline follows from both halves alone: it is never stored.

use crate::{ids::EventId, proto::Proto, time::Timestamp};
use api::{
    common::v1::{Payloads, RetryPolicy},
    failure::v1::Failure,
    history::v1::ActivityTaskScheduledEventAttributes,
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

/// What history says of an activity that has been scheduled and not closed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActivityFacts {
    pub scheduled: EventId,
    pub scheduled_at: Timestamp,
    pub attributes: Proto<ActivityTaskScheduledEventAttributes>,
    /// The ActivityTaskCancelRequested event, once there is one.
    pub cancel_requested: Option<EventId>,
}

/// What history does not say of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActivityAttempt {
    pub attempt: i32,
    pub phase: ActivityPhase,
    /// When this attempt was, or will be, put in its queue.
    pub attempt_scheduled_at: Timestamp,
    pub heartbeat_details: Option<Proto<Payloads>>,
    pub last_heartbeat: Option<Timestamp>,
    pub last_failure: Option<Proto<Failure>>,
    pub last_worker: String,
    pub last_started_at: Option<Timestamp>,
    pub last_completed_at: Option<Timestamp>,
    pub retry_interval: Option<Duration>,
}

/// Where an attempt is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ActivityPhase {
    /// Waiting out the back-off before the attempt.
    BackingOff,
    /// In its task queue, as this task.
    Queued { task: i64 },
    /// A worker has it.
    Started { at: Timestamp, request_id: String },
}

/// Both halves of a pending activity.
#[derive(Debug, Clone, PartialEq)]
pub struct Activity {
    pub facts: Arc<ActivityFacts>,
    pub attempt: Arc<ActivityAttempt>,
}

impl Activity {
    pub fn retry_policy(&self) -> Option<&RetryPolicy> {
        self.facts.attributes.retry_policy.as_ref()
    }

    pub fn schedule_to_close(&self) -> Duration {
        crate::time::duration(self.facts.attributes.schedule_to_close_timeout.as_ref())
    }

    pub fn schedule_to_start(&self) -> Duration {
        crate::time::duration(self.facts.attributes.schedule_to_start_timeout.as_ref())
    }

    pub fn start_to_close(&self) -> Duration {
        crate::time::duration(self.facts.attributes.start_to_close_timeout.as_ref())
    }

    pub fn heartbeat(&self) -> Duration {
        crate::time::duration(self.facts.attributes.heartbeat_timeout.as_ref())
    }

    pub fn task_queue(&self) -> &str {
        self.facts.attributes.task_queue.as_ref().map_or("", |it| &it.name)
    }

    /// When all attempts together must be over.
    pub fn expires(&self) -> Option<Timestamp> {
        (!self.schedule_to_close().is_zero()).then(|| self.facts.scheduled_at + self.schedule_to_close())
    }

    /// When time next does something to it: the earliest of its timeouts, or the end of its back-off.
    pub fn deadline(&self) -> Option<Timestamp> {
        let own = match &self.attempt.phase {
            ActivityPhase::BackingOff => Some(self.attempt.attempt_scheduled_at),
            ActivityPhase::Queued { .. } => (!self.schedule_to_start().is_zero())
                .then(|| self.attempt.attempt_scheduled_at + self.schedule_to_start()),
            ActivityPhase::Started { at, .. } => {
                let close = (!self.start_to_close().is_zero()).then(|| *at + self.start_to_close());
                let beat = (!self.heartbeat().is_zero())
                    .then(|| self.attempt.last_heartbeat.filter(|beat| beat > at).unwrap_or(*at) + self.heartbeat());
                [close, beat].into_iter().flatten().min()
            }
        };
        [own, self.expires()].into_iter().flatten().min()
    }
}
