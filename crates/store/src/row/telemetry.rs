//! Rows of what workers report about themselves: spans of traces, and log records.

use bytes::Bytes;
use tradewind_core::time::Timestamp;

/// An OpenTelemetry trace id.
pub type TraceId = [u8; 16];

/// Spans of one trace that arrived together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpansRow {
    pub trace: TraceId,
    pub received: Timestamp,
    /// An encoded `opentelemetry.proto.trace.v1.TracesData`, so that rows laid end to end are one too.
    pub bytes: Bytes,
}

/// One log record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// Given by the store; of no meaning in a row that is on its way there.
    pub id: i64,
    pub time: Timestamp,
    pub received: Timestamp,
    pub workflow_id: Option<String>,
    pub run_id: Option<String>,
    pub activity_id: Option<String>,
    pub workflow_type: Option<String>,
    pub deployment: Option<String>,
    pub worker: Option<String>,
    pub bytes: Bytes,
}

/// Whose log records somebody wants to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogOwner {
    Execution { workflow_id: String, run_id: Option<String>, activity_id: Option<String> },
    Deployment { name: String, worker: Option<String>, workflow_type: Option<String> },
}

/// Records of several workers arrive in batches, so the order of their times is not that of their arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogOrder {
    OldestFirst,
    NewestFirst,
    Arrival,
}

/// Which of them, and in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRange {
    /// At or after this moment.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub before: Option<Timestamp>,
    pub order: LogOrder,
    /// Reading goes on behind this row.
    pub after: Option<(Timestamp, i64)>,
    pub limit: usize,
}
