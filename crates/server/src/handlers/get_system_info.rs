//! GetSystemInfo: what SDKs ask first, and change their behaviour on.

use crate::{Error, Service};
use api::workflowservice::v1::get_system_info_response::Capabilities;
use api::workflowservice::v1::{GetSystemInfoRequest as Request, GetSystemInfoResponse as Response};

/// The release of the reference server whose behaviour this server has. Tools compare it with the releases
/// in which features appeared, so it is not this project's own version.
pub const SPOKEN_VERSION: &str = "1.32.0";

pub async fn handle(service: &Service, _: Request) -> Result<Response, Error> {
    let announced = &service.announced;
    Ok(Response {
        server_version: SPOKEN_VERSION.into(),
        capabilities: Some(Capabilities {
            signal_and_query_header: true,
            internal_error_differentiation: true,
            activity_failure_include_heartbeat: true,
            supports_schedules: announced.schedules,
            encoded_failure_attributes: true,
            build_id_based_versioning: announced.build_id_based_versioning,
            upsert_memo: true,
            eager_workflow_start: announced.eager_workflow_start,
            sdk_metadata: true,
            count_group_by_execution_status: true,
            nexus: announced.nexus,
            server_scaled_deployments: announced.server_scaled_deployments,
            ..Capabilities::default()
        }),
    })
}
