//! The machine's clock and randomness: the only place that reads them.
//!
//! Everything else is handed a [`Clock`] or an [`Entropy`], so that a test or a simulation decides what
//! time it is and which ids appear.

mod skipping;

pub use skipping::{Counted, Skipping};

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};
use std::time::UNIX_EPOCH;
use tradewind_core::time::Timestamp;
use uuid::Uuid;

/// Tells the time.
#[derive(Debug, Clone)]
pub enum Clock {
    System,
    /// Stands still until a test moves it.
    Manual(Arc<AtomicI64>),
    /// Jumps over the time in which nothing can happen, for tests of programs.
    Skipping(Arc<Skipping>),
}

impl Clock {
    pub fn manual(now: Timestamp) -> Clock {
        Clock::Manual(Arc::new(AtomicI64::new(now.as_nanos())))
    }

    pub fn now(&self) -> Timestamp {
        match self {
            Clock::System => system_now(),
            Clock::Manual(nanos) => Timestamp::from_nanos(nanos.load(Ordering::Relaxed)),
            Clock::Skipping(clock) => clock.now(),
        }
    }

    /// Waits until this clock says `due`, or about that: whoever waits looks at the time again.
    pub async fn until(&self, due: Timestamp) {
        match self {
            Clock::System | Clock::Manual(_) => tokio::time::sleep(due - self.now()).await,
            Clock::Skipping(clock) => clock.until(due).await,
        }
    }

    pub(crate) fn skipping(&self) -> Option<&Arc<Skipping>> {
        match self {
            Clock::System | Clock::Manual(_) => None,
            Clock::Skipping(clock) => Some(clock),
        }
    }

    /// Moves a test's clock; the system's cannot be moved.
    pub fn advance(&self, by: std::time::Duration) {
        match self {
            Clock::System => {}
            Clock::Manual(nanos) => {
                nanos.fetch_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX), Ordering::Relaxed);
            }
            Clock::Skipping(clock) => clock.skip(by),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one reading of the machine's clock")]
fn system_now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
}

/// Makes ids that nobody can guess or repeat.
#[derive(Debug, Clone)]
pub enum Entropy {
    System,
    /// Counts, for tests.
    Counting(Arc<AtomicI64>),
}

impl Entropy {
    pub fn counting() -> Entropy {
        Entropy::Counting(Arc::default())
    }

    pub fn uuid(&self) -> Uuid {
        match self {
            Entropy::System => system_uuid(),
            Entropy::Counting(next) => Uuid::from_u128(next.fetch_add(1, Ordering::Relaxed) as u128 + 1),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one reading of the machine's randomness")]
fn system_uuid() -> Uuid {
    Uuid::new_v4()
}
