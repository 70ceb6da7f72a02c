//! What is fixed when a run starts: its first event, and what follows from that alone.
//!
//! Nothing in here changes while the run lives, so it is shared by all states of the run and never stored again.

use crate::{
    ids::{EventId, NamespaceKey},
    time::Timestamp,
};
use api::{common::v1::Priority, history::v1::WorkflowExecutionStartedEventAttributes};
use std::time::Duration;
use uuid::Uuid;

/// What is fixed when a run starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    pub namespace: NamespaceKey,
    pub workflow_id: String,
    pub run_id: Uuid,
    pub started_at: Timestamp,
    pub event: WorkflowExecutionStartedEventAttributes,
    pub user_metadata: Option<api::sdk::v1::UserMetadata>,
}

impl Start {
    pub fn workflow_type(&self) -> &str {
        self.event.workflow_type.as_ref().map_or("", |it| &it.name)
    }

    pub fn task_queue(&self) -> &str {
        self.event.task_queue.as_ref().map_or("", |it| &it.name)
    }

    pub fn run_timeout(&self) -> Duration {
        crate::time::duration(self.event.workflow_run_timeout.as_ref())
    }

    pub fn execution_timeout(&self) -> Duration {
        crate::time::duration(self.event.workflow_execution_timeout.as_ref())
    }

    pub fn task_timeout(&self) -> Duration {
        crate::time::duration(self.event.workflow_task_timeout.as_ref())
    }

    pub fn first_task_backoff(&self) -> Duration {
        crate::time::duration(self.event.first_workflow_task_backoff.as_ref())
    }

    pub fn execution_expires(&self) -> Option<Timestamp> {
        self.event.workflow_execution_expiration_time.map(Timestamp::from)
    }

    /// When the run times out, if it does: its own timeout counts from the first workflow task's back-off on.
    pub fn run_expires(&self) -> Option<Timestamp> {
        let run =
            (!self.run_timeout().is_zero()).then(|| self.started_at + self.first_task_backoff() + self.run_timeout());
        [run, self.execution_expires()].into_iter().flatten().min()
    }

    pub fn execution_time(&self) -> Timestamp {
        self.started_at + self.first_task_backoff()
    }

    pub fn priority(&self) -> i32 {
        key(self.event.priority.as_ref()).unwrap_or(PRIORITY_DEFAULT)
    }

    /// Of an activity: its own, or that of the run.
    pub fn activity_priority(&self, own: Option<&Priority>) -> i32 {
        key(own).unwrap_or_else(|| self.priority())
    }

    /// Of a child, and of an activity as its worker is told: what it leaves open it takes from this run, part by part.
    pub fn inherited_priority(&self, own: Option<Priority>) -> Option<Priority> {
        let Some(inherited) = &self.event.priority else { return own };
        let mut own = own.unwrap_or_default();
        if own.priority_key == 0 {
            own.priority_key = inherited.priority_key;
        }
        if own.fairness_key.is_empty() {
            own.fairness_key.clone_from(&inherited.fairness_key);
        }
        if own.fairness_weight == 0.0 {
            own.fairness_weight = inherited.fairness_weight;
        }
        Some(own)
    }

    pub fn parent(&self) -> Option<Parent> {
        let execution = self.event.parent_workflow_execution.as_ref()?;
        Some(Parent {
            workflow_id: execution.workflow_id.clone(),
            run_id: execution.run_id.parse().ok()?,
            initiated: self.event.parent_initiated_event_id,
        })
    }
}

/// The run that started this one as a child.
#[derive(Debug, Clone, PartialEq)]
pub struct Parent {
    pub workflow_id: String,
    pub run_id: Uuid,
    pub initiated: EventId,
}

/// The default priority of the protocol; lower is more urgent.
pub const PRIORITY_DEFAULT: i32 = 3;

fn key(priority: Option<&Priority>) -> Option<i32> {
    priority.map(|it| it.priority_key).filter(|key| *key > 0)
}
