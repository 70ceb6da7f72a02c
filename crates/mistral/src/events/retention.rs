//! What is old, or about a run that is gone, goes: a slice at a time.
//!
//! A slice is one short write like any other, so nobody waits longer for it than for any other write. Events go with
//! their run, and earlier if they are older than the settings say; spans and log records by age alone.

use crate::Platform;
use std::time::Duration;
use store::row::Change;
use tradewind_core::time::Timestamp;

/// Rows of one slice.
const SLICE: usize = 500;
const BETWEEN_SWEEPS: Duration = Duration::from_secs(60);
/// Longer than a slice takes, so that sweeping a great deal leaves most of the writer to others.
const BETWEEN_SLICES: Duration = Duration::from_millis(20);

/// Sweeps from time to time, for as long as the server runs.
pub async fn run(platform: Platform) {
    let shutdown = platform.service.shutdown.clone();
    loop {
        if let Err(error) = sweep(&platform).await {
            tracing::warn!("old events stay: {}", error.text());
        }
        tokio::select! {
            () = tokio::time::sleep(BETWEEN_SWEEPS) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Deletes all that may go; says in how many slices.
pub async fn sweep(platform: &Platform) -> Result<usize, crate::Error> {
    let mut slices = 0;
    while let Some(slice) = next_slice(platform).await? {
        if platform.service.shutdown.is_cancelled() {
            break;
        }
        platform.write(vec![slice]).await?;
        slices += 1;
        tokio::time::sleep(BETWEEN_SLICES).await;
    }
    Ok(slices)
}

async fn next_slice(platform: &Platform) -> Result<Option<Change>, crate::Error> {
    let events_before = ago(platform, platform.settings.event_retention);
    let telemetry_before = ago(platform, platform.settings.telemetry_retention);
    platform
        .read(move |store| {
            if let Some((run, until)) = store.events_of_gone_run(SLICE)? {
                return Ok(Some(Change::DeleteEventsOfRun { run, until }));
            }
            if let Some(until) = store.expired_events(events_before, SLICE)? {
                return Ok(Some(Change::DeleteEvents { until }));
            }
            let expired = store.expired_telemetry(telemetry_before, SLICE)?;
            Ok(expired.map(|(spans_until, logs_until)| Change::DeleteTelemetry { spans_until, logs_until }))
        })
        .await
}

fn ago(platform: &Platform, age: Duration) -> Timestamp {
    let nanos = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
    Timestamp::from_nanos(platform.now().as_nanos().saturating_sub(nanos))
}
