//! Anything that can happen to a run that exists. What begins a run is in `start`.
//!
//! An input says what happened, not what follows. Whether the run takes it is the run's to say: what names a task or
//! an attempt may be late.

use crate::{
    ids::{EventId, RunKey},
    time::Timestamp,
};
use api::{
    common::v1::{Payloads, WorkflowExecution},
    enums::v1::WorkflowTaskFailedCause,
    failure::v1::Failure,
    history::v1::HistoryEvent,
};
use uuid::Uuid;

/// Anything that can happen to a run that exists.
#[derive(Debug, Clone)]
pub enum Input {
    Signal(Signal),
    RequestCancel(CancelRequest),
    Terminate {
        reason: String,
        details: Option<Payloads>,
        identity: String,
        links: Vec<api::common::v1::Link>,
    },
    /// A start with the same id was answered with this run: remember its request id.
    AttachRequest {
        request_id: String,
        identity: String,
        event: bool,
    },
    StartWorkflowTask {
        scheduled: EventId,
        task: i64,
        identity: String,
        request_id: String,
        sticky: bool,
    },
    CompleteWorkflowTask(Box<TaskCompletion>),
    FailWorkflowTask {
        token: TaskToken,
        cause: WorkflowTaskFailedCause,
        failure: Option<Failure>,
        identity: String,
        binary_checksum: String,
    },
    /// The sticky queue that the scheduled task waits in has no worker.
    StickyUnavailable {
        scheduled: EventId,
    },
    ResetSticky,
    StartActivity {
        scheduled: EventId,
        task: i64,
        identity: String,
        request_id: String,
    },
    CompleteActivity {
        activity: ActivityRef,
        result: Option<Payloads>,
        identity: String,
    },
    FailActivity {
        activity: ActivityRef,
        failure: Option<Failure>,
        last_heartbeat: Option<Payloads>,
        identity: String,
    },
    CancelActivity {
        activity: ActivityRef,
        details: Option<Payloads>,
        identity: String,
    },
    Heartbeat {
        activity: ActivityRef,
        details: Option<Payloads>,
        identity: String,
    },
    /// Time has passed.
    Wake,
    ChildStarted {
        initiated: EventId,
        run_id: Uuid,
    },
    ChildStartFailed {
        initiated: EventId,
        cause: api::enums::v1::StartChildWorkflowExecutionFailedCause,
    },
    ChildClosed {
        initiated: EventId,
        workflow_id: String,
        run_id: Uuid,
        outcome: Box<ChildOutcome>,
    },
    ExternalSignaled {
        initiated: EventId,
        failed: Option<api::enums::v1::SignalExternalWorkflowExecutionFailedCause>,
    },
    ExternalCanceled {
        initiated: EventId,
        failed: Option<api::enums::v1::CancelExternalWorkflowExecutionFailedCause>,
    },
    Update(Box<api::update::v1::Request>),
}

/// What a child's parent is told when the child's chain of runs ends.
#[derive(Debug, Clone, PartialEq)]
pub struct ChildOutcome {
    /// The closing event of the child.
    pub event: HistoryEvent,
}

#[derive(Debug, Clone)]
pub struct Signal {
    pub name: String,
    pub input: Option<Payloads>,
    pub identity: String,
    pub header: Option<api::common::v1::Header>,
    pub request_id: String,
    pub links: Vec<api::common::v1::Link>,
    /// The workflow that sent it, if one did.
    pub external: Option<WorkflowExecution>,
}

#[derive(Debug, Clone)]
pub struct CancelRequest {
    pub reason: String,
    pub identity: String,
    pub request_id: String,
    pub links: Vec<api::common::v1::Link>,
    /// The workflow that asked, and its initiating event.
    pub external: Option<(WorkflowExecution, EventId)>,
    /// Only a run of which this is the first run may be cancelled.
    pub first_run_id: Option<Uuid>,
    /// Only a child of this run may be cancelled.
    pub child_only: Option<Uuid>,
}

/// What a worker must present to report on a workflow task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskToken {
    pub run: RunKey,
    pub scheduled: EventId,
    pub started: EventId,
    pub attempt: i32,
    /// Tells apart two starts of one transient task, and tasks handed out before and after a crash.
    pub started_at: Timestamp,
}

/// Which activity a worker means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActivityRef {
    /// By task token: this attempt alone.
    Token { scheduled: EventId, attempt: i32 },
    /// By the id that workflow code chose: whatever attempt runs.
    Id(String),
}

/// A worker's answer to a workflow task.
#[derive(Debug, Clone)]
pub struct TaskCompletion {
    pub token: TaskToken,
    pub request: api::workflowservice::v1::RespondWorkflowTaskCompletedRequest,
}
