//! One file per benchmark, and what they share.
//!
//! Every mode warms up first, then measures one stretch: begin the probe, drive, wait until the work is done, end the
//! probe. Workflow ids and task queues carry a random name, so repeated runs against one server never meet.

pub mod activities;
pub mod compare;
pub mod parallel;
pub mod parked;
pub mod restart;
pub mod signals;
pub mod starts;

use crate::{
    client::{Client, ClientOptions, Start, to_payloads},
    load::{Limit, Sample},
    probe::Watched,
    programs::{BenchProgram, result_of},
    worker::{Tally, Worker, WorkerOptions},
};
use anyhow::Context;
use serde::Serialize;
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

/// The server under test.
#[derive(Debug, Clone, Default)]
pub struct Target {
    pub client: ClientOptions,
    pub watched: Watched,
}

/// Who says that a run is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ResultFrom {
    /// A long poll for the closing event, as an SDK's `result()` does. The worker's view is recorded beside it.
    #[default]
    Client,
    /// The acknowledged closing command. One call less per workflow.
    Worker,
}

/// How much to do, and how.
#[derive(Debug, Clone)]
pub struct Load {
    pub in_flight: usize,
    pub count: Option<u64>,
    pub duration: Option<Duration>,
    pub warmup: Option<u64>,
    pub result_from: ResultFrom,
    pub eager: bool,
    pub sticky: bool,
    pub pollers: Option<usize>,
    /// Where to measure the disk, when a mode's latency is to be compared with it.
    pub disk_directory: PathBuf,
    pub disk_flushes: usize,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            in_flight: 1,
            count: None,
            duration: None,
            warmup: None,
            result_from: ResultFrom::Client,
            eager: true,
            sticky: true,
            pollers: None,
            disk_directory: ".".into(),
            disk_flushes: 200,
        }
    }
}

impl Load {
    fn limit(&self, count_default: u64) -> Limit {
        match (self.count, self.duration) {
            (None, None) => Limit::count(count_default),
            (count, duration) => Limit { count: count.unwrap_or(u64::MAX), duration },
        }
    }

    fn warmup(&self) -> Limit {
        Limit::count(self.warmup.unwrap_or(10 + 2 * self.in_flight as u64))
    }

    fn worker_options(&self, queue: &str) -> WorkerOptions {
        let mut options = WorkerOptions::sized(queue, self.pollers.unwrap_or(self.in_flight));
        if !self.sticky {
            options.sticky_pollers = 0;
        }
        options
    }
}

/// A client and a worker on connections of their own, sharing a task queue nobody else uses.
struct Rig {
    client: Client,
    worker_client: Client,
    program: Arc<BenchProgram>,
    /// Names the task queue, and begins every workflow id.
    name: String,
}

impl Rig {
    fn new(target: &Target, mode: &str) -> anyhow::Result<Arc<Self>> {
        let name = format!("bench-{mode}-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
        let client = Client::new(target.client.clone())?;
        let identity = format!("{}-worker", target.client.identity);
        let worker_client = Client::new(ClientOptions { identity, ..target.client.clone() })?;
        Ok(Arc::new(Self { client, worker_client, program: Arc::default(), name }))
    }

    fn start_worker(&self, options: WorkerOptions) -> Worker {
        Worker::start(self.worker_client.clone(), options, self.program.clone())
    }

    fn retries(&self) -> u64 {
        self.client.trouble().total() + self.worker_client.trouble().total()
    }

    async fn start(&self, workflow_id: String, workflow_type: &str, input: &impl Serialize) -> anyhow::Result<String> {
        let start = Start {
            workflow_id,
            workflow_type: workflow_type.to_owned(),
            task_queue: self.name.clone(),
            input: Some(to_payloads(input)),
            ..Default::default()
        };
        self.client.start(start).await.context("start")
    }

    /// Starts a run and waits for its result, which must be the expected number.
    async fn start_to_result(
        &self,
        workflow_id: String,
        workflow_type: &str,
        input: &impl Serialize,
        expected: u32,
        result_from: ResultFrom,
    ) -> anyhow::Result<Sample> {
        let closing = self.program.closing(&workflow_id);
        let begun = Instant::now();
        let run_id = self.start(workflow_id.clone(), workflow_type, input).await?;
        let mut sample = Sample::default();
        if result_from == ResultFrom::Client {
            self.expect_result(&workflow_id, &run_id, expected).await?;
            sample.client = Some(begun.elapsed().as_micros() as u32);
        }
        // The worker never learns of an acknowledgement that was lost on its way, and once the client has the result
        // only a slow answer can still be under way.
        let limit = if sample.client.is_some() { Duration::from_secs(1) } else { Duration::from_secs(60) };
        match tokio::time::timeout(limit, closing).await {
            Ok(Ok(at)) => sample.worker = Some((at - begun).as_micros() as u32),
            _ if result_from == ResultFrom::Client => {}
            _ => anyhow::bail!("{workflow_id} was not seen to close"),
        }
        Ok(sample)
    }

    async fn expect_result(&self, workflow_id: &str, run_id: &str, expected: u32) -> anyhow::Result<()> {
        let event = self.client.closing_event(workflow_id, run_id).await.context("result")?;
        let result = result_of(&event);
        anyhow::ensure!(
            result == Some(expected),
            "{workflow_id} ended with {:?} {result:?}, expected {expected}",
            event.event_type()
        );
        Ok(())
    }
}

/// Counters of a worker at one moment.
#[derive(Clone, Copy)]
struct TallyMark {
    workflow_tasks: u64,
    eager: u64,
    history_reads: u64,
    stale: u64,
}

impl TallyMark {
    fn of(worker: &Worker) -> Self {
        let tally = worker.tally();
        Self {
            workflow_tasks: Tally::get(&tally.workflow_tasks),
            eager: Tally::get(&tally.eager_activities),
            history_reads: Tally::get(&tally.history_reads),
            stale: Tally::get(&tally.stale),
        }
    }
}

impl crate::report::Report {
    /// Adds how the worker's tasks went since the mark.
    fn add_tally(&mut self, worker: &Worker, since: TallyMark) {
        let (now, units) = (TallyMark::of(worker), self.done.max(1) as f64);
        self.figure("workflow_tasks_per_unit", (now.workflow_tasks - since.workflow_tasks) as f64 / units);
        self.figure("eager_activities_per_unit", (now.eager - since.eager) as f64 / units);
        self.figure("histories_read_again", (now.history_reads - since.history_reads) as f64);
        self.figure("completions_not_taken", (now.stale - since.stale) as f64);
    }
}
