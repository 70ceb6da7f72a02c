//! Rows of a run and its state in memory, one made from the other.
//!
//! State is MessagePack with fields in order: fields are only ever added at the end, with a default, and enum
//! variants keep their names. The data directory's version changes with anything else.

use bytes::Bytes;
use prost::Message;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::sync::Arc;
use store::row::{Change, Epoch, ItemKey, LoadedRun, RunRow, TaskRow, TransferRow, Write};
use tradewind_core::{
    ids::{QueueKey, RunKey, Slot},
    start,
    state::{ItemRef, MutableState, Progress, Start, TaskState},
    step::{Dispatch, Step},
    stored::StoredItem,
    time::Timestamp,
    transfer::Transfer,
};

/// The small state of a run, rewritten with every step.
#[derive(Serialize, Deserialize)]
struct Small {
    progress: Progress,
    task: TaskState,
}

#[derive(Serialize)]
struct SmallRef<'a> {
    progress: &'a Progress,
    task: &'a TaskState,
}

/// What cannot be read back: damage, or a newer version's rows.
#[derive(Debug, thiserror::Error)]
#[error("run {run:?}: {what} does not decode: {reason}")]
pub struct Unreadable {
    pub run: RunKey,
    pub what: &'static str,
    pub reason: String,
}

fn encode<T: Serialize>(value: &T) -> Bytes {
    rmp_serde::to_vec(value).expect("state has only types that serialise").into()
}

fn decode<T: DeserializeOwned>(run: RunKey, what: &'static str, bytes: &[u8]) -> Result<T, Unreadable> {
    rmp_serde::from_slice(bytes).map_err(|error| Unreadable { run, what, reason: error.to_string() })
}

fn small(state: &MutableState) -> Bytes {
    let task = &state.unrecorded.task;
    let stored = task.workflow_task.stored();
    if stored == task.workflow_task {
        encode(&SmallRef { progress: &state.recorded.progress, task })
    } else {
        let task = TaskState { workflow_task: stored, ..task.clone() };
        encode(&SmallRef { progress: &state.recorded.progress, task: &task })
    }
}

/// A run as the store had it.
pub fn restore(loaded: &LoadedRun, first_batch: &[u8]) -> Result<MutableState, Unreadable> {
    let run = loaded.row.run;
    let unreadable = |what, reason: &str| Unreadable { run, what, reason: reason.to_owned() };
    let history = api::history::v1::History::decode(first_batch).map_err(|error| Unreadable {
        run,
        what: "the first batch of history",
        reason: error.to_string(),
    })?;
    let event = history.events.into_iter().next().ok_or_else(|| unreadable("history", "no first event"))?;
    let start: Start = start::restore(loaded.row.namespace, loaded.row.run_id, event)
        .ok_or_else(|| unreadable("history", "the first event does not start a workflow"))?;
    let small: Small = decode(run, "state", &loaded.row.state)?;
    let mut items = Vec::with_capacity(loaded.items.len());
    for item in &loaded.items {
        let key = match &item.key {
            ItemKey::Id(id) => tradewind_core::stored::ItemKey::Id(*id),
            ItemKey::Name(name) => tradewind_core::stored::ItemKey::Name(name),
        };
        let item_ref = ItemRef::from_parts(item.kind, key).ok_or_else(|| unreadable("items", "unknown kind"))?;
        items.push((item_ref, decode::<StoredItem>(run, "an item", &item.bytes)?));
    }
    Ok(MutableState::restore(Arc::new(start), small.progress, small.task, items))
}

fn item_key(item: &ItemRef) -> ItemKey {
    match item.key() {
        tradewind_core::stored::ItemKey::Id(id) => ItemKey::Id(id),
        tradewind_core::stored::ItemKey::Name(name) => ItemKey::Name(name.to_owned()),
    }
}

/// One batch of history as it is stored.
pub fn batch(step: &mut Step) -> Option<(i64, Bytes)> {
    let events = std::mem::take(&mut step.events);
    let first = events.first()?.event_id;
    Some((first, api::history::v1::History { events }.encode_to_vec().into()))
}

/// Where a run's rows go.
pub struct Place {
    pub run: RunKey,
    pub slot: Slot,
    pub epoch: Epoch,
}

/// The rows that a step of an existing run changes. Visibility, wake-ups and transfers settled are added by
/// the caller, who knows what was stored before.
pub fn write(place: &Place, state: &MutableState, step: &Step, history: Option<&(i64, Bytes)>) -> Write {
    let mut changes = Vec::with_capacity(4 + step.touched.len() + step.dispatch.len() + step.settled.len());
    changes.push(Change::UpdateRun { run: place.run, state: small(state) });
    rows(place, state, step, history, &mut changes);
    Write { slot: place.slot, epoch: place.epoch, changes }
}

/// The rows of a new run, which becomes the one its workflow id names.
pub fn insert(
    place: &Place,
    state: &MutableState,
    step: &Step,
    history: Option<&(i64, Bytes)>,
    changes: &mut Vec<Change>,
) {
    let start = &state.start;
    changes.push(Change::InsertRun(RunRow {
        run: place.run,
        namespace: start.namespace,
        workflow_id: start.workflow_id.clone(),
        run_id: start.run_id,
        slot: place.slot,
        state: small(state),
    }));
    changes.push(Change::SetCurrent {
        namespace: start.namespace,
        workflow_id: start.workflow_id.clone(),
        run: place.run,
    });
    rows(place, state, step, history, changes);
}

fn rows(place: &Place, state: &MutableState, step: &Step, history: Option<&(i64, Bytes)>, changes: &mut Vec<Change>) {
    let run = place.run;
    if let Some((first_event_id, bytes)) = history {
        changes.push(Change::AppendHistory { run, first_event_id: *first_event_id, bytes: bytes.clone() });
    }
    for item in &step.touched {
        let (kind, key) = (item.kind(), item_key(item));
        changes.push(match state.stored_item(item) {
            Some(stored) => Change::PutItem { run, kind, key, bytes: encode(&stored) },
            None => Change::DeleteItem { run, kind, key },
        });
    }
    for task in step.dispatch.iter().filter(|task| task.id != 0) {
        changes.push(Change::PutTask(task_row(place, state, task)));
    }
    for settled in &step.settled {
        let queue = QueueKey { namespace: state.start.namespace, kind: settled.kind, name: settled.queue.clone() };
        changes.push(Change::DeleteTask { queue, priority: settled.priority, id: settled.id });
    }
    for (id, transfer) in &step.transfers {
        changes.push(Change::PutTransfer(TransferRow { id: *id, slot: place.slot, run, bytes: encode(transfer) }));
    }
}

fn task_row(place: &Place, state: &MutableState, task: &Dispatch) -> TaskRow {
    TaskRow {
        queue: QueueKey { namespace: state.start.namespace, kind: task.kind, name: task.queue.clone() },
        priority: task.priority,
        id: task.id,
        run: place.run,
        slot: place.slot,
        bytes: task.scheduled.to_be_bytes().to_vec().into(),
    }
}

/// The scheduled event that a task row is about.
pub fn task_scheduled(row: &TaskRow) -> Option<i64> {
    Some(i64::from_be_bytes(row.bytes.as_ref().try_into().ok()?))
}

pub fn transfer(row: &TransferRow) -> Result<Transfer, Unreadable> {
    decode(row.run, "a transfer", &row.bytes)
}

/// What a wake-up row should say, given what it says: never later than the run's next deadline, and left alone
/// when it is early enough, since waking too early costs less than a row.
pub fn wake_to_store(stored: Option<Timestamp>, next: Option<Timestamp>, now: Timestamp) -> Option<Option<Timestamp>> {
    match (stored, next) {
        (None, None) => None,
        (Some(stored), Some(next)) if stored <= next && stored > now => None,
        (Some(_), None) => Some(None),
        (_, Some(next)) => Some(Some(next)),
    }
}
