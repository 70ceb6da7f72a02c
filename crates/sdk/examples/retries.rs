//! An API that refuses twice, and one that can never succeed: what is retried, how fast, and what the workflow learns.
//!
//! ```text
//! cargo run --example retries
//! ```

use std::time::Duration;
use tradewind::prelude::*;

#[activity(initial_interval = "200ms", backoff_coefficient = 2.0, max_attempts = 5, start_to_close_timeout = "5s")]
async fn call_busy_api(question: String) -> Result<String> {
    let attempt = activity::info().map_or(1, |info| info.attempt);
    if attempt < 3 {
        println!("  attempt {attempt}: busy");
        return Err(Error::new("503 service unavailable"));
    }
    println!("  attempt {attempt}: answered");
    Ok(format!("the answer to {question:?} came with attempt {attempt}"))
}

#[activity(max_attempts = 5)]
async fn charge_card(number: String) -> Result<()> {
    println!("  charging card {number}");
    Err(Error::non_retryable(format!("card {number} does not exist")).with_type("CardUnknown"))
}

#[activity(start_to_close_timeout = "300ms", max_attempts = 1)]
async fn ask_an_api_that_hangs() -> Result<()> {
    tokio::time::sleep(Duration::from_secs(3)).await;
    Ok(())
}

#[workflow]
async fn stubborn() -> Result<Vec<String>> {
    let answer = call_busy_api("life".into()).await?;

    let refused = charge_card("4242".into()).await.unwrap_err();
    let card = format!("{:?} after one attempt: {refused:#}", refused.failure_type().unwrap_or_default());

    let hung = ask_an_api_that_hangs().await.unwrap_err();
    let timeout = match hung.kind() {
        Kind::TimedOut(Timeout::StartToClose) => "timed out: StartToClose".to_owned(),
        other => format!("unexpected: {other:?}"),
    };
    Ok(vec![answer, card, timeout])
}

#[tokio::main]
async fn main() -> Result<()> {
    let data = tempfile::tempdir()?; // a program that is to remember keeps it
    let tradewind = Tradewind::from_env(&data).await?;
    let worker = Worker::builder(&tradewind, "retries")
        .activity(call_busy_api)
        .activity(charge_card)
        .activity(ask_an_api_that_hangs)
        .workflow(stubborn);
    tradewind.spawn(worker.build()?);

    let learned = tradewind.execute(stubborn()).await?;
    for line in &learned {
        println!("{line}");
    }
    tradewind.shutdown().await?;

    let expected = ["came with attempt 3", "CardUnknown", "timed out: StartToClose"];
    if learned.iter().zip(expected).any(|(line, part)| !line.contains(part)) {
        return Err(Error::new(format!("expected {expected:?}, got {learned:?}")));
    }
    Ok(())
}
