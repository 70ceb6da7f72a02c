//! RecordWorkerHeartbeat: a worker process reports every minute, for all its workers at once.

use crate::{Error, Service, validate};
use api::workflowservice::v1::{RecordWorkerHeartbeatRequest as Request, RecordWorkerHeartbeatResponse as Response};

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let namespace = validate::namespace(&service.namespaces, &request.namespace)?;
    service.workers.record(namespace.key, request.worker_heartbeat, service.clock.now());
    Ok(Response::default())
}
