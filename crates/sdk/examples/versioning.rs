//! A workflow's code changes while a run of it is under way: a patch keeps the old run on the old path, and a replay of
//! its history says so before anything is deployed.
//!
//! ```text
//! cargo run --example versioning
//! ```

use std::time::Duration;
use tradewind::prelude::*;
use tradewind::{ReplayError, replay};

#[activity]
async fn pack(order: String) -> Result<String> {
    Ok(format!("packed {order}"))
}

#[activity]
async fn check_stock(order: String) -> Result<String> {
    Ok(format!("checked {order}"))
}

#[workflow(name = "order")]
async fn first_version(order: String) -> Result<Vec<String>> {
    workflow::sleep(Duration::from_secs(2)).await?;
    Ok(vec![pack(order).await?])
}

/// The new step at the top breaks runs that are past it.
#[workflow(name = "order")]
async fn careless_version(order: String) -> Result<Vec<String>> {
    let checked = check_stock(order.clone()).await?;
    workflow::sleep(Duration::from_secs(2)).await?;
    Ok(vec![checked, pack(order).await?])
}

#[workflow(name = "order")]
async fn patched_version(order: String) -> Result<Vec<String>> {
    let mut done = Vec::new();
    if workflow::patched("check-stock") {
        done.push(check_stock(order.clone()).await?);
    }
    workflow::sleep(Duration::from_secs(2)).await?;
    done.push(pack(order).await?);
    Ok(done)
}

#[tokio::main]
async fn main() -> Result<()> {
    let data = tempfile::tempdir()?; // a program that is to remember keeps it
    let queue = format!("orders-{}", std::process::id());
    let old_id = format!("old-order-{}", std::process::id());

    // The first version starts a run, and its worker goes away in the middle.
    let tradewind = Tradewind::from_env(&data).await?;
    tradewind.spawn(Worker::builder(&tradewind, &queue).activity(pack).workflow(first_version).build()?);
    let old = tradewind.start(first_version("tea".into())).id(&old_id).await?;
    let history = loop {
        let events = old.history().into_events().await?;
        if events.iter().any(|event| event.event_type().as_str_name().ends_with("TIMER_STARTED")) {
            break events;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    tradewind.shutdown().await?;

    // Before the new version goes out, it meets the history of what is under way.
    let parting = match replay(careless_version).events(history.clone()).await {
        Err(ReplayError::Diverged(parting)) => parting,
        other => return Err(Error::new(format!("the careless version should not replay: {other:?}"))),
    };
    println!("the careless version:\n{parting}");
    replay(patched_version).events(history).await?;
    println!("the patched version replays");

    // It goes out: the run under way stays on its path, and a new one takes the new.
    let tradewind = Tradewind::from_env(&data).await?;
    let worker = Worker::builder(&tradewind, &queue).activity(pack).activity(check_stock).workflow(patched_version);
    tradewind.spawn(worker.build()?);
    let old = tradewind.handle(patched_version, &old_id).result().await?;
    let new = tradewind.execute(patched_version("coffee".into())).await?;
    println!("old run: {old:?}\nnew run: {new:?}");
    tradewind.shutdown().await?;

    if old != ["packed tea"] || new != ["checked coffee", "packed coffee"] {
        return Err(Error::new(format!("the old run should not check, and the new one should: {old:?}, {new:?}")));
    }
    Ok(())
}
