//! Why a client's call failed.

use temporalio_client::errors::{
    ClientConnectError, ClientNewError, WorkflowGetResultError, WorkflowInteractionError, WorkflowStartError,
};
use temporalio_common::data_converters::PayloadConversionError;
use temporalio_sdk::RuntimeError;

/// Why a client's call failed. A variant for each case that callers treat differently.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// There is no connection to speak over.
    #[error("cannot connect: {0}")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The workflow id is taken.
    #[error("workflow {workflow_id:?} is already started")]
    AlreadyStarted {
        /// The id that is taken.
        workflow_id: String,
        /// Who has it, if the server says.
        run_id: Option<String>,
    },
    /// Nobody has this id.
    #[error("not found: {0}")]
    NotFound(String),
    /// The run ended without a result; the error says how.
    #[error("the workflow failed: {0}")]
    Failed(crate::Error),
    /// The call is not complete.
    #[error("{0}")]
    Invalid(String),
    /// A value did not become a payload, or a payload not the value.
    #[error(transparent)]
    Payload(#[from] PayloadConversionError),
    /// The server refuses, or cannot be reached.
    #[error(transparent)]
    Server(Box<dyn std::error::Error + Send + Sync>),
}

impl ClientError {
    pub(super) fn address(address: &str, error: impl std::fmt::Display) -> ClientError {
        ClientError::Connect(format!("{address:?} is not an address like \"localhost:7233\": {error}").into())
    }

    pub(super) fn start(error: WorkflowStartError, workflow_id: &str) -> ClientError {
        match error {
            WorkflowStartError::AlreadyStarted { run_id, .. } => {
                ClientError::AlreadyStarted { workflow_id: workflow_id.to_owned(), run_id }
            }
            WorkflowStartError::PayloadConversion(error) => ClientError::Payload(error),
            other => ClientError::Server(Box::new(other)),
        }
    }
}

impl From<ClientConnectError> for ClientError {
    fn from(error: ClientConnectError) -> Self {
        ClientError::Connect(Box::new(error))
    }
}

impl From<ClientNewError> for ClientError {
    fn from(error: ClientNewError) -> Self {
        ClientError::Connect(Box::new(error))
    }
}

impl From<RuntimeError> for ClientError {
    fn from(error: RuntimeError) -> Self {
        ClientError::Connect(Box::new(error))
    }
}

impl From<WorkflowInteractionError> for ClientError {
    fn from(error: WorkflowInteractionError) -> Self {
        match error {
            WorkflowInteractionError::NotFound(status) => ClientError::NotFound(status.message().to_owned()),
            WorkflowInteractionError::PayloadConversion(error) => ClientError::Payload(error),
            other => ClientError::Server(Box::new(other)),
        }
    }
}

impl From<WorkflowGetResultError> for ClientError {
    fn from(error: WorkflowGetResultError) -> Self {
        match error {
            WorkflowGetResultError::Failed(failure) => ClientError::Failed((*failure).into()),
            WorkflowGetResultError::Cancelled { .. } => ClientError::Failed(crate::Error::cancelled()),
            WorkflowGetResultError::NotFound(status) => ClientError::NotFound(status.message().to_owned()),
            WorkflowGetResultError::PayloadConversion(error) => ClientError::Payload(error),
            other => ClientError::Server(Box::new(other)),
        }
    }
}
