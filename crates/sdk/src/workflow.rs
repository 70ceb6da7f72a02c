//! Workflows: ordinary async code whose progress survives its process.
//!
//! `#[workflow]` makes a definition and a function that builds a [`Call`]. A client starts it; inside another
//! workflow, awaiting it runs it as a child.
//!
//! Workflow code is replayed: it must do the same again from the same history. What the world decides comes from
//! here ([`now`], [`sleep`], [`uuid()`], [`random`]) or from activities.

mod call;
mod continue_as_new;
pub(crate) mod current;
mod external;
mod guard;
mod host;
mod info;
mod join;
pub(crate) mod locals;
mod message;
mod operations;
mod options;
mod outside;
mod random;
mod saga;
mod scope;
mod this;
mod time;
mod wait;
mod watchdog;

pub use call::{Call, WorkflowFn};
pub use continue_as_new::continue_as_new;
pub use external::{Child, External, external};
pub use futures_util::{join, try_join};
pub use info::{
    Info, SearchAttributeKey, SearchAttributeTime, SearchAttributeUpdate, SearchAttributes, continue_as_new_suggested,
    deprecate_patch, handlers_finished, history_length, info, is_replaying, memo, patched, search_attributes, set_memo,
    upsert_search_attributes,
};
pub use join::{JoinAll, TryJoinAll, join_all, try_join_all};
#[doc(hidden)]
pub use message::{Messages, QueryHandler, Received, SignalHandler, UpdateHandler, infallible};
pub use message::{Query, Signal, Update};
pub use options::{Options, ParentClosePolicy, RetryPolicy};
pub use random::{Random, random, uuid};
pub use saga::{Saga, saga};
pub use scope::{Scope, Scoped, cancellation_reason, cancelled, detached, is_cancelled};
/// Waits for the first of several futures, looked at in the order written, and runs the code beside it. The others are
/// dropped before that, and so cancelled.
///
/// ```
/// # use tradewind::prelude::*;
/// # use std::time::Duration;
/// # #[activity] async fn answer() -> Result<u32> { Ok(42) }
/// #[workflow]
/// async fn in_time() -> Result<Option<u32>> {
///     workflow::select! {
///         found = answer() => Ok(Some(found?)),
///         _ = workflow::sleep(Duration::from_secs(60)) => Ok(None),
///     }
/// }
/// ```
pub use sdk_macros::select;
pub use this::This;
pub use time::{Sleep, now, sleep};
pub use wait::{Wait, WaitTimeout, wait_for};

pub(crate) use host::{Host, message as panic_message};
pub(crate) use watchdog::{Patience, Watchdog};

use crate::error::Result;
use crate::value::{Arguments, Value};
use futures_util::future::LocalBoxFuture;
use temporalio_common::data_converters::PayloadConversionError;

/// A workflow. Written by `#[workflow]`.
pub trait Definition: Sized + 'static {
    /// Its name on the wire.
    const NAME: &'static str;
    /// What its handlers read and change: the type whose `impl` it is, or `()` for a function.
    type State: 'static;
    /// Its arguments.
    type Args: Arguments;
    /// What it returns.
    type Output: Value;

    /// What its attribute says.
    fn options() -> Options;

    /// The state before the first line runs. The arguments are there if [`Definition::INIT_TAKES_ARGS`] says so.
    fn init(args: Option<Self::Args>) -> Self::State;

    /// Whether [`Definition::init`] wants the arguments too.
    const INIT_TAKES_ARGS: bool = false;

    /// Runs it from the start.
    fn run(this: This<Self>, args: Self::Args) -> LocalBoxFuture<'static, Result<Self::Output>>;

    /// The names of its handlers.
    #[doc(hidden)]
    const MESSAGES: Messages = Messages { signals: &[], queries: &[], updates: &[] };

    /// What receives this signal, if there is something.
    #[doc(hidden)]
    fn signal(_name: &str, _received: Received) -> Option<Result<SignalHandler<Self>, PayloadConversionError>> {
        None
    }

    /// What answers this query, if there is something.
    #[doc(hidden)]
    fn query(_name: &str, _received: Received) -> Option<Result<QueryHandler<Self>, PayloadConversionError>> {
        None
    }

    /// What answers this update, if there is something.
    #[doc(hidden)]
    fn update(_name: &str, _received: Received) -> Option<Result<UpdateHandler<Self>, PayloadConversionError>> {
        None
    }
}

/// A workflow whose code is in this program, and not only its declaration.
#[diagnostic::on_unimplemented(
    message = "`{Self}` runs elsewhere: it was declared without a body",
    label = "only declared here",
    note = "give it a body to run it on this worker; whoever starts it names the queue of the workers that have its code"
)]
pub trait Implemented: Definition {}
