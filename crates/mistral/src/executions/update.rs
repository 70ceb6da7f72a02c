//! `POST /executions/{id}/updates`: waits until the worker has answered.

use super::handlers::{self, Request};
use super::view;
use crate::error::{Error, place};
use crate::extract::{Body, Path};
use crate::{Platform, payload};
use api::enums::v1::UpdateWorkflowExecutionLifecycleStage as Lifecycle;
use api::update::v1::outcome::Value;
use api::update::v1::{Input as UpdateInput, Meta, Outcome, Request as Update, UpdateRef, WaitPolicy};
use api::workflowservice::v1::{PollWorkflowExecutionUpdateRequest, UpdateWorkflowExecutionRequest};
use axum::extract::State;
use axum::response::Json;
use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Serialize)]
pub struct Answer {
    update_name: String,
    result: Box<RawValue>,
}

pub async fn handle(
    State(platform): State<Platform>,
    Path(execution): Path<String>,
    Body(request): Body<Request>,
) -> Result<Json<Answer>, Error> {
    let snapshot = handlers::running(&platform, &execution).await?;
    let update_name = request.name.clone();
    let args = handlers::input(&platform, &snapshot.state, request, "update", |definition| &definition.updates)?;
    let update = Update {
        meta: Some(Meta { update_id: platform.service.entropy.uuid().to_string(), identity: super::IDENTITY.into() }),
        input: Some(UpdateInput { header: None, name: update_name.clone(), args: Some(args) }),
        ..Update::default()
    };
    match outcome(&platform, &execution, update).await {
        Ok(Outcome { value: Some(Value::Failure(failure)) }) => {
            Err(Error::invalid(place(["body", "input"]), view::message(Some(&failure))))
        }
        Ok(Outcome { value: Some(Value::Success(result)) }) => {
            Ok(Json(Answer { update_name, result: payload::read_first(Some(&result)) }))
        }
        Ok(Outcome { value: None }) => Ok(Json(Answer { update_name, result: payload::null() })),
        Err(error) => Err(handlers::refused(&platform, &execution, error).await),
    }
}

/// Sends the update and waits for what comes of it, for as long as the caller does.
async fn outcome(platform: &Platform, execution: &str, update: Update) -> Result<Outcome, server::Error> {
    let policy = || Some(WaitPolicy { lifecycle_stage: Lifecycle::Completed as i32 });
    let first = UpdateWorkflowExecutionRequest {
        namespace: platform.settings.namespace.clone(),
        workflow_execution: handlers::named(execution),
        wait_policy: policy(),
        request: Some(update),
        ..UpdateWorkflowExecutionRequest::default()
    };
    let sent = server::handlers::update_workflow_execution::handle(&platform.service, first).await?;
    let (mut outcome, mut reference): (_, Option<UpdateRef>) = (sent.outcome, sent.update_ref);
    loop {
        if let Some(outcome) = outcome {
            return Ok(outcome);
        }
        let again = PollWorkflowExecutionUpdateRequest {
            namespace: platform.settings.namespace.clone(),
            update_ref: reference,
            identity: super::IDENTITY.into(),
            wait_policy: policy(),
        };
        let polled = server::handlers::poll_workflow_execution_update::handle(&platform.service, again).await?;
        (outcome, reference) = (polled.outcome, polled.update_ref);
    }
}
