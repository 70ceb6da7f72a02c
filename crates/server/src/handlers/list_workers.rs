//! ListWorkers: those that sent a heartbeat lately.

use crate::{Error, Service, validate};
use api::worker::v1::{WorkerHeartbeat, WorkerInfo, WorkerListInfo};
use api::workflowservice::v1::{ListWorkersRequest as Request, ListWorkersResponse as Response};
use bytes::Bytes;

// `workers_info` is deprecated in favour of `workers`, and the only one that SDKs in use read.
#[expect(deprecated)]
pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let namespace = validate::namespace(&service.namespaces, &request.namespace)?;
    // The token is the instance key of the last worker on the page.
    let after = std::str::from_utf8(&request.next_page_token).map_err(|_| Error::invalid("invalid next_page_token"))?;
    let page_size = usize::try_from(request.page_size).map_err(|_| Error::invalid("Invalid PageSize."))?;

    let mut workers = service.workers.list(namespace.key, &request.query, service.clock.now())?;
    workers.retain(|worker| worker.worker_instance_key.as_str() > after || after.is_empty());
    let mut next_page_token = Bytes::new();
    if page_size > 0 && workers.len() > page_size {
        workers.truncate(page_size);
        next_page_token = Bytes::from(workers[page_size - 1].worker_instance_key.clone());
    }
    Ok(Response {
        workers: workers.iter().map(list_info).collect(),
        workers_info: workers.into_iter().map(|worker| WorkerInfo { worker_heartbeat: Some(worker) }).collect(),
        next_page_token,
    })
}

fn list_info(worker: &WorkerHeartbeat) -> WorkerListInfo {
    let host = worker.host_info.clone().unwrap_or_default();
    WorkerListInfo {
        worker_instance_key: worker.worker_instance_key.clone(),
        worker_identity: worker.worker_identity.clone(),
        task_queue: worker.task_queue.clone(),
        deployment_version: worker.deployment_version.clone(),
        sdk_name: worker.sdk_name.clone(),
        sdk_version: worker.sdk_version.clone(),
        status: worker.status,
        start_time: worker.start_time,
        host_name: host.host_name,
        worker_grouping_key: host.worker_grouping_key,
        process_id: host.process_id,
        plugins: worker.plugins.clone(),
        drivers: worker.drivers.clone(),
    }
}
