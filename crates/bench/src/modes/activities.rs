//! Workflows that run some activities in sequence, start to result.
//!
//! With one in flight this is the latency benchmark, and the disk is measured right before and right after it.

use super::{Load, Rig, TallyMark, Target};
use crate::{
    disk::DiskSamples,
    load::drive,
    probe::Probe,
    programs::{ACTIVITIES, ActivitiesInput},
    report::Report,
};

pub async fn run(target: &Target, load: &Load, activities: u32) -> anyhow::Result<Report> {
    let rig = Rig::new(target, "activities")?;
    let worker = rig.start_worker(load.worker_options(&rig.name));
    let result_from = load.result_from;
    let input = ActivitiesInput { task_queue: rig.name.clone(), wanted: activities, together: 1, eager: load.eager };
    let one = |phase: &'static str| {
        let (rig, input) = (rig.clone(), input.clone());
        move |index| {
            let (rig, input) = (rig.clone(), input.clone());
            async move {
                let id = format!("{}-{phase}{index}", rig.name);
                rig.start_to_result(id, ACTIVITIES, &input, input.wanted, result_from).await
            }
        }
    };

    drive(load.in_flight, load.warmup(), one("w")).await;
    let mut disk = DiskSamples::default();
    let alone = load.in_flight == 1 && load.disk_flushes > 0;
    if alone {
        disk.measure(&load.disk_directory, load.disk_flushes)?;
    }
    let (mark, probe) = (TallyMark::of(&worker), Probe::begin(&target.watched).await?);
    let driven = drive(load.in_flight, load.limit(1000), one("r")).await;
    let cost = probe.end().await?;
    if alone {
        disk.measure(&load.disk_directory, load.disk_flushes)?;
    }

    let mut report = Report::new(format!("{activities} sequential activities"), "workflow", load.in_flight);
    report = report.with(&driven, &cost);
    report.retries = rig.retries();
    report.disk = disk.report();
    report.add_tally(&worker, mark);
    if let Some(disk) = report.disk.clone() {
        report.figure("four_appended_flushes_plus_2_ms", 4.0 * disk.append.p50_ms + 2.0);
        report.figure("four_prewritten_flushes_plus_2_ms", 4.0 * disk.preallocated.p50_ms + 2.0);
    }
    worker.stop().await;
    Ok(report)
}
