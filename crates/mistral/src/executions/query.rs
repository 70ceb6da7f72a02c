//! `POST /executions/{id}/queries`. Closed executions answer too, as long as a worker serves them.

use super::handlers::{self, Request};
use crate::extract::{Body, Path};
use crate::{Error, Platform, payload};
use api::query::v1::WorkflowQuery;
use api::workflowservice::v1::QueryWorkflowRequest;
use axum::extract::State;
use axum::response::Json;
use serde::Serialize;
use serde_json::value::RawValue;
use server::grpc::{Client, Context};
use std::time::Duration;

/// How long a query may take.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Serialize)]
pub struct Answer {
    query_name: String,
    result: Box<RawValue>,
}

pub async fn handle(
    State(platform): State<Platform>,
    Path(execution): Path<String>,
    Body(request): Body<Request>,
) -> Result<Json<Answer>, Error> {
    let snapshot = handlers::latest(&platform, &execution).await?;
    let query_name = request.name.clone();
    let args = handlers::input(&platform, &snapshot.state, request, "query", |definition| &definition.queries)?;
    let query = WorkflowQuery { query_type: query_name.clone(), query_args: Some(args), header: None };
    let ask = QueryWorkflowRequest {
        namespace: platform.settings.namespace.clone(),
        execution: handlers::named(&execution),
        query: Some(query),
        ..QueryWorkflowRequest::default()
    };
    let context = Context { deadline: Some(platform.now() + TIMEOUT), client: Client::Sdk };
    let answered = tokio::select! {
        answered = server::handlers::query_workflow::handle(&platform.service, ask, context) => answered?,
        () = tokio::time::sleep(TIMEOUT) => return Err(server::Error::DeadlineExceeded.into()),
        () = platform.service.shutdown.cancelled() => return Err(Error::shutting_down()),
    };
    Ok(Json(Answer { query_name, result: payload::read_first(answered.query_result.as_ref()) }))
}
