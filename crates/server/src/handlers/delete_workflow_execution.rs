//! DeleteWorkflowExecution.

use crate::{Error, Service, handlers::support};
use api::workflowservice::v1::{
    DeleteWorkflowExecutionRequest as Request, DeleteWorkflowExecutionResponse as Response,
};

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let (_, target) = support::target(service, &request.namespace, request.workflow_execution)?;
    service.engine.delete(target).await?;
    Ok(Response {})
}
