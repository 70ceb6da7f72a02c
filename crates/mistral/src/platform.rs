//! What every route works with.

use crate::Error;
use crate::catalogue::liveness::Liveness;
use crate::catalogue::{Catalogue, Index};
use crate::events::Events;
use crate::telemetry::Telemetry;
use server::{Service, Settings, config};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use store::row::{Change, Durability, Write};
use tradewind_core::ids::{NamespaceKey, Slot};
use tradewind_core::time::Timestamp;
use uuid::Uuid;

/// Search attributes that workers write, and those that the platform's own programs may know.
const SEARCH_ATTRIBUTES: &[&str] = &[
    "OtelTraceId",
    "WorkflowName",
    "UserId",
    "CustomerId",
    "WorkspaceId",
    "OrganizationId",
    "AllowAutoRemove",
    "CustomSearchAttributes",
];

/// The platform on this server. Cheap to clone.
#[derive(Clone)]
pub struct Platform {
    inner: Arc<Inner>,
}

pub struct Inner {
    pub service: Arc<Service>,
    pub settings: config::Mistral,
    /// Where runs live; `settings.namespace` is its name.
    pub namespace: NamespaceKey,
    pub catalogue: Catalogue,
    pub liveness: Liveness,
    pub events: Events,
    pub telemetry: Telemetry,
}

impl Deref for Platform {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

/// Why the platform does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Namespaces(#[from] server::namespaces::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Catalogue(#[from] crate::catalogue::LoadError),
}

impl Platform {
    /// Makes sure of the namespace, with the search attributes that workers need, and reads the catalogue.
    pub async fn open(service: Arc<Service>, settings: &Settings) -> Result<Platform, OpenError> {
        let mut attributes: BTreeMap<String, String> = settings.search_attributes.clone();
        for name in SEARCH_ATTRIBUTES {
            attributes.entry((*name).to_owned()).or_insert_with(|| "Keyword".to_owned());
        }
        let settings = settings.mistral.clone();
        let namespace =
            server::ensure_namespace(&service, &settings.namespace, settings.retention, &attributes).await?.key;
        let catalogue = Catalogue::load(service.store.clone(), service.engine.shared().epoch)?;
        let liveness = Liveness::load(settings.liveness_window, &catalogue.index(), service.clock.now());
        let events = Events::open(&service, namespace, &settings.namespace).await?;
        let telemetry = Telemetry::default();
        let inner = Inner { service, settings, namespace, catalogue, liveness, events, telemetry };
        Ok(Platform { inner: Arc::new(inner) })
    }
}

impl Inner {
    pub fn now(&self) -> Timestamp {
        self.service.clock.now()
    }

    pub fn index(&self) -> Arc<Index> {
        self.catalogue.index()
    }

    /// The one workspace of this server, and the one customer. Stable for the data directory.
    pub fn workspace_id(&self) -> Uuid {
        self.service.cluster.id
    }

    /// Writes rows that are not a run's own, all or none, and waits until they are durable.
    pub async fn write(&self, changes: Vec<Change>) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let store = &self.service.store;
        // Such rows have no slot; nothing depends on which one is named.
        let write = Write { slot: Slot(0), epoch: self.service.engine.shared().epoch, changes };
        Ok(store.durable(store.submit(write, Durability::Durable)).await?)
    }

    /// Reads the store on a thread that may wait.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&store::Store) -> Result<T, store::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let store = self.service.store.clone();
        let done = tokio::task::spawn_blocking(move || read(&store)).await;
        Ok(done.map_err(Error::internal)??)
    }
}
