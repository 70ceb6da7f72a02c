//! The engine and the workers of one process: what a program starts with and stops with.

#[cfg(feature = "embedded")]
mod engine;

use crate::client::{self, Client, ClientError};
use crate::worker::{Worker, WorkerError};
use parking_lot::Mutex;
use std::fmt;
use std::ops::Deref;
use std::path::Path;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

#[cfg(feature = "embedded")]
pub(crate) use engine::Engine;

/// The variable that names a server for [`Tradewind::from_env`].
pub const ADDRESS_VARIABLE: &str = "TRADEWIND_ADDRESS";

/// A place to run workflows: an engine in this process, or a connection to a server. The rest of a program does not
/// know which.
///
/// It is a [`Client`] with two things more: it runs [workers](Tradewind::spawn), and it [stops](Tradewind::shutdown)
/// all of it in order.
///
/// ```
/// use tradewind::prelude::*;
///
/// #[activity]
/// async fn greeting(name: String) -> Result<String> {
///     Ok(format!("Hello, {name}!"))
/// }
///
/// #[workflow]
/// async fn hello(name: String) -> Result<String> {
///     greeting(name).await
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// # let directory = tempfile::tempdir()?;
/// # let data = directory.path();
/// let tradewind = Tradewind::embedded(data).await?;     // later: Tradewind::connect("tradewind:7233")
/// tradewind.spawn(Worker::builder(&tradewind, "greetings").activity(greeting).workflow(hello).build()?);
///
/// assert_eq!(tradewind.execute(hello("world".into())).await?, "Hello, world!");
/// tradewind.shutdown().await?;
/// # Ok(())
/// # }
/// ```
pub struct Tradewind {
    client: Client,
    #[cfg(feature = "embedded")]
    engine: Option<Engine>,
    stop: CancellationToken,
    workers: Mutex<Vec<JoinHandle<Result<(), WorkerError>>>>,
}

/// Why an engine does not start, or does not stop as it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TradewindError {
    /// The engine in this process does not start. A data directory belongs to one process at a time.
    #[error(transparent)]
    Engine(Box<dyn std::error::Error + Send + Sync>),
    /// There is no connection.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A worker did not end well.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// This build has no engine in it.
    #[error("{ADDRESS_VARIABLE} is not set, and this program is built without the feature \"embedded\"")]
    NoEngine,
}

impl Tradewind {
    /// Connects to a server, such as `"localhost:7233"`, in the namespace `default`.
    pub async fn connect(address: &str) -> Result<Tradewind, TradewindError> {
        Ok(Tradewind::from(Client::connect(address).await?))
    }

    /// Runs the engine in this process, on this directory, which is made if it is not there.
    ///
    /// Nothing listens on a port: clients and workers of this process reach it in memory. Everything else is as with
    /// a server: what was acknowledged is on disk, and the next process that opens the directory goes on with it. A
    /// directory belongs to one process at a time; a second one gets an error that names the first.
    #[cfg(feature = "embedded")]
    pub async fn embedded(directory: impl AsRef<Path>) -> Result<Tradewind, TradewindError> {
        let engine = Engine::on(directory.as_ref()).await?;
        Tradewind::with_engine(engine, Client::builder()).await
    }

    /// As [`embedded`](Self::embedded), with a client that is described further: payloads, metrics, traces.
    ///
    /// ```no_run
    /// use tradewind::payload::{Converter, Offload, Store};
    /// use tradewind::prelude::*;
    ///
    /// # async fn start() -> Result<()> {
    /// let offload = Offload::to(Store::directory("./data/payloads")?);
    /// let client = Client::builder().payloads(Converter::new().offload(offload));
    /// let tradewind = Tradewind::embedded_with("./data", client).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "embedded")]
    pub async fn embedded_with(
        directory: impl AsRef<Path>,
        client: client::Builder,
    ) -> Result<Tradewind, TradewindError> {
        let engine = Engine::on(directory.as_ref()).await?;
        Tradewind::with_engine(engine, client).await
    }

    /// Runs the engine in this process and in memory: for tests and first steps. What it knows ends with it.
    #[cfg(feature = "embedded")]
    pub async fn in_memory() -> Result<Tradewind, TradewindError> {
        Tradewind::with_engine(Engine::in_memory().await?, Client::builder()).await
    }

    /// Connects to the server that the variable `TRADEWIND_ADDRESS` names, or else runs the engine in this process, on
    /// this directory: one program for the laptop and for production. The namespace, the key and the certificates for a
    /// server come from where [`Client::from_env`] finds them.
    pub async fn from_env(directory: impl AsRef<Path>) -> Result<Tradewind, TradewindError> {
        let client = match std::env::var_os(ADDRESS_VARIABLE) {
            Some(_) => client::Builder::from_env()?,
            None => Client::builder(),
        };
        Tradewind::from_env_with(directory, client).await
    }

    /// As [`from_env`](Self::from_env), with a client that is described further: payloads, metrics, traces. Of the server
    /// it takes the address alone from the environment.
    pub async fn from_env_with(
        directory: impl AsRef<Path>,
        client: client::Builder,
    ) -> Result<Tradewind, TradewindError> {
        match std::env::var(ADDRESS_VARIABLE) {
            Ok(address) => Ok(Tradewind::from(client.address(&address).connect().await?)),
            #[cfg(feature = "embedded")]
            Err(_) => Tradewind::embedded_with(directory, client).await,
            #[cfg(not(feature = "embedded"))]
            Err(_) => {
                let _ = (directory, client);
                Err(TradewindError::NoEngine)
            }
        }
    }

    #[cfg(feature = "embedded")]
    pub(crate) async fn with_engine(engine: Engine, client: client::Builder) -> Result<Tradewind, TradewindError> {
        let client = engine.client(client).await?;
        let mut tradewind = Tradewind::from(client);
        tradewind.engine = Some(engine);
        Ok(tradewind)
    }

    /// The client alone, for what outlives this borrow. It works until the [shutdown](Tradewind::shutdown).
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the engine runs in this process.
    pub fn is_embedded(&self) -> bool {
        #[cfg(feature = "embedded")]
        return self.engine.is_some();
        #[cfg(not(feature = "embedded"))]
        return false;
    }

    /// Runs a worker in the background until the [shutdown](Tradewind::shutdown). If it ends before, that is logged,
    /// and told by the shutdown.
    pub fn spawn(&self, worker: Worker) {
        let stop = self.stop.clone().cancelled_owned();
        let running = tokio::spawn(async move {
            let ended = worker.run_until(stop).await;
            if let Err(error) = &ended {
                tracing::error!(%error, "a worker ended");
            }
            ended
        });
        self.workers.lock().push(running);
    }

    /// Resolves when the engine in this process cannot go on, as when the disk is full: the process should end, and
    /// the next one goes on where this one was. Never resolves for a connection to a server.
    pub async fn failed(&self) {
        #[cfg(feature = "embedded")]
        if let Some(engine) = &self.engine {
            return engine.failed().await;
        }
        std::future::pending().await
    }

    /// Stops in order: workers take no more tasks and finish the ones they have, then the engine answers what is in
    /// flight, then its data is closed and the directory free for the next process.
    pub async fn shutdown(mut self) -> Result<(), TradewindError> {
        self.stop.cancel();
        let workers = std::mem::take(self.workers.get_mut());
        let mut outcome = Ok(());
        for worker in workers {
            let ended = worker.await.unwrap_or(Err(WorkerError::Thread));
            outcome = outcome.and(ended);
        }
        #[cfg(feature = "embedded")]
        if let Some(engine) = self.engine.take() {
            engine.stop().await;
        }
        Ok(outcome?)
    }
}

impl From<Client> for Tradewind {
    /// A connection that is there already.
    fn from(client: Client) -> Self {
        Tradewind {
            client,
            #[cfg(feature = "embedded")]
            engine: None,
            stop: CancellationToken::new(),
            workers: Mutex::default(),
        }
    }
}

impl Deref for Tradewind {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// Asks workers and engine to stop, in the background and without waiting for them: a
/// [shutdown](Tradewind::shutdown) is better manners. Nothing that was acknowledged is lost either way.
impl Drop for Tradewind {
    fn drop(&mut self) {
        self.stop.cancel();
        #[cfg(feature = "embedded")]
        if let Some(engine) = self.engine.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(engine.stop());
        }
    }
}

impl fmt::Debug for Tradewind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workers = self.workers.lock().len();
        f.debug_struct("Tradewind").field("embedded", &self.is_embedded()).field("workers", &workers).finish()
    }
}
