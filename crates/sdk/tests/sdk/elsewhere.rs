//! Activities that end outside their function: a client says how it went.

use crate::support::{Test, uuid};
use parking_lot::Mutex;
use std::time::Duration;
use tokio::sync::Notify;
use tradewind::client::ActivityRef;
use tradewind::payload::{Converter, Key, Keyring};
use tradewind::prelude::*;

/// Where attempts leave their tokens. Each test has a process of its own.
static TOKENS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
static ASKED: Notify = Notify::const_new();

#[activity(start_to_close_timeout = "1m", heartbeat_timeout = "30s", initial_interval = "10ms")]
async fn ask(question: String) -> Result<String> {
    let before: Option<u32> = activity::heartbeat_details()?;
    TOKENS.lock().push(activity::info().expect("a worker runs it").task_token);
    ASKED.notify_one();
    match before {
        Some(before) => Err(Error::non_retryable(format!("{question} was heard {before} times")).with_type("Heard")),
        None => Err(activity::completes_later()),
    }
}

#[workflow]
async fn asking_locally(question: String) -> Result<String> {
    ask(question).local().await
}

#[workflow]
async fn asking(question: String) -> Result<String> {
    ask(question).with(|o| o.id("question")).await
}

/// Waits for the answer even when it is cancelled.
#[workflow]
async fn asking_in_vain(question: String) -> Result<String> {
    let answer = ask(question).with(|o| o.cancellation(activity::Cancellation::Wait)).await;
    let error = answer.unwrap_err();
    Ok(format!("{:?} {}", error.kind(), workflow::is_cancelled()))
}

async fn token() -> Vec<u8> {
    tokio::time::timeout(Duration::from_secs(30), ASKED.notified()).await.expect("the question is asked");
    TOKENS.lock().last().expect("it left its token").clone()
}

#[tokio::test]
async fn an_activity_is_completed_by_its_token() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(ask).workflow(asking));
    let run = test.client.start(asking("why?".into())).await.unwrap();

    let question = test.client.activity(ask, token().await);
    assert!(!question.heartbeat(&1_u32).await.unwrap().cancel_requested);
    question.complete("because".into()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "because");

    let late = question.complete("no, wait".into()).await.unwrap_err();
    assert!(matches!(late, ClientError::NotFound(_)), "{late:?}");
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn an_activity_is_completed_by_names_and_the_answer_is_encrypted() {
    let keys = Keyring::new("k", Key::new(&[1; 32]).unwrap());
    let test = Test::with(|client| client.payloads(Converter::new().encrypt(keys))).await;
    let worker = test.worker(|worker| worker.activity(ask).workflow(asking));
    let id = uuid();
    let run = test.client.start(asking("why?".into())).id(&id).await.unwrap();
    token().await;

    let nobody = test.client.activity(ask, (&id, "another")).complete("".into()).await.unwrap_err();
    assert!(matches!(nobody, ClientError::NotFound(_)), "{nobody:?}");
    let this_run = ActivityRef::Named {
        workflow_id: id.clone(),
        run_id: run.run_id().map(str::to_owned),
        activity_id: "question".into(),
    };
    test.client.untyped_activity(this_run).heartbeat(&1_u32).await.unwrap();
    test.client.activity(ask, (&id, "question")).complete("because".into()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "because");

    let history = run.history().to_json().await.unwrap();
    assert!(!String::from_utf8_lossy(&history).contains(r#""data":"ImJlY2F1c2Ui""#), "it is in clear");
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn a_failure_from_elsewhere_is_retried_and_a_heartbeat_from_elsewhere_found() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(ask).workflow(asking));
    let run = test.client.start(asking("it".into())).await.unwrap();

    let first = token().await;
    let question = test.client.activity(ask, first.clone());
    question.heartbeat(&3_u32).await.unwrap();
    question.fail(Error::new("nobody is at home")).await.unwrap();
    assert_ne!(token().await, first, "the second attempt has a token of its own");
    let failed = run.result().await.unwrap_err();
    let ClientError::Failed(error) = failed else { panic!("{failed:?}") };
    assert_eq!((error.failure_type(), error.to_string().contains("it was heard 3 times")), (Some("Heard"), true));
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn a_failure_from_elsewhere_keeps_its_type_and_details() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(ask).workflow(asking));
    let run = test.client.start(asking("why?".into())).await.unwrap();

    let question = test.client.activity(ask, token().await);
    let unfinished = question.fail(activity::completes_later()).await.unwrap_err();
    assert!(matches!(unfinished, ClientError::Invalid(_)), "{unfinished:?}");
    let refusal = Error::non_retryable("none of your business").with_type("Refused").with_details(7_u32);
    question.fail(refusal).await.unwrap();
    let failed = run.result().await.unwrap_err();
    let ClientError::Failed(error) = failed else { panic!("{failed:?}") };
    assert_eq!((error.failure_type(), error.details::<u32>().unwrap()), (Some("Refused"), Some(7)));
    assert_eq!(error.activity().unwrap().name, "ask");
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn a_cancellation_reaches_whoever_works_elsewhere() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(ask).workflow(asking_in_vain));
    let run = test.client.start(asking_in_vain("why?".into())).await.unwrap();
    let question = test.client.activity(ask, token().await);
    question.report_cancelled().await.expect_err("nobody has asked for it");

    run.cancel().await.unwrap();
    let told = async {
        while !question.heartbeat(&1_u32).await.unwrap().cancel_requested {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), told).await.expect("it is asked to stop");
    question.report_cancelled().await.unwrap();
    assert_eq!(run.result().await.unwrap(), "Cancelled true");
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn a_local_activity_has_no_elsewhere() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(ask).workflow(asking_locally));
    let failed = test.client.execute(asking_locally("who?".into())).await.unwrap_err();
    let ClientError::Failed(error) = failed else { panic!("{failed:?}") };
    assert_eq!(error.failure_type(), Some("CompletesLater"));
    assert!(error.to_string().contains("leave out `local`"), "{error}");
    worker.stop().await;
    test.stop().await;
}
