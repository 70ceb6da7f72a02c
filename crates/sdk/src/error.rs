//! The one error of activities, workflows and their callers.
//!
//! `?` turns any standard error into a retryable failure that carries the type's name and the chain of its sources, and
//! so it does with what stands for one, such as `anyhow::Error`.
//! What comes back from an activity or a child keeps its wrapper on the wire, while the questions asked here
//! ([`Error::kind`], [`Error::failure_type`], [`Error::details`]) look through the wrapper at what happened.
//!
//! Like other catch-all errors, [`Error`] is not itself a [`std::error::Error`]: that is what lets `?` convert.
//! [`Error::into_boxed`] is the way out.

mod convert;
mod earlier;
#[cfg(test)]
mod tests;
mod view;

pub use crate::attempts::{EarlierAttempt, EarlierFailure};
pub use convert::{Cause, Fallible};
pub use view::{ActivityFailure, ChildFailure, Kind, RetryState, Timeout};

use crate::value::{self, Value};
use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;
use temporalio_common::data_converters::{
    DecodablePayloads, PayloadConversionError, PayloadConverter, SerializationContextData,
};
use temporalio_common::error::{
    ActivityExecutionError, CancelExternalWorkflowError, ChildWorkflowExecutionError, ChildWorkflowStartError,
    FailurePayloads, IncomingError, WorkflowSignalError,
};
use temporalio_workflow::WorkflowTermination;

/// A result whose error is [`Error`] unless another is named.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an activity, a workflow or a call failed.
///
/// ```
/// use tradewind::prelude::*;
///
/// fn parse(amount: &str) -> Result<u32> {
///     let amount: u32 = amount.parse()?;                  // retryable, of type "ParseIntError"
///     if amount == 0 {
///         return Err(Error::non_retryable("the amount is zero").with_type("BadAmount"));
///     }
///     Ok(amount)
/// }
/// assert_eq!(parse("x").unwrap_err().failure_type(), Some("ParseIntError"));
/// assert!(parse("0").unwrap_err().is_non_retryable());
/// ```
pub struct Error {
    repr: Box<Repr>,
}

/// Where an error comes from. Each variant goes back onto the wire as it came.
pub(crate) enum Repr {
    /// This code, or code it called.
    Application(Application),
    Cancelled(Option<FailurePayloads>),
    Activity(ActivityExecutionError),
    ChildStart(ChildWorkflowStartError),
    Child(ChildWorkflowExecutionError),
    Signal(WorkflowSignalError),
    CancelExternal(CancelExternalWorkflowError),
    /// A value that could not be encoded or decoded. In a workflow this fails the task, not the run.
    Payload(PayloadConversionError),
    /// What a client was told of a run that failed.
    Failure(IncomingError),
    /// The run ends in another way than by a result or a failure.
    Termination(WorkflowTermination),
    /// The activity goes on outside its function.
    CompletesLater,
}

/// A failure of the user's own, before it is on the wire.
pub(crate) struct Application {
    pub(crate) source: Box<dyn StdError + Send + Sync>,
    pub(crate) failure_type: Option<Cow<'static, str>>,
    pub(crate) non_retryable: bool,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) details: Option<FailurePayloads>,
    pub(crate) benign: bool,
}

impl Error {
    /// A retryable failure with this message, or from an error whose type does not matter to anybody.
    pub fn new(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        Error::application(source.into(), None)
    }

    /// A failure that no retry can cure.
    pub fn non_retryable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        Error::new(source).no_retry()
    }

    /// The work stopped because it was asked to. An activity that ends with this counts as cancelled, not failed.
    pub fn cancelled() -> Error {
        Repr::Cancelled(None).into()
    }

    /// Says that no retry can cure this.
    pub fn no_retry(mut self) -> Error {
        self.as_application().non_retryable = true;
        self
    }

    /// Names the failure: what `non_retryable_errors` lists and [`Error::failure_type`] returns on the other side.
    pub fn with_type(mut self, name: impl Into<Cow<'static, str>>) -> Error {
        self.as_application().failure_type = Some(name.into());
        self
    }

    /// The next attempt starts after this long, whatever the retry policy says.
    pub fn retry_after(mut self, delay: Duration) -> Error {
        self.as_application().retry_after = Some(delay);
        self
    }

    /// Attaches a value for whoever handles the failure; [`Error::details`] reads it.
    pub fn with_details(mut self, details: impl Value + Sync) -> Error {
        // Encoded at once, so that it reads the same on this side of the wire as on the other.
        let converter = PayloadConverter::default();
        let payloads = value::encode(&details, &converter, &SerializationContextData::None);
        self.as_application().details = Some(match payloads {
            Ok(raw) => DecodablePayloads::new(raw.payloads, converter, SerializationContextData::None).into(),
            Err(_) => details.into(),
        });
        self
    }

    /// Says that this failure is expected: it is logged quietly and left out of error metrics.
    pub fn benign(mut self) -> Error {
        self.as_application().benign = true;
        self
    }

    pub(crate) fn application(source: Box<dyn StdError + Send + Sync>, failure_type: Option<&'static str>) -> Error {
        Error::from(Repr::Application(Application {
            source,
            failure_type: failure_type.map(Cow::Borrowed),
            non_retryable: false,
            retry_after: None,
            details: None,
            benign: false,
        }))
    }

    /// The failure of the user's own in this error. Any other one becomes its source, with its type kept.
    fn as_application(&mut self) -> &mut Application {
        if !matches!(*self.repr, Repr::Application(_)) {
            let failure_type = self.failure_type().map(|name| Cow::Owned(name.to_owned()));
            let inner = std::mem::replace(&mut *self.repr, Repr::CompletesLater);
            let mut outer = Error::application(inner.into_source(), None);
            outer.as_application().failure_type = failure_type;
            *self = outer;
        }
        match &mut *self.repr {
            Repr::Application(application) => application,
            _ => unreachable!("it was just made one"),
        }
    }
}

impl fmt::Display for Error {
    /// `{:#}` adds the causes, as a log line wants them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return self.repr.fmt(f);
        }
        let mut said = self.repr.to_string();
        f.write_str(&said)?;
        for cause in self.causes() {
            // Many errors say what caused them, and name it as their source too.
            if !said.ends_with(&cause) {
                write!(f, ": {cause}")?;
            }
            said = cause;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#}")
    }
}

impl fmt::Display for Repr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(headline) = self.headline() {
            return f.write_str(&headline);
        }
        match self {
            Repr::Application(application) => write!(f, "{}", application.source),
            Repr::Cancelled(_) => f.write_str("cancelled"),
            Repr::Activity(error) => write!(f, "{error}"),
            Repr::ChildStart(error) => write!(f, "{error}"),
            Repr::Child(error) => write!(f, "{error}"),
            Repr::Signal(error) => write!(f, "{error}"),
            Repr::CancelExternal(error) => write!(f, "{error}"),
            Repr::Payload(error) => write!(f, "{error}"),
            Repr::Failure(error) => write!(f, "{error}"),
            Repr::Termination(error) => write!(f, "{error}"),
            Repr::CompletesLater => f.write_str("the activity completes later, from elsewhere"),
        }
    }
}

impl fmt::Debug for Repr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// For the places that take standard errors only.
impl StdError for Repr {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Repr::Application(application) => application.source.source(),
            Repr::Activity(error) => error.source(),
            Repr::ChildStart(error) => error.source(),
            Repr::Child(error) => error.source(),
            Repr::Signal(error) => error.source(),
            Repr::CancelExternal(error) => error.source(),
            Repr::Payload(error) => error.source(),
            Repr::Failure(error) => error.source(),
            Repr::Termination(error) => error.source(),
            Repr::Cancelled(_) | Repr::CompletesLater => None,
        }
    }
}
