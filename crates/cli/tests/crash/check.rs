//! What a finished run's history must say, held against what was acknowledged.

use crate::program::{Outcome, Report, child_id, input_of, value_of};
use api::{
    common::v1::WorkflowExecution,
    history::v1::{HistoryEvent, history_event::Attributes},
};
use bench::client::from_payloads;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What the events of one run say, each kind counted by what it is about.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) outcome: Option<Outcome>,
    /// The child that was started, if any.
    pub(crate) child: Option<WorkflowExecution>,
    /// The longest that a timer fired after it was due.
    pub(crate) latest_timer: Duration,
    pub(crate) activity_attempts_max: i32,
}

/// What clients were told of one run.
#[derive(Debug, Default)]
pub(crate) struct Promised {
    pub(crate) signals: BTreeSet<u64>,
    pub(crate) completions: BTreeSet<u64>,
}

/// Reads a closed run's history, and says what is wrong with it.
pub(crate) fn read(events: &[HistoryEvent], number: u64, promised: &Promised) -> Result<Facts, String> {
    let mut facts = Facts::default();
    let mut scheduled: BTreeMap<i64, String> = BTreeMap::new();
    let mut reports: BTreeMap<String, Report> = BTreeMap::new();
    let mut timers: BTreeMap<i64, (Duration, Duration)> = BTreeMap::new();
    let mut signals: BTreeSet<u64> = BTreeSet::new();
    let mut once = Once::default();

    for (index, event) in events.iter().enumerate() {
        ensure(event.event_id == index as i64 + 1, || format!("event {} is in place {}", event.event_id, index + 1))?;
        let attributes = event.attributes.as_ref().ok_or("an event without attributes")?;
        let is_last = index + 1 == events.len();
        ensure(is_last || facts.outcome.is_none(), || format!("event {} follows the end", event.event_id))?;
        match attributes {
            Attributes::ActivityTaskScheduledEventAttributes(it) => {
                once.see("activity scheduled", &it.activity_id)?;
                scheduled.insert(event.event_id, it.activity_id.clone());
            }
            Attributes::ActivityTaskStartedEventAttributes(it) => {
                facts.activity_attempts_max = facts.activity_attempts_max.max(it.attempt);
            }
            Attributes::ActivityTaskCompletedEventAttributes(it) => {
                let id = scheduled.get(&it.scheduled_event_id).ok_or("an activity completed that was not scheduled")?;
                once.see("activity completed", id)?;
                reports.insert(id.clone(), from_payloads(it.result.as_ref()).ok_or("a result without a number")?);
            }
            Attributes::ActivityTaskFailedEventAttributes(_) | Attributes::ActivityTaskTimedOutEventAttributes(_) => {
                return Err(format!(
                    "an activity ended for good in event {}, though retries are unlimited",
                    event.event_id
                ));
            }
            Attributes::TimerStartedEventAttributes(it) => {
                once.see("timer started", &it.timer_id)?;
                timers.insert(event.event_id, (time_of(event), span(it.start_to_fire_timeout.as_ref())));
            }
            Attributes::TimerFiredEventAttributes(it) => {
                once.see("timer fired", &it.timer_id)?;
                let (started, span) =
                    timers.remove(&it.started_event_id).ok_or("a timer fired that was not started")?;
                let due = started + span;
                ensure(time_of(event) >= due, || format!("timer {} fired early", it.timer_id))?;
                facts.latest_timer = facts.latest_timer.max(time_of(event) - due);
            }
            Attributes::WorkflowExecutionSignaledEventAttributes(it) => {
                let number = from_payloads(it.input.as_ref()).ok_or("a signal without a number")?;
                ensure(signals.insert(number), || format!("signal {number} is there twice"))?;
            }
            Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(it) => {
                once.see("child initiated", &it.workflow_id)?;
            }
            Attributes::ChildWorkflowExecutionStartedEventAttributes(it) => {
                facts.child = it.workflow_execution.clone();
                once.see("child started", &facts.child.clone().unwrap_or_default().workflow_id)?;
            }
            Attributes::ChildWorkflowExecutionCompletedEventAttributes(it) => {
                ensure(it.workflow_execution == facts.child, || "another child completed than was started".into())?;
                once.see("child completed", &it.workflow_execution.clone().unwrap_or_default().workflow_id)?;
            }
            Attributes::SignalExternalWorkflowExecutionInitiatedEventAttributes(_) => {
                once.see("external signal", "initiated")?;
            }
            Attributes::ExternalWorkflowExecutionSignaledEventAttributes(_) => {
                once.see("external signal", "delivered")?
            }
            Attributes::WorkflowExecutionCompletedEventAttributes(it) => {
                facts.outcome = Some(from_payloads(it.result.as_ref()).ok_or("a run without a result")?);
            }
            Attributes::WorkflowExecutionStartedEventAttributes(_)
            | Attributes::WorkflowTaskScheduledEventAttributes(_)
            | Attributes::WorkflowTaskStartedEventAttributes(_)
            | Attributes::WorkflowTaskCompletedEventAttributes(_)
            | Attributes::WorkflowTaskTimedOutEventAttributes(_)
            | Attributes::WorkflowTaskFailedEventAttributes(_) => {}
            other => return Err(format!("nothing asked for event {}: {other:?}", event.event_id)),
        }
    }

    let outcome = facts.outcome.as_ref().ok_or("the run has not completed")?;
    ensure(timers.is_empty(), || format!("timers never fired: {timers:?}"))?;
    let lost: Vec<_> = promised.signals.difference(&signals).collect();
    ensure(lost.is_empty(), || format!("acknowledged signals are lost: {lost:?}"))?;
    let folded: BTreeSet<u64> = outcome.signals.iter().copied().collect();
    ensure(folded == signals && outcome.signals.len() == signals.len(), || {
        format!("the result has signals {:?}, history {signals:?}", outcome.signals)
    })?;
    let recorded: BTreeSet<u64> = reports.values().map(|report| report.number).collect();
    let lost: Vec<_> = promised.completions.difference(&recorded).collect();
    ensure(lost.is_empty(), || format!("acknowledged activity results are lost: {lost:?}"))?;
    for (id, value) in &outcome.activities {
        let right = value_of(input_of(number, id));
        ensure(*value == right, || format!("activity {id} came to {value}, which should be {right}"))?;
    }
    Ok(facts)
}

impl Facts {
    /// That an order did everything it should, its child included.
    pub(crate) fn is_a_whole_order(&self, workflow_id: &str, signals: usize, child: &Facts) -> Result<(), String> {
        let outcome = self.outcome.as_ref().ok_or("the order has not completed")?;
        ensure(outcome.activities.len() == 3, || format!("activities: {:?}", outcome.activities))?;
        ensure(outcome.timers.len() == 2, || format!("timers: {:?}", outcome.timers))?;
        ensure(outcome.signals.len() == signals, || format!("{} signals of {signals}", outcome.signals.len()))?;
        let started = self.child.as_ref().map(|it| it.workflow_id.clone());
        ensure(started == Some(child_id(workflow_id)), || format!("the child is {started:?}"))?;
        let told = outcome.child.as_deref();
        ensure(told.is_some() && told == child.outcome.as_ref(), || format!("the child's result arrived as {told:?}"))?;
        let parcel = child.outcome.as_ref().ok_or("the child has not completed")?;
        let whole = (parcel.activities.len(), parcel.timers.len(), parcel.signals.len()) == (1, 1, 1);
        ensure(whole, || format!("the child came to {parcel:?}"))
    }
}

/// Things that may be in a history once.
#[derive(Default)]
struct Once(BTreeSet<(&'static str, String)>);

impl Once {
    fn see(&mut self, what: &'static str, id: &str) -> Result<(), String> {
        ensure(self.0.insert((what, id.to_owned())), || format!("{what} twice: {id}"))
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn time_of(event: &HistoryEvent) -> Duration {
    let time = event.event_time.as_ref().expect("every event has a time");
    Duration::new(time.seconds.unsigned_abs(), time.nanos.unsigned_abs())
}

fn span(duration: Option<&prost_types::Duration>) -> Duration {
    duration.map_or(Duration::ZERO, |it| Duration::new(it.seconds.unsigned_abs(), it.nanos.unsigned_abs()))
}

/// A history on a few lines, for a run that is not as it should be.
pub(crate) fn told(events: &[HistoryEvent]) -> String {
    let line = |event: &HistoryEvent| {
        let time = event.event_time.as_ref().map_or(0, |it| it.seconds * 1_000 + i64::from(it.nanos / 1_000_000));
        format!("{:>4} {:>8}ms {}", event.event_id, time % 100_000_000, event.event_type().as_str_name())
    };
    events.iter().map(line).collect::<Vec<_>>().join("\n")
}
