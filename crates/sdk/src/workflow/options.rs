//! How a workflow is started, by a client or by a parent.

use crate::Priority;
use std::time::Duration;
use temporalio_common::search_attributes::SearchAttributes;
use temporalio_workflow::{ChildWorkflowCancellationType, ChildWorkflowOptions, WorkflowCancellationToken};

/// How a workflow that fails is run again: `RetryPolicy::builder().maximum_attempts(3).build()`.
pub use temporalio_common::RetryPolicy;
pub use temporalio_workflow::ParentClosePolicy;

/// The options of a workflow: from its attribute, changed for one start by [`Call::with`](super::Call::with).
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Options {
    pub(crate) id: Option<String>,
    pub(crate) task_queue: Option<String>,
    pub(crate) execution_timeout: Option<Duration>,
    pub(crate) run_timeout: Option<Duration>,
    pub(crate) task_timeout: Option<Duration>,
    pub(crate) retry_policy: Option<RetryPolicy>,
    pub(crate) cron_schedule: Option<String>,
    pub(crate) search_attributes: Option<SearchAttributes>,
    pub(crate) priority: Option<Priority>,
    pub(crate) summary: Option<String>,
    pub(crate) parent_close_policy: ParentClosePolicy,
    pub(crate) cancellation: crate::activity::Cancellation,
}

impl Options {
    /// Its workflow id. Without one, a random one.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The queue whose workers run it.
    pub fn task_queue(mut self, queue: impl Into<String>) -> Self {
        self.task_queue = Some(queue.into());
        self
    }

    /// The longest all its runs together may take, retries and continuations included.
    pub fn execution_timeout(mut self, limit: Duration) -> Self {
        self.execution_timeout = Some(limit);
        self
    }

    /// The longest one run may take.
    pub fn run_timeout(mut self, limit: Duration) -> Self {
        self.run_timeout = Some(limit);
        self
    }

    /// The longest a worker may take to answer a workflow task; ten seconds if nothing is said.
    pub fn task_timeout(mut self, limit: Duration) -> Self {
        self.task_timeout = Some(limit);
        self
    }

    /// Runs that fail are retried by this policy. Without one they are not.
    pub fn retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.retry_policy = Some(policy);
        self
    }

    /// Runs it again and again, at the times that this cron expression names.
    pub fn cron_schedule(mut self, expression: impl Into<String>) -> Self {
        self.cron_schedule = Some(expression.into());
        self
    }

    /// What it can be found by.
    pub fn search_attributes(mut self, attributes: SearchAttributes) -> Self {
        self.search_attributes = Some(attributes);
        self
    }

    /// Its priority among the tasks of its queue: a number, or more of a [`Priority`].
    pub fn priority(mut self, priority: impl Into<Priority>) -> Self {
        self.priority = Some(priority.into());
        self
    }

    /// A line about it for whoever looks at the run.
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.summary = Some(summary.into());
        self
    }

    /// What happens to a child when its parent ends first.
    pub fn parent_close_policy(mut self, policy: ParentClosePolicy) -> Self {
        self.parent_close_policy = policy;
        self
    }

    /// What happens to a child when its parent no longer waits for it.
    pub fn cancellation(mut self, cancellation: crate::activity::Cancellation) -> Self {
        self.cancellation = cancellation;
        self
    }

    pub(crate) fn child(self, token: WorkflowCancellationToken) -> ChildWorkflowOptions {
        use crate::activity::Cancellation;
        let cancel_type = match self.cancellation {
            Cancellation::Request => ChildWorkflowCancellationType::TryCancel,
            Cancellation::Wait => ChildWorkflowCancellationType::WaitCancellationCompleted,
            Cancellation::Abandon => ChildWorkflowCancellationType::Abandon,
        };
        ChildWorkflowOptions::builder()
            .maybe_workflow_id(self.id)
            .maybe_task_queue(self.task_queue)
            .maybe_execution_timeout(self.execution_timeout)
            .maybe_run_timeout(self.run_timeout)
            .maybe_task_timeout(self.task_timeout)
            .maybe_retry_policy(self.retry_policy)
            .maybe_cron_schedule(self.cron_schedule)
            .maybe_search_attributes(self.search_attributes)
            .maybe_priority(self.priority.map(Priority::into_official))
            .maybe_static_summary(self.summary)
            .parent_close_policy(self.parent_close_policy)
            .cancel_type(cancel_type)
            .cancellation_token(token)
            .build()
    }
}
