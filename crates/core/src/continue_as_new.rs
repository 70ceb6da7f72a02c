//! The next run of a chain: continued as new by workflow code, retried after a failure, or started again by cron.

use crate::{
    activity::check_queue_name,
    close,
    completion::Commands,
    draft::Draft,
    retry, search_attributes,
    start::{self, Begin},
    step::{BadCommand, Env, Successor},
    time::{duration, wire},
};
use api::{
    command::v1::ContinueAsNewWorkflowExecutionCommandAttributes,
    common::v1::{Header, Memo, Payloads, RetryPolicy, SearchAttributes, WorkflowType},
    enums::v1::{ContinueAsNewInitiator, TaskQueueKind, WorkflowTaskFailedCause as Cause},
    failure::v1::Failure,
    history::v1::{
        WorkflowExecutionContinuedAsNewEventAttributes, WorkflowExecutionStartedEventAttributes,
        history_event::Attributes,
    },
    taskqueue::v1::TaskQueue,
};
use prost::Message;
use std::time::Duration;
use uuid::Uuid;

/// Runs of one chain begin at least this far apart.
const RUN_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// What the next run starts with, where it may differ from this one.
pub(crate) struct Continuation {
    pub run_id: Uuid,
    pub initiator: ContinueAsNewInitiator,
    pub backoff: Duration,
    pub attempt: i32,
    pub workflow_type: Option<WorkflowType>,
    pub task_queue: Option<TaskQueue>,
    pub input: Option<Payloads>,
    pub run_timeout: Duration,
    pub task_timeout: Duration,
    pub retry_policy: Option<RetryPolicy>,
    pub cron_schedule: String,
    pub header: Option<Header>,
    pub memo: Option<Memo>,
    pub search_attributes: Option<SearchAttributes>,
    pub last_completion_result: Option<Payloads>,
    pub failure: Option<Failure>,
}

pub(crate) fn on_command(
    draft: &mut Draft<'_>,
    commands: &Commands,
    mut command: ContinueAsNewWorkflowExecutionCommandAttributes,
) -> Result<(), BadCommand> {
    commands.may_close()?;
    let (run_timeout, task_timeout) = normalize(draft, &mut command)?;
    let run_id = draft.env.run_id(u64::MAX);
    let initiator = match command.initiator() {
        ContinueAsNewInitiator::Unspecified => ContinueAsNewInitiator::Workflow,
        initiator => initiator,
    };
    draft.record(Attributes::WorkflowExecutionContinuedAsNewEventAttributes(Box::new(
        WorkflowExecutionContinuedAsNewEventAttributes {
            new_execution_run_id: run_id.to_string(),
            workflow_type: command.workflow_type.clone(),
            task_queue: command.task_queue.clone(),
            input: command.input.clone(),
            workflow_run_timeout: wire(run_timeout),
            workflow_task_timeout: wire(task_timeout),
            workflow_task_completed_event_id: commands.completed,
            backoff_start_interval: command.backoff_start_interval,
            initiator: initiator as i32,
            failure: command.failure.clone(),
            last_completion_result: command.last_completion_result.clone(),
            header: command.header.clone(),
            memo: command.memo.clone(),
            search_attributes: command.search_attributes.clone(),
            ..WorkflowExecutionContinuedAsNewEventAttributes::default()
        },
    )));
    let continuation = Continuation {
        run_id,
        initiator,
        backoff: duration(command.backoff_start_interval.as_ref()),
        attempt: 1,
        workflow_type: command.workflow_type,
        task_queue: command.task_queue,
        input: command.input,
        run_timeout,
        task_timeout,
        retry_policy: command.retry_policy,
        cron_schedule: command.cron_schedule,
        header: command.header,
        memo: command.memo,
        search_attributes: command.search_attributes,
        last_completion_result: command.last_completion_result,
        failure: command.failure,
    };
    begin(draft, continuation);
    close::on_closed(draft);
    Ok(())
}

/// Checks the command, fills in what it takes from this run, and settles the two timeouts.
fn normalize(
    draft: &Draft<'_>,
    command: &mut ContinueAsNewWorkflowExecutionCommandAttributes,
) -> Result<(Duration, Duration), BadCommand> {
    let (start, limits) = (&draft.state.start, draft.env.limits);
    let name = "ContinueAsNewWorkflowExecutionCommand";
    let kind = command.workflow_type.get_or_insert_default();
    if kind.name.is_empty() {
        kind.name = start.workflow_type().to_owned();
    }
    let kind = kind.name.clone();
    let bad = |text: String| BadCommand::new(Cause::BadContinueAsNewAttributes, text);
    if kind.len() > limits.id_length_max {
        return Err(bad(format!(
            "WorkflowType on {name} exceeds length limit. WorkflowType={kind} Length={} Limit={}",
            kind.len(),
            limits.id_length_max
        )));
    }
    let queue = command.task_queue.get_or_insert_default();
    if queue.name.is_empty() {
        queue.name = start.task_queue().to_owned();
    }
    queue.kind = TaskQueueKind::Normal as i32;
    let queue = queue.name.clone();
    check_queue_name(&queue, limits.id_length_max).map_err(|text| {
        bad(format!("error validating {name} TaskQueue: {text}. WorkflowType={kind} TaskQueue={queue}"))
    })?;
    for (what, timeout) in [
        ("WorkflowRunTimeout", &command.workflow_run_timeout),
        ("WorkflowTaskTimeout", &command.workflow_task_timeout),
        ("BackoffStartInterval", &command.backoff_start_interval),
    ] {
        if timeout.as_ref().is_some_and(|it| it.seconds < 0 || it.nanos < 0) {
            return Err(bad(format!(
                "Invalid {what} on {name}: negative duration. WorkflowType={kind} TaskQueue={queue}"
            )));
        }
    }
    if let Some(policy) = &mut command.retry_policy {
        retry::fill(policy, &limits.workflow_retry_policy);
        retry::validate(policy).map_err(|text| {
            bad(format!("invalid WorkflowRetryPolicy on {name}: {text}. WorkflowType={kind} TaskQueue={queue}"))
        })?;
    }
    if let Some(attributes) = &command.search_attributes {
        let namespace = draft.env.namespace;
        search_attributes::decode(attributes, &namespace.name, &namespace.search_attributes, limits).map_err(
            |text| {
                BadCommand::new(
                    Cause::BadSearchAttributes,
                    format!("invalid SearchAttributes on {name}: {text}. WorkflowType={kind} TaskQueue={queue}"),
                )
            },
        )?;
    }
    let bytes = command.input.as_ref().map_or(0, Message::encoded_len);
    if bytes > limits.blob_size_bytes_max {
        return Err(BadCommand::fatal(
            Cause::BadContinueAsNewAttributes,
            format!(
                "ContinueAsNewWorkflowExecutionCommandAttributes. Input exceeds size limit. Size={bytes} Limit={}",
                limits.blob_size_bytes_max
            ),
        ));
    }
    let bytes = command.memo.as_ref().map_or(0, Message::encoded_len);
    if bytes > limits.memo_size_bytes_max {
        return Err(BadCommand::fatal(
            Cause::BadContinueAsNewAttributes,
            format!(
                "ContinueAsNewWorkflowExecutionCommandAttributes. Memo exceeds size limit. Size={bytes} Limit={}",
                limits.memo_size_bytes_max
            ),
        ));
    }
    let or = |asked: &Option<prost_types::Duration>, own: Duration| match duration(asked.as_ref()) {
        Duration::ZERO => own,
        asked => asked,
    };
    let run = start::run_timeout(or(&command.workflow_run_timeout, start.run_timeout()), start.execution_timeout());
    let task = start::task_timeout(or(&command.workflow_task_timeout, start.task_timeout()), run, limits);
    Ok((run, task))
}

/// Creates the next run. The closing event that names it has been recorded.
pub(crate) fn begin(draft: &mut Draft<'_>, next: Continuation) {
    let start = draft.state.start.clone();
    // A chain that does nothing but go on must not take a whole core.
    let lifetime = draft.now() - start.execution_time();
    let backoff = next.backoff.max(RUN_INTERVAL_MIN.saturating_sub(lifetime));
    let event = WorkflowExecutionStartedEventAttributes {
        workflow_type: next.workflow_type,
        task_queue: next.task_queue,
        input: next.input,
        workflow_run_timeout: wire(next.run_timeout),
        workflow_task_timeout: wire(next.task_timeout),
        continued_execution_run_id: start.run_id.to_string(),
        initiator: next.initiator as i32,
        continued_failure: next.failure,
        last_completion_result: next.last_completion_result,
        original_execution_run_id: next.run_id.to_string(),
        retry_policy: next.retry_policy,
        attempt: next.attempt,
        cron_schedule: next.cron_schedule,
        first_workflow_task_backoff: wire(backoff),
        memo: next.memo,
        search_attributes: next.search_attributes,
        header: next.header,
        // What belongs to the chain stays: who started it, its parent, its own end.
        parent_workflow_namespace: start.event.parent_workflow_namespace.clone(),
        parent_workflow_namespace_id: start.event.parent_workflow_namespace_id.clone(),
        parent_workflow_execution: start.event.parent_workflow_execution.clone(),
        parent_initiated_event_id: start.event.parent_initiated_event_id,
        parent_initiated_event_version: start.event.parent_initiated_event_version,
        root_workflow_execution: start.event.root_workflow_execution.clone(),
        workflow_execution_timeout: start.event.workflow_execution_timeout,
        workflow_execution_expiration_time: start.event.workflow_execution_expiration_time,
        first_execution_run_id: start.event.first_execution_run_id.clone(),
        workflow_id: start.workflow_id.clone(),
        priority: start.event.priority.clone(),
        ..WorkflowExecutionStartedEventAttributes::default()
    };
    let env = Env {
        first_id: draft.env.first_id + draft.step.ids_used,
        seed: draft.env.seed.rotate_left(17) ^ 0x5bd1_e995,
        ..*draft.env
    };
    let begin = Begin {
        run_id: next.run_id,
        event,
        request_id: next.run_id.to_string(),
        user_metadata: start.user_metadata.clone(),
        links: Vec::new(),
        signal: None,
        eager: None,
    };
    let (state, step) = start::begin(begin, &env);
    draft.step.ids_used += step.ids_used;
    draft.step.successor = Some(Box::new(Successor { state, step }));
}
