//! Rows of the event log: what is said about runs while they run, for those who watch.
//!
//! History is what a run is; the log is what somebody told about it. It is ordered over all runs, keeps what was
//! told in the words of whoever told it, and may be forgotten earlier.

use bytes::Bytes;
use tradewind_core::{
    ids::{EventId, NamespaceKey, RunKey},
    time::Timestamp,
};
use uuid::Uuid;

/// A run that is told about: who it is and whom it belongs to. Never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSource {
    pub run: RunKey,
    pub namespace: NamespaceKey,
    pub workflow_id: String,
    pub run_id: Uuid,
    pub workflow_type: String,
    pub root_workflow_id: String,
    pub parent_workflow_id: Option<String>,
    /// The first run of the chain at the root of its tree: one value for each start that somebody asked for,
    /// shared by everything that follows from it.
    pub chain_run_id: Uuid,
}

/// One event on its way into the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Made by whoever tells it. The same id of the same run is the same event, and is kept once.
    pub event_id: String,
    /// What kind of event it is; the numbers belong to the teller.
    pub kind: u8,
    /// The task of the run that it is about, if it is about one.
    pub task: Option<String>,
    /// What that task is called: an activity's name, a custom task's type.
    pub task_name: Option<String>,
    pub meaning: EventMeaning,
    pub received: Timestamp,
    pub bytes: Bytes,
}

/// What the log itself keeps track of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventMeaning {
    /// Nothing.
    Plain,
    /// The task is open from here on.
    OpensTask,
    ClosesTask,
    /// The run has ended, as its teller sees it. The last of them counts.
    EndsRun,
}

/// An event in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Its place in the log. Greater than that of every event before it, and never used again.
    pub sequence: i64,
    pub source: std::sync::Arc<EventSource>,
    pub kind: u8,
    pub task: Option<String>,
    pub task_name: Option<String>,
    pub received: Timestamp,
    pub bytes: Bytes,
}

/// Which events somebody wants to read: those that meet every condition that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFilter {
    pub namespace: NamespaceKey,
    pub workflow_id: Option<String>,
    pub run_id: Option<Uuid>,
    pub root_workflow_id: Option<String>,
    pub parent_workflow_id: Option<String>,
    pub chain_run_id: Option<Uuid>,
    pub workflow_type: Option<String>,
    pub kinds: Option<Vec<u8>>,
    pub task: Option<String>,
    pub task_name: Option<String>,
}

impl EventFilter {
    /// Everything in a namespace.
    pub fn all(namespace: NamespaceKey) -> EventFilter {
        EventFilter {
            namespace,
            workflow_id: None,
            run_id: None,
            root_workflow_id: None,
            parent_workflow_id: None,
            chain_run_id: None,
            workflow_type: None,
            kinds: None,
            task: None,
            task_name: None,
        }
    }

    pub fn matches(&self, event: &EventRow) -> bool {
        self.matches_source(&event.source)
            && self.matches_facts(event.kind, event.task.as_deref(), event.task_name.as_deref())
    }

    pub(crate) fn matches_source(&self, source: &EventSource) -> bool {
        fn is<T: PartialEq>(wanted: &Option<T>, found: &T) -> bool {
            wanted.as_ref().is_none_or(|wanted| wanted == found)
        }
        self.namespace == source.namespace
            && is(&self.workflow_id, &source.workflow_id)
            && is(&self.run_id, &source.run_id)
            && is(&self.root_workflow_id, &source.root_workflow_id)
            && (self.parent_workflow_id.is_none() || self.parent_workflow_id == source.parent_workflow_id)
            && is(&self.chain_run_id, &source.chain_run_id)
            && is(&self.workflow_type, &source.workflow_type)
    }

    pub(crate) fn matches_facts(&self, kind: u8, task: Option<&str>, task_name: Option<&str>) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&kind))
            && (self.task.is_none() || self.task.as_deref() == task)
            && (self.task_name.is_none() || self.task_name.as_deref() == task_name)
    }
}

/// How far one read of the log may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRange {
    /// Reading begins behind this sequence and ends with that one.
    pub after: i64,
    pub until: i64,
    pub events_max: usize,
    /// The first event is read however large it is.
    pub bytes_max: usize,
}

/// What one read of the log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    pub events: Vec<EventRow>,
    /// Every matching event up to here is in this page or an earlier one. A read may look at many events that do
    /// not match, so a page can be empty and still lead on.
    pub looked_until: i64,
}

/// What the log knows of a run without reading its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSummary {
    /// The kind of the last event that said that the run has ended.
    pub ended: Option<u8>,
    /// Tasks that are open, with their names, in the order in which they opened.
    pub open_tasks: Vec<(String, String)>,
}

/// Somebody outside the engine who hears of certain steps. The numbers are on disk and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Follower(pub u8);

/// A step that a follower has not dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowedRow {
    /// In the order of commits.
    pub id: i64,
    pub run: RunKey,
    /// Where the step's batch of history begins.
    pub first_event_id: EventId,
}
