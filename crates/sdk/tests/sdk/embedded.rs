//! The engine in the worker's own process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Notify;
use tradewind::prelude::*;

#[activity]
async fn double(number: u64) -> Result<u64> {
    Ok(number * 2)
}

#[workflow]
async fn quadruple(number: u64) -> Result<u64> {
    double(double(number).await?).await
}

#[workflow]
async fn patient(millis: u64) -> Result<()> {
    begin().await?;
    workflow::sleep(Duration::from_millis(millis)).await?;
    wake().await
}

static BEGUN: Notify = Notify::const_new();
static WOKEN: Notify = Notify::const_new();

#[activity]
async fn begin() -> Result<()> {
    BEGUN.notify_one();
    Ok(())
}

#[activity]
async fn wake() -> Result<()> {
    WOKEN.notify_one();
    Ok(())
}

#[tokio::test]
async fn a_workflow_runs_without_a_server() {
    let tradewind = Tradewind::in_memory().await.unwrap();
    tradewind.spawn(worker(&tradewind));
    assert!(tradewind.is_embedded());
    assert_eq!(tradewind.execute(quadruple(5)).await.unwrap(), 20);
    tradewind.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_next_process_goes_on_where_this_one_stopped() {
    let directory = TempDir::new().unwrap();
    let tradewind = Tradewind::embedded(directory.path()).await.unwrap();
    tradewind.spawn(worker(&tradewind));
    tradewind.start(patient(700)).id("patient").await.unwrap();
    BEGUN.notified().await;
    tradewind.shutdown().await.unwrap();

    // Nobody runs anything while the timer comes due.
    tokio::time::sleep(Duration::from_millis(800)).await;
    let tradewind = Tradewind::embedded(directory.path()).await.unwrap();
    tradewind.spawn(worker(&tradewind));
    tokio::time::timeout(Duration::from_secs(30), WOKEN.notified()).await.expect("it goes on");
    tradewind.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_directory_has_one_engine_at_a_time() {
    let directory = TempDir::new().unwrap();
    let first = Tradewind::embedded(directory.path()).await.unwrap();
    let second = Tradewind::embedded(directory.path()).await.unwrap_err().to_string();
    let (path, pid) = (directory.path().display(), std::process::id());
    assert_eq!(second, format!("data directory {path} is in use by process {pid}"));

    first.shutdown().await.unwrap();
    Tradewind::embedded(directory.path()).await.unwrap().shutdown().await.unwrap();
}

#[tokio::test]
async fn a_shutdown_lets_a_running_activity_finish() {
    let tradewind = Tradewind::in_memory().await.unwrap();
    let worker = Worker::builder(&tradewind, "queue").activity(slow).workflow(slowly).build().unwrap();
    tradewind.spawn(worker);
    let handle = tradewind.start(slowly()).await.unwrap();
    let waiting = tokio::spawn(async move { handle.result().await });
    STARTED.notified().await;
    tradewind.shutdown().await.unwrap();
    assert!(FINISHED.load(Ordering::SeqCst), "it was cut off");
    // Its workflow may or may not have had its last task; whoever waits is answered either way.
    let _ = tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("an answer").unwrap();
}

#[tokio::test]
async fn a_client_is_told_that_the_engine_is_gone() {
    let tradewind = Tradewind::in_memory().await.unwrap();
    tradewind.spawn(worker(&tradewind));
    let client = tradewind.client().clone();
    tradewind.shutdown().await.unwrap();
    let late = tokio::time::timeout(Duration::from_secs(30), client.start(quadruple(1)).into_future()).await;
    let error = late.expect("an answer").map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("the engine of this process has stopped"), "{error}");
}

static STARTED: Notify = Notify::const_new();
static FINISHED: AtomicBool = AtomicBool::new(false);

#[activity]
async fn slow() -> Result<()> {
    STARTED.notify_one();
    tokio::time::sleep(Duration::from_millis(500)).await;
    FINISHED.store(true, Ordering::SeqCst);
    Ok(())
}

#[workflow]
async fn slowly() -> Result<()> {
    slow().await
}

fn worker(tradewind: &Tradewind) -> Worker {
    Worker::builder(tradewind, "queue")
        .activity(double)
        .activity(begin)
        .activity(wake)
        .workflow(quadruple)
        .workflow(patient)
        .build()
        .unwrap()
}
