//! Events as frames of a stream of server-sent events.
//!
//! A frame is the same for every reader, so it is made once. Its `data` is one line: clients that decrypt parse
//! line by line.

use super::kind::{Kind, Scope};
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use store::row::EventRow;

/// One event, ready to be sent.
#[derive(Debug)]
pub struct Frame {
    pub sequence: i64,
    pub bytes: Bytes,
}

/// Why a stream ends early, as the client knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The log could not be read.
    Read,
    /// New events no longer arrive.
    Stream,
}

#[derive(Serialize)]
struct Payload<'a> {
    stream: &'a str,
    timestamp: String,
    data: &'a RawValue,
    workflow_context: Context<'a>,
    metadata: Empty,
    broker_sequence: i64,
}

#[derive(Serialize)]
struct Context<'a> {
    namespace: &'a str,
    workflow_name: &'a str,
    workflow_exec_id: &'a str,
    parent_workflow_exec_id: Option<&'a str>,
    root_workflow_exec_id: &'a str,
}

#[derive(Serialize)]
struct Empty {}

impl Frame {
    pub fn of(event: &EventRow, namespace: &str) -> Result<Frame, serde_json::Error> {
        let source = &*event.source;
        let payload = Payload {
            stream: topic(event.kind, event.task_name.as_deref()),
            timestamp: crate::time::format(event.received),
            data: as_json(&event.bytes)?,
            workflow_context: Context {
                namespace,
                workflow_name: &source.workflow_type,
                workflow_exec_id: &source.workflow_id,
                parent_workflow_exec_id: source.parent_workflow_id.as_deref(),
                root_workflow_exec_id: &source.root_workflow_id,
            },
            metadata: Empty {},
            broker_sequence: event.sequence,
        };
        let mut frame = format!("id: {}\ndata: ", event.sequence).into_bytes();
        serde_json::to_writer(&mut frame, &payload)?;
        frame.extend_from_slice(b"\n\n");
        Ok(Frame { sequence: event.sequence, bytes: frame.into() })
    }
}

/// What was stored is JSON already.
pub fn as_json(bytes: &[u8]) -> Result<&RawValue, serde_json::Error> {
    serde_json::from_slice(bytes)
}

/// The stream that an event belongs to: of custom tasks, their type.
pub fn topic(kind: u8, task_name: Option<&str>) -> &str {
    match Kind::numbered(kind).map(Kind::scope) {
        Some(Scope::CustomTask) => task_name.unwrap_or_default(),
        Some(Scope::Activity) => ACTIVITY_TOPIC,
        Some(Scope::Workflow) | None => WORKFLOW_TOPIC,
    }
}

pub const WORKFLOW_TOPIC: &str = "workflow";
pub const ACTIVITY_TOPIC: &str = "activity";

/// What a client needs to tell a broken stream from one that has ended.
pub fn error(reason: Reason) -> Bytes {
    let (reason, text) = match reason {
        Reason::Read => ("read_error", "events could not be read"),
        Reason::Stream => ("stream_error", "new events no longer arrive"),
    };
    format!("event: error\ndata: {{\"error\":\"{text}\",\"reason\":\"{reason}\"}}\n\n").into()
}

/// A comment, which clients skip and proxies take for life.
pub const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");
