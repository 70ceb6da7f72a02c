//! A workflow execution that runs or has run.

use super::{Client, ClientError};
use crate::value;
use crate::workflow;
use std::marker::PhantomData;
use temporalio_client::WorkflowGetResultOptions;
use temporalio_common::UntypedWorkflow;
use temporalio_common::data_converters::{SerializationContextData, WorkflowSerializationContext};

/// A workflow execution: wait for it, talk to it, stop it.
pub struct WorkflowHandle<W> {
    client: Client,
    inner: temporalio_client::WorkflowHandle<temporalio_client::Client, UntypedWorkflow>,
    workflow: PhantomData<fn() -> W>,
}

impl<W: workflow::Definition> WorkflowHandle<W> {
    pub(super) fn new(
        client: Client,
        inner: temporalio_client::WorkflowHandle<temporalio_client::Client, UntypedWorkflow>,
    ) -> Self {
        WorkflowHandle { client, inner, workflow: PhantomData }
    }

    /// The workflow id.
    pub fn id(&self) -> &str {
        &self.inner.info().workflow_id
    }

    /// The run id, if the handle is of one run.
    pub fn run_id(&self) -> Option<&str> {
        self.inner.run_id()
    }

    /// Waits for the result, through continuations and retries.
    pub async fn result(&self) -> Result<W::Output, ClientError> {
        let raw = self.inner.get_result(WorkflowGetResultOptions::default()).await?;
        let converter = self.client.inner().options().data_converter.payload_converter();
        let context = SerializationContextData::Workflow(WorkflowSerializationContext::new());
        Ok(value::decode(raw, converter, &context)?)
    }
}
