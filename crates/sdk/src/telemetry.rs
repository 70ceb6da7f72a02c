//! What a process says about its work: traces, metrics, logs.
//!
//! *Traces* follow a call from the client through the workflow to its activities and back, in any language whose SDK
//! reads the `_tracer-data` header. *Metrics* are those of the official SDKs, with their names, so existing dashboards
//! work. *Logs* are `tracing` events, as everywhere in Rust: workflow and activity code logs with `tracing::info!`,
//! and the lines carry the ids of what logs them.
//!
//! Invariants
//! - A replay tells nothing again: no line, no span, and no metric of a workflow is recorded twice because its code ran
//!   twice. For lines this is up to [`OncePerHistory`], which [`init_logs`] installs.

mod logs;
mod metrics;
mod traces;

pub use logs::{InitLogsError, LogFormat, OncePerHistory, init_logs};
pub(crate) use metrics::Blocked;
pub use metrics::{Metrics, MetricsError};
pub use traces::{Traces, WorkflowIdGenerator, WorkflowSpanProcessor, traces};
