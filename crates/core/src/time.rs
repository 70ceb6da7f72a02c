//! Instants, in nanoseconds since the Unix epoch, and their wire forms.

use serde::{Deserialize, Serialize};
use std::{
    ops::{Add, Sub},
    time::Duration,
};

/// The longest duration kept, 100 years; anything longer is capped to it.
pub const DURATION_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// An instant. `Timestamp::ZERO` never stands for "unset": that is `Option<Timestamp>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const ZERO: Timestamp = Timestamp(0);
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    pub const fn from_nanos(nanos: i64) -> Timestamp {
        Timestamp(nanos)
    }

    pub fn as_nanos(self) -> i64 {
        self.0
    }

    pub fn from_secs(secs: i64) -> Timestamp {
        Timestamp(secs.saturating_mul(1_000_000_000))
    }

    /// How long after `earlier` this is; zero if it is not after.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0).max(0) as u64)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, duration: Duration) -> Timestamp {
        let nanos = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_add(nanos))
    }
}

impl Sub<Timestamp> for Timestamp {
    type Output = Duration;
    fn sub(self, earlier: Timestamp) -> Duration {
        self.since(earlier)
    }
}

impl From<Timestamp> for prost_types::Timestamp {
    fn from(instant: Timestamp) -> Self {
        prost_types::Timestamp {
            seconds: instant.0.div_euclid(1_000_000_000),
            nanos: instant.0.rem_euclid(1_000_000_000) as i32,
        }
    }
}

impl From<prost_types::Timestamp> for Timestamp {
    fn from(wire: prost_types::Timestamp) -> Self {
        Timestamp(wire.seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(wire.nanos)))
    }
}

/// A wire duration as ours: absent is zero, negative is zero (handlers refuse it first), over
/// [`DURATION_MAX`] is capped.
pub fn duration(wire: Option<&prost_types::Duration>) -> Duration {
    let Some(wire) = wire else { return Duration::ZERO };
    let nanos = i128::from(wire.seconds) * 1_000_000_000 + i128::from(wire.nanos);
    Duration::from_nanos(nanos.clamp(0, DURATION_MAX.as_nanos() as i128) as u64)
}

/// Ours as a wire duration, always present (the protocol shows an unset timeout as 0 s).
pub fn wire(duration: Duration) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds: duration.as_secs() as i64, nanos: duration.subsec_nanos() as i32 })
}
