//! The relaxed mode's thread: it flushes the write-ahead log from time to time, and once more when it is stopped.

use crate::error::OpenError;
use parking_lot::{Condvar, Mutex};
use std::{
    fs::File,
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

/// Flushes the write-ahead log from time to time, in the relaxed mode.
pub(super) struct Flusher {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Flusher {
    pub(super) fn start(log: &Path, every: Duration) -> Result<Flusher, OpenError> {
        let failed = |source| OpenError::Io { path: log.to_owned(), source };
        // SQLite keeps this file for as long as a connection is open, so one handle serves to the end.
        let file = File::options().create(true).append(true).open(log).map_err(failed)?;
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("store-flusher".to_owned())
            .spawn(move || {
                let (stopped, changed) = &*stopped;
                let mut stopped = stopped.lock();
                while !*stopped {
                    changed.wait_for(&mut stopped, every);
                    if let Err(error) = file.sync_data() {
                        tracing::error!(%error, "the write-ahead log could not be flushed");
                    }
                }
            })
            .map_err(failed)?;
        Ok(Flusher { stop, thread: Some(thread) })
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        *self.stop.0.lock() = true;
        self.stop.1.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
