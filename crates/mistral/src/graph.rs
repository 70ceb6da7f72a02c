//! Graphs of workflows, which workers draw from the source of their code and upload when they are asked to.
//!
//! One is kept for each registration and given back as it came. Summaries of its nodes are written by a model that
//! only the vendor has: a 404 there tells the worker to do without.

use crate::Platform;
use crate::error::Error;
use crate::extract::{Body, Path};
use axum::Router;
use axum::extract::State;
use axum::response::Json;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use store::row::{Change, DocumentKind};
use uuid::Uuid;

pub fn routes() -> Router<Platform> {
    Router::new()
        .route("/{workflow}/graphs", post(upload))
        .route("/{workflow}/graphs/{registration}", get(read))
        .route("/{workflow}/graphs/{registration}/summaries", post(summaries))
}

/// A graph, or why there is none.
#[derive(Serialize, Deserialize)]
struct Graph {
    workflow_registration_id: Uuid,
    version: i64,
    graph_data: Option<Box<RawValue>>,
    error: Option<String>,
}

async fn upload(
    State(platform): State<Platform>,
    Path(workflow): Path<String>,
    Body(graph): Body<Graph>,
) -> Result<Json<Value>, Error> {
    let key = of_workflow(&platform, &workflow, graph.workflow_registration_id)?;
    let bytes = serde_json::to_vec(&graph).expect("a graph came as JSON").into();
    let put = Change::PutDocument { kind: DocumentKind::Graph, key, bytes };
    platform.write(vec![put]).await?;
    Ok(Json(json!({ "status": "success" })))
}

async fn read(
    State(platform): State<Platform>,
    Path((workflow, registration)): Path<(String, Uuid)>,
) -> Result<Json<Box<RawValue>>, Error> {
    let key = of_workflow(&platform, &workflow, registration)?;
    let found = platform.read(move |store| store.document(DocumentKind::Graph, &key)).await?;
    let bytes = found.ok_or_else(|| Error::not_found(format!("registration {registration} has no graph")))?;
    Ok(Json(serde_json::from_slice(&bytes).map_err(Error::internal)?))
}

async fn summaries(Path((workflow, _)): Path<(String, String)>) -> Error {
    Error::not_found(format!("summaries of {workflow} need a model that is not available here"))
}

/// The registration's key, if it is one of this workflow.
fn of_workflow(platform: &Platform, workflow: &str, registration: Uuid) -> Result<String, Error> {
    let index = platform.index();
    let named = index.workflow(workflow).map(|workflow| workflow.id);
    let found = index.registration(registration).filter(|found| Some(found.workflow_id) == named);
    match found {
        Some(_) => Ok(registration.to_string()),
        None => Err(Error::not_found(format!("registration {registration} of workflow {workflow} is not found"))),
    }
}
