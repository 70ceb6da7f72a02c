//! The store: one writer, several readers, one data directory.
//!
//! Opening lays out what is missing and starts the writer; closing flushes what was submitted and gives the
//! directory back. In between this file only hands calls on.

mod flusher;
mod options;
mod place;

pub use options::{Flush, Location, Options};

use self::{
    flusher::Flusher,
    place::{BUSY_TIMEOUT, Place, Role},
};
use crate::{
    directory::DataDirectory,
    error::{Error, OpenError},
    events,
    filter::Query,
    lifetimes::{self, Lifetimes},
    list::{self, Counted, Order},
    read::{self, Readers},
    row::{
        DocumentKind, Durability, Epoch, EventFilter, EventPage, EventRange, EventSummary, FollowedRow, Follower,
        HistoryRow, LoadedRun, LogOwner, LogRange, LogRow, RegistryKind, RunRow, Sequence, TaskRow, TokenHash, TraceId,
        TransferRow, VisibilityRow, WakeRow, Write,
    },
    telemetry,
    writer::{self, Progress, Settings, Shared, Statistics},
};
use bytes::Bytes;
use parking_lot::Mutex;
use rusqlite::Connection;
use std::{
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::{runtime::RuntimeFlavor, sync::watch};
use tradewind_core::{
    ids::{EventId, NamespaceKey, QueueKey, RunKey},
    time::Timestamp,
};
use uuid::Uuid;

/// How long the write-ahead log becomes before it is moved into the database.
const LOG_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// The greatest ids ever used, those of deleted rows included. After an unclean end they may be somewhat
/// greater than that, never smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HighWater {
    pub run: RunKey,
    pub task: i64,
    pub transfer: i64,
}

impl Default for HighWater {
    fn default() -> HighWater {
        HighWater { run: RunKey(0), task: 0, transfer: 0 }
    }
}

/// A handle on an open store. The last one to go closes it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    readers: Readers,
    /// Taken by whoever closes the store.
    running: Mutex<Option<Running>>,
}

/// What ends with the store, in this order.
struct Running {
    writer: JoinHandle<()>,
    flusher: Option<Flusher>,
    directory: Option<DataDirectory>,
}

impl Store {
    pub fn open(options: Options) -> Result<Store, OpenError> {
        let place = Place::take(&options.path)?;
        let connection = place.connect(Role::Writer(options.flush))?;
        place.prepare(&connection)?;
        let readers = (0..options.readers.max(1)).map(|_| place.connect(Role::Reader)).collect::<Result<_, _>>()?;

        let shared = Arc::new(Shared::new());
        let settings = Settings {
            ordered_wait: options.ordered_wait,
            log_bytes_max: place.directory.is_some().then_some(LOG_BYTES_MAX),
            busy_timeout: BUSY_TIMEOUT,
            gate: place.gate.clone(),
        };
        let (ready, started) = mpsc::sync_channel(1);
        let shared_with_writer = Arc::clone(&shared);
        let writer = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer::run(&connection, &shared_with_writer, &settings, ready))
            .map_err(|source| OpenError::Io { path: place.name.clone(), source })?;
        started.recv().expect("the writer says how its start went").map_err(|error| place.failed(&error))?;

        let flusher = match (options.flush, &place.directory) {
            (Flush::Relaxed { every }, Some(directory)) => Some(Flusher::start(&directory.log(), every)?),
            _ => None,
        };
        let running = Running { writer, flusher, directory: place.directory };
        let readers = Readers::new(readers, place.gate);
        Ok(Store { inner: Arc::new(Inner { shared, readers, running: Mutex::new(Some(running)) }) })
    }

    /// Takes over all slots under a new epoch. Durable when it returns; earlier epochs are void.
    pub fn claim(&self) -> Result<Epoch, Error> {
        self.inner.shared.claim()
    }

    /// Where new ids may start.
    pub fn high_water(&self) -> Result<HighWater, Error> {
        Ok(self.inner.shared.high_water())
    }

    /// Queues a write and returns at once. It is applied in the order of the sequences.
    pub fn submit(&self, write: Write, durability: Durability) -> Sequence {
        self.inner.shared.submit(write, durability)
    }

    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.inner.shared.progress()
    }

    /// Waits until a write is durable. An ordered write is flushed at once for it.
    pub async fn durable(&self, sequence: Sequence) -> Result<(), Error> {
        let mut progress = self.progress();
        if progress.borrow().durable < sequence {
            self.inner.shared.nudge();
        }
        let reached = progress.wait_for(|progress| progress.durable >= sequence || progress.failed.is_some()).await;
        match reached {
            Ok(progress) if progress.durable >= sequence => Ok(()),
            _ => Err(self.inner.shared.failure()),
        }
    }

    /// Flushes what was submitted and gives the directory back, for every handle. Safe to call twice.
    pub fn close(&self) {
        self.inner.close();
    }

    pub fn statistics(&self) -> Statistics {
        self.inner.shared.statistics()
    }

    pub fn load_run(&self, run: RunKey) -> Result<Option<LoadedRun>, Error> {
        self.read(|connection| read::load_run(connection, run))
    }

    /// The run that a workflow id names.
    pub fn current_run(&self, namespace: NamespaceKey, workflow_id: &str) -> Result<Option<RunKey>, Error> {
        self.read(|connection| read::current_run(connection, namespace, workflow_id))
    }

    pub fn find_run(&self, namespace: NamespaceKey, workflow_id: &str, run_id: Uuid) -> Result<Option<RunKey>, Error> {
        self.read(|connection| read::find_run(connection, namespace, workflow_id, run_id))
    }

    /// Batches in order, from the one that contains event `from`; at least one, if there is any.
    pub fn read_history(
        &self,
        run: RunKey,
        from: EventId,
        batches_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<HistoryRow>, Error> {
        self.read(|connection| read::history(connection, run, from, batches_max, bytes_max))
    }

    /// Batches that begin before event `before` (`EventId::MAX` for all), newest first; at least one, if there
    /// is any.
    pub fn read_history_reverse(
        &self,
        run: RunKey,
        before: EventId,
        batches_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<HistoryRow>, Error> {
        self.read(|connection| read::history_reverse(connection, run, before, batches_max, bytes_max))
    }

    /// Runs due by `until`, in the order (due, run), after the row `after`.
    pub fn due_wakes(&self, until: Timestamp, after: Option<WakeRow>, limit: usize) -> Result<Vec<WakeRow>, Error> {
        self.read(|connection| read::due_wakes(connection, until, after, limit))
    }

    /// Tasks of a queue in the order (priority, id), after the pair `after`.
    pub fn pending_tasks(
        &self,
        queue: &QueueKey,
        after: Option<(i32, i64)>,
        limit: usize,
    ) -> Result<Vec<TaskRow>, Error> {
        self.read(|connection| read::pending_tasks(connection, queue, after, limit))
    }

    /// Every queue that has tasks, and how many. Meant for the start: it reads the key of every task.
    pub fn queues_with_tasks(&self) -> Result<Vec<(QueueKey, u64)>, Error> {
        self.read(read::queues_with_tasks)
    }

    /// Transfers by id, after `after`.
    pub fn pending_transfers(&self, after: i64, limit: usize) -> Result<Vec<TransferRow>, Error> {
        self.read(|connection| read::pending_transfers(connection, after, limit))
    }

    /// All rows of a kind, by key.
    pub fn registry(&self, kind: RegistryKind) -> Result<Vec<(String, Bytes)>, Error> {
        self.read(|connection| read::registry(connection, kind))
    }

    /// The hash of the token that was stored for a run.
    pub fn token(&self, run: RunKey) -> Result<Option<TokenHash>, Error> {
        self.read(|connection| read::token(connection, run))
    }

    /// The run whose token has this hash: the latest, should there be several.
    pub fn run_with_token(&self, hash: &TokenHash) -> Result<Option<RunKey>, Error> {
        self.read(|connection| read::run_with_token(connection, hash))
    }

    /// What users find a run by, in the order of the keys.
    pub fn search_keys(&self, run: RunKey) -> Result<Vec<(String, Option<String>)>, Error> {
        self.read(|connection| read::search_keys(connection, run))
    }

    pub fn document(&self, kind: DocumentKind, key: &str) -> Result<Option<Bytes>, Error> {
        self.read(|connection| read::document(connection, kind, key))
    }

    /// Runs of a namespace by key, after `after`; for deleting it.
    pub fn runs_of_namespace(
        &self,
        namespace: NamespaceKey,
        after: RunKey,
        limit: usize,
    ) -> Result<Vec<RunRow>, Error> {
        self.read(|connection| read::runs_of_namespace(connection, namespace, after, limit))
    }

    /// One page of executions: open ones first by start, then closed ones by close, latest first. The token
    /// leads to the next page, if there is one.
    ///
    /// The rows' `attributes` are empty: what they were made from is in `search_attributes`.
    pub fn list(
        &self,
        namespace: NamespaceKey,
        query: &Query,
        page_size: usize,
        after: Option<&[u8]>,
    ) -> Result<(Vec<VisibilityRow>, Option<Bytes>), Error> {
        self.list_in(namespace, query, Order::default(), page_size, after)
    }

    /// The same in an order of one's own. A token leads on only in the order that it comes from.
    pub fn list_in(
        &self,
        namespace: NamespaceKey,
        query: &Query,
        order: Order,
        page_size: usize,
        after: Option<&[u8]>,
    ) -> Result<(Vec<VisibilityRow>, Option<Bytes>), Error> {
        self.search(|connection| list::page(connection, namespace, query, order, page_size, after))
    }

    /// How many executions match, by group if the query says so.
    pub fn count(&self, namespace: NamespaceKey, query: &Query) -> Result<Counted, Error> {
        self.search(|connection| list::count(connection, namespace, query))
    }

    /// How long the executions that match have lived, by state and by stretches of time in which they closed.
    pub fn lifetimes(
        &self,
        namespace: NamespaceKey,
        query: &Query,
        stretch: Duration,
    ) -> Result<Vec<Lifetimes>, Error> {
        self.search(|connection| lifetimes::read(connection, namespace, query, stretch))
    }

    /// What lists show of a run; without `attributes`, as in [`Store::list`].
    pub fn visibility(&self, run: RunKey) -> Result<Option<VisibilityRow>, Error> {
        self.read(|connection| list::one(connection, run))
    }

    /// The sequence of the last event in the log, told after each commit that adds to it.
    pub fn last_event(&self) -> watch::Receiver<i64> {
        self.inner.shared.events()
    }

    /// Events in the order of their sequences.
    pub fn events(&self, filter: &EventFilter, range: EventRange) -> Result<EventPage, Error> {
        self.read(|connection| events::read::page(connection, filter, range))
    }

    pub fn event_summary(&self, run: RunKey) -> Result<EventSummary, Error> {
        self.read(|connection| events::read::summary(connection, run))
    }

    /// The end of the oldest `limit` events, as far as they were received before `before`.
    pub fn expired_events(&self, before: Timestamp, limit: usize) -> Result<Option<i64>, Error> {
        self.read(|connection| events::read::expired(connection, before, limit))
    }

    /// A deleted run that has events, and the end of the oldest `limit` of them.
    pub fn events_of_gone_run(&self, limit: usize) -> Result<Option<(RunKey, i64)>, Error> {
        self.read(|connection| events::read::gone(connection, limit))
    }

    /// The id of the last step that was followed, told after each commit that has one.
    pub fn last_followed(&self) -> watch::Receiver<i64> {
        self.inner.shared.followed()
    }

    /// Steps that a follower has not dealt with, in the order of commits, after `after`.
    pub fn followed(&self, follower: Follower, after: i64, limit: usize) -> Result<Vec<FollowedRow>, Error> {
        self.read(|connection| events::read::followed(connection, follower, after, limit))
    }

    /// The spans of a trace that fit into `bytes_max`, as an encoded `TracesData`, and whether some did not.
    pub fn spans(&self, trace: &TraceId, bytes_max: usize) -> Result<(Bytes, bool), Error> {
        self.search(|connection| telemetry::spans(connection, trace, bytes_max))
    }

    pub fn has_spans(&self, trace: &TraceId) -> Result<bool, Error> {
        self.read(|connection| telemetry::has_spans(connection, trace))
    }

    pub fn logs(&self, owner: &LogOwner, range: &LogRange) -> Result<Vec<LogRow>, Error> {
        self.search(|connection| telemetry::logs(connection, owner, range))
    }

    /// The ends of the oldest `limit` rows of spans and of log records, as far as they were received before `before`.
    pub fn expired_telemetry(&self, before: Timestamp, limit: usize) -> Result<Option<(i64, i64)>, Error> {
        self.read(|connection| telemetry::expired_telemetry(connection, before, limit))
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        self.inner.readers.read(read)
    }

    /// A read that takes as long as what users ask for and have stored: others may use the thread's place meanwhile.
    fn search<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        match tokio::runtime::Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(|| self.read(read)),
            _ => self.read(read),
        }
    }
}

impl Inner {
    fn close(&self) {
        let Some(Running { writer, flusher, directory }) = self.running.lock().take() else { return };
        self.readers.close();
        self.shared.begin_closing();
        if writer.join().is_err() {
            tracing::error!("the store's writer panicked");
        }
        drop(flusher);
        // The lock goes last: whoever gets the directory next finds it at rest.
        drop(directory);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}
