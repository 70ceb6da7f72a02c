//! ShutdownWorker: a worker says that it leaves. Its polls return at once, and its last heartbeat counts.

use crate::{Error, Service, validate};
use api::workflowservice::v1::{ShutdownWorkerRequest as Request, ShutdownWorkerResponse as Response};

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let namespace = validate::namespace(&service.namespaces, &request.namespace)?;
    service.workers.record(namespace.key, request.worker_heartbeat.into_iter().collect(), service.clock.now());
    service.engine.shutdown_worker(namespace.key, &request.sticky_task_queue, &request.worker_instance_key);
    Ok(Response {})
}
