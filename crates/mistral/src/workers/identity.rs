//! `POST /workers/executor-identity-token`, and `/workers/executor-identity` before it: for whom a run runs.
//!
//! A worker of a workflow that acts on behalf of its users asks with the execution token of the run, and is given a pass
//! for a few minutes under the name of the API key that started the execution. A child acts for whoever started the root.
//!
//! Invariant: only a worker that may serve the run's deployment is told, and only while the run runs.

use crate::error::{Error, code};
use crate::executions::view;
use crate::extract::Body;
use crate::{Platform, deployments};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use engine::message::Target;
use serde::Deserialize;
use serde_json::{Value, json};
use server::auth::{Caller, Keys};
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
pub struct Request {
    execution_token: String,
}

pub async fn token(
    State(platform): State<Platform>,
    Extension(keys): Extension<Keys>,
    caller: Option<Extension<Caller>>,
    Body(request): Body<Request>,
) -> Result<Json<Value>, Error> {
    let user = user(&platform, caller.as_deref(), &request.execution_token).await?;
    Ok(Json(json!({ "token": keys.issue_pass(&user, platform.now()) })))
}

pub async fn of_whom(
    State(platform): State<Platform>,
    caller: Option<Extension<Caller>>,
    Body(request): Body<Request>,
) -> Result<Json<Value>, Error> {
    let user = user(&platform, caller.as_deref(), &request.execution_token).await?;
    Ok(Json(json!({
        "customer_id": platform.workspace_id(),
        "workspace_id": platform.workspace_id(),
        "user_id": user,
        "organization_id": null,
    })))
}

/// The name under which the execution was started that this token belongs to.
async fn user(platform: &Platform, caller: Option<&Caller>, token: &str) -> Result<String, Error> {
    let hash = Sha256::digest(token).into();
    let row = platform.read(move |store| store.run_with_token(&hash)?.map_or(Ok(None), |run| store.visibility(run)));
    // As the others: who guesses learns nothing from the difference. Workers take 403 as final.
    let refused =
        || Error::new(StatusCode::FORBIDDEN, code::NOT_FOUND, "the execution token names no run that you may act for");
    let row = row.await?.filter(|row| row.close_time.is_none()).ok_or_else(refused)?;
    let index = platform.index();
    let deployment = index.deployment(&row.task_queue).ok_or_else(refused)?;
    deployments::refuse_stranger(deployment, caller).map_err(|_| refused())?;
    let workflow = index.workflow(&row.workflow_type).ok_or_else(refused)?;
    let registered = index.current(&deployment.name, workflow.id).ok_or_else(refused)?;
    if !registered.definition.on_behalf_of {
        return Err(refused());
    }
    let (root, root_run) = row.root;
    let target = Target::execution(platform.namespace, root, Some(root_run));
    let started = view::inspect(platform, target, false).await.map_err(|_| refused())?;
    Ok(started.state.start.event.identity.clone())
}
