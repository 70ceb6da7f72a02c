//! A run in the memory of its loop: its state, what of it is on its way to the disk, and who waits for it here.
//!
//! Invariants
//! - `promised` is never later than `written`.
//! - `recent` are consecutive batches, and the last of them is the end of the run's history.

use super::waiters::Waiters;
use crate::{query::AttachedQuery, snapshot::Seen};
use bytes::Bytes;
use std::sync::Arc;
use store::row::Sequence;
use tokio::sync::watch;
use tradewind_core::{
    ids::{EventId, Slot},
    state::MutableState,
    time::Timestamp,
};

/// Bytes of recent history that the cache keeps for a run.
const RECENT_BYTES_MAX: usize = 32 * 1024;

/// A run in memory.
pub(super) struct Entry {
    pub(super) slot: Slot,
    /// Shared with what was put off: a step makes the next one.
    pub(super) state: Arc<MutableState>,
    pub(super) stored_wake: Option<Timestamp>,
    /// The last write of this run, and the last one that somebody waits for.
    pub(super) written: Sequence,
    pub(super) promised: Sequence,
    /// The newest batches of history, consecutive.
    pub(super) recent: Vec<(EventId, Bytes)>,
    recent_bytes: usize,
    pub(super) progress: Option<watch::Sender<Seen>>,
    pub(super) queries: Vec<AttachedQuery>,
    pub(super) waiters: Waiters,
    /// What a step panicked with.
    pub(super) parked: Option<String>,
}

impl Entry {
    pub(super) fn new(slot: Slot, state: MutableState) -> Entry {
        Entry {
            slot,
            state: Arc::new(state),
            stored_wake: None,
            written: Sequence::default(),
            promised: Sequence::default(),
            recent: Vec::new(),
            recent_bytes: 0,
            progress: None,
            queries: Vec::new(),
            waiters: Waiters::default(),
            parked: None,
        }
    }

    pub(super) fn remember(&mut self, batch: &(EventId, Bytes)) {
        self.recent_bytes += batch.1.len();
        self.recent.push(batch.clone());
        while self.recent_bytes > RECENT_BYTES_MAX && self.recent.len() > 1 {
            self.recent_bytes -= self.recent.remove(0).1.len();
        }
    }

    pub(super) fn seen(&self) -> Seen {
        Seen { next_event_id: self.state.next_event_id(), closed: !self.state.is_running() }
    }

    pub(super) fn is_watched(&self) -> bool {
        self.progress.as_ref().is_some_and(|it| it.receiver_count() > 0)
    }
}
