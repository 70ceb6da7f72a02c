//! What an activity and its caller learn of the attempts before the last one.

use crate::support::Test;
use std::time::Duration;
use tradewind::error::EarlierAttempt;
use tradewind::prelude::*;

/// Fails with another status each time, and says how far it has come if it is told to.
#[activity(max_attempts = 3, initial_interval = "10ms", backoff_coefficient = 1.0)]
async fn refused(heartbeats: bool) -> Result<()> {
    let attempt = activity::info().unwrap().attempt;
    // What the SDK keeps beside the details is nobody's business.
    let resumed = activity::heartbeat_details::<u32>()?;
    assert_eq!(resumed, (heartbeats && attempt > 1).then(|| attempt - 1));
    assert_eq!(summary(&activity::earlier_attempts()), expected(attempt));
    if heartbeats {
        activity::heartbeat(&attempt);
    }
    Err(Error::new(format!("status {}", 500 + attempt)).with_type("Http"))
}

fn expected(attempt: u32) -> Vec<String> {
    (1..attempt).map(|attempt| format!("{attempt}: Http status {}", 500 + attempt)).collect()
}

#[activity(start_to_close_timeout = "1s", max_attempts = 3, initial_interval = "10ms", backoff_coefficient = 1.0)]
async fn changing(fates: Vec<String>) -> Result<()> {
    let attempt = activity::info().unwrap().attempt as usize;
    match fates[attempt - 1].as_str() {
        "late" => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(())
        }
        fate => Err(Error::new(fate.to_owned()).with_type("Fate").with_details(attempt)),
    }
}

fn summary(attempts: &[EarlierAttempt]) -> Vec<String> {
    let one = |attempt: &EarlierAttempt| match &attempt.failure {
        Some(failure) => {
            format!("{}: {} {}", attempt.number, failure.failure_type.as_deref().unwrap_or_default(), failure.message)
        }
        None => format!("{}: silence", attempt.number),
    };
    attempts.iter().map(one).collect()
}

#[workflow]
async fn learn_of_refusals(heartbeats: bool) -> Result<(String, Vec<String>)> {
    let error = refused(heartbeats).await.unwrap_err();
    assert_eq!(error.details::<u32>()?, None);
    Ok((error.to_string(), summary(&error.earlier_attempts())))
}

#[workflow]
async fn learn_of_local_refusals() -> Result<(String, Vec<String>)> {
    let error = refused(false).local().await.unwrap_err();
    assert_eq!(error.details::<u32>()?, None);
    Ok((error.to_string(), summary(&error.earlier_attempts())))
}

#[workflow]
async fn learn_of_local_fates(fates: Vec<String>) -> Result<(String, Option<usize>, Vec<String>)> {
    let error = changing(fates).local().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Application);
    assert_eq!(error.activity().map(|activity| activity.name), Some("changing"));
    Ok((error.failure_type().unwrap_or_default().to_owned(), error.details()?, summary(&error.earlier_attempts())))
}

#[workflow]
async fn fails_of_a_local_fate() -> Result<()> {
    changing(vec!["final".into()]).local().with(|o| o.max_attempts(1)).await
}

#[workflow]
async fn learn_of_fates(fates: Vec<String>) -> Result<(String, Option<usize>, Vec<String>)> {
    let error = changing(fates).await.unwrap_err();
    assert_eq!(error.last_heartbeat::<u32>()?, None);
    let what = match error.timed_out() {
        Some(timeout) => format!("{timeout:?}"),
        None => error.failure_type().unwrap_or_default().to_owned(),
    };
    Ok((what, error.details()?, summary(&error.earlier_attempts())))
}

#[tokio::test]
async fn a_failure_tells_of_the_attempts_before_it() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(refused).workflow(learn_of_refusals));
    for heartbeats in [false, true] {
        let (last, earlier) = test.client.execute(learn_of_refusals(heartbeats)).await.unwrap();
        assert_eq!(last, "activity refused failed: status 503");
        assert_eq!(earlier, ["1: Http status 501", "2: Http status 502"]);
    }
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn a_local_activity_tells_of_its_attempts_too() {
    let test = Test::start().await;
    let worker = test.worker(|worker| {
        let worker = worker.activity(refused).activity(changing);
        worker.workflow(learn_of_local_refusals).workflow(learn_of_local_fates).workflow(fails_of_a_local_fate)
    });
    let (last, earlier) = test.client.execute(learn_of_local_refusals()).await.unwrap();
    assert_eq!(last, "activity refused failed: status 503");
    assert_eq!(earlier, ["1: Http status 501", "2: Http status 502"]);

    let fates = ["a", "b", "c"].map(str::to_owned).to_vec();
    let failed = test.client.execute(learn_of_local_fates(fates)).await.unwrap();
    assert_eq!(failed, ("Fate".into(), Some(3), vec!["1: Fate a".into(), "2: Fate b".into()]));

    // Who waits for the workflow sees the activity in between, as of one that is not local.
    let ClientError::Failed(error) = test.client.execute(fails_of_a_local_fate()).await.unwrap_err() else {
        panic!("it fails")
    };
    assert_eq!(error.activity().map(|activity| activity.name), Some("changing"));
    assert_eq!(
        (error.to_string(), error.failure_type(), error.details().unwrap()),
        ("final".into(), Some("Fate"), Some(1))
    );
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn attempts_that_ran_out_of_time_leave_a_gap_and_tell_of_the_others() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(changing).workflow(learn_of_fates));
    let learn = async |fates: [&str; 3]| {
        let fates = fates.map(str::to_owned).to_vec();
        test.client.execute(learn_of_fates(fates)).await.unwrap()
    };
    let failed = learn(["a", "late", "b"]).await;
    assert_eq!(failed, ("Fate".into(), Some(3), vec!["1: Fate a".into(), "2: silence".into()]));
    let late = learn(["a", "b", "late"]).await;
    assert_eq!(late, ("StartToClose".into(), None, vec!["1: Fate a".into(), "2: Fate b".into()]));
    worker.stop().await;
    test.stop().await;
}
