//! How a run begins.
//!
//! Invariants
//! - Event 1 says everything that stays true of the run; [`Start`] is read back from it.
//! - No workflow task is scheduled while the first one is held back (start delay, cron, retry back-off).

use crate::{
    activity::{check_priority, check_queue_name},
    cron,
    draft::Draft,
    limits::Limits,
    retry, search_attributes, signal,
    state::{Deadline, MutableState, Start},
    step::{Env, Rejection, Reply, Signal, Step},
    time::{Timestamp, duration, wire},
    workflow_task,
};
use api::{
    common::v1::Link,
    enums::v1::ContinueAsNewInitiator,
    history::v1::{
        HistoryEvent, WorkflowExecutionOptionsUpdatedEventAttributes, WorkflowExecutionStartedEventAttributes,
        history_event::Attributes,
    },
    workflowservice::v1::StartWorkflowExecutionRequest as Request,
};
use prost::Message;
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// Everything a new run begins with.
#[derive(Debug, Clone)]
pub struct Begin {
    pub run_id: Uuid,
    pub event: WorkflowExecutionStartedEventAttributes,
    /// Starting again with the same request id finds this run.
    pub request_id: String,
    pub user_metadata: Option<api::sdk::v1::UserMetadata>,
    pub links: Vec<Link>,
    /// Delivered before the first workflow task.
    pub signal: Option<Signal>,
    /// Hand the first workflow task back in the reply, to the worker of this identity.
    pub eager: Option<String>,
}

/// Creates a run. The reply holds its first workflow task if it was to be handed back.
pub fn begin(begin: Begin, env: &Env<'_>) -> (MutableState, Step) {
    let mut event = begin.event;
    let backoff = duration(event.first_workflow_task_backoff.as_ref());
    let eager = begin.eager.filter(|_| backoff.is_zero());
    event.eager_execution_accepted = eager.is_some();
    let start = Start {
        namespace: env.namespace.key,
        workflow_id: event.workflow_id.clone(),
        run_id: begin.run_id,
        started_at: env.now,
        event: event.clone(),
        user_metadata: begin.user_metadata.clone(),
    };
    let mut draft = Draft::new(MutableState::new(Arc::new(start)), env);
    draft.task().create_request_id = begin.request_id;
    let expires = draft.state.start.run_expires();
    draft.move_deadline(None, expires, Deadline::Run);
    draft.record_with(HistoryEvent {
        attributes: Some(Attributes::WorkflowExecutionStartedEventAttributes(Box::new(event))),
        user_metadata: begin.user_metadata,
        links: begin.links,
        ..HistoryEvent::default()
    });
    draft.step.visibility = true;
    if let Some(signal) = begin.signal {
        if !signal.request_id.is_empty() {
            draft.state.unrecorded.signal_requests.insert(signal.request_id.clone());
            draft.touch(crate::state::ItemRef::SignalRequest(signal.request_id.clone()));
        }
        signal::record(&mut draft, signal);
    }
    let mut reply = Reply::Done;
    if backoff.is_zero() {
        workflow_task::schedule(&mut draft);
        if let Some(identity) = eager {
            let request_id = env.run_id(1).to_string();
            reply = Reply::WorkflowTask(Box::new(workflow_task::start(&mut draft, identity, request_id, false, true)));
        }
    } else {
        let due = env.now + backoff;
        draft.task().first_task_at = Some(due);
        draft.move_deadline(None, Some(due), Deadline::FirstWorkflowTask);
    }
    draft.finish();
    let (state, mut step) = draft.into_parts();
    step.reply = reply;
    step.durable = true;
    (state, step)
}

/// Reads a run's facts back from its first event.
pub fn restore(namespace: crate::ids::NamespaceKey, run_id: Uuid, event: HistoryEvent) -> Option<Start> {
    let started_at = Timestamp::from(event.event_time?);
    let Some(Attributes::WorkflowExecutionStartedEventAttributes(attributes)) = event.attributes else {
        return None;
    };
    Some(Start {
        namespace,
        workflow_id: attributes.workflow_id.clone(),
        run_id,
        started_at,
        event: *attributes,
        user_metadata: event.user_metadata,
    })
}

/// A request that has been checked: every default and limit is settled.
pub fn from_request(mut request: Request, run_id: Uuid, env: &Env<'_>) -> Result<Begin, String> {
    validate(&request, env)?;
    let limits = env.limits;
    if let Some(policy) = &mut request.retry_policy {
        retry::fill(policy, &limits.workflow_retry_policy);
        retry::validate(policy)?;
    }
    let execution_timeout = duration(request.workflow_execution_timeout.as_ref());
    let run = run_timeout(duration(request.workflow_run_timeout.as_ref()), execution_timeout);
    let task = task_timeout(duration(request.workflow_task_timeout.as_ref()), run, limits);
    let delay = duration(request.workflow_start_delay.as_ref());
    let backoff = if request.cron_schedule.is_empty() {
        delay
    } else {
        cron::backoff(&request.cron_schedule, env.now, env.now).unwrap_or_default()
    };
    let mut queue = request.task_queue.take().unwrap_or_default();
    queue.kind = api::enums::v1::TaskQueueKind::Normal as i32;
    queue.normal_name.clear();
    let mut attributes = request.search_attributes.take().filter(|it| !it.indexed_fields.is_empty());
    if let Some(attributes) = &mut attributes {
        search_attributes::apply_types(attributes, &env.namespace.search_attributes);
    }
    let event = WorkflowExecutionStartedEventAttributes {
        workflow_type: request.workflow_type,
        task_queue: Some(queue),
        input: request.input,
        workflow_execution_timeout: (!execution_timeout.is_zero()).then(|| wire(execution_timeout)).flatten(),
        workflow_run_timeout: (!run.is_zero()).then(|| wire(run)).flatten(),
        workflow_task_timeout: wire(task),
        continued_failure: request.continued_failure,
        last_completion_result: request.last_completion_result,
        original_execution_run_id: run_id.to_string(),
        first_execution_run_id: run_id.to_string(),
        identity: request.identity.clone(),
        retry_policy: request.retry_policy,
        attempt: 1,
        initiator: if request.cron_schedule.is_empty() { 0 } else { ContinueAsNewInitiator::CronSchedule as i32 },
        workflow_execution_expiration_time: (!execution_timeout.is_zero())
            .then(|| (env.now + backoff + execution_timeout).into()),
        cron_schedule: request.cron_schedule,
        first_workflow_task_backoff: wire(backoff),
        memo: request.memo,
        search_attributes: attributes,
        header: request.header,
        workflow_id: request.workflow_id,
        priority: request.priority,
        ..WorkflowExecutionStartedEventAttributes::default()
    };
    Ok(Begin {
        run_id,
        event,
        request_id: request.request_id,
        user_metadata: request.user_metadata,
        links: request.links,
        signal: None,
        eager: request.request_eager_execution.then_some(request.identity),
    })
}

fn validate(request: &Request, env: &Env<'_>) -> Result<(), String> {
    let limits = env.limits;
    let length = limits.id_length_max;
    let kind = request.workflow_type.as_ref().map_or("", |it| it.name.as_str());
    let queue = request.task_queue.as_ref().map_or("", |it| it.name.as_str());
    if request.workflow_id.is_empty() {
        return Err("WorkflowId is not set on request.".into());
    }
    if request.workflow_id.len() > length {
        return Err(format!("WorkflowId exceeds maximum allowed length ({}/{length})", request.workflow_id.len()));
    }
    if request.request_id.len() > length {
        return Err("RequestId length exceeds limit.".into());
    }
    if kind.is_empty() {
        return Err("WorkflowType is not set on request.".into());
    }
    if kind.len() > length {
        return Err("WorkflowType length exceeds limit.".into());
    }
    check_queue_name(queue, length)?;
    if queue == "temporal-sys-per-ns-tq" {
        return Err(format!("cannot use internal per-namespace task queue:{queue}"));
    }
    for (what, value) in [
        ("WorkflowExecutionTimeoutSeconds", &request.workflow_execution_timeout),
        ("WorkflowRunTimeoutSeconds", &request.workflow_run_timeout),
        ("WorkflowTaskTimeoutSeconds", &request.workflow_task_timeout),
        ("WorkflowStartDelaySeconds", &request.workflow_start_delay),
    ] {
        if value.as_ref().is_some_and(|it| it.seconds < 0 || it.nanos < 0) {
            return Err(format!("An invalid {what} is set on request. cause: negative duration"));
        }
    }
    cron::check(&request.cron_schedule, env.now)?;
    if !request.cron_schedule.is_empty() && request.workflow_start_delay.is_some() {
        return Err("CronSchedule and WorkflowStartDelay may not be used together.".into());
    }
    check_priority(request.priority.as_ref(), limits.fairness_key_length_max)?;
    if let Some(attributes) = &request.search_attributes {
        let namespace = env.namespace;
        search_attributes::decode(attributes, &namespace.name, &namespace.search_attributes, limits)
            .map_err(|refused| refused.to_string())?;
    }
    let memo = request.memo.as_ref().map_or(0, Message::encoded_len);
    if memo > limits.memo_size_bytes_max {
        return Err(format!("Memo size exceeds limit. Size={memo} Limit={}", limits.memo_size_bytes_max));
    }
    let input = request.input.as_ref().map_or(0, Message::encoded_len);
    if input > limits.blob_size_bytes_max {
        return Err(format!("Blob data size exceeds limit. Size={input} Limit={}", limits.blob_size_bytes_max));
    }
    check_user_metadata(request.user_metadata.as_ref(), limits)?;
    check_links(&request.links, limits)
}

/// Summary and details that users attach to what they start.
pub fn check_user_metadata(metadata: Option<&api::sdk::v1::UserMetadata>, limits: &Limits) -> Result<(), String> {
    let Some(metadata) = metadata else { return Ok(()) };
    for (what, payload, limit) in [
        ("summary", &metadata.summary, limits.user_metadata_summary_bytes_max),
        ("details", &metadata.details, limits.user_metadata_details_bytes_max),
    ] {
        let bytes = payload.as_ref().map_or(0, |it| it.data.len());
        if bytes > limit {
            return Err(format!("user metadata {what} exceeds size limit. Size={bytes} Limit={limit}"));
        }
    }
    Ok(())
}

/// Links of one request.
pub fn check_links(links: &[Link], limits: &Limits) -> Result<(), String> {
    if links.len() > limits.links_per_request_max {
        return Err(format!(
            "cannot attach more than {} links per request, got {}",
            limits.links_per_request_max,
            links.len()
        ));
    }
    for link in links {
        if link.encoded_len() > limits.link_bytes_max {
            return Err(format!("link exceeds allowed size of {}, got {}", limits.link_bytes_max, link.encoded_len()));
        }
    }
    Ok(())
}

/// The run timeout never exceeds the execution's; zero is unlimited.
pub(crate) fn run_timeout(run: Duration, execution: Duration) -> Duration {
    match (run, execution) {
        (run, Duration::ZERO) => run,
        (Duration::ZERO, execution) => execution,
        (run, execution) => run.min(execution),
    }
}

/// The workflow task timeout, with its default, its cap, and never above the run's.
pub(crate) fn task_timeout(task: Duration, run: Duration, limits: &Limits) -> Duration {
    let task = if task.is_zero() { limits.workflow_task_timeout_default } else { task };
    let task = task.min(limits.workflow_task_timeout_max);
    if run.is_zero() { task } else { task.min(run) }
}

/// A start that was answered with this run leaves its request id, and if asked for, an event that says so.
pub(crate) fn on_attach(
    draft: &mut Draft<'_>,
    request_id: String,
    identity: String,
    event: bool,
) -> Result<Reply, Rejection> {
    let task = &draft.state.unrecorded.task;
    if task.create_request_id == request_id || task.attached_request_ids.contains(&request_id) {
        return Ok(Reply::Done);
    }
    draft.task().attached_request_ids.push(request_id.clone());
    draft.step.durable = true;
    if event {
        draft.record_external(HistoryEvent {
            attributes: Some(Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(Box::new(
                WorkflowExecutionOptionsUpdatedEventAttributes {
                    attached_request_id: request_id,
                    identity,
                    ..WorkflowExecutionOptionsUpdatedEventAttributes::default()
                },
            ))),
            worker_may_ignore: true,
            ..HistoryEvent::default()
        });
    }
    Ok(Reply::Done)
}

#[cfg(test)]
mod tests;
