//! What a workflow with one activity costs the store: CPU, flushes and bytes.
//!
//! ```text
//! commit_cost [DIRECTORY] [WORKFLOWS] [IN_FLIGHT …]
//! ```
//!
//! Each workflow makes the six writes that the engine makes for it, one after the other; `IN_FLIGHT` of them are
//! under way at a time. CPU is that of the whole process, making the writes included.

use bytes::Bytes;
use std::{collections::VecDeque, path::PathBuf};
use store::{
    Options, Store,
    row::{Change, Durability, Epoch, RunRow, Sequence, TaskRow, VisibilityRow, Write},
};
use tradewind_core::{
    ids::{NamespaceKey, QueueKey, RunKey, Slot, TaskKind},
    time::Timestamp,
};
use uuid::Uuid;

const NAMESPACE: NamespaceKey = NamespaceKey(1);
const HISTORY_BYTES: usize = 600;
const STATE_BYTES: usize = 1_500;
const WRITES_PER_WORKFLOW: u64 = 6;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().unwrap_or_else(|| "commit_cost.data".to_owned()));
    let workflows = arguments.next().map_or(20_000, |text| text.parse().expect("a number of workflows"));
    let mut in_flight: Vec<usize> = arguments.map(|text| text.parse().expect("a number in flight")).collect();
    if in_flight.is_empty() {
        in_flight = vec![1, 64, 512];
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime can be built");
    println!(
        "in flight  CPU µs/workflow  CPU µs/write  writes/s  writes/flush  log bytes/workflow  disk bytes/workflow"
    );
    for in_flight in in_flight {
        // A flush each for a workflow at a time takes long enough with fewer of them.
        let workflows = if in_flight == 1 { workflows / 20 } else { workflows };
        let store = Store::open(Options::directory(&directory)).expect("the store opens");
        let mut load = Load::new(store.clone());
        let before = Usage::now();
        runtime.block_on(load.run(workflows, in_flight));
        let spent = Usage::now().since(&before);
        let statistics = store.statistics();
        let workflows = workflows as f64;
        println!(
            "{in_flight:>9}  {:>15.1}  {:>12.1}  {:>8.0}  {:>12.1}  {:>18.0}  {:>19.0}",
            spent.cpu_us / workflows,
            spent.cpu_us / workflows / WRITES_PER_WORKFLOW as f64,
            workflows * WRITES_PER_WORKFLOW as f64 / spent.wall_s,
            statistics.writes as f64 / statistics.groups as f64,
            statistics.bytes_written as f64 / workflows,
            spent.disk_bytes / workflows,
        );
        store.close();
    }
}

struct Load {
    store: Store,
    epoch: Epoch,
    next_run: i64,
    next_task: i64,
}

/// A workflow, and which of its writes comes next.
struct Workflow {
    run: i64,
    step: u64,
    task: i64,
}

impl Load {
    fn new(store: Store) -> Load {
        let epoch = store.claim().expect("the store grants a claim");
        let used = store.high_water().expect("the store knows its ids");
        Load { store, epoch, next_run: used.run.0 + 1, next_task: used.task + 1 }
    }

    async fn run(&mut self, workflows: usize, in_flight: usize) {
        let mut waiting: VecDeque<(Sequence, Workflow)> = VecDeque::new();
        let (mut started, mut ended) = (0, 0);
        let mut progress = self.store.progress();
        while ended < workflows {
            while started < workflows && waiting.len() < in_flight {
                let workflow = Workflow { run: self.next_run, step: 0, task: 0 };
                self.next_run += 1;
                started += 1;
                self.step(workflow, &mut waiting);
            }
            let durable = progress.borrow_and_update().durable;
            while waiting.front().is_some_and(|(sequence, _)| *sequence <= durable) {
                let (_, workflow) = waiting.pop_front().expect("the front was just seen");
                if workflow.step == WRITES_PER_WORKFLOW {
                    ended += 1;
                } else {
                    self.step(workflow, &mut waiting);
                }
            }
            if ended < workflows && waiting.front().is_some_and(|(sequence, _)| *sequence > durable) {
                progress.changed().await.expect("the store lives");
                assert!(progress.borrow().failed.is_none(), "the store took every write");
            }
        }
    }

    /// Submits the next write. The third and the fifth are handed-out tasks, which nobody waits for in the engine;
    /// here the next write follows once they are in, which is the harder case.
    fn step(&mut self, mut workflow: Workflow, waiting: &mut VecDeque<(Sequence, Workflow)>) {
        let run = RunKey(workflow.run);
        let slot = Slot((workflow.run % 4096) as u16);
        let workflow_id =
            format!("order-{:032x}", (workflow.run as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060));
        let now = Timestamp::from_nanos(1_700_000_000_000_000_000 + workflow.run * 1_000 + workflow.step as i64);
        let state = Bytes::from(vec![b's'; STATE_BYTES]);
        let history = |first_event_id| Change::AppendHistory {
            run,
            first_event_id,
            bytes: Bytes::from(vec![b'h'; HISTORY_BYTES]),
        };
        let update = Change::UpdateRun { run, state: state.clone() };
        let wake = |seconds| Change::SetWake { run, slot, due: Some(now + std::time::Duration::from_secs(seconds)) };
        let put_task = |kind, id| {
            Change::PutTask(TaskRow { queue: queue(kind), priority: 3, id, run, slot, bytes: Bytes::from_static(b"5") })
        };
        let delete_task = |kind, id| Change::DeleteTask { queue: queue(kind), priority: 3, id };
        let item = |kind, bytes: usize| Change::PutItem {
            run,
            kind,
            key: store::row::ItemKey::Id(5),
            bytes: Bytes::from(vec![b'i'; bytes]),
        };
        let old_task = workflow.task;
        if matches!(workflow.step, 0 | 2 | 4) {
            workflow.task = self.next_task;
            self.next_task += 1;
        }
        let task = workflow.task;
        let changes = match workflow.step {
            // Started, first workflow task scheduled.
            0 => vec![
                Change::InsertRun(RunRow {
                    run,
                    namespace: NAMESPACE,
                    workflow_id: workflow_id.clone(),
                    run_id: run_id(run),
                    slot,
                    state,
                }),
                Change::SetCurrent { namespace: NAMESPACE, workflow_id: workflow_id.clone(), run },
                history(1),
                put_task(TaskKind::Workflow, task),
                wake(10),
                Change::PutVisibility(Box::new(shown(run, &workflow_id, now, None))),
            ],
            // Workflow task handed out.
            1 => vec![update, delete_task(TaskKind::Workflow, old_task), wake(10)],
            // Completed, with an activity scheduled.
            2 => vec![history(3), update, item(1, 300), put_task(TaskKind::Activity, task), wake(60)],
            // Activity handed out.
            3 => vec![update, item(1, 320), delete_task(TaskKind::Activity, old_task), wake(30)],
            // Activity completed, workflow task scheduled.
            4 => vec![
                history(6),
                update,
                Change::DeleteItem { run, kind: 1, key: store::row::ItemKey::Id(5) },
                put_task(TaskKind::Workflow, task),
                wake(10),
            ],
            // Handed out at once, completed, workflow completed.
            _ => vec![
                history(9),
                update,
                delete_task(TaskKind::Workflow, old_task),
                Change::SetWake { run, slot, due: None },
                Change::PutVisibility(Box::new(shown(run, &workflow_id, now, Some(now)))),
            ],
        };
        workflow.step += 1;
        let sequence = self.store.submit(Write { slot, epoch: self.epoch, changes }, Durability::Durable);
        waiting.push_back((sequence, workflow));
    }
}

fn queue(kind: TaskKind) -> QueueKey {
    QueueKey { namespace: NAMESPACE, kind, name: "orders".to_owned() }
}

/// Ordered by time, as the engine's are.
fn run_id(run: RunKey) -> Uuid {
    Uuid::from_u128((run.0 as u128) << 80 | 0x7000_8000_39c0_605c_edc8)
}

fn shown(run: RunKey, workflow_id: &str, start: Timestamp, close: Option<Timestamp>) -> VisibilityRow {
    VisibilityRow {
        run,
        namespace: NAMESPACE,
        workflow_id: workflow_id.to_owned(),
        run_id: run_id(run),
        workflow_type: "OrderWorkflow".to_owned(),
        status: if close.is_some() { 2 } else { 1 },
        task_queue: "orders".to_owned(),
        start_time: Timestamp::from_nanos(1_700_000_000_000_000_000 + run.0 * 1_000),
        execution_time: start,
        close_time: close,
        history_length: close.map(|_| 11),
        history_size_bytes: close.map(|_| 2_400),
        state_transitions: close.map(|_| 6),
        parent: None,
        root: (workflow_id.to_owned(), run_id(run)),
        first_run_id: run_id(run),
        division: None,
        memo: Bytes::new(),
        search_attributes: Bytes::new(),
        attributes: Vec::new(),
    }
}

/// What the process has used so far, as Linux counts it.
struct Usage {
    cpu_us: f64,
    wall_s: f64,
    disk_bytes: f64,
}

impl Usage {
    fn now() -> Usage {
        let read = |path: &str| std::fs::read_to_string(path).expect("Linux tells what a process has used");
        // All threads there are, and those that have ended: fields 14 and 15, in hundredths of a second.
        let stat = read("/proc/self/stat");
        let after_name = &stat[stat.rfind(')').expect("the name is in parentheses") + 2..];
        let fields: Vec<&str> = after_name.split(' ').collect();
        let ticks: f64 = [fields[11], fields[12]].iter().map(|field| field.parse::<f64>().expect("a number")).sum();
        let uptime = read("/proc/uptime");
        let io = read("/proc/self/io");
        let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).expect("a line for bytes written");
        Usage {
            cpu_us: ticks * 10_000.0,
            wall_s: uptime.split(' ').next().expect("seconds").parse().expect("a number"),
            disk_bytes: written.parse().expect("a number"),
        }
    }

    fn since(&self, before: &Usage) -> Usage {
        Usage {
            cpu_us: self.cpu_us - before.cpu_us,
            wall_s: self.wall_s - before.wall_s,
            disk_bytes: self.disk_bytes - before.disk_bytes,
        }
    }
}
