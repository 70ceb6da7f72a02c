//! Payloads through their stages, as the server sees them.

use crate::support::Test;
use prost::Message;
use std::time::Duration;
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use tradewind::payload::{Converter, Key, Keyring, Offload, PAYLOAD_BYTES_MAX, Payload, Store, Zlib};
use tradewind::prelude::*;

#[activity(max_attempts = 1)]
async fn reversed(text: String) -> Result<String> {
    Ok(text.chars().rev().collect())
}

#[workflow]
async fn twice_reversed(text: String) -> Result<String> {
    reversed(reversed(text).await?).await
}

/// Without a limit on attempts: it would be tried for ever.
#[activity]
async fn bytes(count: usize) -> Result<Vec<u8>> {
    Ok(vec![7; count])
}

#[workflow]
async fn count_bytes(count: usize) -> Result<usize> {
    Ok(bytes(count).await?.len())
}

#[activity]
async fn length(bytes: Vec<u8>) -> Result<usize> {
    Ok(bytes.len())
}

#[workflow]
async fn pass_bytes(count: usize) -> Result<usize> {
    length(vec![7; count]).await
}

#[tokio::test]
async fn an_encrypted_run_shows_the_server_nothing() {
    let keys = Keyring::new("2026", Key::new(&[7; 32]).unwrap());
    let test = Test::with(|client| client.payloads(Converter::new().compress(Zlib::default()).encrypt(keys))).await;
    let worker = test.worker(|worker| worker.activity(reversed).workflow(twice_reversed));

    let secret = "the treasure is under the mast ".repeat(20);
    let handle = test.client.start(twice_reversed(secret.clone())).await.unwrap();
    assert_eq!(handle.result().await.unwrap(), secret);

    let mut seen = 0;
    for event in handle.history().into_events().await.unwrap() {
        for payload in payloads(event.attributes.unwrap()) {
            assert_eq!(payload.metadata["encoding"], b"binary/encrypted");
            assert_eq!(payload.metadata["encryption-key-id"], b"2026");
            assert_eq!(payload.metadata.len(), 2, "{:?}", payload.metadata);
            assert!(payload.data.len() < secret.len() / 2, "compressed first");
            seen += 1;
        }
    }
    assert_eq!(seen, 6, "input, two arguments, two results, result");
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn large_payloads_go_around_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::directory(directory.path()).unwrap();
    let test = Test::with(|client| client.payloads(Converter::new().offload(Offload::to(store)))).await;
    let worker =
        test.worker(|worker| worker.activity(bytes).activity(length).workflow(count_bytes).workflow(pass_bytes));

    let large = 3 * PAYLOAD_BYTES_MAX;
    let handle = test.client.start(count_bytes(large)).await.unwrap();
    assert_eq!(handle.result().await.unwrap(), large);
    assert_eq!(test.client.execute(pass_bytes(large)).await.unwrap(), large);

    let history = handle.history().into_events().await.unwrap();
    let bytes: usize = history.iter().map(Message::encoded_len).sum();
    assert!(bytes < 5_000, "the history has {bytes} bytes");
    assert_eq!(std::fs::read_dir(directory.path().join("v0/d/sha256")).unwrap().count(), 1, "equal payloads share");
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
#[ignore = "needs the services that tests/sdk/buckets.py starts"]
async fn large_payloads_go_through_buckets() {
    for store in [Store::s3("tradewind"), Store::gcs("tradewind"), Store::azure("tradewind")] {
        // Nothing is kept, so that what is read was in the bucket.
        let offload = Offload::to(store.unwrap()).kept_bytes(0);
        let test = Test::with(|client| client.payloads(Converter::new().offload(offload))).await;
        let worker = test.worker(|worker| worker.activity(reversed).workflow(twice_reversed));

        let large = "tradewind ".repeat(500_000);
        let handle = test.client.start(twice_reversed(large.clone())).await.unwrap();
        assert_eq!(handle.result().await.unwrap(), large);

        let history = handle.history().into_events().await.unwrap();
        let bytes: usize = history.iter().map(Message::encoded_len).sum();
        assert!(bytes < 5_000, "the history has {bytes} bytes");
        worker.stop().await;
        test.stop().await;
    }
}

#[tokio::test]
async fn a_result_that_is_too_large_is_not_tried_again() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(bytes).workflow(count_bytes));

    match test.client.execute(count_bytes(PAYLOAD_BYTES_MAX + 1)).await.unwrap_err() {
        ClientError::Failed(error) => {
            assert_eq!(error.failure_type(), Some("PayloadTooLarge"));
            let text = format!("{error:#}");
            assert!(text.contains("exceed the limit of 2097152 bytes"), "{text}");
            assert!(text.contains("Converter::offload"), "{text}");
        }
        other => panic!("{other}"),
    }
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn an_argument_that_is_too_large_fails_the_task_and_says_so_in_history() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(length).workflow(pass_bytes));
    let handle = test.client.start(pass_bytes(PAYLOAD_BYTES_MAX + 1)).await.unwrap();

    let message = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            for event in handle.history().into_events().await.unwrap() {
                if let Some(Attributes::WorkflowTaskFailedEventAttributes(failed)) = event.attributes {
                    return failed.failure.unwrap().message;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let message = message.await.expect("the task fails");
    assert!(message.contains("exceed the limit of 2097152 bytes"), "{message}");
    handle.terminate("over").await.unwrap();
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn a_client_refuses_what_the_server_would() {
    let test = Test::start().await;
    let start = test.client.start(twice_reversed("x".repeat(PAYLOAD_BYTES_MAX))).task_queue(&test.queue);
    let refused = start.await.unwrap_err();
    assert!(matches!(refused, ClientError::Payload(_)), "{refused}");
    assert!(refused.to_string().contains("exceed the limit"), "{refused}");
    test.stop().await;
}

/// The payloads of the events of a run that calls activities.
fn payloads(attributes: Attributes) -> Vec<Payload> {
    let payloads = match attributes {
        Attributes::WorkflowExecutionStartedEventAttributes(event) => event.input,
        Attributes::ActivityTaskScheduledEventAttributes(event) => event.input,
        Attributes::ActivityTaskCompletedEventAttributes(event) => event.result,
        Attributes::WorkflowExecutionCompletedEventAttributes(event) => event.result,
        _ => None,
    };
    payloads.unwrap_or_default().payloads
}
