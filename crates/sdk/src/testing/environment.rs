//! An engine in memory on a clock that skips.

use crate::client::Client;
use crate::tradewind::{Engine, Tradewind, TradewindError};
use server::Settings;
use server::ambient::{Clock, Skipping};
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Closed runs stay for longer than any test waits.
const RETENTION: Duration = Duration::from_secs(10 * 365 * 86_400);

/// An engine in memory whose time skips: a [`Tradewind`] for tests.
///
/// Time goes at the machine's pace, and jumps to the next timer, retry or timeout when two things hold: somebody waits
/// for time to pass (a result, an update, [`sleep`](Environment::sleep)), and nothing but time can change anything.
/// So a workflow that sleeps for a month takes milliseconds, an activity that runs is not timed out by a jump, and
/// what a test does between two waits happens at one moment.
///
/// Each environment is a world of its own: tests may run side by side.
#[derive(Debug)]
pub struct Environment {
    tradewind: Tradewind,
    clock: Arc<Skipping>,
}

impl Environment {
    /// Starts an engine with nothing in it.
    pub async fn start() -> Result<Environment, TradewindError> {
        let clock = Skipping::new();
        let mut settings = Settings::default();
        settings.storage.in_memory = true;
        settings.limits.namespace_retention_default = RETENTION;
        let engine = Engine::start(settings, Clock::Skipping(clock.clone())).await?;
        Ok(Environment { tradewind: Tradewind::with_engine(engine, Client::builder()).await?, clock })
    }

    /// What time it is here: the machine's time and all that was skipped.
    pub fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.clock.now().as_nanos().max(0) as u64)
    }

    /// Lets this much time pass, skipping where nothing happens. Returns when all that was due by then has happened:
    /// timers have fired, and the workflows that waited for them have come to rest again.
    ///
    /// Waits for as long as a worker is at work, and for good if a workflow has no worker.
    pub async fn sleep(&self, duration: Duration) {
        self.clock.sleep_until(self.clock.now() + duration).await;
    }

    /// Jumps this far at once, as if the machine had been off: what lay in between happens late, and what runs
    /// meanwhile may time out.
    pub fn skip(&self, duration: Duration) {
        self.clock.skip(duration);
    }

    /// Stops workers and engine, in this order.
    pub async fn shutdown(self) -> Result<(), TradewindError> {
        self.tradewind.shutdown().await
    }
}

impl Deref for Environment {
    type Target = Tradewind;

    fn deref(&self) -> &Tradewind {
        &self.tradewind
    }
}
