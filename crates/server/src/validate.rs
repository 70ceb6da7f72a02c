//! What several handlers check alike, with the texts that clients know.
//!
//! Conversion settles every default and limit, so nothing behind a handler asks again. Where the
//! reference's text lacks the number or the limit, they are added behind it: tests that compare the
//! beginning still match, and people see both.

use crate::Error;
use crate::namespaces::{Namespace, Namespaces};
use api::common::v1::{Link, Memo, Payload, Payloads, WorkflowExecution, WorkflowType};
use api::enums::v1::NamespaceState;
use api::sdk::v1::UserMetadata;
use api::taskqueue::v1::TaskQueue;
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use tradewind_core::limits::Limits;
use tradewind_core::time;
use uuid::Uuid;

/// What an execution named on a request parses to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionName {
    pub workflow_id: String,
    /// `None`: whatever run the workflow id names now.
    pub run_id: Option<Uuid>,
}

/// The namespace of a request that reads, or that goes on with what is there.
pub fn namespace(namespaces: &Namespaces, name: &str) -> Result<Arc<Namespace>, Error> {
    existing(namespaces, name, &[NamespaceState::Registered, NamespaceState::Deprecated])
}

/// The namespace of a request that starts something: a deprecated one takes no new runs.
pub fn namespace_for_start(namespaces: &Namespaces, name: &str) -> Result<Arc<Namespace>, Error> {
    existing(namespaces, name, &[NamespaceState::Registered])
}

fn existing(namespaces: &Namespaces, name: &str, allowed: &[NamespaceState]) -> Result<Arc<Namespace>, Error> {
    if name.is_empty() {
        return Err(Error::invalid("Namespace is empty."));
    }
    let namespace = namespaces.named(name).ok_or_else(|| Error::namespace_not_found(name))?;
    if !allowed.contains(&namespace.state) {
        return Err(Error::NamespaceInvalidState {
            namespace: name.into(),
            state: namespace.state,
            allowed: allowed.to_vec(),
        });
    }
    Ok(namespace)
}

/// The id of a workflow that is to be started.
pub fn workflow_id(workflow_id: &str, limits: &Limits) -> Result<(), Error> {
    if workflow_id.is_empty() {
        return Err(Error::invalid("WorkflowId is not set on request."));
    }
    within("WorkflowId", workflow_id, limits.id_length_max)
}

/// The execution that a request is about.
pub fn execution(execution: Option<WorkflowExecution>) -> Result<ExecutionName, Error> {
    let execution = execution.ok_or_else(|| Error::invalid("Execution is not set on request."))?;
    if execution.workflow_id.is_empty() {
        return Err(Error::invalid("WorkflowId is not set on request."));
    }
    Ok(ExecutionName { workflow_id: execution.workflow_id, run_id: run_id(&execution.run_id)? })
}

/// A run id, where leaving it out means the current run.
pub fn run_id(text: &str) -> Result<Option<Uuid>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    Uuid::parse_str(text).map(Some).map_err(|_| Error::invalid("Invalid RunId."))
}

/// A request id; an absent one is made up by the caller, since without one nothing can be deduplicated.
pub fn request_id(request_id: &str, limits: &Limits) -> Result<(), Error> {
    too_long("RequestId", request_id, limits.id_length_max)
}

pub fn identity(identity: &str, limits: &Limits) -> Result<(), Error> {
    too_long("Identity", identity, limits.id_length_max)
}

pub fn signal_name(name: &str, limits: &Limits) -> Result<(), Error> {
    if name.is_empty() {
        return Err(Error::invalid("SignalName is not set on request."));
    }
    too_long("SignalName", name, limits.id_length_max)
}

pub fn workflow_type(kind: Option<WorkflowType>, limits: &Limits) -> Result<WorkflowType, Error> {
    let kind = kind.filter(|kind| !kind.name.is_empty());
    let kind = kind.ok_or_else(|| Error::invalid("WorkflowType is not set on request."))?;
    too_long("WorkflowType", &kind.name, limits.id_length_max)?;
    Ok(kind)
}

/// The queue that work goes to or is polled from.
pub fn task_queue(queue: Option<TaskQueue>, limits: &Limits) -> Result<TaskQueue, Error> {
    let queue = queue.unwrap_or_default();
    task_queue_name(&queue.name, limits)?;
    Ok(queue)
}

pub fn task_queue_name(name: &str, limits: &Limits) -> Result<(), Error> {
    if name.is_empty() {
        return Err(Error::invalid("missing task queue name"));
    }
    if name.starts_with("/_sys/") {
        return Err(Error::invalid("task queue name cannot start with reserved prefix /_sys/"));
    }
    if name == "temporal-sys-per-ns-tq" {
        return Err(Error::invalid(format!("cannot use internal per-namespace task queue:{name}")));
    }
    if name.len() > limits.id_length_max {
        return Err(Error::invalid(format!(
            "taskQueue length exceeds limit ({}/{})",
            name.len(),
            limits.id_length_max
        )));
    }
    Ok(())
}

/// A timeout or delay: negative is refused, unset is zero, more than 100 years is 100 years.
pub fn duration(what: &str, wire: Option<&prost_types::Duration>) -> Result<Duration, Error> {
    if wire.is_some_and(|wire| wire.seconds < 0 || wire.nanos < 0) {
        return Err(Error::invalid(format!("An invalid {what} is set on request. cause: negative duration")));
    }
    Ok(time::duration(wire))
}

pub fn blob(payloads: Option<&Payloads>, limits: &Limits) -> Result<(), Error> {
    blob_bytes(payloads.map_or(0, Message::encoded_len), limits)
}

pub fn blob_bytes(bytes: usize, limits: &Limits) -> Result<(), Error> {
    bytes_within("Blob data size exceeds limit.", bytes, limits.blob_size_bytes_max)
}

pub fn memo(memo: Option<&Memo>, limits: &Limits) -> Result<(), Error> {
    bytes_within("Memo size exceeds limit.", memo.map_or(0, Message::encoded_len), limits.memo_size_bytes_max)
}

pub fn user_metadata(metadata: Option<&UserMetadata>, limits: &Limits) -> Result<(), Error> {
    let Some(metadata) = metadata else { return Ok(()) };
    let bytes = |payload: Option<&Payload>| payload.map_or(0, Message::encoded_len);
    bytes_within(
        "Invalid user metadata: summary size exceeds limit.",
        bytes(metadata.summary.as_ref()),
        limits.user_metadata_summary_bytes_max,
    )?;
    bytes_within(
        "Invalid user metadata: details size exceeds limit.",
        bytes(metadata.details.as_ref()),
        limits.user_metadata_details_bytes_max,
    )
}

pub fn links(links: &[Link], limits: &Limits) -> Result<(), Error> {
    if links.len() > limits.links_per_request_max {
        return Err(Error::invalid(format!(
            "cannot attach more than {} links per request, got {}",
            limits.links_per_request_max,
            links.len()
        )));
    }
    let longest = links.iter().map(Message::encoded_len).max().unwrap_or(0);
    if longest > limits.link_bytes_max {
        return Err(Error::invalid(format!("link exceeds allowed size of {}, got {longest}", limits.link_bytes_max)));
    }
    Ok(())
}

fn bytes_within(text: &str, bytes: usize, max: usize) -> Result<(), Error> {
    if bytes > max {
        return Err(Error::invalid(format!("{text} ({bytes}/{max} bytes)")));
    }
    Ok(())
}

fn within(what: &str, text: &str, max: usize) -> Result<(), Error> {
    if text.len() > max {
        return Err(Error::invalid(format!("{what} exceeds maximum allowed length ({}/{max})", text.len())));
    }
    Ok(())
}

fn too_long(what: &str, text: &str, max: usize) -> Result<(), Error> {
    if text.len() > max {
        return Err(Error::invalid(format!("{what} length exceeds limit. ({}/{max})", text.len())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_refused_with_the_texts_that_clients_know() {
        let limits = Limits::default();
        assert_eq!(text(workflow_id("", &limits)), "WorkflowId is not set on request.");
        assert_eq!(
            text(workflow_id(&"x".repeat(1_001), &limits)),
            "WorkflowId exceeds maximum allowed length (1001/1000)"
        );
        assert_eq!(text(run_id("7")), "Invalid RunId.");
        assert_eq!(text(execution(None)), "Execution is not set on request.");
        assert_eq!(text(request_id(&"x".repeat(1_001), &limits)), "RequestId length exceeds limit. (1001/1000)");
        assert_eq!(text(signal_name("", &limits)), "SignalName is not set on request.");
        assert_eq!(text(task_queue(None, &limits)), "missing task queue name");
        assert_eq!(
            text(task_queue_name("/_sys/x/1", &limits)),
            "task queue name cannot start with reserved prefix /_sys/"
        );
    }

    #[test]
    fn an_absent_run_id_is_whatever_runs_now() {
        let named = execution(Some(WorkflowExecution { workflow_id: "w".into(), run_id: String::new() }));
        assert_eq!(named, Ok(ExecutionName { workflow_id: "w".into(), run_id: None }));
    }

    #[test]
    fn sizes_are_refused_with_the_number_and_the_limit() {
        let limits = Limits::default();
        assert_eq!(text(blob_bytes(2_097_153, &limits)), "Blob data size exceeds limit. (2097153/2097152 bytes)");
        assert_eq!(blob_bytes(2_097_152, &limits), Ok(()));
    }

    #[test]
    fn a_negative_duration_is_refused_and_a_long_one_capped() {
        let wire = |seconds| prost_types::Duration { seconds, nanos: 0 };
        assert_eq!(
            text(duration("WorkflowRunTimeoutSeconds", Some(&wire(-1)))),
            "An invalid WorkflowRunTimeoutSeconds is set on request. cause: negative duration"
        );
        assert_eq!(duration("x", Some(&wire(i64::MAX))), Ok(time::DURATION_MAX));
        assert_eq!(duration("x", None), Ok(Duration::ZERO));
    }

    #[track_caller]
    fn text<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
        result.expect_err("it is refused").to_string()
    }
}
