//! Names async activities that block their thread, in the log and in a count.
//!
//! An async function that computes or waits without `.await` keeps its thread from everybody else. Each poll of an
//! activity notes when it began; a thread looks at the notes a few times in each limit.

use crate::ambient;
use crate::telemetry::Blocked;
use futures_util::future::BoxFuture;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use temporalio_sdk::activities::ActivityInfo;

/// Not polled at the moment.
const IDLE: u64 = u64::MAX;

/// Watches the polls of one worker's activities. Its thread ends with it.
pub(super) struct Watchdog {
    watch: Arc<Watch>,
}

struct Watch {
    limit: Duration,
    metric: Option<Blocked>,
    began: Instant,
    next: AtomicU64,
    found: AtomicU64,
    polled: Mutex<HashMap<u64, Arc<Polled>>>,
    over: Mutex<bool>,
    ended: Condvar,
}

/// One activity that runs.
struct Polled {
    activity: String,
    activity_id: String,
    workflow_id: Option<String>,
    /// When the poll that is going on began, in milliseconds of the watch.
    since_ms: AtomicU64,
    /// Whether this poll was named already.
    named: AtomicBool,
}

impl Watchdog {
    pub(super) fn start(limit: Duration, metric: Option<Blocked>) -> std::io::Result<Watchdog> {
        let watch = Arc::new(Watch {
            limit,
            metric,
            began: ambient::now(),
            next: AtomicU64::new(0),
            found: AtomicU64::new(0),
            polled: Mutex::default(),
            over: Mutex::new(false),
            ended: Condvar::new(),
        });
        let watching = watch.clone();
        std::thread::Builder::new().name("activity watchdog".into()).spawn(move || watching.run())?;
        Ok(Watchdog { watch })
    }

    pub(super) fn found(&self) -> u64 {
        self.watch.found.load(Ordering::Relaxed)
    }

    /// The work, with its polls noted.
    pub(super) fn watch<T>(&self, info: &ActivityInfo, work: BoxFuture<'static, T>) -> Watched<T> {
        let polled = Arc::new(Polled {
            activity: info.activity_type.clone(),
            activity_id: info.activity_id.clone(),
            workflow_id: info.workflow_id.clone(),
            since_ms: AtomicU64::new(IDLE),
            named: AtomicBool::new(false),
        });
        let id = self.watch.next.fetch_add(1, Ordering::Relaxed);
        self.watch.polled.lock().insert(id, polled.clone());
        Watched { id, polled, watch: self.watch.clone(), work }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        *self.watch.over.lock() = true;
        self.watch.ended.notify_all();
    }
}

impl Watch {
    fn now_ms(&self) -> u64 {
        ambient::now().duration_since(self.began).as_millis() as u64
    }

    fn run(&self) {
        let pause = (self.limit / 4).clamp(Duration::from_millis(5), Duration::from_secs(1));
        let mut over = self.over.lock();
        while !*over {
            self.ended.wait_for(&mut over, pause);
            self.look();
        }
    }

    fn look(&self) {
        let now_ms = self.now_ms();
        for polled in self.polled.lock().values() {
            let since_ms = polled.since_ms.load(Ordering::Relaxed);
            let blocked_ms = match since_ms {
                IDLE => continue,
                since_ms => now_ms.saturating_sub(since_ms),
            };
            if u128::from(blocked_ms) < self.limit.as_millis() || polled.named.swap(true, Ordering::Relaxed) {
                continue;
            }
            self.found.fetch_add(1, Ordering::Relaxed);
            if let Some(metric) = &self.metric {
                metric.add(&polled.activity);
            }
            tracing::warn!(
                activity = polled.activity,
                activity_id = polled.activity_id,
                workflow_id = polled.workflow_id,
                blocked_ms,
                "an async activity blocks its thread: make it #[activity(blocking)], or use tokio::task::spawn_blocking"
            );
        }
    }
}

/// An activity whose polls are noted.
pub(super) struct Watched<T> {
    id: u64,
    polled: Arc<Polled>,
    watch: Arc<Watch>,
    work: BoxFuture<'static, T>,
}

impl<T> Future for Watched<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.polled.named.store(false, Ordering::Relaxed);
        self.polled.since_ms.store(self.watch.now_ms(), Ordering::Relaxed);
        let outcome = self.work.as_mut().poll(cx);
        self.polled.since_ms.store(IDLE, Ordering::Relaxed);
        outcome
    }
}

impl<T> Drop for Watched<T> {
    fn drop(&mut self) {
        self.watch.polled.lock().remove(&self.id);
    }
}
