//! A run as a reader sees it.

use bytes::Bytes;
use std::sync::Arc;
use store::row::Sequence;
use tokio::sync::watch;
use tradewind_core::{
    ids::{EventId, RunKey, Slot},
    state::MutableState,
};

/// A run at one moment. Everything in it is durable by the time it is handed out.
#[derive(Debug)]
pub struct Snapshot {
    pub run: RunKey,
    pub slot: Slot,
    pub state: Arc<MutableState>,
    /// The newest batches of its history, if the loop has them.
    pub recent: Vec<(EventId, Bytes)>,
    /// Up to here the store must have written before history is read from it.
    pub written: Sequence,
    /// Told after each step, if asked for.
    pub progress: Option<watch::Receiver<Seen>>,
}

/// What long polls wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub next_event_id: EventId,
    pub closed: bool,
}
