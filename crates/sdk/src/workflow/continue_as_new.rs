//! Ending a run by beginning the next one of the same execution, with a history of its own.

use super::{Call, Definition, current};
use crate::error::{Error, Repr, Result};
use temporalio_common::data_converters::{SerializationContextData, WorkflowSerializationContext};
use temporalio_workflow::ContinueAsNewOptions;

/// Ends this run and goes on with this call, which keeps the workflow id: for loops without end, before history grows
/// long.
///
/// ```
/// # use tradewind::prelude::*;
/// # #[activity] async fn poll() -> Result<()> { Ok(()) }
/// #[workflow]
/// async fn poller(rounds: u64) -> Result<()> {
///     poll().await?;
///     workflow::sleep(std::time::Duration::from_secs(60)).await?;
///     workflow::continue_as_new(poller(rounds + 1))
/// }
/// ```
pub fn continue_as_new<W: Definition, T>(call: Call<W>) -> Result<T> {
    let Some(current) = current::try_get() else {
        return Err(Error::non_retryable("workflow::continue_as_new() was called outside a workflow"));
    };
    let (args, options) = call.into_parts();
    let context = SerializationContextData::Workflow(WorkflowSerializationContext::new());
    let args = args
        .payloads(&current.operations().converter(), &context)
        .map_err(|error| Error::from(Repr::Payload(error)))?;
    let options = ContinueAsNewOptions::builder()
        .workflow_type(W::NAME.to_owned())
        .maybe_task_queue(options.task_queue)
        .maybe_run_timeout(options.run_timeout)
        .maybe_task_timeout(options.task_timeout)
        .maybe_search_attributes(options.search_attributes)
        .maybe_retry_policy(options.retry_policy)
        .build();
    Err(Repr::Termination(current.operations().continue_as_new(args, options)).into())
}
