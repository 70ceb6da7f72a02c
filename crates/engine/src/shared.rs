//! What all loops and all handles of one engine share.

use crate::{
    Following,
    ambient::{Clock, Entropy},
    matching::Matching,
    namespaces::Namespaces,
    query::Queries,
    workers::Departures,
};
use api::workflowservice::v1::StartWorkflowExecutionRequest;
use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
};
use store::{Store, row::Epoch};
use tokio_util::sync::CancellationToken;
use tradewind_core::{ids::RunKey, limits::Limits, step::Input};

/// One engine's common ground.
pub struct Shared {
    pub store: Store,
    pub epoch: Epoch,
    pub clock: Clock,
    pub entropy: Entropy,
    pub limits: Arc<Limits>,
    pub namespaces: Namespaces,
    pub matching: Matching,
    pub queries: Queries,
    pub departures: Departures,
    /// Cancelled when the engine drains: long polls answer empty.
    pub draining: CancellationToken,
    /// Cancelled when the engine cannot go on: the store failed, or a loop ended. The process should end.
    pub failed: CancellationToken,
    pub settings: Settings,
    pub counters: Counters,
    next_run: AtomicI64,
    next_id: AtomicI64,
    next_seed: AtomicU64,
}

/// How the engine is set up.
#[derive(Clone)]
pub struct Settings {
    /// Loops that own slots; about one a core.
    pub loops: usize,
    /// Runs that a loop keeps in memory.
    pub runs_cached_per_loop: usize,
    /// Whoever outside the engine hears of certain steps.
    pub following: Vec<Following>,
    /// Called before each step, where a test makes one panic.
    pub fault: Option<Fault>,
}

/// See [`Settings::fault`].
pub type Fault = Arc<dyn Fn(Stepping<'_>) + Send + Sync>;

/// A step that is about to be taken.
#[derive(Debug, Clone, Copy)]
pub enum Stepping<'a> {
    /// The first of a run.
    Start(&'a StartWorkflowExecutionRequest),
    Input(&'a Input),
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { loops: 2, runs_cached_per_loop: 4_096, following: Vec::new(), fault: None }
    }
}

/// Numbers for the metrics page.
#[derive(Debug, Default)]
pub struct Counters {
    pub steps: AtomicU64,
    pub runs_cached: AtomicUsize,
    pub runs_parked: AtomicUsize,
    pub runs_loaded: AtomicU64,
    pub transfers: AtomicU64,
}

/// Ids that a loop takes at a time.
pub const ID_BLOCK: i64 = 1 << 20;
/// More than any one step can use.
pub const IDS_PER_STEP_MAX: i64 = 1 << 17;

impl Shared {
    #[expect(clippy::too_many_arguments, reason = "made in one place, from parts that start-up has at hand")]
    pub fn new(
        store: Store,
        epoch: Epoch,
        clock: Clock,
        entropy: Entropy,
        limits: Arc<Limits>,
        namespaces: Namespaces,
        draining: CancellationToken,
        settings: Settings,
    ) -> Result<Shared, store::Error> {
        let high = store.high_water()?;
        Ok(Shared {
            matching: Matching::new(limits.poller_history),
            queries: Queries::default(),
            departures: Departures::default(),
            next_run: AtomicI64::new(high.run.0 + 1),
            next_id: AtomicI64::new(high.task.max(high.transfer) + 1),
            next_seed: AtomicU64::new(entropy.uuid().as_u128() as u64),
            store,
            epoch,
            clock,
            entropy,
            limits,
            namespaces,
            draining,
            failed: CancellationToken::new(),
            settings,
            counters: Counters::default(),
        })
    }

    pub fn next_run(&self) -> RunKey {
        RunKey(self.next_run.fetch_add(1, Ordering::Relaxed))
    }

    pub fn id_block(&self) -> i64 {
        self.next_id.fetch_add(ID_BLOCK, Ordering::Relaxed)
    }

    /// Different for every step; unpredictable enough for run ids, which are no secrets.
    pub fn seed(&self) -> u64 {
        self.next_seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }
}
