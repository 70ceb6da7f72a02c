//! The four reports on an activity attempt (completed, failed, canceled, heartbeat), each by task token and by
//! activity id. The two forms of one report differ in how they name the activity, and in nothing else.

use crate::{Error, Service, handlers::support, validate};
use api::workflowservice::v1 as wire;
use engine::message::{Stepped, Target};
use tradewind_core::step::{ActivityRef, Input, Reply};

/// An activity by the id that workflow code gave it.
fn by_id(
    service: &Service,
    namespace: &str,
    workflow_id: String,
    run_id: &str,
    activity_id: String,
) -> Result<(Target, ActivityRef), Error> {
    let namespace = validate::namespace(&service.namespaces, namespace)?;
    validate::workflow_id(&workflow_id, &service.limits)?;
    if activity_id.is_empty() {
        return Err(Error::invalid("ActivityId is not set on request."));
    }
    let target = Target::execution(namespace.key, workflow_id, validate::run_id(run_id)?);
    Ok((target, ActivityRef::Id(activity_id)))
}

fn by_token(service: &Service, token: &[u8], namespace: &str) -> Result<(Target, ActivityRef), Error> {
    let token = support::activity_token(service, token, namespace)?;
    Ok((support::target_of(&token), token.activity()))
}

async fn report(service: &Service, target: Target, identity: &str, input: Input) -> Result<Stepped, Error> {
    validate::identity(identity, &service.limits)?;
    Ok(service.engine.step(target, input).await?)
}

pub async fn completed(
    service: &Service,
    it: wire::RespondActivityTaskCompletedRequest,
) -> Result<wire::RespondActivityTaskCompletedResponse, Error> {
    let (target, activity) = by_token(service, &it.task_token, &it.namespace)?;
    let input = Input::CompleteActivity { activity, result: it.result, identity: it.identity.clone() };
    report(service, target, &it.identity, input).await?;
    Ok(wire::RespondActivityTaskCompletedResponse {})
}

pub async fn completed_by_id(
    service: &Service,
    it: wire::RespondActivityTaskCompletedByIdRequest,
) -> Result<wire::RespondActivityTaskCompletedByIdResponse, Error> {
    let (target, activity) = by_id(service, &it.namespace, it.workflow_id, &it.run_id, it.activity_id)?;
    let input = Input::CompleteActivity { activity, result: it.result, identity: it.identity.clone() };
    report(service, target, &it.identity, input).await?;
    Ok(wire::RespondActivityTaskCompletedByIdResponse {})
}

pub async fn failed(
    service: &Service,
    it: wire::RespondActivityTaskFailedRequest,
) -> Result<wire::RespondActivityTaskFailedResponse, Error> {
    let (target, activity) = by_token(service, &it.task_token, &it.namespace)?;
    let input = Input::FailActivity {
        activity,
        failure: it.failure,
        last_heartbeat: it.last_heartbeat_details,
        identity: it.identity.clone(),
    };
    report(service, target, &it.identity, input).await?;
    Ok(wire::RespondActivityTaskFailedResponse::default())
}

pub async fn failed_by_id(
    service: &Service,
    it: wire::RespondActivityTaskFailedByIdRequest,
) -> Result<wire::RespondActivityTaskFailedByIdResponse, Error> {
    let (target, activity) = by_id(service, &it.namespace, it.workflow_id, &it.run_id, it.activity_id)?;
    let input = Input::FailActivity {
        activity,
        failure: it.failure,
        last_heartbeat: it.last_heartbeat_details,
        identity: it.identity.clone(),
    };
    report(service, target, &it.identity, input).await?;
    Ok(wire::RespondActivityTaskFailedByIdResponse::default())
}

pub async fn canceled(
    service: &Service,
    it: wire::RespondActivityTaskCanceledRequest,
) -> Result<wire::RespondActivityTaskCanceledResponse, Error> {
    let (target, activity) = by_token(service, &it.task_token, &it.namespace)?;
    let input = Input::CancelActivity { activity, details: it.details, identity: it.identity.clone() };
    report(service, target, &it.identity, input).await?;
    Ok(wire::RespondActivityTaskCanceledResponse {})
}

pub async fn canceled_by_id(
    service: &Service,
    it: wire::RespondActivityTaskCanceledByIdRequest,
) -> Result<wire::RespondActivityTaskCanceledByIdResponse, Error> {
    let (target, activity) = by_id(service, &it.namespace, it.workflow_id, &it.run_id, it.activity_id)?;
    let input = Input::CancelActivity { activity, details: it.details, identity: it.identity.clone() };
    report(service, target, &it.identity, input).await?;
    Ok(wire::RespondActivityTaskCanceledByIdResponse {})
}

pub async fn heartbeat(
    service: &Service,
    it: wire::RecordActivityTaskHeartbeatRequest,
) -> Result<wire::RecordActivityTaskHeartbeatResponse, Error> {
    let (target, activity) = by_token(service, &it.task_token, &it.namespace)?;
    let input = Input::Heartbeat { activity, details: it.details, identity: it.identity.clone() };
    let (cancel_requested, activity_reset) = flags(&report(service, target, &it.identity, input).await?);
    Ok(wire::RecordActivityTaskHeartbeatResponse { cancel_requested, activity_paused: false, activity_reset })
}

pub async fn heartbeat_by_id(
    service: &Service,
    it: wire::RecordActivityTaskHeartbeatByIdRequest,
) -> Result<wire::RecordActivityTaskHeartbeatByIdResponse, Error> {
    let (target, activity) = by_id(service, &it.namespace, it.workflow_id, &it.run_id, it.activity_id)?;
    let input = Input::Heartbeat { activity, details: it.details, identity: it.identity.clone() };
    let (cancel_requested, activity_reset) = flags(&report(service, target, &it.identity, input).await?);
    Ok(wire::RecordActivityTaskHeartbeatByIdResponse { cancel_requested, activity_paused: false, activity_reset })
}

fn flags(stepped: &Stepped) -> (bool, bool) {
    match stepped.reply {
        Reply::Heartbeat { cancel_requested, reset } => (cancel_requested, reset),
        _ => unreachable!("a heartbeat is answered with its flags"),
    }
}
