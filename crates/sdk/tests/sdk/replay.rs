//! Code against the history of a run.

use std::time::Duration;
use tradewind::prelude::*;
use tradewind::{ReplayError, replay};

#[activity]
async fn charge(amount: u32) -> Result<u32> {
    Ok(amount)
}

#[activity]
async fn ship(amount: u32) -> Result<String> {
    Ok(format!("{amount} shipped"))
}

/// As it ran.
#[workflow(name = "order")]
async fn order(amount: u32) -> Result<String> {
    let charged = charge(amount).await?;
    workflow::sleep(Duration::from_millis(1)).await?;
    ship(charged).await
}

#[workflow(name = "order")]
async fn ships_first(amount: u32) -> Result<String> {
    let shipped = ship(amount).await?;
    charge(amount).await?;
    Ok(shipped)
}

#[workflow(name = "order")]
async fn does_not_sleep(amount: u32) -> Result<String> {
    ship(charge(amount).await?).await
}

#[workflow(name = "order")]
async fn ends_early(amount: u32) -> Result<String> {
    Ok(format!("{} charged", charge(amount).await?))
}

#[workflow(name = "order")]
async fn goes_on(amount: u32) -> Result<String> {
    let shipped = order_as_it_was(amount).await?;
    charge(amount).await?;
    Ok(shipped)
}

async fn order_as_it_was(amount: u32) -> Result<String> {
    let charged = charge(amount).await?;
    workflow::sleep(Duration::from_millis(1)).await?;
    ship(charged).await
}

#[workflow(name = "order")]
async fn panics(amount: u32) -> Result<String> {
    charge(amount).await?;
    panic!("the till is empty")
}

#[tokio::test]
async fn code_that_did_not_change_replays() {
    let history = history().await;
    replay(order).json(&history).await.unwrap();
}

/// `temporal workflow show --output json` of the example `hello`.
const EXPORTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/histories/hello.json");

#[activity]
async fn greeting(name: String) -> Result<String> {
    Ok(format!("Hello, {name}!"))
}

#[workflow]
async fn hello(name: String) -> Result<String> {
    greeting(name).await
}

#[workflow(name = "hello")]
async fn greets_twice(name: String) -> Result<String> {
    greeting(greeting(name).await?).await
}

#[tokio::test]
async fn a_history_that_the_official_command_line_exported_replays() {
    replay(hello).file(EXPORTED).await.unwrap();
    let parting = divergence(replay(greets_twice).file(EXPORTED).await);
    assert_eq!(parting.history.as_deref(), Some("the workflow completes"));
    assert_eq!(parting.code.as_deref(), Some("activity greeting"));
}

#[tokio::test]
async fn another_activity_is_named_with_its_event() {
    let parting = divergence(replay(ships_first).json(history().await).await);
    assert_eq!(parting.event_id, Some(5));
    assert_eq!(parting.history.as_deref(), Some("activity charge"));
    assert_eq!(parting.code.as_deref(), Some("activity ship"));
    let text = parting.to_string();
    assert!(text.starts_with("the workflow's code and its history part at event 5\n"), "{text}");
    assert!(parting.reason.starts_with("[TMPRL1100] "), "{text}");
}

#[tokio::test]
async fn a_missing_timer_is_named_with_its_event() {
    let parting = divergence(replay(does_not_sleep).json(history().await).await);
    assert_eq!(parting.history.as_deref(), Some("timer of 1ms"));
    assert_eq!(parting.code.as_deref(), Some("activity ship"));
    assert!(parting.event_id.is_some());
}

#[tokio::test]
async fn code_that_ends_early_is_seen() {
    let parting = divergence(replay(ends_early).json(history().await).await);
    assert_eq!(parting.history.as_deref(), Some("timer of 1ms"));
    assert_eq!(parting.code.as_deref(), Some("the workflow completes"));
}

#[tokio::test]
async fn code_that_goes_on_is_seen() {
    let parting = divergence(replay(goes_on).json(history().await).await);
    assert_eq!(parting.history.as_deref(), Some("the workflow completes"));
    assert_eq!(parting.code.as_deref(), Some("activity charge"));
}

#[tokio::test]
async fn a_panic_is_told_in_its_own_words() {
    let failed = replay(panics).json(history().await).await.unwrap_err();
    assert!(matches!(&failed, ReplayError::TaskFailed(words) if words.contains("the till is empty")), "{failed}");
}

#[tokio::test]
async fn what_is_not_a_history_is_refused() {
    let error = replay(order).json("{\"events\": 7}").await.unwrap_err();
    assert!(matches!(error, ReplayError::NotAHistory(_)), "{error}");
    let error = replay(order).json("{\"events\": []}").await.unwrap_err();
    assert!(matches!(error, ReplayError::NotAHistory(_)), "{error}");
    let error = replay(order).json("{\"events\": [{\"eventId\": \"1\"}]}").await.unwrap_err();
    assert!(matches!(&error, ReplayError::NotAHistory(why) if why == "event 1 says nothing"), "{error}");
    let error = replay(order).file("no/such/file.json").await.unwrap_err().to_string();
    assert!(error.starts_with("no/such/file.json: "), "{error}");
}

#[track_caller]
fn divergence(outcome: Result<(), ReplayError>) -> tradewind::Divergence {
    match outcome {
        Err(ReplayError::Diverged(divergence)) => divergence,
        other => panic!("it should diverge: {other:?}"),
    }
}

/// What a run of `order` leaves behind.
async fn history() -> Vec<u8> {
    let tradewind = Tradewind::in_memory().await.unwrap();
    let worker = Worker::builder(&tradewind, "orders").activity(charge).activity(ship).workflow(order);
    tradewind.spawn(worker.build().unwrap());
    tradewind.execute(order(7)).id("order-7").await.unwrap();
    let history = tradewind.untyped_handle("order-7").history().to_json().await.unwrap();
    tradewind.shutdown().await.unwrap();
    history
}
