//! Reading history: what a loop remembers first, then the store.

use crate::{Error, Handle, snapshot::Snapshot};
use api::history::v1::{History, HistoryEvent};
use bytes::Bytes;
use prost::Message;
use store::row::HistoryRow;
use tradewind_core::ids::{EventId, RunKey};

/// Bytes of history that one read takes in.
const READ_BYTES: usize = 2 * 1024 * 1024;
const READ_BATCHES: usize = 1_024;

fn events_of(bytes: &Bytes) -> Result<Vec<HistoryEvent>, Error> {
    let history = History::decode(bytes.clone())
        .map_err(|error| Error::Unavailable(format!("a batch of history does not decode: {error}")))?;
    Ok(history.events)
}

impl Handle {
    /// Events `from` up to and without `until`, oldest first; at most `max` of them.
    ///
    /// `recent` are the newest batches as a loop handed them out. What is older is read from the store, which
    /// must have it: call [`Handle::settled`] first if anything of it may be on its way.
    pub fn events(
        &self,
        run: RunKey,
        recent: &[(EventId, Bytes)],
        from: EventId,
        until: EventId,
        max: usize,
    ) -> Result<Vec<HistoryEvent>, Error> {
        let mut events: Vec<HistoryEvent> = Vec::new();
        let remembered_from = recent.first().map_or(EventId::MAX, |(first, _)| *first);
        let mut next = from;
        while next < until && next < remembered_from && events.len() < max {
            let rows: Vec<HistoryRow> = self.shared.store.read_history(run, next, READ_BATCHES, READ_BYTES)?;
            let before = next;
            for row in &rows {
                for event in events_of(&row.bytes)? {
                    if event.event_id >= next && event.event_id < until && event.event_id < remembered_from {
                        next = event.event_id + 1;
                        events.push(event);
                    }
                }
            }
            if next == before {
                return Err(Error::Unavailable(format!("events from {next} of run {} are missing", run.0)));
            }
        }
        for (at, (_, bytes)) in recent.iter().enumerate() {
            if next >= until || events.len() >= max {
                break;
            }
            // Decoding costs more than anything else here: a batch that ends before what is wanted is left alone.
            if recent.get(at + 1).is_some_and(|(following, _)| *following <= next) {
                continue;
            }
            for event in events_of(bytes)? {
                if event.event_id >= next && event.event_id < until {
                    next = event.event_id + 1;
                    events.push(event);
                }
            }
        }
        events.truncate(max);
        Ok(events)
    }

    /// Events before `before`, newest first; at most `max` of them.
    pub fn events_reverse(&self, run: RunKey, before: EventId, max: usize) -> Result<Vec<HistoryEvent>, Error> {
        let mut events: Vec<HistoryEvent> = Vec::new();
        let mut below = before;
        while below > 1 && events.len() < max {
            let rows = self.shared.store.read_history_reverse(run, below, READ_BATCHES, READ_BYTES)?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                for event in events_of(&row.bytes)?.into_iter().rev() {
                    if event.event_id < below {
                        below = event.event_id;
                        events.push(event);
                    }
                }
            }
        }
        events.truncate(max);
        Ok(events)
    }

    /// Waits until the store has everything that the snapshot shows.
    pub async fn settled(&self, snapshot: &Snapshot) -> Result<(), Error> {
        Ok(self.shared.store.durable(snapshot.written).await?)
    }
}
