//! What an activity can ask while it runs: who it is, whether to stop, where the last attempt stopped.

use crate::error::{Error, Repr, Result};
use crate::value::Value;
use std::sync::Arc;
use temporalio_sdk::activities::{ActivityContext, ActivityInfo};

tokio::task_local! {
    static CURRENT: Arc<Attempt>;
}

/// One attempt of an activity.
pub(crate) struct Attempt {
    pub(crate) context: ActivityContext,
}

/// Facts about the attempt that is running.
pub type Info = ActivityInfo;

pub(crate) async fn within<F: Future>(attempt: Arc<Attempt>, work: F) -> F::Output {
    CURRENT.scope(attempt, work).await
}

fn current() -> Option<Arc<Attempt>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// Facts about the attempt that is running, or `None` if the function is called as a function.
pub fn info() -> Option<Info> {
    current().map(|attempt| attempt.context.info().clone())
}

/// Says that the attempt lives and how far it has come. The next attempt finds it in [`heartbeat_details`].
///
/// Cheap to call: what is sent is at most a few messages per heartbeat timeout, and the last one always is.
/// Does nothing when the function is called as a function.
pub fn heartbeat<T: Value + Sync + Clone>(details: &T) {
    let Some(attempt) = current() else { return };
    // Without a codec's help this is ready at once; what it does is hand the details to the worker.
    let recorded = attempt.context.record_heartbeat(details.clone());
    if let Some(Err(error)) = futures_util::FutureExt::now_or_never(recorded) {
        tracing::warn!(%error, activity = attempt.context.info().activity_type, "a heartbeat was not recorded");
    }
}

/// What the last attempt said in its last heartbeat, or `None` in the first one.
pub fn heartbeat_details<T: Value>() -> Result<Option<T>> {
    match current() {
        Some(attempt) => {
            attempt.context.heartbeat_details().deserialize().map_err(|error| Error::from(Repr::Payload(error)))
        }
        None => Ok(None),
    }
}

/// Resolves when the activity should stop. Only activities that heartbeat, and local ones, are told.
pub async fn cancelled() {
    match current() {
        Some(attempt) => attempt.context.cancelled().await,
        None => std::future::pending().await,
    }
}

/// Whether the activity should stop.
pub fn is_cancelled() -> bool {
    current().is_some_and(|attempt| attempt.context.is_cancelled())
}
