//! Parts of a workflow that are cancelled together, or that cancellation does not reach.

use super::current;
use send_wrapper::SendWrapper;
use std::pin::Pin;
use std::task::{Context, Poll};
use temporalio_workflow::WorkflowCancellationToken;

/// A part of a workflow that can be cancelled by itself. It is cancelled with what surrounds it, too.
///
/// ```
/// # use tradewind::prelude::*;
/// # use std::time::Duration;
/// # #[activity] async fn search(place: String) -> Result<String> { Ok(place) }
/// #[workflow]
/// async fn first_found() -> Result<String> {
///     let scope = workflow::Scope::new();
///     let searching = scope.run(search("attic".into()));
///     workflow::select! {
///         found = searching => found,
///         _ = workflow::sleep(Duration::from_secs(60)) => {
///             scope.cancel();
///             Err(Error::non_retryable("not found in a minute"))
///         }
///     }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Scope {
    token: SendWrapper<WorkflowCancellationToken>,
}

impl Scope {
    /// A part of what runs now.
    ///
    /// # Panics
    /// Outside a workflow.
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "it belongs to the code that makes it")]
    pub fn new() -> Scope {
        Scope { token: SendWrapper::new(current::get("workflow::Scope::new()").token().child_token()) }
    }

    /// A part that is not cancelled with what surrounds it.
    pub fn detached() -> Scope {
        Scope { token: SendWrapper::new(WorkflowCancellationToken::new()) }
    }

    /// Runs this code as the part.
    pub fn run<F: Future>(&self, code: F) -> Scoped<F> {
        Scoped { token: self.token.clone(), code: Box::pin(code) }
    }

    /// Asks everything in the part to stop.
    pub fn cancel(&self) {
        self.token.cancel();
    }

    /// Whether it was asked to stop, itself or with what surrounds it.
    pub fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }
}

/// Code that runs as a part: see [`Scope::run`].
#[must_use = "nothing runs until this is awaited"]
pub struct Scoped<F> {
    token: SendWrapper<WorkflowCancellationToken>,
    code: Pin<Box<F>>,
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _inside = current::get("a workflow::Scope").with_token((*self.token).clone()).enter();
        self.code.as_mut().poll(cx)
    }
}

/// Runs this code although the workflow is cancelled: for what has to be cleaned up.
pub fn detached<F: Future>(code: F) -> Scoped<F> {
    Scope::detached().run(code)
}

/// Resolves when the workflow, or the scope that this is awaited in, is asked to stop.
pub async fn cancelled() {
    let current = current::get("workflow::cancelled()");
    current.token().cancelled().await;
}

/// Whether the workflow, or the scope that this is called in, was asked to stop.
///
/// # Panics
/// Outside a workflow.
#[track_caller]
pub fn is_cancelled() -> bool {
    current::get("workflow::is_cancelled()").token().is_cancelled()
}

/// What whoever asked it to stop gave as the reason.
///
/// # Panics
/// Outside a workflow.
#[track_caller]
pub fn cancellation_reason() -> Option<String> {
    current::get("workflow::cancellation_reason()").token().reason()
}
