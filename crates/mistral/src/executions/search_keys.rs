//! Search keys: what users find an execution by. Stored in clear, on the run that the worker names.
//!
//! What does not fit is left out or cut and named in the answer; it never fails a run.

use super::view;
use crate::error::{Error, place};
use crate::extract::{Body, Path};
use crate::{Platform, limits};
use axum::extract::State;
use axum::response::Json;
use engine::message::Target;
use engine::snapshot::Snapshot;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use store::row::{Change, Durability, Write};
use tradewind_core::ids::Slot;
use uuid::Uuid;

/// How the SDK's own keys begin.
pub const INTERNAL: &str = "internal.";

#[derive(Deserialize)]
pub struct Upsert {
    #[serde(default)]
    search_key_metadata: BTreeMap<String, Option<String>>,
    temporal_run_id: Option<Uuid>,
    /// How older workers name the run.
    execution_token_hash: Option<String>,
}

#[derive(Deserialize)]
pub struct Delete {
    temporal_run_id: Uuid,
    #[serde(default)]
    keys: Vec<String>,
}

/// Keys as they may be stored.
#[derive(Debug, Default, PartialEq)]
pub struct Keys {
    pub kept: Vec<(String, Option<String>)>,
    pub dropped: Vec<String>,
    pub truncated: Vec<String>,
}

impl Keys {
    pub fn checked(keys: BTreeMap<String, Option<String>>) -> Keys {
        let mut checked = Keys::default();
        for (key, value) in keys {
            if checked.kept.len() == limits::SEARCH_KEYS_MAX || !is_key(&key) {
                checked.dropped.push(key);
                continue;
            }
            let cut = value.as_ref().and_then(|text| text.char_indices().nth(limits::SEARCH_VALUE_LENGTH_MAX));
            let value = match (value, cut) {
                (Some(mut text), Some((end, _))) => {
                    text.truncate(end);
                    checked.truncated.push(key.clone());
                    Some(text)
                }
                (value, _) => value,
            };
            checked.kept.push((key, value));
        }
        checked
    }

    /// Leaves out new keys for which the execution has no room, beside those that it has.
    pub fn fit(&mut self, present: &BTreeSet<String>) {
        let mut room = limits::SEARCH_KEYS_MAX.saturating_sub(present.len());
        let mut kept = Vec::with_capacity(self.kept.len());
        for (key, value) in self.kept.drain(..) {
            if present.contains(&key) {
                kept.push((key, value));
            } else if room > 0 {
                room -= 1;
                kept.push((key, value));
            } else {
                self.truncated.retain(|it| *it != key);
                self.dropped.push(key);
            }
        }
        self.kept = kept;
    }

    pub fn status(&self) -> &'static str {
        if self.dropped.is_empty() && self.truncated.is_empty() { "ok" } else { "partial" }
    }
}

fn is_key(key: &str) -> bool {
    !key.is_empty()
        && key.chars().count() <= limits::SEARCH_KEY_LENGTH_MAX
        && !key.contains(':')
        && !key.ends_with('=')
        && key.trim() == key
}

pub async fn upsert(
    State(platform): State<Platform>,
    Path(execution): Path<String>,
    Body(request): Body<Upsert>,
) -> Result<Json<Value>, Error> {
    if request.temporal_run_id.is_none() && request.execution_token_hash.is_none() {
        return Err(Error::invalid(place(["body", "temporal_run_id"]), "temporal_run_id is needed"));
    }
    let run = run(&platform, execution, request.temporal_run_id).await?;
    let mut keys = Keys::checked(request.search_key_metadata);
    let key = run.run;
    let present = platform.read(move |store| store.search_keys(key)).await?;
    keys.fit(&present.into_iter().map(|(key, _)| key).collect());
    let status = keys.status();
    let put = |(key, value)| Change::PutSearchKey { run: run.run, key, value };
    commit(&platform, run.slot, keys.kept.into_iter().map(put).collect()).await?;
    Ok(Json(json!({ "metadata_status": status, "dropped_keys": keys.dropped, "truncated_keys": keys.truncated })))
}

pub async fn delete(
    State(platform): State<Platform>,
    Path(execution): Path<String>,
    Body(request): Body<Delete>,
) -> Result<Json<Value>, Error> {
    let run = run(&platform, execution, Some(request.temporal_run_id)).await?;
    let key = run.run;
    let present = platform.read(move |store| store.search_keys(key)).await?;
    let present: BTreeSet<_> = present.into_iter().map(|(key, _)| key).collect();
    let asked: BTreeSet<_> = request.keys.into_iter().collect();
    let deleted: Vec<_> = asked.intersection(&present).cloned().collect();
    let delete = |key: &String| Change::DeleteSearchKey { run: run.run, key: key.clone() };
    commit(&platform, run.slot, deleted.iter().map(delete).collect()).await?;
    Ok(Json(json!({ "deleted_keys": deleted })))
}

async fn run(platform: &Platform, execution: String, run_id: Option<Uuid>) -> Result<Snapshot, Error> {
    view::inspect(platform, Target::execution(platform.namespace, execution, run_id), false).await
}

/// Writes rows about a run, and returns once they are durable.
pub async fn commit(platform: &Platform, slot: Slot, changes: Vec<Change>) -> Result<(), Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let epoch = platform.service.engine.shared().epoch;
    let sequence = platform.service.store.submit(Write { slot, epoch, changes }, Durability::Durable);
    Ok(platform.service.store.durable(sequence).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_named() {
        let long = "ü".repeat(limits::SEARCH_VALUE_LENGTH_MAX + 1);
        let keys = [
            ("ok", Some("v")),
            ("null", None),
            ("long", Some(long.as_str())),
            ("a:b", Some("v")),
            ("a=", Some("v")),
            (" a", Some("v")),
            ("", Some("v")),
            (&"k".repeat(257), Some("v")),
        ];
        let keys = keys.map(|(key, value)| (key.to_owned(), value.map(str::to_owned)));
        let mut checked = Keys::checked(keys.into());

        let kept: Vec<_> = checked.kept.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(kept, ["long", "null", "ok"]);
        assert_eq!(checked.truncated, ["long"]);
        assert_eq!((checked.dropped.len(), checked.status()), (5, "partial"));

        checked.fit(&(0..19).map(|n| n.to_string()).chain(["ok".to_owned()]).collect());
        assert_eq!(checked.kept, [("ok".to_owned(), Some("v".to_owned()))], "twenty are there: only known ones fit");
        assert_eq!((checked.dropped.len(), checked.truncated.len()), (7, 0));
    }

    #[test]
    fn one_call_has_twenty_keys_at_most() {
        let checked = Keys::checked((0..25).map(|n| (format!("k{n:02}"), None)).collect());
        assert_eq!((checked.kept.len(), checked.dropped.len()), (20, 5));
    }
}
