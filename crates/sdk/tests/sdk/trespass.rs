//! Workflow code that reaches for the world fails its task at once, with a word on what to use instead.

use crate::support::Test;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tradewind::prelude::*;

#[workflow]
async fn uses_tokios_clock() -> Result<()> {
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    Ok(())
}

#[workflow]
async fn spawns() -> Result<()> {
    drop(tokio::spawn(async {}));
    workflow::sleep(Duration::from_secs(3_600)).await
}

#[workflow]
async fn waits_for_a_thread() -> Result<()> {
    let answer = tokio::task::spawn_blocking(|| RAN_ON_A_THREAD.store(true, Ordering::SeqCst)).await;
    Ok(answer?)
}

static RAN_ON_A_THREAD: AtomicBool = AtomicBool::new(false);

#[workflow]
async fn reads_a_file() -> Result<()> {
    tokio::fs::read("/etc/hostname").await?;
    Ok(())
}

#[workflow]
async fn times_out() -> Result<()> {
    Ok(tokio::time::timeout(Duration::from_secs(1), std::future::pending()).await?)
}

#[workflow]
async fn connects() -> Result<()> {
    drop(tokio::net::TcpListener::bind("127.0.0.1:0").await);
    Ok(())
}

#[workflow]
async fn panics() -> Result<()> {
    panic!("as it is told to");
}

#[activity]
async fn nobody_runs() -> Result<()> {
    Ok(())
}

#[activity(rate_limit = 5)]
async fn limited() -> Result<()> {
    Ok(())
}

#[workflow]
async fn calls_past_the_limit() -> Result<()> {
    limited().local().await
}

#[workflow]
async fn calls_what_nobody_runs() -> Result<()> {
    nobody_runs().local().await
}

#[tokio::test]
async fn a_local_activity_that_the_worker_lacks_is_named() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.workflow(calls_what_nobody_runs));
    let handle = test.client.start(calls_what_nobody_runs()).await.unwrap();
    test.failed_task_says(&handle, "add `.activity(nobody_runs)`").await;
    worker.stop().await;

    // A worker that has it takes the run to its end.
    let worker = test.worker(|worker| worker.workflow(calls_what_nobody_runs).activity(nobody_runs));
    handle.result().await.unwrap();
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn a_limit_that_a_local_activity_would_pass_by_is_named() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.workflow(calls_past_the_limit).activity(limited));
    let handle = test.client.start(calls_past_the_limit()).await.unwrap();
    test.failed_task_says(&handle, "limited is called as a local activity, and has a rate limit").await;
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn what_is_not_durable_is_named_with_its_replacement() {
    let test = Test::start().await;
    let worker = test.worker(|worker| {
        let worker = worker.workflow(uses_tokios_clock).workflow(times_out).workflow(spawns).workflow(connects);
        worker.workflow(waits_for_a_thread).workflow(reads_a_file).workflow(panics)
    });

    let handle = test.client.start(uses_tokios_clock()).await.unwrap();
    test.failed_task_says(&handle, "workflow::sleep").await;
    let handle = test.client.start(spawns()).await.unwrap();
    test.failed_task_says(&handle, "tokio::spawn").await;
    let handle = test.client.start(times_out()).await.unwrap();
    test.failed_task_says(&handle, "workflow::sleep").await;
    let handle = test.client.start(waits_for_a_thread()).await.unwrap();
    test.failed_task_says(&handle, "asked tokio for a thread").await;
    assert!(!RAN_ON_A_THREAD.load(Ordering::SeqCst));
    let handle = test.client.start(reads_a_file()).await.unwrap();
    test.failed_task_says(&handle, "asked tokio for a thread").await;
    let handle = test.client.start(connects()).await.unwrap();
    test.failed_task_says(&handle, "in an activity").await;
    let handle = test.client.start(panics()).await.unwrap();
    test.failed_task_says(&handle, "as it is told to").await;

    worker.stop().await;
    test.stop().await;
}
