//! The stored form of a run: small blobs that every step rewrites, and one row for each pending item.
//!
//! A step names the items that it touched. Writing [`MutableState::stored_item`] of those alone (or deleting
//! the row where there is none any more), with [`Progress`] and [`MutableState::stored_task`], keeps what is
//! stored whole: [`MutableState::restore`] gives the run back, but for what a crash may forget.
//!
//! What can be derived is not stored: deadlines, and which activity an id names.

use crate::{
    proto::Proto,
    state::{
        ActivityAttempt, ActivityFacts, Child, External, ItemRef, MutableState, OpenTimer, Progress, RecordedUpdate,
        Start, TaskState,
    },
};
use api::{
    common::v1::{Memo, SearchAttributes},
    history::v1::HistoryEvent,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What one row holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum StoredItem {
    /// The attempt is absent once the activity is over, while its closing event is still buffered.
    Activity {
        facts: Arc<ActivityFacts>,
        attempt: Option<Arc<ActivityAttempt>>,
    },
    Timer(OpenTimer),
    Child(Arc<Child>),
    ExternalSignal(Arc<External>),
    ExternalCancel(Arc<External>),
    Update(RecordedUpdate),
    Buffered(Arc<Proto<HistoryEvent>>),
    SignalRequest,
    Memo(Proto<Memo>),
    SearchAttributes(Proto<SearchAttributes>),
}

/// An item's key among those of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ItemKey<'a> {
    Id(i64),
    Name(&'a str),
}

impl ItemRef {
    /// The number of an item's kind. On disk, so never changed and never reused.
    pub fn kind(&self) -> u8 {
        match self {
            ItemRef::Activity(_) => 1,
            ItemRef::Timer(_) => 2,
            ItemRef::Child(_) => 3,
            ItemRef::ExternalSignal(_) => 4,
            ItemRef::ExternalCancel(_) => 5,
            ItemRef::Update(_) => 6,
            ItemRef::Buffered(_) => 7,
            ItemRef::SignalRequest(_) => 8,
            ItemRef::Memo => 9,
            ItemRef::SearchAttributes => 10,
        }
    }

    /// An item's key; where a run has one item of the kind, 0.
    pub fn key(&self) -> ItemKey<'_> {
        match self {
            ItemRef::Activity(id)
            | ItemRef::Child(id)
            | ItemRef::ExternalSignal(id)
            | ItemRef::ExternalCancel(id)
            | ItemRef::Buffered(id) => ItemKey::Id(*id),
            ItemRef::Timer(name) | ItemRef::Update(name) | ItemRef::SignalRequest(name) => ItemKey::Name(name),
            ItemRef::Memo | ItemRef::SearchAttributes => ItemKey::Id(0),
        }
    }

    /// The item that a row is about; `None` if no build ever wrote such a row.
    pub fn from_parts(kind: u8, key: ItemKey<'_>) -> Option<ItemRef> {
        match (kind, key) {
            (1, ItemKey::Id(id)) => Some(ItemRef::Activity(id)),
            (2, ItemKey::Name(name)) => Some(ItemRef::Timer(name.to_owned())),
            (3, ItemKey::Id(id)) => Some(ItemRef::Child(id)),
            (4, ItemKey::Id(id)) => Some(ItemRef::ExternalSignal(id)),
            (5, ItemKey::Id(id)) => Some(ItemRef::ExternalCancel(id)),
            (6, ItemKey::Name(name)) => Some(ItemRef::Update(name.to_owned())),
            (7, ItemKey::Id(id)) => Some(ItemRef::Buffered(id)),
            (8, ItemKey::Name(name)) => Some(ItemRef::SignalRequest(name.to_owned())),
            (9, ItemKey::Id(0)) => Some(ItemRef::Memo),
            (10, ItemKey::Id(0)) => Some(ItemRef::SearchAttributes),
            _ => None,
        }
    }
}

impl MutableState {
    /// The row of an item as it is now; `None` if there is no such item, so that its row goes.
    pub fn stored_item(&self, item: &ItemRef) -> Option<StoredItem> {
        let (recorded, unrecorded) = (&self.recorded, &self.unrecorded);
        match item {
            ItemRef::Activity(id) => Some(StoredItem::Activity {
                facts: recorded.activities.get(id)?.clone(),
                attempt: unrecorded.attempts.get(id).cloned(),
            }),
            ItemRef::Timer(id) => recorded.timers.get(id).cloned().map(StoredItem::Timer),
            ItemRef::Child(id) => recorded.children.get(id).cloned().map(StoredItem::Child),
            ItemRef::ExternalSignal(id) => recorded.external_signals.get(id).cloned().map(StoredItem::ExternalSignal),
            ItemRef::ExternalCancel(id) => recorded.external_cancels.get(id).cloned().map(StoredItem::ExternalCancel),
            ItemRef::Update(id) => recorded.updates.get(id).cloned().map(StoredItem::Update),
            ItemRef::Buffered(key) => unrecorded.buffered.get(key).cloned().map(StoredItem::Buffered),
            ItemRef::SignalRequest(id) => unrecorded.signal_requests.contains(id).then_some(StoredItem::SignalRequest),
            // These two stay even when empty: without a row the first event's values would come back.
            ItemRef::Memo => Some(StoredItem::Memo(Proto(Memo { fields: (*recorded.memo).clone() }))),
            ItemRef::SearchAttributes => {
                let indexed_fields = (*recorded.search_attributes).clone();
                Some(StoredItem::SearchAttributes(Proto(SearchAttributes { indexed_fields })))
            }
        }
    }

    /// The small unrecorded part as it is stored: without a workflow task that is in memory only.
    pub fn stored_task(&self) -> TaskState {
        TaskState { workflow_task: self.workflow_task().stored(), ..self.unrecorded.task.clone() }
    }

    /// A run as it was last stored. `start` is read from its first event, by [`crate::start::restore`].
    pub fn restore(
        start: Arc<Start>,
        progress: Progress,
        task: TaskState,
        items: impl IntoIterator<Item = (ItemRef, StoredItem)>,
    ) -> MutableState {
        let mut state = MutableState::new(start);
        state.recorded.progress = progress;
        state.unrecorded.task = task;
        for (item, stored) in items {
            state.put_stored(item, stored);
        }
        state.derive_deadlines();
        state
    }

    fn put_stored(&mut self, item: ItemRef, stored: StoredItem) {
        let (recorded, unrecorded) = (&mut self.recorded, &mut self.unrecorded);
        match (item, stored) {
            (ItemRef::Activity(id), StoredItem::Activity { facts, attempt }) => {
                recorded.activity_ids.insert(facts.attributes.activity_id.clone(), id);
                recorded.activities.insert(id, facts);
                if let Some(attempt) = attempt {
                    unrecorded.attempts.insert(id, attempt);
                }
            }
            (ItemRef::Timer(id), StoredItem::Timer(it)) => drop(recorded.timers.insert(id, it)),
            (ItemRef::Child(id), StoredItem::Child(it)) => drop(recorded.children.insert(id, it)),
            (ItemRef::ExternalSignal(id), StoredItem::ExternalSignal(it)) => {
                recorded.external_signals.insert(id, it);
            }
            (ItemRef::ExternalCancel(id), StoredItem::ExternalCancel(it)) => {
                recorded.external_cancels.insert(id, it);
            }
            (ItemRef::Update(id), StoredItem::Update(it)) => drop(recorded.updates.insert(id, it)),
            (ItemRef::Buffered(key), StoredItem::Buffered(it)) => drop(unrecorded.buffered.insert(key, it)),
            (ItemRef::SignalRequest(id), StoredItem::SignalRequest) => drop(unrecorded.signal_requests.insert(id)),
            (ItemRef::Memo, StoredItem::Memo(it)) => recorded.memo = Arc::new(it.0.fields),
            (ItemRef::SearchAttributes, StoredItem::SearchAttributes(it)) => {
                recorded.search_attributes = Arc::new(it.0.indexed_fields);
            }
            (item, stored) => unreachable!("the row of {item:?} holds {stored:?}"),
        }
    }
}
