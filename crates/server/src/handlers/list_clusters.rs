//! Operator ListClusters: there is one.

use crate::service::Cluster;
use crate::{Error, Service};
use api::operatorservice::v1::{ClusterMetadata, ListClustersRequest as Request, ListClustersResponse as Response};
use tradewind_core::ids::SLOT_COUNT;

pub async fn handle(service: &Service, _: Request) -> Result<Response, Error> {
    let cluster = ClusterMetadata {
        cluster_name: Cluster::NAME.into(),
        cluster_id: service.cluster.id.to_string(),
        address: service.cluster.address.clone(),
        http_address: service.cluster.http_address.clone(),
        initial_failover_version: 1,
        history_shard_count: i32::from(SLOT_COUNT),
        is_connection_enabled: true,
        is_replication_enabled: false,
    };
    Ok(Response { clusters: vec![cluster], ..Response::default() })
}
