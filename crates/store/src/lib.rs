//! Everything durable: rows, atomic group commit, scans. The only crate that names a database.
//!
//! The vocabulary is rows ([`row`]), not SQL and not byte keys. Callers hand over a [`Write`] (everything
//! that one step makes durable), get a [`Sequence`] back at once, and act when [`Progress`] has reached it.
//!
//! Invariants
//! - A `Write` is applied whole or not at all, and writes are applied in the order of their sequences.
//! - Progress covers a sequence only when that write, and every one before it, would survive a power cut.
//! - A write that carries another epoch than the current one is refused and changes nothing.
//! - A data directory is open in one process at a time.

pub mod filter;
pub mod row;
