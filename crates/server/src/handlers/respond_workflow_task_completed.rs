//! RespondWorkflowTaskCompleted.

use crate::{Error, Service, handlers::support, validate};
use api::workflowservice::v1::{
    RespondWorkflowTaskCompletedRequest as Request, RespondWorkflowTaskCompletedResponse as Response,
};

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let token = support::workflow_token(service, &request.task_token, &request.namespace)?;
    validate::identity(&request.identity, &service.limits)?;
    if request.intermediate_page || request.page_number > 0 {
        return Err(Error::Unimplemented("workflow task completions in several pages are not supported".into()));
    }
    Ok(service.engine.complete_workflow_task(&token, request).await?)
}
