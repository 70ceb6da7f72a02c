//! What a loop does once it may: answer, dispatch, tell those who wait, begin what is owed to others.

use super::{Owner, transfers::Job};
use crate::{
    Error,
    matching::Task,
    message::{Answer, Started, Stepped, UpdateTicket},
    query::AttachedQuery,
    snapshot::{Seen, Snapshot},
};
use api::query::v1::WorkflowQueryResult;
use tradewind_core::{
    ids::{NamespaceKey, QueueKey, RunKey, Slot, TaskKind},
    state::WorkflowTask,
    step::{Dispatch, Input, Notice, Reply, Step},
    transfer::Transfer,
};

/// Something that waits for the disk.
pub(super) enum Act {
    Refuse { answer: Answer<Stepped>, error: Error },
    Step(Box<StepAct>),
    Show { answer: Answer<Snapshot>, snapshot: Box<Snapshot> },
    Ticket { answer: Answer<UpdateTicket>, ticket: Result<UpdateTicket, Error> },
    Started { answer: Answer<Started>, started: Box<Result<Started, Error>> },
    Deleted { answer: Option<Answer<()>> },
    Queries { answers: Vec<(AttachedQuery, WorkflowQueryResult)> },
}

/// What follows from one step.
pub(super) struct StepAct {
    run: RunKey,
    slot: Slot,
    answer: Option<(Answer<Stepped>, Stepped)>,
    dispatch: Vec<Dispatch>,
    transfers: Vec<(i64, Transfer)>,
    notices: Vec<Notice>,
    namespace: NamespaceKey,
    seen: Seen,
    /// Queries whose workflow task has ended without an answer: they go through matching.
    unanswered: Vec<AttachedQuery>,
}

impl Owner {
    /// Gathers what follows from a step, with the answer if somebody waits for one.
    pub(super) fn act_of(&mut self, run: RunKey, mut step: Step, answer: Option<Answer<Stepped>>) -> Act {
        let reply = std::mem::take(&mut step.reply);
        let entry = self.runs.get_mut(&run).expect("the run was loaded by this message");
        self.outstanding.note(&self.shared.clock, run, &entry.state, &step);
        let hands_out_task = match &reply {
            Reply::WorkflowTask(_) => true,
            Reply::TaskCompleted(done) => done.next.is_some(),
            _ => false,
        };
        let mut unanswered = Vec::new();
        let mut queries = Vec::new();
        if hands_out_task {
            queries = entry.queries.clone();
        } else if entry.state.workflow_task().is_none() && !entry.queries.is_empty() {
            // No task is left that could carry them.
            unanswered = std::mem::take(&mut entry.queries);
        }
        let slot = entry.slot;
        let answer = answer.map(|answer| {
            // History goes along with tasks; nobody else asks for it.
            let recent = if hands_out_task { entry.recent.clone() } else { Vec::new() };
            (answer, Stepped { run, slot, reply, state: entry.state.clone(), recent, queries })
        });
        Act::Step(Box::new(StepAct {
            run,
            slot,
            answer,
            dispatch: std::mem::take(&mut step.dispatch),
            transfers: std::mem::take(&mut step.transfers),
            notices: std::mem::take(&mut step.notices),
            namespace: entry.state.start.namespace,
            seen: entry.seen(),
            unanswered,
        }))
    }

    pub(super) fn act(&mut self, act: Act) {
        match act {
            Act::Refuse { answer, error } => {
                let _ = answer.send(Err(error));
            }
            Act::Show { answer, snapshot } => {
                let _ = answer.send(Ok(*snapshot));
            }
            Act::Ticket { answer, ticket } => {
                let _ = answer.send(ticket);
            }
            Act::Started { answer, started } => {
                let _ = answer.send(*started);
            }
            Act::Deleted { answer } => {
                if let Some(answer) = answer {
                    let _ = answer.send(Ok(()));
                }
            }
            Act::Queries { answers } => {
                for (query, result) in answers {
                    query.answer(result);
                }
            }
            Act::Step(act) => self.act_step(*act),
        }
    }

    fn act_step(&mut self, act: StepAct) {
        let StepAct { run, slot, answer, dispatch, transfers, notices, namespace, seen, unanswered } = act;
        if let Some(entry) = self.runs.peek_mut(&run) {
            for notice in notices {
                entry.waiters.tell(notice);
            }
            if let Some(progress) = &entry.progress {
                progress.send_if_modified(|before| {
                    let further = seen.next_event_id > before.next_event_id || seen.closed != before.closed;
                    if further {
                        *before = seen;
                    }
                    further
                });
            }
        }
        for task in dispatch {
            self.dispatch(run, slot, namespace, &task);
        }
        for (id, transfer) in transfers {
            self.enqueue_transfer(run, Job { id, slot, namespace, transfer });
        }
        for query in unanswered {
            query.retry_directly();
        }
        if let Some((answer, stepped)) = answer {
            let _ = answer.send(Ok(stepped));
        }
    }

    fn dispatch(&self, run: RunKey, slot: Slot, namespace: NamespaceKey, task: &Dispatch) {
        let now = self.shared.clock.now();
        let matching = &self.shared.matching;
        let offered = match task.kind {
            TaskKind::Workflow => Task::Workflow { run, slot, scheduled: task.scheduled, id: task.id },
            TaskKind::Activity => Task::Activity { run, slot, scheduled: task.scheduled, id: task.id },
        };
        if let Some(sticky) = &task.sticky {
            let key = QueueKey { namespace, kind: task.kind, name: sticky.clone() };
            let queue = matching.queue(&key);
            if queue.polled_within(now, self.shared.limits.sticky_poller_window) {
                queue.offer(task.priority, task.id, offered, now);
            } else {
                self.handle.sticky_unavailable(slot, run, task.scheduled);
            }
            return;
        }
        let key = QueueKey { namespace, kind: task.kind, name: task.queue.clone() };
        matching.queue(&key).offer(task.priority, task.id, offered, now);
    }

    /// The poller that took a task left before the task was started.
    pub(super) fn offer_again(&mut self, slot: Slot, run: RunKey, input: &Input) {
        if !matches!(self.load(run), Ok(true)) {
            return;
        }
        let state = self.entry(run).state.clone();
        let task = match input {
            Input::StartWorkflowTask { scheduled, .. } => match state.workflow_task() {
                WorkflowTask::Scheduled(task) if task.scheduled == *scheduled => Dispatch {
                    id: task.task,
                    kind: TaskKind::Workflow,
                    queue: state.start.task_queue().to_owned(),
                    sticky: task.sticky.as_ref().map(|it| it.queue.clone()),
                    scheduled: *scheduled,
                    priority: state.start.priority(),
                },
                _ => return,
            },
            Input::StartActivity { scheduled, task, .. } => match state.activity(*scheduled) {
                Some(activity) => Dispatch {
                    id: *task,
                    kind: TaskKind::Activity,
                    queue: activity.task_queue().to_owned(),
                    sticky: None,
                    scheduled: *scheduled,
                    priority: state.start.activity_priority(activity.facts.attributes.priority.as_ref()),
                },
                None => return,
            },
            _ => return,
        };
        self.dispatch(run, slot, state.start.namespace, &task);
    }
}
