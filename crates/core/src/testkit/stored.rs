//! What the engine would have on disk of a run: the small blobs, and a row for each item.

use crate::{
    ids::NamespaceKey,
    proto::Proto,
    start,
    state::{ItemRef, MutableState, Progress, TaskState},
    stored::{ItemKey, StoredItem},
};
use api::history::v1::HistoryEvent;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use uuid::Uuid;

pub(crate) struct StoredRun {
    namespace: NamespaceKey,
    run_id: Uuid,
    first_event: Vec<u8>,
    progress: Vec<u8>,
    task: Vec<u8>,
    items: BTreeMap<(u8, Key), Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Id(i64),
    Name(String),
}

impl StoredRun {
    pub fn new(state: &MutableState, first_event: &HistoryEvent) -> StoredRun {
        StoredRun {
            namespace: state.start.namespace,
            run_id: state.start.run_id,
            first_event: bytes(&Proto(first_event.clone())),
            progress: Vec::new(),
            task: Vec::new(),
            items: BTreeMap::new(),
        }
    }

    /// Writes the small blobs and the rows of these items.
    pub fn apply(&mut self, state: &MutableState, touched: &BTreeSet<ItemRef>) {
        self.progress = bytes(&state.recorded.progress);
        self.task = bytes(&state.stored_task());
        for item in touched {
            let key = match item.key() {
                ItemKey::Id(id) => Key::Id(id),
                ItemKey::Name(name) => Key::Name(name.to_owned()),
            };
            match state.stored_item(item) {
                Some(stored) => self.items.insert((item.kind(), key), bytes(&stored)),
                None => self.items.remove(&(item.kind(), key)),
            };
        }
    }

    pub fn load(&self) -> MutableState {
        let first_event: Proto<HistoryEvent> = value(&self.first_event);
        let start = start::restore(self.namespace, self.run_id, first_event.0).expect("a run begins with its start");
        let items = self.items.iter().map(|((kind, key), stored)| {
            let key = match key {
                Key::Id(id) => ItemKey::Id(*id),
                Key::Name(name) => ItemKey::Name(name),
            };
            let item = ItemRef::from_parts(*kind, key).expect("a row that was written is known");
            (item, value::<StoredItem>(stored))
        });
        let progress: Progress = value(&self.progress);
        let task: TaskState = value(&self.task);
        MutableState::restore(Arc::new(start), progress, task, items)
    }
}

fn bytes<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec(value).expect("state serialises")
}

fn value<T: DeserializeOwned>(bytes: &[u8]) -> T {
    rmp_serde::from_slice(bytes).expect("what was stored reads back")
}
