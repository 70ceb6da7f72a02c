//! Polls: a worker waits for a task, and gets it whole.

use crate::{
    Error, Handle,
    matching::{Queue, Statistics, Task},
    message::{Stepped, Target},
    query::QueryTask,
    token::{self, Token},
};
use api::{
    common::v1::{WorkflowExecution, WorkflowType},
    enums::v1::TaskQueueKind,
    history::v1::History,
    taskqueue::v1::{PollerScalingDecision, TaskQueue},
    workflowservice::v1::{PollActivityTaskQueueResponse, PollWorkflowTaskQueueResponse},
};
use prost::Message;
use std::sync::Arc;
use tradewind_core::{
    ids::{NamespaceKey, QueueKey, TaskKind},
    state::MutableState,
    step::{Input, PolledActivity, PolledTask, Reply},
    time::Timestamp,
};

/// Who polls what.
#[derive(Debug, Clone)]
pub struct Poll {
    pub namespace: NamespaceKey,
    pub kind: TaskKind,
    pub queue: String,
    pub sticky: bool,
    /// The normal queue that a sticky one belongs to.
    pub normal_queue: String,
    pub identity: String,
    /// Names the worker process; its farewell ends the poll.
    pub worker_instance: String,
    pub max_tasks_per_second: Option<f64>,
    /// When to answer with nothing.
    pub until: Timestamp,
}

/// Events of a long history that go along with a task; the rest is fetched by page.
const EVENTS_PER_TASK: usize = 100_000;
/// A message must stay below the transport's limit, with room for all but history.
const HISTORY_BYTES_MAX: usize = 3 * 1024 * 1024;

/// A token for the rest of a task's history, understood by the history handler.
#[derive(Clone, PartialEq, Message)]
pub struct HistoryToken {
    #[prost(int64, tag = "1")]
    pub run: i64,
    #[prost(uint32, tag = "2")]
    pub slot: u32,
    #[prost(int64, tag = "3")]
    pub from: i64,
    #[prost(int64, tag = "4")]
    pub until: i64,
    #[prost(string, tag = "5")]
    pub run_id: String,
    /// Set on pages of a client's own reading, which go on while the run does.
    #[prost(bool, tag = "6")]
    pub follows: bool,
    /// Set on the rest of a workflow task's history.
    #[prost(bool, tag = "7")]
    pub of_task: bool,
}

impl Handle {
    /// Waits for the next task of a queue; `None` when the time is over, the worker leaves or the server drains.
    async fn next_task(&self, poll: &Poll, queue: &Arc<Queue>) -> Option<Task> {
        let now = self.shared.clock.now();
        let departed = self.shared.departures.of(&poll.worker_instance, now);
        self.refill(queue);
        let _idle = self.shared.clock.idle();
        tokio::select! {
            biased;
            () = departed.cancelled() => None,
            () = self.shared.draining.cancelled() => None,
            task = queue.poll(&self.shared.clock) => {
                self.refill(queue);
                Some(task)
            }
            () = tokio::time::sleep(poll.until - now) => None,
        }
    }

    fn queue(&self, poll: &Poll) -> Arc<Queue> {
        let key = QueueKey { namespace: poll.namespace, kind: poll.kind, name: poll.queue.clone() };
        let queue = self.shared.matching.queue(&key);
        let history = self.shared.limits.poller_history;
        queue.seen(&poll.identity, poll.max_tasks_per_second, self.shared.clock.now(), history);
        queue
    }

    /// Reads on from the store when a queue's window runs low.
    fn refill(&self, queue: &Arc<Queue>) {
        if !queue.wants_refill() {
            return;
        }
        let rows = match self.shared.store.pending_tasks(&queue.key, None, Queue::REFILL) {
            Ok(rows) => rows,
            Err(error) => {
                tracing::error!(queue = queue.key.name, %error, "tasks cannot be read");
                Vec::new()
            }
        };
        let tasks = rows
            .into_iter()
            .filter_map(|row| {
                let scheduled = crate::codec::task_scheduled(&row)?;
                let task = match row.queue.kind {
                    TaskKind::Workflow => Task::Workflow { run: row.run, slot: row.slot, scheduled, id: row.id },
                    TaskKind::Activity => Task::Activity { run: row.run, slot: row.slot, scheduled, id: row.id },
                };
                Some((row.priority, row.id, task))
            })
            .collect();
        queue.refilled(tasks, self.shared.clock.now());
    }

    /// What a task queue has to say of itself; nothing, if nobody has used it.
    pub fn queue_statistics(&self, key: &QueueKey) -> Statistics {
        let Some(queue) = self.shared.matching.existing(key) else { return Statistics::default() };
        // After a start the tasks are on disk until somebody asks.
        self.refill(&queue);
        queue.statistics(self.shared.clock.now(), self.shared.limits.poller_history)
    }

    /// A workflow task or a query for a worker; `None` if there was none in time.
    pub async fn poll_workflow_task(&self, poll: Poll) -> Result<Option<PollWorkflowTaskQueueResponse>, Error> {
        let queue = self.queue(&poll);
        loop {
            match self.next_task(&poll, &queue).await {
                None => return Ok(None),
                Some(Task::Workflow { run, slot, scheduled, id }) => {
                    let input = Input::StartWorkflowTask {
                        scheduled,
                        task: id,
                        identity: poll.identity.clone(),
                        request_id: self.shared.entropy.uuid().to_string(),
                        sticky: poll.sticky,
                    };
                    match self.step(Target::Run { slot, run }, input).await {
                        Ok(stepped) => return self.workflow_task(stepped).map(Some),
                        Err(error) => self.note_lost_task(&error)?,
                    }
                }
                Some(Task::Query(task)) => {
                    if task.take() {
                        return self.query_response(&task).await.map(Some);
                    }
                }
                Some(Task::Activity { .. }) => unreachable!("an activity task in a workflow task queue"),
            }
        }
    }

    /// An activity task for a worker; `None` if there was none in time.
    pub async fn poll_activity_task(&self, poll: Poll) -> Result<Option<PollActivityTaskQueueResponse>, Error> {
        let queue = self.queue(&poll);
        loop {
            match self.next_task(&poll, &queue).await {
                None => return Ok(None),
                Some(Task::Activity { run, slot, scheduled, id }) => {
                    let input = Input::StartActivity {
                        scheduled,
                        task: id,
                        identity: poll.identity.clone(),
                        request_id: self.shared.entropy.uuid().to_string(),
                    };
                    match self.step(Target::Run { slot, run }, input).await {
                        Ok(stepped) => {
                            let Reply::ActivityTask(polled) = &stepped.reply else {
                                unreachable!("a started activity is answered with its task");
                            };
                            return Ok(Some(self.activity_task(&stepped, polled)));
                        }
                        Err(error) => self.note_lost_task(&error)?,
                    }
                }
                Some(Task::Workflow { .. } | Task::Query(_)) => unreachable!("a workflow task in an activity queue"),
            }
        }
    }

    /// A task that no longer waits is thrown away, and the poller goes on waiting.
    fn note_lost_task(&self, error: &Error) -> Result<(), Error> {
        match error {
            Error::Unavailable(_) if self.is_closing() => Err(error.clone()),
            Error::Rejected(_) | Error::NoSuchRun { .. } | Error::NoSuchWorkflow { .. } => Ok(()),
            error => {
                tracing::warn!(%error, "a task could not be started");
                Ok(())
            }
        }
    }

    /// The reply to a poll that started a workflow task.
    pub(crate) fn workflow_task(&self, stepped: Stepped) -> Result<PollWorkflowTaskQueueResponse, Error> {
        match &stepped.reply {
            Reply::WorkflowTask(polled) => self.workflow_task_of(&stepped, polled),
            _ => unreachable!("a started workflow task is answered with the task"),
        }
    }

    pub(crate) fn workflow_task_of(
        &self,
        stepped: &Stepped,
        polled: &PolledTask,
    ) -> Result<PollWorkflowTaskQueueResponse, Error> {
        let state = &stepped.state;
        let mut events =
            self.events(stepped.run, &stepped.recent, polled.history_from, polled.history_until, EVENTS_PER_TASK)?;
        let next_page_token = self.cut(stepped, polled, &mut events);
        if next_page_token.is_empty() {
            events.extend(polled.extra.iter().cloned());
        }
        let queue = self.shared.matching.existing(&QueueKey {
            namespace: state.start.namespace,
            kind: TaskKind::Workflow,
            name: state.start.task_queue().to_owned(),
        });
        let backlog = queue.map_or(0, |it| it.backlog());
        Ok(PollWorkflowTaskQueueResponse {
            task_token: workflow_token(stepped, polled).encode_to_vec().into(),
            workflow_execution: execution(state),
            workflow_type: Some(WorkflowType { name: state.start.workflow_type().to_owned() }),
            previous_started_event_id: polled.previous_started,
            started_event_id: polled.started,
            attempt: polled.attempt,
            backlog_count_hint: backlog as i64,
            history: Some(History { events }),
            next_page_token,
            workflow_execution_task_queue: normal_queue(state),
            scheduled_time: Some(polled.scheduled_at.into()),
            started_time: Some(polled.started_at.into()),
            queries: stepped.queries.iter().map(|it| (it.id.clone(), it.query.clone())).collect(),
            messages: polled.messages.clone(),
            poller_scaling_decision: scaling(backlog),
            ..PollWorkflowTaskQueueResponse::default()
        })
    }

    /// Leaves what would not fit to be fetched by page; the token for it, or none.
    fn cut(
        &self,
        stepped: &Stepped,
        polled: &PolledTask,
        events: &mut Vec<api::history::v1::HistoryEvent>,
    ) -> bytes::Bytes {
        let mut bytes = 0;
        let kept = events
            .iter()
            .position(|event| {
                bytes += event.encoded_len();
                bytes > HISTORY_BYTES_MAX
            })
            .map(|at| at.max(1));
        let Some(kept) = kept.filter(|kept| *kept < events.len()) else { return bytes::Bytes::new() };
        events.truncate(kept);
        let token = HistoryToken {
            run: stepped.run.0,
            slot: u32::from(stepped.slot.0),
            from: events.last().map_or(polled.history_from, |it| it.event_id + 1),
            until: polled.history_until,
            run_id: stepped.state.start.run_id.to_string(),
            follows: false,
            of_task: true,
        };
        token.encode_to_vec().into()
    }

    async fn query_response(&self, task: &QueryTask) -> Result<PollWorkflowTaskQueueResponse, Error> {
        let snapshot = self.inspect(Target::Run { slot: task.slot, run: task.run }, false).await?;
        self.settled(&snapshot).await?;
        let state = &snapshot.state;
        let mut events = Vec::new();
        if !task.sticky {
            events = self.events(task.run, &snapshot.recent, 1, state.next_event_id(), EVENTS_PER_TASK)?;
        }
        let polled = PolledTask {
            scheduled: 0,
            started: 0,
            attempt: 1,
            previous_started: state.recorded.progress.last_completed_started,
            history_from: 1,
            history_until: state.next_event_id(),
            extra: Vec::new(),
            messages: Vec::new(),
            scheduled_at: self.shared.clock.now(),
            started_at: self.shared.clock.now(),
            sticky: task.sticky,
        };
        let stepped = Stepped {
            run: snapshot.run,
            slot: snapshot.slot,
            reply: Reply::Done,
            state: state.clone(),
            recent: Vec::new(),
            queries: Vec::new(),
        };
        let next_page_token = self.cut(&stepped, &polled, &mut events);
        Ok(PollWorkflowTaskQueueResponse {
            task_token: task.token().encode_to_vec().into(),
            workflow_execution: execution(state),
            workflow_type: Some(WorkflowType { name: state.start.workflow_type().to_owned() }),
            previous_started_event_id: polled.previous_started,
            attempt: 1,
            history: Some(History { events }),
            next_page_token,
            query: Some(task.query.clone()),
            workflow_execution_task_queue: normal_queue(state),
            ..PollWorkflowTaskQueueResponse::default()
        })
    }

    /// The reply to a poll that started an activity, or its place in a completion's reply.
    pub(crate) fn activity_task(&self, stepped: &Stepped, polled: &PolledActivity) -> PollActivityTaskQueueResponse {
        let state = &stepped.state;
        let facts = &polled.activity.facts;
        let attempt = &polled.activity.attempt;
        let it = &facts.attributes;
        let token = Token {
            kind: token::ACTIVITY,
            namespace: state.start.namespace.0,
            run: stepped.run.0,
            slot: u32::from(stepped.slot.0),
            scheduled: facts.scheduled,
            attempt: attempt.attempt,
            ..Token::default()
        };
        let namespace = self.shared.namespaces.with_key(state.start.namespace);
        PollActivityTaskQueueResponse {
            task_token: token.encode_to_vec().into(),
            workflow_namespace: namespace.map(|it| it.name.clone()).unwrap_or_default(),
            workflow_type: Some(WorkflowType { name: state.start.workflow_type().to_owned() }),
            workflow_execution: execution(state),
            activity_type: it.activity_type.clone(),
            activity_id: it.activity_id.clone(),
            header: it.header.clone(),
            input: it.input.clone(),
            heartbeat_details: attempt.heartbeat_details.as_ref().map(|it| it.0.clone()),
            scheduled_time: Some(facts.scheduled_at.into()),
            current_attempt_scheduled_time: Some(attempt.attempt_scheduled_at.into()),
            started_time: Some(polled.started_at.into()),
            attempt: attempt.attempt,
            schedule_to_close_timeout: it.schedule_to_close_timeout,
            start_to_close_timeout: it.start_to_close_timeout,
            heartbeat_timeout: it.heartbeat_timeout,
            retry_policy: it.retry_policy.clone(),
            priority: state.start.inherited_priority(it.priority.clone()),
            ..PollActivityTaskQueueResponse::default()
        }
    }
}

fn workflow_token(stepped: &Stepped, polled: &PolledTask) -> Token {
    Token {
        kind: token::WORKFLOW,
        namespace: stepped.state.start.namespace.0,
        run: stepped.run.0,
        slot: u32::from(stepped.slot.0),
        scheduled: polled.scheduled,
        started: polled.started,
        attempt: polled.attempt,
        started_at: polled.started_at.as_nanos(),
        query: 0,
    }
}

/// Advice to workers that scale their pollers: one more while tasks wait.
fn scaling(backlog: usize) -> Option<PollerScalingDecision> {
    (backlog > 0).then_some(PollerScalingDecision { poll_request_delta_suggestion: 1 })
}

fn execution(state: &MutableState) -> Option<WorkflowExecution> {
    Some(WorkflowExecution { workflow_id: state.start.workflow_id.clone(), run_id: state.start.run_id.to_string() })
}

fn normal_queue(state: &MutableState) -> Option<TaskQueue> {
    Some(TaskQueue {
        name: state.start.task_queue().to_owned(),
        kind: TaskQueueKind::Normal as i32,
        normal_name: String::new(),
    })
}
