//! Histories as JSON: the form in which tools export them, which is that of protobuf.
//!
//! The official crate reads and writes a form of its own, with the names of Rust fields; that is understood too.

use super::ReplayError;
use prost::Message;
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage};
use std::sync::LazyLock;
use temporalio_client::WorkflowHistory;
use temporalio_common::protos::temporal::api::history::v1::{History, HistoryEvent};

static DESCRIPTORS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let bytes = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
    DescriptorPool::decode(bytes.as_slice()).expect("the compiled-in descriptors decode")
});

/// The events of a history. Rust's form goes first, since it lacks nothing or is refused; the other one would read it as
/// events that say nothing.
pub(super) async fn events(json: &[u8]) -> Result<Vec<HistoryEvent>, ReplayError> {
    let events = match WorkflowHistory::from_json(json) {
        Ok(history) => history.into_events().await.map_err(|error| ReplayError::NotAHistory(error.to_string()))?,
        Err(_) => exported(json).map_err(ReplayError::NotAHistory)?,
    };
    match events.iter().find(|event| event.attributes.is_none()) {
        // The replayer would wait for ever for what it says.
        Some(event) => Err(ReplayError::NotAHistory(format!("event {} says nothing", event.event_id))),
        None => Ok(events),
    }
}

/// Fields that a newer server knows are passed over: replay does not depend on them.
fn exported(json: &[u8]) -> Result<Vec<HistoryEvent>, String> {
    let history = DESCRIPTORS.get_message_by_name("temporal.api.history.v1.History").expect("the API has histories");
    let mut source = serde_json::Deserializer::from_slice(json);
    let lenient = DeserializeOptions::new().deny_unknown_fields(false);
    let read = DynamicMessage::deserialize_with_options(history, &mut source, &lenient);
    let message = read.map_err(|error| error.to_string())?;
    source.end().map_err(|error| error.to_string())?;
    let history = History::decode(message.encode_to_vec().as_slice()).map_err(|error| error.to_string())?;
    Ok(history.events)
}
