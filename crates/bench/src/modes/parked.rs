//! Many runs that wait for a signal: what does each cost in memory, what do they cost while nothing happens, and how
//! long does it take to wake one?
//!
//! Memory is compared twice: with the empty server, and with the server already holding `base` runs, so that caches
//! which are full by then do not count.

use super::{Load, Rig, Target};
use crate::{
    load::{Limit, Sample, drive},
    probe::{Probe, rss_kib},
    programs::{SIGNALS, SignalsInput},
    report::{Latency, Report},
    worker::{Tally, Worker},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

#[derive(Debug, Clone)]
pub struct Plan {
    /// Runs opened before memory is compared.
    pub base: u64,
    pub wake: u64,
    pub settle: Duration,
    pub idle: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self { base: 2000, wake: 200, settle: Duration::from_secs(3), idle: Duration::from_secs(5) }
    }
}

pub async fn run(target: &Target, load: &Load, plan: &Plan) -> anyhow::Result<Report> {
    let rig = Rig::new(target, "parked")?;
    let worker = rig.start_worker(load.worker_options(&rig.name));
    let count = load.count.unwrap_or(10_000);
    let memory = || target.watched.pid.map(rss_kib).transpose();

    tokio::time::sleep(Duration::from_secs(1)).await;
    let empty_kib = memory()?;
    open(&rig, &worker, load.in_flight, 0, plan.base).await?;
    tokio::time::sleep(plan.settle).await;
    let base_kib = memory()?;

    let probe = Probe::begin(&target.watched).await?;
    let driven = open(&rig, &worker, load.in_flight, plan.base, count).await?;
    let cost = probe.end().await?;
    tokio::time::sleep(plan.settle).await;
    let full_kib = memory()?;

    let probe = Probe::begin(&target.watched).await?;
    tokio::time::sleep(plan.idle).await;
    let idle = probe.end().await?;

    let woken = wake(&rig, plan.base + count, plan.wake).await;

    let mut report = Report::new("parked runs", "run", load.in_flight).with(&driven, &cost);
    report.retries = rig.retries();
    report.rss_before_kib = empty_kib;
    report.rss_after_kib = full_kib;
    report.figure("runs_open", (plan.base + count) as f64);
    if let (Some(empty), Some(base), Some(full)) = (empty_kib, base_kib, full_kib) {
        let each = |from: u64, to: u64, runs: u64| (to as f64 - from as f64) / runs as f64;
        report.figure("rss_kib_per_run_above_base", each(base, full, count));
        report.figure("rss_kib_per_run_from_empty", each(empty, full, plan.base + count));
    }
    if let Some(ms) = idle.server_cpu_ms {
        report.figure("idle_cores", ms / 1000.0 / idle.seconds);
    }
    report.failures += woken.failures;
    report.first_failure = report.first_failure.take().or(woken.first_failure.clone());
    if let Some(latency) = Latency::of(&woken.client_micros()) {
        report.figure("wake_p50_ms", latency.p50_ms);
        report.figure("wake_p99_ms", latency.p99_ms);
    }
    worker.stop().await;
    Ok(report)
}

/// Opens runs and waits until the first workflow task of each is completed.
pub(super) async fn open(
    rig: &Arc<Rig>,
    worker: &Worker,
    in_flight: usize,
    from: u64,
    count: u64,
) -> anyhow::Result<crate::load::Driven> {
    let tasks_before = Tally::get(&worker.tally().workflow_tasks);
    let opener = rig.clone();
    let mut driven = drive(in_flight, Limit::count(count), move |index| {
        let rig = opener.clone();
        async move {
            let begun = Instant::now();
            rig.start(workflow_id(&rig, from + index), SIGNALS, &SignalsInput { wanted: 1 }).await?;
            Ok(Sample { client: Some(begun.elapsed().as_micros() as u32), worker: None })
        }
    })
    .await;
    anyhow::ensure!(driven.failures == 0, "cannot open runs: {:?}", driven.first_failure);
    let begun = Instant::now();
    while Tally::get(&worker.tally().workflow_tasks) < tasks_before + count {
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(600), "first workflow tasks did not arrive");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    driven.elapsed += begun.elapsed();
    Ok(driven)
}

/// Signals some of the runs, spread over all of them, one at a time, and waits for the result of each.
pub(super) async fn wake(rig: &Arc<Rig>, open: u64, wake: u64) -> crate::load::Driven {
    let (rig, wake) = (rig.clone(), wake.min(open));
    drive(1, Limit::count(wake), move |index| {
        let rig = rig.clone();
        async move {
            let id = workflow_id(&rig, index * (open / wake));
            let begun = Instant::now();
            rig.client.signal(&id, "bench", None).await?;
            rig.expect_result(&id, "", 1).await?;
            Ok(Sample { client: Some(begun.elapsed().as_micros() as u32), worker: None })
        }
    })
    .await
}

fn workflow_id(rig: &Rig, index: u64) -> String {
    format!("{}-{index}", rig.name)
}
