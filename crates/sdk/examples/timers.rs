//! A reminder every day for a month, tested in a second: the same workflow under real time and under time that skips.
//!
//! ```text
//! cargo run --example timers
//! ```

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tradewind::prelude::*;
use tradewind::testing::Environment;

const DAY: Duration = Duration::from_secs(86_400);

static SENT: AtomicU32 = AtomicU32::new(0);

#[activity]
async fn send_reminder(day: u32) -> Result<()> {
    SENT.fetch_add(1, Ordering::SeqCst);
    if day.is_multiple_of(10) {
        println!("  day {day}");
    }
    Ok(())
}

/// Reminds every `pause`, and says how long that took by the workflow's own clock.
#[workflow]
async fn remind(times: u32, pause: Duration) -> Result<Duration> {
    let began = workflow::now();
    for day in 1..=times {
        workflow::sleep(pause).await?;
        send_reminder(day).await?;
    }
    Ok(workflow::now().duration_since(began)?)
}

#[tokio::main]
async fn main() -> Result<()> {
    let data = tempfile::tempdir()?; // a program that is to remember keeps it
    let tradewind = Tradewind::from_env(&data).await?;
    tradewind.spawn(Worker::builder(&tradewind, "reminders").activity(send_reminder).workflow(remind).build()?);
    let short = tradewind.execute(remind(3, Duration::from_millis(200))).await?;
    println!("three reminders, 200 ms apart, took {short:.1?}");
    tradewind.shutdown().await?;

    let env = Environment::start().await?;
    env.spawn(Worker::builder(&env, "reminders").activity(send_reminder).workflow(remind).build()?);
    let month = env.execute(remind(30, DAY)).await?;
    println!("thirty reminders, a day apart, took {} days of its time", month.as_secs() / 86_400);
    env.shutdown().await?;

    let sent = SENT.load(Ordering::SeqCst);
    if short < Duration::from_millis(600) || month < 30 * DAY || sent != 33 {
        return Err(Error::new(format!(
            "33 reminders in 600 ms and 30 days were expected: {sent}, {short:?}, {month:?}"
        )));
    }
    Ok(())
}
