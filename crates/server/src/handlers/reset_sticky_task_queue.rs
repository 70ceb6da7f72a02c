//! ResetStickyTaskQueue.

use crate::{Error, Service, handlers::support};
use api::workflowservice::v1::{ResetStickyTaskQueueRequest as Request, ResetStickyTaskQueueResponse as Response};
use tradewind_core::step::Input;

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let (_, target) = support::target(service, &request.namespace, request.execution)?;
    service.engine.step(target, Input::ResetSticky).await?;
    Ok(Response {})
}
