//! PollActivityTaskQueue.

use crate::{Error, Service, grpc::Context, handlers::polling};
use api::workflowservice::v1::{PollActivityTaskQueueRequest as Request, PollActivityTaskQueueResponse as Response};
use tradewind_core::ids::TaskKind;

pub async fn handle(service: &Service, request: Request, context: Context) -> Result<Response, Error> {
    let per_second = request.task_queue_metadata.and_then(|it| it.max_tasks_per_second);
    let poll = polling::poll(
        service,
        TaskKind::Activity,
        &request.namespace,
        request.task_queue,
        request.identity,
        request.worker_instance_key,
        per_second,
        context,
    )?;
    Ok(service.engine.poll_activity_task(poll).await?.unwrap_or_default())
}
