//! The worker half: polls for tasks, decides, completes.
//!
//! It behaves on the wire like an SDK worker: a sticky queue of its own, eager activities, the next workflow task
//! taken from the completion's answer. Workflow code is a [`Workflow`]: a fold over history events and a function
//! from what was folded to the commands that should follow. Because commands depend on recorded events alone, a task
//! that is lost, repeated or answered too late needs no undoing: the cached state is dropped, and the next task
//! rebuilds it from history.
//!
//! Invariants
//! - A cached workflow has folded exactly the events up to the started event of its last answered task.
//! - Cached state is used only for a task that builds on the very task the state was folded for.
//! - State folded from a repeated attempt is never cached: the events of such an attempt are not yet recorded, and
//!   their ids may be given to others.
//! - No error ends a poller. Only [`Worker::stop`] does.

use crate::client::{Client, LONG_POLL, UNARY, normal_queue, wire_duration};
use api::{
    command::v1::Command,
    common::v1::{Payloads, WorkflowExecution},
    enums::v1::{CommandType, QueryResultType, TaskQueueKind},
    failure::v1::Failure,
    history::v1::HistoryEvent,
    taskqueue::v1::{StickyExecutionAttributes, TaskQueue},
    workflowservice::v1 as wire,
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::JoinSet};
use tonic::Status;

pub type WorkflowTask = wire::PollWorkflowTaskQueueResponse;
pub type ActivityTask = wire::PollActivityTaskQueueResponse;

/// One run's workflow code.
pub trait Workflow: Send + 'static {
    /// Takes in one recorded event. Every event is seen once, in order.
    fn fold(&mut self, event: &HistoryEvent);

    /// What should follow from the events so far. Depends on nothing else, so that it can be asked again after a
    /// task was lost.
    fn decide(&self) -> Vec<Command>;
}

/// What an activity came to.
#[derive(Debug)]
pub enum ActivityOutcome {
    Completed(Option<Payloads>),
    Failed(Box<Failure>),
    /// Nothing is reported, as if the worker had died.
    Abandoned,
}

/// The code a worker hosts.
pub trait Program: Send + Sync + 'static {
    /// A fresh workflow of this type, with nothing folded. `None` leaves the task to time out.
    fn workflow(&self, workflow_type: &str) -> Option<Box<dyn Workflow>>;

    /// Runs one activity. Completing at once with nothing is what the benchmarks want.
    fn activity(&self, _task: &ActivityTask) -> impl Future<Output = ActivityOutcome> + Send {
        std::future::ready(ActivityOutcome::Completed(None))
    }

    /// Called when the server has acknowledged the commands that close a run.
    fn closed(&self, _execution: &WorkflowExecution, _at: Instant) {}
}

#[derive(Debug, Clone)]
pub struct WorkerOptions {
    pub task_queue: String,
    pub workflow_pollers: usize,
    /// Pollers of the worker's own sticky queue. With none, every task carries the full history.
    pub sticky_pollers: usize,
    pub activity_pollers: usize,
    /// Name of the sticky queue; one of its own by default.
    pub sticky_queue: Option<String>,
    /// How long a task may wait on the sticky queue before the server moves it to the normal one.
    pub sticky_timeout: Duration,
}

impl WorkerOptions {
    /// As many pollers of each kind as things are kept in flight, within reason.
    pub fn sized(task_queue: impl Into<String>, in_flight: usize) -> Self {
        let pollers = in_flight.clamp(4, 64);
        Self {
            task_queue: task_queue.into(),
            workflow_pollers: pollers,
            sticky_pollers: pollers,
            activity_pollers: pollers,
            sticky_queue: None,
            sticky_timeout: Duration::from_secs(10),
        }
    }
}

/// What a worker has done so far.
#[derive(Debug, Default)]
pub struct Tally {
    pub workflow_tasks: AtomicU64,
    /// Of those, the ones that came in the answer to a completion.
    pub inline_tasks: AtomicU64,
    pub activities: AtomicU64,
    /// Of those, the ones that came in the answer to a completion.
    pub eager_activities: AtomicU64,
    /// Times the whole history had to be read because the cached state did not fit.
    pub history_reads: AtomicU64,
    /// Completions the server did not take: lost races, repeated calls, refused commands.
    pub stale: AtomicU64,
    /// Polls that ended in an error.
    pub poll_errors: AtomicU64,
}

impl Tally {
    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }

    fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// A running worker. Dropping it stops it without waiting for what it has in hand.
#[derive(Debug)]
pub struct Worker {
    stop: watch::Sender<bool>,
    pollers: JoinSet<()>,
    tally: Arc<Tally>,
}

impl Worker {
    pub fn start(client: Client, options: WorkerOptions, program: Arc<impl Program>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let tally = Arc::new(Tally::default());
        let sticky = (options.sticky_pollers > 0).then(|| StickyExecutionAttributes {
            worker_task_queue: Some(TaskQueue {
                name: options
                    .sticky_queue
                    .unwrap_or_else(|| format!("{}-{}", client.identity(), uuid::Uuid::new_v4().simple())),
                kind: TaskQueueKind::Sticky as i32,
                normal_name: options.task_queue.clone(),
            }),
            schedule_to_start_timeout: Some(wire_duration(options.sticky_timeout)),
        });
        let normal = normal_queue(options.task_queue);
        let host = Arc::new(Host { client, program, sticky, cache: Mutex::default(), tally: tally.clone() });

        let mut pollers = JoinSet::new();
        for _ in 0..options.workflow_pollers {
            pollers.spawn(poll_workflow_tasks(host.clone(), normal.clone(), stopped.clone()));
        }
        for _ in 0..options.sticky_pollers {
            let queue = host.sticky.as_ref().and_then(|sticky| sticky.worker_task_queue.clone());
            let queue = queue.expect("a worker with sticky pollers has a sticky queue");
            pollers.spawn(poll_workflow_tasks(host.clone(), queue, stopped.clone()));
        }
        for _ in 0..options.activity_pollers {
            pollers.spawn(poll_activity_tasks(host.clone(), normal.clone(), stopped.clone()));
        }
        Self { stop, pollers, tally }
    }

    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Gives up open polls, finishes the tasks in hand, and ends.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.pollers.join_next().await.is_some() {}
    }
}

/// What all pollers of one worker share.
struct Host<P> {
    client: Client,
    program: Arc<P>,
    sticky: Option<StickyExecutionAttributes>,
    /// By run id.
    cache: Mutex<HashMap<String, Cached>>,
    tally: Arc<Tally>,
}

struct Cached {
    workflow: Box<dyn Workflow>,
    /// The last event folded.
    folded: i64,
}

async fn poll_workflow_tasks<P: Program>(host: Arc<Host<P>>, queue: TaskQueue, mut stopped: watch::Receiver<bool>) {
    let request = wire::PollWorkflowTaskQueueRequest {
        namespace: host.client.namespace().to_owned(),
        identity: host.client.identity().to_owned(),
        task_queue: Some(queue),
        ..Default::default()
    };
    while !*stopped.borrow() {
        let poll = host.client.once(request.clone(), LONG_POLL, |mut rpc, request| async move {
            rpc.poll_workflow_task_queue(request).await
        });
        let polled = tokio::select! {
            polled = poll => polled,
            _ = stopped.changed() => return,
        };
        match polled {
            Ok(task) if task.task_token.is_empty() => {}
            Ok(task) => host.run_workflow_task(task).await,
            Err(status) => host.pause_after(&status).await,
        }
    }
}

async fn poll_activity_tasks<P: Program>(host: Arc<Host<P>>, queue: TaskQueue, mut stopped: watch::Receiver<bool>) {
    let request = wire::PollActivityTaskQueueRequest {
        namespace: host.client.namespace().to_owned(),
        identity: host.client.identity().to_owned(),
        task_queue: Some(queue),
        ..Default::default()
    };
    while !*stopped.borrow() {
        let poll = host.client.once(request.clone(), LONG_POLL, |mut rpc, request| async move {
            rpc.poll_activity_task_queue(request).await
        });
        let polled = tokio::select! {
            polled = poll => polled,
            _ = stopped.changed() => return,
        };
        match polled {
            Ok(task) if task.task_token.is_empty() => {}
            Ok(task) => host.run_activity(task).await,
            Err(status) => host.pause_after(&status).await,
        }
    }
}

impl<P: Program> Host<P> {
    async fn pause_after(&self, status: &Status) {
        Tally::add(&self.tally.poll_errors);
        // Nothing is decided here; asking counts the trouble.
        self.client.is_worth_repeating(status);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    /// Works on a task, and on those that come back in the answers, until the run has nothing more to do.
    async fn run_workflow_task(self: &Arc<Self>, task: WorkflowTask) {
        let mut next = Some(task);
        while let Some(task) = next {
            Tally::add(&self.tally.workflow_tasks);
            next = if task.query.is_some() {
                self.refuse_query(task).await;
                None
            } else {
                self.take_turn(task).await
            };
            if next.is_some() {
                Tally::add(&self.tally.inline_tasks);
            }
        }
    }

    async fn take_turn(self: &Arc<Self>, task: WorkflowTask) -> Option<WorkflowTask> {
        let execution = task.workflow_execution.clone().unwrap_or_default();
        let (token, first_attempt) = (task.task_token.clone(), task.attempt <= 1);
        let state = match self.catch_up(task, &execution).await {
            Ok(state) => state?,
            // The run may be gone. If it is not, the task times out and comes again.
            Err(_) => return None,
        };
        let commands = state.workflow.decide();
        let closing = commands.iter().any(is_closing);
        let keep = first_attempt && !closing && self.sticky.is_some();
        if keep {
            // Before the completion is sent: its follow-up may reach another poller before its answer reaches us.
            self.cache().insert(execution.run_id.clone(), state);
        }
        let request = wire::RespondWorkflowTaskCompletedRequest {
            task_token: token,
            commands,
            identity: self.client.identity().to_owned(),
            namespace: self.client.namespace().to_owned(),
            sticky_attributes: if keep { self.sticky.clone() } else { None },
            return_new_workflow_task: true,
            ..Default::default()
        };
        let answer = self
            .client
            .call(&request, UNARY, |mut rpc, request| async move { rpc.respond_workflow_task_completed(request).await })
            .await;
        let Ok(mut reply) = answer else {
            Tally::add(&self.tally.stale);
            self.cache().remove(&execution.run_id);
            return None;
        };
        if closing {
            self.program.closed(&execution, Instant::now());
        }
        for task in reply.activity_tasks.drain(..) {
            Tally::add(&self.tally.eager_activities);
            let host = self.clone();
            tokio::spawn(async move { host.run_activity(task).await });
        }
        reply.workflow_task.filter(|task| !task.task_token.is_empty())
    }

    /// Brings the cached state up to the task's started event, or rebuilds it from the whole history.
    async fn catch_up(&self, task: WorkflowTask, execution: &WorkflowExecution) -> Result<Option<Cached>, Status> {
        let cached = self.cache().remove(&execution.run_id);
        let mut events = task.history.unwrap_or_default().events;
        let first = events.first().map_or(i64::MAX, |event| event.event_id);
        let workflow_type = task.workflow_type.unwrap_or_default().name;
        let fresh = || self.program.workflow(&workflow_type).map(|workflow| Cached { workflow, folded: 0 });

        // A server that was killed may hand out a task again and not know that it did so before. The events that
        // the first time showed were not recorded yet: what was folded then is no part of this history.
        let built_on = task.previous_started_event_id;
        let (state, page) = match cached {
            Some(state) if first > 1 && first <= state.folded + 1 && built_on == state.folded => {
                (Some(state), task.next_page_token)
            }
            _ if first == 1 => (fresh(), task.next_page_token),
            _ => {
                Tally::add(&self.tally.history_reads);
                events = self.client.history(&execution.workflow_id, &execution.run_id).await?;
                (fresh(), Bytes::new())
            }
        };
        let Some(mut state) = state else { return Ok(None) };
        if !page.is_empty() {
            events.extend(self.client.history_from(&execution.workflow_id, &execution.run_id, page).await?);
        }
        for event in &events {
            // What came in after the task was started belongs to the next one.
            if event.event_id > state.folded && event.event_id <= task.started_event_id {
                state.workflow.fold(event);
                state.folded = event.event_id;
            }
        }
        Ok(Some(state))
    }

    async fn run_activity(&self, task: ActivityTask) {
        Tally::add(&self.tally.activities);
        let (identity, namespace) = (self.client.identity().to_owned(), self.client.namespace().to_owned());
        let answer = match self.program.activity(&task).await {
            ActivityOutcome::Abandoned => return,
            ActivityOutcome::Completed(result) => {
                let task_token = task.task_token;
                let request = wire::RespondActivityTaskCompletedRequest {
                    task_token,
                    result,
                    identity,
                    namespace,
                    ..Default::default()
                };
                let call = self.client.call(&request, UNARY, |mut rpc, request| async move {
                    rpc.respond_activity_task_completed(request).await
                });
                call.await.map(drop)
            }
            ActivityOutcome::Failed(failure) => {
                let task_token = task.task_token;
                let request = wire::RespondActivityTaskFailedRequest {
                    task_token,
                    failure: Some(*failure),
                    identity,
                    namespace,
                    ..Default::default()
                };
                let call = self.client.call(&request, UNARY, |mut rpc, request| async move {
                    rpc.respond_activity_task_failed(request).await
                });
                call.await.map(drop)
            }
        };
        if answer.is_err() {
            Tally::add(&self.tally.stale);
        }
    }

    /// Nothing here has queries; an answer at once is kinder to the caller than a timeout.
    async fn refuse_query(&self, task: WorkflowTask) {
        let request = wire::RespondQueryTaskCompletedRequest {
            task_token: task.task_token,
            completed_type: QueryResultType::Failed as i32,
            error_message: "this worker answers no queries".to_owned(),
            namespace: self.client.namespace().to_owned(),
            ..Default::default()
        };
        let answer = self
            .client
            .once(request, UNARY, |mut rpc, request| async move { rpc.respond_query_task_completed(request).await })
            .await;
        if answer.is_err() {
            Tally::add(&self.tally.stale);
        }
    }

    fn cache(&self) -> parking_lot::MutexGuard<'_, HashMap<String, Cached>> {
        self.cache.lock()
    }
}

fn is_closing(command: &Command) -> bool {
    matches!(
        command.command_type(),
        CommandType::CompleteWorkflowExecution
            | CommandType::FailWorkflowExecution
            | CommandType::CancelWorkflowExecution
            | CommandType::ContinueAsNewWorkflowExecution
    )
}
