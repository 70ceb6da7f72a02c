//! The tables, and how a connection is set up.
//!
//! Every row that belongs to a run is keyed by the run's small integer; long names (task queues, workflow
//! types, attribute names) are written once and referred to by number. Keys in natural form measured 3.7
//! times the CPU of a write.
//!
//! Layout, one line a table; `→` separates key from value:
//!
//! ```text
//! meta        number → value                     see [`Meta`]
//! run         id → identity                      + index on run_id
//! run_state   run → bytes                        apart from run, because it is rewritten by every step
//! execution   namespace, workflow_id, run        every run of a workflow id; run 0 → the current run
//! history     run, first_event_id → bytes
//! item        run, kind, key → bytes             key is an integer or a text
//! wake        run → slot, due                    + index on due
//! task_queue  id → namespace, kind, name         the names of queues that have tasks
//! task        queue, priority, id → run, slot, bytes
//! transfer    id → slot, run, bytes              + index on run
//! registry    kind, key → bytes
//! name        id → text                          workflow types, task queues and attribute names as seen in lists
//! visibility  run → what a list shows            + indexes below
//! attribute   run, name, kind, value             one row a value, one a token of a text; + index by value
//! tally       namespace, status → n              how many visibility rows without a division
//! token       run → hash                         what a worker proves with that it works on the run; + index on hash
//! search_key  run, key → value                   what users find a run by, beside attributes; + index by key, value
//! event_source  run → who it is, how far it is   + indexes by the names that readers ask for
//! event       sequence → run, chain, id, bytes   + unique on run and id; indexes on run, on chain
//! open_task   run, task → where it opened        custom tasks that were opened and not closed
//! followed    id → follower, run, event          steps that somebody has yet to hear of
//! document    kind, key → bytes                  what others keep here, too large to be read at the start
//! spans       id → trace, bytes                  + index on trace
//! log         id → time, whose, bytes            + indexes by whose and time
//! ```
//!
//! From `token` on they are of version 2. A directory of an older version is brought up to this one when it is opened.
//!
//! Workflow ids are as random as users make them, so each index over them costs a page of its own per start.
//! There is one, `execution`: it names the current run and finds the runs of a list alike.
//!
//! `visibility.close_time` is [`OPEN`] while a run is open, so that one descending index gives the order of
//! lists: open runs first by start, then closed ones by close. Most runs are neither children nor continue
//! another, so `root_…` and `first_run_id` are null where they are the run itself. Running and completed are the
//! states of most runs: the index by status leaves them out, and the one by order serves them.

use rusqlite::Connection;

/// What this build writes to `PRAGMA user_version`.
pub(crate) const VERSION: u32 = VERSIONS.len() as u32;

/// What each version adds to the one before, from version 1 on. What was released is never changed again.
const VERSIONS: &[&[&str]] = &[&[TABLES], &[RUN_TABLES, EVENT_TABLES, TELEMETRY_TABLES]];

/// What marks a file as ours: "TrdW".
pub(crate) const APPLICATION_ID: u32 = 0x5472_6457;

/// `visibility.close_time` of an open run.
pub(crate) const OPEN: i64 = i64::MAX;

/// The rows of table `meta`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Meta {
    Epoch = 1,
    /// No run, task or transfer above these was ever written. They run ahead of what was written, so that
    /// most groups need not touch them.
    RunsReserved = 2,
    TasksReserved = 3,
    TransfersReserved = 4,
    /// The last sequence of the event log. Exact, because it stands for the order in which readers read.
    LastEvent = 5,
}

const TABLES: &str = "
CREATE TABLE meta (number INTEGER PRIMARY KEY, value INTEGER NOT NULL);
INSERT INTO meta VALUES (1, 0), (2, 0), (3, 0), (4, 0);

CREATE TABLE run (
  id INTEGER PRIMARY KEY, namespace INTEGER NOT NULL, slot INTEGER NOT NULL,
  workflow_id TEXT NOT NULL, run_id BLOB NOT NULL);
CREATE INDEX run_by_run_id ON run (run_id);
CREATE TABLE run_state (run INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE execution (
  namespace INTEGER NOT NULL, workflow_id TEXT NOT NULL, run INTEGER NOT NULL, current INTEGER,
  PRIMARY KEY (namespace, workflow_id, run)) WITHOUT ROWID;
CREATE TABLE history (
  run INTEGER NOT NULL, first_event_id INTEGER NOT NULL, bytes BLOB NOT NULL,
  PRIMARY KEY (run, first_event_id)) WITHOUT ROWID;
CREATE TABLE item (
  run INTEGER NOT NULL, kind INTEGER NOT NULL, key NOT NULL, bytes BLOB NOT NULL,
  PRIMARY KEY (run, kind, key)) WITHOUT ROWID;
CREATE TABLE wake (run INTEGER PRIMARY KEY, slot INTEGER NOT NULL, due INTEGER NOT NULL);
CREATE INDEX wake_by_due ON wake (due, run);

CREATE TABLE task_queue (
  id INTEGER PRIMARY KEY, namespace INTEGER NOT NULL, kind INTEGER NOT NULL, name TEXT NOT NULL,
  UNIQUE (namespace, kind, name));
CREATE TABLE task (
  queue INTEGER NOT NULL, priority INTEGER NOT NULL, id INTEGER NOT NULL,
  run INTEGER NOT NULL, slot INTEGER NOT NULL, bytes BLOB NOT NULL,
  PRIMARY KEY (queue, priority, id)) WITHOUT ROWID;
CREATE TABLE transfer (id INTEGER PRIMARY KEY, slot INTEGER NOT NULL, run INTEGER NOT NULL, bytes BLOB NOT NULL);
CREATE INDEX transfer_by_run ON transfer (run);
CREATE TABLE registry (
  kind INTEGER NOT NULL, key TEXT NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;

CREATE TABLE name (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE visibility (
  run INTEGER PRIMARY KEY, namespace INTEGER NOT NULL, status INTEGER NOT NULL,
  close_time INTEGER NOT NULL, start_time INTEGER NOT NULL, execution_time INTEGER NOT NULL,
  workflow_type INTEGER NOT NULL, task_queue INTEGER NOT NULL, attributes INTEGER NOT NULL, division TEXT,
  history_length INTEGER, history_size_bytes INTEGER, state_transitions INTEGER,
  workflow_id TEXT NOT NULL, run_id BLOB NOT NULL, first_run_id BLOB,
  root_workflow_id TEXT, root_run_id BLOB, parent_workflow_id TEXT, parent_run_id BLOB,
  memo BLOB NOT NULL, search_attributes BLOB NOT NULL);
CREATE INDEX visibility_by_order ON visibility (namespace, close_time, start_time) WHERE division IS NULL;
CREATE INDEX visibility_by_division ON visibility (namespace, division, close_time, start_time)
  WHERE division IS NOT NULL;
CREATE INDEX visibility_by_type ON visibility (namespace, workflow_type, close_time, start_time, status)
  WHERE division IS NULL;
CREATE INDEX visibility_by_status ON visibility (namespace, status, close_time, start_time, workflow_type)
  WHERE division IS NULL AND status > 2;
CREATE INDEX visibility_by_parent ON visibility (namespace, parent_workflow_id) WHERE parent_workflow_id IS NOT NULL;
CREATE INDEX visibility_by_root ON visibility (namespace, root_workflow_id) WHERE root_workflow_id IS NOT NULL;
CREATE TABLE attribute (
  run INTEGER NOT NULL, name INTEGER NOT NULL, kind INTEGER NOT NULL, value NOT NULL,
  PRIMARY KEY (run, name, kind, value)) WITHOUT ROWID;
CREATE INDEX attribute_by_value ON attribute (name, kind, value, run);
CREATE TABLE tally (
  namespace INTEGER NOT NULL, status INTEGER NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY (namespace, status)) WITHOUT ROWID;
";

/// What doors beside the Temporal API keep about a run.
const RUN_TABLES: &str = "
CREATE TABLE token (run INTEGER PRIMARY KEY, hash BLOB NOT NULL);
CREATE INDEX token_by_hash ON token (hash);
CREATE TABLE search_key (
  run INTEGER NOT NULL, key TEXT NOT NULL, value TEXT,
  PRIMARY KEY (run, key)) WITHOUT ROWID;
CREATE INDEX search_key_by_value ON search_key (key, value);
";

/// Events are keyed by small integers: the sequence, and the run, whose recent ones lie side by side. Readers find
/// the runs they want by name in `event_source`, one row a run, and then follow one run or one chain.
const EVENT_TABLES: &str = "
INSERT INTO meta VALUES (5, 0);
CREATE TABLE event_source (
  run INTEGER PRIMARY KEY, namespace INTEGER NOT NULL, workflow_id TEXT NOT NULL, run_id BLOB NOT NULL,
  workflow_type TEXT NOT NULL, root_workflow_id TEXT, parent_workflow_id TEXT, chain BLOB NOT NULL,
  ended INTEGER, gone INTEGER NOT NULL);
CREATE INDEX event_source_by_id ON event_source (namespace, workflow_id);
CREATE INDEX event_source_by_root ON event_source (namespace, root_workflow_id) WHERE root_workflow_id IS NOT NULL;
CREATE INDEX event_source_by_parent ON event_source (namespace, parent_workflow_id)
  WHERE parent_workflow_id IS NOT NULL;
CREATE INDEX event_source_gone ON event_source (gone) WHERE gone;
CREATE TABLE event (
  sequence INTEGER PRIMARY KEY, run INTEGER NOT NULL, chain BLOB NOT NULL, event_id NOT NULL, kind INTEGER NOT NULL,
  task TEXT, task_name TEXT, received INTEGER NOT NULL, bytes BLOB NOT NULL);
CREATE UNIQUE INDEX event_by_id ON event (run, event_id);
CREATE INDEX event_by_run ON event (run);
CREATE INDEX event_by_chain ON event (chain);
CREATE TABLE open_task (
  run INTEGER NOT NULL, task TEXT NOT NULL, sequence INTEGER NOT NULL, name TEXT NOT NULL,
  PRIMARY KEY (run, task)) WITHOUT ROWID;
CREATE TABLE followed (
  id INTEGER PRIMARY KEY, follower INTEGER NOT NULL, run INTEGER NOT NULL, first_event_id INTEGER NOT NULL);
";

const TELEMETRY_TABLES: &str = "
CREATE TABLE document (
  kind INTEGER NOT NULL, key TEXT NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (kind, key));
CREATE TABLE spans (id INTEGER PRIMARY KEY, trace BLOB NOT NULL, received INTEGER NOT NULL, bytes BLOB NOT NULL);
CREATE INDEX spans_by_trace ON spans (trace);
CREATE TABLE log (
  id INTEGER PRIMARY KEY, time INTEGER NOT NULL, received INTEGER NOT NULL, workflow_id TEXT, run_id TEXT,
  activity_id TEXT, workflow_type TEXT, deployment TEXT, worker TEXT, bytes BLOB NOT NULL);
CREATE INDEX log_by_execution ON log (workflow_id, time) WHERE workflow_id IS NOT NULL;
CREATE INDEX log_by_deployment ON log (deployment, time) WHERE deployment IS NOT NULL;
";

/// How large a page is. Must be set before the first table exists.
///
/// A step changes a few small rows on as many pages, and a flush writes these pages whole: with 4 KiB half as much as with
/// 8. Rows that are longer than a page are rare.
const PAGE_BYTES: u32 = 4096;

/// Lays out an empty database in one transaction, so that a crash leaves it empty or whole.
///
/// Runs before the journal mode changes: the version then stands in the file itself and not in a log beside
/// it, and can be read without opening the database.
pub(crate) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    lay_out(connection, 0, VERSION)
}

/// Adds what a database of an older version lacks, in one transaction. Says whether there was anything to add.
pub(crate) fn upgrade(connection: &Connection) -> rusqlite::Result<bool> {
    let (version, _) = marks(connection)?;
    if version >= VERSION {
        return Ok(false);
    }
    lay_out(connection, version, VERSION)?;
    // Into the file itself: an older release reads the version there before it opens anything.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(true)
}

fn lay_out(connection: &Connection, from: u32, to: u32) -> rusqlite::Result<()> {
    let tables: String = VERSIONS[from as usize..to as usize].iter().flat_map(|added| added.iter().copied()).collect();
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; {tables} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {to}; COMMIT;"
    ))
}

/// Whether the database has no table yet.
pub(crate) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_master", [], |row| row.get(0))
}

/// The version and the owner's mark, as SQLite sees them.
pub(crate) fn marks(connection: &Connection) -> rusqlite::Result<(u32, u32)> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    Ok((version, application))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Store, row::Change, row::Durability, row::Write};
    use tradewind_core::ids::{RunKey, Slot};

    #[test]
    fn a_directory_of_version_1_is_brought_up_to_this_one() {
        let directory = directory_of_version(1);
        let file = directory.path().join("tradewind.db");

        let store = Store::open(Options::directory(directory.path())).expect("an older version is read");

        let kept = store.load_run(RunKey(1)).unwrap().expect("what was there stays");
        assert_eq!((kept.row.workflow_id.as_str(), &kept.row.state[..]), ("w", &b"state"[..]));
        let header = std::fs::read(&file).unwrap();
        assert_eq!(header[60..64], VERSION.to_be_bytes(), "an older release must see it without opening the database");
        let key = Change::PutSearchKey { run: RunKey(1), key: "k".into(), value: Some("v".into()) };
        let write = Write { slot: Slot(0), epoch: store.claim().unwrap(), changes: vec![key] };
        let sequence = store.submit(write, Durability::Durable);
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(store.durable(sequence)).unwrap();
        store.close();

        let store = Store::open(Options::directory(directory.path())).expect("once is enough");
        assert_eq!(store.search_keys(RunKey(1)).unwrap(), [("k".to_owned(), Some("v".to_owned()))]);
    }

    #[test]
    fn an_upgrade_that_fails_leaves_the_old_version() {
        let directory = directory_of_version(1);
        let file = directory.path().join("tradewind.db");
        // Its last statement cannot succeed.
        Connection::open(&file).unwrap().execute_batch("CREATE INDEX search_key_by_value ON run (slot)").unwrap();

        assert!(Store::open(Options::directory(directory.path())).is_err());

        let connection = Connection::open(&file).unwrap();
        assert_eq!(marks(&connection).unwrap(), (1, APPLICATION_ID));
        let added = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('token', 'search_key')";
        assert_eq!(connection.query_row(added, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    }

    /// A data directory as that version left it, with one run.
    fn directory_of_version(version: u32) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let connection = Connection::open(directory.path().join("tradewind.db")).unwrap();
        lay_out(&connection, 0, version).unwrap();
        connection
            .execute_batch(
                "INSERT INTO run VALUES (1, 7, 3, 'w', zeroblob(16));
                 INSERT INTO run_state VALUES (1, CAST('state' AS BLOB));",
            )
            .unwrap();
        directory
    }
}
