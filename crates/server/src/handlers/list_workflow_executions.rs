//! ListWorkflowExecutions: one page of what a query matches.

use crate::{Error, Service, handlers::visibility};
use api::workflowservice::v1::{ListWorkflowExecutionsRequest as Request, ListWorkflowExecutionsResponse as Response};

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let page =
        visibility::list(service, &request.namespace, &request.query, request.page_size, request.next_page_token)
            .await?;
    Ok(Response { executions: page.executions, next_page_token: page.next_page_token })
}
