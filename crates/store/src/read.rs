//! Reads of runs, histories, and the work that waits, on connections of their own.
//!
//! Invariants
//! - A read sees one moment: everything it returns comes from one snapshot, no older than the last progress
//!   published before it began.
//! - Read connections cannot write.

use crate::{
    error::Error,
    names::task_kind,
    row::{
        DocumentKind, HistoryRow, Item, ItemKey, LoadedRun, RegistryKind, RunRow, TaskRow, TokenHash, TransferRow,
        WakeRow,
    },
};
use bytes::Bytes;
use parking_lot::{Condvar, Mutex, RwLock};
use rusqlite::{
    Connection, OptionalExtension, Row, params,
    types::{FromSqlError, ValueRef},
};
use std::sync::Arc;
use tradewind_core::{
    ids::{EventId, NamespaceKey, QueueKey, RunKey, Slot},
    time::Timestamp,
};
use uuid::Uuid;

/// How many statements a read connection keeps prepared. Filters make theirs up as they go.
const STATEMENTS_KEPT: usize = 64;

/// Read connections, lent one at a time.
pub(crate) struct Readers {
    idle: Mutex<Idle>,
    returned: Condvar,
    gate: Option<Arc<RwLock<()>>>,
}

struct Idle {
    connections: Vec<Connection>,
    closed: bool,
}

impl Readers {
    pub(crate) fn new(connections: Vec<Connection>, gate: Option<Arc<RwLock<()>>>) -> Readers {
        for connection in &connections {
            connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        }
        Readers { idle: Mutex::new(Idle { connections, closed: false }), returned: Condvar::new(), gate }
    }

    /// Lends a connection to `read`, inside one transaction.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let _open = self.gate.as_ref().map(|gate| gate.read_recursive());
        let lent = self.lend()?;
        let connection = lent.connection.as_ref().expect("a lent connection is there until it is returned");
        let transaction = connection.unchecked_transaction()?;
        // Dropping the transaction rolls it back, which for a read is the cheapest way to end it.
        read(&transaction)
    }

    pub(crate) fn close(&self) {
        let mut idle = self.idle.lock();
        idle.closed = true;
        idle.connections.clear();
        drop(idle);
        self.returned.notify_all();
    }

    fn lend(&self) -> Result<Lent<'_>, Error> {
        let mut idle = self.idle.lock();
        loop {
            if idle.closed {
                return Err(Error::Closed);
            }
            if let Some(connection) = idle.connections.pop() {
                return Ok(Lent { connection: Some(connection), readers: self });
            }
            self.returned.wait(&mut idle);
        }
    }
}

/// A connection on loan, returned even if the read panics.
struct Lent<'a> {
    connection: Option<Connection>,
    readers: &'a Readers,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut idle = self.readers.idle.lock();
        if !idle.closed {
            idle.connections.extend(self.connection.take());
        }
        drop(idle);
        self.readers.returned.notify_one();
    }
}

pub(crate) fn load_run(connection: &Connection, run: RunKey) -> Result<Option<LoadedRun>, Error> {
    let mut find = connection.prepare_cached(
        "SELECT run.namespace, run.workflow_id, run.run_id, run.slot, run_state.bytes, wake.due
         FROM run JOIN run_state ON run_state.run = run.id LEFT JOIN wake ON wake.run = run.id
         WHERE run.id = ?",
    )?;
    let found = find.query_row([run.0], |row| {
        let run = RunRow {
            run,
            namespace: NamespaceKey(row.get(0)?),
            workflow_id: row.get(1)?,
            run_id: uuid(row, 2)?,
            slot: Slot(row.get(3)?),
            state: bytes(row, 4)?,
        };
        Ok((run, row.get::<_, Option<i64>>(5)?.map(Timestamp::from_nanos)))
    });
    let Some((row, wake)) = found.optional()? else { return Ok(None) };
    let mut find = connection.prepare_cached("SELECT kind, key, bytes FROM item WHERE run = ? ORDER BY kind, key")?;
    let items =
        find.query_map([run.0], |row| Ok(Item { kind: row.get(0)?, key: item_key(row, 1)?, bytes: bytes(row, 2)? }))?;
    let items = items.collect::<Result<Vec<_>, _>>()?;
    Ok(Some(LoadedRun { row, items, wake }))
}

pub(crate) fn current_run(
    connection: &Connection,
    namespace: NamespaceKey,
    workflow_id: &str,
) -> Result<Option<RunKey>, Error> {
    let mut find = connection
        .prepare_cached("SELECT current FROM execution WHERE namespace = ? AND workflow_id = ? AND run = 0")?;
    Ok(find.query_row((namespace.0, workflow_id), |row| row.get(0).map(RunKey)).optional()?)
}

pub(crate) fn find_run(
    connection: &Connection,
    namespace: NamespaceKey,
    workflow_id: &str,
    run_id: Uuid,
) -> Result<Option<RunKey>, Error> {
    let mut find =
        connection.prepare_cached("SELECT id FROM run WHERE run_id = ? AND namespace = ? AND workflow_id = ?")?;
    let key = (crate::apply::key_of(&run_id), namespace.0, workflow_id);
    Ok(find.query_row(key, |row| row.get(0).map(RunKey)).optional()?)
}

/// Batches from the one that holds event `from` on, while they fit; the first always does.
pub(crate) fn history(
    connection: &Connection,
    run: RunKey,
    from: EventId,
    batches_max: usize,
    bytes_max: usize,
) -> Result<Vec<HistoryRow>, Error> {
    let mut find = connection.prepare_cached(
        "SELECT first_event_id, bytes FROM history
         WHERE run = ?1 AND first_event_id >= coalesce(
           (SELECT max(first_event_id) FROM history WHERE run = ?1 AND first_event_id <= ?2), ?2)
         ORDER BY first_event_id",
    )?;
    take_batches(find.query((run.0, from))?, batches_max, bytes_max)
}

/// Batches that begin before event `before`, newest first, while they fit; the first always does.
pub(crate) fn history_reverse(
    connection: &Connection,
    run: RunKey,
    before: EventId,
    batches_max: usize,
    bytes_max: usize,
) -> Result<Vec<HistoryRow>, Error> {
    let mut find = connection.prepare_cached(
        "SELECT first_event_id, bytes FROM history WHERE run = ? AND first_event_id < ? ORDER BY first_event_id DESC",
    )?;
    take_batches(find.query((run.0, before))?, batches_max, bytes_max)
}

fn take_batches(mut rows: rusqlite::Rows<'_>, batches_max: usize, bytes_max: usize) -> Result<Vec<HistoryRow>, Error> {
    let mut batches = Vec::new();
    let mut taken = 0;
    while let Some(row) = rows.next()? {
        let blob = row.get_ref(1)?.as_blob().map_err(|_| Error::Damaged("history"))?;
        taken += blob.len();
        if !batches.is_empty() && (batches.len() >= batches_max || taken > bytes_max) {
            break;
        }
        batches.push(HistoryRow { first_event_id: row.get(0)?, bytes: Bytes::copy_from_slice(blob) });
    }
    Ok(batches)
}

pub(crate) fn due_wakes(
    connection: &Connection,
    until: Timestamp,
    after: Option<WakeRow>,
    limit: usize,
) -> Result<Vec<WakeRow>, Error> {
    let (due, run) = after.map_or((i64::MIN, i64::MIN), |row| (row.due.as_nanos(), row.run.0));
    let mut find = connection.prepare_cached(
        "SELECT due, run, slot FROM wake WHERE due <= ? AND (due, run) > (?, ?) ORDER BY due, run LIMIT ?",
    )?;
    let rows = find.query_map((until.as_nanos(), due, run, limit as i64), |row| {
        Ok(WakeRow { due: Timestamp::from_nanos(row.get(0)?), run: RunKey(row.get(1)?), slot: Slot(row.get(2)?) })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn pending_tasks(
    connection: &Connection,
    queue: &QueueKey,
    after: Option<(i32, i64)>,
    limit: usize,
) -> Result<Vec<TaskRow>, Error> {
    let (priority, id) = after.map_or((i64::MIN, i64::MIN), |(priority, id)| (i64::from(priority), id));
    let mut find = connection.prepare_cached(
        "SELECT priority, id, run, slot, bytes FROM task
         WHERE queue = (SELECT id FROM task_queue WHERE namespace = ? AND kind = ? AND name = ?)
           AND (priority, id) > (?, ?)
         ORDER BY priority, id LIMIT ?",
    )?;
    let key = params![queue.namespace.0, queue.kind as i64, queue.name, priority, id, limit as i64];
    let rows = find.query_map(key, |row| {
        Ok(TaskRow {
            queue: queue.clone(),
            priority: row.get(0)?,
            id: row.get(1)?,
            run: RunKey(row.get(2)?),
            slot: Slot(row.get(3)?),
            bytes: bytes(row, 4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Every queue that has a task, with how many. Reads all tasks: meant for the start.
pub(crate) fn queues_with_tasks(connection: &Connection) -> Result<Vec<(QueueKey, u64)>, Error> {
    let mut find = connection.prepare_cached(
        "SELECT task_queue.namespace, task_queue.kind, task_queue.name, counted.n
         FROM (SELECT queue, count(*) AS n FROM task GROUP BY queue) AS counted
         JOIN task_queue ON task_queue.id = counted.queue
         ORDER BY 1, 2, 3",
    )?;
    let mut rows = find.query([])?;
    let mut queues = Vec::new();
    while let Some(row) = rows.next()? {
        let kind = task_kind(row.get(1)?).ok_or(Error::Damaged("task queue kind"))?;
        let queue = QueueKey { namespace: NamespaceKey(row.get(0)?), kind, name: row.get(2)? };
        queues.push((queue, row.get::<_, i64>(3)? as u64));
    }
    Ok(queues)
}

pub(crate) fn pending_transfers(connection: &Connection, after: i64, limit: usize) -> Result<Vec<TransferRow>, Error> {
    let mut find =
        connection.prepare_cached("SELECT id, slot, run, bytes FROM transfer WHERE id > ? ORDER BY id LIMIT ?")?;
    let rows = find.query_map((after, limit as i64), |row| {
        Ok(TransferRow { id: row.get(0)?, slot: Slot(row.get(1)?), run: RunKey(row.get(2)?), bytes: bytes(row, 3)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn registry(connection: &Connection, kind: RegistryKind) -> Result<Vec<(String, Bytes)>, Error> {
    let mut find = connection.prepare_cached("SELECT key, bytes FROM registry WHERE kind = ? ORDER BY key")?;
    let rows = find.query_map([kind as i64], |row| Ok((row.get(0)?, bytes(row, 1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn token(connection: &Connection, run: RunKey) -> Result<Option<TokenHash>, Error> {
    let mut find = connection.prepare_cached("SELECT hash FROM token WHERE run = ?")?;
    let hash: Option<Vec<u8>> = find.query_row([run.0], |row| row.get(0)).optional()?;
    hash.map(|hash| hash.try_into().map_err(|_| Error::Damaged("token"))).transpose()
}

pub(crate) fn run_with_token(connection: &Connection, hash: &TokenHash) -> Result<Option<RunKey>, Error> {
    let mut find = connection.prepare_cached("SELECT max(run) FROM token WHERE hash = ?")?;
    let run: Option<i64> = find.query_row([&hash[..]], |row| row.get(0))?;
    Ok(run.map(RunKey))
}

pub(crate) fn search_keys(connection: &Connection, run: RunKey) -> Result<Vec<(String, Option<String>)>, Error> {
    let mut find = connection.prepare_cached("SELECT key, value FROM search_key WHERE run = ? ORDER BY key")?;
    let rows = find.query_map([run.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn document(connection: &Connection, kind: DocumentKind, key: &str) -> Result<Option<Bytes>, Error> {
    let mut find = connection.prepare_cached("SELECT bytes FROM document WHERE kind = ? AND key = ?")?;
    Ok(find.query_row((kind as i64, key), |row| bytes(row, 0)).optional()?)
}

/// Runs of a namespace by key, for whoever deletes one. Reads all runs of others too.
pub(crate) fn runs_of_namespace(
    connection: &Connection,
    namespace: NamespaceKey,
    after: RunKey,
    limit: usize,
) -> Result<Vec<RunRow>, Error> {
    let mut find = connection.prepare_cached(
        "SELECT run.id, run.workflow_id, run.run_id, run.slot, run_state.bytes
         FROM run JOIN run_state ON run_state.run = run.id
         WHERE run.id > ? AND run.namespace = ? ORDER BY run.id LIMIT ?",
    )?;
    let rows = find.query_map((after.0, namespace.0, limit as i64), |row| {
        Ok(RunRow {
            run: RunKey(row.get(0)?),
            namespace,
            workflow_id: row.get(1)?,
            run_id: uuid(row, 2)?,
            slot: Slot(row.get(3)?),
            state: bytes(row, 4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    Ok(Bytes::copy_from_slice(row.get_ref(column)?.as_blob()?))
}

pub(crate) fn uuid(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    let blob = row.get_ref(column)?.as_blob()?;
    Ok(Uuid::from_slice(blob).map_err(|error| FromSqlError::Other(Box::new(error)))?)
}

fn item_key(row: &Row<'_>, column: usize) -> rusqlite::Result<ItemKey> {
    match row.get_ref(column)? {
        ValueRef::Integer(id) => Ok(ItemKey::Id(id)),
        text => Ok(ItemKey::Name(text.as_str()?.to_owned())),
    }
}
