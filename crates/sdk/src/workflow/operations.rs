//! What a run can ask for, without the type of its workflow: the seam to the official context.

use super::Definition;
use super::host::{Host, Input};
use super::watchdog::Run;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use std::time::SystemTime;
use temporalio_common::data_converters::{PayloadConversionError, PayloadConverter, RawValue};
use temporalio_common::error::{ActivityExecutionError, ChildWorkflowStartError};
use temporalio_common::search_attributes::{SearchAttributeUpdate, SearchAttributes};
use temporalio_common::{Memo, MemoValue, UntypedActivity, UntypedWorkflow};
use temporalio_workflow::{
    ActivityOptions, ChildWorkflowOptions, ContinueAsNewOptions, ExternalWorkflowHandle, LocalActivityOptions,
    StartedChildWorkflow, TimerOptions, TimerResult, WaitConditionOptions, WorkflowCancellationToken, WorkflowContext,
    WorkflowContextView, WorkflowRandomStream, WorkflowTermination,
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

    /// Wakes its poller whenever the state changes; resolves when the token is cancelled.
    fn changed(&self, token: WorkflowCancellationToken) -> Pending<()>;

    fn time(&self) -> Option<SystemTime>;
    fn token(&self) -> WorkflowCancellationToken;
    fn converter(&self) -> PayloadConverter;
    fn task_queue(&self) -> String;
    fn info(&self) -> WorkflowContextView;
    fn random(&self) -> WorkflowRandomStream;
    fn external(&self, id: String, run_id: Option<String>) -> ExternalWorkflowHandle;
    fn continue_as_new(&self, args: RawValue, options: ContinueAsNewOptions) -> WorkflowTermination;
    fn patched(&self, id: &str, deprecated: bool) -> bool;
    fn memo(&self) -> Memo;
    fn set_memo(&self, entry: (String, Option<MemoValue>)) -> Result<(), PayloadConversionError>;
    fn search_attributes(&self) -> SearchAttributes;
    fn upsert_search_attributes(&self, updates: Vec<SearchAttributeUpdate>);
    fn history_length(&self) -> u32;
    fn continue_as_new_suggested(&self) -> bool;
    fn is_replaying(&self) -> bool;
    /// What its log lines carry.
    fn span(&self) -> Span;
    /// Whom its code is named after when it holds its thread.
    fn run(&self) -> Run;
    fn handlers_finished(&self) -> bool;
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

    fn changed(&self, token: WorkflowCancellationToken) -> Pending<()> {
        let context = self.clone();
        async move {
            let options = WaitConditionOptions::builder().cancellation_token(token).build();
            let _ = context.wait_condition_with_options(|_| false, options).await;
        }
        .boxed_local()
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

    fn info(&self) -> WorkflowContextView {
        WorkflowContext::info(self)
    }

    fn random(&self) -> WorkflowRandomStream {
        self.random_stream("tradewind")
    }

    fn external(&self, id: String, run_id: Option<String>) -> ExternalWorkflowHandle {
        self.external_workflow(id, run_id)
    }

    fn continue_as_new(&self, args: RawValue, options: ContinueAsNewOptions) -> WorkflowTermination {
        match WorkflowContext::continue_as_new(self, Input::Encoded(args), options) {
            Err(termination) => termination,
        }
    }

    fn patched(&self, id: &str, deprecated: bool) -> bool {
        match deprecated {
            true => self.deprecate_patch(id),
            false => WorkflowContext::patched(self, id),
        }
    }

    fn memo(&self) -> Memo {
        WorkflowContext::memo(self)
    }

    fn set_memo(&self, entry: (String, Option<MemoValue>)) -> Result<(), PayloadConversionError> {
        self.upsert_memo([entry])
    }

    fn search_attributes(&self) -> SearchAttributes {
        WorkflowContext::search_attributes(self)
    }

    fn upsert_search_attributes(&self, updates: Vec<SearchAttributeUpdate>) {
        WorkflowContext::upsert_search_attributes(self, updates);
    }

    fn history_length(&self) -> u32 {
        WorkflowContext::history_length(self)
    }

    fn continue_as_new_suggested(&self) -> bool {
        WorkflowContext::continue_as_new_suggested(self)
    }

    fn is_replaying(&self) -> bool {
        self.is_replaying_history_events()
    }

    fn span(&self) -> Span {
        tracing::info_span!("workflow", workflow = W::NAME, workflow_id = self.workflow_id(), run_id = self.run_id())
    }

    fn run(&self) -> Run {
        let (workflow_id, run_id) = (self.workflow_id().to_owned(), self.run_id().to_owned());
        Run { workflow: W::NAME, workflow_id, run_id }
    }

    fn handlers_finished(&self) -> bool {
        self.all_handlers_finished()
    }

    fn fail_task(&self, why: String) {
        self.force_task_fail(why);
    }
}
