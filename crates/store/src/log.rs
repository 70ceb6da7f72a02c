//! The write-ahead log: how long it has become, and moving its pages into the database.
//!
//! Invariants
//! - Nobody waits for a long read, a backup say. It keeps the log from starting over, so the log grows meanwhile; what
//!   can be moved is moved.
//! - A checkpoint that could not finish is tried again once the log has grown by as much again, not by every group.

use rusqlite::Connection;
use std::{cell::Cell, time::Duration};

/// How long a checkpoint may wait for readers that come and go, once the log is several times as long as it should be.
const PATIENCE: Duration = Duration::from_millis(20);
/// How often the log may fail to start over before that.
const TRIES_WITHOUT_WAITING: u64 = 4;

/// What SQLite writes before each page in the log.
const FRAME_HEADER_BYTES: u64 = 24;

thread_local! {
    /// Pages in the log after the last commit. SQLite tells it to a plain function only.
    static PAGES: Cell<u64> = const { Cell::new(0) };
}

/// The log, as the writer's connection sees it.
pub(crate) struct Log<'c> {
    connection: &'c Connection,
    /// How long other statements wait for a lock.
    busy_timeout: Duration,
    page_bytes: u64,
    /// Pages that make it worth moving them.
    pages_max: u64,
    /// What the log held after the last commit.
    pages: u64,
    /// Where the next checkpoint is due.
    next: u64,
}

impl<'c> Log<'c> {
    pub(crate) fn new(connection: &'c Connection, bytes_max: u64, busy_timeout: Duration) -> rusqlite::Result<Log<'c>> {
        let page_bytes: u64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        connection.wal_hook(Some(|_, pages| {
            PAGES.set(u64::from(pages.unsigned_abs()));
            Ok(())
        }));
        let pages_max = bytes_max / page_bytes;
        Ok(Log { connection, busy_timeout, page_bytes, pages_max, pages: 0, next: pages_max })
    }

    /// Takes note of a commit; says how many bytes it added.
    pub(crate) fn committed(&mut self) -> u64 {
        let pages = PAGES.get();
        let started_over = pages < self.pages;
        let added = if started_over { pages } else { pages - self.pages };
        if started_over {
            self.next = self.pages_max;
        }
        self.pages = pages;
        added * (self.page_bytes + FRAME_HEADER_BYTES)
    }

    /// Moves the log's pages into the database if there are enough of them; says whether it did.
    pub(crate) fn keep_short(&mut self) -> rusqlite::Result<bool> {
        if self.pages < self.next {
            return Ok(false);
        }
        let patient = self.pages >= self.pages_max.saturating_mul(TRIES_WITHOUT_WAITING);
        self.next = self.pages + self.pages_max;
        if patient {
            self.connection.busy_timeout(PATIENCE)?;
            let moved = self.checkpoint("RESTART");
            self.connection.busy_timeout(self.busy_timeout)?;
            moved?;
        } else {
            self.checkpoint("PASSIVE")?;
        }
        Ok(true)
    }

    /// Leaves no log behind.
    pub(crate) fn empty(&self) -> rusqlite::Result<()> {
        self.checkpoint("TRUNCATE")
    }

    /// A reader in the way is no error here: the pragma answers with a row that says so.
    fn checkpoint(&self, mode: &str) -> rusqlite::Result<()> {
        self.connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES_MAX: u64 = 20;

    #[test]
    fn a_log_that_nobody_reads_starts_over() {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let connection = open(directory.path());
        let mut log = log(&connection);
        let longest = (0..100).map(|_| write(&connection, &mut log)).max();
        assert!(longest < Some(2 * PAGES_MAX), "it was {longest:?} pages long");
    }

    #[test]
    fn a_long_read_lets_the_log_grow_and_does_not_hold_up_the_writer() {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let connection = open(directory.path());
        let mut log = log(&connection);
        write(&connection, &mut log);
        let reader = open(directory.path());
        reader.execute_batch("BEGIN; SELECT count(*) FROM t").expect("reads");
        let mut moved = 0;
        while log.pages < 10 * PAGES_MAX {
            write(&connection, &mut log);
            moved += u64::from(log.next == log.pages + PAGES_MAX);
        }
        assert!(moved < 20, "{moved} checkpoints for a log that can never start over");

        reader.execute_batch("COMMIT").expect("ends");
        let shortest = (0..200).map(|_| write(&connection, &mut log)).min();
        assert!(shortest < Some(PAGES_MAX), "it started over once nobody read any more");
    }

    fn open(directory: &std::path::Path) -> Connection {
        let connection = Connection::open(directory.join("test.db")).expect("opens");
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
                 CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, bytes BLOB)",
            )
            .expect("sets up");
        connection
    }

    fn log(connection: &Connection) -> Log<'_> {
        Log::new(connection, PAGES_MAX * 4096, Duration::from_secs(3600)).expect("a log")
    }

    /// One commit, and what the writer does after it; says how long the log is.
    fn write(connection: &Connection, log: &mut Log<'_>) -> u64 {
        connection.execute("INSERT INTO t (bytes) VALUES (zeroblob(5000))", []).expect("writes");
        log.committed();
        log.keep_short().expect("nobody holds a lock for good");
        log.pages
    }
}
