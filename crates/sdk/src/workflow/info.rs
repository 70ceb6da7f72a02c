//! What a run knows of itself: facts, memo, search attributes, versions of its code.

use super::current;
use crate::error::{Repr, Result};
use crate::value::Value;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use temporalio_common::protos::temporal::api::common::v1::Payload;
use temporalio_common::{Memo, MemoValue};

/// Facts about a run: its ids, its type, its parent, its timeouts, its attempt.
pub use temporalio_workflow::WorkflowContextView as Info;

/// A moment, as a search attribute: to and from `SystemTime`.
pub use temporalio_common::search_attributes::Timestamp as SearchAttributeTime;
pub use temporalio_common::search_attributes::{SearchAttributeKey, SearchAttributeUpdate, SearchAttributes};

/// Facts about this run.
///
/// # Panics
/// Outside a workflow.
#[track_caller]
pub fn info() -> Info {
    current::get("workflow::info()").operations().info()
}

/// How many events the history has at this point.
#[track_caller]
pub fn history_length() -> u32 {
    current::get("workflow::history_length()").operations().history_length()
}

/// Whether the server would rather see this run [continue as new](super::continue_as_new), since its history grows long.
#[track_caller]
pub fn continue_as_new_suggested() -> bool {
    current::get("workflow::continue_as_new_suggested()").operations().continue_as_new_suggested()
}

/// Whether this code does again what history says it did. For logs and metrics, never for decisions.
#[track_caller]
pub fn is_replaying() -> bool {
    current::get("workflow::is_replaying()").operations().is_replaying()
}

/// Whether no signal or update is being handled. Wait for it before the end: handlers that still run then are dropped.
#[track_caller]
pub fn handlers_finished() -> bool {
    current::get("workflow::handlers_finished()").operations().handlers_finished()
}

/// Whether this code may do what the patch brought. True on new ground; in a replay, only if the run did it before.
///
/// ```
/// # use tradewind::prelude::*;
/// # #[activity] async fn charge() -> Result<()> { Ok(()) }
/// # #[activity] async fn reserve_then_charge() -> Result<()> { Ok(()) }
/// #[workflow]
/// async fn pay() -> Result<()> {
///     if workflow::patched("reserve-first") { reserve_then_charge().await } else { charge().await }
/// }
/// ```
#[track_caller]
pub fn patched(id: &str) -> bool {
    current::get("workflow::patched()").operations().patched(id, false)
}

/// Says that no run is left which did not take the patch, so that the old branch is gone. Remove it later still.
#[track_caller]
pub fn deprecate_patch(id: &str) {
    current::get("workflow::deprecate_patch()").operations().patched(id, true);
}

/// What the run was started with, and has set since, for people to see.
#[track_caller]
pub fn memo() -> Memo {
    current::get("workflow::memo()").operations().memo()
}

/// Sets one entry of the memo, or removes it with `None`.
#[track_caller]
pub fn set_memo<T: Value + Sync>(key: impl Into<String>, value: Option<T>) -> Result<()> {
    let entry = (key.into(), value.map(MemoValue::new));
    let current = current::get("workflow::set_memo()");
    current.operations().set_memo(entry).map_err(|error| Repr::Payload(error).into())
}

/// What the run can be found by.
#[track_caller]
pub fn search_attributes() -> SearchAttributes {
    let mut attributes = current::get("workflow::search_attributes()").operations().search_attributes().into_proto();
    attributes.indexed_fields.retain(|_, value| !is_removed(value));
    attributes.into()
}

/// Changes what the run can be found by: `upsert_search_attributes([CUSTOMER.value_set("ann".into())])`.
#[track_caller]
pub fn upsert_search_attributes(updates: impl IntoIterator<Item = SearchAttributeUpdate>) {
    let updates = updates.into_iter().map(sendable).collect();
    current::get("workflow::upsert_search_attributes()").operations().upsert_search_attributes(updates);
}

/// The official library removes an attribute by sending no value at all, which servers refuse. An empty list they take
/// as the wish to remove it, whatever its type.
fn sendable(update: SearchAttributeUpdate) -> SearchAttributeUpdate {
    match update.is_unset() {
        true => SearchAttributeKey::keyword_list(lasting(update.name())).value_set(Vec::new()),
        false => update,
    }
}

fn is_removed(value: &Payload) -> bool {
    value.data == b"[]"
}

/// The name as a key wants it. Names come from keys, which have them for ever: there are no more here than in the code.
fn lasting(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock();
    if let Some(known) = names.get(name) {
        return known;
    }
    let name: &'static str = Box::leak(name.into());
    names.insert(name);
    name
}
