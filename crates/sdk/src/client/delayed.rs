//! A start whose first workflow task waits: the one option that the official client does not have.

use super::{Client, ClientError, WorkflowHandle};
use std::time::Duration;
use temporalio_client::grpc::WorkflowService;
use temporalio_client::tonic::{Code, IntoRequest, Status};
use temporalio_client::{NamespacedClient, WorkflowStartOptions};
use temporalio_common::data_converters::{
    DataConverter, RawValue, SerializationContextData, WorkflowSerializationContext,
};
use temporalio_common::protos::temporal::api::common::v1::{Memo, Payloads, WorkflowType};
use temporalio_common::protos::temporal::api::enums::v1::{WorkflowIdConflictPolicy, WorkflowIdReusePolicy};
use temporalio_common::protos::temporal::api::errordetails::v1::WorkflowExecutionAlreadyStartedFailure;
use temporalio_common::protos::temporal::api::sdk::v1::UserMetadata;
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
    let context = SerializationContextData::Workflow(WorkflowSerializationContext::new());
    let converter = &client.inner().options().data_converter;
    let args = converter.codec().encode(&context, args.payloads).await?;
    let mut memo = Memo::default();
    for (name, value) in options.memo.iter().flat_map(|memo| memo.iter()) {
        memo.fields.insert(name.to_owned(), converter.to_payload(&context, value).await?);
    }
    let summary = match &options.static_summary {
        // People read it in tools that have no keys.
        Some(summary) => Some(readable().to_payload(&context, summary).await?),
        None => None,
    };
    let request = StartWorkflowExecutionRequest {
        namespace: client.inner().namespace(),
        identity: client.inner().identity(),
        request_id: crate::ambient::unique(),
        workflow_id: options.workflow_id.clone(),
        workflow_type: Some(WorkflowType { name: workflow.to_owned() }),
        task_queue: Some(TaskQueue { name: options.task_queue, ..TaskQueue::default() }),
        input: Some(Payloads { payloads: args }),
        workflow_id_reuse_policy: WorkflowIdReusePolicy::from(options.id_reuse_policy).into(),
        workflow_id_conflict_policy: WorkflowIdConflictPolicy::from(options.id_conflict_policy).into(),
        workflow_execution_timeout: options.execution_timeout.map(wire).transpose()?,
        workflow_run_timeout: options.run_timeout.map(wire).transpose()?,
        workflow_task_timeout: options.task_timeout.map(wire).transpose()?,
        workflow_start_delay: Some(wire(delay)?),
        retry_policy: options.retry_policy.map(Into::into),
        cron_schedule: options.cron_schedule.unwrap_or_default(),
        search_attributes: options.search_attributes.map(|attributes| attributes.into_proto()),
        priority: Some(options.priority.into()),
        memo: (!memo.fields.is_empty()).then_some(memo),
        user_metadata: summary.map(|summary| UserMetadata { summary: Some(summary), details: None }),
        ..StartWorkflowExecutionRequest::default()
    };
    let mut service = client.inner().clone();
    let started = WorkflowService::start_workflow_execution(&mut service, request.into_request()).await;
    let run_id = started.map_err(|status| refused(status, &options.workflow_id))?.into_inner().run_id;
    Ok(WorkflowHandle::existing(&client, options.workflow_id).of_chain(run_id))
}

fn readable() -> DataConverter {
    DataConverter::default()
}

fn wire<T: TryFrom<Duration>>(duration: Duration) -> Result<T, ClientError> {
    duration.try_into().map_err(|_| ClientError::Invalid(format!("{duration:?} is longer than the wire can say")))
}

fn refused(status: Status, workflow_id: &str) -> ClientError {
    if status.code() != Code::AlreadyExists {
        return status.into();
    }
    let taken = decode_status_detail::<WorkflowExecutionAlreadyStartedFailure>(status.details());
    ClientError::AlreadyStarted { workflow_id: workflow_id.to_owned(), run_id: taken.map(|taken| taken.run_id) }
}
