//! What is behind the doors: store, engine and service, opened and closed as one.

use crate::ambient::{Clock, Entropy};
use crate::config::{Settings, Storage};
use crate::metrics::Metrics;
use crate::namespaces::{self, Namespace, Namespaces, NewNamespace};
use crate::server::StartError;
use crate::service::{Announced, Cluster, Service};
use crate::sweep;
use crate::workers::Workers;
use bytes::Bytes;
use engine::Engine;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::row::{Change, Durability, Epoch, RegistryKind, Write};
use store::{Location, Options, Store};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tradewind_core::ids::Slot;
use tradewind_core::search_attributes;
use uuid::Uuid;

pub(crate) struct Interior {
    pub(crate) service: Arc<Service>,
    pub(crate) engine: Engine,
}

/// Where clients are told that they reach the server.
pub(crate) struct Reached {
    pub(crate) grpc: String,
    pub(crate) http: String,
}

impl Interior {
    /// Opens the store, brings the engine up, and makes sure that the configured namespaces exist.
    pub(crate) async fn open(
        settings: &Settings,
        following: Vec<engine::Following>,
        clock: Clock,
        entropy: Entropy,
        reached: Reached,
    ) -> Result<Interior, StartError> {
        let store = Store::open(store_options(&settings.storage))?;
        let epoch = store.claim()?;
        let namespaces = Namespaces::load(store.clone(), epoch)?;
        let cluster = Cluster {
            id: cluster_id(&store, epoch, &entropy).await?,
            address: reached.grpc,
            http_address: reached.http,
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
            engine::Settings { following, ..engine_settings(settings) },
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
            background: TaskTracker::new(),
        });
        for name in &settings.namespaces {
            let retention = service.limits.namespace_retention_default;
            ensure_namespace(&service, name, retention, &settings.search_attributes).await?;
        }
        sweep::resume(&service);
        Ok(Interior { service, engine })
    }

    /// Ends the engine and closes the store. The doors are shut by then.
    pub(crate) async fn close(self) {
        self.engine.stop().await;
        let store = self.service.store.clone();
        let closed = tokio::task::spawn_blocking(move || store.close()).await;
        if let Err(error) = closed {
            tracing::error!("closing the store failed: {error}");
        }
    }
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

/// Registers a namespace that is not there, and adds search attributes, name to type, that it lacks.
pub async fn ensure_namespace(
    service: &Service,
    name: &str,
    retention: Duration,
    attributes: &BTreeMap<String, String>,
) -> Result<Arc<Namespace>, namespaces::Error> {
    let namespace = match service.namespaces.named(name) {
        Some(namespace) => namespace,
        None => {
            let new = NewNamespace { name: name.into(), retention, ..NewNamespace::default() };
            service.namespaces.register(service.entropy.uuid(), new).await?
        }
    };
    let add = |namespace: &mut Namespace| {
        for (attribute, kind) in attributes {
            let kind = search_attributes::type_named(kind).expect("types are checked where they are named");
            namespace.search_attributes.entry(attribute.clone()).or_insert(kind);
        }
        Ok::<_, namespaces::Error>(())
    };
    service.namespaces.change(namespace.key, add).await?;
    Ok(service.namespaces.with_key(namespace.key).unwrap_or(namespace))
}
