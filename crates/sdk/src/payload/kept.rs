//! Offloaded payloads that were read or written a moment ago.
//!
//! Each replay of a run, and each activity that takes what the last one gave, would fetch them again.
//!
//! Invariants
//! - What is kept is what its hash says: it was hashed on its way here. So nothing ever has to be thrown out as stale.
//! - The payloads together are no larger than the limit.

use super::Payload;
use lru::LruCache;
use parking_lot::Mutex;

/// Payloads by the hash of their bytes, those forgotten first that were used least recently.
pub(super) struct Kept {
    bytes_max: usize,
    payloads: Mutex<Payloads>,
}

struct Payloads {
    by_hash: LruCache<String, Payload>,
    /// Of all data in `by_hash`.
    bytes: usize,
}

impl Kept {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, payloads: Mutex::new(Payloads { by_hash: LruCache::unbounded(), bytes: 0 }) }
    }

    pub(super) fn get(&self, sha256: &str) -> Option<Payload> {
        self.payloads.lock().by_hash.get(sha256).cloned()
    }

    pub(super) fn put(&self, sha256: &str, payload: &Payload) {
        if payload.data.len() > self.bytes_max {
            return;
        }
        let mut payloads = self.payloads.lock();
        payloads.bytes += payload.data.len();
        if let Some(same) = payloads.by_hash.put(sha256.to_owned(), payload.clone()) {
            payloads.bytes -= same.data.len();
        }
        while payloads.bytes > self.bytes_max {
            let (_, oldest) = payloads.by_hash.pop_lru().expect("bytes are those of payloads");
            payloads.bytes -= oldest.data.len();
        }
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kept({} of {} bytes)", self.payloads.lock().bytes, self.bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: usize) -> Payload {
        Payload { data: vec![7; bytes], ..Payload::default() }
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let kept = Kept::new(100);
        kept.put("a", &of(40));
        kept.put("b", &of(40));
        assert!(kept.get("a").is_some());
        kept.put("c", &of(40));
        assert!(kept.get("a").is_some() && kept.get("b").is_none() && kept.get("c").is_some());
    }

    #[test]
    fn the_same_payload_counts_once() {
        let kept = Kept::new(100);
        for _ in 0..10 {
            kept.put("a", &of(60));
        }
        assert!(kept.get("a").is_some());
    }

    #[test]
    fn what_is_larger_than_all_that_is_kept_pushes_nothing_out() {
        let kept = Kept::new(100);
        kept.put("a", &of(60));
        kept.put("b", &of(101));
        assert!(kept.get("a").is_some() && kept.get("b").is_none());
    }
}
