//! What tests of the rules are written with: a run that is driven by a few words and shown as text.
//!
//! Every helper that runs a step also checks what must hold after any step (see `check`), so each
//! example test is a property test too.

mod check;
mod history;
mod inputs;
mod stored;
mod worker;

pub(crate) use history::shown;
pub(crate) use inputs::*;

use self::stored::StoredRun;
use crate::{
    ids::{EventId, NamespaceKey},
    limits::Limits,
    start,
    state::MutableState,
    step::{Dispatch, Env, Input, Namespace, Notice, Rejection, Reply, Step, Successor, step},
    time::Timestamp,
    transfer::Transfer,
    update::Stage,
};
use api::{enums::v1::IndexedValueType, history::v1::HistoryEvent, workflowservice::v1::StartWorkflowExecutionRequest};
use expect_test::Expect;
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
        // The closing step gave it some of its ids, with others before and after them.
        let first_id = check::rows(&successor.step).min().unwrap_or(self.next_id);
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
