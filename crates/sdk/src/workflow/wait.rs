//! Waiting until something is so.

use super::operations::Pending;
use super::{Sleep, current, sleep};
use crate::error::{Error, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Waits until the condition holds. It is looked at again whenever a handler or [`This::write`](super::This::write) has
/// changed the state, so it reads that: `workflow::wait_for(|| this.read(|order| order.paid)).await?`.
///
/// Fails only when the workflow is cancelled meanwhile; [`Wait::timeout`] gives up earlier.
pub fn wait_for<'a>(condition: impl FnMut() -> bool + 'a) -> Wait<'a> {
    Wait::new(condition)
}

/// A condition that is waited for: see [`wait_for`].
#[must_use = "nothing waits until this is awaited"]
pub struct Wait<'a> {
    condition: Box<dyn FnMut() -> bool + 'a>,
    /// What a change of state or a cancellation wakes.
    woken: Option<Pending<()>>,
}

impl<'a> Wait<'a> {
    pub(super) fn new(condition: impl FnMut() -> bool + 'a) -> Self {
        Wait { condition: Box::new(condition), woken: None }
    }

    /// Gives up after this long: resolves to whether the condition held in time.
    pub fn timeout(self, limit: Duration) -> WaitTimeout<'a> {
        WaitTimeout { wait: self, limit: sleep(limit) }
    }
}

impl Future for Wait<'_> {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if (this.condition)() {
            return Poll::Ready(Ok(()));
        }
        let current = current::get("workflow::wait_for()");
        if current.token().is_cancelled() {
            return Poll::Ready(Err(Error::cancelled()));
        }
        let woken = this.woken.get_or_insert_with(|| current.operations().changed(current.token().clone()));
        match woken.as_mut().poll(cx) {
            // It resolves on cancellation alone: a change of state wakes the task, and the condition is asked again.
            Poll::Ready(()) => Poll::Ready(Err(Error::cancelled())),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// A condition that is waited for, for a while: see [`Wait::timeout`].
#[must_use = "nothing waits until this is awaited"]
pub struct WaitTimeout<'a> {
    wait: Wait<'a>,
    limit: Sleep,
}

impl Future for WaitTimeout<'_> {
    type Output = Result<bool>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Poll::Ready(held) = Pin::new(&mut this.wait).poll(cx) {
            return Poll::Ready(held.map(|()| true));
        }
        Pin::new(&mut this.limit).poll(cx).map(|fired| fired.map(|()| false))
    }
}
