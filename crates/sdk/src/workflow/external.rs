//! Other workflow executions, from inside a workflow.

use super::operations::StartedChild;
use super::{Definition, Signal, current};
use crate::error::{Error, Result};
use crate::value;
use send_wrapper::SendWrapper;
use std::marker::PhantomData;
use temporalio_client::UntypedSignal;
use temporalio_common::UntypedWorkflow;
use temporalio_common::data_converters::{RawValue, SerializationContextData, WorkflowSerializationContext};
use temporalio_workflow::{ExternalWorkflowHandle, SignalWorkflowOptions};

/// A child that was started: see [`Call::start`](super::Call::start).
pub struct Child<W> {
    inner: SendWrapper<StartedChild>,
    id: String,
    workflow: PhantomData<fn() -> W>,
}

impl<W: Definition> Child<W> {
    pub(super) fn new(inner: StartedChild, id: String) -> Self {
        Child { inner: SendWrapper::new(inner), id, workflow: PhantomData }
    }

    /// Its workflow id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its run id.
    pub fn run_id(&self) -> &str {
        &self.inner.run_id
    }

    /// Sends it a signal.
    pub async fn signal(&self, signal: Signal<W>) -> Result<()> {
        let (name, args) = encode(signal)?;
        let options = SignalWorkflowOptions::default();
        Ok(self.inner.signal(UntypedSignal::<UntypedWorkflow>::new(name), args, options).await?)
    }

    /// Asks it to stop.
    pub fn cancel(&self, reason: impl Into<String>) {
        self.inner.cancel(reason.into());
    }

    /// Waits for its result.
    pub async fn result(self) -> Result<W::Output> {
        let converter = current::get("Child::result()").operations().converter();
        let raw = self.inner.take().result().await?;
        Ok(value::decode(raw, &converter, &context())?)
    }
}

/// A workflow execution of this namespace that is not a child: see [`external`].
pub struct External<W> {
    inner: SendWrapper<ExternalWorkflowHandle>,
    workflow: PhantomData<fn() -> W>,
}

/// Another workflow execution: `workflow::external::<Order>("order-7").signal(Order::approve("ann".into())).await?`.
///
/// # Panics
/// Outside a workflow.
#[track_caller]
pub fn external<W: Definition>(id: impl Into<String>) -> External<W> {
    let inner = current::get("workflow::external()").operations().external(id.into(), None);
    External { inner: SendWrapper::new(inner), workflow: PhantomData }
}

impl<W: Definition> External<W> {
    /// The same workflow id, and this run of it alone.
    pub fn run(self, run_id: impl Into<String>) -> Self {
        let current = current::get("External::run()");
        let inner = current.operations().external(self.inner.workflow_id().to_owned(), Some(run_id.into()));
        External { inner: SendWrapper::new(inner), workflow: PhantomData }
    }

    /// Sends it a signal.
    pub async fn signal(&self, signal: Signal<W>) -> Result<()> {
        let (name, args) = encode(signal)?;
        let options = SignalWorkflowOptions::default();
        Ok(self.inner.signal(UntypedSignal::<UntypedWorkflow>::new(name), args, options).await?)
    }

    /// Asks it to stop.
    pub async fn cancel(&self, reason: impl Into<String>) -> Result<()> {
        Ok(self.inner.cancel(Some(reason.into())).await?)
    }
}

fn encode<W>(signal: Signal<W>) -> Result<(&'static str, RawValue)> {
    let Some(current) = current::try_get() else {
        return Err(Error::non_retryable("a workflow's signal was sent outside a workflow"));
    };
    let (name, args) = signal.into_parts();
    Ok((name, args.payloads(&current.operations().converter(), &context())?))
}

fn context() -> SerializationContextData {
    SerializationContextData::Workflow(WorkflowSerializationContext::new())
}
