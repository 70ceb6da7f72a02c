//! RespondWorkflowTaskFailed.

use crate::{Error, Service, handlers::support, validate};
use api::workflowservice::v1::{
    RespondWorkflowTaskFailedRequest as Request, RespondWorkflowTaskFailedResponse as Response,
};
use tradewind_core::step::Input;

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let token = support::workflow_token(service, &request.task_token, &request.namespace)?;
    validate::identity(&request.identity, &service.limits)?;
    let input = Input::FailWorkflowTask {
        token: token.workflow_task(),
        cause: request.cause(),
        failure: request.failure,
        identity: request.identity,
        binary_checksum: request.binary_checksum,
    };
    service.engine.step(support::target_of(&token), input).await?;
    Ok(Response {})
}
