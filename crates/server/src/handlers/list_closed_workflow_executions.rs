//! ListClosedWorkflowExecutions: closed ones, filtered by close time and by id, type or status.

use crate::{
    Error, Service,
    handlers::visibility::{self, compare, within},
    validate,
};
use api::enums::v1::WorkflowExecutionStatus as Status;
use api::workflowservice::v1::{
    ListClosedWorkflowExecutionsRequest as Request, ListClosedWorkflowExecutionsResponse as Response,
    list_closed_workflow_executions_request::Filters,
};
use store::filter::{
    Column,
    Comparison::{Equal, NotEqual},
    Value,
};

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let namespace = validate::namespace(&service.namespaces, &request.namespace)?;
    let mut conditions = vec![compare(Column::ExecutionStatus, NotEqual, Value::Int(Status::Running as i64))];
    // What the request calls a filter of start times is one of close times in this list.
    conditions.extend(within(Column::CloseTime, request.start_time_filter)?);
    conditions.extend(match request.filters {
        None => None,
        Some(Filters::ExecutionFilter(filter)) => {
            Some(compare(Column::WorkflowId, Equal, Value::Text(filter.workflow_id)))
        }
        Some(Filters::TypeFilter(filter)) => Some(compare(Column::WorkflowType, Equal, Value::Text(filter.name))),
        Some(Filters::StatusFilter(filter)) if matches!(filter.status(), Status::Unspecified | Status::Running) => {
            return Err(Error::invalid("StatusFilter must be specified and must be not Running."));
        }
        Some(Filters::StatusFilter(filter)) => {
            Some(compare(Column::ExecutionStatus, Equal, Value::Int(i64::from(filter.status))))
        }
    });
    let token = request.next_page_token;
    let page = visibility::list_matching(service, namespace, conditions, request.maximum_page_size, token).await?;
    Ok(Response { executions: page.executions, next_page_token: page.next_page_token })
}
