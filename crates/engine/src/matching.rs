//! Task queues: pairing tasks with pollers.
//!
//! Rows in the store are the truth; what is here is a bounded window over them. A poller takes a task out of
//! the window and then asks the run to start it; a task that no longer waits is refused there and thrown away.
//!
//! Invariants
//! - A task that has a row is never lost here: at worst it is read again from the store and refused by its run.
//! - Within a queue, lower priority keys go first, then older tasks.
//! - A queue whose window is full remembers that the store has more, and reads on when it has room.

mod rate;

use parking_lot::Mutex;
use rate::Rate;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;
use tradewind_core::{
    ids::{EventId, QueueKey, RunKey, Slot},
    time::Timestamp,
};

/// Tasks kept in memory for one queue.
const WINDOW: usize = 10_000;
/// Read on from the store when fewer than this are left.
const WINDOW_LOW: usize = 2_000;
/// Pollers that a queue remembers by name.
const POLLERS_MAX: usize = 1_000;

/// Something a poller may be handed.
#[derive(Debug, Clone)]
pub enum Task {
    Workflow { run: RunKey, slot: Slot, scheduled: EventId, id: i64 },
    Activity { run: RunKey, slot: Slot, scheduled: EventId, id: i64 },
    Query(Arc<crate::query::QueryTask>),
}

/// All task queues of this node.
pub struct Matching {
    queues: Mutex<HashMap<QueueKey, Arc<Queue>>>,
    poller_history: Duration,
}

/// One task queue.
pub struct Queue {
    pub key: QueueKey,
    inner: Mutex<Inner>,
    arrived: Notify,
    waiting: AtomicUsize,
    /// Nanoseconds since the epoch; 0 before the first poll.
    last_poll: AtomicI64,
}

#[derive(Default)]
struct Inner {
    tasks: BTreeMap<(i32, i64), (Task, Timestamp)>,
    /// The store holds tasks that the window does not.
    more_in_store: bool,
    refilling: bool,
    pollers: HashMap<String, PollerSeen>,
    limit: Option<RateLimit>,
    added: Rate,
    dispatched: Rate,
    /// Numbers for tasks that have no row.
    next_rowless: i64,
}

/// Who has polled, for describe.
#[derive(Debug, Clone)]
pub struct PollerSeen {
    pub at: Timestamp,
    pub rate_per_second: f64,
}

/// A whole-queue limit on dispatch, set by pollers; the last value wins.
#[derive(Debug, Clone)]
struct RateLimit {
    per_second: f64,
    next: Timestamp,
}

/// What a queue has to say of itself.
#[derive(Debug, Clone, Default)]
pub struct Statistics {
    /// By priority key; a lower one goes first.
    pub backlog: BTreeMap<i32, Backlog>,
    pub pollers: Vec<(String, PollerSeen)>,
    pub added_per_second: f64,
    pub dispatched_per_second: f64,
    /// What pollers have limited it to.
    pub limit_per_second: Option<f64>,
}

/// Tasks that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    pub tasks: usize,
    pub oldest: Timestamp,
}

enum Taken {
    Task(Task),
    /// Nothing to give; if a limit holds tasks back, until when.
    Nothing {
        until: Option<Timestamp>,
    },
}

impl Matching {
    pub fn new(poller_history: Duration) -> Matching {
        Matching { queues: Mutex::default(), poller_history }
    }

    pub fn queue(&self, key: &QueueKey) -> Arc<Queue> {
        let mut queues = self.queues.lock();
        if let Some(queue) = queues.get(key) {
            return queue.clone();
        }
        let queue = Arc::new(Queue {
            key: key.clone(),
            inner: Mutex::default(),
            arrived: Notify::new(),
            waiting: AtomicUsize::new(0),
            last_poll: AtomicI64::new(0),
        });
        queues.insert(key.clone(), queue.clone());
        queue
    }

    pub fn existing(&self, key: &QueueKey) -> Option<Arc<Queue>> {
        self.queues.lock().get(key).cloned()
    }

    /// Forgets queues that nobody uses: workers' own queues come and go with their processes.
    pub fn forget_idle(&self, now: Timestamp) {
        let history = self.poller_history;
        self.queues.lock().retain(|_, queue| {
            let used = Arc::strong_count(queue) > 1
                || queue.waiting.load(Ordering::Relaxed) > 0
                || queue.polled_within(now, history);
            used || {
                let inner = queue.inner.lock();
                !inner.tasks.is_empty() || inner.more_in_store
            }
        });
    }

    /// Tasks in memory, over all queues.
    pub fn backlog(&self) -> usize {
        let queues: Vec<Arc<Queue>> = self.queues.lock().values().cloned().collect();
        queues.iter().map(|queue| queue.inner.lock().tasks.len()).sum()
    }
}

impl Queue {
    /// Puts a task in, and wakes a poller.
    pub fn offer(&self, priority: i32, id: i64, task: Task, now: Timestamp) {
        {
            let mut inner = self.inner.lock();
            inner.added.count(now);
            if inner.tasks.len() >= WINDOW && id > 0 {
                inner.more_in_store = true;
                return;
            }
            let id = if id > 0 { id } else { inner.rowless() };
            inner.tasks.insert((priority, id), (task, now));
        }
        self.arrived.notify_one();
    }

    /// Says that the store has tasks of this queue, as after a start.
    pub fn expect_stored(&self) {
        self.inner.lock().more_in_store = true;
        self.arrived.notify_one();
    }

    /// Whether somebody should read tasks from the store, after the pair given; the caller then must call
    /// [`Queue::refilled`].
    pub fn wants_refill(&self) -> bool {
        let mut inner = self.inner.lock();
        let wants = inner.more_in_store && !inner.refilling && inner.tasks.len() <= WINDOW_LOW;
        if wants {
            inner.refilling = true;
        }
        wants
    }

    /// How many tasks a refill should read.
    pub const REFILL: usize = WINDOW;

    /// Takes in what was read; fewer than asked for means that the store has no more.
    pub fn refilled(&self, tasks: Vec<(i32, i64, Task)>, now: Timestamp) {
        let count = tasks.len();
        {
            let mut inner = self.inner.lock();
            inner.refilling = false;
            inner.more_in_store = count >= Queue::REFILL;
            for (priority, id, task) in tasks {
                inner.tasks.entry((priority, id)).or_insert((task, now));
            }
        }
        for _ in 0..count.min(self.waiting.load(Ordering::Relaxed)) {
            self.arrived.notify_one();
        }
    }

    fn take(&self, now: Timestamp) -> Taken {
        let mut inner = self.inner.lock();
        let Some(first) = inner.tasks.first_entry() else { return Taken::Nothing { until: None } };
        let key = *first.key();
        if let Some(limit) = &mut inner.limit {
            if limit.next > now {
                return Taken::Nothing { until: Some(limit.next) };
            }
            // Unused capacity is not saved up: a limit is a pace, not a budget.
            limit.next = now + limit.interval();
        }
        let (task, _) = inner.tasks.remove(&key).expect("just seen");
        inner.dispatched.count(now);
        Taken::Task(task)
    }

    /// Waits for a task. Dropping the future gives up the place at once and loses nothing.
    pub async fn poll(&self, clock: &crate::ambient::Clock) -> Task {
        let _place = Place::take(&self.waiting);
        loop {
            let notified = self.arrived.notified();
            let now = clock.now();
            self.last_poll.store(now.as_nanos(), Ordering::Relaxed);
            match self.take(now) {
                Taken::Task(task) => {
                    if !self.inner.lock().tasks.is_empty() {
                        self.arrived.notify_one();
                    }
                    return task;
                }
                Taken::Nothing { until: None } => notified.await,
                Taken::Nothing { until: Some(until) } => {
                    tokio::select! {
                        () = notified => {}
                        () = clock.until(until) => {}
                    }
                }
            }
        }
    }

    /// Remembers who polls, and the limit that the poll asks for.
    pub fn seen(&self, identity: &str, per_second: Option<f64>, now: Timestamp, history: Duration) {
        self.last_poll.store(now.as_nanos(), Ordering::Relaxed);
        let mut inner = self.inner.lock();
        let seen = PollerSeen { at: now, rate_per_second: per_second.unwrap_or(100_000.0) };
        if let Some(known) = inner.pollers.get_mut(identity) {
            *known = seen;
        } else {
            if inner.pollers.len() >= POLLERS_MAX {
                inner.pollers.retain(|_, it| now - it.at < history);
            }
            inner.pollers.insert(identity.to_owned(), seen);
        }
        if let Some(per_second) = per_second {
            let next = inner.limit.as_ref().map_or(now, |it| it.next);
            let changed = inner.limit.as_ref().is_none_or(|it| it.per_second != per_second);
            if changed {
                inner.limit = Some(RateLimit { per_second, next });
            }
        }
    }

    /// Whether a worker polls, or did so within `window`.
    pub fn polled_within(&self, now: Timestamp, window: Duration) -> bool {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            return true;
        }
        let last = self.last_poll.load(Ordering::Relaxed);
        last != 0 && now - Timestamp::from_nanos(last) < window
    }

    pub fn backlog(&self) -> usize {
        self.inner.lock().tasks.len()
    }

    /// Pollers that wait for a task.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A worker said that it will not poll this queue any more.
    pub fn abandon(&self) {
        self.last_poll.store(0, Ordering::Relaxed);
    }

    pub fn statistics(&self, now: Timestamp, history: Duration) -> Statistics {
        let inner = self.inner.lock();
        let mut backlog = BTreeMap::<i32, Backlog>::new();
        for ((priority, _), (_, at)) in &inner.tasks {
            let waiting = backlog.entry(*priority).or_insert(Backlog { tasks: 0, oldest: *at });
            waiting.tasks += 1;
            waiting.oldest = waiting.oldest.min(*at);
        }
        Statistics {
            backlog,
            pollers: inner
                .pollers
                .iter()
                .filter(|(_, seen)| now - seen.at < history)
                .map(|(identity, seen)| (identity.clone(), seen.clone()))
                .collect(),
            added_per_second: inner.added.per_second(now),
            dispatched_per_second: inner.dispatched.per_second(now),
            limit_per_second: inner.limit.as_ref().map(|it| it.per_second),
        }
    }
}

impl Inner {
    /// Tasks without a row go before those of the same priority that have one: somebody waits for them now.
    fn rowless(&mut self) -> i64 {
        self.next_rowless += 1;
        i64::MIN / 2 + self.next_rowless
    }
}

impl RateLimit {
    fn interval(&self) -> Duration {
        if self.per_second <= 0.0 {
            // Nothing may go out; look again now and then, since the limit may change.
            return Duration::from_secs(1);
        }
        Duration::try_from_secs_f64(1.0 / self.per_second).unwrap_or(Duration::from_secs(86_400))
    }
}

/// One waiting poller, counted while it waits.
struct Place<'a>(&'a AtomicUsize);

impl Place<'_> {
    fn take(waiting: &AtomicUsize) -> Place<'_> {
        waiting.fetch_add(1, Ordering::Relaxed);
        Place(waiting)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
