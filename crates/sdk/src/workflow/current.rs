//! Which workflow is being polled on this thread.
//!
//! Invariants
//! - Set around each poll of a run's code and of its handlers, and at no other time. So code that is dropped with its
//!   run, or moved to another thread, finds nothing here.
//! - The cancellation token is that of the innermost scope.

use super::operations::Operations;
use std::cell::RefCell;
use std::rc::Rc;
use temporalio_workflow::WorkflowCancellationToken;
use tracing::span::EnteredSpan;

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

/// The run whose code is being polled, and the scope in it.
#[derive(Clone)]
pub(crate) struct Current {
    operations: Rc<dyn Operations>,
    token: WorkflowCancellationToken,
}

impl Current {
    pub(crate) fn new(operations: Rc<dyn Operations>) -> Current {
        let token = operations.token();
        Current { operations, token }
    }

    pub(crate) fn operations(&self) -> &dyn Operations {
        &*self.operations
    }

    pub(crate) fn token(&self) -> &WorkflowCancellationToken {
        &self.token
    }

    /// The same run, in another scope.
    pub(crate) fn with_token(self, token: WorkflowCancellationToken) -> Current {
        Current { token, ..self }
    }

    pub(crate) fn enter(self) -> Entered {
        let outside = CURRENT.with_borrow(Option::is_none);
        let span = outside.then(|| self.operations.span().entered());
        Entered { outer: CURRENT.replace(Some(self)), _span: span }
    }
}

/// Puts back what was current before.
pub(crate) struct Entered {
    outer: Option<Current>,
    /// Names the run in log lines. Scopes within a run add nothing to it.
    _span: Option<EnteredSpan>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.outer.take());
    }
}

pub(crate) fn try_get() -> Option<Current> {
    CURRENT.with_borrow(Clone::clone)
}

/// Whether this is workflow code that does again what history says it did.
pub(crate) fn is_replaying() -> bool {
    CURRENT.with_borrow(|current| current.as_ref().is_some_and(|current| current.operations.is_replaying()))
}

/// The run whose code this is. `what` names the caller in the panic that follows when there is none.
#[track_caller]
pub(crate) fn get(what: &str) -> Current {
    try_get().unwrap_or_else(|| panic!("{what} was called outside a workflow"))
}
