//! `POST /workers/heartbeat`, every ten seconds from each worker.
//!
//! A worker whose heartbeat fails registers again with its next tick, but stops sending heartbeats for good when it
//! is told that there is no such route: an unknown one is refused with 409 and not with 404.

use crate::Platform;
use crate::catalogue::WorkerKey;
use crate::error::{Error, code};
use crate::extract::Body;
use axum::extract::State;
use axum::response::Json;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Deserialize)]
pub struct Request {
    deployment_name: String,
    worker_name: String,
    #[serde(default)]
    workflow_registration_refs: Vec<Ref>,
}

#[derive(Deserialize)]
struct Ref {
    workflow_id: Uuid,
    workflow_registration_id: Option<Uuid>,
}

pub async fn handle(State(platform): State<Platform>, Body(request): Body<Request>) -> Result<Json<Value>, Error> {
    let index = platform.index();
    let key = WorkerKey { deployment: request.deployment_name, worker: request.worker_name };
    if index.worker(&key).is_none() {
        let detail = format!("worker {} of deployment {} is not registered", key.worker, key.deployment);
        return Err(Error::conflict(code::REGISTRATION, detail));
    }
    let now = platform.now();
    if platform.liveness.beat(key.clone(), now) {
        platform.catalogue.remember_beat(&key, now);
    }
    let in_force = |named: &Ref| match index.current(&key.deployment, named.workflow_id) {
        Some(current) => named.workflow_registration_id.is_none_or(|id| id == current.id),
        None => false,
    };
    Ok(Json(json!({ "all_active": request.workflow_registration_refs.iter().all(in_force) })))
}
