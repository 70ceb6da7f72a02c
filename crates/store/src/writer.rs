//! The one thread that writes: whatever arrived while the last group was flushed goes into the next.
//!
//! Invariants
//! - Groups are committed in the order of their sequences, each in one transaction.
//! - Progress is published after the commit, and before the housekeeping that may follow it.
//! - After a failure nothing more is applied; the writes before the one that failed are whole and durable
//!   or were never acknowledged.

use crate::{
    apply::{Refusal, Tables},
    error::{Error, Failure},
    log::Log,
    row::{Durability, Epoch, Sequence, Write},
    schema::Meta,
    store::HighWater,
};
use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};
use tokio::sync::watch;
use tradewind_core::ids::RunKey;

/// How far the store has got.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// This write and every one before it is durable.
    pub durable: Sequence,
    /// Set once, when the store stops taking writes for good.
    pub failed: Option<Arc<Failure>>,
}

/// What the store has done since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Transactions, which is flushes unless the mode is relaxed.
    pub groups: u64,
    pub writes: u64,
    /// Bytes that went to the write-ahead log.
    pub bytes_written: u64,
    pub checkpoints: u64,
}

/// What callers and the writer share.
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
    progress: watch::Sender<Progress>,
    /// The last event in the log, and the last step that was followed.
    events: watch::Sender<i64>,
    followed: watch::Sender<i64>,
    high_water: Mutex<HighWater>,
    groups: AtomicU64,
    writes: AtomicU64,
    bytes_written: AtomicU64,
    checkpoints: AtomicU64,
}

struct Queue {
    requests: Vec<Request>,
    /// The last sequence handed out.
    last: Sequence,
    /// Somebody waits for what is in the queue.
    urgent: bool,
    closing: bool,
    /// The writer is gone: nothing that arrives is kept.
    ended: bool,
}

enum Request {
    Write(Sequence, Write),
    Claim(mpsc::SyncSender<Result<Epoch, Error>>),
}

/// How the writer's thread works.
pub(crate) struct Settings {
    pub(crate) ordered_wait: Duration,
    /// How long the log may become before it is moved into the database; none for a store in memory.
    pub(crate) log_bytes_max: Option<u64>,
    /// How long a statement waits for a lock that another process holds.
    pub(crate) busy_timeout: Duration,
    /// Held while a group is written, where readers would otherwise get in its way.
    pub(crate) gate: Option<Arc<parking_lot::RwLock<()>>>,
}

impl Shared {
    pub(crate) fn new() -> Shared {
        Shared {
            queue: Mutex::new(Queue {
                requests: Vec::new(),
                last: Sequence(0),
                urgent: false,
                closing: false,
                ended: false,
            }),
            arrived: Condvar::new(),
            progress: watch::Sender::new(Progress::default()),
            events: watch::Sender::new(0),
            followed: watch::Sender::new(0),
            high_water: Mutex::new(HighWater::default()),
            groups: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            bytes_written: AtomicU64::new(0),
            checkpoints: AtomicU64::new(0),
        }
    }

    pub(crate) fn submit(&self, write: Write, durability: Durability) -> Sequence {
        let mut queue = self.queue.lock();
        queue.last.0 += 1;
        let sequence = queue.last;
        if queue.ended {
            return sequence;
        }
        queue.requests.push(Request::Write(sequence, write));
        let urgent = durability == Durability::Durable;
        // Another ordered write must not disturb a group that waits for company.
        let news = (urgent && !queue.urgent) || queue.requests.len() == 1;
        queue.urgent |= urgent;
        drop(queue);
        if news {
            self.arrived.notify_one();
        }
        sequence
    }

    pub(crate) fn claim(&self) -> Result<Epoch, Error> {
        let (reply, answer) = mpsc::sync_channel(1);
        let mut queue = self.queue.lock();
        if queue.ended {
            return Err(self.failure());
        }
        queue.requests.push(Request::Claim(reply));
        queue.urgent = true;
        drop(queue);
        self.arrived.notify_one();
        answer.recv().unwrap_or_else(|_| Err(self.failure()))
    }

    /// Has what is in the queue flushed without waiting for company.
    pub(crate) fn nudge(&self) {
        let mut queue = self.queue.lock();
        if queue.requests.is_empty() || queue.urgent {
            return;
        }
        queue.urgent = true;
        drop(queue);
        self.arrived.notify_one();
    }

    pub(crate) fn begin_closing(&self) {
        self.queue.lock().closing = true;
        self.arrived.notify_one();
    }

    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    pub(crate) fn events(&self) -> watch::Receiver<i64> {
        self.events.subscribe()
    }

    pub(crate) fn followed(&self) -> watch::Receiver<i64> {
        self.followed.subscribe()
    }

    pub(crate) fn high_water(&self) -> HighWater {
        *self.high_water.lock()
    }

    pub(crate) fn statistics(&self) -> Statistics {
        Statistics {
            groups: self.groups.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
            bytes_written: self.bytes_written.load(Ordering::Relaxed),
            checkpoints: self.checkpoints.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn failure(&self) -> Error {
        match &self.progress.borrow().failed {
            Some(failure) if **failure != Failure::Closed => Error::Failed(Arc::clone(failure)),
            _ => Error::Closed,
        }
    }

    fn fail(&self, failure: Failure) {
        self.progress.send_if_modified(|progress| {
            let first = progress.failed.is_none();
            if first {
                progress.failed = Some(Arc::new(failure));
            }
            first
        });
    }

    /// Waits for work and takes all of it. None once the store is closing and nothing is left.
    fn next_group(&self, group: &mut Vec<Request>, ordered_wait: Duration) -> Option<()> {
        let mut queue = self.queue.lock();
        while queue.requests.is_empty() {
            if queue.closing {
                return None;
            }
            self.arrived.wait(&mut queue);
        }
        if !queue.urgent && !queue.closing {
            // One wait and no more: a wake-up without a reason only makes the group smaller.
            self.arrived.wait_for(&mut queue, ordered_wait);
        }
        queue.urgent = false;
        mem::swap(&mut queue.requests, group);
        Some(())
    }
}

/// Tells everybody who waits, however the thread ends.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        // A claim whose reply channel is dropped unanswered reads the failure.
        self.0.fail(Failure::Closed);
        let mut queue = self.0.queue.lock();
        queue.ended = true;
        queue.requests.clear();
    }
}

/// Runs until the store is closed or fails.
pub(crate) fn run(
    connection: &Connection,
    shared: &Shared,
    settings: &Settings,
    ready: mpsc::SyncSender<rusqlite::Result<()>>,
) {
    let ending = Ending(shared);
    let mut writer = match Writer::new(connection, shared, settings) {
        Ok(writer) => writer,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let _ = ready.send(Ok(()));
    let mut group = Vec::new();
    while shared.next_group(&mut group, settings.ordered_wait).is_some() {
        if let Err(failure) = writer.write_group(&mut group) {
            tracing::error!(%failure, "the store takes no more writes");
            shared.fail(failure);
            break;
        }
    }
    writer.end();
    drop(ending);
}

struct Writer<'a> {
    connection: &'a Connection,
    tables: Tables<'a>,
    begin: rusqlite::Statement<'a>,
    commit: rusqlite::Statement<'a>,
    shared: &'a Shared,
    settings: &'a Settings,
    epoch: Epoch,
    /// None for a store in memory.
    log: Option<Log<'a>>,
}

impl<'a> Writer<'a> {
    fn new(connection: &'a Connection, shared: &'a Shared, settings: &'a Settings) -> rusqlite::Result<Writer<'a>> {
        let epoch =
            connection.query_row("SELECT value FROM meta WHERE number = ?", [Meta::Epoch as i64], |row| row.get(0))?;
        let log = settings.log_bytes_max.map(|bytes| Log::new(connection, bytes, settings.busy_timeout)).transpose()?;
        let writer = Writer {
            connection,
            tables: Tables::new(connection)?,
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            shared,
            settings,
            epoch: Epoch(epoch),
            log,
        };
        writer.publish_ids();
        writer.publish_events();
        Ok(writer)
    }

    /// Writes one group and empties it. After an error the store is finished.
    fn write_group(&mut self, group: &mut Vec<Request>) -> Result<(), Failure> {
        let gate = self.settings.gate.clone();
        let held = gate.as_ref().map(|gate| gate.write());
        let mut durable = None;
        let mut stale = None;
        let mut claims = Vec::new();
        self.begin.execute([]).map_err(database)?;
        for request in &*group {
            match request {
                Request::Write(sequence, write) if write.epoch != self.epoch => {
                    // The writes before it are innocent: they are committed, and the store stops here.
                    stale = Some(Failure::StaleEpoch { sequence: *sequence, held: write.epoch, current: self.epoch });
                    break;
                }
                Request::Write(sequence, write) => {
                    if let Err(refusal) = self.tables.apply(&write.changes) {
                        return Err(self.give_up(*sequence, refusal));
                    }
                    durable = Some(*sequence);
                }
                Request::Claim(reply) => {
                    self.epoch.0 += 1;
                    let epoch = (Meta::Epoch as i64, self.epoch.0);
                    self.connection.execute("UPDATE meta SET value = ?2 WHERE number = ?1", epoch).map_err(database)?;
                    claims.push((reply.clone(), self.epoch));
                }
            }
        }
        let last = durable.unwrap_or_default();
        if let Err(refusal) = self.tables.finish_group() {
            return Err(self.give_up(last, refusal));
        }
        self.commit.execute([]).map_err(database)?;
        drop(held);

        let writes = group.iter().filter(|request| matches!(request, Request::Write(..))).count();
        self.shared.groups.fetch_add(1, Ordering::Relaxed);
        self.shared.writes.fetch_add(writes as u64, Ordering::Relaxed);
        self.publish_ids();
        self.publish_events();
        if let Some(durable) = durable {
            self.shared.progress.send_modify(|progress| progress.durable = durable);
        }
        for (reply, epoch) in claims {
            let _ = reply.send(Ok(epoch));
        }
        group.clear();
        self.keep_log_short();
        stale.map_or(Ok(()), Err)
    }

    fn give_up(&self, sequence: Sequence, refusal: Refusal) -> Failure {
        let _ = self.connection.execute_batch("ROLLBACK");
        match refusal {
            Refusal::Conflict(reason) => Failure::Conflict { sequence, reason },
            Refusal::Database(error) => database(error),
        }
    }

    fn publish_ids(&self) {
        let ids = &self.tables.ids;
        *self.shared.high_water.lock() =
            HighWater { run: RunKey(ids.run.highest), task: ids.task.highest, transfer: ids.transfer.highest };
    }

    fn publish_events(&self) {
        let further = |published: &mut i64, last| mem::replace(published, last) != last;
        let events = &self.tables.events;
        self.shared.events.send_if_modified(|published| further(published, events.last()));
        self.shared.followed.send_if_modified(|published| further(published, events.last_followed()));
    }

    /// Moves the log's pages into the database once there are enough of them. The group that made it so has
    /// been acknowledged by then.
    fn keep_log_short(&mut self) {
        let Some(log) = &mut self.log else { return };
        self.shared.bytes_written.fetch_add(log.committed(), Ordering::Relaxed);
        match log.keep_short() {
            Ok(moved) => {
                self.shared.checkpoints.fetch_add(u64::from(moved), Ordering::Relaxed);
            }
            // Nothing is lost: the log is only longer, and it is tried again.
            Err(error) => tracing::warn!(%error, "the write-ahead log could not be moved into the database"),
        }
    }

    /// Leaves the database tidy. What fails here fails again, louder, at the next start.
    fn end(mut self) {
        let gate = self.settings.gate.clone();
        let _held = gate.as_ref().map(|gate| gate.write());
        let settled = self.connection.is_autocommit() && self.tables.settle().is_ok();
        if !settled {
            tracing::warn!("the store was closed in the middle of its work");
        }
        if let Some(log) = &self.log
            && let Err(error) = log.empty()
        {
            tracing::warn!(%error, "the write-ahead log could not be moved into the database");
        }
    }
}

fn database(error: rusqlite::Error) -> Failure {
    Failure::Database(error.to_string())
}
