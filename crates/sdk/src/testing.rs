//! Testing workflows: an engine in memory whose time skips, activities that are replaced, and histories as text.
//!
//! ```
//! use std::time::Duration;
//! use tradewind::prelude::*;
//! use tradewind::testing::Environment;
//!
//! #[workflow]
//! async fn remind(days: u64) -> Result<String> {
//!     workflow::sleep(Duration::from_secs(days * 86_400)).await?;
//!     Ok("it is time".into())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let env = Environment::start().await?;
//! env.spawn(Worker::builder(&env, "reminders").workflow(remind).build()?);
//!
//! assert_eq!(env.execute(remind(30)).await?, "it is time");      // after milliseconds
//! env.shutdown().await?;
//! # Ok(())
//! # }
//! ```

mod attempt;
#[cfg(feature = "embedded")]
mod environment;
mod mock;

pub use attempt::{ActivityOutcome, ActivityTest, activity};
#[cfg(feature = "embedded")]
pub use environment::Environment;
pub use mock::Mock;

pub(crate) use mock::Mocks;
