//! The loop that owns slots: load, step, commit, act.
//!
//! A loop is the only writer of the runs in its slots. It keeps the runs it is working on in memory, steps
//! them, submits what each step changed, and acts (answers, dispatches, tells watchers) only when the store says
//! that the write, or the write it depends on, is durable. Stepping does not wait for the disk: the next
//! input of a run builds on a state that is still on its way there.
//!
//! Invariants
//! - Nothing is answered, dispatched or shown before everything it follows from is durable.
//! - A panicking step commits nothing and parks its run: visible, refused, and retried after a restart. Where it
//!   would have been the first, there is no run.
//! - A run leaves the cache only when nothing of it is in flight and nobody waits for it here.

mod act;
mod commit;
mod entry;
mod names;
mod outstanding;
mod queries;
mod start;
mod timers;
mod transfers;
mod waiters;

use crate::{
    Error, codec,
    message::{Answer, Message, SettledTransfer, Stepped, Target},
    shared::{ID_BLOCK, IDS_PER_STEP_MAX, Shared, Stepping},
    snapshot::Snapshot,
};
use act::Act;
use entry::Entry;
use lru::LruCache;
use names::Names;
use outstanding::Outstanding;
use std::{
    collections::{BTreeMap, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
};
use store::row::{Sequence, TransferRow};
use timers::Timers;
use tokio::sync::{mpsc, oneshot, watch};
use tradewind_core::{
    ids::{NamespaceKey, RunKey},
    step::{self, Env, Input, Rejection, Reply, Step},
};
use transfers::Transfers;

/// Messages taken in before progress is looked at again.
const BATCH: usize = 256;

/// One loop's state.
pub struct Owner {
    /// Which of the loops this is.
    index: usize,
    shared: Arc<Shared>,
    inbox: mpsc::UnboundedReceiver<Message>,
    handle: crate::Handle,
    runs: LruCache<RunKey, Entry>,
    /// How many of them are in the counter of all loops' runs.
    counted: usize,
    names: Names,
    namespaces: HashMap<NamespaceKey, (Arc<crate::namespaces::Namespace>, Arc<step::Namespace>)>,
    timers: Timers,
    transfers: Transfers,
    outstanding: Outstanding,
    /// Something has moved since a skipping clock was told.
    moved: bool,
    /// What is to be done once this much is durable.
    pending: BTreeMap<Sequence, Vec<Act>>,
    durable: Sequence,
    next_id: i64,
    ids_end: i64,
    closing: Option<oneshot::Sender<()>>,
}

impl Owner {
    pub fn new(
        index: usize,
        shared: Arc<Shared>,
        inbox: mpsc::UnboundedReceiver<Message>,
        handle: crate::Handle,
    ) -> Owner {
        let next_id = shared.id_block();
        Owner {
            index,
            timers: Timers::new(),
            runs: LruCache::unbounded(),
            counted: 0,
            names: Names::default(),
            namespaces: HashMap::new(),
            transfers: Transfers::default(),
            outstanding: Outstanding::default(),
            moved: true,
            pending: BTreeMap::new(),
            durable: Sequence::default(),
            next_id,
            ids_end: next_id + ID_BLOCK,
            closing: None,
            shared,
            inbox,
            handle,
        }
    }

    /// Takes up work that a former process owed to other runs.
    pub fn take_up<'a>(&mut self, rows: impl Iterator<Item = &'a TransferRow>) {
        for row in rows {
            match (codec::transfer(row), self.load(row.run)) {
                (Ok(transfer), Ok(true)) => {
                    let namespace = self.entry(row.run).state.start.namespace;
                    let job = transfers::Job { id: row.id, slot: row.slot, namespace, transfer };
                    self.enqueue_transfer(row.run, job);
                }
                (Ok(_), Ok(false)) => tracing::error!(run = row.run.0, "work is owed by a run that is gone"),
                (Err(error), _) => tracing::error!(%error, "work owed to another run cannot be read"),
                (_, Err(error)) => tracing::error!(%error, "a run that owes work cannot be loaded"),
            }
        }
    }

    /// Runs until asked to close, or until the store fails for good.
    pub async fn run(mut self) {
        let mut progress = self.shared.store.progress();
        loop {
            let now = self.shared.clock.now();
            self.fire_timers(now);
            let due = self.timers.next_look(now);
            self.tell_clock();
            tokio::select! {
                biased;
                changed = progress.changed() => {
                    if changed.is_err() || !self.on_progress(&progress.borrow_and_update().clone()) {
                        return;
                    }
                }
                message = self.inbox.recv() => {
                    let Some(message) = message else { return };
                    self.on_message(message);
                    for _ in 1..BATCH {
                        let Ok(message) = self.inbox.try_recv() else { break };
                        self.on_message(message);
                    }
                }
                () = self.shared.clock.until(due) => {}
            }
            self.evict();
            if self.pending.is_empty()
                && let Some(closed) = self.closing.take()
            {
                let _ = closed.send(());
                return;
            }
        }
    }

    /// Says that something may be about to change. A skipping clock has to know before it does.
    fn note_move(&mut self) {
        if let Some(clock) = self.shared.clock.skipping() {
            clock.note_move();
            self.moved = true;
        }
    }

    /// Lets a skipping clock look again, after something has moved.
    fn tell_clock(&mut self) {
        if let Some(clock) = self.shared.clock.skipping()
            && std::mem::take(&mut self.moved)
        {
            clock.stir();
        }
    }

    fn on_progress(&mut self, progress: &store::Progress) -> bool {
        self.durable = progress.durable;
        self.moved = true;
        while let Some(first) = self.pending.first_entry() {
            if *first.key() > self.durable {
                break;
            }
            for act in first.remove() {
                self.act(act);
            }
        }
        if let Some(failure) = &progress.failed {
            tracing::error!(%failure, "the store has failed; this node owns nothing any more");
            return false;
        }
        true
    }

    fn on_message(&mut self, message: Message) {
        // Being asked moves nothing: else asking would never end.
        if !matches!(message, Message::Rest(_)) {
            self.note_move();
        }
        match message {
            Message::Start(request, answer) => self.on_start(*request, answer),
            Message::Step { target, input, settles, answer } => self.on_step(&target, *input, settles, answer),
            Message::Inspect { target, watch, answer } => self.on_inspect(&target, watch, answer),
            Message::AttachQuery { target, query, answer } => self.on_attach_query(&target, query, answer),
            Message::Update { target, request, answer } => self.on_update(&target, *request, answer),
            Message::FindUpdate { target, id, answer } => self.on_find_update(&target, &id, answer),
            Message::Delete { target, answer } => self.on_delete(&target, answer),
            Message::StickyUnavailable { slot, run, scheduled } => {
                let (answer, _) = oneshot::channel();
                self.on_step(&Target::Run { slot, run }, Input::StickyUnavailable { scheduled }, None, answer);
            }
            Message::TransferDone { run, settles, by_own_step } => self.on_transfer_done(run, settles, by_own_step),
            Message::Rest(answer) => {
                let _ = answer.send(self.rest());
            }
            Message::Close(answer) => self.closing = Some(answer),
        }
    }

    /// The run that a target means, in the cache.
    fn resolve(&mut self, target: &Target) -> Result<RunKey, Error> {
        let run = match target {
            Target::Run { run, .. } => *run,
            Target::Execution(execution) => {
                let found = match execution.run_id {
                    None => self.current(execution.namespace, &execution.workflow_id)?,
                    Some(run_id) => self.named(execution.namespace, &execution.workflow_id, run_id)?,
                };
                found.ok_or_else(|| absent(execution))?
            }
        };
        if !self.load(run)? {
            return Err(match target {
                Target::Run { .. } => Error::Rejected(Rejection::NotThisExecution),
                Target::Execution(execution) => absent(execution),
            });
        }
        if let Target::Execution(execution) = target
            && let Some(first) = execution.first_run_id
            && self.entry(run).state.start.event.first_execution_run_id != first.to_string()
        {
            return Err(Error::Rejected(Rejection::NotThisExecution));
        }
        Ok(run)
    }

    fn entry(&mut self, run: RunKey) -> &mut Entry {
        self.runs.get_mut(&run).expect("the run was loaded by this message")
    }

    /// Makes sure that the run is in the cache; `false` if there is no such run.
    fn load(&mut self, run: RunKey) -> Result<bool, Error> {
        if self.runs.contains(&run) {
            return Ok(true);
        }
        let Some(loaded) = self.shared.store.load_run(run)? else { return Ok(false) };
        // A token may say anything, and a run has one writer: the loop of its slot.
        if !self.handle.owns(self.index, loaded.row.slot) {
            return Ok(false);
        }
        let first = self.shared.store.read_history(run, 1, 1, 1)?;
        let first = first.first().map(|it| it.bytes.clone()).unwrap_or_default();
        let state = codec::restore(&loaded, &first).map_err(|error| {
            tracing::error!(%error, "a run cannot be read");
            Error::Parked(error.to_string())
        })?;
        self.shared.counters.runs_loaded.fetch_add(1, Ordering::Relaxed);
        let mut entry = Entry::new(loaded.row.slot, state);
        entry.stored_wake = loaded.wake;
        if let Some(next) = entry.state.next_deadline() {
            self.timers.arm(next, run);
        }
        self.runs.put(run, entry);
        Ok(true)
    }

    fn namespace(&mut self, key: NamespaceKey) -> Result<Arc<step::Namespace>, Error> {
        let Some(current) = self.shared.namespaces.with_key(key) else {
            return Err(Error::Invalid(format!("namespace {} is gone", key.0)));
        };
        if let Some((known, view)) = self.namespaces.get(&key)
            && Arc::ptr_eq(known, &current)
        {
            return Ok(view.clone());
        }
        let view = Arc::new(step::Namespace {
            key,
            id: current.id.to_string(),
            name: current.name.clone(),
            search_attributes: current.search_attributes.clone(),
        });
        self.namespaces.insert(key, (current, view.clone()));
        Ok(view)
    }

    fn first_id(&mut self) -> i64 {
        if self.ids_end - self.next_id < IDS_PER_STEP_MAX {
            self.next_id = self.shared.id_block();
            self.ids_end = self.next_id + ID_BLOCK;
        }
        self.next_id
    }

    fn on_step(
        &mut self,
        target: &Target,
        mut input: Input,
        settles: Option<SettledTransfer>,
        answer: Answer<Stepped>,
    ) {
        // Answers to queries are no business of the run's.
        let answers = match &mut input {
            Input::CompleteWorkflowTask(completion) => std::mem::take(&mut completion.request.query_results),
            _ => Default::default(),
        };
        let is_start = matches!(input, Input::StartWorkflowTask { .. } | Input::StartActivity { .. });
        if is_start && answer.is_closed() {
            // The poller left: whoever comes next gets the task.
            if let Target::Run { slot, run } = target {
                self.offer_again(*slot, *run, &input);
            }
            return;
        }
        let run = match self.resolve(target) {
            Ok(run) => run,
            Err(error) => {
                let _ = answer.send(Err(error));
                return;
            }
        };
        match self.step(run, input, settles) {
            Ok((step, after)) => {
                if !answers.is_empty() && matches!(step.reply, Reply::TaskCompleted(_)) {
                    let answers = self.answered_queries(run, answers);
                    self.when(after, Act::Queries { answers });
                }
                let act = self.act_of(run, step, Some(answer));
                self.when(after, act);
            }
            Err(error) => {
                let after = self.entry(run).promised;
                self.when(after, Act::Refuse { answer, error });
            }
        }
    }

    /// Steps a run that is in the cache and submits what changed. Says what the reply has to wait for.
    fn step(&mut self, run: RunKey, input: Input, settles: Option<SettledTransfer>) -> Result<(Step, Sequence), Error> {
        let now = self.shared.clock.now();
        let namespace = self.entry(run).state.start.namespace;
        let namespace = self.namespace(namespace)?;
        let first_id = self.first_id();
        let shared = self.shared.clone();
        let env = Env { now, seed: shared.seed(), first_id, limits: &shared.limits, namespace: &namespace };
        let entry = self.entry(run);
        if let Some(parked) = &entry.parked {
            return Err(Error::Parked(parked.clone()));
        }
        let stepped = catch_unwind(AssertUnwindSafe(|| {
            if let Some(fault) = &shared.settings.fault {
                fault(Stepping::Input(&input));
            }
            step::step(&entry.state, input, &env)
        }));
        shared.counters.steps.fetch_add(1, Ordering::Relaxed);
        let mut step = match stepped {
            Ok(stepped) => {
                let (state, step) = stepped?;
                entry.state = Arc::new(state);
                step
            }
            Err(panic) => return Err(self.park(run, panic.as_ref())),
        };
        self.next_id += step.ids_used;
        let after = self.commit(run, &mut step, settles, &namespace.name, now);
        Ok((step, after))
    }

    fn on_inspect(&mut self, target: &Target, watch: bool, answer: Answer<Snapshot>) {
        let run = match self.resolve(target) {
            Ok(run) => run,
            Err(error) => {
                let _ = answer.send(Err(error));
                return;
            }
        };
        let entry = self.entry(run);
        let progress = watch.then(|| {
            let seen = entry.seen();
            entry.progress.get_or_insert_with(|| watch::channel(seen).0).subscribe()
        });
        let snapshot = Snapshot {
            run,
            slot: entry.slot,
            state: entry.state.clone(),
            recent: entry.recent.clone(),
            written: entry.written,
            progress,
        };
        let after = entry.promised;
        self.when(after, Act::Show { answer, snapshot: Box::new(snapshot) });
    }

    fn on_delete(&mut self, target: &Target, answer: Answer<()>) {
        let run = match self.resolve(target) {
            Ok(run) => run,
            Err(error) => {
                let _ = answer.send(Err(error));
                return;
            }
        };
        if self.entry(run).state.is_running() {
            let input = Input::Terminate {
                reason: "Delete workflow execution".to_owned(),
                details: None,
                identity: "history-service".to_owned(),
                links: Vec::new(),
            };
            match self.step(run, input, None) {
                Ok((step, after)) => {
                    let act = self.act_of(run, step, None);
                    self.when(after, act);
                }
                Err(error) => {
                    let _ = answer.send(Err(error));
                    return;
                }
            }
        }
        let sequence = self.delete(run);
        self.when(sequence, Act::Deleted { answer: Some(answer) });
    }

    /// Does something once this much is durable: at once if it is.
    fn when(&mut self, after: Sequence, act: Act) {
        if after <= self.durable {
            self.act(act);
        } else {
            self.pending.entry(after).or_default().push(act);
        }
    }

    /// Shrinks the cache to its size, leaving out what is in use.
    fn evict(&mut self) {
        let excess = self.runs.len().saturating_sub(self.shared.settings.runs_cached_per_loop);
        for _ in 0..excess.min(BATCH * 2) {
            let Some((run, entry)) = self.runs.pop_lru() else { break };
            if self.may_leave(run, &entry) {
                self.names.unset(entry.state.start.namespace, &entry.state.start.workflow_id, run);
            } else {
                // In use: as if just used.
                self.runs.put(run, entry);
            }
        }
        // One number for all loops: each adds what has changed of its part.
        let before = std::mem::replace(&mut self.counted, self.runs.len());
        self.shared.counters.runs_cached.fetch_add(self.runs.len().wrapping_sub(before), Ordering::Relaxed);
    }

    fn may_leave(&self, run: RunKey, entry: &Entry) -> bool {
        entry.written <= self.durable
            && !entry.is_watched()
            && entry.queries.is_empty()
            && entry.waiters.is_empty()
            && entry.parked.is_none()
            && entry.state.unrecorded.volatile.updates.is_empty()
            && entry.state.workflow_task().stored() == *entry.state.workflow_task()
            && !self.transfers.is_busy(run)
    }
}

fn absent(execution: &crate::message::Execution) -> Error {
    let workflow_id = execution.workflow_id.clone();
    match execution.run_id {
        None => Error::NoSuchWorkflow { workflow_id },
        Some(run_id) => Error::NoSuchRun { workflow_id, run_id: run_id.to_string() },
    }
}
