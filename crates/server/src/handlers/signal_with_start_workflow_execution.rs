//! SignalWithStartWorkflowExecution.

use crate::{
    Error, Service,
    handlers::{start_workflow_execution as start, support},
    validate,
};
use api::{
    enums::v1::{EventType, WorkflowIdConflictPolicy},
    workflowservice::v1::{
        SignalWithStartWorkflowExecutionRequest as Request, SignalWithStartWorkflowExecutionResponse as Response,
        StartWorkflowExecutionRequest,
    },
};
use engine::message::StartRequest;
use tradewind_core::step::Signal;

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let namespace = validate::namespace_for_start(&service.namespaces, &request.namespace)?;
    let limits = &service.limits;
    validate::signal_name(&request.signal_name, limits)?;
    validate::blob(request.signal_input.as_ref(), limits)?;
    let signal_request_id = request.request_id.clone();
    let signal = Signal {
        name: request.signal_name,
        input: request.signal_input,
        identity: request.identity.clone(),
        header: request.header.clone(),
        request_id: signal_request_id.clone(),
        links: request.links.clone(),
        external: None,
    };
    let wire = StartWorkflowExecutionRequest {
        namespace: request.namespace,
        workflow_id: request.workflow_id,
        workflow_type: request.workflow_type,
        task_queue: request.task_queue,
        input: request.input,
        workflow_execution_timeout: request.workflow_execution_timeout,
        workflow_run_timeout: request.workflow_run_timeout,
        workflow_task_timeout: request.workflow_task_timeout,
        identity: request.identity,
        request_id: request.request_id,
        workflow_id_reuse_policy: request.workflow_id_reuse_policy,
        workflow_id_conflict_policy: request.workflow_id_conflict_policy,
        retry_policy: request.retry_policy,
        cron_schedule: request.cron_schedule,
        memo: request.memo,
        search_attributes: request.search_attributes,
        header: request.header,
        workflow_start_delay: request.workflow_start_delay,
        user_metadata: request.user_metadata,
        links: request.links,
        versioning_override: request.versioning_override,
        priority: request.priority,
        time_skipping_config: request.time_skipping_config,
        ..StartWorkflowExecutionRequest::default()
    };
    if wire.workflow_id_conflict_policy() == WorkflowIdConflictPolicy::Fail {
        return Err(Error::invalid(
            "Invalid WorkflowIDConflictPolicy: WORKFLOW_ID_CONFLICT_POLICY_FAIL is not supported for this operation.",
        ));
    }
    let wire = start::checked(service, wire)?;
    let workflow_id = wire.workflow_id.clone();
    let request =
        StartRequest { namespace: namespace.key, request: wire, parent: None, signal: Some(signal), update: None };
    let started = service.engine.start(request).await?;
    let run_id = started.run_id.to_string();
    let kind = EventType::WorkflowExecutionSignaled;
    let link = support::link_to_request(&namespace.name, &workflow_id, &run_id, &signal_request_id, kind);
    Ok(Response {
        run_id,
        started: started.started,
        signal_link: Some(link),
        first_execution_run_id: started.first_run_id,
    })
}
