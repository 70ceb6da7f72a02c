//! Workers that said they are leaving: their polls are completed at once.

use parking_lot::Mutex;
use std::{collections::HashMap, time::Duration};
use tokio_util::sync::CancellationToken;
use tradewind_core::time::Timestamp;

/// How long a worker is remembered after its last poll or its farewell: longer than a poll lasts.
const REMEMBERED: Duration = Duration::from_secs(300);

/// One token for each worker instance, cancelled when it leaves.
#[derive(Debug, Default)]
pub struct Departures {
    workers: Mutex<HashMap<String, Worker>>,
}

#[derive(Debug, Default)]
struct Worker {
    leaving: CancellationToken,
    heard_of: Timestamp,
}

impl Departures {
    /// The token of a worker's polls; cancelled already if it has left. Without a key, one that nobody cancels.
    pub fn of(&self, instance: &str, now: Timestamp) -> CancellationToken {
        if instance.is_empty() {
            return CancellationToken::new();
        }
        self.heard_of(instance, now)
    }

    pub fn leave(&self, instance: &str, now: Timestamp) {
        if instance.is_empty() {
            return;
        }
        self.heard_of(instance, now).cancel();
    }

    fn heard_of(&self, instance: &str, now: Timestamp) -> CancellationToken {
        let mut workers = self.workers.lock();
        if let Some(worker) = workers.get_mut(instance) {
            worker.heard_of = now;
            return worker.leaving.clone();
        }
        let worker = Worker { heard_of: now, ..Worker::default() };
        workers.entry(instance.to_owned()).or_insert(worker).leaving.clone()
    }

    /// Forgets workers that have not been heard of for long, most of which died without a farewell.
    pub fn forget_silent(&self, now: Timestamp) {
        self.workers.lock().retain(|_, worker| now - worker.heard_of < REMEMBERED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_falls_silent_is_forgotten_and_one_that_polls_is_not() {
        let departures = Departures::default();
        let at = |seconds: u64| Timestamp::ZERO + Duration::from_secs(seconds);
        departures.leave("gone", at(0));
        departures.of("alive", at(0));
        departures.of("alive", at(200));
        departures.forget_silent(at(301));
        assert!(!departures.of("gone", at(301)).is_cancelled(), "its farewell is forgotten");

        departures.leave("alive", at(302));
        assert!(departures.of("alive", at(303)).is_cancelled());
        assert_eq!(departures.workers.lock().len(), 2);
    }
}
