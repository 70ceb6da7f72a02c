//! Why a worker is not built, or stops.

use temporalio_sdk::{WorkerCreateError, WorkerRunError};

/// Why a worker is not built, or stops.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// Two things have one name.
    #[error("two {kind} are named {name:?}: give one of them another with `name = \"...\"`")]
    Duplicate {
        /// Workflows or activities.
        kind: &'static str,
        /// The name on the wire.
        name: String,
    },
    /// It has nothing to do.
    #[error(
        "the worker of {queue:?} has no workflow and no activity: register one with .workflow(...) or .activity(...)"
    )]
    Empty {
        /// Its queue.
        queue: String,
    },
    /// The official worker could not be set up.
    #[error(transparent)]
    Create(#[from] WorkerCreateError),
    /// The official worker cannot go on.
    #[error(transparent)]
    Run(#[from] WorkerRunError),
    /// The system gives no thread.
    #[error("the worker needs a thread: {0}")]
    Spawn(#[from] std::io::Error),
    /// Its thread panicked.
    #[error("the worker's thread ended without a word")]
    Thread,
}
