//! The platform as its clients and workers see it, on a server in this process.

mod bad_input;
mod deployments;
mod documented;
mod events;
mod executions;
mod identity;
mod lifecycle;
mod play;
mod run;
mod runs;
mod sse;
mod telemetry;
mod testkit;
mod workers;
mod workflows;
