//! Where activities run: threads of their own, so that one that blocks holds up neither workflows nor the connection
//! to the server, over which the heartbeats of all the others go.
//!
//! Invariants
//! - No activity code runs on the runtime that the worker was built on (`home`); what must not wait runs only there.
//!   That includes waiting for a thread that may block.
//! - Dropping the future of an attempt aborts it, and so does its time running out: the server has then given the task
//!   to somebody else, or will not.

use super::context::{self, Attempt, Info};
use super::left_behind::LeftBehind;
use super::watchdog::Watchdog;
use crate::error::{Error, Result};
use crate::telemetry::Blocked;
use crate::workflow::panic_message;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// How a worker runs its activities.
#[derive(Debug, Clone)]
pub(crate) struct PoolOptions {
    /// Threads for async activities; one for each core if nothing is said.
    pub(crate) threads: Option<usize>,
    /// Threads for blocking ones, made as they are needed.
    pub(crate) blocking_threads: usize,
    /// How long an async activity may hold its thread before it is named.
    pub(crate) blocked_limit: Duration,
}

impl Default for PoolOptions {
    fn default() -> Self {
        PoolOptions { threads: None, blocking_threads: 100, blocked_limit: Duration::from_secs(1) }
    }
}

/// The threads of one worker's activities.
pub(crate) struct Pool {
    /// There until it is dropped.
    runtime: Option<Runtime>,
    home: Handle,
    watchdog: Watchdog,
    left_behind: LeftBehind,
    /// The worker takes no more tasks.
    stopping: CancellationToken,
    /// No attempt goes on after this.
    over: CancellationToken,
    /// The worker is no longer there to hear how an attempt ends.
    gone: CancellationToken,
}

impl Pool {
    /// Threads beside the current runtime, which becomes their home.
    pub(crate) fn new(options: &PoolOptions, metric: Option<Blocked>) -> std::io::Result<Pool> {
        let mut builder = Builder::new_multi_thread();
        builder.enable_all().thread_name("activity").max_blocking_threads(options.blocking_threads.max(1));
        if let Some(threads) = options.threads {
            builder.worker_threads(threads.max(1));
        }
        let watchdog = Watchdog::start(options.blocked_limit, metric)?;
        let [stopping, over, gone] = std::array::from_fn(|_| CancellationToken::new());
        let (home, left_behind) = (Handle::current(), LeftBehind::default());
        Ok(Pool { runtime: Some(builder.build()?), home, watchdog, left_behind, stopping, over, gone })
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it is there until the drop")
    }

    /// Where heartbeats run, and whatever else must not wait for an activity.
    pub(crate) fn home(&self) -> &Handle {
        &self.home
    }

    /// What attempts of local activities leave for the next one.
    pub(super) fn left_behind(&self) -> &LeftBehind {
        &self.left_behind
    }

    /// How often an async activity was found to block its thread.
    pub(crate) fn blocked(&self) -> u64 {
        self.watchdog.found()
    }

    /// Runs an attempt to its end. Work that blocks has a thread of its own, and only waits here.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        attempt: Arc<Attempt>,
        work: BoxFuture<'static, Result<T>>,
        blocking: bool,
    ) -> Result<T> {
        let name = attempt.info().activity_type.clone();
        let limit = time_limit(attempt.info());
        let work = context::within(attempt.clone(), work).boxed();
        let watched = self.watchdog.watch(attempt.info(), work);
        let threads = if blocking { &self.home } else { self.runtime().handle() };
        let mut task = Aborting(threads.spawn(watched.in_current_span()));
        tokio::select! {
            outcome = &mut task.0 => outcome.unwrap_or_else(|error| Err(unfinished(&name, error))),
            () = after(limit) => {
                tracing::warn!(activity = name, "an attempt has outlived its timeout and is dropped");
                drop(task);
                // The server says so itself, and which timeout it was. A report that came before that would be taken
                // for an ordinary failure.
                tokio::select! {
                    () = tokio::time::sleep(SERVER_LEEWAY) => {}
                    () = self.over.cancelled() => {}
                }
                Err(Error::new(format!("activity {name} outlived its timeout")).with_type("TimedOut"))
            }
            () = self.over.cancelled() => {
                drop(task);
                if attempt.info().is_local {
                    // Its failure would be the workflow's affair, or be tried again here. Unheard of, it is run again
                    // with its workflow task, by another worker.
                    self.gone.cancelled().await;
                }
                Err(stopped(&name))
            }
        }
    }

    /// Cancelled when the worker begins to stop.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// To be cancelled when the worker is gone.
    pub(crate) fn gone(&self) -> &CancellationToken {
        &self.gone
    }

    /// Drops the attempts that still run.
    pub(crate) fn drop_all(&self) {
        self.over.cancel();
    }

    /// Runs code that blocks, on a thread that may be blocked.
    pub(crate) async fn block<T: Send + 'static>(
        &self,
        attempt: Arc<Attempt>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let name = attempt.name().to_owned();
        let span = tracing::Span::current();
        let task = self.runtime().spawn_blocking(move || span.in_scope(|| context::within_sync(attempt, work)));
        task.await.map_err(|error| unfinished(&name, error))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Waiting for threads here would block a runtime, and none of them has anything left to say.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A task that ends with its owner.
struct Aborting<T>(JoinHandle<T>);

impl<T> Drop for Aborting<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn unfinished(name: &str, error: JoinError) -> Error {
    match error.try_into_panic() {
        Ok(panic) => Error::new(format!("activity {name} panicked: {}", panic_message(&*panic))).with_type("Panic"),
        Err(_) => stopped(name),
    }
}

fn stopped(name: &str) -> Error {
    Error::new(format!("activity {name} was stopped with its worker")).with_type("WorkerStopped")
}

/// How late a server may be in ending an attempt: some look at their timers only now and then.
const SERVER_LEEWAY: Duration = Duration::from_secs(5);

/// How long this attempt may take, from when the server started it.
fn time_limit(info: &Info) -> Option<Duration> {
    info.deadline?.duration_since(info.started_time?).ok()
}

async fn after(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}
