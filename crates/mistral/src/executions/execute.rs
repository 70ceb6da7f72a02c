//! `POST /{workflow}/execute` and `POST /registrations/{id}/execute`: starts an execution, and waits for its result
//! if asked to.
//!
//! Invariants
//! - An input that the registered schema refuses starts nothing: the worker would fail its workflow task for ever.
//! - A caller's trace is joined only if it is well-formed; a bad one is ignored, since it is nobody's business here.

use super::{routing, view};
use crate::catalogue::{Registration, Workflow};
use crate::error::{Error, code, place};
use crate::extract::{OptionalBody, Path};
use crate::payload::{self, Context, Encoded, Input};
use crate::{Platform, limits};
use api::common::v1::{Header, Memo, WorkflowType};
use api::enums::v1::{WorkflowIdConflictPolicy, WorkflowIdReusePolicy};
use api::taskqueue::v1::TaskQueue;
use api::workflowservice::v1::StartWorkflowExecutionRequest;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Json;
use engine::message::{Execution, Target};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use server::auth::Caller;
use std::collections::BTreeMap;
use std::time::Duration;
use tradewind_core::state::MutableState;
use uuid::Uuid;

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Request {
    execution_id: Option<String>,
    input: Input,
    encoded_input: Option<Encoded>,
    wait_for_result: Option<bool>,
    timeout_seconds: Option<f64>,
    deployment_name: Option<String>,
    /// What `deployment_name` was called before.
    task_queue: Option<String>,
    traceparent: Option<String>,
    force_new_trace: Option<bool>,
    custom_tracing_attributes: Option<BTreeMap<String, String>>,
    extensions: Option<Box<RawValue>>,
}

/// An execution, or what came of it: the two are told apart by their members.
type Answer = Json<Box<RawValue>>;

pub async fn by_workflow(
    State(platform): State<Platform>,
    Path(workflow): Path<String>,
    caller: Option<Extension<Caller>>,
    headers: HeaderMap,
    OptionalBody(request): OptionalBody<Request>,
) -> Result<Answer, Error> {
    let deployment = request.deployment_name.as_deref().or(request.task_queue.as_deref());
    let (workflow, registration) = routing::registration(&platform, &workflow, deployment)?;
    execute(&platform, &workflow, &registration, caller.as_deref(), headers, request).await
}

pub async fn by_registration(
    State(platform): State<Platform>,
    Path(registration): Path<Uuid>,
    caller: Option<Extension<Caller>>,
    headers: HeaderMap,
    OptionalBody(request): OptionalBody<Request>,
) -> Result<Answer, Error> {
    let (workflow, registration) = routing::registration_with_id(&platform, registration)?;
    execute(&platform, &workflow, &registration, caller.as_deref(), headers, request).await
}

async fn execute(
    platform: &Platform,
    workflow: &Workflow,
    registration: &Registration,
    caller: Option<&Caller>,
    headers: HeaderMap,
    request: Request,
) -> Result<Answer, Error> {
    let timeout = timeout(&request)?;
    let wait = request.wait_for_result.unwrap_or(false);
    let mut start = start_request(platform, workflow, registration, &headers, request)?;
    if let Some(caller) = caller {
        // History keeps who started it, for workers that act on that one's behalf.
        start.identity = caller.name.to_string();
    }
    let execution_id = start.workflow_id.clone();
    let started = server::handlers::start_workflow_execution::handle(&platform.service, start).await?;
    if !wait {
        let run_id = Uuid::try_parse(&started.run_id).ok();
        let target = Target::execution(platform.namespace, execution_id, run_id);
        let execution = view::of(platform, target, view::As::Execution, false).await?;
        return Ok(Json(to_raw_value(&execution).map_err(Error::internal)?));
    }
    let first_run_id = Uuid::try_parse(&started.first_execution_run_id).ok();
    let waiting = result(platform, &execution_id, first_run_id);
    let result = match timeout {
        None => waiting.await?,
        Some(timeout) => tokio::time::timeout(timeout, waiting).await.map_err(|_| late(&execution_id, timeout))??,
    };
    let answer = json!({ "workflow_name": workflow.name, "execution_id": execution_id, "result": result });
    Ok(Json(to_raw_value(&answer).map_err(Error::internal)?))
}

fn late(execution_id: &str, timeout: Duration) -> Error {
    tracing::debug!(execution_id, "no result within {timeout:?}");
    Error::new(StatusCode::GATEWAY_TIMEOUT, code::SCHEDULER, "An error occurred").with("execution_id", execution_id)
}

fn timeout(request: &Request) -> Result<Option<Duration>, Error> {
    let Some(seconds) = request.timeout_seconds else { return Ok(None) };
    let timeout = crate::duration::from_seconds(seconds).filter(|timeout| !timeout.is_zero());
    let msg = || format!("timeout_seconds {seconds} must be above 0 and at most 100 years");
    Ok(Some(timeout.ok_or_else(|| Error::invalid(place(["body", "timeout_seconds"]), msg()))?))
}

fn start_request(
    platform: &Platform,
    workflow: &Workflow,
    registration: &Registration,
    headers: &HeaderMap,
    request: Request,
) -> Result<StartWorkflowExecutionRequest, Error> {
    let definition = &registration.definition;
    let execution_id = match request.execution_id {
        Some(id) => checked_id(id)?,
        None => platform.service.entropy.uuid().simple().to_string(),
    };
    let input = match (request.encoded_input, request.input) {
        (None, input) => input,
        (Some(encoded), Input::Nothing) => Input::Encoded(encoded),
        (Some(_), _) => {
            return Err(Error::invalid(place(["body", "encoded_input"]), "input and encoded_input exclude each other"));
        }
    };
    let loc = place(["body", "input"]);
    if let Some(value) = input.value(&loc)? {
        definition.input_schema.check(&value, &loc)?;
    }
    let extensions = request.extensions.as_deref().filter(|extensions| extensions.get() != "null");
    if extensions.is_some_and(|extensions| !extensions.get().starts_with('{')) {
        return Err(Error::invalid(place(["body", "extensions"]), "extensions must be an object, or null"));
    }
    let context = Context {
        namespace: &platform.settings.namespace,
        execution_id: &execution_id,
        token: Some(platform.service.entropy.uuid()),
        extensions,
        on_behalf_of: definition.on_behalf_of.then_some(true),
    };
    let input = input.into_payloads(&context);
    let from_header = || headers.get("traceparent").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let traced = match request.force_new_trace {
        Some(true) => None,
        _ => request.traceparent.or_else(from_header),
    };
    let traced = traced.filter(|traceparent| is_traceparent(traceparent));
    let memo = request.custom_tracing_attributes.filter(|attributes| !attributes.is_empty()).map(|attributes| {
        // Workers read it in this form alone, and fail every workflow task at any other.
        let attributes = payload::nested(&payload::json(&attributes));
        Memo { fields: [("custom_tracing_attributes".to_owned(), attributes)].into() }
    });
    Ok(StartWorkflowExecutionRequest {
        namespace: platform.settings.namespace.clone(),
        workflow_id: execution_id,
        workflow_type: Some(WorkflowType { name: workflow.name.clone() }),
        task_queue: Some(TaskQueue { name: definition.task_queue.clone(), ..TaskQueue::default() }),
        input: Some(input),
        workflow_execution_timeout: tradewind_core::time::wire(definition.execution_timeout),
        identity: super::IDENTITY.into(),
        request_id: platform.service.entropy.uuid().to_string(),
        workflow_id_reuse_policy: WorkflowIdReusePolicy::AllowDuplicate as i32,
        workflow_id_conflict_policy: WorkflowIdConflictPolicy::Fail as i32,
        header: traced.map(|traceparent| Header {
            fields: [
                ("_tracer-data".to_owned(), payload::json(&json!({ "traceparent": traceparent }))),
                // Its presence is what counts: the caller decides what is sampled.
                ("x-mistral-user-traceparent".to_owned(), payload::json(&traceparent)),
            ]
            .into(),
        }),
        memo,
        ..StartWorkflowExecutionRequest::default()
    })
}

/// An execution id that a caller may choose.
fn checked_id(id: String) -> Result<String, Error> {
    let fits = (1..=limits::EXECUTION_ID_LENGTH_MAX).contains(&id.len());
    if !fits || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
        let msg = format!(
            "execution_id of {} bytes must be 1 to {} letters, digits, '_' or '-'",
            id.len(),
            limits::EXECUTION_ID_LENGTH_MAX
        );
        return Err(Error::invalid(place(["body", "execution_id"]), msg));
    }
    if limits::RESERVED_EXECUTION_IDS.contains(&id.as_str()) {
        return Err(Error::invalid(place(["body", "execution_id"]), format!("execution_id {id:?} is reserved")));
    }
    Ok(id)
}

/// A W3C trace context that names a trace and a span.
fn is_traceparent(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let names = |part: &str| part.bytes().any(|byte| byte != b'0');
    match parts[..] {
        [version, trace, span, flags] => {
            hex(version, 2)
                && version != "ff"
                && hex(trace, 32)
                && names(trace)
                && hex(span, 16)
                && names(span)
                && hex(flags, 2)
        }
        _ => false,
    }
}

/// Waits for the end of the chain that began with `first_run_id`, and for what came of it.
async fn result(platform: &Platform, execution_id: &str, first_run_id: Option<Uuid>) -> Result<Box<RawValue>, Error> {
    let target = Target::Execution(Execution {
        namespace: platform.namespace,
        workflow_id: execution_id.to_owned(),
        run_id: None,
        first_run_id,
    });
    loop {
        let snapshot = view::closed(platform, target.clone()).await?;
        if view::goes_on(&snapshot.state) {
            // The next run takes the name in the write that closes this one, so it is there.
            continue;
        }
        return match view::outcome(platform, &snapshot).await? {
            view::Outcome::Completed(result) => Ok(result),
            view::Outcome::Running => Err(Error::internal("a closed run is running")),
            view::Outcome::Failed(message) => Err(failed(&snapshot.state, &message)),
        };
    }
}

fn failed(state: &MutableState, message: &str) -> Error {
    let (id, status) = (&state.start.workflow_id, view::status_name(state.recorded.progress.status()));
    Error::conflict(code::NOT_RUNNING, format!("execution {id} ended {status}: {message}"))
        .with("status", status)
        .with("execution_id", id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_trace_context_is_joined() {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(is_traceparent(trace));
        for wrong in [
            "",
            "00",
            &trace.to_uppercase(),
            &trace[..54],
            &trace.replace("b7ad6b7169203331", "0000000000000000"),
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert!(!is_traceparent(wrong), "{wrong}");
        }
    }

    #[test]
    fn an_execution_id_is_checked_by_length_and_letters() {
        assert!(checked_id("a-Z_9".into()).is_ok() && checked_id("x".repeat(256)).is_ok());
        for wrong in ["", "a b", "a/b", "cancel", "ключ", "a\0", &"x".repeat(257)] {
            assert!(checked_id(wrong.into()).is_err(), "{wrong:?}");
        }
    }
}
