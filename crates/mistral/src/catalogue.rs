//! What workers have introduced: workflows, their registrations, deployments and the workers in them.
//!
//! Every request looks something up, so reading touches only memory: an [`Index`] that never changes. Changes go one
//! at a time: make the new records, wait until they are durable, then show them. Heartbeats are too many for that
//! and live in [`liveness`].
//!
//! A *workflow* is what a name stands for, across deployments and versions. A *registration* is one version of its
//! definition in one deployment. A *deployment* is a task queue with the workers that serve it.
//!
//! Invariants
//! - What a lookup finds has been promised to survive.
//! - A name and an id each name at most one workflow; ids are never used again.
//! - The same definition in the same deployment has one registration, however often it is registered.

mod index;
pub mod liveness;
pub mod records;

pub use index::Index;
pub use records::{
    Credential, Definition, Deployment, Handler, Location, LocationType, Registration, Worker, WorkerKey, Workflow,
};

use crate::Error;
use parking_lot::RwLock;
use serde::Serialize;
use std::sync::Arc;
use store::Store;
use store::row::{Change, Durability, Epoch, RegistryKind, Sequence, Write};
use tradewind_core::ids::Slot;
use tradewind_core::time::Timestamp;

/// The catalogue of one server.
pub struct Catalogue {
    inner: Arc<Inner>,
    /// Held across a whole change, so that two changes do not undo each other.
    writing: Arc<tokio::sync::Mutex<()>>,
}

struct Inner {
    store: Store,
    epoch: Epoch,
    index: RwLock<Arc<Index>>,
}

/// A change in the making: the records as they will be, and the rows to write.
pub struct Draft {
    index: Index,
    changes: Vec<Change>,
}

impl Catalogue {
    /// Reads what is stored. Writes later carry `epoch`.
    pub fn load(store: Store, epoch: Epoch) -> Result<Catalogue, LoadError> {
        let index = RwLock::new(Arc::new(Index::load(&store)?));
        Ok(Catalogue { inner: Arc::new(Inner { store, epoch, index }), writing: Arc::default() })
    }

    /// Everything, as it is at this moment.
    pub fn index(&self) -> Arc<Index> {
        self.inner.index.read().clone()
    }

    /// Makes a change, and returns once it is durable. An error leaves everything as it was.
    pub async fn change<T>(&self, edit: impl FnOnce(&mut Draft) -> Result<T, Error>) -> Result<T, Error> {
        let writing = self.writing.clone().lock_owned().await;
        let mut draft = Draft { index: Index::clone(&self.index()), changes: Vec::new() };
        let made = edit(&mut draft)?;
        if draft.changes.is_empty() {
            return Ok(made);
        }
        let sequence = self.inner.submit(draft.changes, Durability::Durable);
        let inner = self.inner.clone();
        // On its own, since a caller may leave: what is written has to be shown, or the next change would be
        // made from records that are no more.
        let shown = tokio::spawn(async move {
            let _writing = writing;
            inner.store.durable(sequence).await?;
            *inner.index.write() = Arc::new(draft.index);
            Ok::<_, store::Error>(())
        });
        shown.await.map_err(Error::internal)??;
        Ok(made)
    }

    /// Writes down when a worker was last heard of. Nobody waits for it, and nobody is hurt if it is lost.
    pub fn remember_beat(&self, key: &WorkerKey, at: Timestamp) {
        // Someone who is changing the catalogue may be changing this worker; a later beat will do.
        let Ok(_writing) = self.writing.try_lock() else { return };
        if let Some(worker) = self.index().worker(key) {
            let worker = Worker { last_heartbeat: at, ..Worker::clone(worker) };
            self.inner.submit(vec![put(RegistryKind::Worker, key.to_string(), &worker)], Durability::Ordered);
        }
    }
}

impl Inner {
    fn submit(&self, changes: Vec<Change>, durability: Durability) -> Sequence {
        self.store.submit(Write { slot: Slot(0), epoch: self.epoch, changes }, durability)
    }
}

impl Draft {
    /// The records with what has been changed so far.
    pub fn index(&self) -> &Index {
        &self.index
    }

    pub fn put_workflow(&mut self, workflow: Workflow) -> Arc<Workflow> {
        self.changes.push(put(RegistryKind::Workflow, workflow.id.to_string(), &workflow));
        self.index.insert_workflow(workflow)
    }

    pub fn put_registration(&mut self, registration: Registration) -> Arc<Registration> {
        self.changes.push(put(RegistryKind::Registration, registration.id.to_string(), &registration));
        self.index.insert_registration(registration)
    }

    pub fn put_deployment(&mut self, deployment: Deployment) -> Arc<Deployment> {
        self.changes.push(put(RegistryKind::Deployment, deployment.name.clone(), &deployment));
        self.index.insert_deployment(deployment)
    }

    pub fn put_worker(&mut self, worker: Worker) -> Arc<Worker> {
        self.changes.push(put(RegistryKind::Worker, worker.key().to_string(), &worker));
        self.index.insert_worker(worker)
    }

    pub fn delete_worker(&mut self, key: &WorkerKey) {
        self.changes.push(Change::DeleteRegistry { kind: RegistryKind::Worker, key: key.to_string() });
        self.index.remove_worker(key);
    }
}

fn put(kind: RegistryKind, key: String, record: &impl Serialize) -> Change {
    let bytes = serde_json::to_vec(record).expect("records have no maps with keys that JSON cannot have");
    Change::PutRegistry { kind, key, bytes: bytes.into() }
}

/// Why the catalogue cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the record {kind:?} {key:?} does not decode: {reason}")]
    BadRecord { kind: RegistryKind, key: String, reason: serde_json::Error },
    #[error(transparent)]
    Store(#[from] store::Error),
}
