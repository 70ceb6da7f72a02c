//! Events that workers never tell, or cannot be relied on to tell: how a run ended, what became of its workflow tasks
//! and of activities whose worker is gone, and the end of custom tasks that a dead run left open.
//!
//! The engine follows the steps that matter ([`engine::Following`]); each has a row that goes in the same write in
//! which its events come. Their ids are made from the run and the history event, so telling twice is telling once.
//!
//! A run's end is told by its worker before the engine hears of it. So at the end the log is asked whether it knows;
//! what is missing or wrong is told here. The platform has no events for two ends: a terminated run is told as
//! canceled, with the reason, and one that timed out as failed.

use super::incoming::Kept;
use super::kind::Kind;
use super::source::{self, Source};
use crate::payload::{self, Decoded, EncodingOption};
use crate::{Error, Platform};
use api::common::v1::Payloads;
use api::enums::v1::{EventType, TimeoutType, WorkflowTaskFailedCause};
use api::failure::v1::Failure;
use api::history::v1::history_event::Attributes;
use api::history::v1::{ActivityTaskTimedOutEventAttributes, History, HistoryEvent};
use engine::Following;
use prost::Message;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;
use store::Store;
use store::row::{Change, EventFilter, EventRange, EventSummary, FollowedRow, Follower, NewEvent};
use tradewind_core::ids::{EventId, RunKey};
use tradewind_core::time::Timestamp;
use uuid::Uuid;

const FOLLOWER: Follower = Follower(1);
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Steps dealt with in one write.
const ROWS_MAX: usize = 64;

/// The steps to hear of.
pub fn following(namespace: &str) -> Following {
    let events = [
        EventType::WorkflowExecutionCompleted,
        EventType::WorkflowExecutionFailed,
        EventType::WorkflowExecutionCanceled,
        EventType::WorkflowExecutionTerminated,
        EventType::WorkflowExecutionTimedOut,
        EventType::WorkflowExecutionContinuedAsNew,
        EventType::WorkflowTaskFailed,
        EventType::WorkflowTaskTimedOut,
        EventType::ActivityTaskTimedOut,
    ];
    Following { follower: FOLLOWER, namespace: namespace.to_owned(), events: events.into() }
}

/// Tells of steps for as long as the server runs; what a former process left first.
pub async fn run(platform: Platform) {
    let shutdown = platform.service.shutdown.clone();
    let mut last = platform.service.store.last_followed();
    let mut after = 0;
    loop {
        last.mark_unchanged();
        match tell(&platform, after).await {
            Ok(Some(told)) => {
                after = told;
                continue;
            }
            Ok(None) => {}
            // The rows stay where they are, for the next try or the next process.
            Err(error) => {
                tracing::error!("what became of runs is not told yet: {}", error.text());
                tokio::select! {
                    () = tokio::time::sleep(RETRY_AFTER) => continue,
                    () = shutdown.cancelled() => return,
                }
            }
        }
        tokio::select! {
            changed = last.changed() => if changed.is_err() { return },
            () = shutdown.cancelled() => return,
        }
    }
}

/// Tells of some steps behind `after`, and says up to which; `None` if there are none.
async fn tell(platform: &Platform, after: i64) -> Result<Option<i64>, Error> {
    let (namespace, now) = (platform.namespace, platform.now());
    let (changes, last) = platform
        .read(move |store| {
            let rows = store.followed(FOLLOWER, after, ROWS_MAX)?;
            let mut changes = Vec::with_capacity(rows.len() * 2);
            for row in &rows {
                if let Some(source) = source::of_run(store, namespace, row.run)? {
                    let events = events_of(store, &source, row, now)?;
                    if !events.is_empty() {
                        changes.push(Change::AppendEvents { source: source.log, events });
                    }
                }
                changes.push(Change::DeleteFollowed { id: row.id });
            }
            Ok((changes, rows.last().map(|row| row.id)))
        })
        .await?;
    platform.write(changes).await?;
    Ok(last)
}

/// What is to be told of one step.
fn events_of(store: &Store, source: &Source, row: &FollowedRow, now: Timestamp) -> Result<Vec<NewEvent>, store::Error> {
    let mut told = Vec::new();
    for event in batch_with(store, row.run, row.first_event_id)? {
        if event.event_id >= row.first_event_id {
            let teller = Teller { store, source, event: &event, now };
            teller.tell(&mut told)?;
        }
    }
    Ok(told)
}

/// The batch of history that has an event; nothing if it is gone or damaged, which is said elsewhere.
fn batch_with(store: &Store, run: RunKey, event: EventId) -> Result<Vec<HistoryEvent>, store::Error> {
    let rows = store.read_history(run, event, 1, usize::MAX)?;
    let history = rows.first().and_then(|row| History::decode(row.bytes.clone()).ok());
    Ok(history.map(|history| history.events).unwrap_or_default())
}

fn attributes_of(store: &Store, run: RunKey, event: EventId) -> Result<Option<Attributes>, store::Error> {
    let found = batch_with(store, run, event)?.into_iter().find(|it| it.event_id == event);
    Ok(found.and_then(|event| event.attributes))
}

/// Tells what follows from one event of history.
struct Teller<'a> {
    store: &'a Store,
    source: &'a Source,
    event: &'a HistoryEvent,
    now: Timestamp,
}

/// How a run ended.
struct End {
    kind: Kind,
    attributes: Members,
    /// Whether an event of that kind from the worker says the same.
    may_be_known: bool,
    task_kind: Kind,
    task_attributes: Members,
}

/// The attributes of an event.
type Members = BTreeMap<&'static str, Box<RawValue>>;

impl Teller<'_> {
    fn tell(&self, told: &mut Vec<NewEvent>) -> Result<(), store::Error> {
        match self.event.attributes.as_ref() {
            Some(Attributes::WorkflowTaskFailedEventAttributes(failed)) => {
                // Something happened while the task ran, and it runs again: nobody has failed.
                if failed.cause() == WorkflowTaskFailedCause::UnhandledCommand {
                    return Ok(());
                }
                let message = match failed.failure.as_ref().map(message).filter(|text| !text.is_empty()) {
                    Some(message) => message,
                    None => failed.cause().as_str_name().to_owned(),
                };
                let task = failed.scheduled_event_id.to_string();
                let attributes = Members::from([("task_id", raw(&task)), ("failure", failure(&message))]);
                told.push(self.new_event(Kind::WorkflowTaskFailed, "", &attributes, None));
            }
            Some(Attributes::WorkflowTaskTimedOutEventAttributes(timed_out)) => {
                let task = timed_out.scheduled_event_id.to_string();
                let timeout = raw(timeout(timed_out.timeout_type()));
                let attributes = Members::from([("task_id", raw(&task)), ("timeout_type", timeout)]);
                told.push(self.new_event(Kind::WorkflowTaskTimedOut, "", &attributes, None));
            }
            Some(Attributes::ActivityTaskTimedOutEventAttributes(timed_out)) => {
                told.extend(self.activity_timed_out(timed_out)?);
            }
            Some(attributes) => {
                if let Some(end) = end(attributes) {
                    self.end(end, told)?;
                }
            }
            None => {}
        }
        Ok(())
    }

    /// Its worker is gone, or it would have told itself.
    fn activity_timed_out(
        &self,
        timed_out: &ActivityTaskTimedOutEventAttributes,
    ) -> Result<Option<NewEvent>, store::Error> {
        let run = self.source.log.run;
        let scheduled = attributes_of(self.store, run, timed_out.scheduled_event_id)?;
        let Some(Attributes::ActivityTaskScheduledEventAttributes(scheduled)) = scheduled else { return Ok(None) };
        let attempt = match attributes_of(self.store, run, timed_out.started_event_id)? {
            Some(Attributes::ActivityTaskStartedEventAttributes(started)) => started.attempt,
            _ => 1,
        };
        let name = scheduled.activity_type.unwrap_or_default().name;
        let attributes = Members::from([
            ("task_id", raw(&scheduled.activity_id)),
            ("activity_name", raw(&name)),
            ("attempt", raw(&attempt)),
            ("failure", failure(&timed_out.failure.as_ref().map(message).unwrap_or_default())),
        ]);
        let task = Some((scheduled.activity_id, name));
        Ok(Some(self.new_event(Kind::ActivityTaskFailed, "", &attributes, task)))
    }

    fn end(&self, end: End, told: &mut Vec<NewEvent>) -> Result<(), store::Error> {
        let EventSummary { ended, open_tasks } = self.store.event_summary(self.source.log.run)?;
        for (task, name) in open_tasks {
            let mut attributes = end.task_attributes.clone();
            attributes.extend([("custom_task_id", raw(&task)), ("custom_task_type", raw(&name))]);
            told.push(self.new_event(end.task_kind, &task.clone(), &attributes, Some((task, name))));
        }
        if !(end.may_be_known && ended == Some(end.kind.number())) {
            let mut attributes = end.attributes;
            attributes.insert("task_id", raw(&self.task_id()?));
            told.push(self.new_event(end.kind, "", &attributes, None));
        }
        Ok(())
    }

    /// Under which its worker has told that the run began.
    fn task_id(&self) -> Result<String, store::Error> {
        let log = &self.source.log;
        let filter = EventFilter {
            run_id: Some(log.run_id),
            kinds: Some(vec![Kind::WorkflowExecutionStarted.number()]),
            ..EventFilter::all(log.namespace)
        };
        let until = *self.store.last_event().borrow();
        let page = self.store.events(&filter, EventRange { after: 0, until, events_max: 1, bytes_max: 1 })?;
        let started = page.events.first().and_then(|event| serde_json::from_slice::<Value>(&event.bytes).ok());
        let task = started.as_ref().and_then(|started| started["attributes"]["task_id"].as_str());
        Ok(task.map_or_else(|| log.run_id.to_string(), str::to_owned))
    }

    fn new_event(&self, kind: Kind, about: &str, attributes: &Members, task: Option<(String, String)>) -> NewEvent {
        let id = event_id(self.source.log.run_id, self.event.event_id, kind, about).to_string();
        let attributes = raw(attributes);
        let at = self.event.event_time.map_or(self.now, Timestamp::from);
        Kept::of(self.source, &id, kind, &attributes, at).into_row(kind, task, self.now)
    }
}

/// The same for the same thing, whenever and however often it is told.
fn event_id(run: Uuid, event: EventId, kind: Kind, about: &str) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(run.as_bytes());
    hash.update(event.to_be_bytes());
    hash.update([kind.number()]);
    hash.update(about.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// What the last event of a run says; nothing for other events.
fn end(attributes: &Attributes) -> Option<End> {
    let canceled = |reason: &str| (Kind::CustomTaskCanceled, Members::from([("reason", raw(reason))]));
    let failed = |text: &str| (Kind::CustomTaskFailed, Members::from([("failure", failure(text))]));
    let (kind, attributes, may_be_known, (task_kind, task_attributes)) = match attributes {
        Attributes::WorkflowExecutionCompletedEventAttributes(it) => {
            let result = Members::from([("result", result(it.result.as_ref()))]);
            (Kind::WorkflowExecutionCompleted, result, true, canceled("the run has completed"))
        }
        Attributes::WorkflowExecutionFailedEventAttributes(it) => {
            let message = it.failure.as_ref().map(message).unwrap_or_default();
            let attributes = Members::from([("failure", failure(&message))]);
            (Kind::WorkflowExecutionFailed, attributes, true, failed(&format!("the run has failed: {message}")))
        }
        Attributes::WorkflowExecutionCanceledEventAttributes(_) => {
            (Kind::WorkflowExecutionCanceled, Members::new(), true, canceled("the run was canceled"))
        }
        Attributes::WorkflowExecutionTerminatedEventAttributes(it) => {
            let reason = match it.reason.as_str() {
                "" => "the run was terminated".to_owned(),
                reason => format!("the run was terminated: {reason}"),
            };
            let attributes = Members::from([("reason", raw(&reason))]);
            (Kind::WorkflowExecutionCanceled, attributes, false, canceled(&reason))
        }
        Attributes::WorkflowExecutionTimedOutEventAttributes(_) => {
            let attributes = Members::from([("failure", failure("the run has timed out"))]);
            let task = (Kind::CustomTaskTimedOut, Members::from([("timeout_type", raw("START_TO_CLOSE"))]));
            (Kind::WorkflowExecutionFailed, attributes, false, task)
        }
        Attributes::WorkflowExecutionContinuedAsNewEventAttributes(it) => {
            let attributes = Members::from([
                ("new_execution_run_id", raw(&it.new_execution_run_id)),
                ("workflow_name", raw(&it.workflow_type.as_ref().map(|it| it.name.as_str()).unwrap_or_default())),
                ("input", arguments(it.input.as_ref())),
            ]);
            let task = canceled("the run has continued as new");
            (Kind::WorkflowExecutionContinuedAsNew, attributes, true, task)
        }
        _ => return None,
    };
    Some(End { kind, attributes, may_be_known, task_kind, task_attributes })
}

/// A value as events have it. What is encoded stays so, and JSON keeps its text.
#[derive(Serialize)]
struct JsonPayload {
    #[serde(rename = "type")]
    kind: &'static str,
    value: Box<RawValue>,
    encoding_options: Option<Vec<EncodingOption>>,
}

fn result(payloads: Option<&Payloads>) -> Box<RawValue> {
    json_payload(payloads, |value| value)
}

/// Arguments are a list.
fn arguments(payloads: Option<&Payloads>) -> Box<RawValue> {
    let list = |value: Box<RawValue>| RawValue::from_string(format!("[{value}]")).expect("a list of JSON is JSON");
    json_payload(payloads, list)
}

fn json_payload(payloads: Option<&Payloads>, wrap: impl FnOnce(Box<RawValue>) -> Box<RawValue>) -> Box<RawValue> {
    let (value, encoding_options) = match payloads.and_then(|it| it.payloads.first()).map(payload::decode) {
        None => (payload::null(), None),
        Some(Decoded::Json(value)) => (wrap(value), None),
        Some(Decoded::Encoded(encoded)) => (raw(&encoded.base64()), Some(encoded.encoding_options)),
    };
    raw(&JsonPayload { kind: "json", value, encoding_options })
}

fn failure(message: &str) -> Box<RawValue> {
    raw(&serde_json::json!({ "message": message }))
}

fn raw<T: Serialize + ?Sized>(value: &T) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("texts, numbers and JSON are JSON")
}

/// The innermost reason is what people look for; activities wrap it.
fn message(failure: &Failure) -> String {
    let mut reasons = vec![failure.message.as_str()];
    let mut next = failure.cause.as_deref();
    while let Some(cause) = next {
        if !cause.message.is_empty() && !reasons.contains(&cause.message.as_str()) {
            reasons.push(&cause.message);
        }
        next = cause.cause.as_deref();
    }
    reasons.join(": ")
}

fn timeout(kind: TimeoutType) -> &'static str {
    match kind {
        TimeoutType::StartToClose => "START_TO_CLOSE",
        TimeoutType::ScheduleToStart => "SCHEDULE_TO_START",
        TimeoutType::ScheduleToClose => "SCHEDULE_TO_CLOSE",
        TimeoutType::Heartbeat => "HEARTBEAT",
        TimeoutType::Unspecified => "UNSPECIFIED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_its_id_from_what_it_is_about() {
        let id = |event, kind, about| event_id(Uuid::from_u128(1), event, kind, about);
        let one = id(5, Kind::WorkflowTaskFailed, "");
        assert_eq!(one, id(5, Kind::WorkflowTaskFailed, ""));
        let others = [
            id(6, Kind::WorkflowTaskFailed, ""),
            id(5, Kind::WorkflowTaskTimedOut, ""),
            id(5, Kind::WorkflowTaskFailed, "task"),
            event_id(Uuid::from_u128(2), 5, Kind::WorkflowTaskFailed, ""),
        ];
        assert!(others.iter().all(|other| *other != one));
    }

    #[test]
    fn a_failure_says_why_down_to_the_cause_and_nothing_twice() {
        let failure = |text: &str, cause: Option<Failure>| Failure {
            message: text.to_owned(),
            cause: cause.map(Box::new),
            ..Failure::default()
        };
        let nested =
            failure("activity task failed", Some(failure("no such file", Some(failure("no such file", None)))));
        assert_eq!(message(&nested), "activity task failed: no such file");
    }
}
