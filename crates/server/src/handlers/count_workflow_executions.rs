//! CountWorkflowExecutions: how many a query matches, in groups if it says so.

use crate::{Error, Service, handlers::visibility, validate};
use api::workflowservice::v1::{
    CountWorkflowExecutionsRequest as Request, CountWorkflowExecutionsResponse as Response,
    count_workflow_executions_response::AggregationGroup,
};
use store::filter::Value;
use tradewind_core::search_attributes::{self, AttributeValue};

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let namespace = validate::namespace(&service.namespaces, &request.namespace)?;
    let query = visibility::parse(&request.query, &namespace)?;
    let key = namespace.key;
    let counted = visibility::read(service, move |store| store.count(key, &query)).await?;
    Ok(Response {
        count: wire(counted.total),
        groups: counted
            .groups
            .into_iter()
            .map(|(values, n)| AggregationGroup {
                group_values: values.into_iter().map(|value| search_attributes::encode(&keyword(value))).collect(),
                count: wire(n),
            })
            .collect(),
    })
}

/// Groups are named by keywords; what has no value is under the empty one.
fn keyword(value: Option<Value>) -> AttributeValue {
    AttributeValue::Keyword(match value {
        None => String::new(),
        Some(Value::Text(text)) => text,
        Some(Value::Int(number)) => number.to_string(),
        Some(Value::Double(number)) => number.to_string(),
        Some(Value::Bool(flag)) => flag.to_string(),
        Some(Value::Datetime(at)) => prost_types::Timestamp::from(at).to_string(),
    })
}

fn wire(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
