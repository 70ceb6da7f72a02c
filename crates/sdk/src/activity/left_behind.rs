//! What the attempts of local activities leave for the next one.
//!
//! They follow each other in one worker, and the server hears of the last alone. If another worker goes on, because this
//! one died or lost the run, it does not know of them.

use super::Info;
use crate::attempts::EarlierAttempt;
use lru::LruCache;
use parking_lot::Mutex;
use std::num::NonZeroUsize;

/// Activities whose attempts are remembered: those that wait for the next one, and some that will not get it.
const ACTIVITIES_MAX: NonZeroUsize = NonZeroUsize::new(1_000).expect("it is not zero");

/// The attempts that have failed of each local activity which may be tried again, by run and activity id.
pub(super) struct LeftBehind(Mutex<LruCache<(String, String), Vec<EarlierAttempt>>>);

impl Default for LeftBehind {
    fn default() -> Self {
        LeftBehind(Mutex::new(LruCache::new(ACTIVITIES_MAX)))
    }
}

impl LeftBehind {
    /// For the next attempt, which has the same facts.
    pub(super) fn leave(&self, of: &Info, attempts: &[EarlierAttempt]) {
        self.0.lock().put(key(of), attempts.to_vec());
    }

    /// From the attempts before this one.
    pub(super) fn find(&self, of: &Info) -> Vec<EarlierAttempt> {
        self.0.lock().get(&key(of)).cloned().unwrap_or_default()
    }

    /// There is no next attempt.
    pub(super) fn forget(&self, of: &Info) {
        self.0.lock().pop(&key(of));
    }
}

fn key(of: &Info) -> (String, String) {
    (of.workflow_run_id.clone().unwrap_or_default(), of.activity_id.clone())
}
