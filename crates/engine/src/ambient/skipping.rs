//! A clock for tests: it goes at the machine's pace, and jumps over the time in which nothing can happen.
//!
//! It only tells the time and keeps count of those who want something of it; [`crate::skip`] decides when to jump.
//!
//! Invariants
//! - Time never goes back, and never stands still while somebody works.
//! - A request counts as active unless it says that it only waits: for a task, or for something to become true.
//! - Whoever waits for a moment hears of every jump.

use super::system_now;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, oneshot, watch};
use tradewind_core::time::Timestamp;

#[derive(Debug)]
pub struct Skipping {
    /// Nanoseconds that have been skipped so far.
    ahead: AtomicI64,
    jumps: watch::Sender<u64>,
    /// Counts whatever may change a run, so that a decision can tell that it is out of date.
    moves: AtomicU64,
    stirred: Notify,
    demand: Mutex<Demand>,
}

/// Who wants something of the clock.
#[derive(Default)]
struct Demand {
    requests: usize,
    idle: usize,
    next: u64,
    waits: BTreeMap<u64, Condition>,
    sleepers: BTreeMap<(Timestamp, u64), oneshot::Sender<()>>,
}

type Condition = Box<dyn Fn() -> bool + Send>;

/// Something that is counted until it is dropped.
#[derive(Debug)]
pub struct Counted {
    clock: Arc<Skipping>,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Request,
    Idle,
    Wait(u64),
}

impl Skipping {
    pub fn new() -> Arc<Skipping> {
        Arc::new(Skipping {
            ahead: AtomicI64::new(0),
            jumps: watch::channel(0).0,
            moves: AtomicU64::new(0),
            stirred: Notify::new(),
            demand: Mutex::default(),
        })
    }

    pub fn now(&self) -> Timestamp {
        system_now() + Duration::from_nanos(self.ahead.load(Ordering::Acquire).max(0) as u64)
    }

    /// Skips this much at once, whatever would have happened in between happening late.
    pub fn skip(&self, by: Duration) {
        self.ahead.fetch_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX), Ordering::AcqRel);
        self.jumps.send_modify(|jumps| *jumps += 1);
        self.stir();
    }

    /// Waits until it is `due` and everything that was to happen by then has happened. Time skips meanwhile.
    pub async fn sleep_until(&self, due: Timestamp) {
        let (tell, told) = oneshot::channel();
        {
            let mut demand = self.demand.lock();
            demand.next += 1;
            let key = (due, demand.next);
            demand.sleepers.insert(key, tell);
        }
        self.stir();
        // The sender goes only with the clock.
        let _ = told.await;
    }

    /// Waits until it is `due`, without asking for time to skip.
    pub(super) async fn until(&self, due: Timestamp) {
        let mut jumps = self.jumps.subscribe();
        loop {
            jumps.borrow_and_update();
            let now = self.now();
            if now >= due {
                return;
            }
            tokio::select! {
                _ = jumps.changed() => {}
                () = tokio::time::sleep(due - now) => {}
            }
        }
    }

    /// Says that something may have changed that a decision rests on.
    pub(crate) fn stir(&self) {
        self.stirred.notify_one();
    }

    pub(crate) async fn stirred(&self) {
        self.stirred.notified().await;
    }

    /// Says that a run may be about to change.
    pub(crate) fn note_move(&self) {
        self.moves.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn moves(&self) -> u64 {
        self.moves.load(Ordering::Acquire)
    }

    /// Whether somebody waits for time to pass, and no request is at work.
    pub(crate) fn may_skip(&self) -> bool {
        let mut demand = self.demand.lock();
        demand.sleepers.retain(|_, tell| !tell.is_closed());
        let asked = !demand.waits.is_empty() || !demand.sleepers.is_empty();
        // A wait whose condition is met is about to be answered.
        asked && demand.requests <= demand.idle && !demand.waits.values().any(|met| met())
    }

    /// Ends the sleep of those who are due; the next moment that somebody sleeps until.
    pub(crate) fn wake_sleepers(&self) -> Sleepers {
        let mut demand = self.demand.lock();
        let now = self.now();
        let mut woken = false;
        while let Some(first) = demand.sleepers.first_entry() {
            let (due, _) = *first.key();
            if due > now {
                return Sleepers { woken, next: Some(due) };
            }
            let _ = first.remove().send(());
            woken = true;
        }
        Sleepers { woken, next: None }
    }

    fn count(self: &Arc<Skipping>, what: What) -> Counted {
        Counted { clock: self.clone(), what }
    }
}

pub(crate) struct Sleepers {
    pub(crate) woken: bool,
    pub(crate) next: Option<Timestamp>,
}

impl super::Clock {
    /// Counts a request until the answer is on its way.
    pub fn request(&self) -> Option<Counted> {
        let clock = self.skipping()?;
        clock.demand.lock().requests += 1;
        Some(clock.count(What::Request))
    }

    /// Counts a request that waits for work, and changes nothing meanwhile.
    pub fn idle(&self) -> Option<Counted> {
        let clock = self.skipping()?;
        clock.demand.lock().idle += 1;
        Some(clock.count(What::Idle))
    }

    /// Counts a request that waits until `met`, with whose answer somebody's waiting for time ends.
    pub fn wait(&self, met: impl Fn() -> bool + Send + 'static) -> Option<Counted> {
        let clock = self.skipping()?;
        let id = {
            let mut demand = clock.demand.lock();
            demand.idle += 1;
            demand.next += 1;
            let id = demand.next;
            demand.waits.insert(id, Box::new(met));
            id
        };
        clock.stir();
        Some(clock.count(What::Wait(id)))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        {
            let mut demand = self.clock.demand.lock();
            match self.what {
                What::Request => demand.requests -= 1,
                What::Idle => demand.idle -= 1,
                What::Wait(id) => {
                    demand.idle -= 1;
                    demand.waits.remove(&id);
                }
            }
        }
        self.clock.stir();
    }
}

impl std::fmt::Debug for Demand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Demand")
            .field("requests", &self.requests)
            .field("idle", &self.idle)
            .field("waits", &self.waits.len())
            .field("sleepers", &self.sleepers.keys())
            .finish()
    }
}
