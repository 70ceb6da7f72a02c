//! ScanWorkflowExecutions: deprecated, the same as a list. The order is the list's too, which nobody was promised.

use crate::{Error, Service, handlers::visibility};
use api::workflowservice::v1::{ScanWorkflowExecutionsRequest as Request, ScanWorkflowExecutionsResponse as Response};

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let page =
        visibility::list(service, &request.namespace, &request.query, request.page_size, request.next_page_token)
            .await?;
    Ok(Response { executions: page.executions, next_page_token: page.next_page_token })
}
