//! Workers: what runs workflows and activities.
//!
//! A worker's workflow code has a thread of its own, because it may not move between threads and must not be held up.

use crate::activity::{self, ActivityFn};
use crate::client::Client;
use crate::workflow::{self, WorkflowFn};
use std::sync::Arc;
use std::time::Duration;
use temporalio_sdk::{WorkerCreateError, WorkerOptions, WorkerRunError, WorkflowRegistrationError};
use tokio::sync::oneshot;

/// Runs workflows and activities of one task queue.
pub struct Worker {
    inner: temporalio_sdk::Worker,
}

/// Why a worker is not built, or stops.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// Two things have one name.
    #[error(transparent)]
    Registration(#[from] WorkflowRegistrationError),
    /// It could not be set up.
    #[error(transparent)]
    Create(#[from] WorkerCreateError),
    /// It cannot go on.
    #[error(transparent)]
    Run(#[from] WorkerRunError),
    /// Its thread ended without a word.
    #[error("the worker's thread ended early")]
    Thread,
}

/// A worker that is being described.
#[must_use = "call build()"]
pub struct Builder {
    client: Client,
    queue: String,
    options: WorkerOptions,
    duplicate: Option<WorkflowRegistrationError>,
}

impl Worker {
    /// Describes a worker for a task queue.
    pub fn builder(client: &Client, task_queue: impl Into<String>) -> Builder {
        let queue = task_queue.into();
        let options = WorkerOptions::new(queue.clone()).graceful_shutdown_period(Duration::from_secs(10)).build();
        Builder { client: client.clone(), queue, options, duplicate: None }
    }

    /// Runs until the worker cannot go on.
    pub async fn run(self) -> Result<(), WorkerError> {
        self.run_until(std::future::pending::<()>()).await
    }

    /// Runs until the signal comes: then takes no more tasks, lets activities finish for a while, and returns.
    pub async fn run_until(self, signal: impl Future) -> Result<(), WorkerError> {
        let stop = self.inner.shutdown_handle();
        let mut running = std::pin::pin!(on_a_thread(self.inner));
        tokio::select! {
            ended = &mut running => return ended,
            _ = signal => stop(),
        }
        running.await
    }
}

/// Runs the official worker, which stays on one thread, so that the caller's future may move.
async fn on_a_thread(mut worker: temporalio_sdk::Worker) -> Result<(), WorkerError> {
    let runtime = tokio::runtime::Handle::current();
    let (ended, outcome) = oneshot::channel();
    let thread = std::thread::Builder::new().name(format!("worker {}", worker.task_queue()));
    let spawned = thread.spawn(move || {
        let outcome = runtime.block_on(worker.run());
        let _ = ended.send(outcome);
    });
    spawned.map_err(|_| WorkerError::Thread)?;
    outcome.await.map_err(|_| WorkerError::Thread)?.map_err(WorkerError::Run)
}

impl Builder {
    /// Runs this activity: `.activity(charge_card)`.
    pub fn activity<M, F: ActivityFn<M>>(mut self, activity: F) -> Self
    where
        F::Definition: activity::Definition<State = ()>,
    {
        let _ = activity;
        activity::Host::<F::Definition>::register(&mut self.options, Arc::new(()), self.client.pipeline());
        self
    }

    /// Runs this workflow: `.workflow(order)`.
    pub fn workflow<M, F: WorkflowFn<M>>(mut self, workflow: F) -> Self {
        let _ = workflow;
        let registered = self.options.register_workflow::<workflow::Host<F::Definition>>().map(|_| ());
        match registered {
            Ok(()) => self.client.remember_queue(<F::Definition as workflow::Definition>::NAME, &self.queue),
            Err(error) => self.duplicate = self.duplicate.or(Some(error)),
        }
        self
    }

    /// How many runs stay in memory between their tasks: 1,000 if nothing is said. With 0, every task replays its run.
    pub fn max_cached_workflows(mut self, limit: usize) -> Self {
        self.options.max_cached_workflows = limit;
        self
    }

    /// Sets up what was described. It polls once it [runs](Worker::run).
    pub fn build(mut self) -> Result<Worker, WorkerError> {
        if let Some(duplicate) = self.duplicate {
            return Err(duplicate.into());
        }
        self.client.mocks().register(&mut self.options, self.client.pipeline().as_ref());
        let inner = temporalio_sdk::Worker::new(self.client.runtime(), self.client.inner().clone(), self.options)?;
        Ok(Worker { inner })
    }
}
