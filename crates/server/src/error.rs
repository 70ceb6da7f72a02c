//! What a handler refuses with.
//!
//! One variant per kind of detail that clients switch on: the SDKs look at the type of the detail that
//! travels with a status, not at its text. Plain refusals without a detail are one variant per code.

use api::enums::v1::{NamespaceState, ResourceExhaustedCause, ResourceExhaustedScope};
use api::failure::v1::Failure;
use tradewind_core::step::Rejection;

/// Why a request failed. [`crate::status`] gives each its code, text and detail.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("Namespace {namespace} is not found.")]
    NamespaceNotFound { namespace: String },
    #[error("Namespace {namespace:?} already exists")]
    NamespaceAlreadyExists { namespace: String },
    #[error("Namespace has invalid state: {}. Must be {}.", state_name(*state), allowed_names(allowed))]
    NamespaceInvalidState { namespace: String, state: NamespaceState, allowed: Vec<NamespaceState> },
    /// A run, activity, update, batch job, worker that is absent, or closed where an open one is needed.
    #[error("{0}")]
    NotFound(String),
    /// The id is taken: by a running execution, or by a closed one under a policy that forbids reuse.
    #[error("{message}")]
    AlreadyStarted { message: String, start_request_id: String, run_id: String, first_execution_run_id: String },
    /// The run cannot answer now: its workflow task keeps failing, or it never ran.
    #[error("{0}")]
    WorkflowNotReady(String),
    /// The worker reported that the query failed.
    #[error("{message}")]
    QueryFailed { message: String, failure: Option<Box<Failure>> },
    /// The feature is switched off for the namespace.
    #[error("{0}")]
    PermissionDenied(String),
    #[error("{message}")]
    ResourceExhausted { message: String, cause: ResourceExhaustedCause, scope: ResourceExhaustedScope },
    /// One or more operations of a multi-operation failed; `None` stands for one that did not.
    #[error("{message}")]
    MultiOperation { message: String, statuses: Vec<Option<Error>> },
    /// An operation that was not tried, because another of the same request failed.
    #[error("Operation was aborted.")]
    OperationAborted,
    #[error("{0}")]
    InvalidArgument(String),
    #[error("{0}")]
    FailedPrecondition(String),
    /// Worth trying again: SDKs retry it.
    #[error("{0}")]
    Unavailable(String),
    #[error("Deadline Exceeded")]
    DeadlineExceeded,
    #[error("{0}")]
    Unimplemented(String),
    /// A bug or a broken disk. SDKs retry it, so it is never the answer to bad input.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    pub fn invalid(message: impl Into<String>) -> Error {
        Error::InvalidArgument(message.into())
    }

    pub fn not_found(message: impl Into<String>) -> Error {
        Error::NotFound(message.into())
    }

    pub fn namespace_not_found(namespace: impl Into<String>) -> Error {
        Error::NamespaceNotFound { namespace: namespace.into() }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        Error::Unavailable(format!("storage: {error}"))
    }
}

impl From<crate::namespaces::Error> for Error {
    fn from(error: crate::namespaces::Error) -> Error {
        match error {
            crate::namespaces::Error::Absent { namespace } => Error::NamespaceNotFound { namespace },
            crate::namespaces::Error::Exists { namespace } => Error::NamespaceAlreadyExists { namespace },
            crate::namespaces::Error::Store(error) => error.into(),
            broken @ crate::namespaces::Error::BadRecord { .. } => Error::Internal(broken.to_string()),
        }
    }
}

impl From<tradewind_core::search_attributes::Refused> for Error {
    fn from(refused: tradewind_core::search_attributes::Refused) -> Error {
        Error::InvalidArgument(refused.to_string())
    }
}

impl From<engine::Error> for Error {
    fn from(error: engine::Error) -> Error {
        let text = error.to_string();
        match error {
            engine::Error::NoSuchWorkflow { .. }
            | engine::Error::NoSuchRun { .. }
            | engine::Error::NoSuchUpdate(_)
            | engine::Error::UpdateAborted => Error::NotFound(text),
            engine::Error::AlreadyStarted { message, start_request_id, run_id, first_run_id } => {
                Error::AlreadyStarted { message, start_request_id, run_id, first_execution_run_id: first_run_id }
            }
            engine::Error::Rejected(rejection) => rejection.into(),
            engine::Error::Invalid(_) => Error::InvalidArgument(text),
            engine::Error::NotReady(_) => Error::WorkflowNotReady(text),
            engine::Error::QueryFailed { message, failure } => Error::QueryFailed { message, failure },
            engine::Error::NoPoller | engine::Error::Parked(_) => Error::FailedPrecondition(text),
            engine::Error::Exhausted(message) => Error::ResourceExhausted {
                message,
                cause: ResourceExhaustedCause::BusyWorkflow,
                scope: ResourceExhaustedScope::Namespace,
            },
            engine::Error::StartPanicked(_) => Error::Internal(text),
            engine::Error::DeadlineExceeded => Error::DeadlineExceeded,
            engine::Error::Unavailable(_) => Error::Unavailable(text),
        }
    }
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Error {
        let text = rejection.to_string();
        match rejection {
            Rejection::Closed
            | Rejection::StaleWorkflowTask
            | Rejection::StaleTask { .. }
            | Rejection::StaleActivity
            | Rejection::NoSuchActivity(_)
            | Rejection::NotThisExecution => Error::NotFound(text),
            Rejection::Invalid(_) => Error::InvalidArgument(text),
            Rejection::LimitExceeded { .. } => Error::ResourceExhausted {
                message: text,
                cause: ResourceExhaustedCause::ConcurrentLimit,
                scope: ResourceExhaustedScope::Namespace,
            },
            Rejection::TooManyUpdates(_) => Error::FailedPrecondition(text),
            Rejection::NotReady(_) => Error::WorkflowNotReady(text),
        }
    }
}

/// The name of a namespace's state as the reference server prints it.
pub fn state_name(state: NamespaceState) -> &'static str {
    match state {
        NamespaceState::Unspecified => "Unspecified",
        NamespaceState::Registered => "Registered",
        NamespaceState::Deprecated => "Deprecated",
        NamespaceState::Deleted => "Deleted",
    }
}

fn allowed_names(allowed: &[NamespaceState]) -> String {
    allowed.iter().map(|state| state_name(*state)).collect::<Vec<_>>().join(" or ")
}
