//! DescribeNamespace, by name or by id. SDK workers read the capabilities once and change protocol on them.

use crate::namespaces::Namespace;
use crate::service::Cluster;
use crate::{Error, Service};
use api::enums::v1::{ArchivalState, ReplicationState};
use api::namespace::v1::namespace_info::{Capabilities, Limits};
use api::namespace::v1::{BadBinaries, NamespaceConfig, NamespaceInfo};
use api::replication::v1::{ClusterReplicationConfig, NamespaceReplicationConfig};
use api::workflowservice::v1::{DescribeNamespaceRequest as Request, DescribeNamespaceResponse as Response};
use std::sync::Arc;
use tradewind_core::time;
use uuid::Uuid;

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let namespace = find(service, &request.namespace, &request.id)?;
    Ok(described(service, &namespace))
}

/// The namespace that a request names by exactly one of name and id.
pub(super) fn find(service: &Service, name: &str, id: &str) -> Result<Arc<Namespace>, Error> {
    match (name, id) {
        ("", "") => Err(Error::invalid("Namespace not set on request.")),
        (name, "") => service.namespaces.named(name).ok_or_else(|| Error::namespace_not_found(name)),
        ("", id) => {
            let found = Uuid::parse_str(id).ok().and_then(|id| service.namespaces.with_id(id));
            found.ok_or_else(|| Error::namespace_not_found(id))
        }
        _ => Err(Error::invalid("GetNamespace operation failed.  Both ID and Name specified in request.")),
    }
}

pub(super) fn described(service: &Service, namespace: &Namespace) -> Response {
    Response {
        namespace_info: Some(info(service, namespace)),
        config: Some(config(namespace)),
        replication_config: Some(replication_config()),
        ..Response::default()
    }
}

pub(super) fn info(service: &Service, namespace: &Namespace) -> NamespaceInfo {
    let announced = &service.announced;
    NamespaceInfo {
        name: namespace.name.clone(),
        state: namespace.state as i32,
        description: namespace.description.clone(),
        owner_email: namespace.owner_email.clone(),
        data: namespace.data.clone(),
        id: namespace.id.to_string(),
        capabilities: Some(Capabilities {
            eager_workflow_start: announced.eager_workflow_start,
            sync_update: announced.sync_update,
            async_update: announced.async_update,
            worker_heartbeats: announced.worker_heartbeats,
            reported_problems_search_attribute: service.limits.workflow_task_attempts_reported > 0,
            worker_poll_complete_on_shutdown: announced.worker_poll_complete_on_shutdown,
            poller_autoscaling: announced.poller_autoscaling,
            standalone_activities: announced.standalone_activities,
            ..Capabilities::default()
        }),
        limits: Some(Limits {
            blob_size_limit_error: service.limits.blob_size_bytes_max as i64,
            memo_size_limit_error: service.limits.memo_size_bytes_max as i64,
            ..Limits::default()
        }),
        supports_schedules: announced.schedules,
    }
}

pub(super) fn config(namespace: &Namespace) -> NamespaceConfig {
    NamespaceConfig {
        workflow_execution_retention_ttl: time::wire(namespace.retention),
        bad_binaries: Some(BadBinaries::default()),
        history_archival_state: ArchivalState::Disabled as i32,
        visibility_archival_state: ArchivalState::Disabled as i32,
        // The reference maps columns to names here. There are no columns to map, so a name stands for itself.
        custom_search_attribute_aliases: namespace
            .search_attributes
            .keys()
            .map(|name| (name.clone(), name.clone()))
            .collect(),
        ..NamespaceConfig::default()
    }
}

pub(super) fn replication_config() -> NamespaceReplicationConfig {
    NamespaceReplicationConfig {
        active_cluster_name: Cluster::NAME.into(),
        clusters: vec![ClusterReplicationConfig { cluster_name: Cluster::NAME.into(), ..Default::default() }],
        state: ReplicationState::Normal as i32,
    }
}
