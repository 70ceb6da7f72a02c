//! Where the rows live, as connections see it: a directory of one's own, or memory.
//!
//! Invariants
//! - A directory is locked before anything in it is opened, for as long as the store is open.
//! - Only the writer's connection can change anything, and it is the first to be opened.
//! - A foreign or newer database is refused: by its header before it is opened, by `prepare` where only its log tells.

use super::options::{Flush, Location};
use crate::{
    directory::{self, DataDirectory},
    error::OpenError,
    schema,
};
use parking_lot::RwLock;
use rusqlite::{Connection, OpenFlags};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Nobody else writes; this is for tools that look at the file.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const WRITER_CACHE_KIB: i64 = 64 * 1024;
const READER_CACHE_KIB: i64 = 8 * 1024;

/// Where connections lead.
pub(super) struct Place {
    pub(super) name: PathBuf,
    pub(super) directory: Option<DataDirectory>,
    /// In memory there is no log to read from while another connection writes, so they take turns.
    pub(super) gate: Option<Arc<RwLock<()>>>,
}

pub(super) enum Role {
    Writer(Flush),
    Reader,
}

impl Place {
    pub(super) fn take(location: &Location) -> Result<Place, OpenError> {
        match location {
            Location::Directory(path) => {
                let directory = DataDirectory::take(path)?;
                Ok(Place { name: directory.database(), directory: Some(directory), gate: None })
            }
            Location::Memory => {
                static OPENED: AtomicU64 = AtomicU64::new(0);
                let number = OPENED.fetch_add(1, Ordering::Relaxed);
                let name = PathBuf::from(format!("file:/tradewind-{number}?vfs=memdb"));
                Ok(Place { name, directory: None, gate: Some(Arc::new(RwLock::new(()))) })
            }
        }
    }

    pub(super) fn connect(&self, role: Role) -> Result<Connection, OpenError> {
        let connection = self.open_file(&role).map_err(|error| self.failed(&error))?;
        Ok(connection)
    }

    fn open_file(&self, role: &Role) -> rusqlite::Result<Connection> {
        let mut flags =
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if self.directory.is_none() {
            flags |= OpenFlags::SQLITE_OPEN_URI;
        }
        let connection = Connection::open_with_flags(&self.name, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        match role {
            Role::Writer(_) => connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?,
            Role::Reader => {
                connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
                connection.pragma_update(None, "query_only", true)?;
            }
        }
        if let Role::Writer(flush) = role
            && self.directory.is_some()
        {
            // Laid out before the journal mode changes; see `schema::create`.
            if schema::is_empty(&connection)? {
                schema::create(&connection)?;
            }
            connection.pragma_update(None, "journal_mode", "WAL")?;
            let synchronous = match flush {
                Flush::EveryGroup => "FULL",
                Flush::Relaxed { .. } => "NORMAL",
            };
            connection.pragma_update(None, "synchronous", synchronous)?;
            connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        } else if let Role::Writer(_) = role {
            connection.pragma_update(None, "journal_mode", "MEMORY")?;
            schema::create(&connection)?;
        }
        Ok(connection)
    }

    /// Checks what the file's header could not tell, and brings an older database up to date.
    pub(super) fn prepare(&self, connection: &Connection) -> Result<(), OpenError> {
        let (version, application) = schema::marks(connection).map_err(|error| self.failed(&error))?;
        if (version, application) == (0, 0) {
            return Err(OpenError::Foreign { path: self.name.clone() });
        }
        directory::check_marks(&self.name, version, application)?;
        if schema::upgrade(connection).map_err(|error| self.failed(&error))? {
            tracing::info!(from = version, to = schema::VERSION, "the data directory has a newer format");
        }
        Ok(())
    }

    pub(super) fn failed(&self, error: &rusqlite::Error) -> OpenError {
        OpenError::Corrupt { path: self.name.clone(), reason: error.to_string() }
    }
}
