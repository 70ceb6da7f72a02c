//! Workflow code that reaches for the world fails its task at once, with a word on what to use instead.

use crate::support::Test;
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
async fn connects() -> Result<()> {
    drop(tokio::net::TcpListener::bind("127.0.0.1:0").await);
    Ok(())
}

#[workflow]
async fn panics() -> Result<()> {
    panic!("as it is told to");
}

#[tokio::test]
async fn what_is_not_durable_is_named_with_its_replacement() {
    let test = Test::start().await;
    let worker =
        test.worker(|worker| worker.workflow(uses_tokios_clock).workflow(spawns).workflow(connects).workflow(panics));

    let handle = test.client.start(uses_tokios_clock()).await.unwrap();
    test.failed_task_says(&handle, "workflow::sleep").await;
    let handle = test.client.start(spawns()).await.unwrap();
    test.failed_task_says(&handle, "tokio::spawn").await;
    let handle = test.client.start(connects()).await.unwrap();
    test.failed_task_says(&handle, "in an activity").await;
    let handle = test.client.start(panics()).await.unwrap();
    test.failed_task_says(&handle, "as it is told to").await;

    worker.stop().await;
    test.stop().await;
}
