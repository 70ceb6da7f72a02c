//! DescribeWorkflowExecution: a run as it is, with everything that it waits for.

use crate::namespaces::Namespace;
use crate::{Error, Service, handlers::support};
use api::activity::v1::ActivityOptions;
use api::common::v1::{Memo, WorkflowExecution, WorkflowType};
use api::enums::v1::{
    EventType, PendingActivityState, PendingWorkflowTaskState, TaskQueueKind, WorkflowExecutionStatus as Status,
};
use api::history::v1::history_event::Attributes;
use api::taskqueue::v1::TaskQueue;
use api::workflow::v1::{
    PendingActivityInfo, PendingChildExecutionInfo, PendingWorkflowTaskInfo, RequestIdInfo, ResetPointInfo,
    ResetPoints, WorkflowExecutionConfig, WorkflowExecutionExtendedInfo, WorkflowExecutionInfo,
};
use api::workflowservice::v1::{
    DescribeWorkflowExecutionRequest as Request, DescribeWorkflowExecutionResponse as Response,
};
use engine::snapshot::Snapshot;
use std::collections::BTreeMap;
use std::time::Duration;
use tradewind_core::properties;
use tradewind_core::state::{Activity, ActivityPhase, Child, MutableState, WorkflowTask};
use tradewind_core::time::{self, Timestamp};

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let (namespace, target) = support::target(service, &request.namespace, request.execution)?;
    let snapshot = service.engine.inspect(target, false).await?;
    let request_ids = request_ids(service, &snapshot).await?;
    let state = &snapshot.state;
    Ok(Response {
        execution_config: Some(config(state)),
        workflow_execution_info: Some(info(state, &namespace)),
        pending_activities: state
            .unrecorded
            .attempts
            .keys()
            .filter_map(|scheduled| state.activity(*scheduled))
            .map(|activity| pending_activity(&activity))
            .collect(),
        pending_children: state.recorded.children.values().map(|child| pending_child(child)).collect(),
        pending_workflow_task: pending_workflow_task(state.workflow_task()),
        workflow_extended_info: Some(extended_info(state, request_ids)),
        ..Response::default()
    })
}

fn config(state: &MutableState) -> WorkflowExecutionConfig {
    let start = &state.start;
    WorkflowExecutionConfig {
        task_queue: Some(TaskQueue {
            name: start.task_queue().to_owned(),
            kind: TaskQueueKind::Normal as i32,
            normal_name: String::new(),
        }),
        workflow_execution_timeout: if_set(start.execution_timeout()),
        workflow_run_timeout: if_set(start.run_timeout()),
        default_workflow_task_timeout: time::wire(start.task_timeout()),
        user_metadata: start.user_metadata.clone(),
    }
}

fn info(state: &MutableState, namespace: &Namespace) -> WorkflowExecutionInfo {
    let start = &state.start;
    let progress = &state.recorded.progress;
    let own = WorkflowExecution { workflow_id: start.workflow_id.clone(), run_id: start.run_id.to_string() };
    let parent_execution = start.event.parent_workflow_execution.clone();
    let parent_namespace_id = match &parent_execution {
        None => String::new(),
        Some(_) if start.event.parent_workflow_namespace_id.is_empty() => namespace.id.to_string(),
        Some(_) => start.event.parent_workflow_namespace_id.clone(),
    };
    let first_run_id = match start.event.first_execution_run_id.as_str() {
        "" => own.run_id.clone(),
        first => first.to_owned(),
    };
    WorkflowExecutionInfo {
        r#type: Some(WorkflowType { name: start.workflow_type().to_owned() }),
        start_time: Some(start.started_at.into()),
        close_time: progress.closed_at.map(Into::into),
        status: progress.status,
        history_length: progress.next_event_id - 1,
        parent_namespace_id,
        parent_execution,
        execution_time: Some(start.execution_time().into()),
        memo: Some(Memo { fields: (*state.recorded.memo).clone() }),
        search_attributes: Some(support::search_attributes(properties::all_search_attributes(state), namespace)),
        auto_reset_points: Some(ResetPoints { points: reset_points(state, namespace) }),
        task_queue: start.task_queue().to_owned(),
        state_transition_count: i64::try_from(state.unrecorded.task.transitions).unwrap_or(i64::MAX),
        history_size_bytes: i64::try_from(progress.history_bytes).unwrap_or(i64::MAX),
        execution_duration: progress.closed_at.and_then(|at| time::wire(at - start.execution_time())),
        root_execution: Some(start.event.root_workflow_execution.clone().unwrap_or_else(|| own.clone())),
        first_run_id,
        priority: start.event.priority.clone(),
        execution: Some(own),
        ..WorkflowExecutionInfo::default()
    }
}

/// The first completed workflow task of each run of the chain, as far as they are known.
fn reset_points(state: &MutableState, namespace: &Namespace) -> Vec<ResetPointInfo> {
    let start = &state.start;
    let progress = &state.recorded.progress;
    let mut points = start.event.prev_auto_reset_points.clone().unwrap_or_default().points;
    if progress.first_completed_task != 0 {
        let goes_on = progress.status() == Status::ContinuedAsNew;
        points.push(ResetPointInfo {
            run_id: start.run_id.to_string(),
            first_workflow_task_completed_id: progress.first_completed_task,
            create_time: progress.first_completed_task_at.map(Into::into),
            expire_time: progress.closed_at.filter(|_| goes_on).map(|at| (at + namespace.retention).into()),
            resettable: true,
            ..ResetPointInfo::default()
        });
    }
    points
}

fn pending_activity(activity: &Activity) -> PendingActivityInfo {
    let attributes = &activity.facts.attributes;
    let attempt = &activity.attempt;
    let state = match (&activity.facts.cancel_requested, &attempt.phase) {
        (Some(_), _) => PendingActivityState::CancelRequested,
        (None, ActivityPhase::Started { .. }) => PendingActivityState::Started,
        (None, ActivityPhase::BackingOff | ActivityPhase::Queued { .. }) => PendingActivityState::Scheduled,
    };
    let next_attempt = match attempt.phase {
        ActivityPhase::BackingOff => Some(attempt.attempt_scheduled_at),
        ActivityPhase::Queued { .. } | ActivityPhase::Started { .. } => None,
    };
    let interval = next_attempt.and_then(|next| match attempt.last_completed_at {
        Some(completed) => Some(next - completed),
        None => attempt.retry_interval,
    });
    PendingActivityInfo {
        activity_id: attributes.activity_id.clone(),
        activity_type: attributes.activity_type.clone(),
        state: state as i32,
        heartbeat_details: attempt.heartbeat_details.as_ref().map(|it| it.0.clone()),
        last_heartbeat_time: attempt.last_heartbeat.map(Into::into),
        last_started_time: match attempt.phase {
            ActivityPhase::Started { at, .. } => Some(at.into()),
            ActivityPhase::BackingOff | ActivityPhase::Queued { .. } => None,
        },
        attempt: attempt.attempt,
        maximum_attempts: activity.retry_policy().map_or(0, |it| it.maximum_attempts),
        scheduled_time: Some(attempt.attempt_scheduled_at.into()),
        expiration_time: activity.expires().map(Into::into),
        last_failure: attempt.last_failure.as_ref().map(|it| it.0.clone()),
        last_worker_identity: attempt.last_worker.clone(),
        current_retry_interval: interval.and_then(time::wire),
        last_attempt_complete_time: attempt.last_completed_at.map(Into::into),
        next_attempt_schedule_time: next_attempt.map(Into::into),
        priority: attributes.priority.clone(),
        activity_options: Some(ActivityOptions {
            task_queue: Some(TaskQueue {
                name: activity.task_queue().to_owned(),
                kind: TaskQueueKind::Unspecified as i32,
                normal_name: activity.task_queue().to_owned(),
            }),
            schedule_to_close_timeout: attributes.schedule_to_close_timeout,
            schedule_to_start_timeout: attributes.schedule_to_start_timeout,
            start_to_close_timeout: attributes.start_to_close_timeout,
            heartbeat_timeout: attributes.heartbeat_timeout,
            retry_policy: attributes.retry_policy.clone(),
            priority: attributes.priority.clone(),
            ..ActivityOptions::default()
        }),
        ..PendingActivityInfo::default()
    }
}

fn pending_child(child: &Child) -> PendingChildExecutionInfo {
    PendingChildExecutionInfo {
        workflow_id: child.attributes.workflow_id.clone(),
        run_id: child.started.map(|(_, run_id)| run_id.to_string()).unwrap_or_default(),
        workflow_type_name: child.attributes.workflow_type.as_ref().map_or_else(String::new, |it| it.name.clone()),
        initiated_id: child.initiated,
        parent_close_policy: child.close_policy() as i32,
    }
}

fn pending_workflow_task(task: &WorkflowTask) -> Option<PendingWorkflowTaskInfo> {
    match task {
        WorkflowTask::None => None,
        WorkflowTask::Scheduled(task) => Some(PendingWorkflowTaskInfo {
            state: PendingWorkflowTaskState::Scheduled as i32,
            scheduled_time: Some(task.scheduled_at.into()),
            original_scheduled_time: Some(task.original_scheduled_at.into()),
            started_time: None,
            attempt: task.attempt,
        }),
        WorkflowTask::Started(task) => Some(PendingWorkflowTaskInfo {
            state: PendingWorkflowTaskState::Started as i32,
            scheduled_time: Some(task.scheduled_at.into()),
            original_scheduled_time: Some(task.original_scheduled_at.into()),
            started_time: Some(task.started_at.into()),
            attempt: task.attempt,
        }),
    }
}

fn extended_info(
    state: &MutableState,
    request_id_infos: BTreeMap<String, RequestIdInfo>,
) -> WorkflowExecutionExtendedInfo {
    WorkflowExecutionExtendedInfo {
        execution_expiration_time: state.start.execution_expires().map(Into::into),
        run_expiration_time: state.start.run_expires().map(Into::into),
        cancel_requested: state.recorded.progress.cancel_requested,
        original_start_time: Some(Timestamp::into(state.start.started_at)),
        request_id_infos,
        ..WorkflowExecutionExtendedInfo::default()
    }
}

/// The requests that this run has answered, and the event that each one left.
///
/// The state knows which starts were attached to the run but not where: those events are looked up in history,
/// which only a run with such starts has to pay for.
async fn request_ids(service: &Service, snapshot: &Snapshot) -> Result<BTreeMap<String, RequestIdInfo>, Error> {
    let state = &snapshot.state;
    let task = &state.unrecorded.task;
    let mut infos = BTreeMap::new();
    if !task.create_request_id.is_empty() {
        let event_type = EventType::WorkflowExecutionStarted as i32;
        infos.insert(task.create_request_id.clone(), RequestIdInfo { event_type, event_id: 1, buffered: false });
    }
    if task.attached_request_ids.is_empty() {
        return Ok(infos);
    }
    let event_type = EventType::WorkflowExecutionOptionsUpdated as i32;
    for event in state.unrecorded.buffered.values() {
        if let Some(id) = attached(event.attributes.as_ref()) {
            infos.insert(id.to_owned(), RequestIdInfo { event_type, event_id: 0, buffered: true });
        }
    }
    service.engine.settled(snapshot).await?;
    let until = state.next_event_id();
    let mut from = 1;
    while from < until {
        let page = service.limits.history_page_events_max;
        let events = service.engine.events(snapshot.run, &snapshot.recent, from, until, page)?;
        let Some(last) = events.last() else { break };
        from = last.event_id + 1;
        for event in &events {
            if let Some(id) = attached(event.attributes.as_ref()) {
                let info = RequestIdInfo { event_type, event_id: event.event_id, buffered: false };
                infos.insert(id.to_owned(), info);
            }
        }
    }
    Ok(infos)
}

/// The request id of a start that an event attached to the run.
fn attached(attributes: Option<&Attributes>) -> Option<&str> {
    match attributes {
        Some(Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(it)) if !it.attached_request_id.is_empty() => {
            Some(&it.attached_request_id)
        }
        _ => None,
    }
}

fn if_set(timeout: Duration) -> Option<prost_types::Duration> {
    if timeout.is_zero() { None } else { time::wire(timeout) }
}
