//! Traces across client, workflow and activity, by the official plugin.

pub use temporalio_sdk::opentelemetry::{
    OpenTelemetryPluginBuilder as Traces, WorkflowIdGenerator, WorkflowSpanProcessor,
};

/// Traces to the global tracer provider, for [`client::Builder::traces`](crate::client::Builder::traces).
///
/// Give the provider [`WorkflowIdGenerator`], so that a replay makes the same span ids; and if workflow code makes
/// spans of its own, wrap its processors in [`WorkflowSpanProcessor`], so that a replay exports nothing. The crates
/// `opentelemetry` and `opentelemetry_sdk` must be of version 0.32.
pub fn traces() -> Traces {
    Traces::default()
}
