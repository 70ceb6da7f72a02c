//! The platform as its clients and workers see it, on a server in this process.

mod bad_input;
mod control;
mod events;
mod executions;
mod lifecycle;
mod runs;
mod sse;
mod telemetry;
mod testkit;
mod workers;
