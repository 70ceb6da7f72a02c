//! The engine on a real store and a clock that stands still, without a server around it.

mod cache;
mod panics;
mod queries;
mod restarts;
mod sticky;
mod testkit;
