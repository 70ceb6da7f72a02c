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

/// What `?` and `.into()` make an [`Error`] of: every standard error, and what stands for one, such as `anyhow::Error`, a
/// box or a text.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no error that can be reported",
    label = "neither a standard error nor a text",
    note = "implement `std::error::Error` for it (`thiserror` helps), or say what it means: `.map_err(|e| Error::new(...))`"
)]
pub trait Cause: Into<Box<dyn StdError + Send + Sync>> + 'static {}

impl<E: Into<Box<dyn StdError + Send + Sync>> + 'static> Cause for E {}

impl<E: Cause> From<E> for Error {
    fn from(cause: E) -> Error {
        let mut cause: Box<dyn StdError + Send + Sync> = cause.into();
        // The platform's own errors keep what they mean, though they come in by `?` like everything else.
        macro_rules! known {
            ($($type:ty => $variant:expr),+ $(,)?) => {
                $(match cause.downcast::<$type>() {
                    Ok(known) => return Error { repr: Box::new($variant(*known)) },
                    Err(other) => cause = other,
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
        Error::application(cause, failure_type::<E>())
    }
}

/// The name of an error's type, if it is one: what holds errors of any type, or is a text, has none to give.
fn failure_type<E>() -> Option<&'static str> {
    const NAMELESS: [&str; 6] =
        ["&str", "alloc::string::String", "alloc::boxed::Box", "alloc::borrow::Cow", "anyhow::Error", "eyre::Report"];
    let full = std::any::type_name::<E>();
    let path = full.split('<').next().unwrap_or(full);
    (!NAMELESS.contains(&path)).then(type_name::<E>)
}

impl Error {
    /// For the places that take standard errors only. `?` makes the same error of it again.
    pub fn into_boxed(self) -> Box<dyn StdError + Send + Sync> {
        self.repr
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
    message = "activities, workflows and validators return `Result<T>`, not `{Self}`",
    label = "not a result",
    note = "the error can be `tradewind::Error`, any standard error type, or `anyhow::Error`"
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
