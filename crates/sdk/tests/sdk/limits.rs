//! How many activities start per second. A limit says "not faster": how much slower is the machine's affair.

use crate::support::{RunningWorker, Test};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tradewind::prelude::*;
use tradewind::worker::Builder;

/// What a limit of ten per second makes take four seconds, but for what a server saves up while nothing starts: up to
/// a second's worth. Twice that fast is what two workers do that each hold the limit for themselves.
const STARTS: u32 = 40;
const AT_LEAST: Duration = Duration::from_millis(2_500);

/// One worker's activities: who, and what all of them saw.
struct Desk {
    name: &'static str,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    /// When the server started them.
    started: Mutex<Vec<SystemTime>>,
    desks: Mutex<BTreeSet<&'static str>>,
}

impl Seen {
    fn desk(self: &Arc<Self>, name: &'static str) -> Desk {
        Desk { name, seen: self.clone() }
    }

    /// From the first start to the last.
    fn took(&self) -> Duration {
        let started = self.started.lock();
        assert_eq!(started.len(), STARTS as usize);
        let (first, last) = (started.iter().min().unwrap(), started.iter().max().unwrap());
        last.duration_since(*first).unwrap()
    }
}

impl Desk {
    async fn work(&self) {
        let started = activity::info().and_then(|info| info.started_time);
        self.seen.started.lock().push(started.expect("a server started it"));
        self.seen.desks.lock().insert(self.name);
        // For long enough that one worker cannot have them all.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[activities]
impl Desk {
    #[activity(rate_limit = 10)]
    async fn stamp(&self, _number: u32) -> Result<()> {
        self.work().await;
        Ok(())
    }

    #[activity]
    async fn file(&self, _number: u32) -> Result<()> {
        self.work().await;
        Ok(())
    }
}

#[workflow]
async fn stamps() -> Result<()> {
    workflow::try_join_all((0..STARTS).map(Desk::stamp)).await.map(drop)
}

#[workflow]
async fn files() -> Result<()> {
    workflow::try_join_all((0..STARTS).map(Desk::file)).await.map(drop)
}

/// Has workers of one queue, each on a connection of its own, do this.
async fn keep_the_pace<W: workflow::Definition>(
    names: &[&'static str],
    all: workflow::Call<W>,
    describe: fn(Builder) -> Builder,
) {
    let test = Test::start().await;
    let seen = Arc::new(Seen::default());
    let mut desks = Vec::new();
    for name in names {
        let worker = Worker::builder(&test.another_client().await, &test.queue).activities(seen.desk(name));
        let worker = worker.workflow(stamps).workflow(files).max_concurrent_activities(5);
        desks.push(RunningWorker::start(describe(worker).build().expect("the worker is complete")));
    }
    test.client.execute(all).task_queue(&test.queue).await.unwrap();
    assert!(seen.took() >= AT_LEAST, "{STARTS} took only {:?}", seen.took());
    assert_eq!(seen.desks.lock().len(), names.len(), "all took part");
    for desk in desks {
        desk.stop().await;
    }
    test.stop().await;
}

#[tokio::test]
async fn an_activitys_rate_limit_holds_over_all_workers() {
    keep_the_pace(&["left", "right"], stamps(), |worker| worker).await;
}

#[tokio::test]
async fn a_queues_limit_holds_over_all_workers() {
    keep_the_pace(&["left", "right"], files(), |worker| worker.queue_activities_per_second(10.0)).await;
}

#[tokio::test]
async fn a_workers_limit_is_its_own() {
    keep_the_pace(&["only"], files(), |worker| worker.activities_per_second(10.0)).await;
}
