//! One run with many activities at once: what does one of them cost, and does that grow with their number?
//!
//! Small runs are repeated so that every size completes a comparable number of activities. At most `together` are
//! pending at a time, because servers limit pending activities per run (2,000 by default). A limit below `together` is
//! found before anything is measured: past it the run's workflow task would fail again and again, and nothing would end.

use super::{Load, Rig, TallyMark, Target};
use crate::{
    client::{LONG_POLL, UNARY, execution, normal_queue},
    load::{Limit, drive},
    probe::Probe,
    programs::{ACTIVITIES, ActivitiesInput, complete},
    report::Report,
    worker::Program,
};
use anyhow::Context;
use api::workflowservice::v1 as wire;
use tonic::Code;

#[derive(Debug, Clone)]
pub struct Sizes {
    pub sizes: Vec<u32>,
    pub together: u32,
    /// Activities per size to aim for when deciding how often a small run is repeated.
    pub activities_min: u32,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { sizes: vec![100, 10_000], together: 2000, activities_min: 5000 }
    }
}

pub async fn run(target: &Target, load: &Load, sizes: &Sizes) -> anyhow::Result<Vec<Report>> {
    let together = sizes.together.min(sizes.sizes.iter().copied().max().unwrap_or_default());
    check_room(target, together).await?;
    let mut reports: Vec<Report> = Vec::new();
    for &size in &sizes.sizes {
        let mut report = run_size(target, load, sizes, size).await?;
        if let Some(first) = reports.first() {
            let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { f64::NAN };
            let wall = ratio(first.per_second, report.per_second);
            let cpu = first.server_cpu_ms_per_unit.zip(report.server_cpu_ms_per_unit);
            report.figure("time_per_activity_over_smallest_run", wall);
            if let Some((small, large)) = cpu {
                report.figure("server_cpu_per_activity_over_smallest_run", ratio(large, small));
            }
        }
        reports.push(report);
    }
    Ok(reports)
}

/// Makes sure that the server lets a run have so many activities pending, by a run that schedules them and ends.
async fn check_room(target: &Target, together: u32) -> anyhow::Result<()> {
    let rig = Rig::new(target, "room")?;
    let input = ActivitiesInput { task_queue: rig.name.clone(), wanted: together, together, eager: false };
    let run_id = rig.start(rig.name.clone(), ACTIVITIES, &input).await?;
    let poll = wire::PollWorkflowTaskQueueRequest {
        namespace: rig.client.namespace().to_owned(),
        task_queue: Some(normal_queue(rig.name.clone())),
        identity: rig.client.identity().to_owned(),
        ..Default::default()
    };
    let polled = rig
        .client
        .call(&poll, LONG_POLL, |mut rpc, request| async move { rpc.poll_workflow_task_queue(request).await })
        .await
        .context("poll")?;
    let mut workflow = rig.program.workflow(ACTIVITIES).expect("the program hosts it");
    polled.history.unwrap_or_default().events.iter().for_each(|event| workflow.fold(event));
    let mut commands = workflow.decide();
    commands.push(complete(together));
    let completion = wire::RespondWorkflowTaskCompletedRequest {
        task_token: polled.task_token,
        namespace: rig.client.namespace().to_owned(),
        identity: rig.client.identity().to_owned(),
        commands,
        ..Default::default()
    };
    let completed = rig
        .client
        .call(&completion, UNARY, |mut rpc, request| async move { rpc.respond_workflow_task_completed(request).await })
        .await;
    match completed {
        // Not there any more: it was taken, and the answer lost.
        Err(status) if status.code() != Code::NotFound => {
            // What is refused is the task, so the run would go on trying.
            let terminate = wire::TerminateWorkflowExecutionRequest {
                namespace: rig.client.namespace().to_owned(),
                workflow_execution: Some(execution(&rig.name, &run_id)),
                reason: "the server has no room for it".to_owned(),
                ..Default::default()
            };
            let _ =
                rig.client
                    .once(terminate, UNARY, |mut rpc, request| async move {
                        rpc.terminate_workflow_execution(request).await
                    })
                    .await;
            anyhow::bail!("{together} pending activities together are refused by the server: {}", status.message())
        }
        _ => Ok(()),
    }
}

async fn run_size(target: &Target, load: &Load, sizes: &Sizes, size: u32) -> anyhow::Result<Report> {
    let rig = Rig::new(target, "parallel")?;
    let worker = rig.start_worker(load.worker_options(&rig.name));
    let input =
        ActivitiesInput { task_queue: rig.name.clone(), wanted: size, together: sizes.together, eager: load.eager };
    let result_from = load.result_from;
    let one = |phase: &'static str, wanted: u32| {
        let (rig, input) = (rig.clone(), ActivitiesInput { wanted, ..input.clone() });
        move |index| {
            let (rig, input) = (rig.clone(), input.clone());
            async move {
                let id = format!("{}-{phase}{index}", rig.name);
                rig.start_to_result(id, ACTIVITIES, &input, wanted, result_from).await
            }
        }
    };
    drive(1, Limit::count(2), one("w", size.min(100))).await;
    let repeats = sizes.activities_min.div_ceil(size);
    let (mark, probe) = (TallyMark::of(&worker), Probe::begin(&target.watched).await?);
    let driven = drive(1, Limit::count(repeats.into()), one("r", size)).await;
    let cost = probe.end().await?;

    let mode = format!("{size} parallel activities, {} at a time, {repeats} runs", sizes.together.min(size));
    let mut report = Report::new(mode, "activity", load.in_flight).with(&driven, &cost);
    report.done *= u64::from(size);
    report.per_second *= f64::from(size);
    report = report.with_cost(&cost);
    report.retries = rig.retries();
    report.figure("ms_per_activity", 1000.0 / report.per_second);
    report.add_tally(&worker, mark);
    worker.stop().await;
    Ok(report)
}
