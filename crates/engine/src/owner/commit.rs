//! What the store is given of a run: a step as one write, the mark of a parked run, the end of a deleted one.
//!
//! Invariants
//! - A step is one write, together with what it settles, the row in the list, and the next run of the chain.
//! - A step that changes nothing and settles nothing is not written.
//! - What follows from an ordered write waits for the last durable write of the run, not for its own.
//! - A wake-up row is never later than the earliest deadline of its run.

use super::{Owner, entry::Entry};
use crate::{Error, codec, following, message::SettledTransfer, shared::Shared, visibility};
use std::sync::atomic::Ordering;
use store::row::{Change, Durability, Sequence, Write};
use tradewind_core::{ids::RunKey, step::Step, time::Timestamp};

impl Owner {
    /// Submits what a step changed; says what has to be durable before anyone may hear of it.
    pub(super) fn commit(
        &mut self,
        run: RunKey,
        step: &mut Step,
        settles: Option<SettledTransfer>,
        namespace: &str,
        now: Timestamp,
    ) -> Sequence {
        let shared = self.shared.clone();
        let entry = self.entry(run);
        if !step.changed && settles.is_none() {
            // Nothing to store, but a task that is in memory only has a deadline too.
            let (next, promised) = (entry.state.next_deadline(), entry.promised);
            if let Some(next) = next {
                self.timers.arm(next, run);
            }
            return promised;
        }
        let place = codec::Place { run, slot: entry.slot, epoch: shared.epoch };
        let followed = following::rows(&shared.settings.following, namespace, run, &step.events);
        let batch = codec::batch(step);
        let mut write = codec::write(&place, &entry.state, step, batch.as_ref());
        if let Some(batch) = &batch {
            entry.remember(batch);
        }
        if let Some(settled) = settles {
            write.changes.push(Change::DeleteTransfer { id: settled.id });
        }
        if step.visibility {
            write.changes.push(Change::PutVisibility(Box::new(visibility::row(run, &entry.state, &shared))));
        }
        let mut arm = Vec::new();
        arm.extend(wake_change(&shared, run, entry, now, &mut write.changes).map(|due| (due, run)));
        let successor = step.successor.take().map(|it| *it);
        let mut next_run = None;
        if let Some(mut successor) = successor {
            let next = shared.next_run();
            let mut created = Entry::new(entry.slot, successor.state);
            let batch = codec::batch(&mut successor.step);
            let place = codec::Place { run: next, ..place };
            codec::insert(&place, &created.state, &successor.step, batch.as_ref(), &mut write.changes);
            if let Some(batch) = &batch {
                created.remember(batch);
            }
            let row = visibility::row(next, &created.state, &shared);
            write.changes.push(Change::PutVisibility(Box::new(row)));
            arm.extend(wake_change(&shared, next, &mut created, now, &mut write.changes).map(|due| (due, next)));
            next_run = Some((next, created, successor.step));
        }
        // Followers wait for what is durable, and nothing else would hurry it.
        let durable = step.durable || settles.is_some() || next_run.is_some() || !followed.is_empty();
        write.changes.extend(followed);
        let class = if durable { Durability::Durable } else { Durability::Ordered };
        let sequence = shared.store.submit(write, class);
        entry.written = sequence;
        // An ordered write is not waited for, but everything that it builds on is.
        let after = if durable { sequence } else { entry.promised };
        if durable {
            entry.promised = sequence;
        }
        for (due, run) in arm {
            self.timers.arm(due, run);
        }
        if let Some((next, mut created, step)) = next_run {
            created.written = sequence;
            created.promised = sequence;
            let start = created.state.start.clone();
            self.names.set(start.namespace, &start.workflow_id, next);
            self.runs.put(next, created);
            let act = self.act_of(next, step, None);
            self.when(sequence, act);
        }
        after
    }

    pub(super) fn park(&mut self, run: RunKey, panic: &(dyn std::any::Any + Send)) -> Error {
        let text = panic_text(panic);
        let shared = self.shared.clone();
        shared.counters.runs_parked.fetch_add(1, Ordering::Relaxed);
        let entry = self.entry(run);
        entry.parked = Some(text.clone());
        let start = &entry.state.start;
        tracing::error!(workflow_id = start.workflow_id, run_id = %start.run_id, panic = text, "a step panicked; the run is parked");
        // Operators find parked runs in the list, by the attribute that stands for runs in trouble.
        let mut row = visibility::row(run, &entry.state, &shared);
        visibility::mark_parked(&mut row, &text);
        let write =
            Write { slot: entry.slot, epoch: shared.epoch, changes: vec![Change::PutVisibility(Box::new(row))] };
        entry.written = shared.store.submit(write, Durability::Durable);
        Error::Parked(text)
    }

    /// Removes a closed run for good.
    pub(super) fn delete(&mut self, run: RunKey) -> Sequence {
        let shared = self.shared.clone();
        let entry = self.runs.pop(&run).expect("the run was loaded");
        self.names.unset(entry.state.start.namespace, &entry.state.start.workflow_id, run);
        let write = Write { slot: entry.slot, epoch: shared.epoch, changes: vec![Change::DeleteRun { run }] };
        let sequence = shared.store.submit(write, Durability::Durable);
        self.names.deleting(run, sequence);
        sequence
    }
}

/// Adds the wake-up row's change if it needs one; says when the run is to be looked at in memory.
pub(super) fn wake_change(
    shared: &Shared,
    run: RunKey,
    entry: &mut Entry,
    now: Timestamp,
    changes: &mut Vec<Change>,
) -> Option<Timestamp> {
    let state = &entry.state;
    let next = match state.recorded.progress.closed_at {
        None => state.next_deadline(),
        // A closed run wakes once more, to be deleted.
        Some(closed) => Some(closed + shared.retention(state.start.namespace)),
    };
    if let Some(due) = codec::wake_to_store(entry.stored_wake, next, now) {
        changes.push(Change::SetWake { run, slot: entry.slot, due });
        entry.stored_wake = due;
    }
    next
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}
