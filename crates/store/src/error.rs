//! What can go wrong, by what a caller can do about it.

use crate::row::{Epoch, Sequence};
use std::{path::PathBuf, sync::Arc};

/// Why a store could not be opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process works on it; its end frees the directory.
    #[error("data directory {} is in use by process {}", path.display(), holder(*pid))]
    Locked { path: PathBuf, pid: Option<u32> },
    /// It was written by a later release.
    #[error(
        "data directory {} has format version {found}, this release reads up to version {supported}: \
         open it with the release that wrote it, or a later one", path.display())]
    Newer { path: PathBuf, found: u32, supported: u32 },
    #[error("{} is not a directory", path.display())]
    NotADirectory { path: PathBuf },
    /// The file is whole but somebody else's.
    #[error("{} is a database of another application", path.display())]
    Foreign { path: PathBuf },
    #[error("{} is damaged: {reason}", path.display())]
    Corrupt { path: PathBuf, reason: String },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "(unknown)".to_owned(), |pid| pid.to_string())
}

/// Why a call to an open store failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store stopped taking writes; what was not durable by then never will be.
    #[error(transparent)]
    Failed(Arc<Failure>),
    #[error("the store is closed")]
    Closed,
    #[error("invalid page token")]
    PageToken,
    #[error("the database failed: {0}")]
    Database(#[from] rusqlite::Error),
    #[error("a stored row is damaged: {0}")]
    Damaged(&'static str),
}

/// Why a store takes no more writes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Another claim came first: whoever holds `held` no longer owns its slots.
    #[error("write {} carries epoch {}, the current one is {}", sequence.0, held.0, current.0)]
    StaleEpoch { sequence: Sequence, held: Epoch, current: Epoch },
    /// A write contradicts the rows: a defect of the caller.
    #[error("write {} cannot be applied: {reason}", sequence.0)]
    Conflict { sequence: Sequence, reason: String },
    #[error("the database failed: {0}")]
    Database(String),
    /// Not a defect: it was asked to.
    #[error("the store is closed")]
    Closed,
}
