//! Durable workflows in Rust.
//!
//! A *workflow* is ordinary async code whose progress survives crashes. An *activity* is one call to the outside
//! world: it is retried, timed out, watched by heartbeat, and recorded once it has succeeded, so that it is never
//! run again. Both run on Tradewind and on any Temporal cluster.
//!
//! ```no_run
//! use tradewind::prelude::*;
//!
//! #[activity(start_to_close_timeout = "10s", max_attempts = 5)]
//! async fn greeting(name: String) -> Result<String> {
//!     Ok(format!("Hello, {name}!"))           // any library, any IO
//! }
//!
//! #[workflow]
//! async fn hello(name: String) -> Result<String> {
//!     greeting(name).await                    // durable: a replay uses the recorded result
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<()> {
//!     let client = Client::connect("localhost:7233").await?;
//!     let worker = Worker::builder(&client, "greetings").activity(greeting).workflow(hello).build()?;
//!     tokio::spawn(worker.run());
//!
//!     println!("{}", client.execute(hello("world".into())).id("hello-1").await?);
//!     Ok(())
//! }
//! ```

#![deny(missing_docs)]

pub mod activity;
mod ambient;
mod attempts;
pub mod client;
pub mod error;
pub mod payload;
mod priority;
mod replay;
pub mod telemetry;
pub mod testing;
mod tradewind;
pub mod value;
pub mod worker;
pub mod workflow;

pub use client::{Client, ClientError, WorkflowHandle};
pub use error::{Error, Result};
pub use priority::Priority;
pub use replay::{Divergence, Replay, ReplayError, replay};
/// Makes an activity of an async function, or with `blocking` of a plain one.
///
/// The function of that name then builds a [call](activity::Call): awaited inside a workflow it schedules the activity,
/// elsewhere it runs the function.
///
/// | option | value | if it is left out |
/// |---|---|---|
/// | `name` | text | the function's name |
/// | `start_to_close_timeout` | duration | five minutes, unless `schedule_to_close_timeout` is set |
/// | `schedule_to_close_timeout` | duration | no limit |
/// | `schedule_to_start_timeout` | duration | no limit |
/// | `heartbeat_timeout` | duration | no heartbeats expected |
/// | `max_attempts` | number | no limit |
/// | `initial_interval` | duration | one second |
/// | `maximum_interval` | duration | a hundred times the first |
/// | `backoff_coefficient` | number | 2 |
/// | `non_retryable_errors` | list of [failure types](Error::failure_type) | every failure is retried |
/// | `task_queue` | text | the workflow's own |
/// | `rate_limit` | starts per second, over all workers | no limit |
/// | `local` | | it is a task of its own on the server |
/// | `blocking` | | it is async |
/// | `priority` | number or [`Priority`] | that of the workflow |
/// | `cancellation` | expression | [`Cancellation::Request`](activity::Cancellation::Request) |
/// | `summary` | text | none |
/// | `crate` | path of this crate | `::tradewind`; for those who know it as a re-export or by another name |
///
/// Durations are text such as `"90s"` or `"1h30m"`, checked as the code is compiled, or expressions of the type
/// [`Duration`](std::time::Duration). The arguments, at most eight, own their data, and are recorded one by one, as the
/// official SDKs of other languages do. Each call can [change](activity::Call::with) what is said here.
///
/// A semicolon in the place of the body declares an activity whose code is elsewhere, perhaps in another language. It is
/// called like any other; worker builders do not take it, and outside a workflow it fails.
///
/// Other attributes stay with the code, so that `#[tracing::instrument]` watches what the activity does; documentation,
/// `#[deprecated]` and `#[must_use]` go to the function that is called.
///
/// ```
/// use tradewind::prelude::*;
///
/// #[activity(start_to_close_timeout = "5m", max_attempts = 3, backoff_coefficient = 1.5)]
/// async fn fetch(url: String) -> Result<String> {
///     Ok(url)                                            // any library, any IO
/// }
///
/// #[activity(blocking, start_to_close_timeout = "1h")]
/// fn compress(path: String) -> Result<u64> {
///     Ok(std::fs::metadata(path)?.len())                 // on a thread that may be blocked
/// }
///
/// #[activity(name = "charge_card", task_queue = "payments")]
/// async fn charge(customer: String, cents: u32) -> Result<String>;    // workers in Python run it
/// ```
pub use sdk_macros::activity;

/// Makes activities of the methods marked `#[activity]`: they share the state they are registered with.
///
/// ```
/// use tradewind::prelude::*;
///
/// struct Mailer {
///     sender: String,
/// }
///
/// #[activities]
/// impl Mailer {
///     #[activity(max_attempts = 5)]
///     async fn send(&self, to: String) -> Result<String> {
///         Ok(format!("{} to {to}", self.sender))
///     }
/// }
///
/// #[workflow]
/// async fn welcome(who: String) -> Result<String> {
///     Mailer::send(who).await                            // on the worker's Mailer
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// // In a worker: .activities(Mailer { sender: "us".into() }). In a test:
/// let mailer = Mailer { sender: "test".into() };
/// assert_eq!(Mailer::send("ann".into()).on(mailer).await?, "test to ann");
/// # Ok(()) }
/// ```
pub use sdk_macros::activities;

/// Makes a workflow of an async function, or of the `impl` of its state.
///
/// The function of that name, or of the entrypoint's, then builds a [call](workflow::Call) for a client to start, or for
/// another workflow to await as a child. Marked methods of an `impl` become functions that build messages:
///
/// | mark | on | takes |
/// |---|---|---|
/// | `#[entrypoint]` | the async method that runs from the start | `this: This<Self>` if it wants the state |
/// | `#[init]` | a function that makes the state, instead of `Default` | the entrypoint's arguments, or none |
/// | `#[signal]` | what changes the state without an answer | `&mut self`, or `this: This<Self>` if it is async |
/// | `#[query]` | what looks | `&self` |
/// | `#[update]` | what changes the state and answers | `&mut self`, or `this: This<Self>` if it is async |
/// | `#[validator(update)]` | what may refuse an update | `&self` and references to the update's arguments |
///
/// Options: `name`, `task_queue`, `execution_timeout`, `run_timeout`, `task_timeout`, `cron_schedule`, `retry_policy` (a
/// [`RetryPolicy`](workflow::RetryPolicy)), `priority` (a number or a [`Priority`]), `parent_close_policy`, `cancellation`,
/// `summary`; see [`workflow::Options`]; and `crate`, as for an [`activity`](macro@activity). Signals, queries and updates
/// take a `name`.
///
/// Semicolons in the place of all bodies declare a workflow whose code is elsewhere, perhaps in another language. Clients and
/// other workflows start it and talk to it like any other; worker builders do not take it.
///
/// A workflow that returns an error has failed. One that panics has not: its task is tried again, for the code to be mended.
///
/// ```
/// use tradewind::prelude::*;
///
/// #[derive(Default)]
/// struct Approval {
///     by: Option<String>,
/// }
///
/// #[workflow(name = "approval", execution_timeout = "30d")]
/// impl Approval {
///     #[entrypoint]
///     async fn run(this: This<Self>, document: String) -> Result<String> {
///         this.wait_for(|approval| approval.by.is_some()).await?;
///         Ok(format!("{document}: {:?}", this.read(|approval| approval.by.clone())))
///     }
///
///     #[signal]
///     fn approve(&mut self, by: String) {
///         self.by = Some(by);
///     }
///
///     #[query]
///     fn is_approved(&self) -> bool {
///         self.by.is_some()
///     }
/// }
///
/// # async fn talk(client: Client) -> Result<()> {
/// let approval = client.start(Approval::run("plan".into())).id("plan-1").task_queue("desk").await?;
/// approval.signal(Approval::approve("ann".into())).await?;
/// assert!(approval.query(Approval::is_approved()).await?);
/// # Ok(()) }
///
/// struct Order;
///
/// #[workflow(name = "Order", task_queue = "orders")]     // workers in Go run it
/// impl Order {
///     #[entrypoint]
///     async fn run(id: String) -> Result<()>;
///     #[signal]
///     fn approve(&mut self, by: String);
/// }
/// ```
pub use sdk_macros::workflow;
pub use tradewind::{ADDRESS_VARIABLE, Tradewind, TradewindError};
pub use worker::{Worker, WorkerError};

/// What almost every file needs: `use tradewind::prelude::*;`.
pub mod prelude {
    pub use crate::client::{Client, ClientError, WorkflowHandle};
    pub use crate::error::{Error, Kind, Result, Timeout};
    pub use crate::tradewind::Tradewind;
    pub use crate::worker::Worker;
    pub use crate::workflow::This;
    pub use crate::{activities, activity, workflow};
}

/// For the code that the macros write.
#[doc(hidden)]
pub mod private {
    use crate::error::{Error, Fallible, Result};
    use futures_util::FutureExt;
    pub use futures_util::future::{BoxFuture, LocalBoxFuture};
    pub use std::sync::Arc;
    pub use std::time::Duration;

    /// A handler with its arguments, or why they are not what it takes.
    pub type Decoded<T> = std::result::Result<T, temporalio_common::data_converters::PayloadConversionError>;

    /// Holds for what can be an argument.
    pub fn value<T: crate::value::Value>() {}

    /// The future of an activity's function.
    pub fn activity<F>(work: F) -> BoxFuture<'static, Result<<F::Output as Fallible>::Ok>>
    where
        F: Future<Output: Fallible> + Send + 'static,
    {
        work.map(Fallible::into_result).boxed()
    }

    /// What an activity does, outside a workflow, whose code is not in this program.
    pub fn activity_elsewhere<T: Send + 'static>(name: &str) -> BoxFuture<'static, Result<T>> {
        std::future::ready(Err(elsewhere("activity", name))).boxed()
    }

    /// What a workflow does whose code is not in this program, if it could be run.
    pub fn workflow_elsewhere<T: 'static>(name: &str) -> LocalBoxFuture<'static, Result<T>> {
        std::future::ready(Err(elsewhere("workflow", name))).boxed_local()
    }

    fn elsewhere(kind: &str, name: &str) -> Error {
        Error::non_retryable(format!("the {kind} {name} runs elsewhere: it was declared without a body"))
            .with_type("RunsElsewhere")
    }

    /// The future of a function that blocks.
    pub fn blocking<R: Fallible<Ok: Send + 'static>>(
        work: impl FnOnce() -> R + Send + 'static,
    ) -> BoxFuture<'static, Result<R::Ok>> {
        crate::activity::block(|| work().into_result()).boxed()
    }

    /// The future of a workflow's function.
    pub fn workflow<F>(code: F) -> LocalBoxFuture<'static, Result<<F::Output as Fallible>::Ok>>
    where
        F: Future<Output: Fallible> + 'static,
    {
        code.map(Fallible::into_result).boxed_local()
    }
}
