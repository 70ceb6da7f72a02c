//! The engine on a real store and a clock that stands still or skips, without a server around it.

mod cache;
mod following;
mod panics;
mod queries;
mod restarts;
mod skipping;
mod sticky;
mod testkit;
