//! Workers that said they are leaving: their polls are completed at once.

use parking_lot::Mutex;
use std::{collections::HashMap, time::Duration};
use tokio_util::sync::CancellationToken;
use tradewind_core::time::Timestamp;

/// How long a worker's farewell is remembered.
const REMEMBERED: Duration = Duration::from_secs(300);

/// One token for each worker instance, cancelled when it leaves.
#[derive(Debug, Default)]
pub struct Departures {
    workers: Mutex<HashMap<String, (CancellationToken, Option<Timestamp>)>>,
}

impl Departures {
    /// The token of a worker's polls; cancelled already if it has left. Without a key, one that nobody cancels.
    pub fn of(&self, instance: &str) -> CancellationToken {
        if instance.is_empty() {
            return CancellationToken::new();
        }
        self.workers.lock().entry(instance.to_owned()).or_default().0.clone()
    }

    pub fn leave(&self, instance: &str, now: Timestamp) {
        if instance.is_empty() {
            return;
        }
        let mut workers = self.workers.lock();
        workers.retain(|_, (token, left)| !token.is_cancelled() || left.is_none_or(|left| now - left < REMEMBERED));
        let (token, left) = workers.entry(instance.to_owned()).or_default();
        *left = Some(now);
        token.cancel();
    }
}
