//! Updates: a request that workflow code may reject without a trace, or accept and later complete.
//!
//! An update is *admitted* here in memory, *sent* to a worker as a message beside a workflow task, then
//! *accepted* (which writes it to history, request and all) or *rejected* (which forgets it), and finally
//! *completed*.
//!
//! Invariants
//! - An update id is admitted once; asking again finds the first, also after it completed or the run closed.
//! - What is not accepted is not durable: a client that still waits asks again after a crash.
//! - After a workflow task completes, every update it carried has been answered, by the worker or by the server.

use crate::{
    draft::Draft,
    ids::EventId,
    state::{ItemRef, MutableState, PendingUpdate, StartedTask},
    step::{BadCommand, Notice, Rejection, Reply},
    workflow_task,
};
use api::{
    enums::v1::WorkflowTaskFailedCause as Cause,
    failure::v1::{ApplicationFailureInfo, Failure, failure::FailureInfo},
    history::v1::{
        WorkflowExecutionUpdateAcceptedEventAttributes, WorkflowExecutionUpdateCompletedEventAttributes,
        history_event::Attributes,
    },
    protocol::v1::{Message, message::SequencingId},
    update::v1::{Acceptance, Outcome, Rejection as RejectionMessage, Request, Response, outcome::Value},
};
use prost::{Message as _, Name};
use std::sync::Arc;

/// From this attempt of a failing workflow task on, updates and queries are refused at once.
pub const REFUSED_FROM_ATTEMPT: i32 = 3;

/// How far an update has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Admitted,
    Accepted,
    /// Its outcome is in this event.
    Completed(EventId),
    /// Accepted, and the run closed before it completed.
    LostToClose,
}

/// Why an update that was not accepted is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abort {
    /// The run closed for good.
    Closed,
    /// The run goes on as another: ask that one.
    Continued,
    /// The workflow task that carried it failed at the server.
    TaskFailed,
}

/// How far the update of this id has come, if the run knows it.
pub fn stage(state: &MutableState, id: &str) -> Option<Stage> {
    if let Some(update) = state.recorded.updates.get(id) {
        return Some(match update.completed {
            Some(event) => Stage::Completed(event),
            None if state.is_running() => Stage::Accepted,
            None => Stage::LostToClose,
        });
    }
    state.unrecorded.volatile.updates.iter().any(|it| it.id == id).then_some(Stage::Admitted)
}

pub(crate) fn on_request(draft: &mut Draft<'_>, request: Request) -> Result<Reply, Rejection> {
    if draft.state.unrecorded.task.attempt >= REFUSED_FROM_ATTEMPT {
        return Err(Rejection::NotReady(
            "Unable to perform workflow execution update due to Workflow Task in failed state.".into(),
        ));
    }
    let id = update_id(&request).to_owned();
    if let Some(stage) = stage(&draft.state, &id) {
        return Ok(Reply::Update(stage));
    }
    check_limits(draft, &request)?;
    let bytes = request.encoded_len() as u64;
    draft.state.unrecorded.volatile.updates.push(Arc::new(PendingUpdate { id, request, sent: false, bytes }));
    // Before the first workflow task (start delay, cron) the update waits for that one.
    if draft.state.workflow_task().is_none() && draft.state.unrecorded.task.first_task_at.is_none() {
        workflow_task::schedule_speculative(draft);
    }
    Ok(Reply::Update(Stage::Admitted))
}

pub(crate) fn on_request_when_closed(draft: &mut Draft<'_>, request: Request) -> Result<Reply, Rejection> {
    stage(&draft.state, update_id(&request)).map(Reply::Update).ok_or(Rejection::Closed)
}

fn check_limits(draft: &Draft<'_>, request: &Request) -> Result<(), Rejection> {
    let limits = draft.env.limits;
    let pending = &draft.state.unrecorded.volatile.updates;
    let accepted = draft.state.recorded.updates.values().filter(|it| it.completed.is_none()).count();
    let in_flight = pending.len() + accepted;
    if in_flight >= limits.updates_in_flight_max {
        return Err(Rejection::LimitExceeded {
            text: format!(
                "limit on number of concurrent in-flight updates has been reached ({}): {in_flight} in flight",
                limits.updates_in_flight_max
            ),
        });
    }
    let bytes = pending.iter().map(|it| it.bytes).sum::<u64>() + request.encoded_len() as u64;
    if bytes > limits.update_in_flight_payload_bytes_max as u64 {
        return Err(Rejection::LimitExceeded {
            text: format!(
                "limit on total payload size of in-flight updates has been reached ({} bytes): {bytes} bytes",
                limits.update_in_flight_payload_bytes_max
            ),
        });
    }
    let total = draft.state.recorded.updates.len() + pending.len();
    if total as i64 >= limits.updates_total_max {
        return Err(Rejection::TooManyUpdates(format!(
            "The limit on the total number of distinct updates in this workflow has been reached ({total}, limit {}). \
             Make sure any duplicate updates share an Update ID so the server can deduplicate them, and consider \
             continuing the workflow as new",
            limits.updates_total_max
        )));
    }
    Ok(())
}

fn update_id(request: &Request) -> &str {
    request.meta.as_ref().map_or("", |it| &it.update_id)
}

/// The messages that ride on a workflow task which has just started. They count as sent from here on.
///
/// A worker that goes on with the task before has seen what it was sent then, and would run an update twice
/// that it got twice. Any other worker gets all.
pub(crate) fn messages_for(draft: &mut Draft<'_>, task: &StartedTask, resend: bool) -> Vec<Message> {
    let mut messages = Vec::new();
    for update in draft.state.unrecorded.volatile.updates.iter_mut().filter(|it| resend || !it.sent) {
        Arc::make_mut(update).sent = true;
        // Completion callbacks and links stay with the server; the worker gets who asks for what.
        let request =
            Request { meta: update.request.meta.clone(), input: update.request.input.clone(), ..Request::default() };
        messages.push(Message {
            id: format!("{}/request", update.id),
            protocol_instance_id: update.id.clone(),
            sequencing_id: Some(SequencingId::EventId(task.started - 1)),
            body: Some(pack(&request)),
        });
    }
    messages
}

fn pack<M: Name>(message: &M) -> prost_types::Any {
    prost_types::Any { type_url: format!("type.googleapis.com/{}", M::full_name()), value: message.encode_to_vec() }
}

/// Updates that no running workflow task has carried yet.
pub(crate) fn has_unsent(state: &MutableState) -> bool {
    state.unrecorded.volatile.updates.iter().any(|it| !it.sent)
}

/// After a failed or timed-out task: the next one carries them all again.
pub(crate) fn unsend(draft: &mut Draft<'_>) {
    for update in &mut draft.state.unrecorded.volatile.updates {
        Arc::make_mut(update).sent = false;
    }
}

fn bad(text: String) -> BadCommand {
    BadCommand::new(Cause::BadUpdateWorkflowExecutionMessage, text)
}

/// One message of a worker's completion.
pub(crate) fn on_message(draft: &mut Draft<'_>, message: &Message) -> Result<(), BadCommand> {
    let id = message.protocol_instance_id.as_str();
    let Some(body) = &message.body else {
        return Err(bad(format!("Update {id} received message with nil body")));
    };
    let name = body.type_url.rsplit('/').next().unwrap_or_default();
    let limit = draft.env.limits.blob_size_bytes_max;
    if body.value.len() > limit {
        let text = format!("Message type {name} exceeds size limit: {} bytes, limit {limit}.", body.value.len());
        return Err(BadCommand::fatal(Cause::BadUpdateWorkflowExecutionMessage, text));
    }
    let undecodable = |error: prost::DecodeError| bad(format!("unable to unmarshal {name} of update {id}: {error}"));
    if name == Acceptance::full_name() {
        accept(draft, id, Acceptance::decode(body.value.as_slice()).map_err(undecodable)?)
    } else if name == Response::full_name() {
        complete(draft, id, Response::decode(body.value.as_slice()).map_err(undecodable)?)
    } else if name == RejectionMessage::full_name() {
        reject(draft, id, RejectionMessage::decode(body.value.as_slice()).map_err(undecodable)?)
    } else {
        Err(bad(format!("Message type {name} not supported")))
    }
}

fn take_sent(draft: &mut Draft<'_>, id: &str) -> Option<Arc<PendingUpdate>> {
    let updates = &mut draft.state.unrecorded.volatile.updates;
    let at = updates.iter().position(|it| it.id == id && it.sent)?;
    Some(updates.remove(at))
}

fn take_all_sent(draft: &mut Draft<'_>) -> Vec<Arc<PendingUpdate>> {
    let all = std::mem::take(&mut draft.state.unrecorded.volatile.updates);
    let (sent, left) = all.into_iter().partition(|it| it.sent);
    draft.state.unrecorded.volatile.updates = left;
    sent
}

fn not_found(id: &str) -> BadCommand {
    bad(format!(
        "update {id} wasn't found on the server. This is most likely a transient error which will be resolved \
         automatically by retries"
    ))
}

fn accept(draft: &mut Draft<'_>, id: &str, acceptance: Acceptance) -> Result<(), BadCommand> {
    if draft.state.recorded.updates.contains_key(id) {
        return Err(bad(format!("invalid state transition attempted for Update {id}: accepted twice")));
    }
    if acceptance.accepted_request_message_id.is_empty() {
        return Err(bad("invalid *update.Acceptance: accepted_request_message_id is not set".into()));
    }
    // A worker that outlived a restart of the server brings the request back with its acceptance. The client
    // may have asked again meanwhile: what was admitted then is this same update.
    let request = match (take_sent(draft, id), acceptance.accepted_request) {
        (Some(pending), _) => pending.request.clone(),
        (None, Some(request)) => {
            draft.state.unrecorded.volatile.updates.retain(|it| it.id != id);
            request
        }
        (None, None) => return Err(not_found(id)),
    };
    draft.record(Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(Box::new(
        WorkflowExecutionUpdateAcceptedEventAttributes {
            protocol_instance_id: id.to_owned(),
            accepted_request_message_id: acceptance.accepted_request_message_id,
            accepted_request_sequencing_event_id: acceptance.accepted_request_sequencing_event_id,
            accepted_request: Some(request),
        },
    )));
    draft.touch(ItemRef::Update(id.to_owned()));
    draft.step.notices.push(Notice::UpdateAccepted { id: id.to_owned() });
    Ok(())
}

fn complete(draft: &mut Draft<'_>, id: &str, response: Response) -> Result<(), BadCommand> {
    let Some(update) = draft.state.recorded.updates.get(id).cloned() else {
        return Err(not_found(id));
    };
    let Some(outcome) = response.outcome else {
        return Err(bad("invalid *update.Response: outcome is not set".into()));
    };
    if update.completed.is_some() {
        return Err(bad(format!("invalid state transition attempted for Update {id}: completed twice")));
    }
    draft.record(Attributes::WorkflowExecutionUpdateCompletedEventAttributes(Box::new(
        WorkflowExecutionUpdateCompletedEventAttributes {
            meta: response.meta,
            accepted_event_id: update.accepted,
            outcome: Some(outcome.clone()),
        },
    )));
    draft.touch(ItemRef::Update(id.to_owned()));
    draft.step.notices.push(Notice::UpdateCompleted { id: id.to_owned(), outcome });
    Ok(())
}

fn reject(draft: &mut Draft<'_>, id: &str, rejection: RejectionMessage) -> Result<(), BadCommand> {
    if take_sent(draft, id).is_none() {
        return Err(not_found(id));
    }
    let failure = rejection.failure.unwrap_or_default();
    draft.step.notices.push(Notice::UpdateRejected { id: id.to_owned(), failure });
    Ok(())
}

/// Rejects what the worker was sent and did not answer: it would be sent again and again.
pub(crate) fn reject_unprocessed(draft: &mut Draft<'_>) {
    for update in take_all_sent(draft) {
        let id = update.id.clone();
        let failure = server_failure(
            "UnprocessedUpdate",
            "Workflow Update is rejected because it wasn't processed by worker. Probably, Workflow Update is not \
             supported by the worker.",
        );
        draft.step.notices.push(Notice::UpdateRejected { id, failure });
    }
}

/// The server failed the workflow task: what the worker had seen is over, the rest goes with the next task.
pub(crate) fn abort_sent(draft: &mut Draft<'_>) {
    for update in take_all_sent(draft) {
        draft.step.notices.push(Notice::UpdateAborted { id: update.id.clone(), reason: Abort::TaskFailed });
    }
}

/// The run is closing: nothing that waits will be answered by it.
pub(crate) fn on_close(draft: &mut Draft<'_>) {
    let reason = match draft.state.recorded.progress.successor {
        Some(_) => Abort::Continued,
        None => Abort::Closed,
    };
    for update in std::mem::take(&mut draft.state.unrecorded.volatile.updates) {
        draft.step.notices.push(Notice::UpdateAborted { id: update.id.clone(), reason });
    }
    let lost: Vec<String> = draft
        .state
        .recorded
        .updates
        .iter()
        .filter(|(_, it)| it.completed.is_none())
        .map(|(id, _)| id.clone())
        .collect();
    for id in lost {
        draft.step.notices.push(Notice::UpdateCompleted { id, outcome: lost_to_close() });
    }
}

/// The outcome of an update that was accepted by a run which closed before completing it.
pub fn lost_to_close() -> Outcome {
    let failure = server_failure(
        "AcceptedUpdateCompletedWorkflow",
        "Workflow Update failed because the Workflow completed before the Update completed.",
    );
    Outcome { value: Some(Value::Failure(failure)) }
}

fn server_failure(kind: &str, message: &str) -> Failure {
    Failure {
        message: message.to_owned(),
        source: "Server".to_owned(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
            r#type: kind.to_owned(),
            non_retryable: true,
            ..ApplicationFailureInfo::default()
        })),
        ..Failure::default()
    }
}

#[cfg(test)]
mod tests;
