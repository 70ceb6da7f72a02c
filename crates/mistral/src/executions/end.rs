//! Cancel and terminate, of one execution or of up to a hundred.

use super::handlers;
use crate::error::{Error, place};
use crate::extract::{Body, Path};
use crate::{Platform, limits};
use api::workflowservice::v1::{RequestCancelWorkflowExecutionRequest, TerminateWorkflowExecutionRequest};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// How an execution is asked to end.
#[derive(Debug, Clone, Copy)]
enum End {
    Cancel,
    Terminate,
}

#[derive(Deserialize)]
pub struct Many {
    execution_ids: Vec<String>,
}

pub async fn cancel(State(platform): State<Platform>, Path(execution): Path<String>) -> Result<StatusCode, Error> {
    one(&platform, &execution, End::Cancel).await.map(|()| StatusCode::NO_CONTENT)
}

pub async fn terminate(State(platform): State<Platform>, Path(execution): Path<String>) -> Result<StatusCode, Error> {
    one(&platform, &execution, End::Terminate).await.map(|()| StatusCode::NO_CONTENT)
}

pub async fn cancel_many(State(platform): State<Platform>, Body(many): Body<Many>) -> Result<Json<Value>, Error> {
    each(&platform, many, End::Cancel).await
}

pub async fn terminate_many(State(platform): State<Platform>, Body(many): Body<Many>) -> Result<Json<Value>, Error> {
    each(&platform, many, End::Terminate).await
}

async fn one(platform: &Platform, execution: &str, end: End) -> Result<(), Error> {
    handlers::running(platform, execution).await?;
    let (namespace, named) = (platform.settings.namespace.clone(), handlers::named(execution));
    let (service, identity) = (&platform.service, super::IDENTITY.to_owned());
    let ended = match end {
        End::Cancel => {
            let request = RequestCancelWorkflowExecutionRequest {
                namespace,
                workflow_execution: named,
                identity,
                request_id: service.entropy.uuid().to_string(),
                ..RequestCancelWorkflowExecutionRequest::default()
            };
            server::handlers::request_cancel_workflow_execution::handle(service, request).await.map(drop)
        }
        End::Terminate => {
            let request = TerminateWorkflowExecutionRequest {
                namespace,
                workflow_execution: named,
                reason: "terminated through the API".into(),
                identity,
                ..TerminateWorkflowExecutionRequest::default()
            };
            server::handlers::terminate_workflow_execution::handle(service, request).await.map(drop)
        }
    };
    match ended {
        Ok(()) => Ok(()),
        Err(error) => Err(handlers::refused(platform, execution, error).await),
    }
}

async fn each(platform: &Platform, many: Many, end: End) -> Result<Json<Value>, Error> {
    let asked = many.execution_ids.len();
    if !(1..=limits::BATCH_MAX).contains(&asked) {
        let msg = format!("execution_ids must have 1 to {} items, not {asked}", limits::BATCH_MAX);
        return Err(Error::invalid(place(["body", "execution_ids"]), msg));
    }
    let ids: BTreeSet<_> = many.execution_ids.into_iter().collect();
    let ended = join_all(ids.iter().map(|id| one(platform, id, end))).await;
    let results: Map<_, _> = ids
        .into_iter()
        .zip(ended)
        .map(|(id, ended)| match ended {
            Ok(()) => (id, json!({ "status": "success" })),
            Err(error) => (id, json!({ "status": "failure", "error": error.text() })),
        })
        .collect();
    Ok(Json(json!({ "results": results })))
}
