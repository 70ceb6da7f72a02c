//! CountWorkers.

use crate::{Error, Service, validate};
use api::workflowservice::v1::{CountWorkersRequest as Request, CountWorkersResponse as Response};

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let namespace = validate::namespace(&service.namespaces, &request.namespace)?;
    let workers = service.workers.list(namespace.key, &request.query, service.clock.now())?;
    Ok(Response { count: workers.len() as i64 })
}
