//! What a run knows of itself: facts, memo, search attributes, versions of its code.

use super::current;
use crate::error::{Repr, Result};
use crate::value::Value;
use temporalio_common::search_attributes::SearchAttributeUpdate;
use temporalio_common::{Memo, MemoValue};

/// Facts about a run: its ids, its type, its parent, its timeouts, its attempt.
pub use temporalio_workflow::WorkflowContextView as Info;

pub use temporalio_common::search_attributes::{SearchAttributeKey, SearchAttributes};

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
    current::get("workflow::search_attributes()").operations().search_attributes()
}

/// Changes what the run can be found by: `upsert_search_attributes([CUSTOMER.value_set("ann".into())])`.
#[track_caller]
pub fn upsert_search_attributes(updates: impl IntoIterator<Item = SearchAttributeUpdate>) {
    let updates = updates.into_iter().collect();
    current::get("workflow::upsert_search_attributes()").operations().upsert_search_attributes(updates);
}
