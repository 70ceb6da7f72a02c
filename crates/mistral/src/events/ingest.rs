//! Events that workers tell: `POST /v1/workflows/events`, `/v1/workflows/events/batch` and their v2 siblings.
//!
//! The v2 routes ask for a token that is bound to one run. A worker falls back to v1 on a 404 without a code, so
//! every answer here has one.
//!
//! Invariants
//! - Events are acknowledged once they are durable, a request's all together or none of them.
//! - An event is about a run that exists. A worker is handed a run only after the disk has it.

use super::incoming::Incoming;
use super::route_token::{Claims, LIFETIME, Refused};
use super::source::Source;
use crate::Platform;
use crate::error::{Error, Step, place};
use crate::extract::{self, Body};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Json;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::Arc;
use store::row::{Change, NewEvent};
use uuid::Uuid;

/// Codes that the worker's package knows.
mod code {
    pub const TOKEN_EXPIRED: &str = "EVENT_ROUTE_TOKEN_EXPIRED";
    pub const TOKEN_INVALID: &str = "EVENT_ROUTE_TOKEN_INVALID";
    pub const BINDING_INVALID: &str = "EVENT_ROUTE_TOKEN_BINDING_INVALID";
    pub const NOT_MATERIALIZED: &str = "EVENT_ROUTE_EXECUTION_NOT_MATERIALIZED";
    pub const GONE: &str = "EVENT_ROUTE_EXECUTION_GONE";
}

const TOKEN_HEADER: &str = "x-workflow-route-token";

#[derive(Deserialize)]
struct One {
    event: Box<RawValue>,
}

#[derive(Deserialize)]
struct Many {
    events: Vec<Box<RawValue>>,
}

pub async fn one(State(platform): State<Platform>, request: Request) -> Result<Json<Value>, Error> {
    let events = read_one(request, &platform).await?;
    accept(&platform, events).await?;
    Ok(Json(json!({ "status": "success", "message": null })))
}

pub async fn many(State(platform): State<Platform>, request: Request) -> Result<Json<Value>, Error> {
    let events = read_many(request, &platform).await?;
    let received = events.len();
    accept(&platform, events).await?;
    Ok(Json(json!({ "status": "success", "message": null, "events_received": received })))
}

#[derive(Deserialize)]
pub struct TokenRequest {
    workflow_exec_id: String,
    workflow_run_id: String,
}

/// Hands out a token for a run. The execution token that old servers asked for is not needed: the run is named.
pub async fn route_token(
    State(platform): State<Platform>,
    Body(request): Body<TokenRequest>,
) -> Result<Json<Value>, Error> {
    let TokenRequest { workflow_exec_id: workflow_id, workflow_run_id: run_id } = request;
    let Some(source) = platform.events.sources.find(&platform, &workflow_id, &run_id).await? else {
        let detail = format!("there is no run {run_id:?} of execution {workflow_id:?}");
        return Err(Error::new(StatusCode::NOT_FOUND, code::NOT_MATERIALIZED, detail));
    };
    let claims = Claims { workflow_id, run_id: source.log.run_id };
    let token = platform.events.signer.issue(&claims, platform.now());
    Ok(Json(json!({ "route_token": token, "expires_in_seconds": LIFETIME.as_secs() })))
}

pub async fn one_by_token(
    State(platform): State<Platform>,
    headers: HeaderMap,
    request: Request,
) -> Result<Json<Value>, Error> {
    let claims = claims(&platform, &headers)?;
    let events = read_one(request, &platform).await?;
    accept_by_token(&platform, events, &claims).await
}

pub async fn many_by_token(
    State(platform): State<Platform>,
    headers: HeaderMap,
    request: Request,
) -> Result<Json<Value>, Error> {
    let claims = claims(&platform, &headers)?;
    let events = read_many(request, &platform).await?;
    accept_by_token(&platform, events, &claims).await
}

async fn accept_by_token(platform: &Platform, events: Vec<Incoming>, claims: &Claims) -> Result<Json<Value>, Error> {
    for event in &events {
        let run_id = Uuid::try_parse(&event.workflow_run_id).ok();
        if event.workflow_exec_id != claims.workflow_id || run_id != Some(claims.run_id) {
            let detail = format!(
                "the route token is for run {} of execution {:?}, the event is about run {:?} of {:?}",
                claims.run_id, claims.workflow_id, event.workflow_run_id, event.workflow_exec_id
            );
            return Err(Error::new(StatusCode::FORBIDDEN, code::BINDING_INVALID, detail));
        }
    }
    let received = events.len();
    accept(platform, events).await.map_err(|error| match error.status {
        StatusCode::NOT_FOUND => Error { status: StatusCode::GONE, code: code::GONE, ..error },
        _ => error,
    })?;
    Ok(Json(json!({ "status": "success", "events_received": received })))
}

fn claims(platform: &Platform, headers: &HeaderMap) -> Result<Claims, Error> {
    let refused = |code, detail: &str| Error::new(StatusCode::UNAUTHORIZED, code, detail);
    let Some(token) = headers.get(TOKEN_HEADER) else {
        return Err(refused(code::TOKEN_INVALID, "the header X-Workflow-Route-Token is missing"));
    };
    let token = token.to_str().unwrap_or_default();
    platform.events.signer.check(token, platform.now()).map_err(|why| match why {
        Refused::Expired => refused(code::TOKEN_EXPIRED, "the route token has expired"),
        Refused::Invalid => refused(code::TOKEN_INVALID, "the route token is not one of this server"),
    })
}

async fn read_one(request: Request, platform: &Platform) -> Result<Vec<Incoming>, Error> {
    let One { event } = extract::parse(&extract::bytes(request, platform).await?)?;
    Ok(vec![Incoming::read(&event, &place(["body", "event"]))?])
}

async fn read_many(request: Request, platform: &Platform) -> Result<Vec<Incoming>, Error> {
    let Many { events } = extract::parse(&extract::bytes(request, platform).await?)?;
    let read = |(index, event): (usize, &RawValue)| {
        let mut loc = place(["body", "events"]);
        loc.push(Step::Index(index));
        Incoming::read(event, &loc)
    };
    events.iter().map(AsRef::as_ref).enumerate().map(read).collect()
}

/// Writes events of any runs, in their order, and waits until they are durable.
async fn accept(platform: &Platform, events: Vec<Incoming>) -> Result<(), Error> {
    let now = platform.now();
    let mut runs: Vec<(Arc<Source>, Vec<NewEvent>)> = Vec::new();
    for event in events {
        let (workflow_id, run_id) = (&event.workflow_exec_id, &event.workflow_run_id);
        let Some(source) = platform.events.sources.find(platform, workflow_id, run_id).await? else {
            return Err(Error::not_found(format!("there is no run {run_id:?} of execution {workflow_id:?}")));
        };
        let row = event.into_row(&source, now);
        match runs.last_mut() {
            Some((last, rows)) if last.log.run == source.log.run => rows.push(row),
            _ => runs.push((source, vec![row])),
        }
    }
    let append = |(source, events): (Arc<Source>, _)| Change::AppendEvents { source: source.log.clone(), events };
    platform.write(runs.into_iter().map(append).collect()).await
}
