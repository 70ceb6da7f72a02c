//! A workflow execution that runs or has run.

mod messages;

pub use messages::UpdateHandle;

use super::{Client, ClientError};
use crate::value::{self, Value};
use crate::workflow;
use futures_util::stream::{Stream, StreamExt};
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use temporalio_client::{
    HistoryEventFilterType, WorkflowCancelOptions, WorkflowDescribeOptions, WorkflowExecutionInfo,
    WorkflowFetchHistoryOptions, WorkflowGetResultOptions, WorkflowHistory, WorkflowTerminateOptions,
};
use temporalio_common::UntypedWorkflow;
use temporalio_common::data_converters::{RawValue, SerializationContextData, WorkflowSerializationContext};
use temporalio_common::protos::temporal::api::history::v1::HistoryEvent;

/// All that a server tells about a workflow execution.
pub use temporalio_client::WorkflowExecutionDescription as Description;

type Inner = temporalio_client::WorkflowHandle<temporalio_client::Client, UntypedWorkflow>;

/// A workflow execution: wait for it, talk to it, stop it.
pub struct WorkflowHandle<W> {
    client: Client,
    inner: Inner,
    workflow: PhantomData<fn() -> W>,
}

/// Stands for a workflow whose definition is not at hand.
#[derive(Debug, Clone, Copy)]
pub struct Untyped;

impl<W> WorkflowHandle<W> {
    pub(super) fn new(client: Client, inner: Inner) -> Self {
        WorkflowHandle { client, inner, workflow: PhantomData }
    }

    pub(super) fn existing(client: &Client, id: impl Into<String>) -> Self {
        WorkflowHandle::new(client.clone(), client.inner().get_workflow_handle::<UntypedWorkflow>(id))
    }

    /// The workflow id.
    pub fn id(&self) -> &str {
        &self.inner.info().workflow_id
    }

    /// The run id, if the handle is of one run.
    pub fn run_id(&self) -> Option<&str> {
        self.inner.run_id()
    }

    /// The same workflow id, and this run of it alone.
    pub fn run(&self, run_id: impl Into<String>) -> Self {
        self.changed(|info| {
            info.run_id = Some(run_id.into());
            info.first_execution_run_id = None;
        })
    }

    /// The chain of runs that this one began.
    pub(super) fn of_chain(&self, first_run_id: String) -> Self {
        self.changed(|info| {
            info.run_id = Some(first_run_id.clone());
            info.first_execution_run_id = Some(first_run_id);
        })
    }

    fn changed(&self, change: impl FnOnce(&mut WorkflowExecutionInfo)) -> Self {
        let mut info = self.inner.info().clone();
        change(&mut info);
        WorkflowHandle::new(self.client.clone(), Inner::new(self.client.inner().clone(), info))
    }

    /// All that the server knows about it now: state, what it waits for, attempts, memo, search attributes.
    pub async fn describe(&self) -> Result<Description, ClientError> {
        Ok(self.inner.describe(WorkflowDescribeOptions::default()).await?)
    }

    /// Asks it to stop. It may clean up first, or refuse.
    pub async fn cancel(&self) -> Result<(), ClientError> {
        Ok(self.inner.cancel(WorkflowCancelOptions::default()).await?)
    }

    /// Asks it to stop, and says why.
    pub async fn cancel_because(&self, reason: impl Into<String>) -> Result<(), ClientError> {
        Ok(self.inner.cancel(WorkflowCancelOptions::builder().reason(reason).build()).await?)
    }

    /// Ends it on the spot. Its code is not asked, and cleans nothing up.
    pub async fn terminate(&self, reason: impl Into<String>) -> Result<(), ClientError> {
        Ok(self.inner.terminate(WorkflowTerminateOptions::builder().reason(reason).build()).await?)
    }

    /// Its history so far, event by event.
    pub fn history(&self) -> History {
        self.fetch(false)
    }

    /// Its history, and then what happens until the run ends.
    ///
    /// ```no_run
    /// # async fn follow(client: tradewind::Client) -> Result<(), tradewind::ClientError> {
    /// use futures_util::TryStreamExt;
    ///
    /// let mut events = client.untyped_handle("report-42").follow();
    /// while let Some(event) = events.try_next().await? {
    ///     println!("{} {:?}", event.event_id, event.event_type());
    /// }
    /// # Ok(()) }
    /// ```
    pub fn follow(&self) -> History {
        self.fetch(true)
    }

    fn fetch(&self, wait: bool) -> History {
        let options = WorkflowFetchHistoryOptions::builder()
            .skip_archival(true)
            .wait_new_event(wait)
            .event_filter_type(HistoryEventFilterType::AllEvent)
            .build();
        History { inner: self.inner.fetch_history(options) }
    }

    async fn raw_result(&self) -> Result<RawValue, ClientError> {
        Ok(self.inner.get_result(WorkflowGetResultOptions::default()).await?)
    }

    fn decode<T: Value>(&self, raw: RawValue) -> Result<T, ClientError> {
        let converter = self.client.inner().options().data_converter.payload_converter();
        let context = SerializationContextData::Workflow(WorkflowSerializationContext::new());
        Ok(value::decode(raw, converter, &context)?)
    }
}

impl<W: workflow::Definition> WorkflowHandle<W> {
    /// Waits for the result, through continuations and retries.
    pub async fn result(&self) -> Result<W::Output, ClientError> {
        self.decode(self.raw_result().await?)
    }
}

impl WorkflowHandle<Untyped> {
    /// Waits for the result, through continuations and retries, and reads it as this type.
    pub async fn result<T: Value>(&self) -> Result<T, ClientError> {
        self.decode(self.raw_result().await?)
    }
}

impl<W> Clone for WorkflowHandle<W> {
    fn clone(&self) -> Self {
        self.changed(|_| {})
    }
}

impl<W> fmt::Debug for WorkflowHandle<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkflowHandle").field("id", &self.id()).field("run_id", &self.run_id()).finish()
    }
}

/// The events of a run, fetched page by page as they are asked for. A stream.
#[must_use = "a history is fetched as it is read"]
#[derive(Debug)]
pub struct History {
    inner: WorkflowHistory,
}

impl History {
    /// All events.
    pub async fn into_events(self) -> Result<Vec<HistoryEvent>, ClientError> {
        Ok(self.inner.into_events().await?)
    }

    /// What the workflow asked for so far, in words and in order: for tests, of activities that are not mocked, timers and
    /// children.
    ///
    /// ```no_run
    /// # async fn test(client: tradewind::Client) -> Result<(), tradewind::ClientError> {
    /// let steps = client.untyped_handle("report-42").history().steps().await?;
    /// assert_eq!(steps, ["activity fetch_user_data", "timer of 60s", "child workflow archive", "the workflow completes"]);
    /// # Ok(()) }
    /// ```
    pub async fn steps(self) -> Result<Vec<String>, ClientError> {
        Ok(crate::replay::steps(&self.into_events().await?))
    }

    /// All events, in the JSON that the official command line exports and [`replay`](crate::replay) reads.
    pub async fn to_json(self) -> Result<Vec<u8>, ClientError> {
        self.inner.to_json().await.map_err(|error| ClientError::Server(Box::new(error)))
    }

    /// As the official crates take it.
    pub fn into_inner(self) -> WorkflowHistory {
        self.inner
    }
}

impl Stream for History {
    type Item = Result<HistoryEvent, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inner.poll_next_unpin(cx).map(|event| event.map(|event| event.map_err(ClientError::from)))
    }
}
