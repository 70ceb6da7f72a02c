//! What happened in a trace: events that workflow code recorded within its spans, and the progress of tasks.
//!
//! A custom task has no span of its own that lasts. At each turn of its life its worker sends one without length,
//! whose attributes say which turn it is; that is an event too.

use super::values::{flat_attributes, hex};
use opentelemetry_proto::tonic::trace::v1::Span;
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
    pub const TASK_ID: &str = "task.id";
    pub const TASK_TYPE: &str = "task.type";
    pub const TASK_TURN: &str = "task.lifecycle";
}

const PROGRESS: &str = "EVENT_PROGRESS";

/// Everything that happened, in the order of time. Merged, the last of those with one id stands for all of them.
pub fn of(spans: &[Span], internal: bool, merge: bool) -> Vec<Value> {
    let mut events: Vec<Value> = spans.iter().flat_map(|span| in_span(span).into_iter().chain(of_task(span))).collect();
    events.retain(|event| internal || event["internal"] == json!(false));
    events.sort_by_key(|event| event["timestamp_unix_nano"].as_u64());
    if merge { merged(events) } else { events }
}

/// The events of one span. Those without an id of their own go by their place in it.
pub fn in_span(span: &Span) -> Vec<Value> {
    let id = hex(&span.span_id);
    span.events.iter().enumerate().map(|(at, event)| shown(format!("{id}-{at}"), event)).collect()
}

/// A turn in the life of a custom task, if the span stands for one.
fn of_task(span: &Span) -> Option<Value> {
    let attributes = flat_attributes(&span.attributes);
    let text = |name: &str| attributes.get(name).and_then(Value::as_str);
    let (id, name) = (text(attribute::TASK_ID)?.to_owned(), text(attribute::TASK_TYPE)?.to_owned());
    let (status, over) = match text(attribute::TASK_TURN)? {
        "completed" => ("COMPLETED", true),
        "failed" | "canceled" | "cancelled" => ("FAILED", true),
        _ => ("RUNNING", false),
    };
    let millis = span.start_time_unix_nano / 1_000_000;
    let error = span.status.as_ref().map(|status| status.message.as_str()).filter(|text| !text.is_empty());
    Some(json!({
        "name": name, "id": id, "timestamp_unix_nano": span.start_time_unix_nano, "type": PROGRESS, "internal": false,
        "status": status, "start_time_unix_ms": millis, "end_time_unix_ms": over.then_some(millis), "error": error,
        "attributes": attributes,
    }))
}

fn merged(events: Vec<Value>) -> Vec<Value> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut kept: Vec<Value> = Vec::new();
    for event in events {
        let id = event["id"].as_str().unwrap_or_default().to_owned();
        match places.get(&id) {
            Some(place) => {
                let start = kept[*place].get("start_time_unix_ms").cloned();
                kept[*place] = event;
                // It began with the first of them.
                if let (Some(start), Some(last)) = (start, kept[*place].get_mut("start_time_unix_ms")) {
                    *last = start;
                }
            }
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
        let mut hidden = event("hidden", 4, &[]);
        hidden.attributes.push(attribute("wf.internal", Any::BoolValue(true)));
        let progress = |name, time, status| {
            event(name, time, &[("wf.type", "EVENT_PROGRESS"), ("wf.id", "p"), ("wf.progress.status", status)])
        };
        let events = vec![progress("done", 3_000_000, "COMPLETED"), progress("begun", 1_000_000, "RUNNING"), hidden];
        let spans = [
            Span { events, span_id: vec![1], ..Span::default() },
            Span { events: vec![event("exception", 2_000_000, &[])], span_id: vec![2], ..Span::default() },
        ];

        assert_eq!(names(&of(&spans, true, false)), ["hidden", "begun", "exception", "done"]);
        let shown = of(&spans, false, true);
        assert_eq!(names(&shown), ["done", "exception"]);
        assert_eq!((&shown[0]["status"], &shown[0]["start_time_unix_ms"]), (&json!("COMPLETED"), &json!(1)));
        assert_eq!((&shown[1]["id"], &shown[1]["type"]), (&json!("02-0"), &json!("EVENT")));
    }

    #[test]
    fn turns_of_a_task_are_its_progress() {
        let turn = |turn: &str, millis: u64| {
            let attributes = [("task.id", "t"), ("task.type", "llm"), ("task.lifecycle", turn)];
            let attributes = attributes.map(|(key, value)| attribute(key, Any::StringValue(value.to_owned()))).into();
            Span { attributes, start_time_unix_nano: millis * 1_000_000, ..Span::default() }
        };
        let spans = [turn("started", 1), turn("state_updated", 2), turn("completed", 3), Span::default()];

        assert_eq!(names(&of(&spans, false, false)), ["llm", "llm", "llm"]);
        let merged = of(&spans, false, true);
        assert_eq!(merged.len(), 1);
        let times = (&merged[0]["status"], &merged[0]["start_time_unix_ms"], &merged[0]["end_time_unix_ms"]);
        assert_eq!(times, (&json!("COMPLETED"), &json!(1), &json!(3)));
    }

    fn names(events: &[Value]) -> Vec<String> {
        events.iter().map(|event| event["name"].as_str().unwrap().to_owned()).collect()
    }

    fn event(name: &str, time: u64, attributes: &[(&str, &str)]) -> Event {
        let attributes = attributes.iter().map(|(key, value)| attribute(key, Any::StringValue((*value).to_owned())));
        Event { name: name.into(), time_unix_nano: time, attributes: attributes.collect(), ..Event::default() }
    }

    fn attribute(key: &str, value: Any) -> KeyValue {
        KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
    }
}
