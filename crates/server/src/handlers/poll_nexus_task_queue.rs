//! PollNexusTaskQueue: there are no endpoints on this server, so no Nexus task ever waits. A worker that offers
//! Nexus services next to its workflows polls here; it waits like any other poller, and leaves when it is told to.

use crate::{Error, Service, grpc::Context, handlers::support, validate};
use api::workflowservice::v1::{PollNexusTaskQueueRequest as Request, PollNexusTaskQueueResponse as Response};

pub async fn handle(service: &Service, request: Request, context: Context) -> Result<Response, Error> {
    validate::namespace(&service.namespaces, &request.namespace)?;
    validate::task_queue(request.task_queue, &service.limits)?;
    validate::identity(&request.identity, &service.limits)?;
    let until = support::wait_until(service, context.deadline, service.limits.task_long_poll);
    service.engine.wait_for_departure(&request.worker_instance_key, until).await;
    Ok(Response::default())
}
