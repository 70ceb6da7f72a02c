//! ListArchivedWorkflowExecutions: there is no archive, and the answer says so.

use crate::{Error, Service, validate};
use api::workflowservice::v1::{
    ListArchivedWorkflowExecutionsRequest as Request, ListArchivedWorkflowExecutionsResponse as Response,
};

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    validate::namespace(&service.namespaces, &request.namespace)?;
    Err(Error::invalid("Cluster is not configured for visibility archival."))
}
