//! The words that stories are told with: requests, commands, messages, failures.

use crate::{
    step::{CancelRequest, ChildOutcome, Input, Signal},
    time::{duration, wire},
};
use api::{
    command::v1::{
        CancelTimerCommandAttributes, CancelWorkflowExecutionCommandAttributes, Command,
        CompleteWorkflowExecutionCommandAttributes, ContinueAsNewWorkflowExecutionCommandAttributes,
        FailWorkflowExecutionCommandAttributes, ModifyWorkflowPropertiesCommandAttributes,
        ProtocolMessageCommandAttributes, RecordMarkerCommandAttributes, RequestCancelActivityTaskCommandAttributes,
        RequestCancelExternalWorkflowExecutionCommandAttributes, ScheduleActivityTaskCommandAttributes,
        SignalExternalWorkflowExecutionCommandAttributes, StartChildWorkflowExecutionCommandAttributes,
        StartTimerCommandAttributes, UpsertWorkflowSearchAttributesCommandAttributes, command::Attributes as C,
    },
    common::v1::{
        ActivityType, Memo, Payload, Payloads, RetryPolicy, SearchAttributes, WorkflowExecution, WorkflowType,
    },
    enums::v1::{CommandType, ParentClosePolicy},
    failure::v1::{ApplicationFailureInfo, CanceledFailureInfo, Failure, failure::FailureInfo},
    history::v1::{
        HistoryEvent, WorkflowExecutionCompletedEventAttributes, WorkflowExecutionFailedEventAttributes,
        history_event::Attributes as A,
    },
    protocol::v1::Message,
    taskqueue::v1::TaskQueue,
    update::v1::{Acceptance, Input as UpdateInput, Meta, Outcome, Rejection, Request, Response, outcome::Value},
    workflowservice::v1::StartWorkflowExecutionRequest,
};
use bytes::Bytes;
use prost::Name;
use std::time::Duration;
use uuid::Uuid;

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn mins(mins: u64) -> Duration {
    Duration::from_secs(60 * mins)
}

pub(crate) fn payload(text: &str) -> Payload {
    Payload {
        metadata: [("encoding".to_owned(), Bytes::from_static(b"json/plain"))].into(),
        data: Bytes::copy_from_slice(text.as_bytes()),
        ..Payload::default()
    }
}

pub(crate) fn payloads(text: &str) -> Payloads {
    Payloads { payloads: vec![payload(text)] }
}

/// Payloads of about this many bytes.
pub(crate) fn large(bytes: usize) -> Payloads {
    payloads(&"x".repeat(bytes))
}

pub(crate) fn queue(name: &str) -> Option<TaskQueue> {
    Some(TaskQueue { name: name.into(), ..TaskQueue::default() })
}

pub(crate) fn execution(workflow_id: &str, run_id: Option<Uuid>) -> WorkflowExecution {
    WorkflowExecution { workflow_id: workflow_id.into(), run_id: run_id.map(|it| it.to_string()).unwrap_or_default() }
}

pub(crate) fn request() -> StartWorkflowExecutionRequest {
    StartWorkflowExecutionRequest {
        namespace: "default".into(),
        workflow_id: "w".into(),
        workflow_type: Some(WorkflowType { name: "W".into() }),
        task_queue: queue("q"),
        identity: "starter".into(),
        request_id: "start".into(),
        ..StartWorkflowExecutionRequest::default()
    }
}

pub(crate) fn retry_policy(maximum_attempts: i32) -> Option<RetryPolicy> {
    Some(RetryPolicy { maximum_attempts, ..RetryPolicy::default() })
}

// Inputs from outside.

pub(crate) fn signal(name: &str) -> Input {
    signal_once(name, "")
}

/// A signal with a request id.
pub(crate) fn signal_once(name: &str, request_id: &str) -> Input {
    Input::Signal(Signal {
        name: name.into(),
        input: None,
        identity: "client".into(),
        header: None,
        request_id: request_id.into(),
        links: Vec::new(),
        external: None,
    })
}

pub(crate) fn request_cancel() -> Input {
    Input::RequestCancel(CancelRequest {
        reason: "enough".into(),
        identity: "client".into(),
        request_id: String::new(),
        links: Vec::new(),
        external: None,
        first_run_id: None,
        child_only: None,
    })
}

pub(crate) fn terminate() -> Input {
    Input::Terminate { reason: "stop".into(), details: None, identity: "client".into(), links: Vec::new() }
}

pub(crate) fn update_request(id: &str) -> Request {
    Request {
        meta: Some(Meta { update_id: id.into(), identity: "client".into() }),
        input: Some(UpdateInput { name: "change".into(), ..UpdateInput::default() }),
        ..Request::default()
    }
}

pub(crate) fn update(id: &str) -> Input {
    Input::Update(Box::new(update_request(id)))
}

// Failures.

pub(crate) fn application_failure(message: &str) -> Failure {
    application_failure_of("Oops", message)
}

pub(crate) fn application_failure_of(kind: &str, message: &str) -> Failure {
    Failure {
        message: message.into(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
            r#type: kind.into(),
            ..ApplicationFailureInfo::default()
        })),
        ..Failure::default()
    }
}

pub(crate) fn non_retryable_failure(message: &str) -> Failure {
    change_application(application_failure(message), |it| it.non_retryable = true)
}

pub(crate) fn failure_with_delay(message: &str, delay: Duration) -> Failure {
    change_application(application_failure(message), |it| it.next_retry_delay = wire(delay))
}

fn change_application(mut failure: Failure, change: impl FnOnce(&mut ApplicationFailureInfo)) -> Failure {
    if let Some(FailureInfo::ApplicationFailureInfo(info)) = &mut failure.failure_info {
        change(info);
    }
    failure
}

pub(crate) fn canceled_failure() -> Failure {
    Failure {
        message: "canceled".into(),
        failure_info: Some(FailureInfo::CanceledFailureInfo(CanceledFailureInfo::default())),
        ..Failure::default()
    }
}

// Commands.

pub(crate) fn command(kind: CommandType, attributes: C) -> Command {
    Command { command_type: kind as i32, attributes: Some(attributes), ..Command::default() }
}

pub(crate) fn bare(kind: CommandType) -> Command {
    Command { command_type: kind as i32, ..Command::default() }
}

pub(crate) fn start_timer(id: &str, after: Duration) -> Command {
    command(
        CommandType::StartTimer,
        C::StartTimerCommandAttributes(Box::new(StartTimerCommandAttributes {
            timer_id: id.into(),
            start_to_fire_timeout: wire(after),
        })),
    )
}

pub(crate) fn cancel_timer(id: &str) -> Command {
    command(
        CommandType::CancelTimer,
        C::CancelTimerCommandAttributes(Box::new(CancelTimerCommandAttributes { timer_id: id.into() })),
    )
}

/// An activity that may run for 10 s and is retried for ever.
pub(crate) fn schedule_activity(id: &str) -> Command {
    schedule_activity_with(id, |_| ())
}

pub(crate) fn schedule_activity_with(
    id: &str,
    change: impl FnOnce(&mut ScheduleActivityTaskCommandAttributes),
) -> Command {
    let mut attributes = ScheduleActivityTaskCommandAttributes {
        activity_id: id.into(),
        activity_type: Some(ActivityType { name: "A".into() }),
        task_queue: queue("q"),
        start_to_close_timeout: wire(secs(10)),
        ..ScheduleActivityTaskCommandAttributes::default()
    };
    change(&mut attributes);
    command(CommandType::ScheduleActivityTask, C::ScheduleActivityTaskCommandAttributes(Box::new(attributes)))
}

pub(crate) fn cancel_activity(scheduled_event_id: i64) -> Command {
    command(
        CommandType::RequestCancelActivityTask,
        C::RequestCancelActivityTaskCommandAttributes(Box::new(RequestCancelActivityTaskCommandAttributes {
            scheduled_event_id,
        })),
    )
}

pub(crate) fn complete_workflow() -> Command {
    complete_workflow_with(Some(payloads("done")))
}

pub(crate) fn complete_workflow_with(result: Option<Payloads>) -> Command {
    command(
        CommandType::CompleteWorkflowExecution,
        C::CompleteWorkflowExecutionCommandAttributes(Box::new(CompleteWorkflowExecutionCommandAttributes { result })),
    )
}

pub(crate) fn fail_workflow(failure: Failure) -> Command {
    command(
        CommandType::FailWorkflowExecution,
        C::FailWorkflowExecutionCommandAttributes(Box::new(FailWorkflowExecutionCommandAttributes {
            failure: Some(failure),
        })),
    )
}

pub(crate) fn cancel_workflow() -> Command {
    command(
        CommandType::CancelWorkflowExecution,
        C::CancelWorkflowExecutionCommandAttributes(Box::new(CancelWorkflowExecutionCommandAttributes {
            details: Some(payloads("cancelled")),
        })),
    )
}

pub(crate) fn continue_as_new() -> Command {
    continue_as_new_with(|_| ())
}

pub(crate) fn continue_as_new_with(
    change: impl FnOnce(&mut ContinueAsNewWorkflowExecutionCommandAttributes),
) -> Command {
    let mut attributes = ContinueAsNewWorkflowExecutionCommandAttributes {
        input: Some(payloads("next")),
        ..ContinueAsNewWorkflowExecutionCommandAttributes::default()
    };
    change(&mut attributes);
    let attributes = C::ContinueAsNewWorkflowExecutionCommandAttributes(Box::new(attributes));
    command(CommandType::ContinueAsNewWorkflowExecution, attributes)
}

pub(crate) fn record_marker(name: &str) -> Command {
    command(
        CommandType::RecordMarker,
        C::RecordMarkerCommandAttributes(Box::new(RecordMarkerCommandAttributes {
            marker_name: name.into(),
            ..RecordMarkerCommandAttributes::default()
        })),
    )
}

pub(crate) fn upsert_memo(key: &str, value: Payload) -> Command {
    let memo = Memo { fields: [(key.to_owned(), value)].into() };
    command(
        CommandType::ModifyWorkflowProperties,
        C::ModifyWorkflowPropertiesCommandAttributes(Box::new(ModifyWorkflowPropertiesCommandAttributes {
            upserted_memo: Some(memo),
        })),
    )
}

pub(crate) fn upsert_search_attribute(key: &str, json: &str) -> Command {
    let attributes = SearchAttributes { indexed_fields: [(key.to_owned(), payload(json))].into() };
    command(
        CommandType::UpsertWorkflowSearchAttributes,
        C::UpsertWorkflowSearchAttributesCommandAttributes(Box::new(UpsertWorkflowSearchAttributesCommandAttributes {
            search_attributes: Some(attributes),
        })),
    )
}

pub(crate) fn start_child(workflow_id: &str) -> Command {
    start_child_with(workflow_id, |_| ())
}

pub(crate) fn start_child_with(
    workflow_id: &str,
    change: impl FnOnce(&mut StartChildWorkflowExecutionCommandAttributes),
) -> Command {
    let mut attributes = StartChildWorkflowExecutionCommandAttributes {
        workflow_id: workflow_id.into(),
        workflow_type: Some(WorkflowType { name: "C".into() }),
        task_queue: queue("q"),
        ..StartChildWorkflowExecutionCommandAttributes::default()
    };
    change(&mut attributes);
    command(
        CommandType::StartChildWorkflowExecution,
        C::StartChildWorkflowExecutionCommandAttributes(Box::new(attributes)),
    )
}

pub(crate) fn start_child_closing(workflow_id: &str, policy: ParentClosePolicy) -> Command {
    start_child_with(workflow_id, |it| it.parent_close_policy = policy as i32)
}

pub(crate) fn signal_external(workflow_id: &str) -> Command {
    command(
        CommandType::SignalExternalWorkflowExecution,
        C::SignalExternalWorkflowExecutionCommandAttributes(Box::new(
            SignalExternalWorkflowExecutionCommandAttributes {
                execution: Some(execution(workflow_id, None)),
                signal_name: "hello".into(),
                ..SignalExternalWorkflowExecutionCommandAttributes::default()
            },
        )),
    )
}

pub(crate) fn cancel_external(workflow_id: &str) -> Command {
    command(
        CommandType::RequestCancelExternalWorkflowExecution,
        C::RequestCancelExternalWorkflowExecutionCommandAttributes(Box::new(
            RequestCancelExternalWorkflowExecutionCommandAttributes {
                workflow_id: workflow_id.into(),
                reason: "enough".into(),
                ..RequestCancelExternalWorkflowExecutionCommandAttributes::default()
            },
        )),
    )
}

/// Puts a message at this place among the commands.
pub(crate) fn message_here(message: &Message) -> Command {
    command(
        CommandType::ProtocolMessage,
        C::ProtocolMessageCommandAttributes(Box::new(ProtocolMessageCommandAttributes {
            message_id: message.id.clone(),
        })),
    )
}

// Messages.

fn message<M: Name>(update_id: &str, what: &str, body: &M) -> Message {
    Message {
        id: format!("{update_id}/{what}"),
        protocol_instance_id: update_id.into(),
        sequencing_id: None,
        body: Some(prost_types::Any {
            type_url: format!("type.googleapis.com/{}", M::full_name()),
            value: body.encode_to_vec(),
        }),
    }
}

pub(crate) fn accept(update_id: &str) -> Message {
    let acceptance =
        Acceptance { accepted_request_message_id: format!("{update_id}/request"), ..Acceptance::default() };
    message(update_id, "accept", &acceptance)
}

/// An acceptance that brings the request back, as workers send it.
pub(crate) fn accept_with_request(update_id: &str) -> Message {
    let acceptance = Acceptance {
        accepted_request_message_id: format!("{update_id}/request"),
        accepted_request: Some(update_request(update_id)),
        ..Acceptance::default()
    };
    message(update_id, "accept", &acceptance)
}

pub(crate) fn answer(update_id: &str, result: &str) -> Message {
    let meta = Some(Meta { update_id: update_id.into(), identity: "client".into() });
    let outcome = Some(Outcome { value: Some(Value::Success(payloads(result))) });
    message(update_id, "complete", &Response { meta, outcome })
}

pub(crate) fn reject(update_id: &str) -> Message {
    let rejection = Rejection {
        rejected_request_message_id: format!("{update_id}/request"),
        failure: Some(application_failure("not now")),
        ..Rejection::default()
    };
    message(update_id, "reject", &rejection)
}

// What children report.

pub(crate) fn child_closed(initiated: i64, workflow_id: &str, run_id: Uuid, outcome: A) -> Input {
    let event = HistoryEvent { attributes: Some(outcome), ..HistoryEvent::default() };
    Input::ChildClosed { initiated, workflow_id: workflow_id.into(), run_id, outcome: Box::new(ChildOutcome { event }) }
}

pub(crate) fn completed() -> A {
    A::WorkflowExecutionCompletedEventAttributes(Box::new(WorkflowExecutionCompletedEventAttributes {
        result: Some(payloads("child's result")),
        ..WorkflowExecutionCompletedEventAttributes::default()
    }))
}

pub(crate) fn failed() -> A {
    A::WorkflowExecutionFailedEventAttributes(Box::new(WorkflowExecutionFailedEventAttributes {
        failure: Some(application_failure("child broke")),
        ..WorkflowExecutionFailedEventAttributes::default()
    }))
}

pub(crate) fn canceled() -> A {
    A::WorkflowExecutionCanceledEventAttributes(Box::default())
}

pub(crate) fn timed_out() -> A {
    A::WorkflowExecutionTimedOutEventAttributes(Box::default())
}

pub(crate) fn terminated() -> A {
    A::WorkflowExecutionTerminatedEventAttributes(Box::default())
}

/// A duration of the wire, as text; nothing for zero.
pub(super) fn shown_duration(wire: Option<&prost_types::Duration>) -> Option<String> {
    let duration = duration(wire);
    (!duration.is_zero()).then(|| format!("{duration:?}"))
}
