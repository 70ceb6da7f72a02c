//! What tests of the rules are written with: a run that is driven by a few words and shown as text.
//!
//! Every helper that runs a step also checks what must hold after any step (see [`Run::check`]), so each
//! example test is a property test too.

mod history;
mod inputs;
mod stored;

pub(crate) use history::shown;
pub(crate) use inputs::*;

use self::stored::StoredRun;
use crate::{
    fold,
    ids::{EventId, NamespaceKey, RunKey, TaskKind},
    limits::Limits,
    start,
    state::{ActivityPhase, MutableState, TaskClass, Volatile, WorkflowTask},
    step::{
        ActivityRef, Dispatch, Env, Input, Namespace, Notice, PolledActivity, PolledTask, Rejection, Reply, Step,
        Successor, TaskCompleted, TaskCompletion, TaskToken, step,
    },
    time::Timestamp,
    transfer::Transfer,
    update::Stage,
};
use api::{
    command::v1::Command,
    enums::v1::{IndexedValueType, WorkflowTaskFailedCause as Cause},
    failure::v1::Failure,
    history::v1::HistoryEvent,
    protocol::v1::Message as ProtocolMessage,
    taskqueue::v1::{StickyExecutionAttributes, TaskQueue},
    workflowservice::v1::{RespondWorkflowTaskCompletedRequest, StartWorkflowExecutionRequest},
};
use expect_test::Expect;
use prost::Message;
use std::{collections::BTreeMap, fmt::Write, time::Duration};
use uuid::Uuid;

/// When every test begins.
pub(crate) const BEGINNING: Timestamp = Timestamp::from_nanos(1_800_000_000_000_000_000);

/// One run under test, with what the engine would keep of it.
pub(crate) struct Run {
    pub state: MutableState,
    pub history: Vec<HistoryEvent>,
    pub now: Timestamp,
    pub limits: Limits,
    pub namespace: Namespace,
    /// What waiting clients have been told, since somebody last looked.
    pub notices: Vec<Notice>,
    /// What the run owes to others, in order.
    pub transfers: Vec<Transfer>,
    /// The tasks that wait in queues on disk.
    pub queue: BTreeMap<i64, Dispatch>,
    /// Every task that was ever offered, also those without a place on disk.
    pub offered: Vec<Dispatch>,
    pub successor: Option<Box<Successor>>,
    /// What the last step said about itself.
    pub last: Said,
    /// The sticky queue that the worker asks for when it completes a workflow task.
    pub sticky: Option<&'static str>,
    /// The recorded part as history alone gives it.
    folded: MutableState,
    stored: StoredRun,
    next_id: i64,
    seed: u64,
}

/// What a step said about itself.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Said {
    pub changed: bool,
    pub durable: bool,
    pub visibility: bool,
}

impl Run {
    /// A run that has just been started, with nothing unusual about it.
    #[track_caller]
    pub fn started() -> Run {
        Run::start(request(), Limits::default())
    }

    /// A run whose start request was changed by `change`.
    #[track_caller]
    pub fn started_with(change: impl FnOnce(&mut StartWorkflowExecutionRequest)) -> Run {
        let mut request = request();
        change(&mut request);
        Run::start(request, Limits::default())
    }

    /// A run under other limits.
    #[track_caller]
    pub fn limited(change: impl FnOnce(&mut Limits)) -> Run {
        let mut limits = Limits::default();
        change(&mut limits);
        Run::start(request(), limits)
    }

    #[track_caller]
    pub fn start(request: StartWorkflowExecutionRequest, limits: Limits) -> Run {
        let namespace = namespace();
        let env = Env { now: BEGINNING, seed: 1, first_id: 1, limits: &limits, namespace: &namespace };
        let begin = start::from_request(request, Uuid::from_u128(1), &env).expect("the request is fine");
        let (state, step) = start::begin(begin, &env);
        Run::begun(state, step, BEGINNING, limits.clone(), 1)
    }

    /// A run that is a child of another.
    #[track_caller]
    pub fn started_as_child() -> Run {
        let (namespace, limits) = (namespace(), Limits::default());
        let env = Env { now: BEGINNING, seed: 1, first_id: 1, limits: &limits, namespace: &namespace };
        let mut begin = start::from_request(request(), Uuid::from_u128(1), &env).expect("the request is fine");
        begin.event.parent_workflow_execution = Some(execution("parent", Some(Uuid::from_u128(77))));
        begin.event.parent_initiated_event_id = 5;
        let (state, step) = start::begin(begin, &env);
        Run::begun(state, step, BEGINNING, limits.clone(), 1)
    }

    #[track_caller]
    fn begun(state: MutableState, step: Step, now: Timestamp, limits: Limits, first_id: i64) -> Run {
        let empty = MutableState::new(state.start.clone());
        let mut run = Run {
            folded: empty.clone(),
            stored: StoredRun::new(&state, step.events.first().expect("a run begins with an event")),
            state,
            history: Vec::new(),
            now,
            limits,
            namespace: namespace(),
            notices: Vec::new(),
            transfers: Vec::new(),
            queue: BTreeMap::new(),
            offered: Vec::new(),
            successor: None,
            last: Said::default(),
            sticky: None,
            next_id: first_id,
            seed: 1,
        };
        let _ = run.absorb(&empty, step);
        run
    }

    /// The run that took over from this one, which it leaves behind.
    #[track_caller]
    pub fn next_run(&mut self) -> Run {
        let successor = self.successor.take().expect("another run takes over");
        assert!(successor.step.durable, "the next run is as durable as the end of the last");
        // Its ids are the last of those that the closing step used.
        let first_id = self.next_id - successor.step.ids_used;
        Run::begun(successor.state, successor.step, self.now, self.limits.clone(), first_id)
    }

    /// Applies one input.
    #[track_caller]
    pub fn step(&mut self, input: Input) -> Result<Reply, Rejection> {
        self.seed += 1;
        let env = Env {
            now: self.now,
            seed: self.seed,
            first_id: self.next_id,
            limits: &self.limits,
            namespace: &self.namespace,
        };
        let (state, step) = step(&self.state, input, &env)?;
        let before = std::mem::replace(&mut self.state, state);
        Ok(self.absorb(&before, step))
    }

    #[track_caller]
    fn absorb(&mut self, before: &MutableState, mut step: Step) -> Reply {
        self.last = Said { changed: step.changed, durable: step.durable, visibility: step.visibility };
        self.check_ids(&step);
        self.check_queue(&step);
        self.check_history(before, &step);
        self.check_stored(&step);
        self.check_state(before);
        self.next_id += step.ids_used;
        self.notices.append(&mut step.notices);
        self.transfers.extend(step.transfers.drain(..).map(|(_, transfer)| transfer));
        if let Some(successor) = step.successor.take() {
            assert!(self.successor.is_none(), "a run has one successor");
            assert_eq!(Some(successor.state.start.run_id), self.state.recorded.progress.successor);
            self.successor = Some(successor);
        }
        step.reply
    }

    /// Ids for rows come from the range that the step was given, and each names one row.
    #[track_caller]
    fn check_ids(&self, step: &Step) {
        let rows = step.dispatch.iter().map(|it| it.id).chain(step.transfers.iter().map(|(id, _)| *id));
        let mut seen = std::collections::BTreeSet::new();
        for id in rows.filter(|id| *id != 0) {
            assert!(seen.insert(id) || self.queue.contains_key(&id), "id {id} was given twice");
            let fresh = (self.next_id..self.next_id + step.ids_used).contains(&id);
            // Only a task that moves from a sticky queue keeps its id.
            assert!(fresh || self.queue.contains_key(&id), "id {id} is out of range");
        }
    }

    /// Tasks wait in queues exactly while the state says so.
    #[track_caller]
    fn check_queue(&mut self, step: &Step) {
        for task in &step.dispatch {
            self.offered.push(task.clone());
            if task.id != 0 {
                self.queue.insert(task.id, task.clone());
            }
        }
        for settled in &step.settled {
            let waited = self.queue.remove(&settled.id).expect("what is settled waited in a queue");
            let key = (waited.kind, waited.queue.as_str(), waited.priority);
            assert_eq!(key, (settled.kind, settled.queue.as_str(), settled.priority), "settled where it waited");
        }
        let mut waiting: Vec<(i64, TaskKind)> = Vec::new();
        if let WorkflowTask::Scheduled(task) = self.state.workflow_task().stored() {
            waiting.push((task.task, TaskKind::Workflow));
        }
        for attempt in self.state.unrecorded.attempts.values() {
            if let ActivityPhase::Queued { task } = attempt.phase {
                waiting.push((task, TaskKind::Activity));
            }
        }
        waiting.sort_unstable();
        let rows: Vec<_> = self.queue.iter().map(|(id, task)| (*id, task.kind)).collect();
        assert_eq!(rows, waiting, "rows of the task queues, and what waits according to the state");
    }

    /// Events follow each other without a gap, survive their wire form, and fold into what is recorded.
    #[track_caller]
    fn check_history(&mut self, before: &MutableState, step: &Step) {
        assert!(before.is_running() || step.events.is_empty(), "nothing is added to the history of a closed run");
        for event in &step.events {
            assert_eq!(event.event_id, self.history.len() as EventId + 1, "events are numbered without a gap");
            let decoded = HistoryEvent::decode(event.encode_to_vec().as_slice()).expect("what was encoded decodes");
            assert_eq!(&decoded, event, "an event survives its wire form");
            fold::fold(&mut self.folded, &decoded);
            self.folded.recorded.progress.history_bytes += event.encoded_len() as u64;
            self.history.push(decoded);
        }
        if self.state.is_running() {
            assert_eq!(self.state.recorded, self.folded.recorded, "the recorded state is what history gives");
        } else {
            let (live, folded) = (&self.state.recorded, &self.folded.recorded);
            assert_eq!(live.progress, folded.progress, "progress is what history gives");
            assert_eq!(live.updates, folded.updates, "updates are what history gives");
            assert_eq!(live.memo, folded.memo);
            assert_eq!(live.search_attributes, folded.search_attributes);
        }
    }

    /// Writing what the step touched, and nothing else, keeps the stored copy whole.
    #[track_caller]
    fn check_stored(&mut self, step: &Step) {
        if step.changed {
            self.stored.apply(&self.state, &step.touched);
        } else {
            assert!(step.events.is_empty() && step.touched.is_empty(), "a step that changes nothing stores nothing");
        }
        assert_eq!(self.stored.load(), surviving(&self.state), "what was stored gives the state back");
    }

    #[track_caller]
    fn check_state(&self, before: &MutableState) {
        let state = &self.state;
        let mut derived = state.clone();
        derived.derive_deadlines();
        assert_eq!(state.deadlines, derived.deadlines, "deadlines are what the pending items say");
        for (id, attempt) in &state.unrecorded.attempts {
            assert!(state.recorded.activities.contains_key(id), "attempt of the unknown activity {id}: {attempt:?}");
        }
        let ids: BTreeMap<_, _> =
            state.recorded.activities.iter().map(|(id, it)| (it.attributes.activity_id.clone(), *id)).collect();
        assert_eq!(state.recorded.activity_ids.iter().map(|(k, v)| (k.clone(), *v)).collect::<BTreeMap<_, _>>(), ids);
        let bytes: u64 = state.unrecorded.buffered.values().map(|it| it.encoded_len() as u64).sum();
        assert_eq!(state.unrecorded.task.buffered_bytes, bytes, "the size of what is buffered is kept");
        let unasked =
            state.unrecorded.buffered.values().filter(|event| crate::workflow_task::is_unasked(event)).count();
        assert_eq!(
            state.unrecorded.task.buffered_unasked, unasked as i64,
            "and so is the number of what nobody limits"
        );
        assert!(
            state.unrecorded.buffered.is_empty() || state.workflow_task().is_started(),
            "events wait only behind a running workflow task"
        );
        let unwritten = match state.workflow_task() {
            WorkflowTask::Scheduled(task) if task.class == TaskClass::Speculative => Some(task.scheduled),
            WorkflowTask::Started(task) if task.class != TaskClass::Normal => Some(task.scheduled),
            _ => None,
        };
        let next = state.next_event_id();
        assert!(unwritten.is_none_or(|id| id == next), "an unwritten task has the next ids, as its worker was shown");
        assert!(state.recorded.progress.history_bytes >= before.recorded.progress.history_bytes);
        if !state.is_running() {
            assert!(state.workflow_task().is_none());
            assert!(state.unrecorded.attempts.is_empty() && state.recorded.activities.is_empty());
            assert!(state.recorded.timers.is_empty() && state.recorded.children.is_empty());
            assert!(state.recorded.external_signals.is_empty() && state.recorded.external_cancels.is_empty());
            assert!(state.unrecorded.volatile.updates.is_empty(), "nobody waits on a closed run");
            assert!(state.deadlines.is_empty());
        }
        if !before.is_running() {
            assert_eq!(&state.recorded, &before.recorded, "a closed run stays as it is");
        }
    }

    /// The server stops and starts again.
    pub fn crash(&mut self) {
        self.state = self.stored.load();
    }

    /// Time passes; the run is woken at each of its deadlines.
    #[track_caller]
    pub fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        while let Some(due) = self.state.next_deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.step(Input::Wake).expect("waking is never refused");
            assert!(self.state.next_deadline().is_none_or(|next| next > self.now), "whatever is due is dealt with");
        }
        self.now = until;
    }

    // Workflow tasks.

    /// A worker polls and gets the workflow task.
    #[track_caller]
    pub fn poll(&mut self) -> PolledTask {
        let WorkflowTask::Scheduled(task) = self.state.workflow_task().clone() else {
            panic!("no workflow task waits, but {:?}", self.state.workflow_task())
        };
        let input = Input::StartWorkflowTask {
            scheduled: task.scheduled,
            task: task.task,
            identity: "worker".into(),
            request_id: format!("poll-{}", self.seed),
            sticky: task.sticky.is_some(),
        };
        match self.step(input) {
            Ok(Reply::WorkflowTask(polled)) => *polled,
            other => panic!("expected a workflow task, got {other:?}"),
        }
    }

    /// What the worker of the running workflow task must present.
    #[track_caller]
    pub fn token(&self) -> TaskToken {
        let WorkflowTask::Started(task) = self.state.workflow_task() else {
            panic!("no workflow task runs, but {:?}", self.state.workflow_task())
        };
        TaskToken {
            run: RunKey(1),
            scheduled: task.scheduled,
            started: task.started,
            attempt: task.attempt,
            started_at: task.started_at,
        }
    }

    /// A worker completes the workflow task with these commands, having polled for it if it had not.
    #[track_caller]
    pub fn complete_task(&mut self, commands: impl IntoIterator<Item = Command>) -> TaskCompleted {
        self.complete_task_with(commands, [], |_| ())
    }

    /// The same, with messages; every acceptance and response gets its command.
    #[track_caller]
    pub fn complete_task_with(
        &mut self,
        commands: impl IntoIterator<Item = Command>,
        messages: impl IntoIterator<Item = ProtocolMessage>,
        change: impl FnOnce(&mut RespondWorkflowTaskCompletedRequest),
    ) -> TaskCompleted {
        match self.respond(commands, messages, change) {
            Ok(Reply::TaskCompleted(done)) => *done,
            other => panic!("expected the workflow task to be completed, got {other:?}"),
        }
    }

    /// The same, with whatever answer it gets.
    #[track_caller]
    pub fn respond(
        &mut self,
        commands: impl IntoIterator<Item = Command>,
        messages: impl IntoIterator<Item = ProtocolMessage>,
        change: impl FnOnce(&mut RespondWorkflowTaskCompletedRequest),
    ) -> Result<Reply, Rejection> {
        if !self.state.workflow_task().is_started() {
            self.poll();
        }
        let sticky_attributes = self.sticky.map(|queue| StickyExecutionAttributes {
            worker_task_queue: Some(TaskQueue { name: queue.into(), ..TaskQueue::default() }),
            schedule_to_start_timeout: crate::time::wire(secs(5)),
        });
        let mut request = RespondWorkflowTaskCompletedRequest {
            commands: commands.into_iter().collect(),
            messages: messages.into_iter().collect(),
            identity: "worker".into(),
            sticky_attributes,
            ..RespondWorkflowTaskCompletedRequest::default()
        };
        change(&mut request);
        let completion = TaskCompletion { token: self.token(), request };
        self.step(Input::CompleteWorkflowTask(Box::new(completion)))
    }

    /// A worker's commands are refused; the text is what it is told.
    #[track_caller]
    pub fn refused(&mut self, commands: impl IntoIterator<Item = Command>) -> String {
        match self.respond(commands, [], |_| ()) {
            Ok(Reply::TaskRefused(text)) => text,
            other => panic!("expected the workflow task to be refused, got {other:?}"),
        }
    }

    #[track_caller]
    pub fn fail_task(&mut self) {
        self.fail_task_because(Cause::WorkflowWorkerUnhandledFailure);
    }

    #[track_caller]
    pub fn fail_task_because(&mut self, cause: Cause) {
        if !self.state.workflow_task().is_started() {
            self.poll();
        }
        let input = Input::FailWorkflowTask {
            token: self.token(),
            cause,
            failure: Some(application_failure("worker broke")),
            identity: "worker".into(),
            binary_checksum: String::new(),
        };
        self.done(input);
    }

    /// Applies an input that is answered with nothing.
    #[track_caller]
    pub fn done(&mut self, input: Input) {
        match self.step(input) {
            Ok(Reply::Done) => {}
            other => panic!("expected no more than done, got {other:?}"),
        }
    }

    // From outside.

    #[track_caller]
    pub fn signal(&mut self, name: &str) {
        self.done(signal(name));
    }

    #[track_caller]
    pub fn request_cancel(&mut self) {
        self.done(request_cancel());
    }

    #[track_caller]
    pub fn terminate(&mut self) {
        self.done(terminate());
    }

    // Updates.

    #[track_caller]
    pub fn update(&mut self, id: &str) -> Stage {
        match self.step(update(id)) {
            Ok(Reply::Update(stage)) => stage,
            other => panic!("expected the update to be known, got {other:?}"),
        }
    }

    /// What waiting clients were told since last asked, as text.
    #[track_caller]
    pub fn expect_notices(&mut self, expected: Expect) {
        let mut text = String::new();
        for notice in self.notices.drain(..) {
            history::notice(&mut text, &notice);
        }
        expected.assert_eq(&text);
    }

    // Activities, by the id that workflow code gave them.

    #[track_caller]
    pub fn scheduled(&self, activity_id: &str) -> EventId {
        self.state.recorded.activity_ids[activity_id]
    }

    #[track_caller]
    pub fn attempt(&self, activity_id: &str) -> &crate::state::ActivityAttempt {
        &self.state.unrecorded.attempts[&self.scheduled(activity_id)]
    }

    #[track_caller]
    pub fn start_activity(&mut self, activity_id: &str) -> PolledActivity {
        let scheduled = self.scheduled(activity_id);
        let ActivityPhase::Queued { task } = self.attempt(activity_id).phase else {
            panic!("{activity_id} does not wait, but {:?}", self.attempt(activity_id))
        };
        let input = Input::StartActivity {
            scheduled,
            task,
            identity: "worker".into(),
            request_id: format!("poll-{}", self.seed),
        };
        match self.step(input) {
            Ok(Reply::ActivityTask(polled)) => *polled,
            other => panic!("expected an activity task, got {other:?}"),
        }
    }

    /// How the worker of the current attempt names it.
    #[track_caller]
    pub fn activity_token(&self, activity_id: &str) -> ActivityRef {
        ActivityRef::Token { scheduled: self.scheduled(activity_id), attempt: self.attempt(activity_id).attempt }
    }

    #[track_caller]
    pub fn complete_activity(&mut self, activity_id: &str, result: &str) {
        let activity = self.activity_token(activity_id);
        self.done(Input::CompleteActivity { activity, result: Some(payloads(result)), identity: "worker".into() });
    }

    #[track_caller]
    pub fn fail_activity(&mut self, activity_id: &str, failure: Failure) {
        let activity = self.activity_token(activity_id);
        let identity = "worker".into();
        self.done(Input::FailActivity { activity, failure: Some(failure), last_heartbeat: None, identity });
    }

    #[track_caller]
    pub fn cancel_activity(&mut self, activity_id: &str) -> Result<Reply, Rejection> {
        let activity = self.activity_token(activity_id);
        self.step(Input::CancelActivity { activity, details: Some(payloads("stopped")), identity: "worker".into() })
    }

    /// Reports progress; the answer is whether the activity is to stop.
    #[track_caller]
    pub fn heartbeat(&mut self, activity_id: &str, details: &str) -> bool {
        let activity = self.activity_token(activity_id);
        match self.step(Input::Heartbeat { activity, details: Some(payloads(details)), identity: "worker".into() }) {
            Ok(Reply::Heartbeat { cancel_requested, .. }) => cancel_requested,
            other => panic!("expected the heartbeat to be taken, got {other:?}"),
        }
    }

    // What came of it.

    #[track_caller]
    pub fn expect_history(&self, expected: Expect) {
        self.expect_history_from(1, expected);
    }

    /// The history from one event on, where the beginning is not what a test is about.
    #[track_caller]
    pub fn expect_history_from(&self, first: EventId, expected: Expect) {
        let mut text = String::new();
        // As wide as the last id, and no wider: what is indented as a whole is not compared.
        let digits = |id: EventId| id.to_string().len();
        let width = self.history.last().map_or(0, |it| digits(it.event_id));
        for event in self.history.iter().filter(|it| it.event_id >= first) {
            let margin = width - digits(event.event_id);
            writeln!(text, "{:margin$}{}", "", shown(event)).expect("writing to memory");
        }
        expected.assert_eq(&text);
    }

    /// The work that the run owes to others, as text.
    #[track_caller]
    pub fn expect_transfers(&self, expected: Expect) {
        let mut text = String::new();
        for transfer in &self.transfers {
            history::transfer(&mut text, transfer);
        }
        expected.assert_eq(&text);
    }

    /// The event of this id.
    #[track_caller]
    pub fn event(&self, id: EventId) -> &HistoryEvent {
        &self.history[id as usize - 1]
    }
}

/// What a crash leaves of a state.
fn surviving(state: &MutableState) -> MutableState {
    let mut left = state.clone();
    left.unrecorded.volatile = Volatile::default();
    left.unrecorded.task = state.stored_task();
    left.derive_deadlines();
    left
}

fn namespace() -> Namespace {
    Namespace {
        key: NamespaceKey(1),
        id: "namespace-id".into(),
        name: "default".into(),
        search_attributes: [
            ("CustomKeyword".to_owned(), IndexedValueType::Keyword),
            ("CustomInt".to_owned(), IndexedValueType::Int),
        ]
        .into(),
    }
}
