//! SIGKILL with many open runs, and the time from the new process to its first answered poll.
//!
//! The server must keep its state between the two processes, and its command must give it the same address and data
//! each time. Before the kill one more run is started on a queue nobody polls: its workflow task is what the first
//! poll after the restart gets. Afterwards some of the parked runs are woken, to see that they are all there.

use super::{
    Load, Rig, Target,
    parked::{open, wake},
};
use crate::{
    client::{Client, Start, normal_queue},
    programs::SIGNALS,
    report::{Latency, Report},
    server_process::{ServerCommand, ServerProcess},
};
use anyhow::Context;
use api::workflowservice::v1 as wire;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

#[derive(Debug, Clone)]
pub struct Plan {
    pub server: ServerCommand,
    pub kills: u64,
    /// Runs woken after each restart.
    pub wake: u64,
}

pub async fn run(target: &Target, load: &Load, plan: &Plan) -> anyhow::Result<Report> {
    let count = load.count.unwrap_or(10_000);
    let mut server = ServerProcess::spawn_ready(&plan.server, &target.client).await?;
    let rig = Rig::new(target, "restart")?;
    let worker = rig.start_worker(load.worker_options(&rig.name));
    let driven = open(&rig, &worker, load.in_flight, 0, count).await?;
    worker.stop().await;

    let mut report = Report::new("restart after SIGKILL", "run", load.in_flight);
    report.done = count;
    report.seconds = driven.elapsed.as_secs_f64();
    report.per_second = driven.per_second();
    report.latency = Latency::of(&driven.client_micros());

    let (mut listening, mut answered) = (Vec::new(), Vec::new());
    for kill in 0..plan.kills {
        let queue = format!("{}-probe{kill}", rig.name);
        let workflow_type = SIGNALS.to_owned();
        let start =
            Start { workflow_id: queue.clone(), workflow_type, task_queue: queue.clone(), ..Default::default() };
        rig.client.start(start).await.context("start of the probe run")?;
        server.kill()?;
        server = ServerProcess::spawn(&plan.server)?;
        let spawned_at = server.spawned_at;
        listening.push(first_connection(&target.client.address, spawned_at).await?);
        answered.push(first_answered_poll(target, &queue, spawned_at).await?);
    }
    report.rss_after_kib = Some(crate::probe::rss_kib(server.pid())?);
    for (name, samples) in [("listening", &listening), ("poll", &answered)] {
        let latency = Latency::of(samples).context("at least one kill is needed")?;
        let (middle, longest) = match name {
            "listening" => ("listening_after_p50_ms", "listening_after_max_ms"),
            _ => ("first_answered_poll_after_p50_ms", "first_answered_poll_after_max_ms"),
        };
        report.figure(middle, latency.p50_ms);
        report.figure(longest, latency.max_ms);
    }

    let worker = rig.start_worker(load.worker_options(&rig.name));
    let woken = wake(&rig, count, plan.wake).await;
    report.failures = woken.failures;
    report.first_failure = woken.first_failure.clone();
    report.retries = rig.retries();
    report.figure("woken_after_restart", woken.samples.len() as f64);
    if let Some(latency) = Latency::of(&woken.client_micros()) {
        report.figure("wake_p50_ms", latency.p50_ms);
    }
    worker.stop().await;
    report.figure("sigterm_to_end_ms", server.terminate(Duration::from_secs(60)).await?.took.as_secs_f64() * 1000.0);
    Ok(report)
}

async fn first_connection(address: &str, since: Instant) -> anyhow::Result<u32> {
    let address = address.trim_start_matches("http://");
    while TcpStream::connect(address).await.is_err() {
        anyhow::ensure!(since.elapsed() < Duration::from_secs(120), "the server does not listen again");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(since.elapsed().as_micros() as u32)
}

async fn first_answered_poll(target: &Target, queue: &str, since: Instant) -> anyhow::Result<u32> {
    let client = Client::new(target.client.clone())?;
    let request = wire::PollWorkflowTaskQueueRequest {
        namespace: client.namespace().to_owned(),
        identity: client.identity().to_owned(),
        task_queue: Some(normal_queue(queue)),
        ..Default::default()
    };
    loop {
        let poll = client.once(request.clone(), Duration::from_secs(30), |mut rpc, request| async move {
            rpc.poll_workflow_task_queue(request).await
        });
        match poll.await {
            Ok(task) if !task.task_token.is_empty() => return Ok(since.elapsed().as_micros() as u32),
            answer => {
                let limit = Duration::from_secs(120);
                anyhow::ensure!(since.elapsed() < limit, "no poll is answered with the waiting task: {answer:?}");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }
}
