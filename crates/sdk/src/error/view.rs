//! What a caller asks of an error.

use super::earlier::given;
use super::{Error, Repr, Result};
use crate::value::Value;
use std::error::Error as StdError;
use temporalio_common::error::{
    ActivityExecutionError, ActivityFailureError, ApplicationFailure, CancelExternalWorkflowError,
    ChildWorkflowExecutionError, ChildWorkflowFailureError, ChildWorkflowStartError, IncomingError, TimeoutError,
    TimeoutType, WorkflowSignalError,
};
use temporalio_workflow::WorkflowTermination;

pub use temporalio_common::error::RetryState;

/// What happened, whoever reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Code returned an error: see [`Error::failure_type`].
    Application,
    /// Time ran out.
    TimedOut(Timeout),
    /// It was asked to stop, and did.
    Cancelled,
    /// The run was ended from outside.
    Terminated,
    /// A child could not be started.
    NotStarted,
    /// A signal or a cancellation found nobody.
    NotFound,
    /// A value did not become a payload, or a payload not the value.
    Payload,
    /// The server says so.
    Server,
}

/// Which time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timeout {
    /// No worker took it in time.
    ScheduleToStart,
    /// One attempt took too long.
    StartToClose,
    /// All attempts together took too long.
    ScheduleToClose,
    /// The worker was not heard of in time.
    Heartbeat,
    /// A timeout this version does not know.
    Other,
}

/// An activity that failed, as its caller sees it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ActivityFailure<'a> {
    /// The activity's name.
    pub name: &'a str,
    /// Its id in the run. Empty for a local activity that returned an error.
    pub id: &'a str,
    /// Why there was no further attempt. Of local activities not always known.
    pub retry_state: RetryState,
    /// Who ran the last attempt. Empty for a local activity.
    pub worker: &'a str,
}

/// A child workflow that failed, as its parent sees it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ChildFailure<'a> {
    /// The workflow's name.
    pub name: &'a str,
    /// Its workflow id.
    pub id: &'a str,
    /// Its run id.
    pub run_id: &'a str,
    /// Why there was no further attempt.
    pub retry_state: RetryState,
}

impl Error {
    /// What happened: for `match`.
    pub fn kind(&self) -> Kind {
        match &*self.repr {
            Repr::Cancelled(_)
            | Repr::Activity(ActivityExecutionError::Cancelled(_))
            | Repr::ChildStart(ChildWorkflowStartError::Cancelled(_))
            | Repr::Termination(WorkflowTermination::Cancelled { .. }) => Kind::Cancelled,
            Repr::Payload(_)
            | Repr::Activity(ActivityExecutionError::Serialization(_))
            | Repr::ChildStart(ChildWorkflowStartError::Serialization(_))
            | Repr::Child(ChildWorkflowExecutionError::Serialization(_))
            | Repr::Signal(WorkflowSignalError::Serialization(_))
            | Repr::CancelExternal(CancelExternalWorkflowError::Serialization(_)) => Kind::Payload,
            Repr::ChildStart(ChildWorkflowStartError::StartFailed { .. }) => Kind::NotStarted,
            Repr::Signal(WorkflowSignalError::NotFound(_))
            | Repr::CancelExternal(CancelExternalWorkflowError::NotFound(_)) => Kind::NotFound,
            _ => self.repr.root().map_or(Kind::Application, kind_of),
        }
    }

    /// The name of the failure, such as `"ParseIntError"`, from whatever side of the wire it comes.
    pub fn failure_type(&self) -> Option<&str> {
        match &*self.repr {
            Repr::Application(application) => application.failure_type.as_deref(),
            _ => self.repr.root_failure()?.type_name(),
        }
    }

    /// Whether the failure is of this type, by its name: `error.is::<CardDeclined>()`.
    pub fn is<E: StdError>(&self) -> bool {
        self.failure_type() == Some(type_name::<E>())
    }

    /// The error itself, while it has not crossed a wire.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        match &*self.repr {
            Repr::Application(application) => application.source.downcast_ref(),
            _ => None,
        }
    }

    /// Whether whoever failed said that no retry can help.
    pub fn is_non_retryable(&self) -> bool {
        match &*self.repr {
            Repr::Application(application) => application.non_retryable,
            _ => self.repr.root_failure().is_some_and(ApplicationFailure::is_non_retryable),
        }
    }

    /// Which timeout ran out, if that is what happened.
    pub fn timed_out(&self) -> Option<Timeout> {
        self.repr.timeout().map(|timeout| timeout.timeout_type().into())
    }

    /// The last checkpoint of an activity that timed out, if there was one.
    pub fn last_heartbeat<T: Value>(&self) -> Result<Option<T>> {
        let timeout = self.repr.timeout().filter(|timeout| given(timeout.raw_last_heartbeat_details()).is_some());
        let details = timeout.map(TimeoutError::last_heartbeat_details).transpose();
        details.map(Option::flatten).map_err(|error| Repr::Payload(error).into())
    }

    /// Whether it was asked to stop, and did.
    pub fn is_cancelled(&self) -> bool {
        self.kind() == Kind::Cancelled
    }

    /// What [`Error::with_details`] attached, or `None` if nothing was.
    pub fn details<T: Value>(&self) -> Result<Option<T>> {
        let details = match &*self.repr {
            Repr::Application(application) => application.details.as_ref().map(|details| details.deserialize()),
            other => {
                let failure = other.root_failure().filter(|failure| given(failure.raw_details()).is_some());
                failure.and_then(|failure| failure.details().transpose())
            }
        };
        details.transpose().map_err(|error| Repr::Payload(error).into())
    }

    /// The activity that failed, when one did.
    pub fn activity(&self) -> Option<ActivityFailure<'_>> {
        let own = match &*self.repr {
            Repr::Activity(ActivityExecutionError::Failed(failure)) => Some(failure),
            _ => None,
        };
        let failure = own.or_else(|| {
            self.repr.chain().find_map(|error| match error {
                IncomingError::Activity(failure) => Some(failure),
                _ => None,
            })
        });
        failure.map(ActivityFailure::of)
    }

    /// The child workflow that failed, when one did.
    pub fn child(&self) -> Option<ChildFailure<'_>> {
        let own = match &*self.repr {
            Repr::Child(ChildWorkflowExecutionError::Failed(failure)) => Some(&**failure),
            _ => None,
        };
        let failure = own.or_else(|| {
            self.repr.chain().find_map(|error| match error {
                IncomingError::ChildWorkflowExecution(failure) => Some(failure),
                _ => None,
            })
        });
        failure.map(ChildFailure::of)
    }

    /// The messages below this one, outermost first.
    pub fn causes(&self) -> impl Iterator<Item = String> {
        self.repr.causes().into_iter()
    }
}

impl Repr {
    /// The wrappers below this one and what they wrap, as they came over the wire.
    fn chain(&self) -> impl Iterator<Item = &IncomingError> {
        let first = match self {
            Repr::Activity(ActivityExecutionError::Failed(failure)) => failure.cause(),
            Repr::Child(ChildWorkflowExecutionError::Failed(failure)) => ChildWorkflowFailureError::cause(failure),
            Repr::Failure(error) => Some(error),
            _ => None,
        };
        std::iter::successors(first, |error| IncomingError::cause(error))
    }

    /// What the wrappers of activities and children wrap.
    pub(super) fn root(&self) -> Option<&IncomingError> {
        self.chain().find(|error| match error {
            IncomingError::Activity(_) | IncomingError::ChildWorkflowExecution(_) => false,
            // What a handler returned comes in one more failure, which says nothing of its own.
            IncomingError::Application(outer) => {
                IncomingError::cause(error).is_none() || outer.type_name().is_some() || outer.raw_details().is_some()
            }
            _ => true,
        })
    }

    fn root_failure(&self) -> Option<&ApplicationFailure> {
        match self.root()? {
            IncomingError::Application(failure) => Some(failure),
            _ => None,
        }
    }

    fn timeout(&self) -> Option<&TimeoutError> {
        match self.root()? {
            IncomingError::Timeout(timeout) => Some(timeout),
            _ => None,
        }
    }

    /// What it says, with what failed and why in one line.
    pub(super) fn headline(&self) -> Option<String> {
        let what = match self {
            Repr::Activity(ActivityExecutionError::Failed(failure)) => {
                format!("activity {} failed", failure.activity_type().unwrap_or_default())
            }
            Repr::Activity(ActivityExecutionError::Cancelled(_)) => return Some("the activity was cancelled".into()),
            Repr::Child(ChildWorkflowExecutionError::Failed(failure)) => {
                format!("child workflow {} failed", failure.workflow_type().unwrap_or_default())
            }
            Repr::Failure(_) => return self.root().map(|root| root.failure().message.clone()),
            _ => return None,
        };
        Some(match self.root() {
            Some(root) => format!("{what}: {}", root.failure().message),
            None => what,
        })
    }

    /// The messages of what caused it, outermost first.
    fn causes(&self) -> Vec<String> {
        if self.headline().is_some() {
            let below =
                std::iter::successors(self.root().and_then(IncomingError::cause), |error| IncomingError::cause(error));
            return below.map(|error| error.failure().message.clone()).collect();
        }
        let below = std::iter::successors(self.source(), |error| (*error).source());
        below.map(ToString::to_string).collect()
    }
}

impl<'a> ActivityFailure<'a> {
    fn of(failure: &'a ActivityFailureError) -> Self {
        ActivityFailure {
            name: failure.activity_type().unwrap_or_default(),
            id: failure.activity_id(),
            retry_state: failure.retry_state(),
            worker: failure.identity(),
        }
    }
}

impl<'a> ChildFailure<'a> {
    fn of(failure: &'a ChildWorkflowFailureError) -> Self {
        let execution = failure.workflow_execution();
        ChildFailure {
            name: failure.workflow_type().unwrap_or_default(),
            id: execution.map(|execution| execution.workflow_id()).unwrap_or_default(),
            run_id: execution.map(|execution| execution.run_id()).unwrap_or_default(),
            retry_state: failure.retry_state(),
        }
    }
}

fn kind_of(error: &IncomingError) -> Kind {
    match error {
        IncomingError::Timeout(timeout) => Kind::TimedOut(timeout.timeout_type().into()),
        IncomingError::Cancelled(_) => Kind::Cancelled,
        IncomingError::Terminated(_) => Kind::Terminated,
        IncomingError::Server(_) => Kind::Server,
        _ => Kind::Application,
    }
}

impl From<TimeoutType> for Timeout {
    fn from(which: TimeoutType) -> Timeout {
        match which {
            TimeoutType::ScheduleToStart => Timeout::ScheduleToStart,
            TimeoutType::StartToClose => Timeout::StartToClose,
            TimeoutType::ScheduleToClose => Timeout::ScheduleToClose,
            TimeoutType::Heartbeat => Timeout::Heartbeat,
            _ => Timeout::Other,
        }
    }
}

/// The last part of a type's path, without generics: what other languages call a failure's type.
pub(crate) fn type_name<T: ?Sized>() -> &'static str {
    let full = std::any::type_name::<T>();
    let path = full.split('<').next().unwrap_or(full);
    path.rsplit("::").next().unwrap_or(path)
}
