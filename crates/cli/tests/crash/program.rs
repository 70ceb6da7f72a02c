//! The workflows that run while the server is killed, and their one activity.
//!
//! An *order* runs two activities and then a third, two timers one after the other, a child that it signals, and
//! collects signals with numbers. A *parcel* is the child. A *sleeper* sleeps on one long timer, untouched by
//! anything else, and then runs an activity.
//!
//! Each decides from recorded events alone. Results hold everything that must neither be lost nor come twice.

use crate::ledger::Ledger;
use api::{
    command::v1::{
        Command, ScheduleActivityTaskCommandAttributes, SignalExternalWorkflowExecutionCommandAttributes,
        StartChildWorkflowExecutionCommandAttributes, StartTimerCommandAttributes,
        command::Attributes as CommandAttributes,
    },
    common::v1::{ActivityType, RetryPolicy, WorkflowExecution, WorkflowType},
    enums::v1::CommandType,
    failure::v1::{ApplicationFailureInfo, Failure, failure::FailureInfo},
    history::v1::{HistoryEvent, history_event::Attributes},
    workflowservice::v1 as wire,
};
use bench::{
    client::{Client, UNARY, from_payloads, normal_queue, to_payloads, wire_duration},
    programs::{command, complete},
    worker::{ActivityOutcome, ActivityTask, Program, Workflow},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

pub(crate) const ORDER: &str = "order";
pub(crate) const SLEEPER: &str = "sleeper";
const PARCEL: &str = "parcel";

/// A task that was lost with a server is handed out again after this long.
pub(crate) const TASK_TIMEOUT: Duration = Duration::from_secs(1);
const ACTIVITY_TIMEOUT: Duration = Duration::from_secs(2);

/// Input of every workflow here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Input {
    pub(crate) workflow_id: String,
    pub(crate) task_queue: String,
    /// Makes results differ from run to run.
    pub(crate) number: u64,
    /// How many signals the run waits for.
    pub(crate) signals: usize,
    pub(crate) timer_ms: u64,
}

/// Result of every workflow here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// In the order in which they came.
    pub(crate) signals: Vec<u64>,
    /// By activity id.
    pub(crate) activities: BTreeMap<String, u64>,
    pub(crate) timers: BTreeSet<String>,
    pub(crate) child: Option<Box<Outcome>>,
}

/// Result of an activity: a value that follows from its input, and a number of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) value: u64,
    pub(crate) number: u64,
}

/// What an activity makes of its input.
pub(crate) fn value_of(input: u64) -> u64 {
    input * input + 1
}

/// What an activity of a workflow is given.
pub(crate) fn input_of(number: u64, activity_id: &str) -> u64 {
    number * 10 + u64::from(activity_id.bytes().last().unwrap_or_default() % 10)
}

pub(crate) fn child_id(workflow_id: &str) -> String {
    format!("{workflow_id}-parcel")
}

/// The code of both workers.
pub(crate) struct Orders {
    client: Client,
    ledger: Arc<Ledger>,
}

impl Orders {
    pub(crate) fn new(client: Client, ledger: Arc<Ledger>) -> Orders {
        Orders { client, ledger }
    }
}

impl Program for Orders {
    fn workflow(&self, workflow_type: &str) -> Option<Box<dyn Workflow>> {
        let kind = match workflow_type {
            ORDER => Kind::Order,
            PARCEL => Kind::Parcel,
            SLEEPER => Kind::Sleeper,
            _ => return None,
        };
        Some(Box::new(Run::new(kind)))
    }

    /// Reports by itself, because a worker does not say which of its reports were taken.
    async fn activity(&self, task: &ActivityTask) -> ActivityOutcome {
        let input: u64 = from_payloads(task.input.as_ref()).expect("every activity here has a number for input");
        tokio::time::sleep(Duration::from_millis(input * 7 % 40)).await;
        if task.attempt == 1 && input.is_multiple_of(4) {
            return ActivityOutcome::Failed(Box::new(try_again()));
        }
        let number = self.ledger.number();
        let request = wire::RespondActivityTaskCompletedRequest {
            namespace: self.client.namespace().to_owned(),
            identity: self.client.identity().to_owned(),
            task_token: task.task_token.clone(),
            result: Some(to_payloads(&Report { value: value_of(input), number })),
            ..Default::default()
        };
        let call = self.client.call(&request, UNARY, |mut rpc, request| async move {
            rpc.respond_activity_task_completed(request).await
        });
        // A refusal means that an earlier try was taken, or that another attempt has begun: nothing to note.
        if call.await.is_ok() {
            let run_id = &task.workflow_execution.as_ref().expect("a task names its run").run_id;
            self.ledger.completed(run_id, number);
        }
        ActivityOutcome::Abandoned
    }

    fn closed(&self, execution: &WorkflowExecution, _at: Instant) {
        self.ledger.closed(&execution.run_id);
    }
}

fn try_again() -> Failure {
    let info = ApplicationFailureInfo { r#type: "Transient".into(), ..Default::default() };
    Failure {
        message: "the first attempt fails".into(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(info)),
        ..Default::default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Order,
    Parcel,
    Sleeper,
}

/// What the events of one run come to.
struct Run {
    kind: Kind,
    input: Option<Input>,
    /// Activity ids by the event that scheduled them.
    scheduled: BTreeMap<i64, String>,
    activities: BTreeMap<String, u64>,
    timers_started: BTreeSet<String>,
    timers_fired: BTreeSet<String>,
    signals: Vec<u64>,
    child_initiated: bool,
    child_started: bool,
    child: Option<Box<Outcome>>,
    child_signal_initiated: bool,
    child_signaled: bool,
}

impl Workflow for Run {
    fn fold(&mut self, event: &HistoryEvent) {
        match event.attributes.as_ref() {
            Some(Attributes::WorkflowExecutionStartedEventAttributes(it)) => {
                self.input = from_payloads(it.input.as_ref());
            }
            Some(Attributes::ActivityTaskScheduledEventAttributes(it)) => {
                self.scheduled.insert(event.event_id, it.activity_id.clone());
            }
            Some(Attributes::ActivityTaskCompletedEventAttributes(it)) => {
                let report: Report = from_payloads(it.result.as_ref()).expect("every activity here reports");
                let id = self.scheduled.get(&it.scheduled_event_id).expect("a completed activity was scheduled");
                self.activities.insert(id.clone(), report.value);
            }
            Some(Attributes::TimerStartedEventAttributes(it)) => {
                self.timers_started.insert(it.timer_id.clone());
            }
            Some(Attributes::TimerFiredEventAttributes(it)) => {
                self.timers_fired.insert(it.timer_id.clone());
            }
            Some(Attributes::WorkflowExecutionSignaledEventAttributes(it)) => {
                self.signals.push(from_payloads(it.input.as_ref()).expect("every signal here has a number"));
            }
            Some(Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(_)) => self.child_initiated = true,
            Some(Attributes::ChildWorkflowExecutionStartedEventAttributes(_)) => self.child_started = true,
            Some(Attributes::ChildWorkflowExecutionCompletedEventAttributes(it)) => {
                self.child = from_payloads(it.result.as_ref());
            }
            Some(Attributes::SignalExternalWorkflowExecutionInitiatedEventAttributes(_)) => {
                self.child_signal_initiated = true;
            }
            Some(Attributes::ExternalWorkflowExecutionSignaledEventAttributes(_)) => self.child_signaled = true,
            _ => {}
        }
    }

    fn decide(&self) -> Vec<Command> {
        let Some(input) = &self.input else { return Vec::new() };
        let mut next = Next { run: self, input, commands: Vec::new() };
        let done = match self.kind {
            Kind::Order => next.order(),
            Kind::Parcel => next.parcel(),
            Kind::Sleeper => next.sleeper(),
        };
        if done { vec![complete(self.outcome())] } else { next.commands }
    }
}

impl Run {
    fn new(kind: Kind) -> Run {
        Run {
            kind,
            input: None,
            scheduled: BTreeMap::new(),
            activities: BTreeMap::new(),
            timers_started: BTreeSet::new(),
            timers_fired: BTreeSet::new(),
            signals: Vec::new(),
            child_initiated: false,
            child_started: false,
            child: None,
            child_signal_initiated: false,
            child_signaled: false,
        }
    }

    fn outcome(&self) -> Outcome {
        Outcome {
            signals: self.signals.clone(),
            activities: self.activities.clone(),
            timers: self.timers_fired.clone(),
            child: self.child.clone(),
        }
    }
}

/// What a run asks for next. Each step says whether it is done, and asks for it if it has not begun.
struct Next<'a> {
    run: &'a Run,
    input: &'a Input,
    commands: Vec<Command>,
}

impl Next<'_> {
    fn order(&mut self) -> bool {
        let first = [self.activity("a0"), self.activity("a1")];
        let activities = first == [true, true] && self.activity("a2");
        let timers = self.timer("t0", self.input.timer_ms) && self.timer("t1", self.input.timer_ms / 2);
        let child = self.child();
        activities && timers && child && self.run.signals.len() >= self.input.signals
    }

    fn parcel(&mut self) -> bool {
        let both = [self.activity("a0"), self.timer("t0", self.input.timer_ms)];
        both == [true, true] && self.run.signals.len() >= self.input.signals
    }

    fn sleeper(&mut self) -> bool {
        self.timer("t0", self.input.timer_ms) && self.activity("a0")
    }

    fn activity(&mut self, id: &str) -> bool {
        if !self.run.scheduled.values().any(|scheduled| scheduled == id) {
            let attributes = ScheduleActivityTaskCommandAttributes {
                activity_id: id.to_owned(),
                activity_type: Some(ActivityType { name: "square".into() }),
                task_queue: Some(normal_queue(self.input.task_queue.clone())),
                input: Some(to_payloads(&input_of(self.input.number, id))),
                start_to_close_timeout: Some(wire_duration(ACTIVITY_TIMEOUT)),
                retry_policy: Some(RetryPolicy {
                    initial_interval: Some(wire_duration(Duration::from_millis(100))),
                    backoff_coefficient: 1.0,
                    ..Default::default()
                }),
                request_eager_execution: self.input.number.is_multiple_of(2),
                ..Default::default()
            };
            let attributes = CommandAttributes::ScheduleActivityTaskCommandAttributes(Box::new(attributes));
            self.commands.push(command(CommandType::ScheduleActivityTask, attributes));
        }
        self.run.activities.contains_key(id)
    }

    fn timer(&mut self, id: &str, ms: u64) -> bool {
        if !self.run.timers_started.contains(id) {
            let attributes = StartTimerCommandAttributes {
                timer_id: id.to_owned(),
                start_to_fire_timeout: Some(wire_duration(Duration::from_millis(ms))),
            };
            let attributes = CommandAttributes::StartTimerCommandAttributes(Box::new(attributes));
            self.commands.push(command(CommandType::StartTimer, attributes));
        }
        self.run.timers_fired.contains(id)
    }

    /// Starts a parcel, and signals it once it runs.
    fn child(&mut self) -> bool {
        let workflow_id = child_id(&self.input.workflow_id);
        if !self.run.child_initiated {
            let input = Input {
                workflow_id: workflow_id.clone(),
                signals: 1,
                timer_ms: self.input.timer_ms / 3,
                ..self.input.clone()
            };
            let attributes = StartChildWorkflowExecutionCommandAttributes {
                workflow_id,
                workflow_type: Some(WorkflowType { name: PARCEL.into() }),
                task_queue: Some(normal_queue(self.input.task_queue.clone())),
                input: Some(to_payloads(&input)),
                workflow_task_timeout: Some(wire_duration(TASK_TIMEOUT)),
                ..Default::default()
            };
            let attributes = CommandAttributes::StartChildWorkflowExecutionCommandAttributes(Box::new(attributes));
            self.commands.push(command(CommandType::StartChildWorkflowExecution, attributes));
        } else if self.run.child_started && !self.run.child_signal_initiated {
            let attributes = SignalExternalWorkflowExecutionCommandAttributes {
                execution: Some(WorkflowExecution { workflow_id, run_id: String::new() }),
                signal_name: "sent".into(),
                input: Some(to_payloads(&self.input.number)),
                child_workflow_only: true,
                ..Default::default()
            };
            let attributes = CommandAttributes::SignalExternalWorkflowExecutionCommandAttributes(Box::new(attributes));
            self.commands.push(command(CommandType::SignalExternalWorkflowExecution, attributes));
        }
        self.run.child.is_some() && self.run.child_signaled
    }
}
