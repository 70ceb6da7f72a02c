//! Finding workflow executions.

use super::{Client, ClientError};
use futures_util::stream::{BoxStream, Stream, StreamExt};
use std::pin::Pin;
use std::task::{Context, Poll};
use temporalio_client::{WorkflowCountOptions, WorkflowListOptions};

/// A line of a list: what visibility knows of a workflow execution.
pub use temporalio_client::WorkflowExecution as Listed;
/// How many there are, in all and by group.
pub use temporalio_client::WorkflowExecutionCount as Count;

/// Workflow executions, fetched page by page as they are asked for. A stream.
#[must_use = "a list is fetched as it is read"]
pub struct List {
    inner: BoxStream<'static, Result<Listed, ClientError>>,
}

impl Client {
    /// Lists workflow executions, newest first: `client.list("WorkflowType = 'order' AND ExecutionStatus = 'Running'")`.
    /// An empty filter lists all.
    ///
    /// ```no_run
    /// # async fn list(client: tradewind::Client) -> Result<(), tradewind::ClientError> {
    /// use futures_util::TryStreamExt;
    ///
    /// let mut failed = client.list("ExecutionStatus = 'Failed'");
    /// while let Some(run) = failed.try_next().await? {
    ///     println!("{} {}", run.id(), run.workflow_type());
    /// }
    /// # Ok(()) }
    /// ```
    pub fn list(&self, filter: impl Into<String>) -> List {
        let pages = self.inner().list_workflows(filter, WorkflowListOptions::default());
        List { inner: pages.map(|line| line.map_err(ClientError::from)).boxed() }
    }

    /// Counts workflow executions. With `GROUP BY ExecutionStatus` in the filter, by status.
    pub async fn count(&self, filter: impl Into<String>) -> Result<Count, ClientError> {
        Ok(self.inner().count_workflows(filter, WorkflowCountOptions::default()).await?)
    }
}

impl Stream for List {
    type Item = Result<Listed, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inner.poll_next_unpin(cx)
    }
}
