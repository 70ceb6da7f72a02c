//! When runs want to be looked at.
//!
//! Each run has at most one wake-up row, which is never later than its next deadline. A loop keeps the near
//! future of its slots in memory and reads on from the store when it gets there.
//!
//! Invariants
//! - For every run of the loop's slots that has a deadline before the horizon, there is an entry at that time
//!   or earlier.
//! - An entry too many costs a look; none is ever missing.

use super::{Owner, act::Act};
use crate::{codec, message::Target};
use std::{collections::BTreeSet, time::Duration};
use store::row::{Change, Durability, WakeRow, Write};
use tradewind_core::{ids::RunKey, step::Input, time::Timestamp};

/// Rows read at a time.
const WINDOW: usize = 10_000;
/// The longest that a loop sleeps without looking.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// Deadlines this near are always kept in memory: they may not be in the store (speculative tasks).
const NEAR: Duration = Duration::from_secs(60);
/// Runs woken before messages get their turn.
const WOKEN_AT_ONCE: usize = 256;

pub(super) struct Timers {
    armed: BTreeSet<(Timestamp, RunKey)>,
    /// Everything in the store that is due before this has been read.
    horizon: Timestamp,
    last_read: Option<WakeRow>,
}

impl Timers {
    pub(super) fn new() -> Timers {
        Timers { armed: BTreeSet::new(), horizon: Timestamp::ZERO, last_read: None }
    }

    pub(super) fn arm(&mut self, due: Timestamp, run: RunKey) {
        self.armed.insert((due, run));
    }

    /// When to look again, at the latest.
    pub(super) fn next_look(&self, now: Timestamp) -> Timestamp {
        let next = self.armed.first().map_or(self.horizon, |(due, _)| *due).min(self.horizon);
        next.min(now + SLEEP_MAX)
    }

    /// What is in memory, earliest first.
    pub(super) fn armed(&self) -> impl Iterator<Item = (Timestamp, RunKey)> {
        self.armed.iter().copied()
    }

    /// From when on the store may know of more; `None` if it does not.
    pub(super) fn unread(&self) -> Option<Timestamp> {
        self.last_read.map(|_| self.horizon)
    }
}

impl Owner {
    /// Wakes what is due.
    pub(super) fn fire_timers(&mut self, now: Timestamp) {
        if self.timers.horizon <= now {
            self.read_timers(now);
        }
        for _ in 0..WOKEN_AT_ONCE {
            match self.timers.armed.first() {
                Some((due, _)) if *due <= now => {}
                _ => break,
            }
            let (_, run) = self.timers.armed.pop_first().expect("just seen");
            self.wake(run, now);
        }
        // What lies beyond the horizon can be read again when it is near.
        let keep_until = self.timers.horizon.max(now + NEAR);
        while self.timers.armed.len() > 4 * WINDOW {
            match self.timers.armed.last() {
                Some((due, _)) if *due > keep_until => {
                    self.timers.armed.pop_last();
                }
                _ => break,
            }
        }
    }

    fn read_timers(&mut self, now: Timestamp) {
        let rows = match self.shared.store.due_wakes(Timestamp::MAX, self.timers.last_read, WINDOW) {
            Ok(rows) => rows,
            Err(error) => {
                tracing::error!(%error, "timers cannot be read; trying again");
                self.timers.horizon = now + Duration::from_secs(1);
                return;
            }
        };
        if rows.len() < WINDOW {
            // The end of what there is: later rows are made by this loop, which arms them itself. Start over
            // once in a while, so that nothing depends on that alone.
            self.timers.horizon = now + SLEEP_MAX;
            self.timers.last_read = None;
        } else {
            self.timers.horizon = rows.last().map_or(now, |row| row.due);
            self.timers.last_read = rows.last().copied();
        }
        for row in rows {
            if self.handle.owns(self.index, row.slot) {
                self.timers.armed.insert((row.due, row.run));
            }
        }
        // Writes on their way are not in the store yet; their runs are all in the cache.
        let cached: Vec<(Timestamp, RunKey)> =
            self.runs.iter().filter_map(|(run, entry)| Some((entry.state.next_deadline()?, *run))).collect();
        self.timers.armed.extend(cached);
    }

    fn wake(&mut self, run: RunKey, now: Timestamp) {
        self.note_move();
        match self.load(run) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::error!(?run, %error, "a run that is due cannot be loaded");
                return;
            }
        }
        let entry = self.entry(run);
        if entry.parked.is_some() {
            return;
        }
        if let Some(closed) = entry.state.recorded.progress.closed_at {
            let namespace = entry.state.start.namespace;
            let expires = closed + self.shared.retention(namespace);
            if expires <= now {
                let sequence = self.delete(run);
                self.when(sequence, Act::Deleted { answer: None });
            } else {
                self.rearm(run, expires, now);
            }
            return;
        }
        match entry.state.next_deadline() {
            Some(due) if due <= now => {
                let slot = entry.slot;
                let (answer, _) = tokio::sync::oneshot::channel();
                self.on_step(&Target::Run { slot, run }, Input::Wake, None, answer);
            }
            // Woken too early, as a row that was left alone does.
            Some(due) => self.rearm(run, due, now),
            None => {}
        }
    }

    fn rearm(&mut self, run: RunKey, due: Timestamp, now: Timestamp) {
        self.timers.arm(due, run);
        let shared = self.shared.clone();
        let entry = self.entry(run);
        if let Some(stored) = codec::wake_to_store(entry.stored_wake, Some(due), now) {
            entry.stored_wake = stored;
            let changes = vec![Change::SetWake { run, slot: entry.slot, due: stored }];
            let write = Write { slot: entry.slot, epoch: shared.epoch, changes };
            entry.written = shared.store.submit(write, Durability::Ordered);
        }
    }
}
