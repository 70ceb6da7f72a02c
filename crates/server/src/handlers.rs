//! One file per method: convert, call, convert.
//!
//! Every `handle` takes the [`Service`](crate::Service) and a request, and gives the answer or an
//! [`Error`](crate::Error). None of them knows gRPC, so other doors call them in process.

pub mod add_search_attributes;
pub mod count_workers;
pub mod delete_namespace;
pub mod deprecate_namespace;
pub mod describe_namespace;
pub mod describe_worker;
pub mod get_cluster_info;
pub mod get_search_attributes;
pub mod get_system_info;
pub mod list_clusters;
pub mod list_namespaces;
pub mod list_search_attributes;
pub mod list_workers;
pub mod record_worker_heartbeat;
pub mod register_namespace;
pub mod remove_search_attributes;
pub mod update_namespace;
