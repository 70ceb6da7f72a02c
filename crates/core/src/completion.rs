//! A worker completes a workflow task: its commands and messages become events, in order.
//!
//! Invariants
//! - Commands take effect together or not at all: a bad one fails the task as if none had been sent.
//! - After it, the run is closed, or has a next task if anything happened that workflow code has not seen.

use crate::{
    activity, child, close, continue_as_new,
    draft::Draft,
    external, history_limits, properties,
    state::{StartedTask, Sticky, TaskClass, WorkflowTask},
    step::{BadCommand, Rejection, Reply, TaskCompleted, TaskCompletion},
    time::duration,
    timer, update, workflow_task,
};
use api::{
    command::v1::{Command, command::Attributes as C},
    enums::v1::{CommandType, EventType, WorkerVersioningMode, WorkflowTaskFailedCause as Cause},
    failure::v1::{Failure, ServerFailureInfo, failure::FailureInfo},
    history::v1::{WorkflowTaskCompletedEventAttributes, history_event::Attributes},
    protocol::v1::Message,
    update::v1::Rejection as RejectionMessage,
    workflowservice::v1::RespondWorkflowTaskCompletedRequest as Request,
};
use prost::Name;

pub(crate) fn on_complete(draft: &mut Draft<'_>, completion: TaskCompletion) -> Result<Reply, Rejection> {
    let task = workflow_task::current(draft, &completion.token)?;
    let mut request = completion.request;
    draft.step.durable = true;

    if task.class == TaskClass::Speculative && leaves_no_trace(draft, &request) {
        return Ok(discard(draft, &task, &request));
    }
    if is_heartbeat(&request) && heartbeats_too_long(draft, &task) {
        workflow_task::time_out_started(draft, task);
        update::unsend(draft);
        workflow_task::schedule(draft);
        return Ok(Reply::TaskTimedOut);
    }

    check_sequence(&request)?;
    let before = draft.state.clone();
    let attempt = task.attempt;
    match complete(draft, task.clone(), &mut request) {
        Ok(done) => Ok(Reply::TaskCompleted(Box::new(done))),
        Err(bad) if attempt > 1 && bad.cause != Cause::UnhandledCommand => {
            // Left to time out, which is what slows a task down that keeps failing.
            Err(Rejection::Invalid(bad.message()))
        }
        Err(bad) => {
            draft.reset(before);
            refuse(draft, task, &bad, &request);
            Ok(Reply::TaskRefused(bad.message()))
        }
    }
}

fn kind_of(command: &Command) -> CommandType {
    CommandType::try_from(command.command_type).unwrap_or(CommandType::Unspecified)
}

/// A closing command must be the last: what comes after it could never happen.
fn check_sequence(request: &Request) -> Result<(), Rejection> {
    if let Some(unknown) = request.commands.iter().find(|it| kind_of(it) == CommandType::Unspecified) {
        let name = match unknown.command_type {
            0 => "Unspecified".to_owned(),
            number => number.to_string(),
        };
        return Err(Rejection::Invalid(format!("unknown command type: {name}")));
    }
    let closing = request.commands.iter().position(|command| {
        matches!(
            kind_of(command),
            CommandType::CompleteWorkflowExecution
                | CommandType::FailWorkflowExecution
                | CommandType::CancelWorkflowExecution
                | CommandType::ContinueAsNewWorkflowExecution
        )
    });
    let name =
        |command: &Command| crate::step::camel(kind_of(command).as_str_name().trim_start_matches("COMMAND_TYPE_"));
    match closing {
        Some(at) if at + 1 < request.commands.len() => {
            let names: Vec<String> = request.commands.iter().map(name).collect();
            Err(Rejection::Invalid(format!(
                "invalid command sequence: [{}], command {} must be the last command.",
                names.join(", "),
                names[at]
            )))
        }
        _ => Ok(()),
    }
}

/// Fails the task because of what the worker answered, and arranges the next one.
fn refuse(draft: &mut Draft<'_>, task: StartedTask, bad: &BadCommand, request: &Request) {
    let failure = Failure {
        message: bad.message(),
        failure_info: Some(FailureInfo::ServerFailureInfo(ServerFailureInfo::default())),
        ..Failure::default()
    };
    update::abort_sent(draft);
    workflow_task::fail(
        draft,
        task,
        bad.cause,
        Some(failure),
        request.identity.clone(),
        request.binary_checksum.clone(),
    );
    if bad.terminate {
        draft.flush_buffered();
        close::terminate(draft, bad.message(), None, crate::terminate::SERVER_IDENTITY.to_owned(), Vec::new());
        return;
    }
    workflow_task::schedule(draft);
}

/// A speculative task whose updates were all rejected is forgotten, unless too much else rode on it.
fn leaves_no_trace(draft: &Draft<'_>, request: &Request) -> bool {
    let progress = &draft.state.recorded.progress;
    let events_shipped = progress.next_event_id - (progress.last_completed_started + 2);
    let may_ship_again =
        request.capabilities.as_ref().is_some_and(|it| it.discard_speculative_workflow_task_with_events);
    let allowed = if may_ship_again { workflow_task::SPECULATIVE_EVENTS_MAX } else { 0 };
    request.commands.is_empty()
        && !request.force_create_new_workflow_task
        && events_shipped <= allowed
        && request.messages.iter().all(|message| body_name(message) == RejectionMessage::full_name())
}

fn body_name(message: &Message) -> &str {
    message.body.as_ref().and_then(|it| it.type_url.rsplit('/').next()).unwrap_or_default()
}

fn discard(draft: &mut Draft<'_>, task: &StartedTask, request: &Request) -> Reply {
    draft.set_workflow_task(WorkflowTask::None);
    for message in &request.messages {
        if let Err(bad) = update::on_message(draft, message) {
            // The rejected update is gone already; nothing hangs on the message.
            debug_assert!(!bad.terminate);
        }
    }
    update::reject_unprocessed(draft);
    let mut done = TaskCompleted {
        reset_to: Some(draft.state.recorded.progress.last_completed_started),
        ..TaskCompleted::default()
    };
    if update::has_unsent(&draft.state) {
        workflow_task::schedule_speculative(draft);
        done.next = start_inline(draft, request, task);
    }
    draft.step.durable = false;
    Reply::TaskCompleted(Box::new(done))
}

/// A worker that only says it is still busy. With commands or messages it makes progress.
fn is_heartbeat(request: &Request) -> bool {
    request.force_create_new_workflow_task && request.commands.is_empty() && request.messages.is_empty()
}

fn heartbeats_too_long(draft: &Draft<'_>, task: &StartedTask) -> bool {
    draft.now() - task.original_scheduled_at > draft.env.limits.workflow_task_heartbeat_total_max
}

fn complete(draft: &mut Draft<'_>, mut task: StartedTask, request: &mut Request) -> Result<TaskCompleted, BadCommand> {
    let waiting = draft.has_buffered();
    let heartbeat = is_heartbeat(request);
    workflow_task::record_pair(draft, &mut task);
    draft.set_workflow_task(WorkflowTask::None);
    let first = draft.state.recorded.progress.first_completed_task == 0;
    let completed = draft.record(completed_event(&task, request));
    {
        let sticky = request.sticky_attributes.take().and_then(|it| {
            let queue = it.worker_task_queue.filter(|queue| !queue.name.is_empty())?;
            Some(Sticky { queue: queue.name, schedule_to_start: duration(it.schedule_to_start_timeout.as_ref()) })
        });
        let state = draft.task();
        state.attempt = 1;
        state.failures_in_a_row = 0;
        state.sticky = sticky;
    }
    properties::clear_problem(draft);
    if first {
        // The build-ids attribute appears with the first completed task.
        draft.step.visibility = true;
    }

    let mut commands = Commands { completed, waiting, identity: request.identity.clone(), wake: false };
    let mut messages: Vec<Option<Message>> = std::mem::take(&mut request.messages).into_iter().map(Some).collect();
    for command in std::mem::take(&mut request.commands) {
        commands.apply(draft, command, &mut messages)?;
    }
    for message in messages.iter().flatten() {
        if draft.state.is_running() {
            update::on_message(draft, message)?;
        }
    }
    if draft.state.is_running() && !request.force_create_new_workflow_task {
        update::reject_unprocessed(draft);
    }

    let mut done = TaskCompleted::default();
    if !draft.state.is_running() {
        return Ok(done);
    }
    for scheduled in std::mem::take(&mut draft.eager) {
        if draft.state.activity(scheduled).is_some() {
            let activity = activity::start_eagerly(draft, scheduled, request.identity.clone());
            done.activities.push(activity);
        }
    }
    if let Some(reason) = history_limits::exceeded(draft) {
        return Err(BadCommand::fatal(Cause::ForceCloseCommand, reason));
    }
    if !draft.state.is_running() {
        return Ok(done);
    }
    let inline = request.return_new_workflow_task;
    if request.force_create_new_workflow_task || draft.has_buffered() || commands.wake {
        let original = if heartbeat { task.original_scheduled_at } else { draft.now() };
        workflow_task::schedule_as(draft, TaskClass::Normal, original);
    } else if update::has_unsent(&draft.state) {
        if inline {
            workflow_task::schedule_speculative(draft);
        } else {
            workflow_task::schedule(draft);
        }
    }
    if inline {
        done.next = start_inline(draft, request, &task);
    }
    Ok(done)
}

/// Starts the next task in the reply itself, for the worker that has the run in its cache.
fn start_inline(draft: &mut Draft<'_>, request: &Request, previous: &StartedTask) -> Option<crate::step::PolledTask> {
    if !matches!(draft.state.workflow_task(), WorkflowTask::Scheduled(_)) {
        return None;
    }
    let request_id = format!("{}-next", previous.request_id);
    Some(workflow_task::start(draft, request.identity.clone(), request_id, true, false))
}

fn completed_event(task: &StartedTask, request: &mut Request) -> Attributes {
    let unversioned = request
        .deployment_options
        .as_ref()
        .is_some_and(|it| it.worker_versioning_mode != WorkerVersioningMode::Versioned as i32);
    Attributes::WorkflowTaskCompletedEventAttributes(Box::new(WorkflowTaskCompletedEventAttributes {
        scheduled_event_id: task.scheduled,
        started_event_id: task.started,
        identity: request.identity.clone(),
        binary_checksum: request.binary_checksum.clone(),
        worker_version: request.worker_version_stamp.take(),
        sdk_metadata: request.sdk_metadata.take(),
        metering_metadata: request.metering_metadata.take(),
        versioning_behavior: if unversioned { 0 } else { request.versioning_behavior },
        worker_deployment_name: request
            .deployment_options
            .as_ref()
            .map(|it| it.deployment_name.clone())
            .unwrap_or_default(),
        ..WorkflowTaskCompletedEventAttributes::default()
    }))
}

/// The commands of one completion.
pub(crate) struct Commands {
    /// The WorkflowTaskCompleted event that they follow.
    pub completed: i64,
    /// Something that workflow code has not seen waits: it may not close the run.
    pub waiting: bool,
    pub identity: String,
    /// A command changed something that workflow code must be told at once.
    pub wake: bool,
}

impl Commands {
    fn apply(
        &mut self,
        draft: &mut Draft<'_>,
        command: Command,
        messages: &mut [Option<Message>],
    ) -> Result<(), BadCommand> {
        let kind = CommandType::try_from(command.command_type).unwrap_or(CommandType::Unspecified);
        let events_before = draft.step.events.len();
        let Some(attributes) = command.attributes else {
            return Err(absent(kind, command.command_type));
        };
        match attributes {
            C::ScheduleActivityTaskCommandAttributes(it) => activity::on_schedule(draft, self, *it)?,
            C::RequestCancelActivityTaskCommandAttributes(it) => activity::on_request_cancel(draft, self, &it)?,
            C::StartTimerCommandAttributes(it) => timer::on_start(draft, self, *it)?,
            C::CancelTimerCommandAttributes(it) => timer::on_cancel(draft, self, *it)?,
            C::CompleteWorkflowExecutionCommandAttributes(it) => close::on_complete(draft, self, *it)?,
            C::FailWorkflowExecutionCommandAttributes(it) => close::on_fail(draft, self, *it)?,
            C::CancelWorkflowExecutionCommandAttributes(it) => close::on_cancel(draft, self, *it)?,
            C::ContinueAsNewWorkflowExecutionCommandAttributes(it) => continue_as_new::on_command(draft, self, *it)?,
            C::RequestCancelExternalWorkflowExecutionCommandAttributes(it) => external::on_cancel(draft, self, *it)?,
            C::SignalExternalWorkflowExecutionCommandAttributes(it) => external::on_signal(draft, self, *it)?,
            C::UpsertWorkflowSearchAttributesCommandAttributes(it) => {
                properties::on_search_attributes(draft, self, *it)?
            }
            C::ModifyWorkflowPropertiesCommandAttributes(it) => properties::on_memo(draft, self, *it)?,
            C::RecordMarkerCommandAttributes(it) => properties::on_marker(draft, self, *it)?,
            C::StartChildWorkflowExecutionCommandAttributes(it) => {
                child::on_command(draft, self, *it, command.user_metadata.clone())?;
            }
            C::ProtocolMessageCommandAttributes(it) => {
                if it.message_id.is_empty() {
                    return Err(BadCommand::new(
                        Cause::BadUpdateWorkflowExecutionMessage,
                        "MessageID is not set on ProtocolMessageCommand.",
                    ));
                }
                let message = messages
                    .iter_mut()
                    .find(|slot| slot.as_ref().is_some_and(|message| message.id == it.message_id))
                    .and_then(Option::take);
                let Some(message) = message else {
                    return Err(BadCommand::new(
                        Cause::BadUpdateWorkflowExecutionMessage,
                        format!("ProtocolMessageCommand referenced absent message ID {}", it.message_id),
                    ));
                };
                update::on_message(draft, &message)?;
                return Ok(());
            }
            C::ScheduleNexusOperationCommandAttributes(_) => {
                return Err(BadCommand::new(
                    Cause::BadScheduleNexusOperationAttributes,
                    "Nexus operations are not supported by this server",
                ));
            }
            C::RequestCancelNexusOperationCommandAttributes(_) => {
                return Err(BadCommand::new(
                    Cause::BadRequestCancelNexusOperationAttributes,
                    "Nexus operations are not supported by this server",
                ));
            }
        }
        draft.annotate(events_before, command.user_metadata, command.event_group_markers);
        Ok(())
    }

    /// Refuses to close a run behind the back of something it has not seen.
    pub fn may_close(&self) -> Result<(), BadCommand> {
        if self.waiting {
            return Err(BadCommand { cause: Cause::UnhandledCommand, text: None, terminate: false });
        }
        Ok(())
    }
}

/// The refusal of a command without attributes: each kind has its cause.
fn absent(kind: CommandType, number: i32) -> BadCommand {
    let (cause, name) = match kind {
        CommandType::ScheduleActivityTask => (Cause::BadScheduleActivityAttributes, "ScheduleActivityTask"),
        CommandType::RequestCancelActivityTask => {
            (Cause::BadRequestCancelActivityAttributes, "RequestCancelActivityTask")
        }
        CommandType::StartTimer => (Cause::BadStartTimerAttributes, "StartTimer"),
        CommandType::CancelTimer => (Cause::BadCancelTimerAttributes, "CancelTimer"),
        CommandType::CompleteWorkflowExecution => {
            (Cause::BadCompleteWorkflowExecutionAttributes, "CompleteWorkflowExecution")
        }
        CommandType::FailWorkflowExecution => (Cause::BadFailWorkflowExecutionAttributes, "FailWorkflowExecution"),
        CommandType::CancelWorkflowExecution => {
            (Cause::BadCancelWorkflowExecutionAttributes, "CancelWorkflowExecution")
        }
        CommandType::ContinueAsNewWorkflowExecution => {
            (Cause::BadContinueAsNewAttributes, "ContinueAsNewWorkflowExecution")
        }
        CommandType::RequestCancelExternalWorkflowExecution => {
            (Cause::BadRequestCancelExternalWorkflowExecutionAttributes, "RequestCancelExternalWorkflowExecution")
        }
        CommandType::SignalExternalWorkflowExecution => {
            (Cause::BadSignalWorkflowExecutionAttributes, "SignalExternalWorkflowExecution")
        }
        CommandType::UpsertWorkflowSearchAttributes => (Cause::BadSearchAttributes, "UpsertWorkflowSearchAttributes"),
        CommandType::ModifyWorkflowProperties => {
            (Cause::BadModifyWorkflowPropertiesAttributes, "ModifyWorkflowProperties")
        }
        CommandType::RecordMarker => (Cause::BadRecordMarkerAttributes, "RecordMarker"),
        CommandType::StartChildWorkflowExecution => {
            (Cause::BadStartChildExecutionAttributes, "StartChildWorkflowExecution")
        }
        CommandType::ProtocolMessage => (Cause::BadUpdateWorkflowExecutionMessage, "ProtocolMessage"),
        CommandType::ScheduleNexusOperation => (Cause::BadScheduleNexusOperationAttributes, "ScheduleNexusOperation"),
        CommandType::RequestCancelNexusOperation => {
            (Cause::BadRequestCancelNexusOperationAttributes, "RequestCancelNexusOperation")
        }
        CommandType::Unspecified => {
            return BadCommand::new(Cause::Unspecified, format!("Unknown command type: {number}"));
        }
    };
    BadCommand::new(cause, format!("{name}CommandAttributes is not set on {name}Command."))
}

/// Which events close a run, for readers of history.
pub fn is_closing(event_type: i32) -> bool {
    matches!(
        EventType::try_from(event_type),
        Ok(EventType::WorkflowExecutionCompleted
            | EventType::WorkflowExecutionFailed
            | EventType::WorkflowExecutionTimedOut
            | EventType::WorkflowExecutionCanceled
            | EventType::WorkflowExecutionTerminated
            | EventType::WorkflowExecutionContinuedAsNew)
    )
}

#[cfg(test)]
mod tests;
