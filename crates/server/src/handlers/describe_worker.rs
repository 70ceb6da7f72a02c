//! DescribeWorker: the last heartbeat of one worker.

use crate::{Error, Service, validate};
use api::worker::v1::WorkerInfo;
use api::workflowservice::v1::{DescribeWorkerRequest as Request, DescribeWorkerResponse as Response};

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let namespace = validate::namespace(&service.namespaces, &request.namespace)?;
    let found = service.workers.find(namespace.key, &request.worker_instance_key, service.clock.now());
    let worker = found.ok_or_else(|| Error::not_found(format!("Worker {} not found", request.worker_instance_key)))?;
    Ok(Response { worker_info: Some(WorkerInfo { worker_heartbeat: Some(worker) }) })
}
