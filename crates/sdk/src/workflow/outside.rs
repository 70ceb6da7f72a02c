//! Names workflow code that waits for something outside: a channel, a lock or a thread of the program.
//!
//! What wakes such code is not in its history, so a replay would not be woken, or not at this place. The official worker
//! fails the next task of the run for it. But the run may have nothing to wait for on the server, and then there is no
//! next task: it would stand still without a word.

use super::watchdog::Run;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::thread::{self, ThreadId};

/// What workflow code is woken by. All that may wake it happens on its own thread, while a task of its run is worked on.
pub(super) struct Watched {
    run: Arc<Run>,
    thread: ThreadId,
    named: Arc<AtomicBool>,
    waker: Waker,
}

/// A waker that wakes this one, and says so in the log, once, if somebody outside used it.
pub(super) fn watched(waker: &Waker, run: &Arc<Run>, named: &Arc<AtomicBool>) -> Waker {
    let (run, named, thread) = (run.clone(), named.clone(), thread::current().id());
    Waker::from(Arc::new(Watched { run, thread, named, waker: waker.clone() }))
}

impl Wake for Watched {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if thread::current().id() != self.thread && !self.named.swap(true, Ordering::Relaxed) {
            let Run { workflow, workflow_id, run_id } = &*self.run;
            tracing::error!(
                workflow,
                workflow_id,
                run_id,
                "workflow code waits for something outside it (a channel, a lock, a thread), which is not recorded and not \
                 replayed: its next task fails, and until there is one the run stands still. What comes from outside comes \
                 by signal or update, or is the result of an activity"
            );
        }
        self.waker.wake_by_ref();
    }
}
