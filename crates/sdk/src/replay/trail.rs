//! What the code did during a replay, to be laid beside what history says.
//!
//! Only steps that leave an event of their own are kept, in the order in which the code took them: the rest (markers,
//! cancellations, updates) may come without an event, or at another place, while code and history agree.

use super::Divergence;
use parking_lot::Mutex;
use std::time::Duration;
use temporalio_common::protos::coresdk::workflow_commands::workflow_command::Variant as Command;
use temporalio_common::protos::coresdk::workflow_completion::WorkflowActivationCompletion;
use temporalio_common::protos::coresdk::workflow_completion::workflow_activation_completion::Status;
use temporalio_common::protos::temporal::api::history::v1::HistoryEvent;
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;

#[derive(Default)]
pub(super) struct Trail {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    steps: Vec<Step>,
    failure: Option<String>,
}

/// Something that workflow code asks for and history records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    kind: Kind,
    /// The type of an activity or a child, the name of a signal, the length of a timer.
    of: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Activity,
    Timer,
    Child,
    Signal,
    CancelOther,
    Complete,
    Fail,
    Cancel,
    ContinueAsNew,
}

impl Trail {
    pub(super) fn keep(&self, completion: &WorkflowActivationCompletion) {
        let mut kept = self.kept.lock();
        match &completion.status {
            Some(Status::Successful(done)) => {
                let commands: Vec<&Command> = done.commands.iter().filter_map(|it| it.variant.as_ref()).collect();
                let cancelled = |seq: u32| {
                    commands.iter().any(|it| matches!(it, Command::CancelTimer(cancel) if cancel.seq == seq))
                };
                // A timer that is cancelled before anybody hears of it leaves no event.
                let lasting = |it: &&&Command| !matches!(it, Command::StartTimer(timer) if cancelled(timer.seq));
                kept.steps.extend(commands.iter().filter(lasting).filter_map(|it| asked(it)));
            }
            Some(Status::Failed(failed)) => {
                kept.failure = failed.failure.as_ref().map(|failure| failure.message.clone());
            }
            None => {}
        }
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.kept.lock().failure.clone()
    }

    /// The first step that is not the same on both sides.
    pub(super) fn divergence(&self, events: &[HistoryEvent], reason: String) -> Divergence {
        let reason = words_of(&reason).to_owned();
        let kept = self.kept.lock();
        let recorded: Vec<(i64, Step)> = steps(events).collect();
        let first = (0..recorded.len().max(kept.steps.len()))
            .find(|at| recorded.get(*at).map(|(_, step)| step) != kept.steps.get(*at));
        match first {
            Some(at) => Divergence {
                event_id: recorded.get(at).map(|(id, _)| *id),
                history: recorded.get(at).map(|(_, step)| step.to_string()),
                code: kept.steps.get(at).map(Step::to_string),
                reason,
            },
            // The difference is in what leaves no step: the replayer's words name it.
            None => {
                let event_id = named_in(&reason);
                let event = events.iter().find(|event| Some(event.event_id) == event_id);
                let history = event.map(|event| event.event_type().as_str_name().to_owned());
                Divergence { event_id, history, code: Some("something else".into()), reason }
            }
        }
    }
}

/// What was asked for, with the event that says so.
pub(super) fn steps(events: &[HistoryEvent]) -> impl Iterator<Item = (i64, Step)> {
    events.iter().filter_map(|event| Some((event.event_id, recorded(event)?)))
}

/// What the replayer says, out of the debugging output that it says it in.
fn words_of(reason: &str) -> &str {
    let inner = reason.split_once("message: \"").and_then(|(_, rest)| rest.split_once("\", source: "));
    inner.map_or(reason, |(words, _)| words)
}

/// The event that the replayer's words mention, as `id: 5`.
fn named_in(reason: &str) -> Option<i64> {
    let (_, after) = reason.split_once("id: ")?;
    after.split(|it: char| !it.is_ascii_digit()).next()?.parse().ok()
}

fn asked(command: &Command) -> Option<Step> {
    let step = |kind, of: &str| Some(Step { kind, of: of.to_owned() });
    match command {
        Command::ScheduleActivity(it) => step(Kind::Activity, &it.activity_type),
        Command::StartTimer(it) => {
            let after = it.start_to_fire_timeout.unwrap_or_default();
            step(Kind::Timer, &length((after.seconds, after.nanos)))
        }
        Command::StartChildWorkflowExecution(it) => step(Kind::Child, &it.workflow_type),
        Command::SignalExternalWorkflowExecution(it) => step(Kind::Signal, &it.signal_name),
        Command::RequestCancelExternalWorkflowExecution(_) => step(Kind::CancelOther, ""),
        Command::CompleteWorkflowExecution(_) => step(Kind::Complete, ""),
        Command::FailWorkflowExecution(_) => step(Kind::Fail, ""),
        Command::CancelWorkflowExecution(_) => step(Kind::Cancel, ""),
        Command::ContinueAsNewWorkflowExecution(_) => step(Kind::ContinueAsNew, ""),
        _ => None,
    }
}

fn recorded(event: &HistoryEvent) -> Option<Step> {
    let step = |kind, of: &str| Some(Step { kind, of: of.to_owned() });
    match event.attributes.as_ref()? {
        Attributes::ActivityTaskScheduledEventAttributes(it) => {
            step(Kind::Activity, it.activity_type.as_ref().map_or("", |it| &it.name))
        }
        Attributes::TimerStartedEventAttributes(it) => {
            let after = it.start_to_fire_timeout.unwrap_or_default();
            step(Kind::Timer, &length((after.seconds, after.nanos)))
        }
        Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(it) => {
            step(Kind::Child, it.workflow_type.as_ref().map_or("", |it| &it.name))
        }
        Attributes::SignalExternalWorkflowExecutionInitiatedEventAttributes(it) => step(Kind::Signal, &it.signal_name),
        Attributes::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(_) => step(Kind::CancelOther, ""),
        Attributes::WorkflowExecutionCompletedEventAttributes(_) => step(Kind::Complete, ""),
        Attributes::WorkflowExecutionFailedEventAttributes(_) => step(Kind::Fail, ""),
        Attributes::WorkflowExecutionCanceledEventAttributes(_) => step(Kind::Cancel, ""),
        Attributes::WorkflowExecutionContinuedAsNewEventAttributes(_) => step(Kind::ContinueAsNew, ""),
        _ => None,
    }
}

fn length((seconds, nanos): (i64, i32)) -> String {
    format!("{:?}", Duration::new(seconds.max(0) as u64, nanos.max(0) as u32))
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = &self.of;
        match self.kind {
            Kind::Activity => write!(f, "activity {of}"),
            Kind::Timer => write!(f, "timer of {of}"),
            Kind::Child => write!(f, "child workflow {of}"),
            Kind::Signal => write!(f, "signal {of} to another workflow"),
            Kind::CancelOther => f.write_str("cancellation of another workflow"),
            Kind::Complete => f.write_str("the workflow completes"),
            Kind::Fail => f.write_str("the workflow fails"),
            Kind::Cancel => f.write_str("the workflow ends as cancelled"),
            Kind::ContinueAsNew => f.write_str("the workflow continues as new"),
        }
    }
}
