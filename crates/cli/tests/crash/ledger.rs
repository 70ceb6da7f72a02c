//! What the server has acknowledged, as its clients and workers were told.

use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
};

/// Filled while the load runs, read when it is over.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    acknowledged: Mutex<Acknowledged>,
    next: AtomicU64,
}

/// By run id.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged {
    /// The workflow ids of started runs.
    pub(crate) starts: BTreeMap<String, String>,
    /// The numbers of signals.
    pub(crate) signals: BTreeMap<String, BTreeSet<u64>>,
    /// The numbers in activity results.
    pub(crate) completions: BTreeMap<String, BTreeSet<u64>>,
    /// Runs whose closing command was taken.
    pub(crate) closed: BTreeSet<String>,
}

impl Ledger {
    /// A number that nobody else has: it tells apart signals, and reports of one activity.
    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn started(&self, run_id: &str, workflow_id: &str) {
        self.acknowledged.lock().starts.insert(run_id.to_owned(), workflow_id.to_owned());
    }

    pub(crate) fn signaled(&self, run_id: &str, number: u64) {
        self.acknowledged.lock().signals.entry(run_id.to_owned()).or_default().insert(number);
    }

    pub(crate) fn completed(&self, run_id: &str, number: u64) {
        self.acknowledged.lock().completions.entry(run_id.to_owned()).or_default().insert(number);
    }

    pub(crate) fn closed(&self, run_id: &str) {
        self.acknowledged.lock().closed.insert(run_id.to_owned());
    }

    pub(crate) fn read(&self) -> parking_lot::MutexGuard<'_, Acknowledged> {
        self.acknowledged.lock()
    }
}
