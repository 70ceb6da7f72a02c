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

#![warn(missing_docs)]

pub mod activity;
mod ambient;
pub mod client;
pub mod error;
pub mod payload;
mod replay;
pub mod telemetry;
pub mod testing;
mod tradewind;
pub mod value;
pub mod worker;
pub mod workflow;

pub use client::{Client, ClientError, WorkflowHandle};
pub use error::{Error, Result};
pub use replay::{Divergence, Replay, ReplayError, replay};
pub use sdk_macros::{activities, activity, workflow};
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
    use crate::error::{Fallible, Result};
    use futures_util::FutureExt;
    pub use futures_util::future::{BoxFuture, LocalBoxFuture};
    pub use std::sync::Arc;
    pub use std::time::Duration;

    /// A handler with its arguments, or why they are not what it takes.
    pub type Decoded<T> = std::result::Result<T, temporalio_common::data_converters::PayloadConversionError>;

    /// The future of an activity's function.
    pub fn activity<F>(work: F) -> BoxFuture<'static, Result<<F::Output as Fallible>::Ok>>
    where
        F: Future<Output: Fallible> + Send + 'static,
    {
        work.map(Fallible::into_result).boxed()
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
