//! PollWorkflowExecutionUpdate.

use crate::{Error, Service, handlers::support};
use api::{
    enums::v1::UpdateWorkflowExecutionLifecycleStage as Lifecycle,
    update::v1::UpdateRef,
    workflowservice::v1::{
        PollWorkflowExecutionUpdateRequest as Request, PollWorkflowExecutionUpdateResponse as Response,
    },
};

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let reference = request.update_ref.ok_or_else(|| Error::invalid("UpdateRef is not set on request."))?;
    if reference.update_id.is_empty() {
        return Err(Error::invalid("UpdateId is not set on request."));
    }
    let (_, target) = support::target(service, &request.namespace, reference.workflow_execution.clone())?;
    // Nothing asked for means: what is there now.
    let wanted = match request.wait_policy.map_or(Lifecycle::Unspecified, |it| it.lifecycle_stage()) {
        Lifecycle::Unspecified => Lifecycle::Admitted,
        stage => stage,
    };
    let until = service.clock.now() + service.limits.update_long_poll;
    let state = service.engine.poll_update(target, reference.update_id.clone(), wanted, until).await?;
    let mut execution = reference.workflow_execution.unwrap_or_default();
    execution.run_id = state.run_id.to_string();
    Ok(Response {
        outcome: state.outcome,
        stage: state.stage as i32,
        update_ref: Some(UpdateRef { workflow_execution: Some(execution), update_id: reference.update_id }),
    })
}
