//! Into errors and out of them.

use super::view::type_name;
use super::{Application, Error, Repr};
use std::error::Error as StdError;
use temporalio_common::ActivityError;
use temporalio_common::data_converters::PayloadConversionError;
use temporalio_common::error::{
    ActivityExecutionError, ApplicationErrorCategory, ApplicationFailure, CancelExternalWorkflowError,
    ChildWorkflowExecutionError, ChildWorkflowStartError, IncomingError, WorkflowSignalError,
};
use temporalio_workflow::{WorkflowCancellationError, WorkflowTermination};

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Error {
        // The platform's own errors keep what they mean, though they come in by `?` like everything else.
        let mut slot = Some(error);
        macro_rules! known {
            ($($type:ty => $variant:expr),+ $(,)?) => {
                $(if let Some(known) = take::<E, $type>(&mut slot) {
                    return Error { repr: Box::new($variant(known)) };
                })+
            };
        }
        known! {
            Repr => |repr| repr,
            ActivityExecutionError => Repr::Activity,
            ChildWorkflowStartError => Repr::ChildStart,
            ChildWorkflowExecutionError => Repr::Child,
            WorkflowSignalError => Repr::Signal,
            CancelExternalWorkflowError => Repr::CancelExternal,
            PayloadConversionError => Repr::Payload,
            IncomingError => Repr::Failure,
            WorkflowTermination => Repr::Termination,
            WorkflowCancellationError => |_| Repr::Cancelled(None),
        }
        let error = slot.expect("nothing took it");
        Error::application(Box::new(error), Some(type_name::<E>()))
    }
}

fn take<E: 'static, K: 'static>(slot: &mut Option<E>) -> Option<K> {
    let any: &mut dyn std::any::Any = slot;
    any.downcast_mut::<Option<K>>()?.take()
}

impl From<Error> for Box<dyn StdError + Send + Sync> {
    fn from(error: Error) -> Self {
        error.repr.into_source()
    }
}

impl From<Error> for Box<dyn StdError> {
    fn from(error: Error) -> Self {
        error.repr.into_source()
    }
}

impl Repr {
    /// As the source of another error. Errors that the platform knows stay what they are, so that it finds them there.
    pub(super) fn into_source(self) -> Box<dyn StdError + Send + Sync> {
        match self {
            Repr::Application(application) if application.is_plain() => application.source,
            Repr::Application(application) => Box::new(application.into_failure()),
            Repr::Activity(error) => Box::new(error),
            Repr::ChildStart(error) => Box::new(error),
            Repr::Child(error) => Box::new(error),
            Repr::Signal(error) => Box::new(error),
            Repr::CancelExternal(error) => Box::new(error),
            Repr::Payload(error) => Box::new(error),
            Repr::Failure(error) => Box::new(error),
            other => Box::new(other),
        }
    }
}

impl Application {
    fn is_plain(&self) -> bool {
        !self.non_retryable && self.retry_after.is_none() && self.details.is_none() && !self.benign
    }

    pub(super) fn into_failure(self) -> ApplicationFailure {
        let category = match self.benign {
            true => ApplicationErrorCategory::Benign,
            false => ApplicationErrorCategory::Unspecified,
        };
        ApplicationFailure::builder(self.source)
            .maybe_type_name(self.failure_type.map(|name| name.into_owned()))
            .non_retryable(self.non_retryable)
            .maybe_next_retry_delay(self.retry_after)
            .maybe_details(self.details)
            .category(category)
            .build()
    }
}

impl Error {
    /// As the end of an activity's attempt.
    pub(crate) fn into_activity_error(mut self) -> ActivityError {
        match *self.repr {
            Repr::Cancelled(details) => ActivityError::Cancelled { details },
            Repr::CompletesLater => ActivityError::WillCompleteAsync,
            _ => {
                let non_retryable = self.is_non_retryable();
                self.as_application().non_retryable = non_retryable;
                match *self.repr {
                    Repr::Application(application) => ActivityError::application(application.into_failure()),
                    _ => unreachable!("it was just made one"),
                }
            }
        }
    }

    /// As the end of a run.
    pub(crate) fn into_termination(self) -> WorkflowTermination {
        match *self.repr {
            Repr::Application(application) => WorkflowTermination::failed_application(application.into_failure()),
            Repr::Cancelled(details) => match details.and_then(|details| details.into_raw()) {
                Some(details) => WorkflowTermination::cancelled_with_details(details),
                None => WorkflowTermination::cancelled(),
            },
            Repr::Activity(error) => error.into(),
            Repr::ChildStart(error) => error.into(),
            Repr::Child(error) => error.into(),
            Repr::Signal(error) => error.into(),
            Repr::CancelExternal(error) => error.into(),
            Repr::Payload(error) => error.into(),
            Repr::Termination(termination) => termination,
            other @ (Repr::Failure(_) | Repr::CompletesLater) => {
                WorkflowTermination::failed_application(ApplicationFailure::new(other.into_source()))
            }
        }
    }

    /// As the answer of a handler.
    pub(crate) fn into_handler_error(self) -> Box<dyn StdError + Send + Sync> {
        match *self.repr {
            // The platform puts a nameless failure around what a handler returns, and looks for the rest below.
            Repr::Application(application) => Box::new(Handled(application.into_failure())),
            other => other.into_source(),
        }
    }
}

/// A failure one level down, where the platform keeps its name and details.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Handled(#[source] ApplicationFailure);

/// What `#[activity]` and `#[workflow]` functions return: a result whose error becomes an [`Error`].
#[diagnostic::on_unimplemented(
    message = "an activity or a workflow returns `Result<T>`, not `{Self}`",
    label = "not a result",
    note = "the error can be `tradewind::Error` or any standard error type"
)]
pub trait Fallible {
    /// What it returns when all is well.
    type Ok;

    /// With the error that the SDK knows.
    fn into_result(self) -> Result<Self::Ok, Error>;
}

impl<T, E: Into<Error>> Fallible for Result<T, E> {
    type Ok = T;

    fn into_result(self) -> Result<T, Error> {
        self.map_err(Into::into)
    }
}
