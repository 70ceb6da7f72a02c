//! TerminateWorkflowExecution.

use crate::{Error, Service, handlers::support, validate};
use api::workflowservice::v1::{
    TerminateWorkflowExecutionRequest as Request, TerminateWorkflowExecutionResponse as Response,
};
use engine::message::{Execution, Target};
use tradewind_core::step::Input;

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let (namespace, _) = support::target(service, &request.namespace, request.workflow_execution.clone())?;
    let name = validate::execution(request.workflow_execution)?;
    validate::identity(&request.identity, &service.limits)?;
    validate::blob(request.details.as_ref(), &service.limits)?;
    validate::links(&request.links, &service.limits)?;
    let target = Target::Execution(Execution {
        namespace: namespace.key,
        workflow_id: name.workflow_id,
        run_id: name.run_id,
        first_run_id: validate::run_id(&request.first_execution_run_id)?,
    });
    let input = Input::Terminate {
        reason: request.reason,
        details: request.details,
        identity: request.identity,
        links: request.links,
    };
    service.engine.step(target, input).await?;
    Ok(Response {})
}
