//! SignalWorkflowExecution.

use crate::{Error, Service, handlers::support, validate};
use api::{
    enums::v1::EventType,
    workflowservice::v1::{SignalWorkflowExecutionRequest as Request, SignalWorkflowExecutionResponse as Response},
};
use tradewind_core::step::{Input, Signal};

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let (namespace, target) = support::target(service, &request.namespace, request.workflow_execution)?;
    let limits = &service.limits;
    validate::signal_name(&request.signal_name, limits)?;
    validate::request_id(&request.request_id, limits)?;
    validate::identity(&request.identity, limits)?;
    validate::blob(request.input.as_ref(), limits)?;
    validate::links(&request.links, limits)?;
    let request_id = request.request_id.clone();
    let signal = Signal {
        name: request.signal_name,
        input: request.input,
        identity: request.identity,
        header: request.header,
        request_id: request.request_id,
        links: request.links,
        external: None,
    };
    let stepped = service.engine.step(target, Input::Signal(signal)).await?;
    let start = &stepped.state.start;
    let (workflow_id, run_id) = (&start.workflow_id, start.run_id.to_string());
    let kind = EventType::WorkflowExecutionSignaled;
    let link = support::link_to_request(&namespace.name, workflow_id, &run_id, &request_id, kind);
    Ok(Response { link: Some(link) })
}
