//! StartWorkflowExecution.

use crate::{Error, Service, handlers::support, validate};
use api::{
    enums::v1::{WorkflowIdConflictPolicy as Conflict, WorkflowIdReusePolicy as Reuse},
    workflowservice::v1::{StartWorkflowExecutionRequest as Request, StartWorkflowExecutionResponse as Response},
};
use engine::message::StartRequest;

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let namespace = validate::namespace_for_start(&service.namespaces, &request.namespace)?;
    let request = checked(service, request)?;
    let (name, workflow_id) = (request.namespace.clone(), request.workflow_id.clone());
    let start = StartRequest { namespace: namespace.key, request, parent: None, signal: None, update: None };
    let started = service.engine.start(start).await?;
    response(service, &name, &workflow_id, started)
}

/// What the engine does not check itself: what this server does not do, and rules between fields.
pub(crate) fn checked(service: &Service, mut request: Request) -> Result<Request, Error> {
    if !request.completion_callbacks.is_empty() {
        return Err(Error::Unimplemented("completion callbacks are not supported".into()));
    }
    if request.versioning_override.is_some() {
        return Err(Error::Unimplemented("versioning overrides are not supported".into()));
    }
    if request.time_skipping_config.is_some() {
        return Err(Error::Unimplemented("time skipping is not supported".into()));
    }
    if request.workflow_id_reuse_policy() == Reuse::TerminateIfRunning
        && request.workflow_id_conflict_policy() != Conflict::Unspecified
    {
        return Err(Error::invalid(
            "Invalid WorkflowIDReusePolicy: WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING cannot be used together \
             with a WorkflowIDConflictPolicy",
        ));
    }
    if request.workflow_id_reuse_policy() == Reuse::RejectDuplicate
        && request.workflow_id_conflict_policy() == Conflict::TerminateExisting
    {
        return Err(Error::invalid(
            "Invalid WorkflowIDReusePolicy: WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE cannot be used together with \
             WorkflowIdConflictPolicy WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING",
        ));
    }
    validate::identity(&request.identity, &service.limits)?;
    // Without an id nothing could be deduplicated: a repetition is a new request.
    if request.request_id.is_empty() {
        request.request_id = service.entropy.uuid().to_string();
    }
    Ok(request)
}

pub(crate) fn response(
    service: &Service,
    namespace: &str,
    workflow_id: &str,
    started: engine::message::Started,
) -> Result<Response, Error> {
    let run_id = started.run_id.to_string();
    let eager_workflow_task = match started.eager {
        Some(stepped) => Some(service.engine.eager_task(stepped)?),
        None => None,
    };
    Ok(Response {
        link: Some(support::link_to_start(namespace, workflow_id, &run_id)),
        run_id,
        first_execution_run_id: started.first_run_id,
        started: started.started,
        status: started.status,
        eager_workflow_task,
    })
}
