//! The rows, and the writes that change them.

mod event;
mod telemetry;

pub use event::{
    EventFilter, EventMeaning, EventPage, EventRange, EventRow, EventSource, EventSummary, FollowedRow, Follower,
    NewEvent,
};
pub use telemetry::{LogOrder, LogOwner, LogRange, LogRow, SpansRow, TraceId};

use bytes::Bytes;
use std::sync::Arc;
use tradewind_core::ids::{EventId, NamespaceKey, QueueKey, RunKey, Slot};
pub use tradewind_core::search_attributes::AttributeValue;
use tradewind_core::time::Timestamp;
use uuid::Uuid;

/// The number of a node's claim on its slots; a newer claim makes older ones void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub i64);

/// The place of a write in the order of all writes of one open store. Starts at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Sequence(pub u64);

/// Whether anyone waits for the write to reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Somebody was promised it: it is flushed with the next group.
    Durable,
    /// Written in order, but nobody waits: it may sit in memory for a few milliseconds to share a later flush.
    Ordered,
}

/// Everything one step makes durable. Applied atomically.
#[derive(Debug, Clone)]
pub struct Write {
    pub slot: Slot,
    pub epoch: Epoch,
    pub changes: Vec<Change>,
}

/// One row inserted, replaced or deleted. A `Put` replaces a row of the same key; deleting an absent row is fine.
#[derive(Debug, Clone)]
pub enum Change {
    /// A run that did not exist. Fails the whole write if its key exists.
    InsertRun(RunRow),
    /// The run's small, always rewritten state.
    UpdateRun {
        run: RunKey,
        state: Bytes,
    },
    /// Makes `run` the one that the workflow id names.
    SetCurrent {
        namespace: NamespaceKey,
        workflow_id: String,
        run: RunKey,
    },
    /// Removes the name if it still points at `run`.
    UnsetCurrent {
        namespace: NamespaceKey,
        workflow_id: String,
        run: RunKey,
    },
    /// One batch of history events: the bytes of a `temporal.api.history.v1.History`, so that batches laid
    /// end to end are one too.
    AppendHistory {
        run: RunKey,
        first_event_id: EventId,
        bytes: Bytes,
    },
    /// One pending thing of a run (activity, timer, child, …), so that a step writes what it touched.
    PutItem {
        run: RunKey,
        kind: u8,
        key: ItemKey,
        bytes: Bytes,
    },
    DeleteItem {
        run: RunKey,
        kind: u8,
        key: ItemKey,
    },
    /// All items of these kinds of the run.
    DeleteItems {
        run: RunKey,
        kinds: Vec<u8>,
    },
    PutTask(TaskRow),
    DeleteTask {
        queue: QueueKey,
        priority: i32,
        id: i64,
    },
    PutTransfer(TransferRow),
    DeleteTransfer {
        id: i64,
    },
    /// When the run wants to be looked at again, at the latest. One row a run; `None` removes it.
    SetWake {
        run: RunKey,
        slot: Slot,
        due: Option<Timestamp>,
    },
    /// What lists show of a run that was inserted. Its identity and what it descends from never change.
    PutVisibility(Box<VisibilityRow>),
    /// The hash of the token with which a worker proves that it works on the run. Of a run that is gone, nothing
    /// is kept; so too with search keys.
    PutToken {
        run: RunKey,
        hash: TokenHash,
    },
    /// Something that users find the run by; a key may be there without a value.
    PutSearchKey {
        run: RunKey,
        key: String,
        value: Option<String>,
    },
    DeleteSearchKey {
        run: RunKey,
        key: String,
    },
    /// Events of one run, in their order. Those whose id is there already are left out. Of a run that is gone they
    /// go with [`Change::DeleteEventsOfRun`] too.
    AppendEvents {
        source: Arc<EventSource>,
        events: Vec<NewEvent>,
    },
    /// The oldest events of the log, up to this sequence.
    DeleteEvents {
        until: i64,
    },
    /// Events of a run that is gone, up to this sequence, and what the log knows of the run once none is left.
    DeleteEventsOfRun {
        run: RunKey,
        until: i64,
    },
    /// A step that somebody follows.
    PutFollowed {
        follower: Follower,
        run: RunKey,
        first_event_id: EventId,
    },
    /// The follower has dealt with it.
    DeleteFollowed {
        id: i64,
    },
    /// A document of somebody outside the engine, of any size: read one at a time, when it is asked for.
    PutDocument {
        kind: DocumentKind,
        key: String,
        bytes: Bytes,
    },
    PutSpans(SpansRow),
    PutLog(LogRow),
    /// The oldest rows of spans and of log records, up to these ids.
    DeleteTelemetry {
        spans_until: i64,
        logs_until: i64,
    },
    /// The run with everything that hangs on it: history, items, wake, visibility, transfers, token, search keys;
    /// the name too if it points at this run. Its events are many: they are marked, and go in slices.
    DeleteRun {
        run: RunKey,
    },
    PutRegistry {
        kind: RegistryKind,
        key: String,
        bytes: Bytes,
    },
    DeleteRegistry {
        kind: RegistryKind,
        key: String,
    },
}

/// What a document is. The numbers are on disk and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DocumentKind {
    /// Key: the id of a registration of the Mistral catalogue. The graph that its worker drew.
    Graph = 1,
}

/// SHA-256 of an execution token.
pub type TokenHash = [u8; 32];

/// The identity of a run, and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    pub run: RunKey,
    pub namespace: NamespaceKey,
    pub workflow_id: String,
    pub run_id: Uuid,
    pub slot: Slot,
    pub state: Bytes,
}

/// A run's items are keyed by an event id or by a name that users chose.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ItemKey {
    Id(i64),
    Name(String),
}

/// One pending thing of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub kind: u8,
    pub key: ItemKey,
    pub bytes: Bytes,
}

/// A run as it was last committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedRun {
    pub row: RunRow,
    pub items: Vec<Item>,
    /// What [`Change::SetWake`] last said.
    pub wake: Option<Timestamp>,
}

/// One batch of history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    pub first_event_id: EventId,
    pub bytes: Bytes,
}

/// A task waiting in a queue. Ordered by (priority, id): lower first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    pub queue: QueueKey,
    pub priority: i32,
    pub id: i64,
    pub run: RunKey,
    pub slot: Slot,
    pub bytes: Bytes,
}

/// Work that the engine owes itself: start a child, signal another run, tell the parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferRow {
    pub id: i64,
    pub slot: Slot,
    pub run: RunKey,
    pub bytes: Bytes,
}

/// A run that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WakeRow {
    pub due: Timestamp,
    pub run: RunKey,
    pub slot: Slot,
}

/// Small tables that are read whole at start-up. The numbers are on disk and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RegistryKind {
    /// Key: the namespace's UUID.
    Namespace = 1,
    /// Key: a name. Facts about this data directory (cluster id, …).
    Cluster = 2,
    /// Key: namespace key / kind / queue name. Settings of a task queue.
    TaskQueue = 3,
    /// Key: endpoint id.
    NexusEndpoint = 4,
    /// Key: the id of a workflow definition. The catalogue of the Mistral API, as the next three.
    Workflow = 5,
    /// Key: the id of a registration, which is a version of a definition in a deployment.
    Registration = 6,
    /// Key: the deployment's name.
    Deployment = 7,
    /// Key: deployment / worker.
    Worker = 8,
}

/// What the list of executions shows of a run, and what it can be searched by.
#[derive(Debug, Clone, PartialEq)]
pub struct VisibilityRow {
    pub run: RunKey,
    pub namespace: NamespaceKey,
    pub workflow_id: String,
    pub run_id: Uuid,
    pub workflow_type: String,
    /// `temporal.api.enums.v1.WorkflowExecutionStatus`
    pub status: i32,
    pub task_queue: String,
    pub start_time: Timestamp,
    /// Start plus back-off.
    pub execution_time: Timestamp,
    pub close_time: Option<Timestamp>,
    /// Known once closed.
    pub history_length: Option<i64>,
    pub history_size_bytes: Option<i64>,
    pub state_transitions: Option<i64>,
    pub parent: Option<(String, Uuid)>,
    pub root: (String, Uuid),
    pub first_run_id: Uuid,
    /// Rows with a division are hidden from queries that do not name one.
    pub division: Option<String>,
    /// Encoded `temporal.api.common.v1.Memo`; empty if none.
    pub memo: Bytes,
    /// Encoded `temporal.api.common.v1.SearchAttributes`, returned as it is; empty if none.
    pub search_attributes: Bytes,
    /// The same attributes decoded, to search by: custom ones and predefined ones such as `BuildIds`.
    pub attributes: Vec<(String, AttributeValue)>,
}
