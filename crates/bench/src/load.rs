//! Keeps a number of things in flight until enough of them are done or the time is up.

use parking_lot::Mutex;
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// When to stop beginning new things.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    pub count: u64,
    pub duration: Option<Duration>,
}

impl Limit {
    pub fn count(count: u64) -> Self {
        Self { count, duration: None }
    }
}

/// What one thing took, in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sample {
    /// As its caller saw it.
    pub client: Option<u32>,
    /// Up to the moment the worker saw it done.
    pub worker: Option<u32>,
}

/// What a stretch of load came to.
#[derive(Debug, Default)]
pub struct Driven {
    pub samples: Vec<Sample>,
    pub failures: u64,
    pub first_failure: Option<String>,
    /// From the first beginning to the last end.
    pub elapsed: Duration,
}

impl Driven {
    pub fn client_micros(&self) -> Vec<u32> {
        self.samples.iter().filter_map(|sample| sample.client).collect()
    }

    pub fn worker_micros(&self) -> Vec<u32> {
        self.samples.iter().filter_map(|sample| sample.worker).collect()
    }

    pub fn per_second(&self) -> f64 {
        self.samples.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Runs `one(0)`, `one(1)`, ... with `in_flight` of them going at any time.
pub async fn drive<F>(in_flight: usize, limit: Limit, one: impl Fn(u64) -> F + Send + Sync + 'static) -> Driven
where
    F: Future<Output = anyhow::Result<Sample>> + Send,
{
    let begun = Instant::now();
    let shared = Arc::new((one, AtomicU64::new(0), Mutex::new(Driven::default())));
    let mut lanes = JoinSet::new();
    for _ in 0..in_flight.max(1) {
        let shared = shared.clone();
        lanes.spawn(async move {
            let (one, next, driven) = &*shared;
            let (mut samples, mut failures, mut first_failure) = (Vec::new(), 0, None);
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= limit.count || limit.duration.is_some_and(|duration| begun.elapsed() >= duration) {
                    break;
                }
                match one(index).await {
                    Ok(sample) => samples.push(sample),
                    Err(error) => {
                        failures += 1;
                        first_failure.get_or_insert_with(|| format!("{error:#}"));
                    }
                }
            }
            let mut driven = driven.lock();
            driven.samples.append(&mut samples);
            driven.failures += failures;
            driven.first_failure = driven.first_failure.take().or(first_failure);
        });
    }
    while lanes.join_next().await.is_some() {}
    let mut driven = std::mem::take(&mut *shared.2.lock());
    driven.elapsed = begun.elapsed();
    driven
}
