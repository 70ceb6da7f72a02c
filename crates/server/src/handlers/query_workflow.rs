//! QueryWorkflow.

use crate::{Error, Service, grpc::Context, handlers::support, validate};
use api::{
    query::v1::QueryRejected,
    workflowservice::v1::{QueryWorkflowRequest as Request, QueryWorkflowResponse as Response},
};
use engine::query::QueryOutcome;

pub async fn handle(service: &Service, request: Request, context: Context) -> Result<Response, Error> {
    let reject = request.query_reject_condition();
    let (_, target) = support::target(service, &request.namespace, request.execution)?;
    let query = request.query.ok_or_else(|| Error::invalid("WorkflowQuery is not set on request."))?;
    if query.query_type.is_empty() {
        return Err(Error::invalid("QueryType is not set on request."));
    }
    validate::blob(query.query_args.as_ref(), &service.limits)?;
    Ok(match service.engine.query(target, query, reject, context.deadline).await? {
        QueryOutcome::Answered(query_result) => Response { query_result, ..Response::default() },
        QueryOutcome::Rejected(status) => {
            Response { query_rejected: Some(QueryRejected { status: status as i32 }), ..Response::default() }
        }
    })
}
