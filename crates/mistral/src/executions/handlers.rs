//! What signals, queries and updates share: the execution, the handler that it has for the name, and the input.
//!
//! A wrong name or input would not come back as an error: it fails the workflow task that delivers it, for ever. So
//! it is checked here, against what the worker registered. Runs that were started past this API, by the type's name,
//! may be of no registration; then there is nothing to check against.

use super::view;
use crate::Platform;
use crate::catalogue::{Definition, Handler, Registration};
use crate::error::{Error, code, place};
use crate::payload::{Context, Input};
use api::common::v1::{Payloads, WorkflowExecution};
use engine::message::Target;
use engine::snapshot::Snapshot;
use serde::Deserialize;
use std::sync::Arc;
use tradewind_core::state::MutableState;

/// Handlers that every worker has for the scheduler's own tools; no registration names them.
const BUILT_IN: &[&str] = &["__stack_trace", "__enhanced_stack_trace", "__temporal_workflow_metadata"];

#[derive(Deserialize)]
pub struct Request {
    pub name: String,
    #[serde(default)]
    pub input: Input,
}

/// The latest run of an execution.
pub async fn latest(platform: &Platform, execution: &str) -> Result<Snapshot, Error> {
    view::inspect(platform, Target::execution(platform.namespace, execution, None), false).await
}

/// The same, which must be open.
pub async fn running(platform: &Platform, execution: &str) -> Result<Snapshot, Error> {
    let snapshot = latest(platform, execution).await?;
    if snapshot.state.is_running() || view::goes_on(&snapshot.state) {
        Ok(snapshot)
    } else {
        Err(over(&snapshot.state))
    }
}

pub fn over(state: &MutableState) -> Error {
    let (id, status) = (&state.start.workflow_id, view::status_name(state.recorded.progress.status()));
    Error::conflict(code::NOT_RUNNING, format!("execution {id} is not running: it is {status}")).with("status", status)
}

/// What a refusal by the engine means. It says alike that an execution is absent and that it is closed.
pub async fn refused(platform: &Platform, execution: &str, error: server::Error) -> Error {
    match error {
        server::Error::NotFound(_) => match running(platform, execution).await {
            Err(absent_or_over) => absent_or_over,
            Ok(_) => error.into(),
        },
        other => other.into(),
    }
}

/// The input for the handler, as a payload.
pub fn input(
    platform: &Platform,
    state: &MutableState,
    request: Request,
    kind: &str,
    handlers: impl Fn(&Definition) -> &[Handler],
) -> Result<Payloads, Error> {
    let Request { name, input } = request;
    if name.is_empty() || name.len() > platform.service.limits.id_length_max {
        let msg = format!("name must have 1 to {} bytes, not {}", platform.service.limits.id_length_max, name.len());
        return Err(Error::invalid(place(["body", "name"]), msg));
    }
    if let Some(registration) = registration(platform, state)
        && !BUILT_IN.contains(&name.as_str())
    {
        let known = handlers(&registration.definition);
        let handler = known.iter().find(|handler| handler.name == name).ok_or_else(|| {
            let names: Vec<_> = known.iter().map(|handler| handler.name.as_str()).collect();
            let workflow = state.start.workflow_type();
            let msg = format!("workflow {workflow} has no {kind} {name:?}; it has {}", list(&names));
            Error::invalid(place(["body", "name"]), msg)
        })?;
        let loc = place(["body", "input"]);
        if let Some(value) = input.value(&loc)? {
            handler.input_schema.check(&value, &loc)?;
        }
    }
    let context = Context {
        namespace: &platform.settings.namespace,
        execution_id: &state.start.workflow_id,
        token: None,
        extensions: None,
        on_behalf_of: None,
    };
    Ok(input.into_payloads(&context))
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// What describes a run: the registration in force on its task queue.
fn registration(platform: &Platform, state: &MutableState) -> Option<Arc<Registration>> {
    let index = platform.index();
    let workflow = index.workflow(state.start.workflow_type()).filter(|it| it.name == state.start.workflow_type())?;
    let mut current = index.deployments().filter_map(|deployment| index.current(&deployment.name, workflow.id));
    current.find(|it| it.definition.task_queue == state.start.task_queue()).cloned()
}

/// The latest run, as requests of the other API name it.
pub fn named(execution: &str) -> Option<WorkflowExecution> {
    Some(WorkflowExecution { workflow_id: execution.to_owned(), run_id: String::new() })
}
