//! Workers that stop while activities run: what these are told, what becomes of those that do not listen, and where
//! the next worker goes on.

use crate::support::{RunningWorker, Test};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tradewind::prelude::*;

/// Longer than any wait in these tests takes, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many activities run that a test waits for.
static BEGUN: AtomicU32 = AtomicU32::new(0);
static TOLD: AtomicBool = AtomicBool::new(false);
static BEGAN: Notify = Notify::const_new();

fn begin() {
    BEGUN.fetch_add(1, Ordering::SeqCst);
    BEGAN.notify_one();
}

async fn begun(how_many: u32) {
    let all = async {
        while BEGUN.load(Ordering::SeqCst) < how_many {
            BEGAN.notified().await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("they begin");
}

async fn stop_in_time(worker: RunningWorker) {
    tokio::time::timeout(PATIENCE, worker.stop()).await.expect("the worker stops");
}

/// The attempt, and what the one before it said last.
type Attempt = (u32, Option<u32>);

fn attempt() -> Result<Attempt> {
    Ok((activity::info().expect("a worker runs it").attempt, activity::heartbeat_details()?))
}

/// Stops when it is asked to.
#[activity(start_to_close_timeout = "10m", heartbeat_timeout = "5m", initial_interval = "10ms")]
async fn polite() -> Result<Attempt> {
    let attempt = attempt()?;
    if attempt.0 == 1 {
        assert!(!activity::is_worker_stopping() && !activity::is_cancelled());
        // Only the first of these is sent at once.
        activity::heartbeat(&6_u32);
        activity::heartbeat(&7_u32);
        begin();
        activity::worker_stopping().await;
        assert!(!activity::is_cancelled(), "it may go on for the grace period");
        activity::cancelled().await;
        TOLD.store(activity::is_cancelled() && activity::is_worker_stopping(), Ordering::SeqCst);
        return Err(Error::cancelled());
    }
    Ok(attempt)
}

#[workflow]
async fn politely() -> Result<Attempt> {
    polite().await
}

#[tokio::test]
async fn an_activity_is_asked_to_stop_with_its_worker_and_the_next_worker_goes_on_at_its_checkpoint() {
    let test = Test::start().await;
    let grace = Duration::from_millis(300);
    let describe =
        |worker: tradewind::worker::Builder| worker.activity(polite).workflow(politely).graceful_shutdown(grace);
    let first = test.worker(describe);
    let run = test.client.start(politely()).await.unwrap();
    begun(1).await;
    stop_in_time(first).await;
    assert!(TOLD.load(Ordering::SeqCst), "it was told, and why");

    let second = test.worker(describe);
    assert_eq!(run.result().await.unwrap(), (2, Some(7)));
    second.stop().await;
    test.stop().await;
}

/// Ends what does not listen, so that the process of the test can.
static RELEASED: AtomicBool = AtomicBool::new(false);
static DROPPED: AtomicBool = AtomicBool::new(false);

/// Says that it was dropped.
struct Dropped;

impl Drop for Dropped {
    fn drop(&mut self) {
        DROPPED.store(true, Ordering::SeqCst);
    }
}

/// Waits, and does not listen.
#[activity(start_to_close_timeout = "10m", heartbeat_timeout = "5m", initial_interval = "10ms")]
async fn deaf() -> Result<Attempt> {
    let attempt = attempt()?;
    if attempt.0 == 1 {
        activity::heartbeat(&1_u32);
        let _dropped = Dropped;
        begin();
        std::future::pending::<()>().await;
    }
    Ok(attempt)
}

/// Holds a thread for async activities.
#[activity(start_to_close_timeout = "10m", heartbeat_timeout = "5m", initial_interval = "10ms")]
async fn deaf_and_rude() -> Result<Attempt> {
    hold()
}

#[activity(blocking, start_to_close_timeout = "10m", heartbeat_timeout = "5m", initial_interval = "10ms")]
fn deaf_in_its_place() -> Result<Attempt> {
    hold()
}

#[activity(local, start_to_close_timeout = "10m")]
async fn deaf_and_local() -> Result<()> {
    if !RELEASED.load(Ordering::SeqCst) {
        begin();
        std::future::pending::<()>().await;
    }
    Ok(())
}

fn hold() -> Result<Attempt> {
    let attempt = attempt()?;
    if attempt.0 == 1 {
        activity::heartbeat(&1_u32);
        begin();
        while !RELEASED.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(attempt)
}

#[workflow]
async fn deafly() -> Result<(Attempt, Attempt, Attempt)> {
    workflow::try_join!(deaf(), deaf_and_rude(), deaf_in_its_place())
}

#[workflow]
async fn locally() -> Result<()> {
    deaf_and_local().await
}

#[tokio::test]
async fn activities_that_do_not_listen_are_dropped_and_run_again_elsewhere() {
    let test = Test::start().await;
    let describe = |worker: tradewind::worker::Builder| {
        let worker = worker.activity(deaf).activity(deaf_and_rude).activity(deaf_in_its_place).activity(deaf_and_local);
        let worker = worker.workflow(deafly).workflow(locally);
        worker.activity_threads(2).graceful_shutdown(Duration::from_millis(100))
    };
    let first = test.worker(describe);
    let run = test.client.start(deafly()).await.unwrap();
    // Its workflow task is the other worker's once this one's time for it is over.
    let short = |o: tradewind::workflow::Options| o.task_timeout(Duration::from_secs(2));
    let local = test.client.start(locally()).with(short).await.unwrap();
    begun(4).await;
    stop_in_time(first).await;
    assert!(DROPPED.load(Ordering::SeqCst), "what waits is dropped where it waits");
    let held = !RELEASED.swap(true, Ordering::SeqCst);
    assert!(held, "what holds a thread was not waited for");

    let second = test.worker(describe);
    let again = (2, Some(1));
    assert_eq!(run.result().await.unwrap(), (again, again, again));
    local.result().await.unwrap();
    second.stop().await;
    test.stop().await;
}
