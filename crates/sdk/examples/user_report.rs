//! Two activities in a row, with their policies: the second gets what the first gave, and a replay runs neither again.
//!
//! ```text
//! cargo run --example user_report
//! ```

use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tradewind::prelude::*;

#[derive(Debug, Serialize, Deserialize)]
struct User {
    id: String,
    name: String,
    orders: Vec<u32>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Report {
    title: String,
    total: u32,
}

/// How often the service of users was asked.
static FETCHED: AtomicU32 = AtomicU32::new(0);

#[activity(start_to_close_timeout = "10s", max_attempts = 3, backoff_coefficient = 2.0)]
async fn fetch_user_data(id: String) -> Result<User> {
    FETCHED.fetch_add(1, Ordering::SeqCst);
    println!("  fetching user {id}");
    tokio::time::sleep(Duration::from_millis(50)).await; // a service, somewhere
    Ok(User { name: "Ann".into(), orders: vec![12, 30, 8], id })
}

#[activity(start_to_close_timeout = "1m")]
async fn generate_report(user: User) -> Result<Report> {
    println!("  writing the report of {}", user.name);
    Ok(Report { title: format!("Orders of {}", user.name), total: user.orders.iter().sum() })
}

#[workflow(name = "user_report")]
async fn user_report(id: String) -> Result<Report> {
    let user = fetch_user_data(id).await?;
    generate_report(user).await
}

#[tokio::main]
async fn main() -> Result<()> {
    let data = tempfile::tempdir()?; // a program that is to remember keeps it
    let tradewind = Tradewind::from_env(&data).await?;
    let worker = Worker::builder(&tradewind, "reports")
        .activity(fetch_user_data)
        .activity(generate_report)
        .workflow(user_report);
    tradewind.spawn(worker.build()?);

    let handle = tradewind.start(user_report("42".into())).await?;
    let report = handle.result().await?;
    println!("{}: {} in total", report.title, report.total);

    // The history is all that the code needs to come to the same end, with the recorded results.
    let history = handle.history().to_json().await?;
    tradewind::replay(user_report).json(&history).await?;
    println!("replayed from {} bytes of history, and nothing was fetched again", history.len());
    tradewind.shutdown().await?;

    if report.total != 50 || FETCHED.load(Ordering::SeqCst) != 1 {
        return Err(Error::new(format!("50 in total from one fetch were expected: {report:?}, {FETCHED:?}")));
    }
    Ok(())
}
