//! ShutdownWorker.

use crate::{Error, Service, validate};
use api::workflowservice::v1::{ShutdownWorkerRequest as Request, ShutdownWorkerResponse as Response};

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let namespace = validate::namespace(&service.namespaces, &request.namespace)?;
    service.engine.shutdown_worker(namespace.key, &request.sticky_task_queue, &request.worker_instance_key);
    Ok(Response {})
}
