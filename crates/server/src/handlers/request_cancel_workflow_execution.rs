//! RequestCancelWorkflowExecution.

use crate::{Error, Service, handlers::support, validate};
use api::workflowservice::v1::{
    RequestCancelWorkflowExecutionRequest as Request, RequestCancelWorkflowExecutionResponse as Response,
};
use tradewind_core::step::{CancelRequest, Input};

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let (_, target) = support::target(service, &request.namespace, request.workflow_execution)?;
    let limits = &service.limits;
    validate::request_id(&request.request_id, limits)?;
    validate::identity(&request.identity, limits)?;
    validate::links(&request.links, limits)?;
    let cancel = CancelRequest {
        reason: request.reason,
        identity: request.identity,
        request_id: request.request_id,
        links: request.links,
        external: None,
        first_run_id: validate::run_id(&request.first_execution_run_id)?,
        child_only: None,
    };
    service.engine.step(target, Input::RequestCancel(cancel)).await?;
    Ok(Response {})
}
