//! The platform as its clients and workers see it, on a server in this process.

mod events;
mod lifecycle;
mod sse;
mod telemetry;
mod testkit;
