//! Clients that wait for an update of a run.

use super::{Owner, act::Act};
use crate::{
    Error,
    message::{Answer, Target, UpdateProgress, UpdateTicket},
};
use std::collections::HashMap;
use tokio::sync::watch;
use tradewind_core::{
    ids::RunKey,
    step::{Input, Notice, Reply},
    update::{self, Stage},
};

/// One channel for each update that somebody may wait for.
#[derive(Default)]
pub(super) struct Waiters {
    updates: HashMap<String, watch::Sender<UpdateProgress>>,
}

impl Waiters {
    pub(super) fn is_empty(&self) -> bool {
        self.updates.values().all(|it| it.receiver_count() == 0)
    }

    fn subscribe(&mut self, id: &str, stage: Stage) -> watch::Receiver<UpdateProgress> {
        self.updates.retain(|known, it| known == id || it.receiver_count() > 0);
        let at = match stage {
            Stage::Admitted => UpdateProgress::Admitted,
            Stage::Accepted => UpdateProgress::Accepted,
            // The reader fetches the outcome from history.
            Stage::Completed(_) => UpdateProgress::Accepted,
            Stage::LostToClose => UpdateProgress::Completed(update::lost_to_close()),
        };
        let sender = self.updates.entry(id.to_owned()).or_insert_with(|| watch::channel(at).0);
        sender.subscribe()
    }

    pub(super) fn tell(&mut self, notice: Notice) {
        let (id, progress, last) = match notice {
            Notice::UpdateAccepted { id } => (id, UpdateProgress::Accepted, false),
            Notice::UpdateCompleted { id, outcome } => (id, UpdateProgress::Completed(outcome), true),
            Notice::UpdateRejected { id, failure } => (id, UpdateProgress::Rejected(failure), true),
            Notice::UpdateAborted { id, reason } => (id, UpdateProgress::Aborted(reason), true),
        };
        if let Some(sender) = self.updates.get(&id) {
            sender.send_replace(progress);
        }
        if last {
            self.updates.remove(&id);
        }
    }
}

impl Owner {
    pub(super) fn on_update(
        &mut self,
        target: &Target,
        request: api::update::v1::Request,
        answer: Answer<UpdateTicket>,
    ) {
        let outcome = self.resolve(target).map(|run| (run, self.admit(run, request)));
        match outcome {
            Ok((run, ticket)) => {
                let after = self.entry(run).promised;
                self.when(after, Act::Ticket { answer, ticket });
            }
            Err(error) => {
                let _ = answer.send(Err(error));
            }
        }
    }

    /// Puts the request to the run, and subscribes to what becomes of it.
    pub(super) fn admit(&mut self, run: RunKey, request: api::update::v1::Request) -> Result<UpdateTicket, Error> {
        let id = request.meta.as_ref().map(|it| it.update_id.clone()).unwrap_or_default();
        let (mut step, after) = self.step(run, Input::Update(Box::new(request)), None)?;
        let Reply::Update(stage) = std::mem::take(&mut step.reply) else {
            unreachable!("an update is answered with its stage");
        };
        let act = self.act_of(run, step, None);
        self.when(after, act);
        Ok(self.ticket(run, &id, stage))
    }

    fn ticket(&mut self, run: RunKey, id: &str, stage: Stage) -> UpdateTicket {
        let entry = self.entry(run);
        let progress = entry.waiters.subscribe(id, stage);
        UpdateTicket { run, run_id: entry.state.start.run_id, stage, progress }
    }

    pub(super) fn on_find_update(&mut self, target: &Target, id: &str, answer: Answer<UpdateTicket>) {
        let ticket = self.resolve(target).and_then(|run| {
            let stage = update::stage(&self.entry(run).state, id).ok_or_else(|| Error::NoSuchUpdate(id.to_owned()))?;
            Ok((run, self.ticket(run, id, stage)))
        });
        match ticket {
            Ok((run, ticket)) => {
                let after = self.entry(run).promised;
                self.when(after, Act::Ticket { answer, ticket: Ok(ticket) });
            }
            Err(error) => {
                let _ = answer.send(Err(error));
            }
        }
    }
}
