//! The time of a workflow, which moves with its history.

use super::current;
use super::operations::Pending;
use crate::error::{Error, Result};
use futures_util::future::FusedFuture;
use send_wrapper::SendWrapper;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use temporalio_workflow::{TimerOptions, TimerResult, WorkflowCancellationToken};

/// The time of the workflow: the same again in every replay.
///
/// # Panics
/// Outside a workflow.
#[track_caller]
pub fn now() -> SystemTime {
    let current = current::get("workflow::now()");
    current.operations().time().expect("a workflow task has a time")
}

/// Waits this long, through restarts of worker and server. Fails only when the workflow is cancelled meanwhile.
///
/// Dropping it cancels the timer.
pub fn sleep(duration: Duration) -> Sleep {
    Sleep { state: State::Described { duration, summary: None } }
}

/// A timer: see [`sleep`].
#[must_use = "a timer starts when it is awaited"]
pub struct Sleep {
    state: State,
}

enum State {
    Described { duration: Duration, summary: Option<String> },
    Started(SendWrapper<(Pending<TimerResult>, WorkflowCancellationToken)>),
    Done,
}

impl Sleep {
    /// A line about the timer for whoever looks at the run.
    pub fn summary(mut self, text: impl Into<String>) -> Self {
        if let State::Described { summary, .. } = &mut self.state {
            *summary = Some(text.into());
        }
        self
    }
}

impl Future for Sleep {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Described { duration, summary } = &mut self.state {
            let current = current::get("workflow::sleep()");
            let token = current.token().child_token();
            let options = TimerOptions::builder(*duration)
                .maybe_summary(summary.take())
                .cancellation_token(token.clone())
                .build();
            self.state = State::Started(SendWrapper::new((current.operations().timer(options), token)));
        }
        let State::Started(started) = &mut self.state else { panic!("a timer was polled after it fired") };
        let fired = started.0.as_mut().poll(cx);
        if fired.is_ready() {
            self.state = State::Done;
        }
        fired.map(|fired| match fired {
            TimerResult::Fired => Ok(()),
            TimerResult::Cancelled => Err(Error::cancelled()),
        })
    }
}

impl FusedFuture for Sleep {
    fn is_terminated(&self) -> bool {
        matches!(self.state, State::Done)
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let State::Started(started) = &self.state
            && current::try_get().is_some()
        {
            started.1.cancel();
        }
    }
}
