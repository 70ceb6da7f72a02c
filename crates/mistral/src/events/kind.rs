//! The kinds of events, and what the attributes of each must have.
//!
//! Invariants
//! - The numbers are on disk and never reused.
//! - What is accepted here is what the client's parser takes: a field it needs is there, with a value of its type.

use crate::error::{Problem, Step};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use store::row::EventMeaning;

/// The members of an object. Values are read where something depends on them; most of them are large and nobody's
/// business.
pub type Members<'a> = BTreeMap<String, &'a RawValue>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    WorkflowExecutionStarted = 1,
    WorkflowExecutionCompleted = 2,
    WorkflowExecutionFailed = 3,
    WorkflowExecutionCanceled = 4,
    WorkflowExecutionContinuedAsNew = 5,
    WorkflowTaskTimedOut = 6,
    WorkflowTaskFailed = 7,
    CustomTaskStarted = 8,
    CustomTaskInProgress = 9,
    CustomTaskCompleted = 10,
    CustomTaskFailed = 11,
    CustomTaskTimedOut = 12,
    CustomTaskCanceled = 13,
    ActivityTaskStarted = 14,
    ActivityTaskCompleted = 15,
    ActivityTaskRetrying = 16,
    ActivityTaskFailed = 17,
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Workflow,
    CustomTask,
    Activity,
}

impl Kind {
    pub const ALL: [Kind; 17] = [
        Kind::WorkflowExecutionStarted,
        Kind::WorkflowExecutionCompleted,
        Kind::WorkflowExecutionFailed,
        Kind::WorkflowExecutionCanceled,
        Kind::WorkflowExecutionContinuedAsNew,
        Kind::WorkflowTaskTimedOut,
        Kind::WorkflowTaskFailed,
        Kind::CustomTaskStarted,
        Kind::CustomTaskInProgress,
        Kind::CustomTaskCompleted,
        Kind::CustomTaskFailed,
        Kind::CustomTaskTimedOut,
        Kind::CustomTaskCanceled,
        Kind::ActivityTaskStarted,
        Kind::ActivityTaskCompleted,
        Kind::ActivityTaskRetrying,
        Kind::ActivityTaskFailed,
    ];

    pub fn number(self) -> u8 {
        self as u8
    }

    /// As it is written on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Kind::WorkflowExecutionStarted => "WORKFLOW_EXECUTION_STARTED",
            Kind::WorkflowExecutionCompleted => "WORKFLOW_EXECUTION_COMPLETED",
            Kind::WorkflowExecutionFailed => "WORKFLOW_EXECUTION_FAILED",
            Kind::WorkflowExecutionCanceled => "WORKFLOW_EXECUTION_CANCELED",
            Kind::WorkflowExecutionContinuedAsNew => "WORKFLOW_EXECUTION_CONTINUED_AS_NEW",
            Kind::WorkflowTaskTimedOut => "WORKFLOW_TASK_TIMED_OUT",
            Kind::WorkflowTaskFailed => "WORKFLOW_TASK_FAILED",
            Kind::CustomTaskStarted => "CUSTOM_TASK_STARTED",
            Kind::CustomTaskInProgress => "CUSTOM_TASK_IN_PROGRESS",
            Kind::CustomTaskCompleted => "CUSTOM_TASK_COMPLETED",
            Kind::CustomTaskFailed => "CUSTOM_TASK_FAILED",
            Kind::CustomTaskTimedOut => "CUSTOM_TASK_TIMED_OUT",
            Kind::CustomTaskCanceled => "CUSTOM_TASK_CANCELED",
            Kind::ActivityTaskStarted => "ACTIVITY_TASK_STARTED",
            Kind::ActivityTaskCompleted => "ACTIVITY_TASK_COMPLETED",
            Kind::ActivityTaskRetrying => "ACTIVITY_TASK_RETRYING",
            Kind::ActivityTaskFailed => "ACTIVITY_TASK_FAILED",
        }
    }

    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub fn numbered(number: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.number() == number)
    }

    pub fn scope(self) -> Scope {
        match self.number() {
            8..=13 => Scope::CustomTask,
            14..=17 => Scope::Activity,
            _ => Scope::Workflow,
        }
    }

    /// What the log keeps track of.
    pub fn meaning(self) -> EventMeaning {
        match self {
            Kind::CustomTaskStarted => EventMeaning::OpensTask,
            Kind::CustomTaskCompleted
            | Kind::CustomTaskFailed
            | Kind::CustomTaskTimedOut
            | Kind::CustomTaskCanceled => EventMeaning::ClosesTask,
            Kind::WorkflowExecutionCompleted
            | Kind::WorkflowExecutionFailed
            | Kind::WorkflowExecutionCanceled
            | Kind::WorkflowExecutionContinuedAsNew => EventMeaning::EndsRun,
            Kind::WorkflowExecutionStarted
            | Kind::WorkflowTaskTimedOut
            | Kind::WorkflowTaskFailed
            | Kind::CustomTaskInProgress
            | Kind::ActivityTaskStarted
            | Kind::ActivityTaskCompleted
            | Kind::ActivityTaskRetrying
            | Kind::ActivityTaskFailed => EventMeaning::Plain,
        }
    }

    /// The attributes that say which task of the run it is about, and what that task is called.
    pub fn task_fields(self) -> Option<(&'static str, &'static str)> {
        match self.scope() {
            Scope::Workflow => None,
            Scope::CustomTask => Some(("custom_task_id", "custom_task_type")),
            Scope::Activity => Some(("task_id", "activity_name")),
        }
    }

    fn fields(self) -> &'static [Field] {
        use Type::{Failure, Json, JsonOrPatch, Number, Text};
        const fn must(name: &'static str, kind: Type) -> Field {
            Field { name, kind, required: true }
        }
        const fn may(name: &'static str, kind: Type) -> Field {
            Field { name, kind, required: false }
        }
        const RUN: Field = must("task_id", Text);
        const ID: Field = must("custom_task_id", Text);
        const TYPE: Field = must("custom_task_type", Text);
        const NAME: Field = must("activity_name", Text);
        const ATTEMPT: Field = may("attempt", Number);
        const FAILURE: Field = must("failure", Failure);
        match self {
            Kind::WorkflowExecutionStarted => {
                const { &[RUN, must("workflow_name", Text), may("display_name", Text), must("input", Json), ATTEMPT] }
            }
            Kind::WorkflowExecutionCompleted => const { &[RUN, must("result", Json), ATTEMPT] },
            Kind::WorkflowExecutionFailed => const { &[RUN, FAILURE, ATTEMPT] },
            Kind::WorkflowExecutionCanceled => const { &[RUN, may("reason", Text), ATTEMPT] },
            Kind::WorkflowExecutionContinuedAsNew => {
                const { &[RUN, must("new_execution_run_id", Text), must("workflow_name", Text), must("input", Json)] }
            }
            Kind::WorkflowTaskTimedOut => const { &[RUN, may("timeout_type", Text)] },
            Kind::WorkflowTaskFailed => const { &[RUN, FAILURE] },
            Kind::CustomTaskStarted => const { &[ID, TYPE, may("payload", Json)] },
            Kind::CustomTaskInProgress => const { &[ID, TYPE, must("payload", JsonOrPatch)] },
            Kind::CustomTaskCompleted => const { &[ID, TYPE, must("payload", Json)] },
            Kind::CustomTaskFailed => const { &[ID, TYPE, FAILURE] },
            Kind::CustomTaskTimedOut => const { &[ID, TYPE, may("timeout_type", Text)] },
            Kind::CustomTaskCanceled => const { &[ID, TYPE, may("reason", Text)] },
            Kind::ActivityTaskStarted => const { &[RUN, NAME, must("input", Json)] },
            Kind::ActivityTaskCompleted => const { &[RUN, NAME, must("result", Json)] },
            Kind::ActivityTaskRetrying | Kind::ActivityTaskFailed => {
                const { &[RUN, NAME, must("attempt", Number), FAILURE] }
            }
        }
    }

    /// Everything that is wrong with attributes of this kind, each with its place below `loc`.
    pub fn problems(self, attributes: &Members<'_>, loc: &[Step]) -> Vec<Problem> {
        self.fields().iter().filter_map(|field| field.problem(attributes, loc)).collect()
    }
}

struct Field {
    name: &'static str,
    kind: Type,
    /// An optional one may be null too.
    required: bool,
}

/// What a field holds.
#[derive(Clone, Copy)]
enum Type {
    Text,
    Number,
    /// `{"type": "json", "value"}`.
    Json,
    /// That, or `{"type": "json_patch", "value"}`.
    JsonOrPatch,
    /// `{"message"}`.
    Failure,
}

impl Field {
    fn problem(&self, attributes: &Members<'_>, loc: &[Step]) -> Option<Problem> {
        let (below, msg) = match attributes.get(self.name) {
            None if self.required => (None, MISSING),
            None => return None,
            Some(value) if value.get() == "null" && !self.required => return None,
            Some(value) => self.kind.problem(value)?,
        };
        let steps = [Some("attributes"), Some(self.name), below].into_iter().flatten();
        let steps = steps.map(|step| Step::Name(step.to_owned()));
        Some(Problem {
            loc: loc.iter().cloned().chain(steps).collect(),
            msg: format!("{} {msg}", below.unwrap_or(self.name)),
            kind: if msg == MISSING { "missing" } else { "value_error" }.to_owned(),
        })
    }
}

const MISSING: &str = "is missing";
const NO_TEXT: &str = "must be a text";
const NO_OBJECT: &str = "must be an object";

/// A member below the field that the problem is with, and what it is.
type Found = (Option<&'static str>, &'static str);

/// An operation on a document.
#[derive(Deserialize)]
struct Operation {
    #[serde(rename = "op")]
    _op: Op,
    #[serde(rename = "path")]
    _path: IgnoredAny,
    #[serde(rename = "value")]
    _value: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Op {
    Add,
    Replace,
    Remove,
    /// Adds to the end of a text.
    Append,
}

impl Type {
    fn problem(self, value: &RawValue) -> Option<Found> {
        match self {
            Type::Text => text(value).is_none().then_some((None, NO_TEXT)),
            Type::Number => read::<i64>(value).is_none().then_some((None, "must be a whole number")),
            Type::Failure => match read::<Members<'_>>(value).map(|failure| failure.get("message").copied()) {
                Some(Some(message)) => text(message).is_none().then_some((Some("message"), NO_TEXT)),
                Some(None) => Some((Some("message"), MISSING)),
                None => Some((None, NO_OBJECT)),
            },
            Type::Json | Type::JsonOrPatch => self.payload_problem(value),
        }
    }

    /// What is inside a value, or a ciphertext, is none of our business; its frame is what the client parses.
    fn payload_problem(self, payload: &RawValue) -> Option<Found> {
        let Some(payload) = read::<Members<'_>>(payload) else { return Some((None, NO_OBJECT)) };
        let patches = matches!(self, Type::JsonOrPatch);
        let patch = match payload.get("type").map(|kind| text(kind)) {
            None => false,
            Some(Some(kind)) if kind == "json" => false,
            Some(Some(kind)) if kind == "json_patch" && patches => true,
            Some(_) if patches => return Some((Some("type"), "must be json or json_patch")),
            Some(_) => return Some((Some("type"), "must be json")),
        };
        let Some(value) = payload.get("value") else { return Some((Some("value"), MISSING)) };
        // A text is a patch that was encrypted as a whole.
        let known = !patch || text(value).is_some() || read::<Vec<Operation>>(value).is_some();
        let wanted = "must be a list of operations, each of op add, replace, remove or append with path and value";
        (!known).then_some((Some("value"), wanted))
    }
}

fn read<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

/// The value, if it is a text.
pub fn text(value: &RawValue) -> Option<String> {
    read(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn names_and_numbers_lead_back_to_their_kind() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.name()), Some(kind));
            assert_eq!(Kind::numbered(kind.number()), Some(kind));
        }
        assert_eq!((Kind::named("WORKFLOW_EXECUTION_TERMINATED"), Kind::numbered(0)), (None, None));
    }

    #[test]
    fn attributes_are_taken_as_workers_send_them() {
        let payload = json!({"type": "json", "value": {"a": null}, "encoding_options": null});
        let patch = json!({"type": "json_patch", "value": [{"op": "append", "path": "/text", "value": "to"}]});
        let cipher = json!({"type": "json_patch", "value": "b64", "encoding_options": ["encrypted"]});
        for payload in [&payload, &patch, &cipher] {
            let attributes = json!({"custom_task_id": "t", "custom_task_type": "llm", "payload": payload});
            assert_eq!(problems(Kind::CustomTaskInProgress, attributes), [] as [&str; 0]);
        }
        let started =
            json!({"task_id": "t", "workflow_name": "w", "display_name": null, "input": payload, "attempt": 1});
        assert_eq!(problems(Kind::WorkflowExecutionStarted, started), [] as [&str; 0]);
        assert_eq!(problems(Kind::WorkflowTaskTimedOut, json!({"task_id": "t", "more": 1})), [] as [&str; 0]);
    }

    #[test]
    fn a_problem_names_its_place() {
        let wrong = json!({"task_id": 7, "activity_name": "a", "attempt": 1.5, "failure": {}});
        assert_eq!(
            problems(Kind::ActivityTaskFailed, wrong),
            [
                "event.attributes.task_id: task_id must be a text",
                "event.attributes.attempt: attempt must be a whole number",
                "event.attributes.failure.message: message is missing",
            ]
        );
        let patch = json!({"type": "json_patch", "value": [{"op": "move", "path": "/a", "value": 1}]});
        let wrong = json!({"custom_task_id": "t", "custom_task_type": null, "payload": patch});
        assert_eq!(
            problems(Kind::CustomTaskInProgress, wrong.clone()),
            [
                "event.attributes.custom_task_type: custom_task_type must be a text",
                "event.attributes.payload.value: value must be a list of operations, each of op add, replace, remove or \
                 append with path and value",
            ]
        );
        assert_eq!(
            problems(Kind::CustomTaskCompleted, wrong)[1],
            "event.attributes.payload.type: type must be json",
            "only progress is told in patches"
        );
    }

    fn problems(kind: Kind, attributes: Value) -> Vec<String> {
        let attributes = attributes.to_string();
        let attributes: Members<'_> = serde_json::from_str(&attributes).expect("attributes are an object");
        let text = |problem: Problem| {
            let loc: Vec<_> = problem.loc.iter().map(|step| serde_json::to_value(step).unwrap()).collect();
            let loc: Vec<_> = loc.iter().map(|step| step.as_str().unwrap().to_owned()).collect();
            format!("{}: {}", loc.join("."), problem.msg)
        };
        kind.problems(&attributes, &[Step::Name("event".into())]).into_iter().map(text).collect()
    }
}
