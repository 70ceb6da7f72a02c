//! Stores to test, and short ways to make rows.

use bytes::Bytes;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use store::{
    Options, Store,
    row::{Change, Durability, Epoch, RunRow, Sequence, TaskRow, TransferRow, VisibilityRow, Write},
};
use tempfile::TempDir;
use tradewind_core::{
    ids::{NamespaceKey, QueueKey, RunKey, Slot, TaskKind},
    time::Timestamp,
};
use uuid::Uuid;

pub const NAMESPACE: NamespaceKey = NamespaceKey(7);
pub const SLOT: Slot = Slot(3);

/// Runs a test on every kind of store.
#[macro_export]
macro_rules! on_every_store {
    ($($(#[$attribute:meta])* fn $name:ident($node:ident: Node) $body:block)*) => {$(
        mod $name {
            use super::*;
            fn story($node: Node) $body

            $(#[$attribute])* #[test]
            fn on_files() {
                story(Node::on_files());
            }

            $(#[$attribute])* #[test]
            fn in_memory() {
                story(Node::in_memory());
            }
        }
    )*};
}

/// An open store with a claim on its slots.
pub struct Node {
    pub store: Store,
    pub epoch: Epoch,
    directory: Option<TempDir>,
}

impl Node {
    pub fn on_files() -> Node {
        let directory = TempDir::new().expect("a temporary directory can be made");
        let mut node = Node::open(Options::directory(directory.path()));
        node.directory = Some(directory);
        node
    }

    pub fn in_memory() -> Node {
        Node::open(Options::memory())
    }

    #[track_caller]
    pub fn open(options: Options) -> Node {
        // Ordered groups wait long enough for a test to notice if something relies on that wait.
        let store = Store::open(Options { ordered_wait: Duration::from_secs(600), ..options }).expect("a store opens");
        let epoch = store.claim().expect("a fresh store grants a claim");
        Node { store, epoch, directory: None }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.as_ref().expect("only stores on files have a path").path().to_owned()
    }

    /// Opens a copy of the files as a crash at this moment would leave them: whatever the operating system has been
    /// told so far.
    #[track_caller]
    pub fn after_crash(path: &Path) -> Node {
        let directory = copy(path);
        let mut node = Node::open(Options::directory(directory.path()));
        node.directory = Some(directory);
        node
    }

    /// Drops this handle and keeps the directory.
    pub fn into_directory(self) -> TempDir {
        self.directory.expect("only stores on files have a directory")
    }

    /// Closes the store and opens its directory again.
    #[track_caller]
    pub fn reopen(self) -> Node {
        let Node { store, directory, .. } = self;
        let directory = directory.expect("only stores on files can be opened again");
        store.close();
        let mut node = Node::open(Options::directory(directory.path()));
        node.directory = Some(directory);
        node
    }

    pub fn submit(&self, changes: impl IntoIterator<Item = Change>, durability: Durability) -> Sequence {
        let changes = changes.into_iter().collect();
        self.store.submit(Write { slot: SLOT, epoch: self.epoch, changes }, durability)
    }

    /// Submits one write and waits until it is durable.
    #[track_caller]
    pub fn commit(&self, changes: impl IntoIterator<Item = Change>) {
        let sequence = self.submit(changes, Durability::Durable);
        self.durable(sequence).expect("the write becomes durable");
    }

    pub fn durable(&self, sequence: Sequence) -> Result<(), store::Error> {
        block_on(self.store.durable(sequence))
    }
}

/// The files of a data directory without its lock.
#[track_caller]
pub fn copy(directory: &Path) -> TempDir {
    let copy = TempDir::new().expect("a temporary directory can be made");
    for name in ["tradewind.db", "tradewind.db-wal"] {
        if directory.join(name).exists() {
            fs::copy(directory.join(name), copy.path().join(name)).expect("a file can be copied");
        }
    }
    copy
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be built").block_on(future)
}

pub fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

/// A run whose workflow id is `w-<run>`.
pub fn run(run: i64) -> RunRow {
    RunRow {
        run: RunKey(run),
        namespace: NAMESPACE,
        workflow_id: format!("w-{run}"),
        run_id: Uuid::from_u128(run as u128),
        slot: SLOT,
        state: bytes("fresh"),
    }
}

pub fn queue(name: &str) -> QueueKey {
    QueueKey { namespace: NAMESPACE, kind: TaskKind::Workflow, name: name.to_owned() }
}

pub fn task(name: &str, priority: i32, id: i64) -> TaskRow {
    TaskRow { queue: queue(name), priority, id, run: RunKey(id), slot: SLOT, bytes: bytes("task") }
}

pub fn transfer(id: i64, run: i64) -> TransferRow {
    TransferRow { id, slot: SLOT, run: RunKey(run), bytes: bytes("transfer") }
}

pub fn batch(run: i64, first_event_id: i64, text: &str) -> Change {
    Change::AppendHistory { run: RunKey(run), first_event_id, bytes: bytes(text) }
}

/// A running execution as a list shows it, started `start` seconds after the epoch.
pub fn shown(run: i64, start: i64) -> VisibilityRow {
    let run_id = Uuid::from_u128(run as u128);
    VisibilityRow {
        run: RunKey(run),
        namespace: NAMESPACE,
        workflow_id: format!("w-{run}"),
        run_id,
        workflow_type: "Order".to_owned(),
        status: 1,
        task_queue: "orders".to_owned(),
        start_time: at(start),
        execution_time: at(start),
        close_time: None,
        history_length: None,
        history_size_bytes: None,
        state_transitions: None,
        parent: None,
        root: (format!("w-{run}"), run_id),
        first_run_id: run_id,
        division: None,
        memo: Bytes::new(),
        search_attributes: Bytes::new(),
        attributes: Vec::new(),
    }
}
