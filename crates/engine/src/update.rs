//! Updates from the client's side: admit, then wait for the stage asked for.

use crate::{
    Error, Handle,
    message::{Message, Target, UpdateProgress, UpdateTicket},
};
use api::{
    enums::v1::UpdateWorkflowExecutionLifecycleStage as Lifecycle,
    failure::v1::Failure,
    history::v1::history_event::Attributes,
    update::v1::{Outcome, Request, outcome::Value},
};
use tradewind_core::{
    ids::{EventId, RunKey},
    time::Timestamp,
    update::{Abort, Stage},
};
use uuid::Uuid;

/// How far an update has come when the wait ended.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateState {
    pub run_id: Uuid,
    pub stage: Lifecycle,
    pub outcome: Option<Outcome>,
    /// The worker rejected it: nothing of it is in history.
    pub rejected: bool,
}

impl Handle {
    /// Sends an update and waits until `wanted` or `until`. A run that continues as new takes it along, unless the
    /// caller named one run.
    pub async fn update(
        &self,
        target: Target,
        request: Request,
        wanted: Lifecycle,
        until: Timestamp,
    ) -> Result<UpdateState, Error> {
        loop {
            let (target, request) = (target.clone(), Box::new(request.clone()));
            let follows = matches!(&target, Target::Execution(it) if it.run_id.is_none());
            let ticket = self.ask(target.slot(), |answer| Message::Update { target, request, answer }).await?;
            match self.wait_for_update(ticket, wanted, until).await? {
                Some(state) => return Ok(state),
                None if follows => {}
                None => return Err(Error::UpdateAborted),
            }
        }
    }

    /// Waits for an update that was sent before.
    pub async fn poll_update(
        &self,
        target: Target,
        id: String,
        wanted: Lifecycle,
        until: Timestamp,
    ) -> Result<UpdateState, Error> {
        let ticket = self.ask(target.slot(), |answer| Message::FindUpdate { target, id, answer }).await?;
        self.wait_for_update(ticket, wanted, until).await?.ok_or(Error::UpdateAborted)
    }

    /// Waits until the update is where it should be; `None` if the run went on as another without it.
    pub async fn wait_for_update(
        &self,
        mut ticket: UpdateTicket,
        wanted: Lifecycle,
        until: Timestamp,
    ) -> Result<Option<UpdateState>, Error> {
        let run_id = ticket.run_id;
        if let Stage::Completed(event) = ticket.stage {
            let outcome = self.outcome(ticket.run, event).await?;
            return Ok(Some(UpdateState {
                run_id,
                stage: Lifecycle::Completed,
                outcome: Some(outcome),
                rejected: false,
            }));
        }
        let left = until - self.shared.clock.now();
        let reached = move |progress: &UpdateProgress| match progress {
            UpdateProgress::Admitted => wanted as i32 <= Lifecycle::Admitted as i32,
            UpdateProgress::Accepted => wanted as i32 <= Lifecycle::Accepted as i32,
            UpdateProgress::Completed(_) | UpdateProgress::Rejected(_) | UpdateProgress::Aborted(_) => true,
        };
        let seen = ticket.progress.clone();
        let _waiting = self.shared.clock.wait(move || reached(&seen.borrow()));
        tokio::select! {
            waited = tokio::time::timeout(left, ticket.progress.wait_for(reached)) => {
                if matches!(waited, Ok(Err(_))) {
                    return Err(Error::Unavailable("workflow update was aborted".into()));
                }
            }
            () = self.shared.draining.cancelled() => return Err(Error::Unavailable("the server is shutting down".into())),
        }
        let progress = ticket.progress.borrow().clone();
        let state = |stage, outcome| Ok(Some(UpdateState { run_id, stage, outcome, rejected: false }));
        match progress {
            UpdateProgress::Admitted => state(Lifecycle::Admitted, None),
            UpdateProgress::Accepted => state(Lifecycle::Accepted, None),
            UpdateProgress::Completed(outcome) => state(Lifecycle::Completed, Some(outcome)),
            UpdateProgress::Rejected(failure) => {
                let outcome = Some(failed(failure));
                Ok(Some(UpdateState { run_id, stage: Lifecycle::Completed, outcome, rejected: true }))
            }
            UpdateProgress::Aborted(Abort::Continued) => Ok(None),
            UpdateProgress::Aborted(Abort::Closed) => Err(Error::UpdateAborted),
            UpdateProgress::Aborted(Abort::TaskFailed) => Err(Error::NotReady(
                "Unable to perform workflow execution update due to unexpected workflow task failure.".into(),
            )),
        }
    }

    /// The outcome of a completed update, from the event that recorded it.
    async fn outcome(&self, run: RunKey, event: EventId) -> Result<Outcome, Error> {
        let events = self.events(run, &[], event, event + 1, 1)?;
        match events.into_iter().next().and_then(|it| it.attributes) {
            Some(Attributes::WorkflowExecutionUpdateCompletedEventAttributes(it)) => Ok(it.outcome.unwrap_or_default()),
            other => {
                Err(Error::Unavailable(format!("event {event} of run {} should complete an update: {other:?}", run.0)))
            }
        }
    }
}

fn failed(failure: Failure) -> Outcome {
    Outcome { value: Some(Value::Failure(failure)) }
}
