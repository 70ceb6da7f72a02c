//! Work owed to other runs, one run's in order.
//!
//! Transfers of one run are carried out one after the other, so that two signals to the same workflow arrive
//! as they were sent; those of different runs side by side.

use super::Owner;
use crate::message::SettledTransfer;
use std::{
    collections::{HashMap, VecDeque},
    sync::atomic::Ordering,
};
use store::row::{Change, Durability, Write};
use tradewind_core::{
    ids::{NamespaceKey, RunKey, Slot},
    transfer::Transfer,
};

#[derive(Default)]
pub(super) struct Transfers {
    /// A run with an entry has one transfer under way and these behind it.
    waiting: HashMap<RunKey, VecDeque<Job>>,
}

/// One transfer with what is needed to carry it out.
pub(super) struct Job {
    pub(super) id: i64,
    pub(super) slot: Slot,
    pub(super) namespace: NamespaceKey,
    pub(super) transfer: Transfer,
}

impl Transfers {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn is_busy(&self, run: RunKey) -> bool {
        self.waiting.contains_key(&run)
    }
}

impl Owner {
    pub(super) fn enqueue_transfer(&mut self, run: RunKey, job: Job) {
        if let Some(waiting) = self.transfers.waiting.get_mut(&run) {
            waiting.push_back(job);
            return;
        }
        self.transfers.waiting.insert(run, VecDeque::new());
        self.begin_transfer(run, job);
    }

    fn begin_transfer(&self, run: RunKey, job: Job) {
        self.shared.counters.transfers.fetch_add(1, Ordering::Relaxed);
        let handle = self.handle.clone();
        tokio::spawn(async move {
            let settles = SettledTransfer { id: job.id };
            let by_own_step =
                crate::transfer::carry_out(&handle, run, job.slot, job.namespace, job.transfer, settles).await;
            handle.transfer_done(job.slot, run, settles, by_own_step);
        });
    }

    /// The next of the run's transfers, and the end of this one unless a step has taken its row along.
    pub(super) fn on_transfer_done(&mut self, run: RunKey, settles: SettledTransfer, by_own_step: bool) {
        if !by_own_step {
            let slot = self.runs.peek(&run).map_or(Slot(0), |entry| entry.slot);
            let changes = vec![Change::DeleteTransfer { id: settles.id }];
            let write = Write { slot, epoch: self.shared.epoch, changes };
            self.shared.store.submit(write, Durability::Ordered);
        }
        let Some(waiting) = self.transfers.waiting.get_mut(&run) else { return };
        match waiting.pop_front() {
            Some(job) => self.begin_transfer(run, job),
            None => {
                self.transfers.waiting.remove(&run);
            }
        }
    }
}
