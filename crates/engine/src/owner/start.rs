//! Starting a run under a workflow id that may be taken: every reuse and conflict policy.

use super::{
    Owner,
    act::Act,
    commit::{panic_text, wake_change},
    entry::Entry,
};
use crate::{
    Error, codec,
    message::{Answer, ParentLink, StartRequest, Started, Stepped},
    shared::Stepping,
    visibility,
};
use api::{
    common::v1::WorkflowExecution,
    enums::v1::{
        WorkflowExecutionStatus as Status, WorkflowIdConflictPolicy as Conflict, WorkflowIdReusePolicy as Reuse,
    },
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use store::row::{Change, Durability, Write};
use tradewind_core::{
    ids::{RunKey, Slot},
    start::{self, Begin},
    step::{Env, Input, Reply},
    update::Stage,
};

impl Owner {
    pub(super) fn on_start(&mut self, request: StartRequest, answer: Answer<Started>) {
        match self.start(request) {
            Ok(started) => {
                let after = self.entry(started.run).promised;
                self.when(after, Act::Started { answer, started: Box::new(Ok(started)) });
            }
            Err(error) => {
                // A refusal may rest on a start that is still on its way to the disk.
                let after = self.pending.last_key_value().map_or(self.durable, |(sequence, _)| *sequence);
                self.when(after, Act::Started { answer, started: Box::new(Err(error)) });
            }
        }
    }

    fn start(&mut self, mut request: StartRequest) -> Result<Started, Error> {
        let workflow_id = request.request.workflow_id.clone();
        let update = request.update.take();
        let current = self.current(request.namespace, &workflow_id)?;
        let existing = match current {
            Some(run) if self.load(run)? => Some(run),
            _ => None,
        };
        let mut started = match existing {
            None => self.begin(request)?,
            Some(run) => self.start_over(run, request, update.as_ref())?,
        };
        if let Some(update) = update {
            started.update = Some(self.admit(started.run, update));
        }
        Ok(started)
    }

    /// The id is taken: the policies say what happens.
    fn start_over(
        &mut self,
        run: RunKey,
        request: StartRequest,
        update: Option<&api::update::v1::Request>,
    ) -> Result<Started, Error> {
        let wire = &request.request;
        let entry = self.entry(run);
        let state = &entry.state;
        let task = &state.unrecorded.task;
        let repeated = !wire.request_id.is_empty()
            && (task.create_request_id == wire.request_id || task.attached_request_ids.contains(&wire.request_id));
        if repeated {
            return Ok(self.existing(run, true));
        }
        // A repeated update-with-start finds its update, whatever the policy, also after the close: unless the close
        // came first, then there is nothing to find and the policies decide about another run.
        if let Some(update) = update {
            let id = update.meta.as_ref().map_or("", |it| it.update_id.as_str());
            match tradewind_core::update::stage(&self.entry(run).state, id) {
                None | Some(Stage::LostToClose) => {}
                Some(Stage::Admitted | Stage::Accepted | Stage::Completed(_)) => return Ok(self.existing(run, false)),
            }
        }
        let state = &self.entry(run).state;
        if !state.is_running() {
            let status = state.status();
            self.check_reuse(run, wire.workflow_id_reuse_policy(), status)?;
            return self.begin(request);
        }
        if let Some(signal) = request.signal.clone() {
            let terminates = wire.workflow_id_reuse_policy() == Reuse::TerminateIfRunning
                || wire.workflow_id_conflict_policy() == Conflict::TerminateExisting;
            if !terminates {
                let (step, after) = self.step(run, Input::Signal(signal), None)?;
                let act = self.act_of(run, step, None);
                self.when(after, act);
                return Ok(self.existing(run, false));
            }
        }
        let terminate = wire.workflow_id_reuse_policy() == Reuse::TerminateIfRunning;
        let conflict = if terminate { Conflict::TerminateExisting } else { wire.workflow_id_conflict_policy() };
        match conflict {
            Conflict::Unspecified | Conflict::Fail => {
                Err(self.taken(run, "Workflow execution is already running.", ""))
            }
            Conflict::UseExisting => {
                let options = wire.on_conflict_options.unwrap_or_default();
                if options.attach_request_id {
                    let input = Input::AttachRequest {
                        request_id: wire.request_id.clone(),
                        identity: wire.identity.clone(),
                        event: options.attach_request_id,
                    };
                    let (step, after) = self.step(run, input, None)?;
                    let act = self.act_of(run, step, None);
                    self.when(after, act);
                }
                Ok(self.existing(run, false))
            }
            Conflict::TerminateExisting => {
                let new_run_id = self.shared.entropy.uuid();
                let input = Input::Terminate {
                    reason: "TerminateIfRunning WorkflowIdReusePolicy".to_owned(),
                    details: Some(terminated_by(&new_run_id.to_string())),
                    identity: "history-service".to_owned(),
                    links: Vec::new(),
                };
                let (step, after) = self.step(run, input, None)?;
                let act = self.act_of(run, step, None);
                self.when(after, act);
                self.begin_as(request, Some(new_run_id))
            }
        }
    }

    fn check_reuse(&mut self, run: RunKey, policy: Reuse, status: Status) -> Result<(), Error> {
        let mut what = "Workflow execution already finished.";
        let reason = match policy {
            Reuse::Unspecified | Reuse::AllowDuplicate | Reuse::TerminateIfRunning => return Ok(()),
            Reuse::AllowDuplicateFailedOnly => {
                if !matches!(status, Status::Completed | Status::ContinuedAsNew) {
                    return Ok(());
                }
                what = "Workflow execution already finished successfully.";
                " Workflow Id reuse policy: allow duplicate workflow Id if last run failed."
            }
            Reuse::RejectDuplicate => " Workflow Id reuse policy: reject duplicate workflow Id.",
        };
        Err(self.taken(run, what, reason))
    }

    fn taken(&mut self, run: RunKey, what: &str, reason: &str) -> Error {
        let state = &self.entry(run).state;
        let (workflow_id, run_id) = (&state.start.workflow_id, state.start.run_id.to_string());
        Error::AlreadyStarted {
            message: format!("{what} WorkflowId: {workflow_id}, RunId: {run_id}.{reason}"),
            start_request_id: state.unrecorded.task.create_request_id.clone(),
            first_run_id: state.start.event.first_execution_run_id.clone(),
            run_id,
        }
    }

    fn existing(&mut self, run: RunKey, started: bool) -> Started {
        let entry = self.entry(run);
        Started {
            run,
            slot: entry.slot,
            run_id: entry.state.start.run_id,
            first_run_id: entry.state.start.event.first_execution_run_id.clone(),
            started,
            status: entry.state.recorded.progress.status,
            eager: None,
            update: None,
        }
    }

    fn begin(&mut self, request: StartRequest) -> Result<Started, Error> {
        self.begin_as(request, None)
    }

    /// Creates the run.
    fn begin_as(&mut self, request: StartRequest, run_id: Option<uuid::Uuid>) -> Result<Started, Error> {
        let namespace = self.namespace(request.namespace)?;
        let shared = self.shared.clone();
        let now = shared.clock.now();
        let first_id = self.first_id();
        let env = Env { now, seed: shared.seed(), first_id, limits: &shared.limits, namespace: &namespace };
        let run_id = run_id.unwrap_or_else(|| env.run_id(0));
        let StartRequest { request: wire, parent, signal, update, .. } = request;
        let workflow_id = wire.workflow_id.clone();
        let made = catch_unwind(AssertUnwindSafe(|| {
            if let Some(fault) = &shared.settings.fault {
                fault(Stepping::Start(&wire));
            }
            let mut begin = start::from_request(wire, run_id, &env).map_err(Error::Invalid)?;
            begin.signal = signal;
            if begin.signal.is_some() || update.is_some() {
                begin.eager = None;
            }
            if let Some(parent) = parent {
                adopt(&mut begin, parent, &namespace);
            }
            Ok::<_, Error>(start::begin(begin, &env))
        }));
        let (state, mut step) = made.unwrap_or_else(|panic| {
            let panic = panic_text(panic.as_ref());
            tracing::error!(workflow_id, panic, "a start panicked");
            Err(Error::StartPanicked(panic))
        })?;
        let slot = Slot::of(namespace.key, &workflow_id);
        let run = shared.next_run();
        self.next_id += step.ids_used;

        let mut entry = Entry::new(slot, state);
        let place = codec::Place { run, slot, epoch: shared.epoch };
        let batch = codec::batch(&mut step);
        let mut changes = Vec::with_capacity(8);
        codec::insert(&place, &entry.state, &step, batch.as_ref(), &mut changes);
        if let Some(batch) = &batch {
            entry.remember(batch);
        }
        changes.push(Change::PutVisibility(Box::new(visibility::row(run, &entry.state, &shared))));
        let armed = wake_change(&shared, run, &mut entry, now, &mut changes);
        let sequence = shared.store.submit(Write { slot, epoch: shared.epoch, changes }, Durability::Durable);
        entry.written = sequence;
        entry.promised = sequence;
        if let Some(due) = armed {
            self.timers.arm(due, run);
        }
        let start = entry.state.start.clone();
        self.names.set(start.namespace, &start.workflow_id, run);
        let reply = std::mem::take(&mut step.reply);
        let eager = matches!(reply, Reply::WorkflowTask(_)).then(|| Stepped {
            run,
            slot,
            reply,
            state: entry.state.clone(),
            recent: entry.recent.clone(),
            queries: Vec::new(),
        });
        self.runs.put(run, entry);
        let act = self.act_of(run, step, None);
        self.when(sequence, act);
        Ok(Started {
            run,
            slot,
            run_id,
            first_run_id: start.event.first_execution_run_id.clone(),
            started: true,
            status: Status::Running as i32,
            eager,
            update: None,
        })
    }
}

fn adopt(begin: &mut Begin, parent: ParentLink, namespace: &tradewind_core::step::Namespace) {
    begin.eager = None;
    begin.event.parent_workflow_namespace = namespace.name.clone();
    begin.event.parent_workflow_namespace_id = namespace.id.clone();
    begin.event.parent_workflow_execution =
        Some(WorkflowExecution { workflow_id: parent.workflow_id, run_id: parent.run_id.to_string() });
    begin.event.parent_initiated_event_id = parent.initiated;
    begin.event.root_workflow_execution =
        Some(WorkflowExecution { workflow_id: parent.root_workflow_id, run_id: parent.root_run_id });
}

fn terminated_by(run_id: &str) -> api::common::v1::Payloads {
    let payload = api::common::v1::Payload {
        metadata: [("encoding".to_owned(), bytes::Bytes::from_static(b"json/plain"))].into(),
        data: format!("\"terminated by new runID: {run_id}\"").into(),
        ..api::common::v1::Payload::default()
    };
    api::common::v1::Payloads { payloads: vec![payload] }
}
