//! Queries: questions to workflow code that leave no trace.
//!
//! A query goes one of two ways. If no workflow task is under way it is a task of its own, *direct*: first to
//! the worker that has the run in its cache, then to any. Else it is *attached* to the next workflow task
//! and answered with its completion, so that it sees everything acknowledged before it.
//!
//! Invariants
//! - A query touches neither history nor state.
//! - Whoever asked and left is not answered for: its query is dropped where it is found.

use crate::{
    Error, Handle,
    matching::Task,
    message::{Message, Target},
    snapshot::Snapshot,
    token::{self, Token},
};
use api::{
    common::v1::Payloads,
    enums::v1::{QueryRejectCondition, QueryResultType, WorkflowExecutionStatus as Status},
    failure::v1::Failure,
    query::v1::{WorkflowQuery, WorkflowQueryResult},
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, oneshot};
use tradewind_core::{
    ids::{NamespaceKey, QueueKey, RunKey, Slot, TaskKind},
    state::WorkflowTask,
    time::Timestamp,
    update::REFUSED_FROM_ATTEMPT,
};

/// A query's answer, or why the worker has none.
pub type Answered = Result<Option<Payloads>, QueryFailure>;

#[derive(Debug, Clone, PartialEq)]
pub struct QueryFailure {
    pub message: String,
    pub failure: Option<Box<Failure>>,
}

/// What came of a query.
#[derive(Debug, Clone, PartialEq)]
pub enum QueryOutcome {
    Answered(Option<Payloads>),
    /// The run is in a status that the caller did not want to query.
    Rejected(Status),
}

/// A direct query in a task queue.
#[derive(Debug)]
pub struct QueryTask {
    pub id: u64,
    pub run: RunKey,
    pub slot: Slot,
    pub namespace: NamespaceKey,
    pub query: WorkflowQuery,
    /// Offered to the worker that has the run in its cache.
    pub sticky: bool,
    taken: AtomicBool,
    was_taken: Notify,
    abandoned: AtomicBool,
}

impl QueryTask {
    /// Claims the query for a poller; `false` if nobody waits for it any more.
    pub fn take(&self) -> bool {
        if self.abandoned.load(Ordering::Acquire) {
            return false;
        }
        let first = !self.taken.swap(true, Ordering::AcqRel);
        self.was_taken.notify_one();
        first
    }

    pub fn token(&self) -> Token {
        Token {
            kind: token::QUERY,
            namespace: self.namespace.0,
            run: self.run.0,
            slot: u32::from(self.slot.0),
            query: self.id,
            ..Token::default()
        }
    }
}

/// A query that rides on a workflow task.
#[derive(Debug, Clone)]
pub struct AttachedQuery {
    pub id: String,
    pub query: WorkflowQuery,
    answer: Arc<Mutex<Option<oneshot::Sender<Attached>>>>,
}

#[derive(Debug)]
enum Attached {
    Answered(Answered),
    /// Its workflow task ended without an answer, or there is none any more.
    RetryDirectly,
}

impl AttachedQuery {
    pub fn is_abandoned(&self) -> bool {
        self.answer.lock().as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    fn finish(&self, attached: Attached) {
        if let Some(answer) = self.answer.lock().take() {
            let _ = answer.send(attached);
        }
    }

    pub fn answer(&self, result: WorkflowQueryResult) {
        let answered = match result.result_type() {
            QueryResultType::Failed => {
                Err(QueryFailure { message: result.error_message, failure: result.failure.map(Box::new) })
            }
            QueryResultType::Answered | QueryResultType::Unspecified => Ok(result.answer),
        };
        self.finish(Attached::Answered(answered));
    }

    pub fn retry_directly(&self) {
        self.finish(Attached::RetryDirectly);
    }
}

/// Direct queries that workers are working on.
#[derive(Debug, Default)]
pub struct Queries {
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answered>>>,
}

impl Queries {
    fn add(&self) -> (u64, oneshot::Receiver<Answered>) {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().insert(id, sender);
        (id, receiver)
    }

    fn remove(&self, id: u64) -> Option<oneshot::Sender<Answered>> {
        self.waiting.lock().remove(&id)
    }
}

/// Ends a direct query when whoever asked leaves.
struct Asking<'a> {
    handle: &'a Handle,
    task: Arc<QueryTask>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.task.abandoned.store(true, Ordering::Release);
        self.handle.shared.queries.remove(self.task.id);
    }
}

impl Handle {
    /// Asks workflow code. `deadline` is when the caller leaves.
    pub async fn query(
        &self,
        target: Target,
        query: WorkflowQuery,
        reject: QueryRejectCondition,
        deadline: Option<Timestamp>,
    ) -> Result<QueryOutcome, Error> {
        loop {
            let snapshot = self.inspect(target.clone(), true).await?;
            let state = &snapshot.state;
            if let Some(status) = rejected(state.status(), reject) {
                return Ok(QueryOutcome::Rejected(status));
            }
            let has_run = state.recorded.progress.last_completed_started != 0;
            if !state.is_running() && !has_run {
                return Err(Error::NotReady("Workflow execution closed before WorkflowTaskStarted event".into()));
            }
            if state.is_running() && state.unrecorded.task.attempt >= REFUSED_FROM_ATTEMPT {
                return Err(Error::NotReady("Unable to query workflow due to Workflow Task in failed state.".into()));
            }
            if let Some(due) = state.unrecorded.task.first_task_at {
                if deadline.is_some_and(|deadline| due >= deadline) {
                    return Err(Error::NotReady("Workflow task is not scheduled yet.".into()));
                }
                self.wait_for_change(snapshot).await;
                continue;
            }
            let pending = !matches!(state.workflow_task(), WorkflowTask::None);
            if has_run && (!state.is_running() || !pending) {
                return self.query_directly(&snapshot, query, deadline).await.map(QueryOutcome::Answered);
            }
            let target = Target::Run { slot: snapshot.slot, run: snapshot.run };
            if let Some(answered) = self.query_attached(target, query.clone()).await? {
                return answered.map(QueryOutcome::Answered).map_err(failed);
            }
        }
    }

    async fn wait_for_change(&self, mut snapshot: Snapshot) {
        let progress = snapshot.progress.as_mut().expect("the snapshot was asked for with its progress");
        let _ = progress.changed().await;
    }

    /// Rides on the next workflow task; `None` if that gave no answer.
    async fn query_attached(&self, target: Target, query: WorkflowQuery) -> Result<Option<Answered>, Error> {
        let (sender, receiver) = oneshot::channel();
        let query = AttachedQuery {
            id: self.shared.entropy.uuid().to_string(),
            query,
            answer: Arc::new(Mutex::new(Some(sender))),
        };
        self.ask(target.slot(), |answer| Message::AttachQuery { target, query, answer }).await?;
        Ok(match receiver.await {
            Ok(Attached::Answered(answered)) => Some(answered),
            Ok(Attached::RetryDirectly) | Err(_) => None,
        })
    }

    async fn query_directly(
        &self,
        snapshot: &Snapshot,
        query: WorkflowQuery,
        deadline: Option<Timestamp>,
    ) -> Result<Option<Payloads>, Error> {
        let state = &snapshot.state;
        let limits = &self.shared.limits;
        let namespace = state.start.namespace;
        if let Some(sticky) = &state.unrecorded.task.sticky {
            let key = QueueKey { namespace, kind: TaskKind::Workflow, name: sticky.queue.clone() };
            let queue = self.shared.matching.queue(&key);
            if queue.polled_within(self.shared.clock.now(), limits.sticky_poller_window) {
                let (asking, receiver) = self.query_task(snapshot, query.clone(), true);
                let now = self.shared.clock.now();
                queue.offer(state.start.priority(), 0, Task::Query(asking.task.clone()), now);
                let taken = tokio::time::timeout(sticky.schedule_to_start, asking.task.was_taken.notified()).await;
                if taken.is_ok() {
                    if let Ok(answered) = receiver.await {
                        return answered.map_err(failed);
                    }
                    return Err(Error::Unavailable("the query was dropped".into()));
                }
            }
        }
        let key = QueueKey { namespace, kind: TaskKind::Workflow, name: state.start.task_queue().to_owned() };
        let queue = self.shared.matching.queue(&key);
        let (asking, receiver) = self.query_task(snapshot, query, false);
        queue.offer(state.start.priority(), 0, Task::Query(asking.task.clone()), self.shared.clock.now());
        // Shortly before the caller leaves, say what is wrong rather than nothing.
        let patience = deadline.map_or(Duration::from_secs(60), |deadline| {
            let left = deadline - self.shared.clock.now();
            left.saturating_sub(Duration::from_secs(1).min(left / 5))
        });
        tokio::select! {
            answered = receiver => match answered {
                Ok(answered) => answered.map_err(failed),
                Err(_) => Err(Error::Unavailable("the query was dropped".into())),
            },
            () = tokio::time::sleep(patience) => {
                if queue.polled_within(self.shared.clock.now(), limits.query_poller_window) {
                    Err(Error::DeadlineExceeded)
                } else {
                    Err(Error::NoPoller)
                }
            }
        }
    }

    fn query_task(
        &self,
        snapshot: &Snapshot,
        query: WorkflowQuery,
        sticky: bool,
    ) -> (Asking<'_>, oneshot::Receiver<Answered>) {
        let (id, receiver) = self.shared.queries.add();
        let task = Arc::new(QueryTask {
            id,
            run: snapshot.run,
            slot: snapshot.slot,
            namespace: snapshot.state.start.namespace,
            query,
            sticky,
            taken: AtomicBool::new(false),
            was_taken: Notify::new(),
            abandoned: AtomicBool::new(false),
        });
        (Asking { handle: self, task }, receiver)
    }

    /// A worker answers a direct query. Nobody may be waiting any more, which is no error of the worker's.
    pub fn answer_query(&self, token: &Token, answered: Answered) -> bool {
        match self.shared.queries.remove(token.query) {
            Some(waiting) => waiting.send(answered).is_ok(),
            None => false,
        }
    }
}

fn failed(failure: QueryFailure) -> Error {
    Error::QueryFailed { message: failure.message, failure: failure.failure }
}

fn rejected(status: Status, condition: QueryRejectCondition) -> Option<Status> {
    let rejects = match condition {
        QueryRejectCondition::Unspecified | QueryRejectCondition::None => false,
        QueryRejectCondition::NotOpen => status != Status::Running,
        QueryRejectCondition::NotCompletedCleanly => !matches!(status, Status::Running | Status::Completed),
    };
    rejects.then_some(status)
}
