//! `POST /executions/{id}/signals`.

use super::handlers::{self, Request};
use crate::Platform;
use crate::error::Error;
use crate::extract::{Body, Path};
use api::workflowservice::v1::SignalWorkflowExecutionRequest;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use serde_json::json;

pub async fn handle(
    State(platform): State<Platform>,
    Path(execution): Path<String>,
    Body(request): Body<Request>,
) -> Result<Response, Error> {
    let snapshot = handlers::running(&platform, &execution).await?;
    let signal_name = request.name.clone();
    let input = handlers::input(&platform, &snapshot.state, request, "signal", |definition| &definition.signals)?;
    let signal = SignalWorkflowExecutionRequest {
        namespace: platform.settings.namespace.clone(),
        workflow_execution: handlers::named(&execution),
        signal_name,
        input: Some(input),
        identity: super::IDENTITY.into(),
        request_id: platform.service.entropy.uuid().to_string(),
        ..SignalWorkflowExecutionRequest::default()
    };
    match server::handlers::signal_workflow_execution::handle(&platform.service, signal).await {
        Ok(_) => Ok((StatusCode::ACCEPTED, Json(json!({ "message": "Signal accepted" }))).into_response()),
        Err(error) => Err(handlers::refused(&platform, &execution, error).await),
    }
}
