//! A run's own state, from its code.

use super::host::Host;
use super::{Definition, Wait};
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

    /// Waits until the state is so: until a handler, or code that runs beside this, has made it so.
    ///
    /// Fails only when the workflow is cancelled meanwhile; [`Wait::timeout`] gives up earlier.
    pub fn wait_for<'a>(&'a self, mut condition: impl FnMut(&W::State) -> bool + 'a) -> Wait<'a> {
        Wait::new(move || self.read(&mut condition))
    }

    /// Changes the state, and wakes whoever waits for a condition on it.
    pub fn write<R>(&self, write: impl FnOnce(&mut W::State) -> R) -> R {
        self.context.state_mut(|host| write(host.state_mut()))
    }
}
