//! Signals to one run, or spread over many. Every run counts them, and completes with their number.
//!
//! Histories are limited, so a run takes a limited number of signals and the next ones go to a fresh run. The cost
//! covers consumption: it ends when every run has seen all its signals.

use super::{Load, Rig, TallyMark, Target};
use crate::{
    load::{Limit, Sample, drive},
    probe::Probe,
    programs::{SIGNALS, SignalsInput},
    report::Report,
};
use std::time::Instant;

/// Signals one run takes, well within the default limits of a history.
const PER_RUN_MAX: u64 = 5000;

pub async fn run(target: &Target, load: &Load, runs: u64) -> anyhow::Result<Report> {
    anyhow::ensure!(load.duration.is_none(), "the signals mode takes a count, not a duration: runs are opened before");
    let runs = runs.max(1);
    let rig = Rig::new(target, "signals")?;
    let worker = rig.start_worker(load.worker_options(&rig.name));
    send_all(&rig, "w", load.in_flight, load.warmup().count, runs.min(load.warmup().count.max(1))).await?;

    let count = load.count.unwrap_or(2000);
    let (mark, probe) = (TallyMark::of(&worker), Probe::begin(&target.watched).await?);
    let begun = Instant::now();
    let driven = send_all(&rig, "r", load.in_flight, count, runs).await?;
    let consumed = begun.elapsed();
    let cost = probe.end().await?;

    let mut report = Report::new(format!("signals to {runs} runs"), "signal", load.in_flight).with(&driven, &cost);
    report.retries = rig.retries();
    report.figure("consumed_per_second", report.done as f64 / consumed.as_secs_f64());
    report.add_tally(&worker, mark);
    worker.stop().await;
    Ok(report)
}

/// Opens the runs, sends the signals, and waits until all are consumed.
async fn send_all(
    rig: &std::sync::Arc<Rig>,
    phase: &'static str,
    in_flight: usize,
    count: u64,
    runs: u64,
) -> anyhow::Result<crate::load::Driven> {
    // Signal n goes to run n % runs, and moves to the next set of runs when those are full.
    let set_size = runs * PER_RUN_MAX;
    let place = move |signal: u64| (signal / set_size) * runs + signal % runs;
    let mut wanted = vec![0_u32; (count.div_ceil(set_size).max(1) * runs) as usize];
    (0..count).for_each(|signal| wanted[place(signal) as usize] += 1);
    wanted.retain(|&wanted| wanted > 0);
    let name = move |rig: &Rig, run: u64| format!("{}-{phase}{run}", rig.name);

    let openings = wanted.clone();
    let opened = rig.clone();
    let opening = drive(in_flight.max(8), Limit::count(wanted.len() as u64), move |run| {
        let (rig, input) = (opened.clone(), SignalsInput { wanted: openings[run as usize] });
        async move {
            rig.start(name(&rig, run), SIGNALS, &input).await?;
            Ok(Sample::default())
        }
    });
    let opened = opening.await;
    anyhow::ensure!(opened.failures == 0, "cannot open runs: {:?}", opened.first_failure);

    let sender = rig.clone();
    let driven = drive(in_flight, Limit::count(count), move |signal| {
        let rig = sender.clone();
        async move {
            let begun = Instant::now();
            rig.client.signal(&name(&rig, place(signal)), "bench", None).await?;
            Ok(Sample { client: Some(begun.elapsed().as_micros() as u32), worker: None })
        }
    })
    .await;
    anyhow::ensure!(driven.failures == 0, "signals were refused: {:?}", driven.first_failure);
    for (run, &wanted) in wanted.iter().enumerate() {
        rig.expect_result(&name(rig, run as u64), "", wanted).await?;
    }
    Ok(driven)
}
