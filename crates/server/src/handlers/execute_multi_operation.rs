//! ExecuteMultiOperation: update-with-start, the one combination that exists.

use crate::{
    Error, Service,
    handlers::{start_workflow_execution as start, update_workflow_execution as update},
    validate,
};
use api::workflowservice::v1::{
    ExecuteMultiOperationRequest as Request, ExecuteMultiOperationResponse as Response, StartWorkflowExecutionRequest,
    UpdateWorkflowExecutionRequest,
    execute_multi_operation_request::operation::Operation,
    execute_multi_operation_response::{Response as Part, response::Response as Answer},
};
use engine::message::StartRequest;

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let namespace = validate::namespace_for_start(&service.namespaces, &request.namespace)?;
    let (start_request, update_request) = parts(request.operations)?;
    let until = service.clock.now() + service.limits.update_long_poll;

    let start_request = check_start(service, &request.namespace, start_request).map_err(start_failed)?;
    let workflow_id = start_request.workflow_id.clone();
    let (update_request, wanted) =
        check_update(service, &workflow_id, update_request).map_err(|error| failed(vec![None, Some(error)]))?;
    let id = update::update_id(&update_request);
    let request = StartRequest {
        namespace: namespace.key,
        request: start_request,
        parent: None,
        signal: None,
        update: Some(update_request.clone()),
    };
    let mut started = service.engine.start(request).await.map_err(|error| start_failed(error.into()))?;
    let ticket = started.update.take().expect("a start with an update answers both");
    let waited = match ticket {
        Ok(ticket) => service.engine.wait_for_update(ticket, wanted, until).await,
        Err(error) => Err(error),
    };
    let state = match waited {
        Ok(Some(state)) => state,
        // The run went on as another: the update goes along.
        Ok(None) => {
            let target = engine::message::Target::execution(namespace.key, workflow_id.clone(), None);
            let again = service.engine.update(target, update_request, wanted, until).await;
            again.map_err(|error| failed(vec![None, Some(error.into())]))?
        }
        Err(error) => return Err(failed(vec![None, Some(error.into())])),
    };
    let started = start::response(service, &namespace.name, &workflow_id, started)?;
    let updated = update::response(&namespace.name, &workflow_id, id, state);
    let part = |answer| Part { response: Some(answer) };
    Ok(Response { responses: vec![part(Answer::StartWorkflow(started)), part(Answer::UpdateWorkflow(updated))] })
}

fn parts(
    operations: Vec<api::workflowservice::v1::execute_multi_operation_request::Operation>,
) -> Result<(StartWorkflowExecutionRequest, UpdateWorkflowExecutionRequest), Error> {
    let mut operations = operations.into_iter().map(|it| it.operation);
    match (operations.next(), operations.next(), operations.next()) {
        (Some(Some(Operation::StartWorkflow(start))), Some(Some(Operation::UpdateWorkflow(update))), None) => {
            Ok((start, update))
        }
        _ => Err(Error::invalid("Operations have to be exactly [Start, Update].")),
    }
}

fn check_start(
    service: &Service,
    namespace: &str,
    request: StartWorkflowExecutionRequest,
) -> Result<StartWorkflowExecutionRequest, Error> {
    if !request.cron_schedule.is_empty() {
        return Err(Error::invalid("CronSchedule is not allowed."));
    }
    if request.request_eager_execution {
        return Err(Error::invalid("RequestEagerExecution is not supported."));
    }
    if request.workflow_start_delay.is_some() {
        return Err(Error::invalid("WorkflowStartDelay is not allowed."));
    }
    if !request.namespace.is_empty() && request.namespace != namespace {
        return Err(Error::invalid("Namespace of an operation differs from that of the request."));
    }
    start::checked(service, request)
}

fn check_update(
    service: &Service,
    workflow_id: &str,
    request: UpdateWorkflowExecutionRequest,
) -> Result<(api::update::v1::Request, api::enums::v1::UpdateWorkflowExecutionLifecycleStage), Error> {
    let execution = request.workflow_execution.unwrap_or_default();
    if execution.workflow_id != workflow_id {
        return Err(Error::invalid("WorkflowId is not consistent with previous operation(s)"));
    }
    if !execution.run_id.is_empty() {
        return Err(Error::invalid("RunId is not allowed."));
    }
    if !request.first_execution_run_id.is_empty() {
        return Err(Error::invalid("FirstExecutionRunId is not allowed."));
    }
    update::checked(service, request.request, request.wait_policy)
}

fn start_failed(error: Error) -> Error {
    failed(vec![Some(error), None])
}

/// The operation that failed, and the other as not tried.
fn failed(parts: Vec<Option<Error>>) -> Error {
    let statuses = parts.into_iter().map(|part| Some(part.unwrap_or(Error::OperationAborted))).collect();
    Error::MultiOperation { message: "Update-with-Start could not be executed.".into(), statuses }
}
