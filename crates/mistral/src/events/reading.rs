//! Events for those who watch: `GET /v1/workflows/events/stream`, `/v1/workflows/events/list` and
//! `/v1/workflows/executions/{id}/stream`.

use super::frame::{ACTIVITY_TOPIC, WORKFLOW_TOPIC, as_json};
use super::kind::{Kind, Scope};
use super::stream::{self, Supply, Wanted};
use crate::Platform;
use crate::error::{Error, place};
use crate::extract::{Path, Query};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use store::row::{EventFilter, EventRange};
use uuid::Uuid;

const LIST_MAX: i64 = 1_000;
const LIST_DEFAULT: i64 = 100;
/// What one answer may have; the cursor leads to the rest.
const LIST_BYTES_MAX: usize = 8 * 1024 * 1024;
const LAST_EVENT_ID: &str = "last-event-id";

pub async fn stream(State(platform): State<Platform>, query: Query, headers: HeaderMap) -> Result<Response, Error> {
    let filter = filter(&platform, &query)?;
    let start = query.number("start_seq", 0..=i64::MAX)?.unwrap_or(0);
    let after = last_event_id(&headers, &query)?.unwrap_or(0).max(start.saturating_sub(1));
    Ok(respond(&platform, Wanted { filter, supply: Supply::Both, after }))
}

/// All that the latest start of an execution tells, in all of its runs.
pub async fn stream_of_execution(
    State(platform): State<Platform>,
    Path(execution_id): Path<String>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let supply = match query.one_of("event_source", &["DATABASE", "LIVE", "HYBRID"])? {
        Some("DATABASE") => Supply::Log,
        Some("LIVE") => Supply::Live,
        _ => Supply::Both,
    };
    let after = last_event_id(&headers, &query)?.unwrap_or(0);
    let (namespace, workflow_id) = (platform.namespace, execution_id.clone());
    let source = platform
        .read(move |store| match store.current_run(namespace, &workflow_id)? {
            Some(run) => super::source::of_run(store, namespace, run),
            None => Ok(None),
        })
        .await?
        .ok_or_else(|| Error::not_found(format!("there is no execution {execution_id:?}")))?;
    let filter = EventFilter {
        workflow_id: Some(execution_id),
        chain_run_id: Some(source.log.chain_run_id),
        ..EventFilter::all(namespace)
    };
    Ok(respond(&platform, Wanted { filter, supply, after }))
}

fn respond(platform: &Platform, wanted: Wanted) -> Response {
    stream::respond(&platform.events.hub, platform.service.shutdown.clone(), wanted)
}

#[derive(Serialize)]
struct List<'a> {
    events: Vec<&'a RawValue>,
    next_cursor: Option<String>,
}

pub async fn list(State(platform): State<Platform>, query: Query) -> Result<Response, Error> {
    let limit = query.number("limit", 1..=LIST_MAX)?.unwrap_or(LIST_DEFAULT);
    let mut after = query.number("cursor", 0..=i64::MAX)?.unwrap_or(0);
    let run_id =
        query.read("workflow_run_id", "must be a run id, which is a UUID", |text| Uuid::try_parse(text).ok())?;
    let text = |name| query.text(name).map(str::to_owned);
    let filter = EventFilter {
        workflow_id: text("workflow_exec_id"),
        root_workflow_id: text("root_workflow_exec_id"),
        run_id,
        ..EventFilter::all(platform.namespace)
    };
    let until = *platform.service.store.last_event().borrow();
    let mut events = Vec::new();
    let mut bytes = 0;
    // A page of the log may have few matches among many events.
    while after < until && events.len() < limit as usize && bytes < LIST_BYTES_MAX {
        let events_max = limit as usize - events.len();
        let range = EventRange { after, until, events_max, bytes_max: LIST_BYTES_MAX - bytes };
        let page = platform.events.hub.read(filter.clone(), range).await?;
        bytes += page.events.iter().map(|event| event.bytes.len()).sum::<usize>();
        events.extend(page.events);
        after = page.looked_until;
    }
    let texts: Result<Vec<_>, _> = events.iter().map(|event| as_json(&event.bytes)).collect();
    let list =
        List { events: texts.map_err(Error::internal)?, next_cursor: (after < until).then(|| after.to_string()) };
    Ok(axum::response::Json(list).into_response())
}

/// The header, or the parameter of that name.
fn last_event_id(headers: &HeaderMap, query: &Query) -> Result<Option<i64>, Error> {
    let header = headers.get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or("?"));
    let (text, loc) = match header {
        Some(text) => (Some(text), place(["header", LAST_EVENT_ID])),
        None => (query.text("last_event_id"), place(["query", "last_event_id"])),
    };
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let id = text.parse().ok().filter(|id| *id >= 0);
    id.map(Some).ok_or_else(|| Error::invalid(loc, format!("{text:?} is not the id of an event of a stream")))
}

/// The conditions of `/events/stream`; `*` stands for none.
fn filter(platform: &Platform, query: &Query) -> Result<EventFilter, Error> {
    let given = |name| query.text(name).filter(|text| *text != "*").map(str::to_owned);
    let scope = match query.one_of("scope", &["*", "workflow", "activity"])? {
        Some("activity") => Some(true),
        Some("workflow") => Some(false),
        _ => None,
    };
    let types = query.all("workflow_event_types").map(|name| {
        Kind::named(name).ok_or_else(|| {
            Error::invalid(place(["query", "workflow_event_types"]), format!("{name:?} is not a type of event"))
        })
    });
    let types: Vec<Kind> = types.collect::<Result<_, _>>()?;
    if let Some(text) = query.text("metadata_filters").filter(|text| !matches!(*text, "*" | "null")) {
        let loc = place(["query", "metadata_filters"]);
        match serde_json::from_str(text) {
            Ok(Value::Object(conditions)) if conditions.is_empty() => {}
            Ok(Value::Object(_)) => return Err(Error::invalid(loc, "events have no metadata here to filter by")),
            _ => return Err(Error::invalid(loc, "must be an object in JSON")),
        }
    }
    let (activity_name, activity_id, topic) = (given("activity_name"), given("activity_id"), given("stream"));
    let about_activity = activity_name.is_some() || activity_id.is_some();
    let wanted = |kind: &Kind| {
        let activity = kind.scope() == Scope::Activity;
        let of_topic = topic.as_deref().is_none_or(|topic| match kind.scope() {
            Scope::Workflow => topic == WORKFLOW_TOPIC,
            Scope::Activity => topic == ACTIVITY_TOPIC,
            Scope::CustomTask => !matches!(topic, WORKFLOW_TOPIC | ACTIVITY_TOPIC),
        });
        (types.is_empty() || types.contains(kind))
            && scope.is_none_or(|wanted| wanted == activity)
            && (!about_activity || activity)
            && of_topic
    };
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(wanted).collect();
    let custom_type = topic.filter(|topic| !matches!(topic.as_str(), WORKFLOW_TOPIC | ACTIVITY_TOPIC));
    Ok(EventFilter {
        workflow_id: given("workflow_exec_id"),
        root_workflow_id: given("root_workflow_exec_id"),
        parent_workflow_id: given("parent_workflow_exec_id"),
        workflow_type: given("workflow_name"),
        kinds: (kinds.len() < Kind::ALL.len()).then(|| kinds.into_iter().map(Kind::number).collect()),
        task: activity_id,
        task_name: activity_name.or(custom_type),
        ..EventFilter::all(platform.namespace)
    })
}
