//! Activities: calls to the outside world that are retried, timed out, watched, and recorded once they succeed.
//!
//! `#[activity]` makes a definition and a function that builds a [`Call`]. Awaited inside a workflow, a call
//! schedules the activity and resolves to its recorded result; awaited anywhere else it runs the function itself, so
//! activities are tested, and call each other, as functions.
//!
//! ```
//! use tradewind::prelude::*;
//!
//! #[activity(start_to_close_timeout = "10s", max_attempts = 3)]
//! async fn shout(word: String) -> Result<String> {
//!     Ok(word.to_uppercase())
//! }
//!
//! # tokio_test(async {
//! assert_eq!(shout("hello".into()).await?, "HELLO");
//! # Ok(()) });
//! # fn tokio_test(test: impl Future<Output = Result<()>>) {
//! #     tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test).unwrap();
//! # }
//! ```

mod call;
mod context;
mod host;
mod left_behind;
mod options;
mod pool;
mod registrar;
mod watchdog;

pub use call::{ActivityFn, Call};
pub use context::{
    Info, KeepAlive, cancelled, completes_later, earlier_attempts, heartbeat, heartbeat_details, heartbeat_every, info,
    is_cancelled, is_worker_stopping, keep_alive, worker_stopping,
};
pub use options::{Cancellation, DEFAULT_START_TO_CLOSE, Options};
pub(crate) use registrar::Registered;
pub use registrar::{Activities, Registrar};

pub(crate) use call::limited_queue;
pub(crate) use context::{Attempt, Probe, block, within};
pub(crate) use host::{Host, Means, Run};
pub(crate) use pool::{Pool, PoolOptions};

use crate::error::Result;
use crate::value::{Arguments, Value};
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// An activity. Written by `#[activity]`.
pub trait Definition: Send + Sync + Sized + 'static {
    /// Its name on the wire.
    const NAME: &'static str;
    /// What all calls of it on one worker share: the type whose method it is, or `()` for a function.
    type State: Send + Sync + 'static;
    /// Its arguments.
    type Args: Arguments;
    /// What it returns.
    type Output: Value;

    /// Whether its function blocks, and so has a thread of its own: what is async about it only waits for that.
    const BLOCKING: bool = false;

    /// What its attribute says.
    fn options() -> Options;

    /// Runs it, here.
    fn run(state: Arc<Self::State>, args: Self::Args) -> BoxFuture<'static, Result<Self::Output>>;
}

/// An activity whose code is in this program, and not only its declaration.
#[diagnostic::on_unimplemented(
    message = "`{Self}` runs elsewhere: it was declared without a body",
    label = "only declared here",
    note = "give its function a body to run it on this worker; whoever calls it names the queue of the workers that have its code"
)]
pub trait Implemented: Definition {}

/// The state of an activity that shares none: of a function, or of a method without `self`.
#[diagnostic::on_unimplemented(
    message = "this activity is a method of `{Self}`",
    label = "without the state that it is called on",
    note = "register the state, and with it all its activities: `.activities(state)`"
)]
pub trait NoState: Sized {
    #[doc(hidden)]
    fn new() -> Self;
}

impl NoState for () {
    fn new() {}
}
