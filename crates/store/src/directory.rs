//! A data directory: who holds it, and whether this release may touch it.
//!
//! Invariants
//! - The lock is the operating system's, so it ends with its process, however that ends.
//! - Nothing is opened, created or changed before the lock is held and the version known to be readable;
//!   the lock file itself is the exception.

use crate::{error::OpenError, schema};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

pub(crate) const DATABASE_FILE: &str = "tradewind.db";
const LOCK_FILE: &str = "tradewind.lock";

/// A directory that this process alone works on, for as long as the value lives.
#[derive(Debug)]
pub(crate) struct DataDirectory {
    path: PathBuf,
    _lock: File,
}

impl DataDirectory {
    /// Creates the directory if need be, takes it for this process and checks the version of its database.
    pub(crate) fn take(path: &Path) -> Result<DataDirectory, OpenError> {
        if path.exists() && !path.is_dir() {
            return Err(OpenError::NotADirectory { path: path.to_owned() });
        }
        fs::create_dir_all(path).map_err(io_at(path))?;
        let lock = lock(path)?;
        let directory = DataDirectory { path: path.to_owned(), _lock: lock };
        directory.check_version()?;
        Ok(directory)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join(DATABASE_FILE)
    }

    /// The write-ahead log that SQLite keeps beside the database.
    pub(crate) fn log(&self) -> PathBuf {
        self.path.join(format!("{DATABASE_FILE}-wal"))
    }

    /// Reads the marks from the file's header: opening the database could already change files.
    fn check_version(&self) -> Result<(), OpenError> {
        let path = self.database();
        let mut header = Vec::with_capacity(100);
        match File::open(&path) {
            Ok(file) => file.take(100).read_to_end(&mut header).map_err(io_at(&path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(io_at(&path)(error)),
        };
        if header.is_empty() {
            return Ok(());
        }
        if header.len() < 100 || !header.starts_with(b"SQLite format 3\0") {
            return Err(OpenError::Corrupt { path, reason: "its header is not that of a database".to_owned() });
        }
        let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        check_marks(&path, number(60), number(68))
    }
}

/// Whether a database with these marks may be opened. Two zeros are a database that was never laid out.
pub(crate) fn check_marks(path: &Path, version: u32, application: u32) -> Result<(), OpenError> {
    match (version, application) {
        (0, 0) => Ok(()),
        (_, application) if application != schema::APPLICATION_ID => Err(OpenError::Foreign { path: path.to_owned() }),
        (found, _) if found > schema::VERSION => {
            Err(OpenError::Newer { path: path.to_owned(), found, supported: schema::VERSION })
        }
        _ => Ok(()),
    }
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join(LOCK_FILE);
    let mut file =
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path).map_err(io_at(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Only for the message: a holder that is about to write its number is still a holder.
            let _ = file.read_to_string(&mut text);
            return Err(OpenError::Locked { path: directory.to_owned(), pid: text.trim().parse().ok() });
        }
        Err(TryLockError::Error(error)) => return Err(io_at(&path)(error)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(io_at(&path))?;
    Ok(file)
}

fn io_at(path: &Path) -> impl Fn(io::Error) -> OpenError + '_ {
    |source| OpenError::Io { path: path.to_owned(), source }
}
