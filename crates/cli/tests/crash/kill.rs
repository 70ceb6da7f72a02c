//! SIGKILL, again and again, under load.

use crate::{
    check::{self, Facts, Promised},
    ledger::Ledger,
    program::{Input, ORDER, SLEEPER, TASK_TIMEOUT},
    rig::{Rig, worker_options},
};
use api::workflowservice::v1 as wire;
use bench::client::{Client, Start, to_payloads, wire_duration};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// Orders under way at any time.
const PRODUCERS: u64 = 24;
const SLEEPERS: u64 = 12;
/// Signals of each order.
const SIGNALS: usize = 4;
/// How long runs may take to finish after the last kill.
const PATIENCE: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_nothing_it_acknowledged() {
    let seed = setting("TRADEWIND_CRASH_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u128() as u64);
    let kills = setting("TRADEWIND_CRASH_KILLS").unwrap_or(24);
    println!("TRADEWIND_CRASH_SEED={seed}");
    let mut random = Random(seed);

    let rig = Rig::new();
    let ledger = Arc::new(Ledger::default());
    let mut server = rig.spawn_ready().await;
    let workers = ["orders", "orders-sticky"].map(|it| rig.worker(&ledger, worker_options(it, it == "orders-sticky")));
    let load = Arc::new(Load {
        client: rig.client(),
        ledger: ledger.clone(),
        next: AtomicU64::new(1),
        over: AtomicBool::new(false),
    });
    let mut runs = JoinSet::new();
    for _ in 0..SLEEPERS {
        runs.spawn(load.clone().sleep(random.between(1, 25_000)));
    }
    for _ in 0..PRODUCERS {
        runs.spawn(load.clone().orders(random.fork()));
    }

    let begun = Instant::now();
    for kill in 0..kills {
        // Every fourth life ends while it begins.
        let life = if kill % 4 == 3 { random.between(1, 150) } else { random.between(200, 1_600) };
        tokio::time::sleep(Duration::from_millis(life).saturating_sub(server.spawned_at.elapsed())).await;
        server.kill().expect("it is killed");
        server = rig.spawn();
    }
    println!("{kills} kills in {:.1?}", begun.elapsed());
    load.over.store(true, Ordering::Relaxed);

    let begun = Instant::now();
    let mut made: Vec<Made> = Vec::new();
    let finished = tokio::time::timeout(PATIENCE, async {
        while let Some(run) = runs.join_next().await {
            made.extend(run.expect("clients do not panic"));
        }
    });
    if finished.await.is_err() {
        panic!("{}\nserver:\n{}", load.stuck().await, rig.log_tail());
    }
    println!("{} runs finished {:.1?} after the last kill", made.len(), begun.elapsed());
    for worker in workers {
        worker.stop().await;
    }
    load.check(&made).await;
    load.check_lists(&made).await;
    server.terminate(Duration::from_secs(20)).await.expect("it ends at SIGTERM");
    let complaints: Vec<_> =
        rig.log().lines().filter(|it| it.contains("ERROR") || it.contains("panick")).map(str::to_owned).collect();
    assert!(complaints.is_empty(), "the server's log:\n{}", complaints.join("\n"));
}

/// A run that clients were told of.
#[derive(Debug)]
struct Made {
    workflow_id: String,
    run_id: String,
    number: u64,
    is_order: bool,
}

/// The clients.
struct Load {
    client: Client,
    ledger: Arc<Ledger>,
    next: AtomicU64,
    over: AtomicBool,
}

impl Load {
    /// Runs one order after the other, until the load is over.
    async fn orders(self: Arc<Load>, mut random: Random) -> Vec<Made> {
        let mut made = Vec::new();
        while !self.over.load(Ordering::Relaxed) {
            let order = self.start(ORDER, SIGNALS, random.between(30, 900)).await;
            for _ in 0..SIGNALS {
                tokio::time::sleep(Duration::from_millis(random.between(0, 200))).await;
                let number = self.ledger.number();
                // By workflow id: a run has no other name for most clients.
                let sent = self.client.signal(&order.workflow_id, "more", Some(to_payloads(&number))).await;
                sent.unwrap_or_else(|error| panic!("signal to {}: {error}", order.workflow_id));
                self.ledger.signaled(&order.run_id, number);
            }
            self.wait(&order).await;
            made.push(order);
        }
        made
    }

    async fn sleep(self: Arc<Load>, timer_ms: u64) -> Vec<Made> {
        let sleeper = self.start(SLEEPER, 0, timer_ms).await;
        self.wait(&sleeper).await;
        vec![sleeper]
    }

    async fn start(&self, workflow_type: &str, signals: usize, timer_ms: u64) -> Made {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let workflow_id = format!("{workflow_type}-{number}");
        let task_queue = if number.is_multiple_of(2) { "orders" } else { "orders-sticky" }.to_owned();
        let input =
            Input { workflow_id: workflow_id.clone(), task_queue: task_queue.clone(), number, signals, timer_ms };
        let start = Start {
            workflow_id: workflow_id.clone(),
            workflow_type: workflow_type.to_owned(),
            task_queue,
            input: Some(to_payloads(&input)),
            more: wire::StartWorkflowExecutionRequest {
                workflow_task_timeout: Some(wire_duration(TASK_TIMEOUT)),
                ..Default::default()
            },
        };
        let started = self.client.start(start).await;
        let run_id = started.unwrap_or_else(|error| panic!("start of {workflow_id}: {error}"));
        self.ledger.started(&run_id, &workflow_id);
        Made { workflow_id, run_id, number, is_order: workflow_type == ORDER }
    }

    async fn wait(&self, run: &Made) {
        let closed = self.client.closing_event(&run.workflow_id, &run.run_id).await;
        closed.unwrap_or_else(|error| panic!("end of {}: {error}", run.workflow_id));
    }

    /// Holds every history against what was acknowledged of it.
    async fn check(&self, made: &[Made]) {
        let mut wrong = Vec::new();
        let mut counts = BTreeMap::<&str, u64>::new();
        let mut latest_timer = Duration::ZERO;
        let mut attempts = 0;
        for run in made {
            let parent = self.read(&run.workflow_id, &run.run_id, run.number).await;
            let checked = match parent {
                Ok(parent) if run.is_order => {
                    let child = parent.child.clone().unwrap_or_default();
                    match self.read(&child.workflow_id, &child.run_id, run.number).await {
                        Ok(child) => {
                            parent.is_a_whole_order(&run.workflow_id, SIGNALS, &child).map(|()| vec![parent, child])
                        }
                        Err(error) => Err(error),
                    }
                }
                Ok(sleeper) => Ok(vec![sleeper]),
                Err(error) => Err(error),
            };
            match checked {
                Ok(runs) => {
                    for facts in runs {
                        latest_timer = latest_timer.max(facts.latest_timer);
                        attempts = attempts.max(facts.activity_attempts_max);
                    }
                }
                Err(error) => wrong.push(format!("{} {}: {error}", run.workflow_id, run.run_id)),
            }
        }
        {
            let told = self.ledger.read();
            counts.insert("starts", told.starts.len() as u64);
            counts.insert("signals", told.signals.values().map(|it| it.len() as u64).sum());
            counts.insert("activity results", told.completions.values().map(|it| it.len() as u64).sum());
            counts.insert("closed runs", told.closed.len() as u64);
        }
        println!("acknowledged: {counts:?}");
        println!("latest timer {latest_timer:.1?}, most attempts of an activity {attempts}");
        let trouble = self.client.trouble();
        println!("calls repeated: {}", trouble.total());
        assert!(wrong.is_empty(), "{} of {} runs are wrong:\n{}", wrong.len(), made.len(), wrong.join("\n"));
    }

    async fn read(&self, workflow_id: &str, run_id: &str, number: u64) -> Result<Facts, String> {
        let events = self.client.history(workflow_id, run_id).await.map_err(|error| format!("no history: {error}"))?;
        let promised = {
            let told = self.ledger.read();
            Promised {
                signals: told.signals.get(run_id).cloned().unwrap_or_default(),
                completions: told.completions.get(run_id).cloned().unwrap_or_default(),
            }
        };
        check::read(&events, number, &promised).map_err(|error| format!("{error}\n{}", check::told(&events)))
    }

    /// The lists agree: everything that was started is there, completed, and nothing else is.
    async fn check_lists(&self, made: &[Made]) {
        let orders = made.iter().filter(|it| it.is_order).count();
        let all = (made.len() + orders) as i64;
        assert_eq!(self.count("").await, all, "every run and every child, once");
        assert_eq!(self.count("ExecutionStatus = 'Completed'").await, all);
    }

    async fn count(&self, query: &str) -> i64 {
        let request = wire::CountWorkflowExecutionsRequest {
            namespace: self.client.namespace().to_owned(),
            query: query.to_owned(),
        };
        let counted = self.client.once(request, Duration::from_secs(10), |mut rpc, request| async move {
            rpc.count_workflow_executions(request).await
        });
        counted.await.expect("it counts").count
    }

    /// The histories of some runs that have not finished.
    async fn stuck(&self) -> String {
        let request = wire::ListWorkflowExecutionsRequest {
            namespace: self.client.namespace().to_owned(),
            query: "ExecutionStatus = 'Running'".to_owned(),
            page_size: 1_000,
            ..Default::default()
        };
        let listed = self.client.once(request, Duration::from_secs(10), |mut rpc, request| async move {
            rpc.list_workflow_executions(request).await
        });
        let running = match listed.await {
            Ok(listed) => listed.executions,
            Err(error) => return format!("runs are stuck, and cannot be listed: {error}"),
        };
        let mut text = format!("{} runs are stuck", running.len());
        for run in running.iter().take(5) {
            let execution = run.execution.clone().unwrap_or_default();
            let history = self.client.history(&execution.workflow_id, &execution.run_id).await;
            let history = history.map_or_else(|error| error.to_string(), |events| check::told(&events));
            text.push_str(&format!("\n{} {}\n{history}", execution.workflow_id, execution.run_id));
        }
        text
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Numbers that a seed repeats.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low)
    }

    fn fork(&mut self) -> Random {
        Random(self.next())
    }
}
