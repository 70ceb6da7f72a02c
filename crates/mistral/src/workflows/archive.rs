//! Archiving takes a workflow off the list that people see. It can still be started, by whoever knows its name.

use super::{find, view};
use crate::Platform;
use crate::catalogue::Workflow;
use crate::error::Error;
use crate::extract::{Body, Path};
use crate::{limits, paging};
use axum::extract::State;
use axum::response::Json;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Deserialize)]
pub struct Request {
    workflow_ids: Vec<String>,
}

pub async fn one(platform: State<Platform>, identifier: Path<String>) -> Result<Json<Value>, Error> {
    set_one(platform, identifier, true).await
}

pub async fn one_back(platform: State<Platform>, identifier: Path<String>) -> Result<Json<Value>, Error> {
    set_one(platform, identifier, false).await
}

pub async fn many(platform: State<Platform>, request: Body<Request>) -> Result<Json<Value>, Error> {
    let (done, errored) = set_many(platform, request, true).await?;
    Ok(Json(json!({ "archived": done, "errored": errored })))
}

pub async fn many_back(platform: State<Platform>, request: Body<Request>) -> Result<Json<Value>, Error> {
    let (done, errored) = set_many(platform, request, false).await?;
    Ok(Json(json!({ "unarchived": done, "errored": errored })))
}

async fn set_one(
    State(platform): State<Platform>,
    Path(identifier): Path<String>,
    archived: bool,
) -> Result<Json<Value>, Error> {
    let (_, set) = set(&platform, vec![identifier.clone()], archived).await?.remove(0);
    let workflow = set.ok_or_else(|| Error::not_found(format!("workflow {identifier} is not found")))?;
    Ok(Json(json!({ "workflow": view::workflow(&platform, &workflow) })))
}

/// What has been set, and what is wrong with the others.
async fn set_many(
    State(platform): State<Platform>,
    Body(request): Body<Request>,
    archived: bool,
) -> Result<(Vec<view::WorkflowView>, Vec<Value>), Error> {
    paging::check_count("workflow_ids", request.workflow_ids.len(), limits::BATCH_MAX)?;
    let (mut done, mut errored) = (Vec::new(), Vec::new());
    for (id, set) in set(&platform, request.workflow_ids, archived).await? {
        match set {
            Some(workflow) => done.push(view::workflow(&platform, &workflow)),
            None => errored.push(json!({ "workflow_id": id, "message": format!("workflow {id} is not found") })),
        }
    }
    Ok((done, errored))
}

/// Sets all of them in one change; `None` for what is not there.
async fn set(
    platform: &Platform,
    identifiers: Vec<String>,
    archived: bool,
) -> Result<Vec<(String, Option<Arc<Workflow>>)>, Error> {
    let now = platform.now();
    platform
        .catalogue
        .change(|draft| {
            let mut outcome = Vec::with_capacity(identifiers.len());
            for identifier in identifiers {
                let known = find::named(draft.index(), &identifier).ok().cloned();
                let set = known.map(|known| match known.archived == archived {
                    true => known,
                    false => draft.put_workflow(Workflow { archived, updated_at: now, ..Workflow::clone(&known) }),
                });
                outcome.push((identifier, set));
            }
            Ok(outcome)
        })
        .await
}
