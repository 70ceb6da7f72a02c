//! The workflows the benchmarks run: some activities, or some signals.
//!
//! Each reads its parameters from its input, so one worker serves every mode.

use crate::{
    client::{from_payloads, normal_queue, to_payloads, wire_duration},
    worker::{Program, Workflow},
};
use api::{
    command::v1::{
        Command, CompleteWorkflowExecutionCommandAttributes, ScheduleActivityTaskCommandAttributes,
        command::Attributes as CommandAttributes,
    },
    common::v1::{ActivityType, WorkflowExecution},
    enums::v1::CommandType,
    history::v1::{HistoryEvent, history_event::Attributes},
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

pub const ACTIVITIES: &str = "bench_activities";
pub const SIGNALS: &str = "bench_signals";

/// Like the SDKs, ask for no more than a few activities at a time to be handed back at once.
const EAGER_MAX: u32 = 3;

/// Input of [`ACTIVITIES`]: run `wanted` activities, at most `together` of them pending at any time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ActivitiesInput {
    pub task_queue: String,
    pub wanted: u32,
    pub together: u32,
    pub eager: bool,
}

/// Input of [`SIGNALS`]: finish after so many signals.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignalsInput {
    pub wanted: u32,
}

/// The hosted code, and who waits for which run to close.
#[derive(Debug, Default)]
pub struct BenchProgram {
    waiting: Mutex<HashMap<String, oneshot::Sender<Instant>>>,
}

impl BenchProgram {
    /// The moment the worker learns that this workflow's closing command was acknowledged.
    pub fn closing(&self, workflow_id: &str) -> oneshot::Receiver<Instant> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().insert(workflow_id.to_owned(), sender);
        receiver
    }
}

impl Program for BenchProgram {
    fn workflow(&self, workflow_type: &str) -> Option<Box<dyn Workflow>> {
        match workflow_type {
            ACTIVITIES => Some(Box::<Activities>::default()),
            SIGNALS => Some(Box::<Signals>::default()),
            _ => None,
        }
    }

    fn closed(&self, execution: &WorkflowExecution, at: Instant) {
        if let Some(waiter) = self.waiting.lock().remove(&execution.workflow_id) {
            // Nobody need be listening any more.
            let _ = waiter.send(at);
        }
    }
}

#[derive(Default)]
struct Activities {
    input: Option<ActivitiesInput>,
    scheduled: u32,
    completed: u32,
}

impl Workflow for Activities {
    fn fold(&mut self, event: &HistoryEvent) {
        match &event.attributes {
            Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) => {
                self.input = from_payloads(started.input.as_ref());
            }
            Some(Attributes::ActivityTaskScheduledEventAttributes(_)) => self.scheduled += 1,
            Some(Attributes::ActivityTaskCompletedEventAttributes(_)) => self.completed += 1,
            _ => {}
        }
    }

    fn decide(&self) -> Vec<Command> {
        let Some(input) = &self.input else { return Vec::new() };
        if self.completed == input.wanted {
            return vec![complete(self.completed)];
        }
        let left = input.wanted - self.scheduled;
        let room = input.together.saturating_sub(self.scheduled - self.completed).min(left);
        // A few large batches rather than one command per completion.
        if room < left.min(input.together.div_ceil(2)) {
            return Vec::new();
        }
        (0..room).map(|n| schedule(input, self.scheduled + n, input.eager && n < EAGER_MAX)).collect()
    }
}

#[derive(Default)]
struct Signals {
    input: Option<SignalsInput>,
    seen: u32,
}

impl Workflow for Signals {
    fn fold(&mut self, event: &HistoryEvent) {
        match &event.attributes {
            Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) => {
                self.input = from_payloads(started.input.as_ref());
            }
            Some(Attributes::WorkflowExecutionSignaledEventAttributes(_)) => self.seen += 1,
            _ => {}
        }
    }

    fn decide(&self) -> Vec<Command> {
        match &self.input {
            Some(input) if self.seen >= input.wanted => vec![complete(self.seen)],
            _ => Vec::new(),
        }
    }
}

/// The number a benchmark run completed with, if it completed.
pub fn result_of(event: &HistoryEvent) -> Option<u32> {
    match &event.attributes {
        Some(Attributes::WorkflowExecutionCompletedEventAttributes(completed)) => {
            from_payloads(completed.result.as_ref())
        }
        _ => None,
    }
}

/// The command that completes a run with a value.
pub fn complete(value: impl Serialize) -> Command {
    let attributes = CompleteWorkflowExecutionCommandAttributes { result: Some(to_payloads(&value)) };
    command(
        CommandType::CompleteWorkflowExecution,
        CommandAttributes::CompleteWorkflowExecutionCommandAttributes(Box::new(attributes)),
    )
}

/// A command of this type, with nothing but its attributes.
pub fn command(command_type: CommandType, attributes: CommandAttributes) -> Command {
    Command { command_type: command_type as i32, attributes: Some(attributes), ..Default::default() }
}

fn schedule(input: &ActivitiesInput, index: u32, eager: bool) -> Command {
    let attributes = ScheduleActivityTaskCommandAttributes {
        activity_id: index.to_string(),
        activity_type: Some(ActivityType { name: "bench_nothing".to_owned() }),
        task_queue: Some(normal_queue(input.task_queue.clone())),
        start_to_close_timeout: Some(wire_duration(Duration::from_secs(60))),
        request_eager_execution: eager,
        ..Default::default()
    };
    command(
        CommandType::ScheduleActivityTask,
        CommandAttributes::ScheduleActivityTaskCommandAttributes(Box::new(attributes)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::history::v1::WorkflowExecutionStartedEventAttributes;

    #[test]
    fn activities_are_scheduled_in_large_batches_within_the_limit() {
        let mut run = Activities::default();
        run.fold(&started(10, 4));
        assert_eq!(schedules(&run), 4);
        run.happen(scheduled(), 4);
        run.happen(completed(), 1);
        assert_eq!(schedules(&run), 0, "one free place is not worth a batch");
        run.happen(completed(), 1);
        assert_eq!(schedules(&run), 2);
    }

    #[test]
    fn a_run_completes_once_every_activity_has() {
        let mut run = Activities::default();
        run.fold(&started(2, 100));
        run.happen(scheduled(), 2);
        run.happen(completed(), 1);
        assert!(run.decide().is_empty());
        run.happen(completed(), 1);
        assert_eq!(run.decide()[0].command_type(), CommandType::CompleteWorkflowExecution);
    }

    impl Activities {
        fn happen(&mut self, event: HistoryEvent, times: u32) {
            (0..times).for_each(|_| self.fold(&event));
        }
    }

    fn schedules(run: &Activities) -> usize {
        let commands = run.decide();
        assert!(commands.iter().all(|command| command.command_type() == CommandType::ScheduleActivityTask));
        commands.len()
    }

    fn started(wanted: u32, together: u32) -> HistoryEvent {
        let input = ActivitiesInput { task_queue: "q".into(), wanted, together, eager: true };
        event(Attributes::WorkflowExecutionStartedEventAttributes(Box::new(WorkflowExecutionStartedEventAttributes {
            input: Some(to_payloads(&input)),
            ..Default::default()
        })))
    }

    fn scheduled() -> HistoryEvent {
        event(Attributes::ActivityTaskScheduledEventAttributes(Box::default()))
    }

    fn completed() -> HistoryEvent {
        event(Attributes::ActivityTaskCompletedEventAttributes(Box::default()))
    }

    fn event(attributes: Attributes) -> HistoryEvent {
        HistoryEvent { attributes: Some(attributes), ..Default::default() }
    }
}
