//! Starting a workflow.

use super::{Client, ClientError, WorkflowHandle};
use crate::ambient;
use crate::value::Encode;
use crate::workflow::{self, Options};
use std::marker::PhantomData;
use std::pin::Pin;
use temporalio_client::WorkflowStartOptions;
use temporalio_common::UntypedWorkflow;
use temporalio_common::data_converters::{SerializationContextData, WorkflowSerializationContext};

/// A start that is being described. Await it to start.
#[must_use = "nothing is started until this is awaited"]
pub struct Start<W> {
    client: Client,
    args: Box<dyn Encode>,
    options: Options,
    workflow: PhantomData<fn() -> W>,
}

impl<W: workflow::Definition> Start<W> {
    pub(super) fn new(client: Client, call: workflow::Call<W>) -> Self {
        let (args, options) = call.into_parts();
        Start { client, args, options, workflow: PhantomData }
    }

    /// Its workflow id. Without one, a random one.
    pub fn id(self, id: impl Into<String>) -> Self {
        self.with(|options| options.id(id))
    }

    /// The queue whose workers run it. Without one, that of the workflow's attribute, or of the worker in this process
    /// that runs it.
    pub fn task_queue(self, queue: impl Into<String>) -> Self {
        self.with(|options| options.task_queue(queue))
    }

    /// Changes any other option.
    pub fn with(mut self, change: impl FnOnce(Options) -> Options) -> Self {
        self.options = change(self.options);
        self
    }

    async fn send(self) -> Result<WorkflowHandle<W>, ClientError> {
        let Start { client, args, options, .. } = self;
        let Some(queue) = options.task_queue.clone().or_else(|| client.queue_of(W::NAME)) else {
            return Err(ClientError::Invalid(format!(
                "no task queue for the workflow {}: name it with .task_queue(\"...\"), in #[workflow(task_queue = \
                 \"...\")], or build a worker for it with this client first",
                W::NAME
            )));
        };
        let id = options.id.clone().unwrap_or_else(ambient::unique);
        let converter = client.inner().options().data_converter.payload_converter();
        let context = SerializationContextData::Workflow(WorkflowSerializationContext::new());
        let args = args.payloads(converter, &context)?;
        let options = WorkflowStartOptions::new(queue, id.clone())
            .maybe_execution_timeout(options.execution_timeout)
            .maybe_run_timeout(options.run_timeout)
            .maybe_task_timeout(options.task_timeout)
            .maybe_retry_policy(options.retry_policy)
            .maybe_cron_schedule(options.cron_schedule)
            .maybe_search_attributes(options.search_attributes)
            .priority(options.priority.unwrap_or_default())
            .maybe_static_summary(options.summary)
            .build();
        let started = client.inner().start_workflow(UntypedWorkflow::new(W::NAME), args, options).await;
        let started = started.map_err(|error| ClientError::start(error, &id))?;
        Ok(WorkflowHandle::new(client, started))
    }
}

impl<W: workflow::Definition> IntoFuture for Start<W> {
    type Output = Result<WorkflowHandle<W>, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// A start whose result is waited for. Await it to start.
#[must_use = "nothing is started until this is awaited"]
pub struct Execute<W> {
    start: Start<W>,
}

impl<W: workflow::Definition> Execute<W> {
    pub(super) fn new(start: Start<W>) -> Self {
        Execute { start }
    }

    /// Its workflow id. Without one, a random one.
    pub fn id(self, id: impl Into<String>) -> Self {
        Execute { start: self.start.id(id) }
    }

    /// The queue whose workers run it: see [`Start::task_queue`].
    pub fn task_queue(self, queue: impl Into<String>) -> Self {
        Execute { start: self.start.task_queue(queue) }
    }

    /// Changes any other option.
    pub fn with(self, change: impl FnOnce(Options) -> Options) -> Self {
        Execute { start: self.start.with(change) }
    }
}

impl<W: workflow::Definition> IntoFuture for Execute<W> {
    type Output = Result<W::Output, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.start.send().await?.result().await })
    }
}
