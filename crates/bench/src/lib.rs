//! Load generation over raw gRPC: client and worker in one process, against any server that speaks the API.
//!
//! The client and worker halves are a small library of their own, because the crash test needs the same thing:
//! a worker that survives its server. What is measured, and how, lives in the other modules.
//!
//! - [`client`]: calls with retries; start, signal, wait for a result, read a history.
//! - [`worker`]: polls, folds history into a decider, completes; sticky queues, eager activities, inline tasks.
//! - [`programs`]: the workflows the benchmarks run.
//! - [`load`]: keeps N things in flight and collects latencies.
//! - [`probe`]: what a stretch of load cost the server: CPU, memory, flushes.
//! - [`disk`]: what one flush costs on this disk.
//! - [`server_process`]: a server under test as a child process.
//! - [`report`]: the figures, as a table and as JSON.
//! - [`modes`]: one file per benchmark.
//!
//! The generator shares the machine with the server it measures, so it must stay cheap: one thread, few
//! connections, no codec work beyond the wire.
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark is an entry point: it reads the real clock, and names its runs at random so that repeated \
              runs against one server never meet"
)]

pub mod client;
pub mod disk;
pub mod load;
pub mod modes;
pub mod probe;
pub mod programs;
pub mod report;
pub mod server_process;
pub mod worker;
