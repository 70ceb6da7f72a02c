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
mod names;
mod outstanding;
mod start;
mod timers;
mod transfers;
mod waiters;

use crate::{
    Error, codec, following,
    message::{Answer, Message, SettledTransfer, Stepped, Target},
    query::AttachedQuery,
    shared::{ID_BLOCK, IDS_PER_STEP_MAX, Shared, Stepping},
    snapshot::{Seen, Snapshot},
    visibility,
};
use act::Act;
use api::query::v1::WorkflowQueryResult;
use bytes::Bytes;
use lru::LruCache;
use names::Names;
use outstanding::Outstanding;
use std::{
    collections::{BTreeMap, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
};
use store::row::{Change, Durability, Sequence, TransferRow, Write};
use timers::Timers;
use tokio::sync::{mpsc, oneshot, watch};
use tradewind_core::{
    ids::{EventId, NamespaceKey, RunKey, Slot},
    state::MutableState,
    step::{self, Env, Input, Rejection, Reply, Step},
    time::Timestamp,
};
use transfers::Transfers;
use waiters::Waiters;

/// Bytes of recent history that the cache keeps for a run.
const RECENT_BYTES_MAX: usize = 32 * 1024;
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

/// A run in memory.
struct Entry {
    slot: Slot,
    /// Shared with what was put off: a step makes the next one.
    state: Arc<MutableState>,
    stored_wake: Option<Timestamp>,
    /// The last write of this run, and the last one that somebody waits for.
    written: Sequence,
    promised: Sequence,
    /// The newest batches of history, consecutive.
    recent: Vec<(EventId, Bytes)>,
    recent_bytes: usize,
    progress: Option<watch::Sender<Seen>>,
    queries: Vec<AttachedQuery>,
    waiters: Waiters,
    /// What a step panicked with.
    parked: Option<String>,
}

impl Entry {
    fn new(slot: Slot, state: MutableState) -> Entry {
        Entry {
            slot,
            state: Arc::new(state),
            stored_wake: None,
            written: Sequence::default(),
            promised: Sequence::default(),
            recent: Vec::new(),
            recent_bytes: 0,
            progress: None,
            queries: Vec::new(),
            waiters: Waiters::default(),
            parked: None,
        }
    }

    fn remember(&mut self, batch: &(EventId, Bytes)) {
        self.recent_bytes += batch.1.len();
        self.recent.push(batch.clone());
        while self.recent_bytes > RECENT_BYTES_MAX && self.recent.len() > 1 {
            self.recent_bytes -= self.recent.remove(0).1.len();
        }
    }

    fn seen(&self) -> Seen {
        Seen { next_event_id: self.state.next_event_id(), closed: !self.state.is_running() }
    }

    fn is_watched(&self) -> bool {
        self.progress.as_ref().is_some_and(|it| it.receiver_count() > 0)
    }
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

    /// Takes the queries that a worker answered with its workflow task away from those that wait.
    fn answered_queries(
        &mut self,
        run: RunKey,
        mut answers: BTreeMap<String, WorkflowQueryResult>,
    ) -> Vec<(AttachedQuery, WorkflowQueryResult)> {
        let entry = self.entry(run);
        let waiting = std::mem::take(&mut entry.queries);
        let mut answered = Vec::new();
        for query in waiting {
            match answers.remove(&query.id) {
                Some(result) => answered.push((query, result)),
                None => entry.queries.push(query),
            }
        }
        answered
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

    fn park(&mut self, run: RunKey, panic: &(dyn std::any::Any + Send)) -> Error {
        let text = panic_text(panic);
        let shared = self.shared.clone();
        shared.counters.runs_parked.fetch_add(1, Ordering::Relaxed);
        let entry = self.entry(run);
        entry.parked = Some(text.clone());
        let start = &entry.state.start;
        tracing::error!(workflow_id = start.workflow_id, run_id = %start.run_id, panic = text, "a step panicked; the run is parked");
        // Operators find parked runs in the list, by the attribute that stands for runs in trouble.
        let mut row = visibility::row(run, &entry.state, &shared);
        visibility::mark_parked(&mut row, &text);
        let write =
            Write { slot: entry.slot, epoch: shared.epoch, changes: vec![Change::PutVisibility(Box::new(row))] };
        entry.written = shared.store.submit(write, Durability::Durable);
        Error::Parked(text)
    }

    /// Submits what a step changed; says what has to be durable before anyone may hear of it.
    fn commit(
        &mut self,
        run: RunKey,
        step: &mut Step,
        settles: Option<SettledTransfer>,
        namespace: &str,
        now: Timestamp,
    ) -> Sequence {
        let shared = self.shared.clone();
        let entry = self.entry(run);
        if !step.changed && settles.is_none() {
            // Nothing to store, but a task that is in memory only has a deadline too.
            let (next, promised) = (entry.state.next_deadline(), entry.promised);
            if let Some(next) = next {
                self.timers.arm(next, run);
            }
            return promised;
        }
        let place = codec::Place { run, slot: entry.slot, epoch: shared.epoch };
        let followed = following::rows(&shared.settings.following, namespace, run, &step.events);
        let batch = codec::batch(step);
        let mut write = codec::write(&place, &entry.state, step, batch.as_ref());
        if let Some(batch) = &batch {
            entry.remember(batch);
        }
        if let Some(settled) = settles {
            write.changes.push(Change::DeleteTransfer { id: settled.id });
        }
        if step.visibility {
            write.changes.push(Change::PutVisibility(Box::new(visibility::row(run, &entry.state, &shared))));
        }
        let mut arm = Vec::new();
        arm.extend(wake_change(&shared, run, entry, now, &mut write.changes).map(|due| (due, run)));
        let successor = step.successor.take().map(|it| *it);
        let mut next_run = None;
        if let Some(mut successor) = successor {
            let next = shared.next_run();
            let mut created = Entry::new(entry.slot, successor.state);
            let batch = codec::batch(&mut successor.step);
            let place = codec::Place { run: next, ..place };
            codec::insert(&place, &created.state, &successor.step, batch.as_ref(), &mut write.changes);
            if let Some(batch) = &batch {
                created.remember(batch);
            }
            let row = visibility::row(next, &created.state, &shared);
            write.changes.push(Change::PutVisibility(Box::new(row)));
            arm.extend(wake_change(&shared, next, &mut created, now, &mut write.changes).map(|due| (due, next)));
            next_run = Some((next, created, successor.step));
        }
        // Followers wait for what is durable, and nothing else would hurry it.
        let durable = step.durable || settles.is_some() || next_run.is_some() || !followed.is_empty();
        write.changes.extend(followed);
        let class = if durable { Durability::Durable } else { Durability::Ordered };
        let sequence = shared.store.submit(write, class);
        entry.written = sequence;
        // An ordered write is not waited for, but everything that it builds on is.
        let after = if durable { sequence } else { entry.promised };
        if durable {
            entry.promised = sequence;
        }
        for (due, run) in arm {
            self.timers.arm(due, run);
        }
        if let Some((next, mut created, step)) = next_run {
            created.written = sequence;
            created.promised = sequence;
            let start = created.state.start.clone();
            self.names.set(start.namespace, &start.workflow_id, next);
            self.runs.put(next, created);
            let act = self.act_of(next, step, None);
            self.when(sequence, act);
        }
        after
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

    fn on_attach_query(&mut self, target: &Target, query: AttachedQuery, answer: Answer<()>) {
        let outcome = self.resolve(target).and_then(|run| {
            let limit = self.shared.limits.buffered_queries_max;
            let entry = self.entry(run);
            entry.queries.retain(|query| !query.is_abandoned());
            if entry.queries.len() >= limit {
                return Err(Error::Exhausted(format!(
                    "consistent query buffer is full, this may be caused by too many queries and workflow not able to \
                     process query fast enough ({} waiting, limit {limit})",
                    entry.queries.len()
                )));
            }
            if entry.state.workflow_task().is_none() {
                // The task that the asker saw has ended meanwhile, and no step is due that would find the query.
                query.retry_directly();
            } else {
                entry.queries.push(query);
            }
            Ok(())
        });
        let _ = answer.send(outcome);
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

    /// Removes a closed run for good.
    fn delete(&mut self, run: RunKey) -> Sequence {
        let shared = self.shared.clone();
        let entry = self.runs.pop(&run).expect("the run was loaded");
        self.names.unset(entry.state.start.namespace, &entry.state.start.workflow_id, run);
        let write = Write { slot: entry.slot, epoch: shared.epoch, changes: vec![Change::DeleteRun { run }] };
        let sequence = shared.store.submit(write, Durability::Durable);
        self.names.deleting(run, sequence);
        sequence
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

/// What a panic said.
fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}

fn absent(execution: &crate::message::Execution) -> Error {
    let workflow_id = execution.workflow_id.clone();
    match execution.run_id {
        None => Error::NoSuchWorkflow { workflow_id },
        Some(run_id) => Error::NoSuchRun { workflow_id, run_id: run_id.to_string() },
    }
}

/// Adds the wake-up row's change if it needs one; says when the run is to be looked at in memory.
fn wake_change(
    shared: &Shared,
    run: RunKey,
    entry: &mut Entry,
    now: Timestamp,
    changes: &mut Vec<Change>,
) -> Option<Timestamp> {
    let state = &entry.state;
    let next = match state.recorded.progress.closed_at {
        None => state.next_deadline(),
        // A closed run wakes once more, to be deleted.
        Some(closed) => Some(closed + shared.retention(state.start.namespace)),
    };
    if let Some(due) = codec::wake_to_store(entry.stored_wake, next, now) {
        changes.push(Change::SetWake { run, slot: entry.slot, due });
        entry.stored_wake = due;
    }
    next
}
