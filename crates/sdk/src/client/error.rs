//! Why a client's call failed.

use std::error::Error as StdError;
use temporalio_client::WorkflowExecutionStatus;
use temporalio_client::errors::{
    AsyncActivityError, ClientConnectError, ClientNewError, WorkflowGetResultError, WorkflowInteractionError,
    WorkflowQueryError, WorkflowStartError, WorkflowUpdateError,
};
use temporalio_client::schedules::ScheduleError;
use temporalio_client::tonic::{Code, Status};
use temporalio_common::data_converters::{
    DataConverter, NoopDecodeHint, PayloadConversionError, SerializationContextData, WorkflowSerializationContext,
};
use temporalio_common::payload_visitor::decode_payloads;
use temporalio_sdk::RuntimeError;

/// Why a client's call failed. A variant for each case that callers treat differently.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// There is no connection to speak over.
    #[error("cannot connect: {0}")]
    Connect(#[source] Box<dyn StdError + Send + Sync>),
    /// The configuration, from code, environment or file, says something that cannot be.
    #[error("configuration: {0}")]
    Config(String),
    /// The workflow id is taken.
    #[error("workflow {workflow_id:?} is already started{}", run(run_id))]
    AlreadyStarted {
        /// The id that is taken.
        workflow_id: String,
        /// Who has it, if the server says.
        run_id: Option<String>,
    },
    /// Nobody has this id.
    #[error("not found: {0}")]
    NotFound(String),
    /// The workflow failed or was cancelled; the error says how.
    #[error("the workflow failed: {0}")]
    Failed(crate::Error),
    /// The workflow took longer than it may.
    #[error("the workflow timed out")]
    TimedOut,
    /// Somebody ended the workflow from outside.
    #[error("the workflow was terminated")]
    Terminated,
    /// The run went on as another one, and the caller asked about this one alone.
    #[error("the run continued as a new one")]
    ContinuedAsNew,
    /// A validator refused the update, or its handler failed; the error says which way.
    #[error("the update failed: {0}")]
    UpdateFailed(crate::Error),
    /// The query's handler failed, or there is none.
    #[error("the query failed: {0}")]
    QueryFailed(String),
    /// The query was to be answered only in another state than the run's.
    #[error("the query was rejected: the run is {status:?}")]
    QueryRejected {
        /// The run's state, if the server says.
        status: Option<WorkflowExecutionStatus>,
    },
    /// The call is not complete.
    #[error("{0}")]
    Invalid(String),
    /// A value did not become a payload, or a payload not the value.
    #[error(transparent)]
    Payload(#[from] PayloadConversionError),
    /// The server does not have this. Another server, or a later version, may.
    #[error("the server does not support this: {0}")]
    Unsupported(String),
    /// The server does not let this caller do this.
    #[error("the server refuses this caller: {0}")]
    Denied(String),
    /// The server did not answer, though it was asked several times. Asking later may help.
    #[error("the server does not answer: {0}")]
    Unavailable(String),
    /// The server refuses, and says why.
    #[error("the server refuses: {0}")]
    Server(#[source] Box<dyn StdError + Send + Sync>),
}

fn run(run_id: &Option<String>) -> String {
    run_id.as_ref().map(|run_id| format!(", as run {run_id}")).unwrap_or_default()
}

impl ClientError {
    /// What the workflow failed with, or the handler of an update, if that is what happened:
    /// `error.failure().is_some_and(|failure| failure.is::<CardUnknown>())`.
    pub fn failure(&self) -> Option<&crate::Error> {
        match self {
            ClientError::Failed(failure) | ClientError::UpdateFailed(failure) => Some(failure),
            _ => None,
        }
    }

    pub(super) fn connect(target: &str, error: &ClientConnectError) -> ClientError {
        // The outermost message says the least.
        let why = match error {
            ClientConnectError::SystemInfoCallError(status) => match status.code() {
                Code::Unauthenticated | Code::PermissionDenied => {
                    return ClientError::Denied(status.message().to_owned());
                }
                _ => deepest(status),
            },
            other => deepest(other),
        };
        ClientError::Connect(format!("{target}: {why}").into())
    }

    pub(super) fn start(error: WorkflowStartError, workflow_id: &str) -> ClientError {
        match error {
            WorkflowStartError::AlreadyStarted { run_id, .. } => {
                ClientError::AlreadyStarted { workflow_id: workflow_id.to_owned(), run_id }
            }
            WorkflowStartError::PayloadConversion(error) => error.into(),
            WorkflowStartError::Rpc(status) => status.into(),
            other => ClientError::Server(Box::new(other)),
        }
    }
}

/// The message of the last error in the chain.
fn deepest(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    match last.downcast_ref::<Status>() {
        Some(status) => status.message().to_owned(),
        None => last.to_string(),
    }
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        let message = status.message().to_owned();
        match status.code() {
            Code::NotFound => ClientError::NotFound(message),
            Code::Unimplemented => ClientError::Unsupported(message),
            Code::Unauthenticated | Code::PermissionDenied => ClientError::Denied(message),
            Code::Unavailable | Code::DeadlineExceeded => ClientError::Unavailable(deepest(&status)),
            _ => ClientError::Server(Box::new(status)),
        }
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

impl From<temporalio_client::errors::ClientError> for ClientError {
    fn from(error: temporalio_client::errors::ClientError) -> Self {
        match error {
            temporalio_client::errors::ClientError::PayloadConversion(error) => error.into(),
            temporalio_client::errors::ClientError::Rpc(status) => status.into(),
            other => ClientError::Server(Box::new(other)),
        }
    }
}

impl From<WorkflowInteractionError> for ClientError {
    fn from(error: WorkflowInteractionError) -> Self {
        match error {
            WorkflowInteractionError::NotFound(status) | WorkflowInteractionError::Rpc(status) => status.into(),
            WorkflowInteractionError::PayloadConversion(error) => error.into(),
            other => ClientError::Server(Box::new(other)),
        }
    }
}

impl From<AsyncActivityError> for ClientError {
    fn from(error: AsyncActivityError) -> Self {
        match error {
            AsyncActivityError::NotFound(status) | AsyncActivityError::Rpc(status) => status.into(),
            AsyncActivityError::PayloadConversion(error) => error.into(),
            other => ClientError::Server(Box::new(other)),
        }
    }
}

impl From<WorkflowGetResultError> for ClientError {
    fn from(error: WorkflowGetResultError) -> Self {
        match error {
            WorkflowGetResultError::Failed(failure) => ClientError::Failed((*failure).into()),
            WorkflowGetResultError::Cancelled { .. } => ClientError::Failed(crate::Error::cancelled()),
            WorkflowGetResultError::Terminated { .. } => ClientError::Terminated,
            WorkflowGetResultError::TimedOut => ClientError::TimedOut,
            WorkflowGetResultError::ContinuedAsNew => ClientError::ContinuedAsNew,
            WorkflowGetResultError::NotFound(status) | WorkflowGetResultError::Rpc(status) => status.into(),
            WorkflowGetResultError::PayloadConversion(error) => error.into(),
            other => ClientError::Server(Box::new(other)),
        }
    }
}

impl ClientError {
    /// What came of an update, its failure read with the client's converter.
    pub(super) async fn update(error: WorkflowUpdateError, converter: &DataConverter) -> ClientError {
        match error {
            WorkflowUpdateError::NotFound(status) | WorkflowUpdateError::Rpc(status) => status.into(),
            WorkflowUpdateError::PayloadConversion(error) => error.into(),
            WorkflowUpdateError::Failed(mut failure) => {
                let context = SerializationContextData::Workflow(WorkflowSerializationContext::new());
                if let Err(error) = decode_payloads(&mut *failure, converter.codec(), &context).await {
                    return error.into();
                }
                match converter.to_error(&context, *failure, NoopDecodeHint) {
                    Ok(error) => ClientError::UpdateFailed(error.into()),
                    Err(error) => error.into(),
                }
            }
            other => ClientError::Server(Box::new(other)),
        }
    }
}

impl From<WorkflowQueryError> for ClientError {
    fn from(error: WorkflowQueryError) -> Self {
        match error {
            // How a server says that the handler failed or is missing.
            WorkflowQueryError::Rpc(status) if status.code() == Code::InvalidArgument => {
                ClientError::QueryFailed(status.message().to_owned())
            }
            WorkflowQueryError::Rejected { status } => ClientError::QueryRejected { status },
            WorkflowQueryError::NotFound(status) | WorkflowQueryError::Rpc(status) => status.into(),
            WorkflowQueryError::PayloadConversion(error) => error.into(),
            other => ClientError::Server(Box::new(other)),
        }
    }
}

impl From<ScheduleError> for ClientError {
    fn from(error: ScheduleError) -> Self {
        match error {
            ScheduleError::Rpc(status) if status.code() == Code::AlreadyExists => {
                ClientError::Invalid(status.message().to_owned())
            }
            ScheduleError::Rpc(status) => status.into(),
            ScheduleError::PayloadConversion(error) => error.into(),
            other => ClientError::Server(Box::new(other)),
        }
    }
}
