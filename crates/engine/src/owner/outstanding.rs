//! What workers have of a loop's runs, or are about to get; kept only under a clock that skips.
//!
//! The state of a run says the same, but only to one who looks at all of it: this is kept step by step, from what
//! each step touched.

use super::Owner;
use crate::{ambient::Clock, shared::Shared, skip::Rest};
use std::collections::{BTreeMap, HashMap};
use tradewind_core::{
    ids::{EventId, QueueKey, RunKey, TaskKind},
    state::{ActivityPhase, ItemRef, MutableState},
    step::Step,
    time::Timestamp,
};

#[derive(Default)]
pub(super) struct Outstanding {
    runs: HashMap<RunKey, Work>,
}

/// What is outstanding of one run; there is no entry for a run of which nothing is.
#[derive(Default)]
struct Work {
    workflow_task: bool,
    activities: BTreeMap<EventId, Place>,
}

enum Place {
    Queued(QueueKey),
    WithWorker,
}

impl Outstanding {
    pub(super) fn note(&mut self, clock: &Clock, run: RunKey, state: &MutableState, step: &Step) {
        if !matches!(clock, Clock::Skipping(_)) {
            return;
        }
        if !state.is_running() {
            self.runs.remove(&run);
            return;
        }
        let work = self.runs.entry(run).or_default();
        work.workflow_task = !state.workflow_task().is_none();
        for item in &step.touched {
            let ItemRef::Activity(scheduled) = item else { continue };
            match place(state, *scheduled) {
                Some(place) => work.activities.insert(*scheduled, place),
                None => work.activities.remove(scheduled),
            };
        }
        if !work.workflow_task && work.activities.is_empty() {
            self.runs.remove(&run);
        }
    }

    /// Whether a worker has something, or is about to take it; else, whether something lies in a queue that nobody polls.
    fn is_attended(&self, shared: &Shared) -> Attendance {
        let mut attendance = Attendance::Nothing;
        for work in self.runs.values() {
            if work.workflow_task {
                return Attendance::Attended;
            }
            for place in work.activities.values() {
                match place {
                    Place::WithWorker => return Attendance::Attended,
                    Place::Queued(key) => {
                        if shared.matching.existing(key).is_some_and(|queue| queue.waiting() > 0) {
                            return Attendance::Attended;
                        }
                        attendance = Attendance::Unattended;
                    }
                }
            }
        }
        attendance
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Attendance {
    Nothing,
    Unattended,
    Attended,
}

fn place(state: &MutableState, scheduled: EventId) -> Option<Place> {
    let activity = state.activity(scheduled)?;
    match activity.attempt.phase {
        ActivityPhase::BackingOff => None,
        ActivityPhase::Started { .. } => Some(Place::WithWorker),
        ActivityPhase::Queued { .. } => Some(Place::Queued(QueueKey {
            namespace: state.start.namespace,
            kind: TaskKind::Activity,
            name: activity.task_queue().to_owned(),
        })),
    }
}

impl Owner {
    /// Whether anything but time can change one of this loop's runs.
    pub(super) fn rest(&self) -> Rest {
        let next = self.next_deadline();
        let due = next.is_some_and(|next| next <= self.shared.clock.now());
        if due || !self.pending.is_empty() || !self.transfers.is_empty() {
            return Rest::Busy;
        }
        match self.outstanding.is_attended(&self.shared) {
            Attendance::Attended => Rest::Busy,
            Attendance::Unattended => Rest::Still { next, unattended: true },
            Attendance::Nothing => Rest::Still { next, unattended: false },
        }
    }

    /// When time alone next changes a run. The end of a closed run's retention is nothing that anybody waits for.
    fn next_deadline(&self) -> Option<Timestamp> {
        let mut next = self.timers.unread();
        for (due, run) in self.timers.armed() {
            if next.is_some_and(|next| next <= due) {
                break;
            }
            // An entry may be left from a deadline that has gone; the run itself knows.
            let real = match self.runs.peek(&run) {
                Some(entry) if entry.parked.is_some() || !entry.state.is_running() => None,
                Some(entry) => entry.state.next_deadline(),
                None => Some(due),
            };
            next = [next, real].into_iter().flatten().min();
        }
        next
    }
}
