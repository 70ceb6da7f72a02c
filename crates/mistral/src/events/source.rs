//! Whom an event is about, as the engine knows it.
//!
//! Workers say it with every event, and what they say in activities is pieced together from the payloads they were
//! given, in which a child's lineage is not always its own. Readers filter by lineage, so it is taken from the engine.

use crate::Platform;
use lru::LruCache;
use parking_lot::Mutex;
use std::num::NonZeroUsize;
use std::sync::Arc;
use store::Store;
use store::row::{EventSource, VisibilityRow};
use tradewind_core::ids::{NamespaceKey, RunKey};
use uuid::Uuid;

/// Runs remembered. Those that tell something come in bursts.
const REMEMBERED: usize = 8_192;

/// A run, with what its events say of it beside what the log keeps.
#[derive(Debug, Clone)]
pub struct Source {
    pub log: Arc<EventSource>,
    pub first_run_id: Uuid,
}

/// Runs that were looked up lately. What is known of one never changes.
pub struct Sources {
    known: Mutex<LruCache<Uuid, Arc<Source>>>,
}

impl Default for Sources {
    fn default() -> Sources {
        let size = NonZeroUsize::new(REMEMBERED).expect("it is not zero");
        Sources { known: Mutex::new(LruCache::new(size)) }
    }
}

impl Sources {
    /// The run, unless there is none of these ids.
    pub async fn find(
        &self,
        platform: &Platform,
        workflow_id: &str,
        run_id: &str,
    ) -> Result<Option<Arc<Source>>, crate::Error> {
        let Ok(run_id) = Uuid::try_parse(run_id) else { return Ok(None) };
        if let Some(known) = self.known.lock().get(&run_id) {
            return Ok((known.log.workflow_id == workflow_id).then(|| known.clone()));
        }
        let (namespace, workflow_id) = (platform.namespace, workflow_id.to_owned());
        let found = platform
            .read(move |store| match store.find_run(namespace, &workflow_id, run_id)? {
                Some(run) => of_run(store, namespace, run),
                None => Ok(None),
            })
            .await?;
        let Some(found) = found.map(Arc::new) else { return Ok(None) };
        self.known.lock().put(run_id, found.clone());
        Ok(Some(found))
    }
}

/// A run of this namespace, unless it is gone.
pub fn of_run(store: &Store, namespace: NamespaceKey, run: RunKey) -> Result<Option<Source>, store::Error> {
    let Some(row) = store.visibility(run)?.filter(|row| row.namespace == namespace) else { return Ok(None) };
    let chain_run_id = chain(store, &row)?;
    let log = EventSource {
        run,
        namespace,
        workflow_id: row.workflow_id,
        run_id: row.run_id,
        workflow_type: row.workflow_type,
        root_workflow_id: row.root.0,
        parent_workflow_id: row.parent.map(|(workflow_id, _)| workflow_id),
        chain_run_id,
    };
    Ok(Some(Source { log: Arc::new(log), first_run_id: row.first_run_id }))
}

/// The first run of the root's chain. A child knows its root by the run that was current when the child began.
fn chain(store: &Store, row: &VisibilityRow) -> Result<Uuid, store::Error> {
    let (root, root_run) = &row.root;
    if *root == row.workflow_id {
        return Ok(row.first_run_id);
    }
    let Some(run) = store.find_run(row.namespace, root, *root_run)? else { return Ok(*root_run) };
    Ok(store.visibility(run)?.map_or(*root_run, |root| root.first_run_id))
}
