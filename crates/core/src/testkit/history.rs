//! Events, notices and transfers as one line of text each: what a story is about, and no more.

use super::inputs::shown_duration;
use crate::{
    step::{Notice, cause_name},
    transfer::Transfer,
};
use api::{
    common::v1::{Payload, Payloads, WorkflowExecution},
    enums::v1::{
        CancelExternalWorkflowExecutionFailedCause, ContinueAsNewInitiator, RetryState,
        SignalExternalWorkflowExecutionFailedCause, StartChildWorkflowExecutionFailedCause, TaskQueueKind, TimeoutType,
    },
    failure::v1::{Failure, failure::FailureInfo},
    history::v1::{HistoryEvent, history_event::Attributes as A},
    taskqueue::v1::TaskQueue,
    update::v1::{Outcome, outcome::Value},
};
use std::{collections::BTreeMap, fmt::Write};

/// One line: id, type, and what tells this event from others of its type.
pub(crate) fn shown(event: &HistoryEvent) -> String {
    let attributes = event.attributes.as_ref().expect("an event has attributes");
    let name = crate::step::camel(event.event_type().as_str_name().trim_start_matches("EVENT_TYPE_"));
    let mut parts = details(attributes);
    if let Some(summary) = event.user_metadata.as_ref().and_then(|it| it.summary.as_ref()) {
        parts.push(format!("summary={}", text(summary)));
    }
    format!("{} {name:<34} {}", event.event_id, parts.join(" ")).trim_end().to_owned()
}

fn details(attributes: &A) -> Vec<String> {
    let mut parts = Parts(Vec::new());
    match attributes {
        A::WorkflowExecutionStartedEventAttributes(it) => {
            parts.named("backoff", shown_duration(it.first_workflow_task_backoff.as_ref()));
            parts.named("attempt", (it.attempt > 1).then_some(it.attempt));
            let initiator = it.initiator();
            parts.named("by", (initiator != ContinueAsNewInitiator::Unspecified).then(|| initiator_name(it.initiator)));
            parts.named("input", it.input.as_ref().map(all_text));
            parts.named("last", it.last_completion_result.as_ref().map(all_text));
            parts.named("failed", it.continued_failure.as_ref().map(failure));
            parts.named("eager", it.eager_execution_accepted.then_some("yes"));
        }
        A::WorkflowTaskScheduledEventAttributes(it) => {
            parts.named("sticky", sticky(it.task_queue.as_ref()));
            parts.named("attempt", (it.attempt > 1).then_some(it.attempt));
            parts.named("timeout", shown_duration(it.start_to_close_timeout.as_ref()).filter(|it| it != "10s"));
        }
        A::WorkflowTaskStartedEventAttributes(it) => {
            parts.named("suggest", it.suggest_continue_as_new.then_some("continue-as-new"));
        }
        A::WorkflowTaskCompletedEventAttributes(_) => {}
        A::WorkflowTaskFailedEventAttributes(it) => {
            parts.push(cause_name(it.cause()));
            parts.named("failure", it.failure.as_ref().map(failure));
        }
        A::WorkflowTaskTimedOutEventAttributes(it) => parts.push(timeout(it.timeout_type)),
        A::ActivityTaskScheduledEventAttributes(it) => {
            parts.push(it.activity_id.clone());
            parts.named("to-close", shown_duration(it.schedule_to_close_timeout.as_ref()));
            parts.named("to-start", shown_duration(it.schedule_to_start_timeout.as_ref()));
            parts.named("run", shown_duration(it.start_to_close_timeout.as_ref()));
            parts.named("heartbeat", shown_duration(it.heartbeat_timeout.as_ref()));
        }
        A::ActivityTaskStartedEventAttributes(it) => {
            parts.named("scheduled", Some(it.scheduled_event_id));
            parts.named("attempt", Some(it.attempt));
            parts.named("last", it.last_failure.as_ref().map(failure));
        }
        A::ActivityTaskCompletedEventAttributes(it) => {
            parts.named("scheduled", Some(it.scheduled_event_id));
            parts.named("started", Some(it.started_event_id));
            parts.named("result", it.result.as_ref().map(all_text));
        }
        A::ActivityTaskFailedEventAttributes(it) => {
            parts.named("scheduled", Some(it.scheduled_event_id));
            parts.named("started", Some(it.started_event_id));
            parts.push(retry_state(it.retry_state));
            parts.named("failure", it.failure.as_ref().map(failure));
        }
        A::ActivityTaskTimedOutEventAttributes(it) => {
            parts.named("scheduled", Some(it.scheduled_event_id));
            parts.named("started", Some(it.started_event_id));
            parts.push(retry_state(it.retry_state));
            parts.named("failure", it.failure.as_ref().map(failure));
        }
        A::ActivityTaskCancelRequestedEventAttributes(it) => parts.named("scheduled", Some(it.scheduled_event_id)),
        A::ActivityTaskCanceledEventAttributes(it) => {
            parts.named("scheduled", Some(it.scheduled_event_id));
            parts.named("started", Some(it.started_event_id));
            parts.named("requested", Some(it.latest_cancel_requested_event_id));
            parts.named("details", it.details.as_ref().map(all_text));
        }
        A::TimerStartedEventAttributes(it) => {
            parts.push(it.timer_id.clone());
            parts.named("after", shown_duration(it.start_to_fire_timeout.as_ref()));
        }
        A::TimerFiredEventAttributes(it) => {
            parts.push(it.timer_id.clone());
            parts.named("started", Some(it.started_event_id));
        }
        A::TimerCanceledEventAttributes(it) => {
            parts.push(it.timer_id.clone());
            parts.named("started", Some(it.started_event_id));
        }
        A::WorkflowExecutionSignaledEventAttributes(it) => parts.push(it.signal_name.clone()),
        A::WorkflowExecutionCancelRequestedEventAttributes(it) => parts.push(it.cause.clone()),
        A::MarkerRecordedEventAttributes(it) => parts.push(it.marker_name.clone()),
        A::WorkflowExecutionCompletedEventAttributes(it) => {
            parts.named("result", it.result.as_ref().map(all_text));
            parts.named("next", (!it.new_execution_run_id.is_empty()).then_some("yes"));
        }
        A::WorkflowExecutionFailedEventAttributes(it) => {
            parts.push(retry_state(it.retry_state));
            parts.named("failure", it.failure.as_ref().map(failure));
            parts.named("next", (!it.new_execution_run_id.is_empty()).then_some("yes"));
        }
        A::WorkflowExecutionTimedOutEventAttributes(it) => {
            parts.push(retry_state(it.retry_state));
            parts.named("next", (!it.new_execution_run_id.is_empty()).then_some("yes"));
        }
        A::WorkflowExecutionCanceledEventAttributes(it) => parts.named("details", it.details.as_ref().map(all_text)),
        A::WorkflowExecutionTerminatedEventAttributes(it) => {
            parts.push(it.reason.clone());
            parts.named("by", Some(it.identity.clone()));
        }
        A::WorkflowExecutionContinuedAsNewEventAttributes(it) => {
            parts.named("by", Some(initiator_name(it.initiator)));
            parts.named("backoff", shown_duration(it.backoff_start_interval.as_ref()));
            parts.named("input", it.input.as_ref().map(all_text));
        }
        A::StartChildWorkflowExecutionInitiatedEventAttributes(it) => parts.push(it.workflow_id.clone()),
        A::StartChildWorkflowExecutionFailedEventAttributes(it) => {
            parts.named("initiated", Some(it.initiated_event_id));
            let cause = StartChildWorkflowExecutionFailedCause::try_from(it.cause).expect("a known cause");
            let prefix = "START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_";
            parts.push(short(cause.as_str_name(), prefix));
        }
        A::ChildWorkflowExecutionStartedEventAttributes(it) => {
            parts.named("initiated", Some(it.initiated_event_id));
            parts.push(target(it.workflow_execution.as_ref()));
        }
        A::ChildWorkflowExecutionCompletedEventAttributes(it) => {
            parts.child(it.initiated_event_id, it.started_event_id);
            parts.named("result", it.result.as_ref().map(all_text));
        }
        A::ChildWorkflowExecutionFailedEventAttributes(it) => {
            parts.child(it.initiated_event_id, it.started_event_id);
            parts.named("failure", it.failure.as_ref().map(failure));
        }
        A::ChildWorkflowExecutionCanceledEventAttributes(it) => parts.child(it.initiated_event_id, it.started_event_id),
        A::ChildWorkflowExecutionTimedOutEventAttributes(it) => {
            parts.child(it.initiated_event_id, it.started_event_id);
            parts.push(retry_state(it.retry_state));
        }
        A::ChildWorkflowExecutionTerminatedEventAttributes(it) => {
            parts.child(it.initiated_event_id, it.started_event_id);
        }
        A::SignalExternalWorkflowExecutionInitiatedEventAttributes(it) => {
            parts.push(target(it.workflow_execution.as_ref()));
            parts.push(it.signal_name.clone());
        }
        A::ExternalWorkflowExecutionSignaledEventAttributes(it) => {
            parts.named("initiated", Some(it.initiated_event_id));
        }
        A::SignalExternalWorkflowExecutionFailedEventAttributes(it) => {
            parts.named("initiated", Some(it.initiated_event_id));
            let cause = SignalExternalWorkflowExecutionFailedCause::try_from(it.cause).expect("a known cause");
            parts.push(short(cause.as_str_name(), "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_"));
        }
        A::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(it) => {
            parts.push(target(it.workflow_execution.as_ref()));
        }
        A::ExternalWorkflowExecutionCancelRequestedEventAttributes(it) => {
            parts.named("initiated", Some(it.initiated_event_id));
        }
        A::RequestCancelExternalWorkflowExecutionFailedEventAttributes(it) => {
            parts.named("initiated", Some(it.initiated_event_id));
            let cause = CancelExternalWorkflowExecutionFailedCause::try_from(it.cause).expect("a known cause");
            parts.push(short(cause.as_str_name(), "CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_"));
        }
        A::UpsertWorkflowSearchAttributesEventAttributes(it) => {
            let fields = it.search_attributes.as_ref().map(|it| &it.indexed_fields);
            parts.fields(fields);
        }
        A::WorkflowPropertiesModifiedEventAttributes(it) => {
            parts.fields(it.upserted_memo.as_ref().map(|it| &it.fields));
        }
        A::WorkflowExecutionUpdateAcceptedEventAttributes(it) => {
            parts.push(it.protocol_instance_id.clone());
            let request = it.accepted_request.as_ref().and_then(|it| it.input.as_ref()).map(|it| it.name.clone());
            parts.named("request", request);
        }
        A::WorkflowExecutionUpdateCompletedEventAttributes(it) => {
            parts.push(it.meta.as_ref().map(|it| it.update_id.clone()).unwrap_or_default());
            parts.named("accepted", Some(it.accepted_event_id));
            parts.push(it.outcome.as_ref().map(outcome).unwrap_or_default());
        }
        A::WorkflowExecutionOptionsUpdatedEventAttributes(it) => parts.push(it.attached_request_id.clone()),
        other => panic!("no story tells of {other:?}"),
    }
    parts.0
}

struct Parts(Vec<String>);

impl Parts {
    fn push(&mut self, part: String) {
        self.0.push(part);
    }

    fn named(&mut self, name: &str, value: Option<impl std::fmt::Display>) {
        self.0.extend(value.map(|value| format!("{name}={value}")));
    }

    fn child(&mut self, initiated: i64, started: i64) {
        self.named("initiated", Some(initiated));
        self.named("started", Some(started));
    }

    fn fields(&mut self, fields: Option<&BTreeMap<String, Payload>>) {
        for (name, value) in fields.into_iter().flatten() {
            self.named(name, Some(text(value)));
        }
    }
}

pub(super) fn notice(out: &mut String, notice: &Notice) {
    let line = match notice {
        Notice::UpdateAccepted { id } => format!("{id} accepted"),
        Notice::UpdateCompleted { id, outcome: it } => format!("{id} completed: {}", outcome(it)),
        Notice::UpdateRejected { id, failure: it } => format!("{id} rejected: {}", failure(it)),
        Notice::UpdateAborted { id, reason } => format!("{id} aborted: {reason:?}"),
    };
    writeln!(out, "{line}").expect("writing to memory");
}

pub(super) fn transfer(out: &mut String, transfer: &Transfer) {
    let line = match transfer {
        Transfer::StartChild { initiated, attributes, .. } => {
            format!("start {} of {initiated}", attributes.workflow_id)
        }
        Transfer::SignalExternal { initiated, target: to, signal_name, .. } => {
            format!("signal {} {signal_name} of {initiated}", target(Some(to)))
        }
        Transfer::CancelExternal { initiated, target: to, .. } => format!("cancel {} of {initiated}", target(Some(to))),
        Transfer::ChildClosed { parent, event } => {
            format!("tell {} of {}: {}", parent.workflow_id, parent.initiated, shown(event).trim())
        }
        Transfer::TerminateChild { workflow_id, .. } => format!("terminate child {workflow_id}"),
        Transfer::CancelChild { workflow_id, .. } => format!("cancel child {workflow_id}"),
    };
    writeln!(out, "{line}").expect("writing to memory");
}

fn outcome(outcome: &Outcome) -> String {
    match &outcome.value {
        Some(Value::Success(result)) => format!("result={}", all_text(result)),
        Some(Value::Failure(it)) => format!("failure={}", failure(it)),
        None => "nothing".into(),
    }
}

/// Kind, text, and what caused it.
fn failure(failure: &Failure) -> String {
    let kind = match &failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(it)) => it.r#type.clone(),
        Some(FailureInfo::TimeoutFailureInfo(it)) => {
            let details = it.last_heartbeat_details.as_ref().map(|it| format!("@{}", all_text(it)));
            timeout(it.timeout_type) + &details.unwrap_or_default()
        }
        Some(FailureInfo::CanceledFailureInfo(_)) => "Canceled".into(),
        Some(FailureInfo::TerminatedFailureInfo(_)) => "Terminated".into(),
        Some(FailureInfo::ServerFailureInfo(_)) => "Server".into(),
        _ => "Failure".into(),
    };
    let cause = failure.cause.as_ref().map(|it| format!(" <- {}", self::failure(it))).unwrap_or_default();
    format!("{kind}({}){cause}", failure.message)
}

fn all_text(payloads: &Payloads) -> String {
    payloads.payloads.iter().map(text).collect::<Vec<_>>().join(",")
}

/// A payload's text, cut where it would fill the page.
fn text(payload: &Payload) -> String {
    let text = String::from_utf8_lossy(&payload.data);
    if text.len() > 40 { format!("<{} bytes>", text.len()) } else { text.into_owned() }
}

fn target(execution: Option<&WorkflowExecution>) -> String {
    execution.map(|it| it.workflow_id.clone()).unwrap_or_default()
}

fn sticky(queue: Option<&TaskQueue>) -> Option<String> {
    queue.filter(|it| it.kind() == TaskQueueKind::Sticky).map(|it| it.name.clone())
}

fn short(name: &str, prefix: &str) -> String {
    crate::step::camel(name.trim_start_matches(prefix))
}

fn timeout(timeout: i32) -> String {
    crate::retry::timeout_name(TimeoutType::try_from(timeout).expect("a known timeout")).to_owned()
}

fn retry_state(state: i32) -> String {
    short(RetryState::try_from(state).expect("a known state").as_str_name(), "RETRY_STATE_")
}

fn initiator_name(initiator: i32) -> String {
    let initiator = ContinueAsNewInitiator::try_from(initiator).expect("a known initiator");
    short(initiator.as_str_name(), "CONTINUE_AS_NEW_INITIATOR_")
}
