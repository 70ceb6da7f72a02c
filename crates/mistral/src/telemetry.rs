//! What workers report about themselves: OTLP over HTTP comes in, traces and logs of executions and deployments come
//! out.
//!
//! Spans and log records are kept as they arrive and found again by trace, execution or deployment; retention is by
//! age alone, so they may outlive a run that was deleted. Metrics have no reader here: they are counted as rejected
//! in the answer, as the protocol has it.
//!
//! Invariants
//! - What is acknowledged as taken is durable.
//! - A worker whose telemetry is refused works on: nothing else depends on it.

mod logs;
mod sink;
mod trace_events;
mod traces;
mod values;

use crate::Platform;
use axum::Router;
use axum::routing::{get, post};
use tokio::sync::watch;

/// What the routes share.
pub struct Telemetry {
    /// Told after log records have become durable.
    logs_arrived: watch::Sender<u64>,
}

impl Default for Telemetry {
    fn default() -> Telemetry {
        Telemetry { logs_arrived: watch::Sender::new(0) }
    }
}

/// Below `/v1/workflows`.
pub fn routes() -> Router<Platform> {
    Router::new()
        .route("/executions/{execution}/trace/info", get(traces::info))
        .route("/executions/{execution}/trace/otel", get(traces::otel))
        .route("/executions/{execution}/trace/summary", get(traces::summary))
        .route("/executions/{execution}/trace/events", get(traces::events))
        .route("/executions/{execution}/logs", get(logs::of_execution))
        .route("/executions/{execution}/logs/stream", get(logs::stream_of_execution))
        .route("/deployments/{deployment}/logs", get(logs::of_deployment))
        .route("/deployments/{deployment}/logs/stream", get(logs::stream_of_deployment))
}

/// Below `/telemetry/v1`.
pub fn sinks() -> Router<Platform> {
    Router::new()
        .route("/traces", post(sink::traces))
        .route("/metrics", post(sink::metrics))
        .route("/logs", post(sink::logs))
}
