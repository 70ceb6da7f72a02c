//! One attempt of an activity, without a worker.

use tradewind::prelude::*;
use tradewind::testing;

#[activity(heartbeat_timeout = "30s")]
async fn count(to: u64) -> Result<u64> {
    let from: u64 = activity::heartbeat_details()?.unwrap_or(0);
    for done in from..to {
        if activity::is_cancelled() {
            return Err(Error::cancelled());
        }
        activity::heartbeat(&(done + 1));
    }
    Ok(to - from)
}

#[activity(blocking)]
fn blocks(path: String) -> Result<String> {
    activity::heartbeat(&path);
    Ok(format!("{path} {:?}", activity::info().map(|info| info.attempt)))
}

#[activity]
async fn waits() -> Result<()> {
    activity::heartbeat(&1_u8);
    activity::cancelled().await;
    Err(Error::cancelled())
}

#[tokio::test]
async fn an_attempt_goes_on_where_the_one_before_it_stopped() {
    let attempt = testing::activity(count(10)).resuming_from(&7_u64).run().await;
    assert_eq!(attempt.heartbeats::<u64>().unwrap(), [8, 9, 10]);
    assert_eq!(attempt.result.unwrap(), 3);
}

#[tokio::test]
async fn an_attempt_is_asked_to_stop() {
    let attempt = testing::activity(count(10)).cancelled_after(2).run().await;
    assert_eq!(attempt.heartbeats::<u64>().unwrap(), [1, 2]);
    assert!(attempt.result.unwrap_err().is_cancelled());

    let attempt = testing::activity(waits()).cancelled_after(1).run().await;
    assert!(attempt.result.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn a_blocking_attempt_is_heard_too() {
    let attempt = testing::activity(blocks("a.csv".into())).run().await;
    assert_eq!(attempt.heartbeats::<String>().unwrap(), ["a.csv"]);
    assert_eq!(attempt.result.unwrap(), "a.csv None");
}
