//! UpdateWorkflowExecution.

use crate::{Error, Service, handlers::support, validate};
use api::{
    common::v1::{Link, WorkflowExecution, link},
    enums::v1::{EventType, UpdateWorkflowExecutionLifecycleStage as Lifecycle},
    update::v1::{Meta, Request as Update, UpdateRef, WaitPolicy},
    workflowservice::v1::{UpdateWorkflowExecutionRequest as Request, UpdateWorkflowExecutionResponse as Response},
};
use engine::{
    UpdateState,
    message::{Execution, Target},
};

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let namespace = validate::namespace(&service.namespaces, &request.namespace)?;
    let name = validate::execution(request.workflow_execution)?;
    let (update, wanted) = checked(service, request.request, request.wait_policy)?;
    let id = update_id(&update);
    let target = Target::Execution(Execution {
        namespace: namespace.key,
        workflow_id: name.workflow_id.clone(),
        run_id: name.run_id,
        first_run_id: validate::run_id(&request.first_execution_run_id)?,
    });
    // Not cut to the caller's deadline: a caller that leaves early is told that the deadline passed.
    let until = service.clock.now() + service.limits.update_long_poll;
    let state = service.engine.update(target, update, wanted, until).await?;
    Ok(response(&namespace.name, &name.workflow_id, id, state))
}

/// The update as the engine takes it, and the stage to wait for.
pub(crate) fn checked(
    service: &Service,
    update: Option<Update>,
    wait: Option<WaitPolicy>,
) -> Result<(Update, Lifecycle), Error> {
    let mut update = update.ok_or_else(|| Error::invalid("Request is not set on request."))?;
    let input = update.input.as_ref().ok_or_else(|| Error::invalid("Input is not set on update request."))?;
    if input.name.is_empty() {
        return Err(Error::invalid("Name is not set on update request input."));
    }
    validate::blob(input.args.as_ref(), &service.limits)?;
    if !update.completion_callbacks.is_empty() {
        return Err(Error::Unimplemented("update completion callbacks are not supported".into()));
    }
    let meta = update.meta.get_or_insert_with(Meta::default);
    if meta.update_id.is_empty() {
        meta.update_id = service.entropy.uuid().to_string();
    }
    if meta.update_id.len() > service.limits.id_length_max {
        return Err(Error::invalid(format!(
            "UpdateId length exceeds limit. ({}/{})",
            meta.update_id.len(),
            service.limits.id_length_max
        )));
    }
    validate::identity(&meta.identity, &service.limits)?;
    let wanted = match wait.unwrap_or_default().lifecycle_stage() {
        Lifecycle::Admitted => {
            return Err(Error::PermissionDenied(
                "UpdateWorkflowExecution issued asynchronously and waiting on update admitted is not supported.".into(),
            ));
        }
        Lifecycle::Unspecified => Lifecycle::Accepted,
        stage => stage,
    };
    Ok((update, wanted))
}

pub(crate) fn update_id(update: &Update) -> String {
    update.meta.as_ref().map(|it| it.update_id.clone()).unwrap_or_default()
}

pub(crate) fn response(namespace: &str, workflow_id: &str, update_id: String, state: UpdateState) -> Response {
    let run_id = state.run_id.to_string();
    let link = match state.stage {
        Lifecycle::Unspecified | Lifecycle::Admitted => None,
        _ if state.rejected => Some(Link {
            variant: Some(link::Variant::Workflow(link::Workflow {
                namespace: namespace.to_owned(),
                workflow_id: workflow_id.to_owned(),
                run_id: run_id.clone(),
                reason: "Update rejected".to_owned(),
            })),
        }),
        Lifecycle::Accepted | Lifecycle::Completed => {
            let kind = EventType::WorkflowExecutionUpdateAccepted;
            Some(support::link_to_request(namespace, workflow_id, &run_id, "", kind))
        }
    };
    Response {
        update_ref: Some(UpdateRef {
            workflow_execution: Some(WorkflowExecution { workflow_id: workflow_id.to_owned(), run_id }),
            update_id,
        }),
        outcome: state.outcome,
        stage: state.stage as i32,
        link,
    }
}
