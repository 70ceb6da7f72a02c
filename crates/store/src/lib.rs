//! Everything durable: rows, atomic group commit, scans. The only crate that names a database.
//!
//! The vocabulary is rows ([`row`]), not SQL and not byte keys. Callers hand over a [`row::Write`] (everything
//! that one step makes durable), get a [`row::Sequence`] back at once, and act when [`Progress`] has reached it.
//!
//! Invariants
//! - A `Write` is applied whole or not at all, and writes are applied in the order of their sequences.
//! - Progress covers a sequence only when that write, and every one before it, would survive a power cut.
//!   The relaxed mode ([`Flush::Relaxed`]) gives up the power cut, not the end of the process.
//! - A write that carries another epoch than the current one is refused and changes nothing.
//! - A data directory is open in one process at a time.

mod apply;
mod condition;
mod directory;
mod error;
mod events;
pub mod filter;
mod lifetimes;
mod list;
mod log;
mod names;
mod plan;
mod read;
pub mod row;
mod schema;
mod shelf;
mod store;
mod telemetry;
mod writer;

pub use error::{Error, Failure, OpenError};
pub use lifetimes::Lifetimes;
pub use list::{By, Counted, Order};
pub use store::{Flush, HighWater, Location, Options, Store};
pub use writer::{Progress, Statistics};
