//! Everything that can wake an owner loop, in one place.

use crate::{Error, query::AttachedQuery, skip::Rest, snapshot::Snapshot};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};
use tradewind_core::{
    ids::{EventId, NamespaceKey, RunKey, Slot},
    state::MutableState,
    step::{Input, Reply, Signal},
    update::{Abort, Stage},
};
use uuid::Uuid;

/// Which run a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// By its surrogate key, as tokens and rows have it.
    Run {
        slot: Slot,
        run: RunKey,
    },
    Execution(Execution),
}

/// A workflow id, and perhaps one of its runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    pub namespace: NamespaceKey,
    pub workflow_id: String,
    /// `None`: whatever run the workflow id names now.
    pub run_id: Option<Uuid>,
    /// Only if this is the first run of the chain.
    pub first_run_id: Option<Uuid>,
}

impl Target {
    pub fn slot(&self) -> Slot {
        match self {
            Target::Run { slot, .. } => *slot,
            Target::Execution(execution) => Slot::of(execution.namespace, &execution.workflow_id),
        }
    }

    pub fn execution(namespace: NamespaceKey, workflow_id: impl Into<String>, run_id: Option<Uuid>) -> Target {
        Target::Execution(Execution { namespace, workflow_id: workflow_id.into(), run_id, first_run_id: None })
    }
}

pub type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// What an owner loop is asked.
pub enum Message {
    Start(Box<StartRequest>, Answer<Started>),
    Step {
        target: Target,
        input: Box<Input>,
        /// A transfer that this report completes; its row goes with the step's.
        settles: Option<SettledTransfer>,
        answer: Answer<Stepped>,
    },
    /// The run as it is.
    Inspect {
        target: Target,
        watch: bool,
        answer: Answer<Snapshot>,
    },
    AttachQuery {
        target: Target,
        query: AttachedQuery,
        answer: Answer<()>,
    },
    Update {
        target: Target,
        request: Box<api::update::v1::Request>,
        answer: Answer<UpdateTicket>,
    },
    FindUpdate {
        target: Target,
        id: String,
        answer: Answer<UpdateTicket>,
    },
    Delete {
        target: Target,
        answer: Answer<()>,
    },
    /// The queue's worker is gone: offer the task on the normal queue.
    StickyUnavailable {
        slot: Slot,
        run: RunKey,
        scheduled: EventId,
    },
    /// One transfer is done.
    TransferDone {
        run: RunKey,
        settles: SettledTransfer,
        by_own_step: bool,
    },
    /// Whether anything but time can change a run.
    Rest(oneshot::Sender<Rest>),
    /// Flush, answer everything, and end.
    Close(oneshot::Sender<()>),
}

/// A transfer whose row can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettledTransfer {
    pub id: i64,
}

/// A start, with what may come with it.
#[derive(Debug, Clone)]
pub struct StartRequest {
    pub namespace: NamespaceKey,
    pub request: api::workflowservice::v1::StartWorkflowExecutionRequest,
    pub parent: Option<ParentLink>,
    /// Signal-with-start: delivered to the run that is there, or to the new one before its first task.
    pub signal: Option<Signal>,
    /// Update-with-start.
    pub update: Option<api::update::v1::Request>,
}

/// The parent that a child is started for.
#[derive(Debug, Clone)]
pub struct ParentLink {
    pub workflow_id: String,
    pub run_id: Uuid,
    pub initiated: EventId,
    pub root_workflow_id: String,
    pub root_run_id: String,
}

/// What came of a start.
#[derive(Debug)]
pub struct Started {
    pub run: RunKey,
    pub slot: Slot,
    pub run_id: Uuid,
    pub first_run_id: String,
    /// Whether this request, now or before, created the run.
    pub started: bool,
    pub status: i32,
    pub eager: Option<Stepped>,
    pub update: Option<Result<UpdateTicket, Error>>,
}

/// What came of a step, once it is durable.
#[derive(Debug)]
pub struct Stepped {
    pub run: RunKey,
    pub slot: Slot,
    pub reply: Reply,
    /// The run after the step.
    pub state: Arc<MutableState>,
    /// The newest batches of its history, where a task was handed out and if the loop has them.
    pub recent: Vec<(EventId, Bytes)>,
    /// Queries for the workflow task that was just started.
    pub queries: Vec<AttachedQuery>,
}

/// An update's place, and how to hear more of it.
#[derive(Debug)]
pub struct UpdateTicket {
    pub run: RunKey,
    pub run_id: Uuid,
    pub stage: Stage,
    pub progress: watch::Receiver<UpdateProgress>,
}

/// How far an update has come, as its waiters see it.
#[derive(Debug, Clone, PartialEq)]
pub enum UpdateProgress {
    Admitted,
    Accepted,
    Completed(api::update::v1::Outcome),
    Rejected(api::failure::v1::Failure),
    Aborted(Abort),
}
