//! The caller's side: starts workflows, waits for them, talks to them.

mod activity;
mod builder;
mod config;
mod delayed;
mod error;
mod handle;
mod list;
mod schedule;
mod start;
mod wire;
mod with_start;

pub use activity::{ActivityHandle, ActivityRef, HeartbeatResponse};
pub use builder::Builder;
pub use error::ClientError;
pub use handle::{Description, History, Untyped, UpdateHandle, WorkflowHandle};
pub use list::{Count, List, Listed};
pub use schedule::{
    Backfill, Calendar, Overlap, Schedule, ScheduleDescription, ScheduleHandle, ScheduleSummary, ScheduleUpdate,
    Schedules,
};
pub use start::{Execute, IdConflict, IdReuse, Start};
pub use with_start::{SignalWithStart, UpdateWithStart};

use crate::payload::{DataConverter, Pipeline};
use crate::telemetry::Metrics;
use crate::testing::Mocks;
use crate::workflow::{self, Options, WorkflowFn};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use temporalio_client::{ClientOptions, Connection, ConnectionOptions};
use temporalio_sdk::Runtime;
use temporalio_sdk::runtime::RuntimeOptions;

/// A connection to a server, bound to one namespace. Cloning it is cheap.
#[derive(Clone)]
pub struct Client {
    inner: temporalio_client::Client,
    shared: Arc<Shared>,
}

/// What all clones of a client share.
struct Shared {
    runtime: Runtime,
    /// The stages of its data converter, if they are ours.
    pipeline: Option<Pipeline>,
    /// Kept, because the endpoint ends with the last of them.
    metrics: Option<Metrics>,
    /// The queue of the worker in this process that runs a workflow: where to start it unless something else is said.
    queues: RwLock<HashMap<String, String>>,
    mocks: Mocks,
}

impl Client {
    /// Connects to a server, such as `"localhost:7233"`, in the namespace `default`.
    pub async fn connect(address: &str) -> Result<Client, ClientError> {
        Client::builder().address(address).connect().await
    }

    /// Connects to where the environment and the configuration file say, as the official SDKs and the official command
    /// line read them: `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_API_KEY`, `TEMPORAL_TLS…`,
    /// `TEMPORAL_GRPC_META_…`, and below them the profile `TEMPORAL_PROFILE` of the file `TEMPORAL_CONFIG_FILE`
    /// (`temporalio/temporal.toml` in the user's configuration directory).
    ///
    /// ```no_run
    /// # async fn connect() -> Result<(), tradewind::ClientError> {
    /// let client = tradewind::Client::from_env().await?;
    /// # Ok(()) }
    /// ```
    pub async fn from_env() -> Result<Client, ClientError> {
        Builder::from_env()?.connect().await
    }

    /// Describes a connection: see [`Builder`].
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) async fn with_options(
        connection: ConnectionOptions,
        client: ClientOptions,
        pipeline: Option<Pipeline>,
        metrics: Option<Metrics>,
    ) -> Result<Client, ClientError> {
        let telemetry = metrics.as_ref().map(Metrics::options).unwrap_or_default();
        let options = RuntimeOptions::builder().telemetry_options(telemetry).build();
        let runtime = Runtime::from_current_tokio(options.map_err(ClientError::Config)?)?;
        let target = connection.target.clone();
        let connection =
            Connection::connect(connection).await.map_err(|error| ClientError::connect(target.as_str(), &error))?;
        let inner = temporalio_client::Client::new(connection, client)?;
        Ok(Client {
            inner,
            shared: Arc::new(Shared { runtime, pipeline, metrics, queues: RwLock::default(), mocks: Mocks::default() }),
        })
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.inner.options().namespace
    }

    /// Starts a workflow: `client.start(report("42".into())).id("report-42").await?`.
    pub fn start<W: workflow::Definition>(&self, call: workflow::Call<W>) -> Start<W> {
        Start::new(self.clone(), call)
    }

    /// Starts a workflow and waits for its result.
    pub fn execute<W: workflow::Definition>(&self, call: workflow::Call<W>) -> Execute<W> {
        self.start(call).and_wait()
    }

    /// The execution of this workflow with this id: `client.handle(report, "report-42")`. Whether there is one shows when
    /// it is asked something.
    pub fn handle<M, F: WorkflowFn<M>>(&self, workflow: F, id: impl Into<String>) -> WorkflowHandle<F::Definition> {
        let _ = workflow;
        WorkflowHandle::existing(self, id)
    }

    /// The execution with this id, whatever its workflow.
    pub fn untyped_handle(&self, id: impl Into<String>) -> WorkflowHandle<Untyped> {
        WorkflowHandle::existing(self, id)
    }

    pub(crate) fn inner(&self) -> &temporalio_client::Client {
        &self.inner
    }

    fn converter(&self) -> &DataConverter {
        &self.inner.options().data_converter
    }

    pub(crate) fn pipeline(&self) -> Option<Pipeline> {
        self.shared.pipeline.clone()
    }

    /// What a test has put in the place of activities.
    pub(crate) fn mocks(&self) -> &Mocks {
        &self.shared.mocks
    }

    pub(crate) fn metrics(&self) -> Option<&Metrics> {
        self.shared.metrics.as_ref()
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.shared.runtime
    }

    /// Remembers where a worker of this process runs a workflow.
    pub(crate) fn remember_queue(&self, workflow: &str, queue: &str) {
        self.shared.queues.write().insert(workflow.to_owned(), queue.to_owned());
    }

    /// Where to start a workflow.
    fn queue_for(&self, workflow: &str, options: &Options) -> Result<String, ClientError> {
        let known = || self.shared.queues.read().get(workflow).cloned();
        options.task_queue.clone().or_else(known).ok_or_else(|| {
            ClientError::Invalid(format!(
                "no task queue for the workflow {workflow}: name it with .task_queue(\"...\"), in \
                 #[workflow(task_queue = \"...\")], or build a worker for it with this client first"
            ))
        })
    }
}
