//! New events on their way to those who read along.
//!
//! After each commit that adds to the log, one task reads what was added, once for all readers, and puts each event
//! into the mailboxes of the readers that want it. Readers are found by what they ask for, so an event costs what
//! its own readers cost, however many others there are.
//!
//! A mailbox is bounded. When it is full it takes nothing more and remembers where it stopped; its reader, once it
//! has caught up with what is in it, reads on from the log and subscribes again. So a slow reader costs itself a
//! read of the store and costs nobody else anything.
//!
//! Invariants
//! - A mailbox gets every matching event behind the head at which it was subscribed, in order, until it is full.
//! - Nothing waits while the hub is locked.

use super::frame::Frame;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use store::Store;
use store::row::{EventFilter, EventPage, EventRange, EventRow};
use tokio::sync::{Notify, Semaphore};
use tradewind_core::ids::NamespaceKey;

/// Frames that wait in one mailbox, and their bytes. One frame always fits.
const FRAMES_MAX: usize = 256;
const BYTES_MAX: usize = 256 * 1024;
/// What is read from the log at a time.
const EVENTS_READ: usize = 512;
const BYTES_READ: usize = 4 * 1024 * 1024;
/// Readers that read the log at once.
const READS_MAX: usize = 2;

/// Where readers subscribe.
pub struct Hub {
    store: Store,
    namespace: NamespaceKey,
    namespace_name: String,
    state: Mutex<State>,
    next_reader: AtomicU64,
    /// Who may read the log at once; the store has few connections, and others need them too.
    reading: Semaphore,
}

struct State {
    /// Everything up to here has been handed out.
    head: i64,
    readers: HashMap<Key, Vec<Arc<Mailbox>>>,
    /// The log can no longer be read.
    failed: bool,
}

/// What readers are found by: the narrowest thing they ask for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Execution(String),
    Parent(String),
    Root(String),
    Everything,
}

/// The events that wait for one reader.
pub struct Mailbox {
    number: u64,
    key: Key,
    filter: EventFilter,
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Default)]
struct Waiting {
    frames: VecDeque<Arc<Frame>>,
    bytes: usize,
    /// The first event that did not fit.
    overflowed: Option<i64>,
    failed: bool,
}

/// A reader's place in the hub; given up when it is dropped.
pub struct Subscription {
    hub: Arc<Hub>,
    mailbox: Arc<Mailbox>,
}

/// What a reader finds in its mailbox.
#[derive(Debug)]
pub enum Taken {
    Frames(Vec<Arc<Frame>>),
    Nothing,
    /// Frames from this sequence on have to be read from the log.
    Overflowed(i64),
    /// Nothing will come any more.
    Failed,
}

impl Hub {
    pub fn new(store: Store, namespace: NamespaceKey, namespace_name: String) -> Arc<Hub> {
        let head = *store.last_event().borrow();
        let state = State { head, readers: HashMap::new(), failed: false };
        let (state, next_reader) = (Mutex::new(state), AtomicU64::new(0));
        Arc::new(Hub { store, namespace, namespace_name, state, next_reader, reading: Semaphore::new(READS_MAX) })
    }

    pub fn namespace_name(&self) -> &str {
        &self.namespace_name
    }

    /// Hands out events for as long as the store lives.
    pub async fn run(&self) {
        let mut last = self.store.last_event();
        loop {
            let until = *last.borrow_and_update();
            if !self.hand_out(until).await {
                break;
            }
            if last.changed().await.is_err() {
                break;
            }
        }
        self.fail();
    }

    /// Reads the log up to there and hands out what it finds; `false` if it cannot be read.
    async fn hand_out(&self, until: i64) -> bool {
        loop {
            let after = {
                let mut state = self.state.lock();
                if state.readers.is_empty() {
                    // Whoever comes reads the log first.
                    state.head = state.head.max(until);
                }
                state.head
            };
            if after >= until {
                return true;
            }
            let range = EventRange { after, until, events_max: EVENTS_READ, bytes_max: BYTES_READ };
            match read(self.store.clone(), EventFilter::all(self.namespace), range).await {
                Ok(page) => {
                    let mut state = self.state.lock();
                    for event in &page.events {
                        state.hand_out(event, &self.namespace_name);
                    }
                    state.head = page.looked_until;
                }
                Err(error) => {
                    tracing::error!(%error, "new events cannot be read");
                    return false;
                }
            }
        }
    }

    /// One page of the log, for a reader that has to catch up.
    pub async fn read(&self, filter: EventFilter, range: EventRange) -> Result<EventPage, store::Error> {
        let _turn = self.reading.acquire().await.expect("it is never closed");
        read(self.store.clone(), filter, range).await
    }

    fn fail(&self) {
        let mut state = self.state.lock();
        state.failed = true;
        for mailbox in state.readers.values().flatten() {
            mailbox.waiting.lock().failed = true;
            mailbox.news.notify_one();
        }
    }

    /// Takes a place for whoever reads these events, and says where the log has to be read up to.
    pub fn subscribe(self: &Arc<Hub>, filter: EventFilter) -> (Subscription, i64) {
        let mailbox = Arc::new(Mailbox {
            number: self.next_reader.fetch_add(1, Ordering::Relaxed),
            key: Key::of(&filter),
            filter,
            waiting: Mutex::default(),
            news: Notify::new(),
        });
        let mut state = self.state.lock();
        mailbox.waiting.lock().failed = state.failed;
        state.readers.entry(mailbox.key.clone()).or_default().push(mailbox.clone());
        (Subscription { hub: self.clone(), mailbox }, state.head)
    }

    /// How many read along.
    pub fn readers(&self) -> usize {
        self.state.lock().readers.values().map(Vec::len).sum()
    }
}

async fn read(store: Store, filter: EventFilter, range: EventRange) -> Result<EventPage, store::Error> {
    let read = tokio::task::spawn_blocking(move || store.events(&filter, range)).await;
    read.unwrap_or(Err(store::Error::Closed))
}

impl State {
    fn hand_out(&self, event: &EventRow, namespace_name: &str) {
        let source = &event.source;
        let frame = OnceLock::new();
        let hand_to = |key: Key| {
            for mailbox in self.readers.get(&key).into_iter().flatten() {
                if mailbox.filter.matches(event) {
                    let made = frame.get_or_init(|| Frame::of(event, namespace_name).map(Arc::new));
                    match made {
                        Ok(frame) => mailbox.put(frame),
                        Err(error) => tracing::error!(%error, sequence = event.sequence, "an event is no JSON"),
                    }
                }
            }
        };
        hand_to(Key::Execution(source.workflow_id.clone()));
        hand_to(Key::Root(source.root_workflow_id.clone()));
        hand_to(Key::Everything);
        if let Some(parent) = &source.parent_workflow_id {
            hand_to(Key::Parent(parent.clone()));
        }
    }
}

impl Key {
    fn of(filter: &EventFilter) -> Key {
        let EventFilter { workflow_id, parent_workflow_id, root_workflow_id, .. } = filter;
        match (workflow_id, parent_workflow_id, root_workflow_id) {
            (Some(workflow_id), _, _) => Key::Execution(workflow_id.clone()),
            (_, Some(parent), _) => Key::Parent(parent.clone()),
            (_, _, Some(root)) => Key::Root(root.clone()),
            (None, None, None) => Key::Everything,
        }
    }
}

impl Mailbox {
    fn put(&self, frame: &Arc<Frame>) {
        let mut waiting = self.waiting.lock();
        if waiting.overflowed.is_some() {
            return;
        }
        let full = waiting.frames.len() >= FRAMES_MAX || waiting.bytes + frame.bytes.len() > BYTES_MAX;
        if full && !waiting.frames.is_empty() {
            waiting.overflowed = Some(frame.sequence);
        } else {
            waiting.bytes += frame.bytes.len();
            waiting.frames.push_back(frame.clone());
        }
        drop(waiting);
        self.news.notify_one();
    }
}

impl Subscription {
    /// What has arrived, up to so many bytes; one frame at least.
    pub fn take(&self, bytes_max: usize) -> Taken {
        let mut waiting = self.mailbox.waiting.lock();
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(frame) = waiting.frames.front()
            && (taken.is_empty() || bytes + frame.bytes.len() <= bytes_max)
        {
            bytes += frame.bytes.len();
            taken.extend(waiting.frames.pop_front());
        }
        waiting.bytes -= bytes;
        match (taken.is_empty(), waiting.overflowed, waiting.failed) {
            (false, _, _) => Taken::Frames(taken),
            (true, Some(first), _) => Taken::Overflowed(first),
            (true, None, true) => Taken::Failed,
            (true, None, false) => Taken::Nothing,
        }
    }

    /// Takes events again after an overflow, and says where the log has to be read up to.
    pub fn resume(&self) -> i64 {
        let state = self.hub.state.lock();
        self.mailbox.waiting.lock().overflowed = None;
        state.head
    }

    /// Something may have arrived.
    pub async fn news(&self) {
        self.mailbox.news.notified().await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.hub.state.lock();
        if let Some(readers) = state.readers.get_mut(&self.mailbox.key) {
            readers.retain(|reader| reader.number != self.mailbox.number);
            if readers.is_empty() {
                state.readers.remove(&self.mailbox.key);
            }
        }
    }
}
