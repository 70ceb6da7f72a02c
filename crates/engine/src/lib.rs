//! The shell around `core`: loops that own slots, task queues, timers, transfer work, visibility, retention.
//!
//! [`Engine::start`] brings the loops up over a store; [`Handle`] is the one door for everything that wants
//! something of a run: the gRPC handlers, the HTTP control plane, and the engine's own transfer work.

// Fields that the protocol has deprecated are still sent by SDKs in use and must come through.
#![allow(deprecated)]

pub mod ambient;
mod codec;
mod error;
mod following;
mod history;
pub mod matching;
pub mod message;
pub mod namespaces;
mod owner;
pub mod poll;
pub mod query;
mod shared;
mod skip;
pub mod snapshot;
pub mod token;
mod transfer;
mod update;
mod visibility;
mod workers;

pub use error::Error;
pub use following::Following;
pub use shared::{Counters, Fault, Settings, Shared, Stepping};
pub use update::UpdateState;

use api::workflowservice::v1::{
    PollWorkflowTaskQueueResponse, RespondWorkflowTaskCompletedRequest, RespondWorkflowTaskCompletedResponse,
};
use message::{Answer, Message, SettledTransfer, StartRequest, Started, Stepped, Target};
use skip::Rest;
use snapshot::Snapshot;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use token::Token;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tradewind_core::{
    ids::{QueueKey, RunKey, Slot, TaskKind},
    step::{Input, Reply, TaskCompletion},
    time::Timestamp,
};

/// The way in. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
    loops: Arc<Vec<mpsc::UnboundedSender<Message>>>,
    closing: Arc<AtomicBool>,
}

/// A running engine.
pub struct Engine {
    handle: Handle,
    loops: Vec<JoinHandle<()>>,
    janitor: JoinHandle<()>,
    skipper: Option<JoinHandle<()>>,
}

impl Engine {
    /// Brings the loops up, and takes up what a former process left: tasks in queues, work owed to other runs.
    pub fn start(shared: Shared) -> Result<Engine, Error> {
        let shared = Arc::new(shared);
        let count = shared.settings.loops.max(1);
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::unbounded_channel()).unzip();
        let handle =
            Handle { shared: shared.clone(), loops: Arc::new(senders), closing: Arc::new(AtomicBool::new(false)) };
        for (queue, _) in shared.store.queues_with_tasks()? {
            shared.matching.queue(&queue).expect_stored();
        }
        let mut transfers = Vec::new();
        let mut after = 0;
        loop {
            let rows = shared.store.pending_transfers(after, 10_000)?;
            let Some(last) = rows.last() else { break };
            after = last.id;
            transfers.extend(rows);
        }
        let mut loops = Vec::with_capacity(count);
        for (index, inbox) in receivers.into_iter().enumerate() {
            let mut owner = owner::Owner::new(index, shared.clone(), inbox, handle.clone());
            owner.take_up(transfers.iter().filter(|row| handle.owns(index, row.slot)));
            loops.push(tokio::spawn(watched(owner, handle.clone())));
        }
        let janitor = tokio::spawn(tidy(handle.clone()));
        let clock = handle.shared.clock.skipping().cloned();
        let skipper = clock.map(|clock| tokio::spawn(skip::run(handle.clone(), clock)));
        Ok(Engine { handle, loops, janitor, skipper })
    }

    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Ends the loops once everything they were asked is answered. The store is closed by whoever opened it.
    pub async fn stop(self) {
        self.handle.closing.store(true, Ordering::Release);
        self.janitor.abort();
        if let Some(skipper) = &self.skipper {
            skipper.abort();
        }
        for sender in self.handle.loops.iter() {
            let (answer, closed) = oneshot::channel();
            if sender.send(Message::Close(answer)).is_ok() {
                let _ = closed.await;
            }
        }
        for running in self.loops {
            if let Err(error) = running.await {
                tracing::error!(%error, "a loop ended badly");
            }
        }
    }
}

/// Runs a loop. One that ends by itself, or panics between steps, leaves its slots without an owner: the node has
/// to start over.
async fn watched(owner: owner::Owner, handle: Handle) {
    let ended = tokio::spawn(owner.run()).await;
    if let Err(error) = &ended {
        tracing::error!(%error, "a loop ended badly");
    }
    if ended.is_err() || !handle.is_closing() {
        handle.shared.failed.cancel();
    }
}

/// Forgets queues that nobody uses and workers that are gone, once a minute.
async fn tidy(handle: Handle) {
    let mut ticks = tokio::time::interval(std::time::Duration::from_secs(60));
    loop {
        ticks.tick().await;
        let now = handle.shared.clock.now();
        handle.shared.matching.forget_idle(now);
        handle.shared.departures.forget_silent(now);
    }
}

impl Handle {
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn owns(&self, index: usize, slot: Slot) -> bool {
        usize::from(slot.0) % self.loops.len() == index
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    fn send(&self, slot: Slot, message: Message) -> Result<(), Error> {
        let index = usize::from(slot.0) % self.loops.len();
        self.loops[index].send(message).map_err(|_| Error::Unavailable("the engine is closing".into()))
    }

    pub(crate) async fn ask<T>(&self, slot: Slot, message: impl FnOnce(Answer<T>) -> Message) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        self.send(slot, message(answer))?;
        answered.await.unwrap_or_else(|_| Err(Error::Unavailable("the engine is closing".into())))
    }

    /// Starts a run, or finds the one that the id names, as the policies say.
    pub async fn start(&self, request: StartRequest) -> Result<Started, Error> {
        let slot = Slot::of(request.namespace, &request.request.workflow_id);
        self.ask(slot, |answer| Message::Start(Box::new(request), answer)).await
    }

    /// Puts an input to a run.
    pub async fn step(&self, target: Target, input: Input) -> Result<Stepped, Error> {
        self.ask(target.slot(), |answer| Message::Step { target, input: Box::new(input), settles: None, answer }).await
    }

    pub(crate) async fn report(
        &self,
        target: Target,
        input: Input,
        settles: SettledTransfer,
    ) -> Result<Stepped, Error> {
        let settles = Some(settles);
        self.ask(target.slot(), |answer| Message::Step { target, input: Box::new(input), settles, answer }).await
    }

    /// A run as it is, everything in it durable; with `watch`, a way to hear of changes.
    pub async fn inspect(&self, target: Target, watch: bool) -> Result<Snapshot, Error> {
        self.ask(target.slot(), |answer| Message::Inspect { target, watch, answer }).await
    }

    /// Ends a run if it is open, and removes it with everything that hangs on it.
    pub async fn delete(&self, target: Target) -> Result<(), Error> {
        self.ask(target.slot(), |answer| Message::Delete { target, answer }).await
    }

    /// Whether anything but time can change a run, over all loops.
    pub(crate) async fn rest(&self) -> Result<Rest, Error> {
        let mut next = None;
        let mut unattended = false;
        for sender in self.loops.iter() {
            let (answer, answered) = oneshot::channel();
            let gone = |()| Error::Unavailable("the engine is closing".into());
            sender.send(Message::Rest(answer)).map_err(|_| gone(()))?;
            match answered.await.map_err(|_| gone(()))? {
                Rest::Busy => return Ok(Rest::Busy),
                Rest::Still { next: deadline, unattended: lying } => {
                    next = [next, deadline].into_iter().flatten().min();
                    unattended |= lying;
                }
            }
        }
        Ok(Rest::Still { next, unattended })
    }

    pub(crate) fn sticky_unavailable(&self, slot: Slot, run: RunKey, scheduled: i64) {
        let _ = self.send(slot, Message::StickyUnavailable { slot, run, scheduled });
    }

    pub(crate) fn transfer_done(&self, slot: Slot, run: RunKey, settles: SettledTransfer, by_own_step: bool) {
        let _ = self.send(slot, Message::TransferDone { run, settles, by_own_step });
    }

    /// A worker completes a workflow task. A bad answer fails the task and is an [`Error::Invalid`] to the worker.
    pub async fn complete_workflow_task(
        &self,
        token: &Token,
        request: RespondWorkflowTaskCompletedRequest,
    ) -> Result<RespondWorkflowTaskCompletedResponse, Error> {
        let target = Target::Run { slot: token.slot(), run: token.run() };
        let completion = TaskCompletion { token: token.workflow_task(), request };
        let stepped = self.step(target, Input::CompleteWorkflowTask(Box::new(completion))).await?;
        match &stepped.reply {
            Reply::TaskCompleted(done) => {
                let workflow_task = match &done.next {
                    Some(polled) => Some(self.workflow_task_of(&stepped, polled)?),
                    None => None,
                };
                Ok(RespondWorkflowTaskCompletedResponse {
                    workflow_task,
                    activity_tasks: done.activities.iter().map(|it| self.activity_task(&stepped, it)).collect(),
                    reset_history_event_id: done.reset_to.unwrap_or_default(),
                })
            }
            Reply::TaskRefused(text) => Err(Error::Invalid(text.clone())),
            Reply::TaskTimedOut => Err(Error::Rejected(tradewind_core::step::Rejection::StaleWorkflowTask)),
            other => unreachable!("a completion is not answered with {other:?}"),
        }
    }

    /// The first workflow task of a run that was started eagerly.
    pub fn eager_task(&self, stepped: Stepped) -> Result<PollWorkflowTaskQueueResponse, Error> {
        self.workflow_task(stepped)
    }

    /// A worker leaves: its polls are answered empty, and what waits for it alone goes to others.
    pub fn shutdown_worker(&self, namespace: tradewind_core::ids::NamespaceKey, sticky_queue: &str, instance: &str) {
        self.shared.departures.leave(instance, self.shared.clock.now());
        if !sticky_queue.is_empty() {
            let key = QueueKey { namespace, kind: TaskKind::Workflow, name: sticky_queue.to_owned() };
            if let Some(queue) = self.shared.matching.existing(&key) {
                queue.abandon();
            }
        }
    }

    /// Waits for nothing: until the worker leaves, the server drains, or the time is over.
    pub async fn wait_for_departure(&self, instance: &str, until: Timestamp) {
        let departed = self.shared.departures.of(instance, self.shared.clock.now());
        let _idle = self.shared.clock.idle();
        tokio::select! {
            () = departed.cancelled() => {}
            () = self.shared.draining.cancelled() => {}
            () = tokio::time::sleep(until - self.now()) => {}
        }
    }

    /// The moment, as the whole engine sees it.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }
}
