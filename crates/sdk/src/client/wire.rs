//! Parts of requests that this crate writes itself, because the official client has no place for all that is in them.

use super::{Client, ClientError};
use std::time::Duration;
use temporalio_common::MemoValues;
use temporalio_common::data_converters::{
    DataConverter, RawValue, SerializationContextData, WorkflowSerializationContext,
};
use temporalio_common::protos::temporal::api::common::v1::{Memo, Payloads};
use temporalio_common::protos::temporal::api::sdk::v1::UserMetadata;

/// Arguments, as the codecs leave them.
pub(super) async fn input(client: &Client, args: RawValue) -> Result<Payloads, ClientError> {
    Ok(Payloads { payloads: client.converter().codec().encode(&context(), args.payloads).await? })
}

pub(super) async fn memo(client: &Client, values: Option<&MemoValues>) -> Result<Option<Memo>, ClientError> {
    let mut memo = Memo::default();
    for (name, value) in values.into_iter().flat_map(|memo| memo.iter()) {
        memo.fields.insert(name.to_owned(), client.converter().to_payload(&context(), value).await?);
    }
    Ok((!memo.fields.is_empty()).then_some(memo))
}

/// A line for people, who read it in tools that have no keys.
pub(super) async fn summary(summary: Option<&String>) -> Result<Option<UserMetadata>, ClientError> {
    let Some(summary) = summary else { return Ok(None) };
    let summary = DataConverter::default().to_payload(&context(), summary).await?;
    Ok(Some(UserMetadata { summary: Some(summary), details: None }))
}

pub(super) fn duration<T: TryFrom<Duration>>(duration: Duration) -> Result<T, ClientError> {
    duration.try_into().map_err(|_| ClientError::Invalid(format!("{duration:?} is longer than the wire can say")))
}

fn context() -> SerializationContextData {
    SerializationContextData::Workflow(WorkflowSerializationContext::new())
}
