//! An engine in memory on a clock that skips.

use super::Mock;
use crate::activity::{self, ActivityFn};
use crate::client::Client;
use crate::error::Result;
use crate::tradewind::{Engine, Tradewind, TradewindError};
use crate::value::Arguments;
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

    /// Puts a function in the place of an activity, in every worker of this environment that is built from here on,
    /// whether it knows the activity or not. All others run for real.
    ///
    /// ```
    /// # use tradewind::prelude::*;
    /// # use tradewind::testing::Environment;
    /// #[activity]
    /// async fn fetch_user(id: String) -> Result<String> {
    ///     Err(Error::non_retryable("there is no service here to ask"))
    /// }
    ///
    /// #[workflow]
    /// async fn greet(id: String) -> Result<String> {
    ///     Ok(format!("Hello, {}!", fetch_user(id).await?))
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<()> {
    /// let env = Environment::start().await?;
    /// let users = env.mock(fetch_user, |id| async move { Ok(format!("user {id}")) });
    /// env.spawn(Worker::builder(&env, "greetings").workflow(greet).build()?);
    ///
    /// assert_eq!(env.execute(greet("42".into())).await?, "Hello, user 42!");
    /// assert_eq!(users.arguments(), ["42"]);
    /// # env.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The closure takes one parameter: the argument, or a tuple if there are several.
    ///
    /// Workers of every queue run the replacement. An activity with a queue of its own wants a worker there, which needs
    /// nothing else to run: `env.spawn(Worker::builder(&env, "payments").build()?)`.
    pub fn mock<M, F, W, R>(&self, activity: F, with: W) -> Mock<F::Definition>
    where
        F: ActivityFn<M>,
        W: Fn(<<F::Definition as activity::Definition>::Args as Arguments>::Plain) -> R + Send + Sync + 'static,
        R: Future<Output = Result<<F::Definition as activity::Definition>::Output>> + Send + 'static,
    {
        let _ = activity;
        self.tradewind.mocks().replace::<F::Definition, W, R>(with)
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
