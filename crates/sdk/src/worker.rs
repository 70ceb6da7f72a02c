//! Workers: what runs workflows and activities.
//!
//! A worker's workflow code has a thread of its own, because it may not move between threads and must not be held up.
//! Its activities have threads of their own too: see `activity::pool`. An activity with a rate limit has a queue of its
//! own, since queues are what the platform limits, and so a second official worker inside this one.

mod builder;
mod error;

pub use builder::Builder;
pub use error::WorkerError;

use crate::activity::Pool;
use crate::client::Client;
use crate::workflow::{Patience, Watchdog, locals};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Runs workflows and activities of one task queue.
///
/// ```no_run
/// # use tradewind::prelude::*;
/// # #[activity] async fn charge() -> Result<()> { Ok(()) }
/// # #[workflow] async fn order() -> Result<()> { charge().await }
/// # async fn run(client: Client) -> Result<()> {
/// let worker = Worker::builder(&client, "orders").activity(charge).workflow(order).build()?;
/// worker.run_until(tokio::signal::ctrl_c()).await?;
/// # Ok(()) }
/// ```
pub struct Worker {
    queue: String,
    /// One for the queue, and one for each activity with a queue of its own.
    parts: Vec<temporalio_sdk::Worker>,
    pool: Arc<Pool>,
    /// The activities that it runs, by name.
    registered: locals::Registered,
    /// How long activities may go on after the signal to stop.
    grace: Duration,
    /// How long workflow code may hold its thread before it is named.
    patience: Patience,
}

/// How long activities may clean up after they were asked to stop.
const CLEAN_UP: Duration = Duration::from_secs(5);

/// How long it may take after that to tell the server which ones were dropped.
const LAST_WORDS: Duration = Duration::from_secs(5);

impl Worker {
    /// Describes a worker for a task queue.
    pub fn builder(client: &Client, task_queue: impl Into<String>) -> Builder {
        Builder::new(client.clone(), task_queue.into())
    }

    /// The queue that it works for.
    pub fn task_queue(&self) -> &str {
        &self.queue
    }

    /// Counts that go on while it runs.
    pub fn watch(&self) -> Watch {
        Watch { pool: self.pool.clone(), patience: self.patience.clone() }
    }

    /// Runs until the worker cannot go on.
    pub async fn run(self) -> Result<(), WorkerError> {
        self.run_until(std::future::pending::<()>()).await
    }

    /// Runs until the signal comes: then takes no more tasks, lets activities finish for a while, and returns.
    ///
    /// It returns whatever they do, ten seconds after the [grace period](Builder::graceful_shutdown) at the latest. What is
    /// not finished then is run again by another worker.
    ///
    /// Dropping the future instead drops what the worker has under way: the server finds out by timeouts.
    pub async fn run_until(self, signal: impl Future) -> Result<(), WorkerError> {
        let stop = Stop {
            parts: self.parts.iter().map(|part| Box::new(part.shutdown_handle()) as _).collect(),
            stopping: self.pool.stopping().clone(),
            dropped: self.pool.gone().clone(),
        };
        let run = |part| on_a_thread(part, self.registered.clone(), self.patience.clone(), stop.dropped.clone());
        let mut running: FuturesUnordered<_> = self.parts.into_iter().map(run).collect();
        let first = tokio::select! {
            ended = running.next() => ended,
            _ = signal => None,
        };
        // One part that ended, for whatever reason, takes the others along.
        stop.now();
        let rest = async {
            let mut outcome = first.unwrap_or(Ok(()));
            while let Some(ended) = running.next().await {
                outcome = outcome.and(ended);
            }
            outcome
        };
        let out_of_patience = async {
            tokio::time::sleep(self.grace + CLEAN_UP).await;
            self.pool.drop_all();
            tokio::time::sleep(LAST_WORDS).await;
        };
        tokio::select! {
            outcome = rest => outcome,
            () = out_of_patience => {
                tracing::warn!(queue = self.queue, "the worker stops with work unfinished, which another one will do");
                Ok(())
            }
        }
    }
}

/// What can be read of a worker while it runs.
#[derive(Clone)]
pub struct Watch {
    pool: Arc<Pool>,
    patience: Patience,
}

impl Watch {
    /// How often an async activity blocked its thread for longer than [`Builder::blocked_limit`].
    pub fn blocked_activities(&self) -> u64 {
        self.pool.blocked()
    }

    /// How often workflow code held its thread for longer than [`Builder::blocked_limit`].
    pub fn blocked_workflows(&self) -> u64 {
        self.patience.found.load(Ordering::Relaxed)
    }
}

/// Tells the parts of a worker to stop, and if nobody waits for that any more, to drop everything.
struct Stop {
    parts: Vec<Box<dyn Fn() + Send>>,
    /// What activities see of it.
    stopping: CancellationToken,
    /// Nobody drives the parts any more.
    dropped: CancellationToken,
}

impl Stop {
    fn now(&self) {
        self.stopping.cancel();
        self.parts.iter().for_each(|stop| stop());
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.now();
        self.dropped.cancel();
    }
}

/// Runs an official worker, which stays on one thread, so that the caller's future may move.
async fn on_a_thread(
    mut worker: temporalio_sdk::Worker,
    registered: locals::Registered,
    patience: Patience,
    dropped: CancellationToken,
) -> Result<(), WorkerError> {
    let runtime = tokio::runtime::Handle::current();
    let (ended, outcome) = oneshot::channel();
    let thread = std::thread::Builder::new().name("workflows".into());
    thread.spawn(move || {
        locals::set(registered);
        let _watchdog = Watchdog::start(patience)
            .inspect_err(|error| tracing::warn!(%error, "nothing watches for workflow code that blocks"));
        // First whether anybody is there: the runtime whose clock the worker uses may have gone with the future.
        let outcome = runtime.block_on(async {
            tokio::select! {
                biased;
                () = dropped.cancelled() => Ok(()),
                outcome = worker.run() => outcome,
            }
        });
        let _ = ended.send(outcome);
    })?;
    outcome.await.map_err(|_| WorkerError::Thread)?.map_err(WorkerError::Run)
}
