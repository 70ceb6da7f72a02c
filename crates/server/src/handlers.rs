//! One file per method: convert, call, convert.
//!
//! Every `handle` takes the [`Service`](crate::Service) and a request, and gives the answer or an
//! [`Error`](crate::Error). None of them knows gRPC, so other doors call them in process.

pub mod add_search_attributes;
pub mod count_workers;
pub mod count_workflow_executions;
pub mod delete_namespace;
pub mod delete_workflow_execution;
pub mod deprecate_namespace;
pub mod describe_namespace;
pub mod describe_task_queue;
pub mod describe_worker;
pub mod describe_workflow_execution;
pub mod execute_multi_operation;
pub mod get_cluster_info;
pub mod get_search_attributes;
pub mod get_system_info;
pub mod get_workflow_execution_history;
pub mod list_archived_workflow_executions;
pub mod list_closed_workflow_executions;
pub mod list_clusters;
pub mod list_namespaces;
pub mod list_open_workflow_executions;
pub mod list_search_attributes;
pub mod list_task_queue_partitions;
pub mod list_workers;
pub mod list_workflow_executions;
pub mod poll_activity_task_queue;
pub mod poll_nexus_task_queue;
pub mod poll_workflow_execution_update;
pub mod poll_workflow_task_queue;
pub mod polling;
pub mod query_workflow;
pub mod record_worker_heartbeat;
pub mod register_namespace;
pub mod remove_search_attributes;
pub mod request_cancel_workflow_execution;
pub mod reset_sticky_task_queue;
pub mod respond_activity_task;
pub mod respond_query_task_completed;
pub mod respond_workflow_task_completed;
pub mod respond_workflow_task_failed;
pub mod scan_workflow_executions;
pub mod shutdown_worker;
pub mod signal_with_start_workflow_execution;
pub mod signal_workflow_execution;
pub mod start_workflow_execution;
pub mod support;
pub mod terminate_workflow_execution;
pub mod update_namespace;
pub mod update_workflow_execution;
pub mod visibility;
