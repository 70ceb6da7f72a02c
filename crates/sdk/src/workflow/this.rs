//! A run's own state, from its code.

use super::Definition;
use super::host::Host;
use temporalio_workflow::WorkflowContext;

/// The run that this code belongs to: how the entrypoint and async handlers reach the state.
pub struct This<W: Definition> {
    context: WorkflowContext<Host<W>>,
}

impl<W: Definition> Clone for This<W> {
    fn clone(&self) -> Self {
        This { context: self.context.clone() }
    }
}

impl<W: Definition> This<W> {
    pub(super) fn new(context: WorkflowContext<Host<W>>) -> Self {
        This { context }
    }

    /// Reads the state. Not across an await: handlers may change it in between.
    pub fn read<R>(&self, read: impl FnOnce(&W::State) -> R) -> R {
        self.context.state(|host| read(host.state()))
    }

    /// Changes the state, and wakes whoever waits for a condition on it.
    pub fn write<R>(&self, write: impl FnOnce(&mut W::State) -> R) -> R {
        self.context.state_mut(|host| write(host.state_mut()))
    }
}
