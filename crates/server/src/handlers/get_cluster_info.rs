//! GetClusterInfo.

use super::get_system_info::SPOKEN_VERSION;
use crate::service::Cluster;
use crate::{Error, Service};
use api::workflowservice::v1::{GetClusterInfoRequest as Request, GetClusterInfoResponse as Response};
use tradewind_core::ids::SLOT_COUNT;

/// Clients by the name in their `client-name` header, and the releases of them that this API fits.
const SUPPORTED_CLIENTS: [(&str, &str); 8] = [
    ("temporal-go", "<2.0.0"),
    ("temporal-java", "<2.0.0"),
    ("temporal-php", "<2.0.0"),
    ("temporal-server", "<2.0.0"),
    ("temporal-typescript", "<2.0.0"),
    ("temporal-cli", "<2.0.0"),
    ("temporal-ui", "<3.0.0"),
    ("Nexus-go-sdk", "<2.0.0"),
];

pub async fn handle(service: &Service, _: Request) -> Result<Response, Error> {
    Ok(Response {
        supported_clients: SUPPORTED_CLIENTS.map(|(name, range)| (name.to_owned(), range.to_owned())).into(),
        server_version: SPOKEN_VERSION.into(),
        cluster_id: service.cluster.id.to_string(),
        version_info: None,
        cluster_name: Cluster::NAME.into(),
        history_shard_count: i32::from(SLOT_COUNT),
        persistence_store: "sqlite".into(),
        visibility_store: "sqlite".into(),
        initial_failover_version: 1,
        failover_version_increment: 10,
    })
}
