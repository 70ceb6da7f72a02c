//! Which run a workflow id names, ahead of the store where writes are still on their way.
//!
//! Invariants
//! - For a run in the cache that is its workflow id's current one, the name is here: the store may not have
//!   it yet.
//! - A run whose deletion is on its way is absent, whatever the store still says.

use super::Owner;
use crate::Error;
use std::collections::HashMap;
use store::row::Sequence;
use tradewind_core::ids::{NamespaceKey, RunKey};
use uuid::Uuid;

#[derive(Default)]
pub(super) struct Names {
    current: HashMap<(NamespaceKey, String), RunKey>,
    deleting: HashMap<RunKey, Sequence>,
}

impl Names {
    pub(super) fn set(&mut self, namespace: NamespaceKey, workflow_id: &str, run: RunKey) {
        self.current.insert((namespace, workflow_id.to_owned()), run);
    }

    /// Forgets the name if it means this run.
    pub(super) fn unset(&mut self, namespace: NamespaceKey, workflow_id: &str, run: RunKey) {
        let key = (namespace, workflow_id.to_owned());
        if self.current.get(&key) == Some(&run) {
            self.current.remove(&key);
        }
    }

    pub(super) fn deleting(&mut self, run: RunKey, sequence: Sequence) {
        self.deleting.insert(run, sequence);
    }

    pub(super) fn settle(&mut self, durable: Sequence) {
        if !self.deleting.is_empty() {
            self.deleting.retain(|_, sequence| *sequence > durable);
        }
    }
}

impl Owner {
    pub(super) fn current(&mut self, namespace: NamespaceKey, workflow_id: &str) -> Result<Option<RunKey>, Error> {
        let key = (namespace, workflow_id.to_owned());
        if let Some(run) = self.names.current.get(&key) {
            return Ok(Some(*run));
        }
        self.names.settle(self.durable);
        let found = self.shared.store.current_run(namespace, workflow_id)?;
        let found = found.filter(|run| !self.names.deleting.contains_key(run));
        if let Some(run) = found {
            self.names.current.insert(key, run);
        }
        Ok(found)
    }

    pub(super) fn named(
        &mut self,
        namespace: NamespaceKey,
        workflow_id: &str,
        run_id: Uuid,
    ) -> Result<Option<RunKey>, Error> {
        // Most often the current run is meant, and it may not be in the store yet.
        if let Some(run) = self.current(namespace, workflow_id)?
            && self.load(run)?
            && self.entry(run).state.start.run_id == run_id
        {
            return Ok(Some(run));
        }
        let found = self.shared.store.find_run(namespace, workflow_id, run_id)?;
        Ok(found.filter(|run| !self.names.deleting.contains_key(run)))
    }
}
