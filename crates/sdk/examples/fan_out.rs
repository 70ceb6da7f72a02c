//! A hundred activities, ten at a time, and one sum.
//!
//! ```text
//! cargo run --example fan_out
//! ```

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tradewind::prelude::*;

static RUNNING: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[activity]
async fn count_words(page: u64) -> Result<u64> {
    let running = RUNNING.fetch_add(1, Ordering::SeqCst) + 1;
    MOST.fetch_max(running, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(20)).await;
    RUNNING.fetch_sub(1, Ordering::SeqCst);
    Ok(page)
}

#[workflow]
async fn count_book(pages: u64) -> Result<u64> {
    let counts = workflow::try_join_all((1..=pages).map(count_words)).at_most(10).await?;
    Ok(counts.iter().sum())
}

#[tokio::main]
async fn main() -> Result<()> {
    let data = tempfile::tempdir()?; // a program that is to remember keeps it
    let tradewind = Tradewind::from_env(&data).await?;
    tradewind.spawn(Worker::builder(&tradewind, "fan-out").activity(count_words).workflow(count_book).build()?);

    let words = tradewind.execute(count_book(100)).await?;
    let most = MOST.load(Ordering::SeqCst);
    println!("{words} words on 100 pages, never more than {most} pages at once");
    tradewind.shutdown().await?;

    if words != 5_050 || !(2..=10).contains(&most) {
        return Err(Error::new(format!("expected 5050 words and 2 to 10 at once, got {words} and {most}")));
    }
    Ok(())
}
