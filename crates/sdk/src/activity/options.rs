//! How an activity is scheduled, retried and timed out.

use crate::Priority;
use std::time::Duration;
use temporalio_common::{ActivityCloseTimeouts, RetryPolicy};
use temporalio_workflow::{ActivityCancellationType, ActivityOptions, LocalActivityOptions, WorkflowCancellationToken};

/// The longest one attempt may take when neither `start_to_close_timeout` nor `schedule_to_close_timeout` is set.
pub const DEFAULT_START_TO_CLOSE: Duration = Duration::from_secs(5 * 60);

/// What happens to a running activity when its workflow no longer waits for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cancellation {
    /// Ask it to stop, and go on at once.
    #[default]
    Request,
    /// Ask it to stop, and wait until it has.
    Wait,
    /// Let it run.
    Abandon,
}

/// The options of an activity: from its attribute, changed for one call by [`Call::with`](super::Call::with).
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Options {
    pub(crate) start_to_close_timeout: Option<Duration>,
    pub(crate) schedule_to_close_timeout: Option<Duration>,
    pub(crate) schedule_to_start_timeout: Option<Duration>,
    pub(crate) heartbeat_timeout: Option<Duration>,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) initial_interval: Option<Duration>,
    pub(crate) maximum_interval: Option<Duration>,
    pub(crate) backoff_coefficient: Option<f64>,
    pub(crate) non_retryable_errors: Vec<String>,
    pub(crate) task_queue: Option<String>,
    pub(crate) rate_limit: Option<f64>,
    pub(crate) local: bool,
    pub(crate) priority: Option<Priority>,
    pub(crate) cancellation: Cancellation,
    pub(crate) id: Option<String>,
    pub(crate) summary: Option<String>,
}

impl Options {
    /// The longest one attempt may take. Five minutes, if no limit on the whole is set either.
    pub fn start_to_close_timeout(mut self, limit: Duration) -> Self {
        self.start_to_close_timeout = Some(limit);
        self
    }

    /// The longest all attempts together may take, waiting included.
    pub fn schedule_to_close_timeout(mut self, limit: Duration) -> Self {
        self.schedule_to_close_timeout = Some(limit);
        self
    }

    /// The longest it may wait for a worker. Not retried: the next wait would be no shorter.
    pub fn schedule_to_start_timeout(mut self, limit: Duration) -> Self {
        self.schedule_to_start_timeout = Some(limit);
        self
    }

    /// The longest an attempt may be silent. Set it for work longer than a minute, and heartbeat.
    pub fn heartbeat_timeout(mut self, limit: Duration) -> Self {
        self.heartbeat_timeout = Some(limit);
        self
    }

    /// How often it is tried at most. Without a limit, for ever.
    pub fn max_attempts(mut self, limit: u32) -> Self {
        self.max_attempts = Some(limit);
        self
    }

    /// The pause after the first failure; one second if nothing is said.
    pub fn initial_interval(mut self, pause: Duration) -> Self {
        self.initial_interval = Some(pause);
        self
    }

    /// The longest pause between attempts; a hundred times the first if nothing is said.
    pub fn maximum_interval(mut self, pause: Duration) -> Self {
        self.maximum_interval = Some(pause);
        self
    }

    /// What each pause is multiplied with to give the next; 2 if nothing is said.
    pub fn backoff_coefficient(mut self, factor: f64) -> Self {
        self.backoff_coefficient = Some(factor);
        self
    }

    /// Failures that are not retried, by their [type](crate::Error::failure_type).
    pub fn non_retryable_errors<I: IntoIterator<Item: Into<String>>>(mut self, types: I) -> Self {
        self.non_retryable_errors = types.into_iter().map(Into::into).collect();
        self
    }

    /// The queue whose workers run it; the workflow's own if nothing is said.
    pub fn task_queue(mut self, queue: impl Into<String>) -> Self {
        self.task_queue = Some(queue.into());
        self
    }

    /// How many may start per second, over all workers.
    ///
    /// The platform limits queues, so a limited activity has one of its own: the workflow's queue, a slash, and the
    /// activity's name. Workers that register the activity poll it too. An explicit `task_queue` wins, and the limit is
    /// then that of the workers there.
    pub fn rate_limit(mut self, per_second: f64) -> Self {
        self.rate_limit = Some(per_second);
        self
    }

    /// Runs it in the workflow's own worker, without a task of its own on the server: for calls of a few milliseconds.
    pub fn local(mut self, local: bool) -> Self {
        self.local = local;
        self
    }

    /// Its priority among the tasks of its queue: a number, or more of a [`Priority`].
    pub fn priority(mut self, priority: impl Into<Priority>) -> Self {
        self.priority = Some(priority.into());
        self
    }

    /// What happens to it when the workflow no longer waits.
    pub fn cancellation(mut self, cancellation: Cancellation) -> Self {
        self.cancellation = cancellation;
        self
    }

    /// Its id in the run, instead of a number.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// A line about it for whoever looks at the run.
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.summary = Some(summary.into());
        self
    }

    fn retry_policy(&self) -> RetryPolicy {
        let mut policy = RetryPolicy::default();
        if let Some(pause) = self.initial_interval {
            policy.set_initial_interval(pause);
        }
        if let Some(factor) = self.backoff_coefficient {
            policy.set_backoff_coefficient(factor);
        }
        if let Some(attempts) = self.max_attempts {
            policy.set_maximum_attempts(attempts);
        }
        policy.set_maximum_interval(self.maximum_interval);
        policy.set_non_retryable_error_types(self.non_retryable_errors.clone());
        policy
    }

    fn close_timeouts(&self) -> ActivityCloseTimeouts {
        match (self.start_to_close_timeout, self.schedule_to_close_timeout) {
            (Some(start_to_close), Some(schedule_to_close)) => {
                ActivityCloseTimeouts::ScheduleAndStartToClose { schedule_to_close, start_to_close }
            }
            (Some(limit), None) => ActivityCloseTimeouts::StartToClose(limit),
            (None, Some(limit)) => ActivityCloseTimeouts::ScheduleToClose(limit),
            (None, None) => ActivityCloseTimeouts::StartToClose(DEFAULT_START_TO_CLOSE),
        }
    }

    pub(crate) fn remote(self, token: WorkflowCancellationToken) -> ActivityOptions {
        let retry_policy = self.retry_policy();
        ActivityOptions::with_close_timeouts(self.close_timeouts())
            .retry_policy(retry_policy)
            .maybe_schedule_to_start_timeout(self.schedule_to_start_timeout)
            .maybe_heartbeat_timeout(self.heartbeat_timeout)
            .maybe_task_queue(self.task_queue)
            .maybe_activity_id(self.id)
            .maybe_summary(self.summary)
            .maybe_priority(self.priority.map(Priority::into_official))
            .cancellation_type(self.cancellation)
            .cancellation_token(token)
            .build()
    }

    pub(crate) fn in_place(self, token: WorkflowCancellationToken) -> LocalActivityOptions {
        let timeouts = self.close_timeouts();
        LocalActivityOptions::builder()
            .retry_policy(self.retry_policy())
            .maybe_start_to_close_timeout(timeouts.start_to_close())
            .maybe_schedule_to_close_timeout(timeouts.schedule_to_close())
            .maybe_schedule_to_start_timeout(self.schedule_to_start_timeout)
            .maybe_activity_id(self.id)
            .maybe_summary(self.summary)
            .cancel_type(self.cancellation.into())
            .cancellation_token(token)
            .build()
    }
}

impl From<Cancellation> for ActivityCancellationType {
    fn from(cancellation: Cancellation) -> Self {
        match cancellation {
            Cancellation::Request => ActivityCancellationType::TryCancel,
            Cancellation::Wait => ActivityCancellationType::WaitCancellationCompleted,
            Cancellation::Abandon => ActivityCancellationType::Abandon,
        }
    }
}
