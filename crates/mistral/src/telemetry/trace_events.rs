//! What happened within the spans of a trace: events that workflow code recorded, and the progress of tasks.

use super::values::flat_attributes;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Attributes that the worker's package gives to its events.
mod attribute {
    pub const TYPE: &str = "wf.type";
    pub const ID: &str = "wf.id";
    pub const INTERNAL: &str = "wf.internal";
    pub const STATUS: &str = "wf.progress.status";
    pub const START: &str = "wf.progress.start_time_unix_ms";
    pub const END: &str = "wf.progress.end_time_unix_ms";
    pub const ERROR: &str = "wf.progress.error";
}

const PROGRESS: &str = "EVENT_PROGRESS";

/// Events in the order of their times, each with the id it goes by if it has none of its own. Merged, the last of
/// those with one id stands for all of them.
pub fn of<'a>(events: impl Iterator<Item = (String, &'a Event)>, internal: bool, merge: bool) -> Vec<Value> {
    let mut events: Vec<(u64, Value)> = events.map(|(id, event)| (event.time_unix_nano, shown(id, event))).collect();
    events.retain(|(_, event)| internal || event["internal"] == json!(false));
    events.sort_by_key(|(time, _)| *time);
    let events: Vec<Value> = events.into_iter().map(|(_, event)| event).collect();
    if merge { merged(events) } else { events }
}

fn merged(events: Vec<Value>) -> Vec<Value> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut kept: Vec<Value> = Vec::new();
    for event in events {
        let id = event["id"].as_str().unwrap_or_default().to_owned();
        match places.get(&id) {
            Some(place) => kept[*place] = event,
            None => {
                places.insert(id, kept.len());
                kept.push(event);
            }
        }
    }
    kept
}

fn shown(id: String, event: &Event) -> Value {
    let attributes = flat_attributes(&event.attributes);
    let text = |name: &str| attributes.get(name).and_then(Value::as_str).map(str::to_owned);
    let kind = text(attribute::TYPE).filter(|kind| kind == PROGRESS);
    let internal = matches!(attributes.get(attribute::INTERNAL), Some(Value::Bool(true)));
    let mut shown = Map::new();
    shown.insert("name".into(), json!(event.name));
    shown.insert("id".into(), json!(text(attribute::ID).unwrap_or(id)));
    shown.insert("timestamp_unix_nano".into(), json!(event.time_unix_nano));
    shown.insert("type".into(), json!(kind.as_deref().unwrap_or("EVENT")));
    shown.insert("internal".into(), json!(internal));
    if kind.is_some() {
        let number = |name: &str| attributes.get(name).and_then(Value::as_i64);
        let start = number(attribute::START).unwrap_or((event.time_unix_nano / 1_000_000) as i64);
        shown.insert("status".into(), json!(text(attribute::STATUS).unwrap_or_else(|| "RUNNING".into())));
        shown.insert("start_time_unix_ms".into(), json!(start));
        shown.insert("end_time_unix_ms".into(), json!(number(attribute::END)));
        shown.insert("error".into(), json!(text(attribute::ERROR)));
    }
    shown.insert("attributes".into(), Value::Object(attributes));
    Value::Object(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};

    #[test]
    fn events_are_ordered_hidden_and_merged() {
        let events = [
            event("done", 3, &[("wf.type", "EVENT_PROGRESS"), ("wf.id", "p"), ("wf.progress.status", "COMPLETED")]),
            event("begun", 1, &[("wf.type", "EVENT_PROGRESS"), ("wf.id", "p"), ("wf.progress.status", "RUNNING")]),
            event("exception", 2, &[]),
        ];
        let mut hidden = event("hidden", 4, &[]);
        hidden.attributes.push(attribute("wf.internal", Any::BoolValue(true)));
        let all = || events.iter().chain([&hidden]).map(|event| (format!("at-{}", event.time_unix_nano), event));
        let names = |events: Vec<Value>| -> Vec<String> {
            events.iter().map(|event| event["name"].as_str().unwrap().to_owned()).collect()
        };

        assert_eq!(names(of(all(), true, false)), ["begun", "exception", "done", "hidden"]);
        assert_eq!(names(of(all(), false, true)), ["done", "exception"]);
        let shown = of(all(), false, true);
        assert_eq!((&shown[0]["status"], &shown[0]["start_time_unix_ms"]), (&json!("COMPLETED"), &json!(0)));
        assert_eq!((&shown[1]["id"], &shown[1]["type"]), (&json!("at-2"), &json!("EVENT")));
    }

    fn event(name: &str, time: u64, attributes: &[(&str, &str)]) -> Event {
        let attributes = attributes.iter().map(|(key, value)| attribute(key, Any::StringValue((*value).to_owned())));
        Event { name: name.into(), time_unix_nano: time, attributes: attributes.collect(), ..Event::default() }
    }

    fn attribute(key: &str, value: Any) -> KeyValue {
        KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
    }
}
