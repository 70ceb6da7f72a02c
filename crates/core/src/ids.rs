//! Small typed identifiers shared by every layer.
//!
//! Long text identities (namespace, workflow id, run id) appear once per run; rows and messages between
//! loops use the integers below instead, which keeps keys short on disk and cheap to compare.

use serde::{Deserialize, Serialize};

/// The id of a history event: 1 for the first event of a run, then consecutive.
pub type EventId = i64;

/// A namespace's surrogate key; its UUID and name live in the namespace record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NamespaceKey(pub i64);

/// A run's surrogate key, unique in one data directory and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunKey(pub i64);

/// How many slots there are. Slots cost nothing while idle, so this never needs tuning.
pub const SLOT_COUNT: u16 = 4096;

/// The unit of ownership: every execution hashes to one slot, and a slot has one writer at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot(pub u16);

impl Slot {
    /// The slot of an execution. FNV-1a, because the answer is stored on disk and must never change.
    pub fn of(namespace: NamespaceKey, workflow_id: &str) -> Slot {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in namespace.0.to_be_bytes().iter().chain(workflow_id.as_bytes()) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        // The low bits of FNV mix poorly on short inputs; fold the high half in.
        Slot(((hash ^ (hash >> 32)) % u64::from(SLOT_COUNT)) as u16)
    }
}

/// Which kind of work a task queue hands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaskKind {
    Workflow = 1,
    Activity = 2,
}

/// A task queue's full name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueueKey {
    pub namespace: NamespaceKey,
    pub kind: TaskKind,
    pub name: String,
}
