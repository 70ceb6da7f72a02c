//! Why the engine refuses. Nothing here knows a status code.

use tradewind_core::step::Rejection;

/// What callers may have to react to differently.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// No execution of this workflow id.
    #[error("workflow not found for ID: {workflow_id}")]
    NoSuchWorkflow { workflow_id: String },
    /// The workflow id exists, but not this run.
    #[error("workflow execution not found for workflow ID {workflow_id:?} and run ID {run_id:?}")]
    NoSuchRun { workflow_id: String, run_id: String },
    /// The id is taken, by a running execution or by a closed one under the policy asked for.
    #[error("{message}")]
    AlreadyStarted { message: String, start_request_id: String, run_id: String, first_run_id: String },
    /// The run itself refused.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Bad input that no run has seen.
    #[error("{0}")]
    Invalid(String),
    #[error("update {0:?} not found")]
    NoSuchUpdate(String),
    #[error("workflow update was aborted by closing workflow")]
    UpdateAborted,
    /// Workflow tasks fail, or there is none that could serve the request.
    #[error("{0}")]
    NotReady(String),
    #[error("{message}")]
    QueryFailed { message: String, failure: Option<Box<api::failure::v1::Failure>> },
    /// Nobody polls the queue that would have to answer.
    #[error("no poller seen for task queue recently, worker may be down")]
    NoPoller,
    #[error("{0}")]
    Exhausted(String),
    /// A step of this run panicked: a bug. Nothing was committed, and nothing more is tried until a restart.
    #[error("the run is parked after an internal error: {0}")]
    Parked(String),
    /// The first step of a run panicked: a bug. There is no run.
    #[error("the workflow cannot be started because of an internal error: {0}")]
    StartPanicked(String),
    #[error("Deadline Exceeded")]
    DeadlineExceeded,
    /// The engine is closing, or the store has failed for good.
    #[error("{0}")]
    Unavailable(String),
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        Error::Unavailable(format!("storage: {error}"))
    }
}
