//! Local activities: what holds for others holds for them too. Each workflow here calls one both ways and tells of both.

use crate::support::Test;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tradewind::activity::Cancellation;
use tradewind::prelude::*;
use tradewind::workflow::{Scope, join_all};

/// What a caller can ask of an error, but for what only the server knows.
fn told<T: std::fmt::Debug>(outcome: Result<T>) -> String {
    match outcome {
        Ok(value) => format!("{value:?}"),
        Err(error) => {
            let activity = error.activity().map(|activity| activity.name.to_owned());
            format!("{error} | {:?} {:?} {activity:?}", error.kind(), error.failure_type())
        }
    }
}

#[activity(max_attempts = 3, initial_interval = "10ms", non_retryable_errors = ["Final"])]
async fn ends(how: String) -> Result<Vec<u8>> {
    let attempt = activity::info().unwrap().attempt;
    match how.as_str() {
        "third time" if attempt == 3 => Ok(vec![3]),
        "for good" => Err(Error::non_retryable(format!("attempt {attempt}")).with_type("ForGood")),
        "by policy" => Err(Error::new(format!("attempt {attempt}")).with_type("Final")),
        "panic" => panic!("attempt {attempt}"),
        "large" => Ok(vec![b'x'; 3_000_000]),
        "own delay" if attempt == 1 => Err(Error::new("soon").retry_after(Duration::from_millis(700))),
        "own delay" => Ok(vec![attempt as u8]),
        _ => Err(Error::new(format!("attempt {attempt}")).with_type("Again")),
    }
}

#[activity(max_attempts = 2, blocking)]
fn blocks(how: String) -> Result<String> {
    std::thread::sleep(Duration::from_millis(50));
    match how.as_str() {
        "panic" => panic!("attempt {}", activity::info().unwrap().attempt),
        _ => Ok(how),
    }
}

#[workflow]
async fn both_ways(how: String) -> Result<[String; 2]> {
    Ok([told(ends(how.clone()).await), told(ends(how).local().await)])
}

#[workflow]
async fn blocking_both_ways(how: String) -> Result<[String; 2]> {
    Ok([told(blocks(how.clone()).await), told(blocks(how).local().await)])
}

#[tokio::test]
async fn a_local_activity_ends_like_any_other() {
    let test = Test::start().await;
    let worker =
        test.worker(|worker| worker.activity(ends).activity(blocks).workflow(both_ways).workflow(blocking_both_ways));
    for (how, expected) in [
        ("third time", "[3]"),
        ("own delay", "[2]"),
        ("for good", "activity ends failed: attempt 1 | Application Some(\"ForGood\") Some(\"ends\")"),
        ("by policy", "activity ends failed: attempt 1 | Application Some(\"Final\") Some(\"ends\")"),
        ("again", "activity ends failed: attempt 3 | Application Some(\"Again\") Some(\"ends\")"),
    ] {
        assert_eq!(test.client.execute(both_ways(how.into())).await.unwrap(), [expected, expected], "{how}");
    }
    let [other, local] = test.client.execute(both_ways("panic".into())).await.unwrap();
    assert!(other.contains("attempt 3 | Application Some(\"Panic\")"), "{other}");
    assert_eq!(other, local);
    let [other, local] = test.client.execute(both_ways("large".into())).await.unwrap();
    assert!(other.contains("2097152") && other.contains("Some(\"PayloadTooLarge\")"), "{other}");
    assert_eq!(other, local);
    for how in ["panic", "ok"] {
        let [other, local] = test.client.execute(blocking_both_ways(how.into())).await.unwrap();
        assert_eq!(other, local);
    }
    worker.stop().await;
    test.stop().await;
}

#[activity(start_to_close_timeout = "20s", heartbeat_timeout = "1s", max_attempts = 1)]
async fn waits(listens: bool) -> Result<String> {
    // The server says so in its answers; the worker of a local one just does.
    let _alive = activity::keep_alive(Duration::from_millis(100));
    match listens {
        true => tokio::select! {
            () = activity::cancelled() => Err(Error::cancelled()),
            () = tokio::time::sleep(Duration::from_secs(15)) => Ok("not cancelled".into()),
        },
        false => {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok("deaf".into())
        }
    }
}

/// Between its tasks, which are short, it hears of its timer while a local activity runs.
#[workflow(task_timeout = "1s")]
async fn cancels(listens: bool, how: String, local: bool) -> Result<String> {
    let how = match how.as_str() {
        "wait" => Cancellation::Wait,
        "abandon" => Cancellation::Abandon,
        _ => Cancellation::Request,
    };
    let scope = Scope::new();
    let work = scope.run(async { waits(listens).with(|o| o.local(local).cancellation(how)).await });
    let (outcome, ()) = workflow::join!(work, async {
        let _ = workflow::sleep(Duration::from_millis(300)).await;
        scope.cancel();
    });
    Ok(told(outcome))
}

#[tokio::test]
async fn a_local_activity_is_cancelled_like_any_other() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(waits).workflow(cancels));
    for (listens, how) in [(true, "request"), (true, "wait"), (true, "abandon"), (false, "request"), (false, "wait")] {
        let outcome = async |local| test.client.execute(cancels(listens, how.into(), local)).await.unwrap();
        let (other, local) = (outcome(false).await, outcome(true).await);
        assert_eq!(other, local, "{listens} {how}");
    }
    worker.stop().await;
    test.stop().await;
}

static ROUNDS: AtomicU32 = AtomicU32::new(0);

#[activity]
async fn takes_long() -> Result<u32> {
    tokio::time::sleep(Duration::from_secs(4)).await;
    Ok(ROUNDS.fetch_add(1, Ordering::SeqCst) + 1)
}

#[activity]
async fn counts(number: u32) -> Result<u32> {
    ROUNDS.fetch_add(1, Ordering::SeqCst);
    Ok(number)
}

#[workflow(task_timeout = "1s")]
async fn outlives_its_task() -> Result<u32> {
    takes_long().local().await
}

#[tokio::test]
async fn a_local_activity_may_take_longer_than_a_task() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(takes_long).workflow(outlives_its_task));
    assert_eq!(test.client.execute(outlives_its_task()).await.unwrap(), 1);
    worker.stop().await;
    test.stop().await;
}

#[workflow]
async fn many() -> Result<u32> {
    let calls = (0..200).map(|number| counts(number).local());
    let sum = join_all(calls).at_most(50).await.into_iter().sum::<Result<u32>>()?;
    workflow::sleep(Duration::from_secs(2)).await?;
    Ok(sum + counts(1).local().await?)
}

/// The second worker runs the code again from the start, and the activities that have ended not.
#[tokio::test]
async fn local_activities_that_have_succeeded_do_not_run_again() {
    let test = Test::start().await;
    let first = test.worker(|worker| worker.activity(counts).workflow(many));
    let run = test.client.start(many()).await.unwrap();
    while ROUNDS.load(Ordering::SeqCst) < 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    first.stop().await;
    let second = test.worker(|worker| worker.activity(counts).workflow(many));
    assert_eq!(run.result().await.unwrap(), 199 * 200 / 2 + 1);
    assert_eq!(ROUNDS.load(Ordering::SeqCst), 201);
    second.stop().await;
    test.stop().await;
}
