//! One step of one run: state and input in; what follows comes back as data.
//!
//! Invariants
//! - A step works on a copy. One that returns `Err`, or panics, leaves nothing behind.
//! - Everything a step wants done is in the [`Step`]; nothing is done here.

mod input;
mod refusal;

pub use input::{ActivityRef, CancelRequest, ChildOutcome, Input, Signal, TaskCompletion, TaskToken};
pub use refusal::{BadCommand, Rejection, camel, cause_name};

use crate::{
    draft::Draft,
    history_limits,
    ids::{EventId, NamespaceKey, TaskKind},
    limits::Limits,
    state::{ItemRef, MutableState},
    time::Timestamp,
    transfer::Transfer,
    update, workflow_task,
};
use api::{
    enums::v1::IndexedValueType, failure::v1::Failure, history::v1::HistoryEvent, protocol::v1::Message,
    update::v1::Outcome,
};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What a step may know of the world.
#[derive(Debug, Clone, Copy)]
pub struct Env<'a> {
    pub now: Timestamp,
    /// Random bits for new run ids; a different one for every step.
    pub seed: u64,
    /// The first of the ids that the step may give to task and transfer rows; it says how many it used.
    pub first_id: i64,
    pub limits: &'a Limits,
    pub namespace: &'a Namespace,
}

/// What a step may know of its namespace.
#[derive(Debug, Clone)]
pub struct Namespace {
    pub key: NamespaceKey,
    pub id: String,
    pub name: String,
    /// Custom search attributes.
    pub search_attributes: BTreeMap<String, IndexedValueType>,
}

impl Env<'_> {
    /// A run id: UUID version 7, so that ids sort by age.
    pub fn run_id(&self, salt: u64) -> Uuid {
        let mut bits = self.seed ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = || {
            // splitmix64
            bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = bits;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        let mut random = [0u8; 10];
        random[..8].copy_from_slice(&next().to_be_bytes());
        random[8..].copy_from_slice(&next().to_be_bytes()[..2]);
        let millis = (self.now.as_nanos() / 1_000_000).max(0) as u64;
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

/// Everything that follows from one input.
#[derive(Debug, Default)]
pub struct Step {
    /// Appended to history as one batch.
    pub events: Vec<HistoryEvent>,
    /// Pending items that were added, changed or removed.
    pub touched: BTreeSet<ItemRef>,
    /// Tasks for the task queues.
    pub dispatch: Vec<Dispatch>,
    /// Tasks that no longer wait in their queue.
    pub settled: Vec<Settled>,
    /// Work that the engine owes itself.
    pub transfers: Vec<(i64, Transfer)>,
    /// The row in the list of executions has changed.
    pub visibility: bool,
    /// Somebody was promised this: the write must be flushed before anyone hears of it.
    pub durable: bool,
    /// Something that is stored has changed; otherwise there is nothing to write.
    pub changed: bool,
    /// The next run of the chain, created in the same write.
    pub successor: Option<Box<Successor>>,
    pub notices: Vec<Notice>,
    pub reply: Reply,
    /// How many ids from [`Env::first_id`] on were used.
    pub ids_used: i64,
}

/// A run that takes over from a closing one.
#[derive(Debug)]
pub struct Successor {
    pub state: MutableState,
    pub step: Step,
}

/// A task to put in a queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Dispatch {
    /// Its place in the queue; 0 for one that has no row (a speculative workflow task).
    pub id: i64,
    pub kind: TaskKind,
    pub queue: String,
    /// Offer it here first: the queue of the worker that has the run in its cache.
    pub sticky: Option<String>,
    pub scheduled: EventId,
    pub priority: i32,
}

/// A task to take out of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    pub id: i64,
    pub kind: TaskKind,
    pub queue: String,
    pub priority: i32,
}

/// What a caller of a step is answered.
#[derive(Debug, Default)]
pub enum Reply {
    #[default]
    Done,
    WorkflowTask(Box<PolledTask>),
    ActivityTask(Box<PolledActivity>),
    TaskCompleted(Box<TaskCompleted>),
    /// The workflow task was failed because of what the worker answered; the text is for the worker.
    TaskRefused(String),
    /// A chain of workflow task heartbeats went on for too long.
    TaskTimedOut,
    Heartbeat {
        cancel_requested: bool,
        reset: bool,
    },
    /// The update exists already or has been admitted; its stage is in the state or will be in a notice.
    Update(update::Stage),
}

/// A workflow task as the worker gets it, but for the history, which the engine adds.
#[derive(Debug, Clone)]
pub struct PolledTask {
    pub scheduled: EventId,
    pub started: EventId,
    pub attempt: i32,
    pub previous_started: EventId,
    /// The first event to send: 1, or what follows the last completed task when the worker has the rest.
    pub history_from: EventId,
    /// The first event not to send from history.
    pub history_until: EventId,
    /// Events that are not in history: the pair of a transient or speculative task.
    pub extra: Vec<HistoryEvent>,
    pub messages: Vec<Message>,
    pub scheduled_at: Timestamp,
    pub started_at: Timestamp,
    pub sticky: bool,
}

/// An activity task as the worker gets it.
#[derive(Debug, Clone)]
pub struct PolledActivity {
    pub activity: crate::state::Activity,
    pub started_at: Timestamp,
}

#[derive(Debug, Default)]
pub struct TaskCompleted {
    pub next: Option<PolledTask>,
    pub activities: Vec<PolledActivity>,
    /// Set when a speculative task was dropped: the event that the worker goes back to.
    pub reset_to: Option<EventId>,
}

/// Something that a waiting client wants to hear, once it is durable.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    UpdateAccepted { id: String },
    UpdateCompleted { id: String, outcome: Outcome },
    UpdateRejected { id: String, failure: Failure },
    UpdateAborted { id: String, reason: update::Abort },
}

/// Applies one input to one run and says everything that follows from it.
///
/// What the run is afterwards is a state of its own: whoever holds the one before still sees that.
pub fn step(state: &MutableState, input: Input, env: &Env<'_>) -> Result<(MutableState, Step), Rejection> {
    let mut draft = Draft::new(state.clone(), env);
    let reply = apply(&mut draft, input)?;
    workflow_task::check_buffer(&mut draft);
    if matches!(reply, Reply::Done) {
        // Whoever was just given a task is asked when they answer.
        history_limits::enforce(&mut draft);
    }
    draft.finish();
    let (next, mut step) = draft.into_parts();
    step.reply = reply;
    Ok((next, step))
}

fn apply(draft: &mut Draft<'_>, input: Input) -> Result<Reply, Rejection> {
    use crate::{activity, cancel, child, external, signal, terminate, wake};
    if !draft.state.is_running() {
        return refuse_closed(draft, input);
    }
    match input {
        Input::Signal(signal) => signal::on_signal(draft, signal),
        Input::RequestCancel(request) => cancel::on_request(draft, request),
        Input::Terminate { reason, details, identity, links } => {
            terminate::on_terminate(draft, reason, details, identity, links)
        }
        Input::AttachRequest { request_id, identity, event } => {
            crate::start::on_attach(draft, request_id, identity, event)
        }
        Input::StartWorkflowTask { scheduled, task, identity, request_id, sticky } => {
            workflow_task::on_start(draft, scheduled, task, identity, request_id, sticky)
        }
        Input::CompleteWorkflowTask(completion) => crate::completion::on_complete(draft, *completion),
        Input::FailWorkflowTask { token, cause, failure, identity, binary_checksum } => {
            workflow_task::on_fail(draft, token, cause, failure, identity, binary_checksum)
        }
        Input::StickyUnavailable { scheduled } => workflow_task::on_sticky_unavailable(draft, scheduled),
        Input::ResetSticky => {
            draft.task().sticky = None;
            draft.step.changed = true;
            Ok(Reply::Done)
        }
        Input::StartActivity { scheduled, task, identity, request_id } => {
            activity::on_start(draft, scheduled, task, identity, request_id)
        }
        Input::CompleteActivity { activity, result, identity } => {
            activity::on_complete(draft, activity, result, identity)
        }
        Input::FailActivity { activity, failure, last_heartbeat, identity } => {
            activity::on_fail(draft, activity, failure, last_heartbeat, identity)
        }
        Input::CancelActivity { activity, details, identity } => {
            activity::on_cancel(draft, activity, details, identity)
        }
        Input::Heartbeat { activity, details, identity } => activity::on_heartbeat(draft, activity, details, identity),
        Input::Wake => wake::on_wake(draft),
        Input::ChildStarted { initiated, run_id } => child::on_started(draft, initiated, run_id),
        Input::ChildStartFailed { initiated, cause } => child::on_start_failed(draft, initiated, cause),
        Input::ChildClosed { initiated, workflow_id, run_id, outcome } => {
            child::on_closed(draft, initiated, workflow_id, run_id, *outcome)
        }
        Input::ExternalSignaled { initiated, failed } => external::on_signaled(draft, initiated, failed),
        Input::ExternalCanceled { initiated, failed } => external::on_canceled(draft, initiated, failed),
        Input::Update(request) => update::on_request(draft, *request),
    }
}

/// What a closed run answers. Reports of transfer work are simply done.
fn refuse_closed(draft: &mut Draft<'_>, input: Input) -> Result<Reply, Rejection> {
    match input {
        Input::ChildStarted { .. }
        | Input::ChildStartFailed { .. }
        | Input::ChildClosed { .. }
        | Input::ExternalSignaled { .. }
        | Input::ExternalCanceled { .. }
        | Input::ResetSticky
        | Input::Wake => Ok(Reply::Done),
        Input::Update(request) => update::on_request_when_closed(draft, *request),
        Input::RequestCancel(request) => crate::cancel::on_request_when_closed(draft, &request),
        Input::CompleteWorkflowTask(_) | Input::FailWorkflowTask { .. } => Err(Rejection::StaleWorkflowTask),
        Input::StartWorkflowTask { scheduled, .. }
        | Input::StickyUnavailable { scheduled }
        | Input::StartActivity { scheduled, .. } => Err(Rejection::StaleTask { scheduled }),
        Input::CompleteActivity { .. }
        | Input::FailActivity { .. }
        | Input::CancelActivity { .. }
        | Input::Heartbeat { .. } => Err(Rejection::Closed),
        Input::Signal(_) | Input::Terminate { .. } | Input::AttachRequest { .. } => Err(Rejection::Closed),
    }
}

#[cfg(test)]
mod tests;
