//! The gRPC door: WorkflowService, OperatorService, health and reflection on one port.
//!
//! One line of the tables below ties a method to its handler. [`Call`] wraps every one of them alike: it
//! reads the caller's deadline, counts and times, turns a panic into an error, and an error into a status.
//! A method that is not in a table answers UNIMPLEMENTED through the generated default.

mod call;
#[cfg(test)]
mod compat;
mod guard;
mod wording;

use crate::auth::Guard;
use crate::config::Transport;
use crate::handlers;
use crate::health::Checks;
use crate::service::Service;
use api::operatorservice::v1::operator_service_server::{OperatorService, OperatorServiceServer};
use api::workflowservice::v1::workflow_service_server::{WorkflowService, WorkflowServiceServer};
use call::Call;
pub use call::{Client, Context};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tower::util::{MapResponse, MapResponseLayer};

#[derive(Clone)]
struct Door(Arc<Service>);

/// `method(Request) -> Response = handler` for a handler of `(&Service, Request)`, and with `, context`
/// behind it for one that also wants to know the caller's deadline.
macro_rules! methods {
    ($service:ident in $package:ident as $table:ident {
        $($method:ident($request:ident) -> $response:ident = $handler:path $(, $context:ident)?;)*
    }) => {
        /// What is built of the service.
        #[cfg(test)]
        const $table: &[&str] = &[$(stringify!($request)),*];

        #[tonic::async_trait]
        impl $service for Door {
            $(
                async fn $method(
                    &self,
                    request: Request<api::$package::v1::$request>,
                ) -> Result<Response<api::$package::v1::$response>, Status> {
                    let call = Call::begin(&self.0, stringify!($request), &request);
                    $(let $context = call.context();)?
                    call.answer($handler(&self.0, request.into_inner() $(, $context)?)).await
                }
            )*
        }
    };
}

methods!(WorkflowService in workflowservice as WORKFLOW_SERVICE {
    get_system_info(GetSystemInfoRequest) -> GetSystemInfoResponse = handlers::get_system_info::handle;
    get_cluster_info(GetClusterInfoRequest) -> GetClusterInfoResponse = handlers::get_cluster_info::handle;
    get_search_attributes(GetSearchAttributesRequest) -> GetSearchAttributesResponse = handlers::get_search_attributes::handle;
    register_namespace(RegisterNamespaceRequest) -> RegisterNamespaceResponse = handlers::register_namespace::handle;
    describe_namespace(DescribeNamespaceRequest) -> DescribeNamespaceResponse = handlers::describe_namespace::handle;
    list_namespaces(ListNamespacesRequest) -> ListNamespacesResponse = handlers::list_namespaces::handle;
    update_namespace(UpdateNamespaceRequest) -> UpdateNamespaceResponse = handlers::update_namespace::handle;
    deprecate_namespace(DeprecateNamespaceRequest) -> DeprecateNamespaceResponse = handlers::deprecate_namespace::handle;
    record_worker_heartbeat(RecordWorkerHeartbeatRequest) -> RecordWorkerHeartbeatResponse = handlers::record_worker_heartbeat::handle;
    list_workers(ListWorkersRequest) -> ListWorkersResponse = handlers::list_workers::handle;
    count_workers(CountWorkersRequest) -> CountWorkersResponse = handlers::count_workers::handle;
    describe_worker(DescribeWorkerRequest) -> DescribeWorkerResponse = handlers::describe_worker::handle;
    start_workflow_execution(StartWorkflowExecutionRequest) -> StartWorkflowExecutionResponse = handlers::start_workflow_execution::handle;
    signal_workflow_execution(SignalWorkflowExecutionRequest) -> SignalWorkflowExecutionResponse = handlers::signal_workflow_execution::handle;
    signal_with_start_workflow_execution(SignalWithStartWorkflowExecutionRequest) -> SignalWithStartWorkflowExecutionResponse = handlers::signal_with_start_workflow_execution::handle;
    request_cancel_workflow_execution(RequestCancelWorkflowExecutionRequest) -> RequestCancelWorkflowExecutionResponse = handlers::request_cancel_workflow_execution::handle;
    terminate_workflow_execution(TerminateWorkflowExecutionRequest) -> TerminateWorkflowExecutionResponse = handlers::terminate_workflow_execution::handle;
    delete_workflow_execution(DeleteWorkflowExecutionRequest) -> DeleteWorkflowExecutionResponse = handlers::delete_workflow_execution::handle;
    execute_multi_operation(ExecuteMultiOperationRequest) -> ExecuteMultiOperationResponse = handlers::execute_multi_operation::handle;
    poll_workflow_task_queue(PollWorkflowTaskQueueRequest) -> PollWorkflowTaskQueueResponse = handlers::poll_workflow_task_queue::handle, context;
    poll_nexus_task_queue(PollNexusTaskQueueRequest) -> PollNexusTaskQueueResponse = handlers::poll_nexus_task_queue::handle, context;
    poll_activity_task_queue(PollActivityTaskQueueRequest) -> PollActivityTaskQueueResponse = handlers::poll_activity_task_queue::handle, context;
    respond_workflow_task_completed(RespondWorkflowTaskCompletedRequest) -> RespondWorkflowTaskCompletedResponse = handlers::respond_workflow_task_completed::handle;
    respond_workflow_task_failed(RespondWorkflowTaskFailedRequest) -> RespondWorkflowTaskFailedResponse = handlers::respond_workflow_task_failed::handle;
    query_workflow(QueryWorkflowRequest) -> QueryWorkflowResponse = handlers::query_workflow::handle, context;
    respond_query_task_completed(RespondQueryTaskCompletedRequest) -> RespondQueryTaskCompletedResponse = handlers::respond_query_task_completed::handle;
    update_workflow_execution(UpdateWorkflowExecutionRequest) -> UpdateWorkflowExecutionResponse = handlers::update_workflow_execution::handle;
    poll_workflow_execution_update(PollWorkflowExecutionUpdateRequest) -> PollWorkflowExecutionUpdateResponse = handlers::poll_workflow_execution_update::handle;
    reset_sticky_task_queue(ResetStickyTaskQueueRequest) -> ResetStickyTaskQueueResponse = handlers::reset_sticky_task_queue::handle;
    shutdown_worker(ShutdownWorkerRequest) -> ShutdownWorkerResponse = handlers::shutdown_worker::handle;
    get_workflow_execution_history(GetWorkflowExecutionHistoryRequest) -> GetWorkflowExecutionHistoryResponse = handlers::get_workflow_execution_history::handle, context;
    get_workflow_execution_history_reverse(GetWorkflowExecutionHistoryReverseRequest) -> GetWorkflowExecutionHistoryReverseResponse = handlers::get_workflow_execution_history::handle_reverse;
    describe_workflow_execution(DescribeWorkflowExecutionRequest) -> DescribeWorkflowExecutionResponse = handlers::describe_workflow_execution::handle;
    list_workflow_executions(ListWorkflowExecutionsRequest) -> ListWorkflowExecutionsResponse = handlers::list_workflow_executions::handle;
    scan_workflow_executions(ScanWorkflowExecutionsRequest) -> ScanWorkflowExecutionsResponse = handlers::scan_workflow_executions::handle;
    list_open_workflow_executions(ListOpenWorkflowExecutionsRequest) -> ListOpenWorkflowExecutionsResponse = handlers::list_open_workflow_executions::handle;
    list_closed_workflow_executions(ListClosedWorkflowExecutionsRequest) -> ListClosedWorkflowExecutionsResponse = handlers::list_closed_workflow_executions::handle;
    list_archived_workflow_executions(ListArchivedWorkflowExecutionsRequest) -> ListArchivedWorkflowExecutionsResponse = handlers::list_archived_workflow_executions::handle;
    count_workflow_executions(CountWorkflowExecutionsRequest) -> CountWorkflowExecutionsResponse = handlers::count_workflow_executions::handle;
    describe_task_queue(DescribeTaskQueueRequest) -> DescribeTaskQueueResponse = handlers::describe_task_queue::handle;
    list_task_queue_partitions(ListTaskQueuePartitionsRequest) -> ListTaskQueuePartitionsResponse = handlers::list_task_queue_partitions::handle;
    respond_activity_task_completed(RespondActivityTaskCompletedRequest) -> RespondActivityTaskCompletedResponse = handlers::respond_activity_task::completed;
    respond_activity_task_completed_by_id(RespondActivityTaskCompletedByIdRequest) -> RespondActivityTaskCompletedByIdResponse = handlers::respond_activity_task::completed_by_id;
    respond_activity_task_failed(RespondActivityTaskFailedRequest) -> RespondActivityTaskFailedResponse = handlers::respond_activity_task::failed;
    respond_activity_task_failed_by_id(RespondActivityTaskFailedByIdRequest) -> RespondActivityTaskFailedByIdResponse = handlers::respond_activity_task::failed_by_id;
    respond_activity_task_canceled(RespondActivityTaskCanceledRequest) -> RespondActivityTaskCanceledResponse = handlers::respond_activity_task::canceled;
    respond_activity_task_canceled_by_id(RespondActivityTaskCanceledByIdRequest) -> RespondActivityTaskCanceledByIdResponse = handlers::respond_activity_task::canceled_by_id;
    record_activity_task_heartbeat(RecordActivityTaskHeartbeatRequest) -> RecordActivityTaskHeartbeatResponse = handlers::respond_activity_task::heartbeat;
    record_activity_task_heartbeat_by_id(RecordActivityTaskHeartbeatByIdRequest) -> RecordActivityTaskHeartbeatByIdResponse = handlers::respond_activity_task::heartbeat_by_id;
});

methods!(OperatorService in operatorservice as OPERATOR_SERVICE {
    add_search_attributes(AddSearchAttributesRequest) -> AddSearchAttributesResponse = handlers::add_search_attributes::handle;
    remove_search_attributes(RemoveSearchAttributesRequest) -> RemoveSearchAttributesResponse = handlers::remove_search_attributes::handle;
    list_search_attributes(ListSearchAttributesRequest) -> ListSearchAttributesResponse = handlers::list_search_attributes::handle;
    delete_namespace(DeleteNamespaceRequest) -> DeleteNamespaceResponse = handlers::delete_namespace::handle;
    list_clusters(ListClustersRequest) -> ListClustersResponse = handlers::list_clusters::handle;
});

/// Serves until `service.shutdown`, then until the requests in flight are answered.
pub(crate) async fn serve(
    listener: TcpListener,
    guard: Guard,
    service: Arc<Service>,
    checks: &Checks,
    transport: &Transport,
) -> Result<(), tonic::transport::Error> {
    tonic::transport::Server::builder()
        .max_concurrent_streams(Some(transport.concurrent_streams_max))
        // SDKs cancel polls in bulk when a worker stops; the default of 20 takes that for an attack.
        .http2_max_pending_accept_reset_streams(Some(transport.concurrent_streams_max as usize))
        .http2_keepalive_interval(nonzero(transport.keepalive_interval))
        .http2_keepalive_timeout(nonzero(transport.keepalive_timeout))
        .layer(guard::layer(guard))
        .layer(MapResponseLayer::new(wording::as_reference))
        .add_service(workflow_service(&service).accept_compressed(Gzip).send_compressed(Gzip))
        .add_service(operator_service(&service).accept_compressed(Gzip).send_compressed(Gzip))
        .add_service(checks.service())
        .add_service(reflection().build_v1().expect("the compiled-in descriptors decode").accept_compressed(Gzip))
        .add_service(reflection().build_v1alpha().expect("the compiled-in descriptors decode").accept_compressed(Gzip))
        .serve_with_incoming_shutdown(
            // Answers are small and somebody waits for each: never held back to fill a packet.
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            service.shutdown.clone().cancelled_owned(),
        )
        .await
}

/// The methods as callers in this process reach them.
pub(crate) type InMemory = MapResponse<Routes, fn(http::Response<Body>) -> http::Response<Body>>;

/// The same methods without a port. Who calls from this process needs neither compression nor health nor reflection.
pub(crate) fn in_memory(service: &Arc<Service>) -> InMemory {
    let routes = Routes::new(workflow_service(service)).add_service(operator_service(service)).prepare();
    MapResponse::new(routes, wording::as_reference)
}

fn workflow_service(service: &Arc<Service>) -> WorkflowServiceServer<Door> {
    let message_bytes_max = service.limits.message_bytes_max;
    WorkflowServiceServer::new(Door(service.clone())).max_decoding_message_size(message_bytes_max)
}

fn operator_service(service: &Arc<Service>) -> OperatorServiceServer<Door> {
    let message_bytes_max = service.limits.message_bytes_max;
    OperatorServiceServer::new(Door(service.clone())).max_decoding_message_size(message_bytes_max)
}

/// The descriptor set also describes services that this server does not have, so it names those it has.
fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(api::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name(api::workflowservice::v1::workflow_service_server::SERVICE_NAME)
        .with_service_name(api::operatorservice::v1::operator_service_server::SERVICE_NAME)
        .with_service_name(tonic_health::pb::health_server::SERVICE_NAME)
}

fn nonzero(duration: Duration) -> Option<Duration> {
    (!duration.is_zero()).then_some(duration)
}
