//! A start whose first workflow task waits: the one option that the official client does not have.

use super::{Client, ClientError, WorkflowHandle, wire};
use std::time::Duration;
use temporalio_client::grpc::WorkflowService;
use temporalio_client::tonic::{Code, IntoRequest, Status};
use temporalio_client::{NamespacedClient, WorkflowStartOptions};
use temporalio_common::data_converters::RawValue;
use temporalio_common::protos::temporal::api::common::v1::WorkflowType;
use temporalio_common::protos::temporal::api::enums::v1::{WorkflowIdConflictPolicy, WorkflowIdReusePolicy};
use temporalio_common::protos::temporal::api::errordetails::v1::WorkflowExecutionAlreadyStartedFailure;
use temporalio_common::protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_common::protos::temporal::api::workflowservice::v1::StartWorkflowExecutionRequest;
use temporalio_common::protos::utilities::decode_status_detail;

pub(super) async fn start<W>(
    client: Client,
    workflow: &str,
    args: RawValue,
    options: WorkflowStartOptions,
    delay: Duration,
) -> Result<WorkflowHandle<W>, ClientError> {
    let request = StartWorkflowExecutionRequest {
        namespace: client.inner().namespace(),
        identity: client.inner().identity(),
        request_id: crate::ambient::unique(),
        workflow_id: options.workflow_id.clone(),
        workflow_type: Some(WorkflowType { name: workflow.to_owned() }),
        task_queue: Some(TaskQueue { name: options.task_queue, ..TaskQueue::default() }),
        input: Some(wire::input(&client, args).await?),
        workflow_id_reuse_policy: WorkflowIdReusePolicy::from(options.id_reuse_policy).into(),
        workflow_id_conflict_policy: WorkflowIdConflictPolicy::from(options.id_conflict_policy).into(),
        workflow_execution_timeout: options.execution_timeout.map(wire::duration).transpose()?,
        workflow_run_timeout: options.run_timeout.map(wire::duration).transpose()?,
        workflow_task_timeout: options.task_timeout.map(wire::duration).transpose()?,
        workflow_start_delay: Some(wire::duration(delay)?),
        retry_policy: options.retry_policy.map(Into::into),
        cron_schedule: options.cron_schedule.unwrap_or_default(),
        search_attributes: options.search_attributes.map(|attributes| attributes.into_proto()),
        priority: Some(options.priority.into()),
        memo: wire::memo(&client, options.memo.as_ref()).await?,
        user_metadata: wire::summary(options.static_summary.as_ref()).await?,
        ..StartWorkflowExecutionRequest::default()
    };
    let mut service = client.inner().clone();
    let started = WorkflowService::start_workflow_execution(&mut service, request.into_request()).await;
    let run_id = started.map_err(|status| refused(status, &options.workflow_id))?.into_inner().run_id;
    Ok(WorkflowHandle::existing(&client, options.workflow_id).of_chain(run_id))
}

fn refused(status: Status, workflow_id: &str) -> ClientError {
    if status.code() != Code::AlreadyExists {
        return status.into();
    }
    let taken = decode_status_detail::<WorkflowExecutionAlreadyStartedFailure>(status.details());
    ClientError::AlreadyStarted { workflow_id: workflow_id.to_owned(), run_id: taken.map(|taken| taken.run_id) }
}
