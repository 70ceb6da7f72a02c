//! Starting a workflow.

use super::with_start::Described;
use super::{Client, ClientError, WorkflowHandle, delayed};
use crate::Priority;
use crate::ambient;
use crate::value::{Encode, Value};
use crate::workflow::{self, Options};
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;
use temporalio_client::WorkflowStartOptions;
use temporalio_common::data_converters::{SerializationContextData, WorkflowSerializationContext};
use temporalio_common::{MemoValues, UntypedWorkflow};

/// What happens if a *running* execution has the workflow id.
pub use temporalio_client::WorkflowIdConflictPolicy as IdConflict;
/// What happens if a *closed* execution has the workflow id.
pub use temporalio_client::WorkflowIdReusePolicy as IdReuse;

/// A start that is being described. Await it to start.
///
/// ```no_run
/// # use tradewind::prelude::*;
/// # use tradewind::client::IdReuse;
/// # use std::time::Duration;
/// # #[workflow] async fn report(which: String) -> Result<()> { Ok(()) }
/// # async fn start(client: Client) -> Result<(), ClientError> {
/// let handle = client
///     .start(report("all".into()))
///     .id("report-all")
///     .task_queue("reports")
///     .id_reuse(IdReuse::AllowDuplicateFailedOnly)
///     .memo("asked by", "ann".to_owned())
///     .with(|o| o.execution_timeout(Duration::from_secs(3600)))
///     .await?;
/// # Ok(()) }
/// ```
#[must_use = "nothing is started until this is awaited"]
pub struct Start<W, Then = ToHandle> {
    client: Client,
    args: Box<dyn Encode>,
    options: Options,
    id_conflict: IdConflict,
    id_reuse: IdReuse,
    start_delay: Option<Duration>,
    eager: bool,
    memo: Option<MemoValues>,
    types: PhantomData<fn() -> (W, Then)>,
}

/// A start whose result is waited for. Await it to start.
pub type Execute<W> = Start<W, ToResult>;

/// A start that gives a handle.
#[derive(Debug)]
pub struct ToHandle;

/// A start that gives the result.
#[derive(Debug)]
pub struct ToResult;

impl<W: workflow::Definition> Start<W> {
    pub(super) fn new(client: Client, call: workflow::Call<W>) -> Self {
        let (args, options) = call.into_parts();
        Start {
            client,
            args,
            options,
            id_conflict: IdConflict::default(),
            id_reuse: IdReuse::default(),
            start_delay: None,
            eager: false,
            memo: None,
            types: PhantomData,
        }
    }

    /// The same start, whose result is waited for.
    pub fn and_wait(self) -> Execute<W> {
        let Start { client, args, options, id_conflict, id_reuse, start_delay, eager, memo, .. } = self;
        Start { client, args, options, id_conflict, id_reuse, start_delay, eager, memo, types: PhantomData }
    }
}

impl<W: workflow::Definition, Then> Start<W, Then> {
    /// Its workflow id. Without one, a random one.
    pub fn id(self, id: impl Into<String>) -> Self {
        self.with(|options| options.id(id))
    }

    /// The queue whose workers run it. Without one, that of the workflow's attribute, or of the worker in this process
    /// that runs it.
    pub fn task_queue(self, queue: impl Into<String>) -> Self {
        self.with(|options| options.task_queue(queue))
    }

    /// Changes any option that a workflow has wherever it is started from: timeouts, retries, cron, search attributes, …
    pub fn with(mut self, change: impl FnOnce(Options) -> Options) -> Self {
        self.options = change(self.options);
        self
    }

    /// What happens if a running execution has the id. The start fails, if nothing is said.
    pub fn id_conflict(mut self, policy: IdConflict) -> Self {
        self.id_conflict = policy;
        self
    }

    /// What happens if a closed execution has the id. The start goes on, if nothing is said.
    pub fn id_reuse(mut self, policy: IdReuse) -> Self {
        self.id_reuse = policy;
        self
    }

    /// Its first workflow task waits this long. A signal ends the wait. A start with a delay begins no trace.
    pub fn start_delay(mut self, delay: Duration) -> Self {
        self.start_delay = Some(delay);
        self
    }

    /// Asks the server to hand the first workflow task back with the answer, if a worker of this client can run it. Saves a
    /// round trip.
    pub fn eager(mut self) -> Self {
        self.eager = true;
        self
    }

    /// Attaches a value that lists and descriptions show. It goes through the data converter, so it may be encrypted.
    pub fn memo(mut self, name: impl Into<String>, value: impl Value + Sync) -> Self {
        self.memo.get_or_insert_default().insert(name.into(), value);
        self
    }

    /// For starts that bring a message: the official client, which sends those, has no delay.
    pub(super) fn describe_at_once(self, what: &str) -> Result<Described, ClientError> {
        if self.start_delay.is_some() {
            return Err(ClientError::Invalid(format!("a start that brings a {what} cannot be delayed")));
        }
        self.describe()
    }

    fn describe(self) -> Result<Described, ClientError> {
        let Start { client, args, options, .. } = self;
        let queue = client.queue_for(W::NAME, &options)?;
        let id = options.id.clone().unwrap_or_else(ambient::unique);
        let converter = client.inner().options().data_converter.payload_converter();
        let context = SerializationContextData::Workflow(WorkflowSerializationContext::new());
        let args = args.payloads(converter, &context)?;
        let options = WorkflowStartOptions::new(queue, id)
            .maybe_execution_timeout(options.execution_timeout)
            .maybe_run_timeout(options.run_timeout)
            .maybe_task_timeout(options.task_timeout)
            .maybe_retry_policy(options.retry_policy)
            .maybe_cron_schedule(options.cron_schedule)
            .maybe_search_attributes(options.search_attributes)
            .priority(options.priority.map(Priority::into_official).unwrap_or_default())
            .maybe_static_summary(options.summary)
            .id_conflict_policy(self.id_conflict)
            .id_reuse_policy(self.id_reuse)
            .enable_eager_workflow_start(self.eager)
            .maybe_memo(self.memo)
            .build();
        Ok(Described { client, args, options })
    }

    async fn send(self) -> Result<WorkflowHandle<W>, ClientError> {
        let delay = self.start_delay;
        let Described { client, args, options } = self.describe()?;
        if let Some(delay) = delay {
            return delayed::start(client, W::NAME, args, options, delay).await;
        }
        let id = options.workflow_id.clone();
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

impl<W: workflow::Definition> IntoFuture for Execute<W> {
    type Output = Result<W::Output, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.send().await?.result().await })
    }
}
