//! Events: what workers and the platform tell of runs while they run, for those who watch.
//!
//! ```text
//! worker ── ingest ──► store: the event log ──► hub ──► streams      (woken by the commit)
//! engine ── lifecycle ──┘          └────────── list, catching up     (read from the store)
//! ```
//!
//! An event is kept and sent on in the words of its teller ([`incoming`]), but whom it is about is what the engine
//! says ([`source`]). What a run *is* is never read from events.
//!
//! Invariants
//! - Readers see events in the order of their sequences, each once, however they come by them.
//! - No reader slows a worker or another reader: [`hub`].
//! - Every run that ends is told to have ended, as it did: [`lifecycle`].

pub mod frame;
pub mod hub;
pub mod incoming;
mod ingest;
pub mod kind;
pub mod lifecycle;
mod reading;
pub mod retention;
pub mod route_token;
pub mod source;
pub mod stream;

use crate::Platform;
use axum::Router;
use axum::routing::{get, post};
use bytes::Bytes;
use hub::Hub;
use route_token::{KEY_BYTES, Signer};
use server::Service;
use source::Sources;
use std::sync::Arc;
use store::row::{Change, Durability, RegistryKind, Write};
use tradewind_core::ids::{NamespaceKey, Slot};

/// Key in the cluster registry: what route tokens are signed with.
const SIGNING_KEY: &str = "mistral-route-token-key";

/// What the routes of events share.
pub struct Events {
    pub hub: Arc<Hub>,
    pub sources: Sources,
    pub signer: Signer,
}

impl Events {
    pub async fn open(
        service: &Service,
        namespace: NamespaceKey,
        namespace_name: &str,
    ) -> Result<Events, store::Error> {
        Ok(Events {
            hub: Hub::new(service.store.clone(), namespace, namespace_name.to_owned()),
            sources: Sources::default(),
            signer: Signer::new(&signing_key(service).await?),
        })
    }
}

/// Begins what goes on beside the requests.
pub fn begin(platform: &Platform) {
    let background = &platform.service.background;
    let (hub, shutdown) = (platform.events.hub.clone(), platform.service.shutdown.clone());
    background.spawn(async move {
        tokio::select! {
            () = hub.run() => {}
            () = shutdown.cancelled() => {}
        }
    });
    background.spawn(lifecycle::run(platform.clone()));
    background.spawn(retention::run(platform.clone()));
}

/// Below `/v1/workflows`.
pub fn routes() -> Router<Platform> {
    Router::new()
        .route("/events", post(ingest::one))
        .route("/events/batch", post(ingest::many))
        .route("/events/stream", get(reading::stream))
        .route("/events/list", get(reading::list))
        .route("/executions/{id}/stream", get(reading::stream_of_execution))
}

/// Below `/v2/workflows`.
pub fn routes_v2() -> Router<Platform> {
    Router::new()
        .route("/workers/event-route-token", post(ingest::route_token))
        .route("/events", post(ingest::one_by_token))
        .route("/events/batch", post(ingest::many_by_token))
}

/// The key of this data directory; made when there is none.
async fn signing_key(service: &Service) -> Result<[u8; KEY_BYTES], store::Error> {
    let stored = service.store.registry(RegistryKind::Cluster)?;
    if let Some((_, bytes)) = stored.iter().find(|(key, _)| key == SIGNING_KEY) {
        return bytes.as_ref().try_into().map_err(|_| store::Error::Damaged("the key of route tokens"));
    }
    let mut key = [0; KEY_BYTES];
    for half in key.chunks_mut(16) {
        half.copy_from_slice(service.entropy.uuid().as_bytes());
    }
    let bytes = Bytes::copy_from_slice(&key);
    let put = Change::PutRegistry { kind: RegistryKind::Cluster, key: SIGNING_KEY.into(), bytes };
    let write = Write { slot: Slot(0), epoch: service.engine.shared().epoch, changes: vec![put] };
    service.store.durable(service.store.submit(write, Durability::Durable)).await?;
    Ok(key)
}
