//! PollWorkflowTaskQueue.

use crate::{Error, Service, grpc::Context, handlers::polling};
use api::workflowservice::v1::{PollWorkflowTaskQueueRequest as Request, PollWorkflowTaskQueueResponse as Response};
use tradewind_core::ids::TaskKind;

pub async fn handle(service: &Service, request: Request, context: Context) -> Result<Response, Error> {
    let poll = polling::poll(
        service,
        TaskKind::Workflow,
        &request.namespace,
        request.task_queue,
        request.identity,
        request.worker_instance_key,
        None,
        context,
    )?;
    Ok(service.engine.poll_workflow_task(poll).await?.unwrap_or_default())
}
