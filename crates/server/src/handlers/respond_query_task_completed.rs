//! RespondQueryTaskCompleted.

use crate::{Error, Service, handlers::support};
use api::{
    enums::v1::QueryResultType,
    workflowservice::v1::{RespondQueryTaskCompletedRequest as Request, RespondQueryTaskCompletedResponse as Response},
};
use engine::{query::QueryFailure, token};
use prost::Message;

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let token = support::token(service, token::QUERY, &request.task_token, &request.namespace)?;
    let limit = service.limits.blob_size_bytes_max;
    let bytes = request.query_result.as_ref().map_or(0, Message::encoded_len);
    let failed = |message: String, failure| Err(QueryFailure { message, failure });
    let answered = match request.completed_type() {
        QueryResultType::Answered if bytes > limit => {
            failed(format!("query result size ({bytes} bytes) exceeds limit ({limit} bytes)"), None)
        }
        QueryResultType::Answered => Ok(request.query_result),
        QueryResultType::Failed => failed(request.error_message, request.failure.map(Box::new)),
        QueryResultType::Unspecified => {
            return Err(Error::invalid("Invalid query task completion: completed_type is not set."));
        }
    };
    if service.engine.answer_query(&token, answered) {
        Ok(Response {})
    } else {
        Err(Error::not_found("query task not found, or already expired"))
    }
}
