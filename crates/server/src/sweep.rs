//! Clears deleted namespaces: their runs one after the other, then their records.
//!
//! Deleting a namespace renames it in one durable write and answers; what is in here does the rest in the
//! background. Nothing but the rename says that there is work to do, so a start of the server takes up what
//! the process before it left.
//!
//! Invariants
//! - A record is forgotten only after two looks, some time apart, have found no run: a request that was let in
//!   before the rename may still start one after the first look.

use crate::Service;
use crate::namespaces::{Namespace, Namespaces};
use api::enums::v1::NamespaceState;
use engine::message::Target;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use store::row::RunRow;
use tokio_util::sync::CancellationToken;
use tradewind_core::ids::RunKey;

/// Runs that one look at the store takes in.
const PAGE: usize = 256;
/// The time between the two looks.
const SETTLE: Duration = Duration::from_secs(1);

/// The name of a deleted namespace. It has the whole id in it, so that it cannot meet one that a user chose.
pub fn deleted_name(namespace: &Namespace) -> String {
    format!("{}{}", namespace.name, suffix(namespace))
}

fn suffix(namespace: &Namespace) -> String {
    format!("-deleted-{}", namespace.id)
}

/// Whether the namespace is to go. An update can also mark one as deleted, which is a state and touches no run.
fn is_leaving(namespace: &Namespace) -> bool {
    namespace.state == NamespaceState::Deleted && namespace.name.ends_with(&suffix(namespace))
}

/// Goes on with every deleted namespace that is still there.
pub fn resume(service: &Service) {
    for namespace in service.namespaces.all() {
        begin(service, namespace);
    }
}

/// Clears a namespace in the background, if it was deleted.
pub fn begin(service: &Service, namespace: Arc<Namespace>) {
    if is_leaving(&namespace) {
        let sweep = Sweep {
            engine: service.engine.clone(),
            store: service.store.clone(),
            namespaces: service.namespaces.clone(),
            shutdown: service.shutdown.clone(),
            namespace,
        };
        tokio::spawn(sweep.run());
    }
}

struct Sweep {
    engine: engine::Handle,
    store: Store,
    namespaces: Namespaces,
    shutdown: CancellationToken,
    namespace: Arc<Namespace>,
}

/// Why a sweep ends before its work is done. The next start of the server goes on.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error("the server is closing")]
    Closing,
    #[error("{0} of its runs cannot be deleted")]
    Stuck(u64),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Namespaces(#[from] crate::namespaces::Error),
    #[error("a read of its runs failed: {0}")]
    Read(tokio::task::JoinError),
}

impl Sweep {
    async fn run(self) {
        let name = &self.namespace.name;
        match self.clear().await {
            Ok(runs) => tracing::info!(namespace = name, runs, "a deleted namespace is gone"),
            Err(Stopped::Closing) => {}
            Err(stopped) if self.shutdown.is_cancelled() => tracing::debug!(namespace = name, "{stopped}"),
            Err(stopped) => tracing::warn!(namespace = name, "a deleted namespace is not cleared: {stopped}"),
        }
    }

    async fn clear(&self) -> Result<u64, Stopped> {
        let mut runs = 0;
        let mut empty_before = false;
        loop {
            let found = self.delete_all().await?;
            runs += found;
            if found == 0 && empty_before {
                self.namespaces.forget(self.namespace.key).await?;
                return Ok(runs);
            }
            empty_before = found == 0;
            tokio::select! {
                () = tokio::time::sleep(SETTLE) => {}
                () = self.shutdown.cancelled() => return Err(Stopped::Closing),
            }
        }
    }

    /// Deletes every run that there is; says how many those were.
    async fn delete_all(&self) -> Result<u64, Stopped> {
        let (mut deleted, mut stuck) = (0, 0);
        let mut after = RunKey(0);
        loop {
            let rows = self.page(after).await?;
            let Some(last) = rows.last() else { break };
            after = last.run;
            for row in rows {
                if self.shutdown.is_cancelled() {
                    return Err(Stopped::Closing);
                }
                let target = Target::Run { slot: row.slot, run: row.run };
                match self.engine.delete(target).await {
                    // A run that is gone already was deleted by its retention.
                    Ok(()) | Err(engine::Error::Rejected(_)) => deleted += 1,
                    Err(error) => {
                        stuck += 1;
                        tracing::warn!(workflow_id = row.workflow_id, run_id = %row.run_id, "not deleted: {error}");
                    }
                }
            }
        }
        // The others may have freed what is stuck; once nothing else is left it will not help to go on.
        if deleted == 0 && stuck > 0 { Err(Stopped::Stuck(stuck)) } else { Ok(deleted) }
    }

    async fn page(&self, after: RunKey) -> Result<Vec<RunRow>, Stopped> {
        let (store, key) = (self.store.clone(), self.namespace.key);
        let read = tokio::task::spawn_blocking(move || store.runs_of_namespace(key, after, PAGE));
        Ok(read.await.map_err(Stopped::Read)??)
    }
}
