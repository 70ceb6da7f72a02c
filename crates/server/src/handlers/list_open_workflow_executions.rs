//! ListOpenWorkflowExecutions: running ones, filtered by start time and by id or type.

use crate::{
    Error, Service,
    handlers::visibility::{self, compare, within},
    validate,
};
use api::enums::v1::WorkflowExecutionStatus as Status;
use api::workflowservice::v1::{
    ListOpenWorkflowExecutionsRequest as Request, ListOpenWorkflowExecutionsResponse as Response,
    list_open_workflow_executions_request::Filters,
};
use store::filter::{Column, Comparison::Equal, Value};

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let namespace = validate::namespace(&service.namespaces, &request.namespace)?;
    let mut conditions = vec![compare(Column::ExecutionStatus, Equal, Value::Int(Status::Running as i64))];
    conditions.extend(within(Column::StartTime, request.start_time_filter)?);
    // The run id of an execution filter is ignored, as it always was.
    conditions.extend(request.filters.map(|filter| match filter {
        Filters::ExecutionFilter(filter) => compare(Column::WorkflowId, Equal, Value::Text(filter.workflow_id)),
        Filters::TypeFilter(filter) => compare(Column::WorkflowType, Equal, Value::Text(filter.name)),
    }));
    let token = request.next_page_token;
    let page = visibility::list_matching(service, namespace, conditions, request.maximum_page_size, token).await?;
    Ok(Response { executions: page.executions, next_page_token: page.next_page_token })
}
