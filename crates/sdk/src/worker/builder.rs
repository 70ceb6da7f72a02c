//! Describing a worker.

use super::{Worker, WorkerError};
use crate::activity::{self, Activities, ActivityFn, Means, Pool, PoolOptions, Registered, Registrar};
use crate::client::Client;
use crate::telemetry::Metrics;
use crate::workflow::{self, Patience, WorkflowFn};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use temporalio_sdk::WorkerOptions;
use temporalio_sdk::runtime::worker_tuner::{FixedSizeSlotSupplier, TunerHolder};

/// How long activities may go on after the signal to stop, before they are asked to.
const GRACE: Duration = Duration::from_secs(10);

/// Tasks of a kind at a time, if nothing is said.
const CONCURRENT_TASKS: usize = 100;

/// A worker that is being described: see [`Worker::builder`].
#[must_use = "nothing polls until the worker is built and runs"]
pub struct Builder {
    client: Client,
    queue: String,
    workflows: Vec<Registration>,
    activities: Registrar,
    options: WorkerOptions,
    pool: PoolOptions,
    concurrent_activities: usize,
    concurrent_workflow_tasks: usize,
}

/// A workflow to be registered.
struct Registration {
    name: &'static str,
    register: fn(&mut WorkerOptions) -> bool,
}

impl Builder {
    pub(super) fn new(client: Client, queue: String) -> Builder {
        let options = WorkerOptions::new(queue.clone()).graceful_shutdown_period(GRACE).build();
        Builder {
            client,
            queue,
            workflows: Vec::new(),
            activities: Registrar::default(),
            options,
            pool: PoolOptions::default(),
            concurrent_activities: CONCURRENT_TASKS,
            concurrent_workflow_tasks: CONCURRENT_TASKS,
        }
    }

    /// Runs this activity: `.activity(charge_card)`.
    pub fn activity<M, F: ActivityFn<M>>(mut self, activity: F) -> Self
    where
        F::Definition: activity::Implemented,
        <F::Definition as activity::Definition>::State: activity::NoState,
    {
        let _ = activity;
        self.activities.add::<F::Definition>(Arc::new(activity::NoState::new()));
        self
    }

    /// Runs the activities of this `#[activities] impl`, all on this state: `.activities(Mailer::new(smtp))`.
    pub fn activities<S: Activities>(mut self, state: impl Into<Arc<S>>) -> Self {
        S::register(state.into(), &mut self.activities);
        self
    }

    /// Runs this workflow: `.workflow(order)`, or `.workflow(Order::run)` for a workflow with state.
    pub fn workflow<M, F: WorkflowFn<M>>(mut self, workflow: F) -> Self
    where
        F::Definition: workflow::Implemented,
    {
        let _ = workflow;
        let name = <F::Definition as workflow::Definition>::NAME;
        let register =
            |options: &mut WorkerOptions| options.register_workflow::<workflow::Host<F::Definition>>().is_ok();
        self.workflows.push(Registration { name, register });
        self
    }

    /// Activities at a time, local ones not counted: 100 if nothing is said.
    pub fn max_concurrent_activities(mut self, limit: usize) -> Self {
        self.concurrent_activities = limit;
        self
    }

    /// Workflow tasks at a time: 100 if nothing is said.
    pub fn max_concurrent_workflow_tasks(mut self, limit: usize) -> Self {
        self.concurrent_workflow_tasks = limit;
        self
    }

    /// How many runs stay in memory between their tasks: 1,000 if nothing is said. With 0, every task replays its run.
    pub fn max_cached_workflows(mut self, limit: usize) -> Self {
        self.options.max_cached_workflows = limit;
        self
    }

    /// How many activities this worker starts per second at most.
    pub fn activities_per_second(mut self, limit: f64) -> Self {
        self.options.max_worker_activities_per_second = Some(limit);
        self
    }

    /// How many activities start per second at most, over all workers of the queue. The server holds it; of workers that
    /// disagree, the last to say wins.
    pub fn queue_activities_per_second(mut self, limit: f64) -> Self {
        self.options.max_task_queue_activities_per_second = Some(limit);
        self
    }

    /// Threads for async activities: one for each core if nothing is said.
    pub fn activity_threads(mut self, threads: usize) -> Self {
        self.pool.threads = Some(threads);
        self
    }

    /// Threads for `#[activity(blocking)]`, made as they are needed: 100 if nothing is said.
    pub fn blocking_threads(mut self, threads: usize) -> Self {
        self.pool.blocking_threads = threads;
        self
    }

    /// How long an async activity, or the code of a workflow, may hold its thread before it is named in the log: one
    /// second if nothing is said.
    pub fn blocked_limit(mut self, limit: Duration) -> Self {
        self.pool.blocked_limit = limit;
        self
    }

    /// How long activities may go on after the signal to stop, before they are asked to: ten seconds if nothing is said.
    /// Five seconds after that, those that still run are dropped, to be tried again by another worker at their last
    /// heartbeat. A thread that is blocked cannot be dropped: its code goes on, and nobody hears what it returns.
    pub fn graceful_shutdown(mut self, period: Duration) -> Self {
        self.options.graceful_shutdown_period = Some(period);
        self
    }

    /// Who it says that it is, instead of process and host.
    pub fn identity(mut self, identity: impl Into<String>) -> Self {
        self.options.client_identity_override = Some(identity.into());
        self
    }

    /// Any other option of the official worker.
    pub fn with_official(mut self, change: impl FnOnce(&mut WorkerOptions)) -> Self {
        change(&mut self.options);
        self
    }

    /// Sets up what was described. It polls once it [runs](Worker::run).
    pub fn build(mut self) -> Result<Worker, WorkerError> {
        self.check()?;
        self.options.tuner = TunerHolder::builder()
            .workflow_task_slot_supplier(FixedSizeSlotSupplier::new(self.concurrent_workflow_tasks))
            .activity_task_slot_supplier(FixedSizeSlotSupplier::new(self.concurrent_activities))
            .local_activity_task_slot_supplier(FixedSizeSlotSupplier::new(CONCURRENT_TASKS))
            .nexus_task_slot_supplier(FixedSizeSlotSupplier::new(CONCURRENT_TASKS))
            .build()
            .into();
        let blocked = self.client.metrics().map(Metrics::blocked_activities);
        let means = Means { pool: Arc::new(Pool::new(&self.pool, blocked)?), pipeline: self.client.pipeline() };
        let mut parts = Vec::new();
        for limited in self.activities.iter() {
            let Some((queue, per_second)) = limited.own_queue(&self.queue) else { continue };
            let mut options = self.options.clone();
            options.task_queue = queue;
            options.max_task_queue_activities_per_second = Some(per_second);
            limited.register(&mut options, &means);
            self.client.mocks().register(&mut options, &means);
            parts.push(self.part(options)?);
        }
        let mut options = self.options.clone();
        for workflow in &self.workflows {
            let registered = (workflow.register)(&mut options);
            debug_assert!(registered, "duplicates were found before");
        }
        for activity in self.activities.iter() {
            activity.register(&mut options, &means);
        }
        self.client.mocks().register(&mut options, &means);
        parts.push(self.part(options)?);
        for workflow in &self.workflows {
            self.client.remember_queue(workflow.name, &self.queue);
        }
        let registered = self.activities.iter().map(Registered::name).chain(self.client.mocks().names()).collect();
        let grace = self.options.graceful_shutdown_period.unwrap_or_default();
        let blocked = self.client.metrics().map(Metrics::blocked_workflows);
        let patience =
            Patience { limit: self.pool.blocked_limit, found: Arc::default(), metric: blocked.map(Arc::new) };
        Ok(Worker { queue: self.queue, parts, pool: means.pool, registered: Arc::new(registered), grace, patience })
    }

    fn part(&self, options: WorkerOptions) -> Result<temporalio_sdk::Worker, WorkerError> {
        Ok(temporalio_sdk::Worker::new(self.client.runtime(), self.client.inner().clone(), options)?)
    }

    fn check(&self) -> Result<(), WorkerError> {
        let mut names = BTreeSet::new();
        if let Some(twice) = self.workflows.iter().find(|workflow| !names.insert(workflow.name)) {
            return Err(WorkerError::Duplicate { kind: "workflows", name: twice.name.to_owned() });
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = self.activities.iter().find(|activity| !names.insert(activity.name())) {
            return Err(WorkerError::Duplicate { kind: "activities", name: twice.name().to_owned() });
        }
        let nothing = self.workflows.is_empty() && self.activities.iter().next().is_none();
        if nothing && self.client.mocks().names().is_empty() {
            return Err(WorkerError::Empty { queue: self.queue.clone() });
        }
        Ok(())
    }
}
