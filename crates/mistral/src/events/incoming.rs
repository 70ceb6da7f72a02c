//! An event as it comes in, and the form in which it is kept.
//!
//! Attributes are kept byte for byte: they may be encrypted, and numbers must not change on their way. Around them
//! stands what the client's parser needs, each key there even where it is null.

use super::kind::{self, Kind, Members};
use super::source::Source;
use crate::error::{Error, Problem, Step};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::row::NewEvent;
use tradewind_core::time::Timestamp;

/// What one event may have, as it came in. The limit of the worker's package.
pub const EVENT_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Event ids are UUIDs; other short names are taken too.
const EVENT_ID_LENGTH_MAX: usize = 128;

/// An event that was read and found to be in order.
#[derive(Debug, Clone)]
pub struct Incoming {
    pub workflow_exec_id: String,
    pub workflow_run_id: String,
    kind: Kind,
    event_id: String,
    event_timestamp: Option<i64>,
    continued_run_id: Option<String>,
    schedule_id: Option<String>,
    attributes: Box<RawValue>,
    task: Option<(String, String)>,
}

/// The fields that are taken from the worker. Lineage is not; see [`super::source`].
#[derive(Deserialize)]
struct Wire {
    event_id: String,
    event_timestamp: Option<i64>,
    event_type: String,
    workflow_exec_id: String,
    workflow_run_id: String,
    continued_run_id: Option<String>,
    schedule_id: Option<String>,
    attributes: Box<RawValue>,
}

/// An event as it is kept and sent out.
#[derive(Serialize)]
pub struct Kept<'a> {
    pub event_id: &'a str,
    pub event_timestamp: i64,
    pub event_type: &'static str,
    pub root_workflow_exec_id: &'a str,
    pub parent_workflow_exec_id: Option<&'a str>,
    pub continued_run_id: Option<&'a str>,
    pub first_execution_run_id: String,
    pub chain_run_id: String,
    pub schedule_id: Option<&'a str>,
    pub workflow_exec_id: &'a str,
    pub workflow_run_id: String,
    pub workflow_name: &'a str,
    pub attributes: &'a RawValue,
}

impl Incoming {
    /// Reads one event; `loc` is where it stands in the request.
    pub fn read(text: &RawValue, loc: &[Step]) -> Result<Incoming, Error> {
        let text = text.get();
        if text.len() > EVENT_BYTES_MAX {
            let msg = format!("an event may have {EVENT_BYTES_MAX} bytes, this one has {}", text.len());
            return Err(Error::problems(vec![Problem { loc: loc.to_vec(), msg, kind: "too_long".into() }]));
        }
        let wire: Wire = crate::extract::parse_at(text.as_bytes(), loc)?;
        let at = |name: &str, msg: String| {
            let loc = loc.iter().cloned().chain([Step::Name(name.to_owned())]).collect();
            Err(Error::invalid(loc, msg))
        };
        let Some(kind) = Kind::named(&wire.event_type) else {
            return at("event_type", format!("{:?} is not a type of event", wire.event_type));
        };
        if wire.event_id.is_empty() || wire.event_id.len() > EVENT_ID_LENGTH_MAX {
            let length = wire.event_id.len();
            return at("event_id", format!("must have 1 to {EVENT_ID_LENGTH_MAX} bytes, this one has {length}"));
        }
        let Ok(attributes) = serde_json::from_str::<Members<'_>>(wire.attributes.get()) else {
            return at("attributes", "must be an object".to_owned());
        };
        let problems = kind.problems(&attributes, loc);
        if !problems.is_empty() {
            return Err(Error::problems(problems));
        }
        let text = |name| attributes.get(name).and_then(|value| kind::text(value)).unwrap_or_default();
        let task = kind.task_fields().map(|(id, name)| (text(id), text(name)));
        Ok(Incoming {
            workflow_exec_id: wire.workflow_exec_id,
            workflow_run_id: wire.workflow_run_id,
            kind,
            event_id: wire.event_id,
            event_timestamp: wire.event_timestamp,
            continued_run_id: wire.continued_run_id,
            schedule_id: wire.schedule_id,
            attributes: wire.attributes,
            task,
        })
    }

    pub fn into_row(self, source: &Source, now: Timestamp) -> NewEvent {
        let kept = Kept {
            event_timestamp: self.event_timestamp.unwrap_or(now.as_nanos()),
            continued_run_id: self.continued_run_id.as_deref(),
            schedule_id: self.schedule_id.as_deref(),
            ..Kept::of(source, &self.event_id, self.kind, &self.attributes, now)
        };
        kept.into_row(self.kind, self.task.clone(), now)
    }
}

impl<'a> Kept<'a> {
    pub fn of(source: &'a Source, event_id: &'a str, kind: Kind, attributes: &'a RawValue, at: Timestamp) -> Kept<'a> {
        let log = &*source.log;
        Kept {
            event_id,
            event_timestamp: at.as_nanos(),
            event_type: kind.name(),
            root_workflow_exec_id: &log.root_workflow_id,
            parent_workflow_exec_id: log.parent_workflow_id.as_deref(),
            continued_run_id: None,
            first_execution_run_id: source.first_run_id.to_string(),
            chain_run_id: log.chain_run_id.to_string(),
            schedule_id: None,
            workflow_exec_id: &log.workflow_id,
            workflow_run_id: log.run_id.to_string(),
            workflow_name: &log.workflow_type,
            attributes,
        }
    }

    pub fn into_row(self, kind: Kind, task: Option<(String, String)>, received: Timestamp) -> NewEvent {
        let (task, task_name) = task.unzip();
        NewEvent {
            event_id: self.event_id.to_owned(),
            kind: kind.number(),
            task,
            task_name,
            meaning: kind.meaning(),
            received,
            bytes: on_one_line(serde_json::to_vec(&self).expect("texts and numbers are JSON")).into(),
        }
    }
}

/// JSON without line breaks. Between values they are white space; inside texts JSON writes them as `\n`, but has no
/// need to escape the ones that only some readers take for the end of a line, and clients of streams do.
pub fn on_one_line(mut json: Vec<u8>) -> Vec<u8> {
    for byte in &mut json {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    let breaks: [(&str, &str); 3] = [("\u{85}", "\\u0085"), ("\u{2028}", "\\u2028"), ("\u{2029}", "\\u2029")];
    let has = |text: &str, found: &str| text.contains(found);
    match std::str::from_utf8(&json) {
        Ok(text) if breaks.iter().any(|(found, _)| has(text, found)) => {
            breaks.iter().fold(text.to_owned(), |text, (found, escaped)| text.replace(found, escaped)).into_bytes()
        }
        _ => json,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::place;
    use serde_json::{Value, json};
    use std::sync::Arc;
    use store::row::EventSource;
    use tradewind_core::ids::{NamespaceKey, RunKey};
    use uuid::Uuid;

    #[test]
    fn an_event_is_kept_with_every_key_and_its_attributes_untouched() {
        let text = event(
            r#"{ "task_id" : "t",
            "result":{"type":"json","value":[1e400,12345678901234567890123,0.10,"a\n"]} }"#,
        );
        let event = Incoming::read(&text, &place(["body", "event"])).unwrap();
        let row = event.into_row(&source(), Timestamp::from_nanos(7));

        let text = std::str::from_utf8(&row.bytes).unwrap();
        assert!(!text.contains(['\n', '\r']), "{text}");
        assert!(text.contains(r#""value":[1e400,12345678901234567890123,0.10,"a\n"]"#), "{text}");
        for null in ["parent_workflow_exec_id", "continued_run_id", "schedule_id"] {
            assert!(text.contains(&format!("\"{null}\":null")), "{null} in {text}");
        }
        let chain = Uuid::from_u128(3).to_string();
        assert!(text.contains(&format!("\"chain_run_id\":\"{chain}\"")), "{text}");
        assert!(text.contains(r#""workflow_name":"Order""#), "the engine knows better than {:?}", "Wrong");
    }

    #[test]
    fn no_reader_takes_a_text_for_the_end_of_a_line() {
        let text = event("{\"task_id\":\"a\u{2028}b\u{85}c\u{2029}ü\",\"result\":{\"value\":null}}");
        let row = Incoming::read(&text, &[]).unwrap().into_row(&source(), Timestamp::from_nanos(7));
        let text = std::str::from_utf8(&row.bytes).unwrap();
        assert!(text.contains(r"a\u2028b\u0085c\u2029ü"), "{text}");
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(value["attributes"]["task_id"], json!("a\u{2028}b\u{85}c\u{2029}ü"));
    }

    #[test]
    fn a_bad_event_names_field_and_limit() {
        let refused = |change: &dyn Fn(&mut Value)| {
            let mut value: Value =
                serde_json::from_str(event(r#"{"task_id":"t","result":{"value":1}}"#).get()).unwrap();
            change(&mut value);
            let text = RawValue::from_string(value.to_string()).unwrap();
            let error = Incoming::read(&text, &place(["body", "event"])).unwrap_err();
            let body = serde_json::to_value(match error.detail {
                crate::error::Detail::Problems(problems) => problems,
                crate::error::Detail::Text(text) => panic!("a list is needed: {text}"),
            });
            let problem = body.unwrap()[0].clone();
            let loc: Vec<_> =
                problem["loc"].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect();
            format!("{}: {}", loc.join("."), problem["msg"].as_str().unwrap())
        };
        assert_eq!(
            refused(&|it| it["event_type"] = json!("NOPE")),
            "body.event.event_type: \"NOPE\" is not a type of event"
        );
        assert_eq!(
            refused(&|it| it["event_id"] = json!("x".repeat(129))),
            "body.event.event_id: must have 1 to 128 bytes, this one has 129"
        );
        assert_eq!(refused(&|it| it["attributes"] = json!([])), "body.event.attributes: must be an object");
        assert!(refused(&|it| it["event_timestamp"] = json!("now")).starts_with("body.event.event_timestamp: "));
        assert!(refused(&|it| drop(it.as_object_mut().unwrap().remove("event_id"))).contains("event_id"));
        let big = refused(&|it| it["attributes"]["task_id"] = json!("x".repeat(EVENT_BYTES_MAX)));
        assert!(big.starts_with("body.event: an event may have 2097152 bytes, this one has 20"), "{big}");
    }

    fn event(attributes: &str) -> Box<RawValue> {
        RawValue::from_string(format!(
            r#"{{"event_id":"e","event_type":"WORKFLOW_EXECUTION_COMPLETED","workflow_exec_id":"w",
                "workflow_run_id":"r","workflow_name":"Wrong","attributes":{attributes}}}"#
        ))
        .unwrap()
    }

    fn source() -> Source {
        let log = EventSource {
            run: RunKey(1),
            namespace: NamespaceKey(1),
            workflow_id: "w".into(),
            run_id: Uuid::from_u128(1),
            workflow_type: "Order".into(),
            root_workflow_id: "w".into(),
            parent_workflow_id: None,
            chain_run_id: Uuid::from_u128(3),
        };
        Source { log: Arc::new(log), first_run_id: Uuid::from_u128(2) }
    }
}
