//! What a run can ask for, without the type of its workflow: the seam to the official context.

use super::Definition;
use super::host::Host;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use std::time::SystemTime;
use temporalio_common::data_converters::{PayloadConverter, RawValue};
use temporalio_common::error::{ActivityExecutionError, ChildWorkflowStartError};
use temporalio_common::{UntypedActivity, UntypedWorkflow};
use temporalio_workflow::{
    ActivityOptions, ChildWorkflowOptions, LocalActivityOptions, StartedChildWorkflow, TimerOptions, TimerResult,
    WorkflowCancellationToken, WorkflowContext,
};
use tracing::Span;

pub(crate) type Pending<T> = LocalBoxFuture<'static, T>;
pub(crate) type StartedChild = StartedChildWorkflow<UntypedWorkflow>;

/// Futures here do nothing until they are polled; then their command is in the order of the polls.
pub(crate) trait Operations {
    fn activity(
        &self,
        name: String,
        args: RawValue,
        options: ActivityOptions,
    ) -> Pending<Result<RawValue, ActivityExecutionError>>;

    fn local_activity(
        &self,
        name: String,
        args: RawValue,
        options: LocalActivityOptions,
    ) -> Pending<Result<RawValue, ActivityExecutionError>>;

    fn child(
        &self,
        name: String,
        args: RawValue,
        options: ChildWorkflowOptions,
    ) -> Pending<Result<StartedChild, ChildWorkflowStartError>>;

    fn timer(&self, options: TimerOptions) -> Pending<TimerResult>;

    fn time(&self) -> Option<SystemTime>;
    fn token(&self) -> WorkflowCancellationToken;
    fn converter(&self) -> PayloadConverter;
    fn task_queue(&self) -> String;
    fn is_replaying(&self) -> bool;
    /// What its log lines carry.
    fn span(&self) -> Span;
    fn fail_task(&self, why: String);
}

impl<W: Definition> Operations for WorkflowContext<Host<W>> {
    fn activity(
        &self,
        name: String,
        args: RawValue,
        options: ActivityOptions,
    ) -> Pending<Result<RawValue, ActivityExecutionError>> {
        let context = self.clone();
        async move { context.execute_activity(UntypedActivity::new(name), args, options).await }.boxed_local()
    }

    fn local_activity(
        &self,
        name: String,
        args: RawValue,
        options: LocalActivityOptions,
    ) -> Pending<Result<RawValue, ActivityExecutionError>> {
        let context = self.clone();
        async move { context.execute_local_activity(UntypedActivity::new(name), args, options).await }.boxed_local()
    }

    fn child(
        &self,
        name: String,
        args: RawValue,
        options: ChildWorkflowOptions,
    ) -> Pending<Result<StartedChild, ChildWorkflowStartError>> {
        let context = self.clone();
        async move { context.start_child_workflow(UntypedWorkflow::new(name), args, options).await }.boxed_local()
    }

    fn timer(&self, options: TimerOptions) -> Pending<TimerResult> {
        let context = self.clone();
        async move { context.timer(options).await }.boxed_local()
    }

    fn time(&self) -> Option<SystemTime> {
        self.workflow_time()
    }

    fn token(&self) -> WorkflowCancellationToken {
        self.cancellation_token()
    }

    fn converter(&self) -> PayloadConverter {
        self.payload_converter().clone()
    }

    fn task_queue(&self) -> String {
        WorkflowContext::task_queue(self).to_owned()
    }

    fn is_replaying(&self) -> bool {
        self.is_replaying_history_events()
    }

    fn span(&self) -> Span {
        tracing::info_span!("workflow", workflow = W::NAME, workflow_id = self.workflow_id(), run_id = self.run_id())
    }

    fn fail_task(&self, why: String) {
        self.force_task_fail(why);
    }
}
