//! How often something happened lately.

use tradewind_core::time::Timestamp;

/// The seconds that a rate looks back over.
const WINDOW: usize = 30;
const SECOND: i64 = 1_000_000_000;

/// Counts by second, in a ring.
#[derive(Debug, Default)]
pub struct Rate {
    /// The second, and what happened in it. A place is taken over by a later second.
    seconds: [(i64, u32); WINDOW],
    /// When it first happened, so that a young rate is not thinned by time before it.
    since: Option<Timestamp>,
}

impl Rate {
    pub fn count(&mut self, now: Timestamp) {
        self.since.get_or_insert(now);
        let second = now.as_nanos().div_euclid(SECOND);
        let place = &mut self.seconds[second.rem_euclid(WINDOW as i64) as usize];
        if place.0 != second {
            *place = (second, 0);
        }
        place.1 = place.1.saturating_add(1);
    }

    /// Events a second, over the last half minute or as long as there have been any.
    pub fn per_second(&self, now: Timestamp) -> f64 {
        let Some(since) = self.since else { return 0.0 };
        let second = now.as_nanos().div_euclid(SECOND);
        let recent = |place: &&(i64, u32)| (second - WINDOW as i64 + 1..=second).contains(&place.0);
        let events: u64 = self.seconds.iter().filter(recent).map(|(_, n)| u64::from(*n)).sum();
        events as f64 / (now - since).as_secs_f64().clamp(1.0, WINDOW as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_steady_stream_has_its_own_rate() {
        let mut rate = Rate::default();
        for tenth in 0..1_000 {
            rate.count(at(100.0 + f64::from(tenth) / 10.0));
        }
        let seen = rate.per_second(at(199.9));
        assert!((9.0..=10.1).contains(&seen), "{seen}");
    }

    #[test]
    fn what_happened_long_ago_does_not_count() {
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(at(1.0)), 0.0);
        rate.count(at(1.0));
        assert_eq!(rate.per_second(at(1.5)), 1.0);
        assert_eq!(rate.per_second(at(90.0)), 0.0);
    }

    fn at(seconds: f64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs_f64(seconds)
    }
}
