//! Activities as they run on a worker: errors, retries, heartbeats, blocking, shared state, limits.

use crate::support::Test;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tradewind::prelude::*;

#[derive(Debug, thiserror::Error)]
#[error("the card is declined")]
struct CardDeclined {
    #[source]
    why: std::num::ParseIntError,
}

#[activity(max_attempts = 2, initial_interval = "10ms")]
async fn charge(card: String) -> Result<u32> {
    card.parse::<u32>().map_err(|why| CardDeclined { why }.into())
}

#[activity(initial_interval = "10ms", non_retryable_errors = ["ParseIntError"])]
async fn parse(number: String) -> std::result::Result<u32, std::num::ParseIntError> {
    number.parse()
}

#[activity(start_to_close_timeout = "1s", max_attempts = 1)]
async fn late() -> Result<()> {
    tokio::time::sleep(Duration::from_secs(60)).await;
    Ok(())
}

#[activity(heartbeat_timeout = "1s", max_attempts = 1)]
async fn silent() -> Result<()> {
    activity::heartbeat(&7_u32);
    tokio::time::sleep(Duration::from_secs(60)).await;
    Ok(())
}

#[workflow]
async fn failures() -> Result<Vec<String>> {
    let mut said = Vec::new();
    let declined = charge("x".into()).await.unwrap_err();
    assert!(declined.is::<CardDeclined>());
    assert_eq!(declined.activity().unwrap().retry_state, tradewind::error::RetryState::MaximumAttemptsReached);
    said.push(format!("{:?}: {declined:#}", declined.kind()));
    let unparsed = parse("y".into()).await.unwrap_err();
    said.push(format!("{:?} {:?}", unparsed.failure_type(), unparsed.activity().unwrap().name));
    let late = late().await.unwrap_err();
    said.push(format!("{:?}", late.kind()));
    let silent = silent().await.unwrap_err();
    said.push(format!("{:?} after {:?}", silent.timed_out(), silent.last_heartbeat::<u32>()?));
    Ok(said)
}

#[tokio::test]
async fn errors_keep_their_type_their_causes_and_which_time_ran_out() {
    let test = Test::start().await;
    let worker = test
        .worker(|worker| worker.activity(charge).activity(parse).activity(late).activity(silent).workflow(failures));
    let said = test.client.execute(failures()).await.unwrap();
    assert_eq!(said[0], "Application: activity charge failed: the card is declined: invalid digit found in string");
    assert_eq!(said[1], r#"Some("ParseIntError") "parse""#);
    assert_eq!(said[2], "TimedOut(StartToClose)");
    assert_eq!(said[3], "Some(Heartbeat) after Some(7)");
    worker.stop().await;
    test.stop().await;
}

/// Fails on its way, three times, each time a bit further.
#[activity(heartbeat_timeout = "30s", initial_interval = "10ms", backoff_coefficient = 1)]
async fn copy(pages: u32) -> Result<Vec<u32>> {
    let mut from: Vec<u32> = activity::heartbeat_details()?.unwrap_or_default();
    let attempt = activity::info().unwrap().attempt;
    from.push(attempt);
    for page in 0..pages {
        // Far more often than is sent: what counts is what was said last.
        activity::heartbeat(&vec![page; 1]);
        activity::heartbeat(&from);
    }
    match attempt {
        1..=3 => Err(Error::new("the disk is full")),
        _ => Ok(from),
    }
}

#[workflow]
async fn copying() -> Result<Vec<u32>> {
    copy(100).await
}

#[tokio::test]
async fn the_next_attempt_goes_on_where_the_last_one_stopped() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(copy).workflow(copying));
    assert_eq!(test.client.execute(copying()).await.unwrap(), [1, 2, 3, 4]);
    worker.stop().await;
    test.stop().await;
}

/// Holds its thread, which an async function should not.
#[activity(start_to_close_timeout = "1m", max_attempts = 1)]
async fn hold(seconds: u64) -> Result<()> {
    std::thread::sleep(Duration::from_secs(seconds));
    Ok(())
}

/// Longer than its heartbeat timeout, without a word of its own.
#[activity(start_to_close_timeout = "1m", heartbeat_timeout = "1s", max_attempts = 1)]
async fn beside(seconds: u64) -> Result<u64> {
    let work = tokio::time::sleep(Duration::from_secs(seconds));
    activity::heartbeat_every(Duration::from_millis(200), work).await?;
    Ok(seconds)
}

#[activity(blocking, start_to_close_timeout = "1m", heartbeat_timeout = "1s", max_attempts = 1)]
fn compute(seconds: u64) -> Result<String> {
    let _alive = activity::keep_alive(Duration::from_millis(200));
    std::thread::sleep(Duration::from_secs(seconds));
    Ok(std::thread::current().name().unwrap_or_default().to_owned())
}

#[workflow]
async fn while_another_blocks() -> Result<(u64, String)> {
    let held = async {
        // The other one is under way by then, on the same thread.
        workflow::sleep(Duration::from_millis(500)).await?;
        hold(2).await
    };
    let (held, beside, computed) = workflow::join!(held, beside(3), compute(3));
    held?;
    Ok((beside?, computed?))
}

#[tokio::test]
async fn an_activity_that_blocks_is_named_and_holds_up_no_heartbeat() {
    let test = Test::start().await;
    let worker = Worker::builder(&test.client, &test.queue)
        .activity(hold)
        .activity(beside)
        .activity(compute)
        .workflow(while_another_blocks)
        .activity_threads(1)
        .blocked_limit(Duration::from_millis(500))
        .build()
        .unwrap();
    let watch = worker.watch();
    let worker = crate::support::RunningWorker::start(worker);

    let (beside, thread) = test.client.execute(while_another_blocks()).await.unwrap();
    assert_eq!((beside, thread.as_str()), (3, "activity"));
    assert_eq!(watch.blocked_activities(), 1, "the blocking one has a thread for that, and is not named");
    worker.stop().await;
    test.stop().await;
}

struct Counter {
    step: u32,
    total: AtomicU32,
    seen: Mutex<Vec<String>>,
}

#[activities]
impl Counter {
    /// Adds to what all calls share.
    #[activity]
    async fn add(&self, times: u32, why: String) -> Result<u32> {
        self.seen.lock().push(why);
        Ok(self.total.fetch_add(self.step * times, Ordering::SeqCst) + self.step * times)
    }

    #[activity(name = "counter-total", local)]
    async fn total(self: Arc<Self>) -> Result<u32> {
        Ok(self.total.load(Ordering::SeqCst))
    }

    #[activity(blocking)]
    fn reasons(&self) -> Result<usize> {
        Ok(self.seen_so_far())
    }

    fn seen_so_far(&self) -> usize {
        self.seen.lock().len()
    }
}

impl Counter {
    fn by(step: u32) -> Counter {
        Counter { step, total: AtomicU32::new(0), seen: Mutex::default() }
    }
}

#[workflow]
async fn counting() -> Result<(u32, u32, usize)> {
    Counter::add(1, "first".into()).await?;
    let total = Counter::add(2, "second".into()).await?;
    Ok((total, Counter::total().await?, Counter::reasons().await?))
}

#[tokio::test]
async fn methods_share_the_state_they_are_registered_with() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activities(Counter::by(5)).workflow(counting));
    assert_eq!(test.client.execute(counting()).await.unwrap(), (15, 15, 2));
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn methods_are_tested_on_a_state() {
    let counter = Arc::new(Counter::by(2));
    assert_eq!(Counter::add(3, "test".into()).on(counter.clone()).await.unwrap(), 6);
    assert_eq!(Counter::reasons().on(counter).await.unwrap(), 1);
    let error = Counter::total().await.unwrap_err();
    assert!(error.to_string().contains(".on("), "{error}");
}

#[activity(rate_limit = 5.0)]
async fn limited(number: u32) -> Result<String> {
    let _ = number;
    Ok(activity::info().unwrap().task_queue)
}

#[workflow]
async fn within_limits() -> Result<Vec<String>> {
    workflow::try_join_all((0..3).map(limited)).await
}

#[tokio::test]
async fn an_activity_with_a_rate_limit_has_a_queue_of_its_own() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(limited).workflow(within_limits));
    let queues = test.client.execute(within_limits()).await.unwrap();
    assert_eq!(queues, vec![format!("{}/limited", test.queue); 3]);
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn a_name_is_taken_once() {
    let test = Test::start().await;
    let twice = Worker::builder(&test.client, "q").activity(charge).activity(charge).build().err().unwrap();
    assert!(twice.to_string().contains(r#"two activities are named "charge""#), "{twice}");
    let empty = Worker::builder(&test.client, "q").build().err().unwrap();
    assert!(empty.to_string().contains("no workflow and no activity"), "{empty}");
    test.stop().await;
}
