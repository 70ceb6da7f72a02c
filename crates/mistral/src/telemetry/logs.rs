//! Log records of executions and of deployments, paged by their times or streamed as they arrive.
//!
//! Workers send their records in batches, so those of several workers arrive out of the order of their times. Pages
//! are in the order of times; streams are in that of arrival, since a stream cannot go back.

use crate::Platform;
use crate::error::{Error, place};
use crate::events::frame::KEEP_ALIVE;
use crate::events::stream::{KEEP_ALIVE_AFTER, sse};
use crate::extract::{Path, Query};
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Json, Response};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use serde::Serialize;
use serde_json::value::RawValue;
use std::convert::Infallible;
use store::row::{LogOrder, LogOwner, LogRange, LogRow};
use tokio::sync::watch;
use tradewind_core::time::Timestamp;

const PAGE_MAX: i64 = 100;
const PAGE_DEFAULT: i64 = 50;
const LAST_EVENT_ID: &str = "last-event-id";

pub async fn of_execution(
    State(platform): State<Platform>,
    Path(execution): Path<String>,
    query: Query,
) -> Result<Response, Error> {
    page(&platform, execution_owner(&platform, execution, &query).await?, &query).await
}

pub async fn of_deployment(
    State(platform): State<Platform>,
    Path(deployment): Path<String>,
    query: Query,
) -> Result<Response, Error> {
    page(&platform, deployment_owner(&platform, deployment, &query)?, &query).await
}

pub async fn stream_of_execution(
    State(platform): State<Platform>,
    Path(execution): Path<String>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let owner = execution_owner(&platform, execution, &query).await?;
    follow(platform, owner, &query, &headers)
}

pub async fn stream_of_deployment(
    State(platform): State<Platform>,
    Path(deployment): Path<String>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let owner = deployment_owner(&platform, deployment, &query)?;
    follow(platform, owner, &query, &headers)
}

async fn execution_owner(platform: &Platform, workflow_id: String, query: &Query) -> Result<LogOwner, Error> {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.to_owned());
    let activity_id = query.read("activity_id", "must be a number", is_number)?;
    let run_id = query.text("run_id").map(str::to_owned);
    let (namespace, id) = (platform.namespace, workflow_id.clone());
    if platform.read(move |store| store.current_run(namespace, &id)).await?.is_none() {
        return Err(Error::not_found(format!("execution {workflow_id} is not found")));
    }
    Ok(LogOwner::Execution { workflow_id, run_id, activity_id })
}

fn deployment_owner(platform: &Platform, name: String, query: &Query) -> Result<LogOwner, Error> {
    if platform.index().deployment(&name).is_none() {
        return Err(Error::not_found(format!("deployment {name} is not found")));
    }
    let text = |name| query.text(name).map(str::to_owned);
    Ok(LogOwner::Deployment { name, worker: text("worker_name"), workflow_type: text("workflow_name") })
}

#[derive(Serialize)]
struct Page<'a> {
    results: Vec<&'a RawValue>,
    next_cursor: Option<String>,
}

async fn page(platform: &Platform, owner: LogOwner, query: &Query) -> Result<Response, Error> {
    let limit = query.number("limit", 1..=PAGE_MAX)?.unwrap_or(PAGE_DEFAULT) as usize;
    let cursor = query.read("cursor", "is not a cursor of an earlier page", Cursor::parse)?;
    let Cursor { order, from, before, after } = match cursor {
        Some(cursor) => cursor,
        None => Cursor {
            order: match query.one_of("order", &["asc", "desc"])? {
                Some("desc") => LogOrder::NewestFirst,
                _ => LogOrder::OldestFirst,
            },
            from: query.time("after")?,
            before: query.time("before")?,
            after: None,
        },
    };
    // One more than asked for shows whether there is another page.
    let range = LogRange { from, before, order, after, limit: limit + 1 };
    let mut rows = platform.read(move |store| store.logs(&owner, &range)).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| Cursor { order, from, before, after: Some((row.time, row.id)) });
    let results: Result<Vec<&RawValue>, _> = rows.iter().map(|row| serde_json::from_slice(&row.bytes)).collect();
    let page = Page { results: results.map_err(Error::internal)?, next_cursor: next.map(|cursor| cursor.to_text()) };
    Ok(Json(page).into_response())
}

/// Where a page ended; carries what the first one was asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cursor {
    order: LogOrder,
    from: Option<Timestamp>,
    before: Option<Timestamp>,
    after: Option<(Timestamp, i64)>,
}

impl Cursor {
    /// `asc.time.id.from.before`, instants in nanoseconds.
    fn to_text(self) -> String {
        let order = if self.order == LogOrder::NewestFirst { "desc" } else { "asc" };
        let (time, id) = self.after.unwrap_or_default();
        let instant = |time: Option<Timestamp>| time.map(|time| time.as_nanos().to_string()).unwrap_or_default();
        format!("{order}.{}.{id}.{}.{}", time.as_nanos(), instant(self.from), instant(self.before))
    }

    fn parse(text: &str) -> Option<Cursor> {
        let parts: Vec<&str> = text.split('.').collect();
        let [order, time, id, from, before] = parts[..] else { return None };
        let order = match order {
            "asc" => LogOrder::OldestFirst,
            "desc" => LogOrder::NewestFirst,
            _ => return None,
        };
        let instant = |text: &str| text.parse().ok().map(Timestamp::from_nanos);
        let optional = |text: &str| if text.is_empty() { Some(None) } else { instant(text).map(Some) };
        let after = Some((instant(time)?, id.parse().ok()?));
        Some(Cursor { order, from: optional(from)?, before: optional(before)?, after })
    }
}

/// A reader of records as they arrive. The id of a frame is the number of its row.
struct Follower {
    platform: Platform,
    owner: LogOwner,
    from: Option<Timestamp>,
    /// Number of the last row that was sent.
    last: i64,
    arrived: watch::Receiver<u64>,
    over: bool,
}

fn follow(platform: Platform, owner: LogOwner, query: &Query, headers: &HeaderMap) -> Result<Response, Error> {
    let header = headers.get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or("?"));
    let last = match header.or_else(|| query.text("last_event_id")) {
        Some(text) => Some(text.parse::<i64>().ok().filter(|id| *id >= 0).ok_or_else(|| {
            Error::invalid(place(["query", "last_event_id"]), format!("{text:?} is not the id of a record of a stream"))
        })?),
        None => None,
    };
    let from = if last.is_some() { None } else { query.time("after")? };
    let arrived = platform.telemetry.logs_arrived.subscribe();
    let follower = Follower { platform, owner, from, last: last.unwrap_or(0), arrived, over: false };
    let frames = stream::unfold(follower, |mut follower| async move {
        let bytes = follower.next().await?;
        Some((Ok::<Bytes, Infallible>(bytes), follower))
    });
    Ok(sse(Body::from_stream(frames)))
}

impl Follower {
    async fn next(&mut self) -> Option<Bytes> {
        let shutdown = self.platform.service.shutdown.clone();
        loop {
            if self.over || shutdown.is_cancelled() {
                return None;
            }
            // Marked before the read: what arrives during it is seen by the next.
            self.arrived.mark_unchanged();
            match self.read().await {
                Ok(rows) if rows.is_empty() => {}
                Ok(rows) => return Some(frames(&rows)),
                Err(error) => {
                    tracing::error!("a stream of logs ends early: {}", error.text());
                    self.over = true;
                    return Some(crate::events::frame::error(crate::events::frame::Reason::Read));
                }
            }
            tokio::select! {
                changed = self.arrived.changed() => changed.ok()?,
                () = shutdown.cancelled() => return None,
                () = tokio::time::sleep(KEEP_ALIVE_AFTER) => return Some(KEEP_ALIVE),
            }
        }
    }

    async fn read(&mut self) -> Result<Vec<LogRow>, Error> {
        let owner = self.owner.clone();
        let after = Some((Timestamp::ZERO, self.last));
        let limit = PAGE_MAX as usize;
        let range = LogRange { from: self.from, before: None, order: LogOrder::Arrival, after, limit };
        let rows = self.platform.read(move |store| store.logs(&owner, &range)).await?;
        self.last = rows.last().map_or(self.last, |row| row.id);
        Ok(rows)
    }
}

fn frames(rows: &[LogRow]) -> Bytes {
    let mut frames = BytesMut::new();
    for row in rows {
        frames.extend_from_slice(format!("id: {}\nevent: log\ndata: ", row.id).as_bytes());
        frames.extend_from_slice(&row.bytes);
        frames.extend_from_slice(b"\n\n");
    }
    frames.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_where_a_page_ended() {
        let at = Timestamp::from_nanos;
        for order in [LogOrder::OldestFirst, LogOrder::NewestFirst] {
            for (from, before) in [(None, None), (Some(at(-5)), Some(at(7)))] {
                let cursor = Cursor { order, from, before, after: Some((at(3), 9)) };
                assert_eq!(Cursor::parse(&cursor.to_text()), Some(cursor));
            }
        }
        for wrong in [
            "",
            "asc",
            "asc.1.2.3",
            "up.1.2..",
            "asc.x.2..",
            "asc.1.2...",
            "asc.1.2.x.",
            "asc.1.99999999999999999999..",
        ] {
            assert_eq!(Cursor::parse(wrong), None, "{wrong}");
        }
    }
}
