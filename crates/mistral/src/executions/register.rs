//! `POST /executions/register`: a worker introduces a run that it has begun to work on.
//!
//! Called for every run, however it was started, from a local activity: repeating it changes nothing. A run that
//! cannot be registered fails, so only one that does not exist is refused.
//!
//! A run that continues another has its search keys too, beside its own: keys belong to the execution, of which it is
//! the latest run. Those of the SDK say what the run before was doing, and stay behind.

use super::{search_keys, view};
use crate::Platform;
use crate::error::{Error, place};
use crate::extract::Body;
use axum::extract::State;
use axum::response::Json;
use engine::message::Target;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use store::row::{Change, TokenHash};
use uuid::Uuid;

#[derive(Deserialize)]
pub struct Request {
    temporal_workflow_id: String,
    temporal_run_id: Uuid,
    execution_token_hash: String,
    search_key_metadata: Option<BTreeMap<String, Option<String>>>,
}

pub async fn handle(State(platform): State<Platform>, Body(request): Body<Request>) -> Result<Json<Value>, Error> {
    let hash = token_hash(&request.execution_token_hash).ok_or_else(|| {
        let msg = "execution_token_hash must be 64 hexadecimal digits";
        Error::invalid(place(["body", "execution_token_hash"]), msg)
    })?;
    let mut keys = search_keys::Keys::checked(request.search_key_metadata.unwrap_or_default());
    let target = Target::execution(platform.namespace, &request.temporal_workflow_id, Some(request.temporal_run_id));
    let snapshot = view::inspect(&platform, target, false).await?;
    let (run, slot) = (snapshot.run, snapshot.slot);
    let continued = Uuid::try_parse(&snapshot.state.start.event.continued_execution_run_id).ok();
    let (namespace, workflow_id) = (platform.namespace, request.temporal_workflow_id.clone());
    let (known, mut present) = platform
        .read(move |store| {
            let known = store.token(run)?;
            let of = match (known, continued) {
                (None, Some(run_id)) => store.find_run(namespace, &workflow_id, run_id)?,
                _ => Some(run),
            };
            Ok((known, of.map(|run| store.search_keys(run)).transpose()?.unwrap_or_default()))
        })
        .await?;
    if known.is_none() {
        present.retain(|(key, _)| !key.starts_with(search_keys::INTERNAL));
    }
    keys.fit(&present.iter().map(|(key, _)| key.clone()).collect());

    let put = |(key, value)| Change::PutSearchKey { run, key, value };
    let status = keys.status();
    let mut changes: Vec<_> = present.into_iter().chain(keys.kept).map(put).collect();
    if known != Some(hash) {
        changes.push(Change::PutToken { run, hash });
    }
    search_keys::commit(&platform, slot, changes).await?;
    Ok(Json(json!({
        "execution_id": request.temporal_workflow_id,
        "created": known.is_none(),
        "metadata_status": status,
    })))
}

fn token_hash(text: &str) -> Option<TokenHash> {
    let mut hash = TokenHash::default();
    if text.len() != 2 * hash.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(hash)
}
