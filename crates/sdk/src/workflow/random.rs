//! Chance that a replay repeats.

use super::current;
use uuid::Uuid;

/// What [`random`] can give: every number type of the language.
pub use temporalio_workflow::WorkflowRandomValue as Random;

/// A random number: the same again in every replay. Not for secrets.
///
/// # Panics
/// Outside a workflow.
#[track_caller]
pub fn random<T: Random>() -> T {
    let current = current::get("workflow::random()");
    let stream = current.operations().random();
    stream.random()
}

/// A random UUID: the same again in every replay.
///
/// # Panics
/// Outside a workflow.
#[track_caller]
pub fn uuid() -> Uuid {
    let current = current::get("workflow::uuid()");
    uuid::Builder::from_random_bytes(current.operations().random().random::<u128>().to_be_bytes()).into_uuid()
}
