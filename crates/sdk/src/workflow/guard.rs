//! Stops workflow code that reaches for the world, at once and with a word on what to use instead.
//!
//! The official worker notices such code when something outside wakes it, which may be much later or never. Here
//! every poll runs inside a Tokio runtime that has no clock, no sockets and no threads: a timer or a connection
//! panics as it is made, and a spawned task stays behind to be seen.
//!
//! What leaves no trace cannot be noticed: the machine's clock, random numbers, threads of the system. Calls that block
//! for long are named by the `watchdog`.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static NOWHERE: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

/// What the code did, and what it should do instead.
pub(super) type Trespass = String;

/// Polls workflow code where the world is out of reach.
pub(super) fn poll<R>(code: impl FnOnce() -> R) -> Result<R, Trespass> {
    let handle = NOWHERE.with_borrow_mut(|nowhere| nowhere.get_or_insert_with(nothing_works).handle().clone());
    let outcome = {
        let _inside = handle.enter();
        catch_unwind(AssertUnwindSafe(code))
    };
    if handle.metrics().num_alive_tasks() > 0 {
        // The tasks go with the runtime that never ran them.
        NOWHERE.with_borrow_mut(|nowhere| nowhere.take().map(Runtime::shutdown_background));
        return Err("workflow code called tokio::spawn: tasks of the runtime do not survive a restart and are not \
                    replayed. Use join!, workflow::join_all or a child workflow; other work belongs in an activity"
            .into());
    }
    outcome.or_else(|panic| match trespass(&*panic) {
        Some(what) => {
            // What it was asked to do is still in its queue.
            NOWHERE.with_borrow_mut(|nowhere| nowhere.take().map(Runtime::shutdown_background));
            Err(what.into())
        }
        None => resume_unwind(panic),
    })
}

/// A runtime without drivers, and without threads: asked for the name of one, it refuses in these words, before anything
/// runs on it.
fn nothing_works() -> Runtime {
    let runtime = Builder::new_current_thread().thread_name_fn(|| panic!("{NO_THREADS}")).build();
    runtime.expect("a runtime without drivers needs nothing from the system")
}

const NO_THREADS: &str = "workflow code asked tokio for a thread (spawn_blocking, tokio::fs, a look-up of a host): what \
                          runs there is not replayed. It belongs in an activity, #[activity(blocking)] if it blocks";

/// Recognises the panics of a runtime that lacks what was asked of it.
fn trespass(panic: &(dyn Any + Send)) -> Option<&'static str> {
    let message = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str))?;
    if message.contains("timers are disabled") {
        Some(
            "workflow code used tokio's clock, which does not survive a restart. Use workflow::sleep for a pause \
              and workflow::now for the time",
        )
    } else if message.contains("IO is disabled") || message.contains("A Tokio 1.x context was found, but IO") {
        Some("workflow code opened a connection. Talk to the world in an activity")
    } else if message == NO_THREADS {
        Some(NO_THREADS)
    } else {
        None
    }
}
