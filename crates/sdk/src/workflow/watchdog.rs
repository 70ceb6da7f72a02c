//! Names workflow code that holds its thread, in the log and in a count.
//!
//! All runs of a worker share a thread, and one that computes, waits without `.await` or never ends keeps it from all the
//! others, with nothing to be seen but timeouts. Each poll of workflow code is noted; a thread looks at the note a few
//! times in each limit.
//!
//! Invariant
//! - A note is there exactly while workflow code runs on its thread.

use crate::ambient;
use crate::telemetry::Blocked;
use parking_lot::{Condvar, Mutex};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

thread_local! {
    static WATCH: RefCell<Option<Arc<Watch>>> = const { RefCell::new(None) };
}

/// Watches the workflow code of this thread until it is dropped.
pub(crate) struct Watchdog {
    watch: Arc<Watch>,
}

/// What is too long, and how often it was.
#[derive(Clone)]
pub(crate) struct Patience {
    pub(crate) limit: Duration,
    pub(crate) found: Arc<AtomicU64>,
    pub(crate) metric: Option<Arc<Blocked>>,
}

struct Watch {
    patience: Patience,
    polling: Mutex<Option<Polling>>,
    over: Mutex<bool>,
    ended: Condvar,
}

/// The code that runs at the moment.
struct Polling {
    run: Arc<Run>,
    began: Instant,
    named: bool,
}

/// Whose code it is.
#[derive(Debug)]
pub(crate) struct Run {
    pub(super) workflow: &'static str,
    pub(super) workflow_id: String,
    pub(super) run_id: String,
}

impl Watchdog {
    pub(crate) fn start(patience: Patience) -> std::io::Result<Watchdog> {
        let watch = Watch { patience, polling: Mutex::default(), over: Mutex::default(), ended: Condvar::new() };
        let watch = Arc::new(watch);
        let watching = watch.clone();
        std::thread::Builder::new().name("workflow watchdog".into()).spawn(move || watching.run())?;
        WATCH.set(Some(watch.clone()));
        Ok(Watchdog { watch })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        WATCH.set(None);
        *self.watch.over.lock() = true;
        self.watch.ended.notify_all();
    }
}

/// Runs workflow code, noted if this thread is watched.
pub(super) fn noted<R>(run: &Arc<Run>, code: impl FnOnce() -> R) -> R {
    let _noted = WATCH.with_borrow(Clone::clone).map(|watch| {
        let polling = Polling { run: run.clone(), began: ambient::now(), named: false };
        let outer = watch.polling.lock().replace(polling);
        Noted { watch, outer }
    });
    code()
}

struct Noted {
    watch: Arc<Watch>,
    /// Code that this one runs inside.
    outer: Option<Polling>,
}

impl Drop for Noted {
    fn drop(&mut self) {
        *self.watch.polling.lock() = self.outer.take();
    }
}

impl Watch {
    fn run(&self) {
        let pause = (self.patience.limit / 4).clamp(Duration::from_millis(5), Duration::from_secs(1));
        let mut over = self.over.lock();
        while !*over {
            self.ended.wait_for(&mut over, pause);
            self.look();
        }
    }

    fn look(&self) {
        let mut polling = self.polling.lock();
        let Some(polling) = polling.as_mut().filter(|polling| !polling.named) else { return };
        let blocked = ambient::now().duration_since(polling.began);
        if blocked < self.patience.limit {
            return;
        }
        polling.named = true;
        self.patience.found.fetch_add(1, Ordering::Relaxed);
        let Run { workflow, workflow_id, run_id } = &*polling.run;
        if let Some(metric) = &self.patience.metric {
            metric.add(workflow);
        }
        tracing::warn!(
            workflow,
            workflow_id,
            run_id,
            blocked_ms = blocked.as_millis() as u64,
            "workflow code holds the thread of all workflows of this worker: it decides, and what computes or blocks \
             belongs in an activity"
        );
    }
}
