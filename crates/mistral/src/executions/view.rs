//! An execution as clients see it.
//!
//! Invariant: an execution that continued as new is its latest run, which has the id's name. Clients take any status
//! but RUNNING and COMPLETED as the end.

use crate::Platform;
use crate::error::Error;
use crate::{payload, time};
use api::enums::v1::WorkflowExecutionStatus as Status;
use api::failure::v1::Failure;
use api::history::v1::history_event::Attributes;
use engine::message::Target;
use engine::snapshot::Snapshot;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::time::Duration;
use tradewind_core::state::MutableState;
use uuid::Uuid;

#[derive(Debug, Serialize)]
pub struct Execution {
    #[serde(flatten)]
    pub facts: Facts,
    pub result: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search_keys: Option<BTreeMap<String, Option<String>>>,
}

/// What lists say of it too.
#[derive(Debug, Clone, Serialize)]
pub struct Facts {
    pub workflow_name: String,
    pub execution_id: String,
    pub root_execution_id: String,
    pub status: &'static str,
    pub start_time: String,
    pub end_time: Option<String>,
    pub workflow_id: Option<Uuid>,
    pub deployment_name: Option<String>,
    pub parent_execution_id: Option<String>,
    pub run_id: Uuid,
    pub user_id: Option<String>,
    pub total_duration_ms: Option<u64>,
}

/// What came of a run.
pub enum Outcome {
    Running,
    Completed(Box<RawValue>),
    /// Anything else, and what is known of why.
    Failed(String),
}

/// Whose status and times are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    /// Of the execution, which goes on where a run continues as new.
    Execution,
    /// Of the run, as it ended.
    Run,
}

pub async fn of(platform: &Platform, target: Target, shown: As, with_search_keys: bool) -> Result<Execution, Error> {
    let snapshot = inspect(platform, target, false).await?;
    let result = match outcome(platform, &snapshot).await? {
        Outcome::Completed(result) => result,
        Outcome::Running | Outcome::Failed(_) => payload::null(),
    };
    let search_keys = match with_search_keys {
        true => Some(platform.read(move |store| store.search_keys(snapshot.run)).await?.into_iter().collect()),
        false => None,
    };
    Ok(Execution { facts: facts(platform, &snapshot.state, shown), result, search_keys })
}

pub async fn inspect(platform: &Platform, target: Target, watch: bool) -> Result<Snapshot, Error> {
    let named = match &target {
        Target::Execution(execution) => execution.workflow_id.clone(),
        Target::Run { .. } => String::new(),
    };
    platform.service.engine.inspect(target, watch).await.map_err(|error| match error {
        engine::Error::NoSuchWorkflow { .. } | engine::Error::NoSuchRun { .. } => {
            Error::not_found(format!("execution {named} is not found"))
        }
        other => other.into(),
    })
}

/// Waits until the run that the target names is closed.
pub async fn closed(platform: &Platform, target: Target) -> Result<Snapshot, Error> {
    let mut snapshot = inspect(platform, target, true).await?;
    while snapshot.state.is_running() {
        let mut progress = snapshot.progress.take().expect("a watched run tells of its progress");
        tokio::select! {
            // An error means that the loop let go of the run: the next look loads it again.
            _ = progress.wait_for(|seen| seen.closed) => {}
            () = platform.service.shutdown.cancelled() => return Err(Error::shutting_down()),
        }
        snapshot = inspect(platform, Target::Run { slot: snapshot.slot, run: snapshot.run }, true).await?;
    }
    Ok(snapshot)
}

fn facts(platform: &Platform, state: &MutableState, shown: As) -> Facts {
    let start = &state.start;
    let progress = &state.recorded.progress;
    let of = |execution: &Option<api::common::v1::WorkflowExecution>| {
        execution.as_ref().map(|it| it.workflow_id.clone()).filter(|id| !id.is_empty())
    };
    let goes_on = shown == As::Execution && goes_on(state);
    let status = if goes_on { Status::Running } else { progress.status() };
    let ended = progress.closed_at.filter(|_| !goes_on);
    let total = |end: tradewind_core::time::Timestamp| millis(end - start.started_at);
    Facts {
        workflow_name: start.workflow_type().to_owned(),
        execution_id: start.workflow_id.clone(),
        root_execution_id: of(&start.event.root_workflow_execution).unwrap_or_else(|| start.workflow_id.clone()),
        status: status_name(status),
        start_time: time::format(start.started_at),
        end_time: ended.map(time::format),
        workflow_id: platform.index().workflow(start.workflow_type()).map(|workflow| workflow.id),
        deployment_name: Some(start.task_queue().to_owned()),
        parent_execution_id: of(&start.event.parent_workflow_execution),
        run_id: start.run_id,
        user_id: None,
        total_duration_ms: ended.map(total),
    }
}

pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whether the execution is another run by now, or will be in a moment.
pub fn goes_on(state: &MutableState) -> bool {
    state.recorded.progress.status() == Status::ContinuedAsNew
}

pub fn status_name(status: Status) -> &'static str {
    match status {
        Status::Unspecified | Status::Running | Status::Paused => "RUNNING",
        Status::Completed => "COMPLETED",
        Status::Failed => "FAILED",
        Status::Canceled => "CANCELED",
        Status::Terminated => "TERMINATED",
        Status::ContinuedAsNew => "CONTINUED_AS_NEW",
        Status::TimedOut => "TIMED_OUT",
    }
}

/// What came of the run, from the event that closed it.
pub async fn outcome(platform: &Platform, snapshot: &Snapshot) -> Result<Outcome, Error> {
    let engine = &platform.service.engine;
    if snapshot.state.is_running() {
        return Ok(Outcome::Running);
    }
    engine.settled(snapshot).await?;
    let last = snapshot.state.next_event_id() - 1;
    let event = engine.events(snapshot.run, &snapshot.recent, last, last + 1, 1)?.pop();
    Ok(match event.and_then(|event| event.attributes) {
        Some(Attributes::WorkflowExecutionCompletedEventAttributes(it)) => {
            Outcome::Completed(payload::read_first(it.result.as_ref()))
        }
        Some(Attributes::WorkflowExecutionFailedEventAttributes(it)) => Outcome::Failed(message(it.failure.as_ref())),
        Some(Attributes::WorkflowExecutionTerminatedEventAttributes(it)) => Outcome::Failed(it.reason),
        Some(Attributes::WorkflowExecutionTimedOutEventAttributes(_)) => Outcome::Failed("its time was over".into()),
        _ => Outcome::Failed("it was canceled".into()),
    })
}

/// The message of a failure, with those of its causes.
pub fn message(failure: Option<&Failure>) -> String {
    let mut messages = Vec::new();
    let mut next = failure;
    while let Some(failure) = next {
        messages.push(failure.message.as_str());
        next = failure.cause.as_deref();
    }
    messages.join(": ")
}
