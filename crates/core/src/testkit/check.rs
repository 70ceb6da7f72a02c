//! What must hold after any step, checked after every one that a test takes.

use super::Run;
use crate::{
    fold,
    ids::{EventId, TaskKind},
    state::{ActivityPhase, MutableState, TaskClass, Volatile, WorkflowTask},
    step::Step,
};
use api::history::v1::HistoryEvent;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};

impl Run {
    /// Ids for rows come from the range that the step was given, and each names one row, of this run or of the next.
    #[track_caller]
    pub(super) fn check_ids(&self, step: &Step) {
        let next = step.successor.iter().flat_map(|it| rows(&it.step));
        let mut seen = BTreeSet::new();
        for id in rows(step).chain(next) {
            assert!(seen.insert(id) || self.queue.contains_key(&id), "id {id} was given twice");
            let fresh = (self.next_id..self.next_id + step.ids_used).contains(&id);
            // Only a task that moves from a sticky queue keeps its id.
            assert!(fresh || self.queue.contains_key(&id), "id {id} is out of range");
        }
    }

    /// Tasks wait in queues exactly while the state says so.
    #[track_caller]
    pub(super) fn check_queue(&mut self, step: &Step) {
        for task in &step.dispatch {
            self.offered.push(task.clone());
            if task.id != 0 {
                self.queue.insert(task.id, task.clone());
            }
        }
        for settled in &step.settled {
            let waited = self.queue.remove(&settled.id).expect("what is settled waited in a queue");
            let key = (waited.kind, waited.queue.as_str(), waited.priority);
            assert_eq!(key, (settled.kind, settled.queue.as_str(), settled.priority), "settled where it waited");
        }
        let mut waiting: Vec<(i64, TaskKind)> = Vec::new();
        if let WorkflowTask::Scheduled(task) = self.state.workflow_task().stored() {
            waiting.push((task.task, TaskKind::Workflow));
        }
        for attempt in self.state.unrecorded.attempts.values() {
            if let ActivityPhase::Queued { task } = attempt.phase {
                waiting.push((task, TaskKind::Activity));
            }
        }
        waiting.sort_unstable();
        let rows: Vec<_> = self.queue.iter().map(|(id, task)| (*id, task.kind)).collect();
        assert_eq!(rows, waiting, "rows of the task queues, and what waits according to the state");
    }

    /// Events follow each other without a gap, survive their wire form, and fold into what is recorded.
    #[track_caller]
    pub(super) fn check_history(&mut self, before: &MutableState, step: &Step) {
        assert!(before.is_running() || step.events.is_empty(), "nothing is added to the history of a closed run");
        for event in &step.events {
            assert_eq!(event.event_id, self.history.len() as EventId + 1, "events are numbered without a gap");
            let decoded = HistoryEvent::decode(event.encode_to_vec().as_slice()).expect("what was encoded decodes");
            assert_eq!(&decoded, event, "an event survives its wire form");
            fold::fold(&mut self.folded, &decoded);
            self.folded.recorded.progress.history_bytes += event.encoded_len() as u64;
            self.history.push(decoded);
        }
        if self.state.is_running() {
            assert_eq!(self.state.recorded, self.folded.recorded, "the recorded state is what history gives");
        } else {
            let (live, folded) = (&self.state.recorded, &self.folded.recorded);
            assert_eq!(live.progress, folded.progress, "progress is what history gives");
            assert_eq!(live.updates, folded.updates, "updates are what history gives");
            assert_eq!(live.memo, folded.memo);
            assert_eq!(live.search_attributes, folded.search_attributes);
        }
    }

    /// Writing what the step touched, and nothing else, keeps the stored copy whole.
    #[track_caller]
    pub(super) fn check_stored(&mut self, step: &Step) {
        if step.changed {
            self.stored.apply(&self.state, &step.touched);
        } else {
            assert!(step.events.is_empty() && step.touched.is_empty(), "a step that changes nothing stores nothing");
        }
        assert_eq!(self.stored.load(), surviving(&self.state), "what was stored gives the state back");
    }

    #[track_caller]
    pub(super) fn check_state(&self, before: &MutableState) {
        let state = &self.state;
        let mut derived = state.clone();
        derived.derive_deadlines();
        assert_eq!(state.deadlines, derived.deadlines, "deadlines are what the pending items say");
        for (id, attempt) in &state.unrecorded.attempts {
            assert!(state.recorded.activities.contains_key(id), "attempt of the unknown activity {id}: {attempt:?}");
        }
        let ids: BTreeMap<_, _> =
            state.recorded.activities.iter().map(|(id, it)| (it.attributes.activity_id.clone(), *id)).collect();
        assert_eq!(state.recorded.activity_ids.iter().map(|(k, v)| (k.clone(), *v)).collect::<BTreeMap<_, _>>(), ids);
        let bytes: u64 = state.unrecorded.buffered.values().map(|it| it.encoded_len() as u64).sum();
        assert_eq!(state.unrecorded.task.buffered_bytes, bytes, "the size of what is buffered is kept");
        let unasked =
            state.unrecorded.buffered.values().filter(|event| crate::workflow_task::is_unasked(event)).count();
        assert_eq!(
            state.unrecorded.task.buffered_unasked, unasked as i64,
            "and so is the number of what nobody limits"
        );
        assert!(
            state.unrecorded.buffered.is_empty() || state.workflow_task().is_started(),
            "events wait only behind a running workflow task"
        );
        let unwritten = match state.workflow_task() {
            WorkflowTask::Scheduled(task) if task.class == TaskClass::Speculative => Some(task.scheduled),
            WorkflowTask::Started(task) if task.class != TaskClass::Normal => Some(task.scheduled),
            _ => None,
        };
        let next = state.next_event_id();
        assert!(unwritten.is_none_or(|id| id == next), "an unwritten task has the next ids, as its worker was shown");
        assert!(state.recorded.progress.history_bytes >= before.recorded.progress.history_bytes);
        if !state.is_running() {
            assert!(state.workflow_task().is_none());
            assert!(state.unrecorded.attempts.is_empty() && state.recorded.activities.is_empty());
            assert!(state.recorded.timers.is_empty() && state.recorded.children.is_empty());
            assert!(state.recorded.external_signals.is_empty() && state.recorded.external_cancels.is_empty());
            assert!(state.unrecorded.volatile.updates.is_empty(), "nobody waits on a closed run");
            assert!(state.deadlines.is_empty());
        }
        if !before.is_running() {
            assert_eq!(&state.recorded, &before.recorded, "a closed run stays as it is");
        }
    }
}

/// The ids of the rows that a step adds.
pub(super) fn rows(step: &Step) -> impl Iterator<Item = i64> {
    let ids = step.dispatch.iter().map(|it| it.id).chain(step.transfers.iter().map(|(id, _)| *id));
    ids.filter(|id| *id != 0)
}

/// What a crash leaves of a state.
fn surviving(state: &MutableState) -> MutableState {
    let mut left = state.clone();
    left.unrecorded.volatile = Volatile::default();
    left.unrecorded.task = state.stored_task();
    left.derive_deadlines();
    left
}
