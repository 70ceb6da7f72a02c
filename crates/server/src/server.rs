//! Start-up and shutdown.
//!
//! Ports are bound before the store is opened, so that a taken port leaves no half-made data directory
//! behind. Going down runs the other way round: first nobody new is let in and long polls are answered
//! empty, then the requests in flight finish, and only then the store is closed.

use crate::ambient::{Clock, Entropy};
use crate::config::{Settings, Storage};
use crate::health::Checks;
use crate::metrics::Metrics;
use crate::namespaces::{self, Namespace, Namespaces, NewNamespace};
use crate::service::{Announced, Cluster, Service};
use crate::workers::Workers;
use crate::{grpc, http, sweep};
use bytes::Bytes;
use engine::Engine;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use store::row::{Change, Durability, Epoch, RegistryKind, Write};
use store::{Location, Options, Store};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tradewind_core::ids::Slot;
use tradewind_core::search_attributes;
use uuid::Uuid;

/// A server that is running. Dropping it without [`Server::stop`] is a crash: safe, and rude to callers.
pub struct Server {
    service: Arc<Service>,
    engine: Engine,
    checks: Arc<Checks>,
    grpc_address: SocketAddr,
    http_address: SocketAddr,
    drain_timeout: Duration,
    grpc: JoinHandle<()>,
    http: JoinHandle<()>,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {}", listen_reason(.reason))]
    Listen { address: SocketAddr, reason: std::io::Error },
    #[error(transparent)]
    Open(#[from] store::OpenError),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error(transparent)]
    Namespaces(#[from] namespaces::Error),
    #[error("the cluster id in the data directory is damaged: {0}")]
    ClusterId(uuid::Error),
}

fn listen_reason(reason: &std::io::Error) -> String {
    match reason.kind() {
        std::io::ErrorKind::AddrInUse => "another process uses this port".into(),
        _ => reason.to_string(),
    }
}

impl Server {
    /// Opens the store, makes sure that the configured namespaces exist, and serves both doors.
    pub async fn start(settings: Settings) -> Result<Server, StartError> {
        Server::start_with(settings, Clock::System, Entropy::System).await
    }

    /// The same on a given clock and source of ids.
    pub async fn start_with(settings: Settings, clock: Clock, entropy: Entropy) -> Result<Server, StartError> {
        let grpc_listener = listen(SocketAddr::new(settings.listen.ip, settings.listen.port)).await?;
        let http_listener = listen(SocketAddr::new(settings.listen.ip, settings.listen.http_port)).await?;
        let grpc_address = local_address(&grpc_listener)?;
        let http_address = local_address(&http_listener)?;

        let store = Store::open(store_options(&settings.storage))?;
        let epoch = store.claim()?;
        let namespaces = Namespaces::load(store.clone(), epoch)?;
        let cluster = Cluster {
            id: cluster_id(&store, epoch, &entropy).await?,
            address: grpc_address.to_string(),
            http_address: http_address.to_string(),
        };
        let limits = Arc::new(settings.limits.clone());
        let shutdown = CancellationToken::new();
        let shared = engine::Shared::new(
            store.clone(),
            epoch,
            clock.clone(),
            entropy.clone(),
            limits.clone(),
            namespaces.clone(),
            shutdown.clone(),
            engine_settings(&settings),
        )?;
        let engine = Engine::start(shared)?;
        let service = Arc::new(Service {
            engine: engine.handle(),
            workers: Workers::new(&limits),
            metrics: Metrics::new(&store, &engine.handle()),
            store,
            namespaces,
            limits,
            announced: Announced::default(),
            cluster,
            clock,
            entropy,
            shutdown,
        });
        for name in &settings.namespaces {
            ensure_namespace(&service, name, &settings).await?;
        }
        sweep::resume(&service);

        let checks = Arc::new(Checks::serving().await);
        let grpc = tokio::spawn(run_grpc(grpc_listener, service.clone(), checks.clone(), settings.transport.clone()));
        let http = tokio::spawn(run_http(http_listener, service.clone()));
        let drain_timeout = settings.transport.drain_timeout;
        Ok(Server { service, engine, checks, grpc_address, http_address, drain_timeout, grpc, http })
    }

    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc_address
    }

    pub fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// Resolves when the engine cannot go on: the store has failed, or a loop has ended. The process should end.
    pub async fn failed(&self) {
        self.service.engine.shared().failed.cancelled().await;
    }

    /// Drains and closes. Returns once everything that was acknowledged is on disk and the lock is free.
    pub async fn stop(self) {
        self.checks.draining().await;
        self.service.shutdown.cancel();
        let doors = async {
            for door in [self.grpc, self.http] {
                // A door that panicked has nothing left to drain.
                let _ = door.await;
            }
        };
        if tokio::time::timeout(self.drain_timeout, doors).await.is_err() {
            tracing::warn!("some requests were still running after {:?}; closing anyway", self.drain_timeout);
        }
        self.engine.stop().await;
        let store = self.service.store.clone();
        let closed = tokio::task::spawn_blocking(move || store.close()).await;
        if let Err(error) = closed {
            tracing::error!("closing the store failed: {error}");
        }
    }
}

async fn run_grpc(
    listener: TcpListener,
    service: Arc<Service>,
    checks: Arc<Checks>,
    transport: crate::config::Transport,
) {
    if let Err(error) = grpc::serve(listener, service, &checks, &transport).await {
        tracing::error!("the gRPC door closed: {error}");
    }
}

async fn run_http(listener: TcpListener, service: Arc<Service>) {
    if let Err(error) = http::serve(listener, service).await {
        tracing::error!("the HTTP door closed: {error}");
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|reason| StartError::Listen { address, reason })
}

fn local_address(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    listener.local_addr().map_err(|reason| StartError::Listen { address: unknown, reason })
}

fn engine_settings(settings: &Settings) -> engine::Settings {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let defaults = engine::Settings::default();
    engine::Settings {
        loops: settings.engine.loops.unwrap_or(cores.clamp(1, 16)),
        runs_cached_per_loop: settings.engine.runs_cached_per_loop,
        ..defaults
    }
}

fn store_options(storage: &Storage) -> Options {
    let path = if storage.in_memory { Location::Memory } else { Location::Directory(storage.directory.clone()) };
    let flush = match storage.flush_every {
        None => store::Flush::EveryGroup,
        Some(every) => store::Flush::Relaxed { every },
    };
    Options { path, ordered_wait: storage.ordered_wait, flush, readers: storage.readers }
}

/// Key in the cluster registry: the 16 bytes of this data directory's own id.
const CLUSTER_ID: &str = "cluster-id";

/// The id under which clients know this data directory; made when the directory is new.
async fn cluster_id(store: &Store, epoch: Epoch, entropy: &Entropy) -> Result<Uuid, StartError> {
    let stored = store.registry(RegistryKind::Cluster)?;
    if let Some((_, bytes)) = stored.iter().find(|(key, _)| key == CLUSTER_ID) {
        return Uuid::from_slice(bytes).map_err(StartError::ClusterId);
    }
    let id = entropy.uuid();
    let put = Change::PutRegistry {
        kind: RegistryKind::Cluster,
        key: CLUSTER_ID.into(),
        bytes: Bytes::copy_from_slice(id.as_bytes()),
    };
    let sequence = store.submit(Write { slot: Slot(0), epoch, changes: vec![put] }, Durability::Durable);
    store.durable(sequence).await?;
    Ok(id)
}

/// Registers a configured namespace that is not there, and adds the configured search attributes to it.
async fn ensure_namespace(service: &Service, name: &str, settings: &Settings) -> Result<(), StartError> {
    let namespace = match service.namespaces.named(name) {
        Some(namespace) => namespace,
        None => {
            let new = NewNamespace {
                name: name.into(),
                retention: service.limits.namespace_retention_default,
                ..NewNamespace::default()
            };
            service.namespaces.register(service.entropy.uuid(), new).await?
        }
    };
    let add = |namespace: &mut Namespace| {
        for (attribute, kind) in &settings.search_attributes {
            let kind = search_attributes::type_named(kind).expect("settings are checked when they are read");
            namespace.search_attributes.entry(attribute.clone()).or_insert(kind);
        }
        Ok::<_, namespaces::Error>(())
    };
    Ok(service.namespaces.change(namespace.key, add).await?)
}
