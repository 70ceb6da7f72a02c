//! Whoever outside the engine must act on certain steps: on each, in the order of commits, whatever crashes.
//!
//! The engine adds a row to the step's own commit and knows nothing else. The follower waits for
//! [`store::Store::last_followed`], reads the rows and the history that they point at, and deletes each row in the
//! write that makes its own act durable. So an act may be tried twice and happens once, and what is left to do after
//! a crash is what has a row.
//!
//! A run's first step is not told: it has nothing to follow from.

use api::{enums::v1::EventType, history::v1::HistoryEvent};
use std::collections::BTreeSet;
use store::row::{Change, Follower};
use tradewind_core::ids::RunKey;

/// Which steps a follower hears of: those in one namespace that record an event of one of these types.
#[derive(Debug, Clone)]
pub struct Following {
    pub follower: Follower,
    pub namespace: String,
    pub events: BTreeSet<EventType>,
}

impl Following {
    fn wants(&self, namespace: &str, events: &[HistoryEvent]) -> bool {
        self.namespace == namespace && events.iter().any(|event| self.events.contains(&event.event_type()))
    }
}

/// The rows that tell of a step.
pub(crate) fn rows(following: &[Following], namespace: &str, run: RunKey, events: &[HistoryEvent]) -> Vec<Change> {
    let Some(first) = events.first() else { return Vec::new() };
    let wanted = following.iter().filter(|it| it.wants(namespace, events));
    wanted.map(|it| Change::PutFollowed { follower: it.follower, run, first_event_id: first.event_id }).collect()
}
