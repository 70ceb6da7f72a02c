//! One reader's stream: what the log has, then what comes, without a gap and without a repetition.
//!
//! The reader takes its place in the hub first. The hub says how far the log has to be read; everything behind that
//! arrives in the mailbox. Where the mailbox overflows the same happens again, from there. Nothing is made ahead of
//! the socket: while it takes nothing, nothing is read.
//!
//! Invariants
//! - Sequences only grow within a stream.
//! - A reader holds one page of the log or one mailbox, never more.

use super::frame::{self, Frame, Reason};
use super::hub::{Hub, Subscription, Taken};
use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use store::row::{EventFilter, EventRange};
use tokio_util::sync::CancellationToken;

/// Silence after which the reader is told that the stream lives.
pub const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(15);
/// What one page of the log may have, and what is sent at once.
const PAGE_EVENTS: usize = 200;
const PAGE_BYTES: usize = 256 * 1024;

/// Where the events of a stream come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supply {
    /// What the log has, then the end.
    Log,
    /// What comes from now on.
    Live,
    Both,
}

/// What a reader asks for.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub filter: EventFilter,
    pub supply: Supply,
    /// Nothing up to here, because the reader has it.
    pub after: i64,
}

struct Reader {
    hub: Arc<Hub>,
    filter: EventFilter,
    subscription: Subscription,
    shutdown: CancellationToken,
    /// Everything up to here has been sent or does not match.
    position: i64,
    phase: Phase,
}

enum Phase {
    /// The log is read up to there.
    Log {
        until: i64,
        then_end: bool,
    },
    Live,
    /// The last frame has been sent.
    Over,
}

/// Answers with the events, until the server stops or the reader leaves.
pub fn respond(hub: &Arc<Hub>, shutdown: CancellationToken, wanted: Wanted) -> Response {
    let (subscription, head) = hub.subscribe(wanted.filter.clone());
    let after = if wanted.supply == Supply::Live && wanted.after == 0 { head } else { wanted.after };
    let reader = Reader {
        hub: hub.clone(),
        filter: wanted.filter,
        subscription,
        shutdown,
        position: after,
        phase: Phase::Log { until: head, then_end: wanted.supply == Supply::Log },
    };
    let frames = stream::unfold(reader, |mut reader| async move {
        let bytes = reader.next().await?;
        Some((Ok::<Bytes, Infallible>(bytes), reader))
    });
    sse(Body::from_stream(frames))
}

/// The headers of a stream that nobody on the way should hold back.
pub fn sse(body: Body) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    (headers, [("x-accel-buffering", "no")], body).into_response()
}

impl Reader {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.shutdown.is_cancelled() {
                return None;
            }
            match self.phase {
                Phase::Over => return None,
                Phase::Log { until, then_end } if self.position >= until => {
                    if then_end {
                        return None;
                    }
                    self.phase = Phase::Live;
                }
                Phase::Log { until, .. } => match self.read(until).await {
                    Ok(bytes) if bytes.is_empty() => {}
                    Ok(bytes) => return Some(bytes),
                    Err(error) => {
                        tracing::error!(%error, "a stream of events ends early");
                        return Some(self.end(Reason::Read));
                    }
                },
                Phase::Live => match self.subscription.take(PAGE_BYTES) {
                    Taken::Frames(frames) => {
                        let frames = frames.iter().filter(|frame| frame.sequence > self.position);
                        let (bytes, last) = joined(frames.map(AsRef::as_ref));
                        self.position = self.position.max(last);
                        if !bytes.is_empty() {
                            return Some(bytes);
                        }
                    }
                    Taken::Overflowed(first) => {
                        self.position = self.position.max(first - 1);
                        self.phase = Phase::Log { until: self.subscription.resume(), then_end: false };
                    }
                    Taken::Failed => return Some(self.end(Reason::Stream)),
                    Taken::Nothing => {
                        tokio::select! {
                            () = self.subscription.news() => {}
                            () = self.shutdown.cancelled() => return None,
                            () = tokio::time::sleep(KEEP_ALIVE_AFTER) => return Some(frame::KEEP_ALIVE),
                        }
                    }
                },
            }
        }
    }

    fn end(&mut self, reason: Reason) -> Bytes {
        self.phase = Phase::Over;
        frame::error(reason)
    }

    /// One page of the log. It may be empty and still lead on.
    async fn read(&mut self, until: i64) -> Result<Bytes, store::Error> {
        let range = EventRange { after: self.position, until, events_max: PAGE_EVENTS, bytes_max: PAGE_BYTES };
        let page = self.hub.read(self.filter.clone(), range).await?;
        let namespace = self.hub.namespace_name();
        let frames: Result<Vec<Frame>, _> = page.events.iter().map(|event| Frame::of(event, namespace)).collect();
        let frames = frames.map_err(|_| store::Error::Damaged("event"))?;
        self.position = page.looked_until;
        Ok(joined(frames.iter()).0)
    }
}

/// The frames as one piece, and the last sequence among them.
fn joined<'a>(frames: impl Iterator<Item = &'a Frame>) -> (Bytes, i64) {
    let mut bytes = BytesMut::new();
    let mut last = 0;
    for frame in frames {
        bytes.extend_from_slice(&frame.bytes);
        last = frame.sequence;
    }
    (bytes.freeze(), last)
}
