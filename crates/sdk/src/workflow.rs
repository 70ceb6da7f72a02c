//! Workflows: ordinary async code whose progress survives its process.
//!
//! `#[workflow]` makes a definition and a function that builds a [`Call`]. A client starts it; inside another
//! workflow, awaiting it runs it as a child.
//!
//! Workflow code is replayed: it must do the same again from the same history. What the world decides comes from
//! here ([`now`], [`sleep`], [`uuid`], [`random`]) or from activities.

mod call;
pub(crate) mod current;
mod guard;
mod host;
mod operations;
mod options;
mod this;
mod time;

pub use call::{Call, WorkflowFn};
pub use options::{Options, ParentClosePolicy};
pub use this::This;
pub use time::{Sleep, now, sleep};

pub(crate) use host::Host;

use crate::error::Result;
use crate::value::{Arguments, Value};
use futures_util::future::LocalBoxFuture;

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
}
