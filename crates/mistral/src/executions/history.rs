//! `GET /executions/{id}/history` and `GET /runs/{run}/history`: the scheduler's events, as protobuf's JSON writes them.
//!
//! That is also the form in which the SDKs of the other API read a history to replay it. With `decode_payloads`,
//! each payload is replaced by the value in it, or by its bytes where a client encoded it.

use super::handlers;
use crate::extract::{Path, Query};
use crate::{Error, Platform, payload};
use api::common::v1::Payload;
use api::history::v1::History;
use axum::extract::State;
use axum::response::Json;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use engine::snapshot::Snapshot;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::Value;
use std::sync::LazyLock;

static HISTORY: LazyLock<MessageDescriptor> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(api::DESCRIPTORS).expect("the compiled-in descriptors decode");
    pool.get_message_by_name("temporal.api.history.v1.History").expect("histories are in the descriptors")
});

pub async fn of_execution(
    State(platform): State<Platform>,
    Path(execution): Path<String>,
    query: Query,
) -> Result<Json<Value>, Error> {
    let decode = query.flag("decode_payloads")?.unwrap_or(false);
    let snapshot = handlers::latest(&platform, &execution).await?;
    of(&platform, snapshot, decode).await
}

/// The whole history of a run.
pub async fn of(platform: &Platform, snapshot: Snapshot, decode: bool) -> Result<Json<Value>, Error> {
    let engine = platform.service.engine.clone();
    engine.settled(&snapshot).await?;
    let until = snapshot.state.next_event_id();
    let read = tokio::task::spawn_blocking(move || {
        let events = engine.events(snapshot.run, &snapshot.recent, 1, until, usize::MAX)?;
        let mut json = json(&History { events }).map_err(Error::internal)?;
        if decode {
            decode_payloads(&mut json);
        }
        Ok::<_, Error>(json)
    });
    Ok(Json(read.await.map_err(Error::internal)??))
}

fn json(history: &History) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
    let message = DynamicMessage::decode(HISTORY.clone(), history.encode_to_vec().as_slice())?;
    let options = SerializeOptions::new().stringify_64_bit_integers(true);
    Ok(message.serialize_with_options(serde_json::value::Serializer, &options)?)
}

fn decode_payloads(value: &mut Value) {
    if let Some(payload) = as_payload(value) {
        *value = serde_json::from_str(payload::read(&payload).get()).unwrap_or(Value::Null);
        return;
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(decode_payloads),
        Value::Object(members) => members.values_mut().for_each(decode_payloads),
        _ => {}
    }
}

/// A payload, which is the only message that has metadata with an encoding in it.
fn as_payload(value: &Value) -> Option<Payload> {
    let members = value.as_object()?;
    let metadata = members.get("metadata")?.as_object()?;
    if !metadata.contains_key("encoding") {
        return None;
    }
    let bytes = |value: &Value| BASE64.decode(value.as_str()?).ok().map(Bytes::from);
    Some(Payload {
        metadata: metadata.iter().map(|(key, value)| Some((key.clone(), bytes(value)?))).collect::<Option<_>>()?,
        data: members.get("data").map_or(Some(Bytes::new()), bytes)?,
        external_payloads: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::common::v1::Payloads;
    use api::history::v1::history_event::Attributes;
    use api::history::v1::{HistoryEvent, WorkflowExecutionCompletedEventAttributes};
    use serde_json::json;

    #[test]
    fn a_history_is_written_as_the_sdks_read_it_and_payloads_are_decoded_on_demand() {
        let result = Payloads { payloads: vec![payload::json(&json!({"metadata": {"a": 1}}))] };
        let attributes = WorkflowExecutionCompletedEventAttributes { result: Some(result), ..Default::default() };
        let event = HistoryEvent {
            event_id: 5,
            event_type: api::enums::v1::EventType::WorkflowExecutionCompleted as i32,
            attributes: Some(Attributes::WorkflowExecutionCompletedEventAttributes(attributes.into())),
            ..Default::default()
        };
        let mut written = json(&History { events: vec![event] }).unwrap();
        let event = &written["events"][0];
        assert_eq!(
            (&event["eventId"], &event["eventType"]),
            (&json!("5"), &json!("EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED"))
        );
        let payload = &event["workflowExecutionCompletedEventAttributes"]["result"]["payloads"][0];
        assert_eq!(payload["metadata"]["encoding"], json!("anNvbi9wbGFpbg=="));

        decode_payloads(&mut written);
        let payload = &written["events"][0]["workflowExecutionCompletedEventAttributes"]["result"]["payloads"][0];
        assert_eq!(*payload, json!({"metadata": {"a": 1}}));
    }
}
