//! How a store is opened: where its rows live, when they reach the disk, how many may read.

use std::{path::PathBuf, time::Duration};

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    pub path: Location,
    /// How long a group that nobody waits for may wait for company.
    pub ordered_wait: Duration,
    pub flush: Flush,
    /// How many reads may run at once.
    pub readers: usize,
}

/// Where the rows live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    Directory(PathBuf),
    /// Gone when the store is closed.
    Memory,
}

/// When a commit reaches the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// Before it is acknowledged.
    EveryGroup,
    /// A commit is acknowledged once the operating system has it, and flushed within `every`: it survives the
    /// end of the process but may be lost in a power cut.
    Relaxed { every: Duration },
}

impl Options {
    pub fn directory(path: impl Into<PathBuf>) -> Options {
        Options::at(Location::Directory(path.into()))
    }

    pub fn memory() -> Options {
        Options::at(Location::Memory)
    }

    fn at(path: Location) -> Options {
        Options { path, ordered_wait: Duration::from_millis(5), flush: Flush::EveryGroup, readers: 4 }
    }
}
