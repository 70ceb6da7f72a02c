//! The caller's side: starts workflows, waits for them, talks to them.

mod error;
mod handle;
mod start;

pub use error::ClientError;
pub use handle::WorkflowHandle;
pub use start::{Execute, Start};

use crate::workflow;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use temporalio_client::{ClientOptions, Connection, ConnectionOptions};
use temporalio_sdk::Runtime;
use temporalio_sdk::runtime::RuntimeOptions;
use url::Url;

/// A connection to a server, bound to one namespace. Cloning it is cheap.
#[derive(Clone)]
pub struct Client {
    inner: temporalio_client::Client,
    shared: Arc<Shared>,
}

/// What all clones of a client share.
struct Shared {
    runtime: Runtime,
    /// The queue of the worker in this process that runs a workflow: where to start it unless something else is said.
    queues: RwLock<HashMap<String, String>>,
}

impl Client {
    /// Connects to a server, such as `"localhost:7233"`, in the namespace `default`.
    pub async fn connect(address: &str) -> Result<Client, ClientError> {
        let target = match address.contains("://") {
            true => address.to_owned(),
            false => format!("http://{address}"),
        };
        let target = Url::parse(&target).map_err(|error| ClientError::address(address, error))?;
        let options = ConnectionOptions::new(target).build();
        Client::with_options(options, ClientOptions::new("default").build()).await
    }

    pub(crate) async fn with_options(
        connection: ConnectionOptions,
        client: ClientOptions,
    ) -> Result<Client, ClientError> {
        let runtime = Runtime::from_current_tokio(RuntimeOptions::default())?;
        let connection = Connection::connect(connection).await?;
        let inner = temporalio_client::Client::new(connection, client)?;
        Ok(Client { inner, shared: Arc::new(Shared { runtime, queues: RwLock::default() }) })
    }

    /// Starts a workflow: `client.start(report("42".into())).id("report-42").await?`.
    pub fn start<W: workflow::Definition>(&self, call: workflow::Call<W>) -> Start<W> {
        Start::new(self.clone(), call)
    }

    /// Starts a workflow and waits for its result.
    pub fn execute<W: workflow::Definition>(&self, call: workflow::Call<W>) -> Execute<W> {
        Execute::new(self.start(call))
    }

    pub(crate) fn inner(&self) -> &temporalio_client::Client {
        &self.inner
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.shared.runtime
    }

    /// Remembers where a worker of this process runs a workflow.
    pub(crate) fn remember_queue(&self, workflow: &str, queue: &str) {
        self.shared.queues.write().insert(workflow.to_owned(), queue.to_owned());
    }

    pub(crate) fn queue_of(&self, workflow: &str) -> Option<String> {
        self.shared.queues.read().get(workflow).cloned()
    }
}
