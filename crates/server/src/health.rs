//! The gRPC health service, with the reference's text for a service that it does not know.

use api::operatorservice::v1::operator_service_server::SERVICE_NAME as OPERATOR_SERVICE;
use api::workflowservice::v1::workflow_service_server::SERVICE_NAME as WORKFLOW_SERVICE;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::{Code, Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_health::server::{HealthReporter, HealthService};

/// Tells clients whether to send requests here.
pub(crate) struct Checks {
    reporter: HealthReporter,
}

impl Checks {
    pub(crate) async fn serving() -> Checks {
        let checks = Checks { reporter: HealthReporter::new() };
        checks.set(ServingStatus::Serving).await;
        checks
    }

    pub(crate) async fn draining(&self) {
        self.set(ServingStatus::NotServing).await;
    }

    async fn set(&self, status: ServingStatus) {
        for service in ["", WORKFLOW_SERVICE, OPERATOR_SERVICE] {
            self.reporter.set_service_status(service, status).await;
        }
    }

    pub(crate) fn service(&self) -> HealthServer<impl Health> {
        let known = Known(HealthService::from_health_reporter(self.reporter.clone()));
        // The official command line packs every request, these too.
        HealthServer::new(known).accept_compressed(Gzip)
    }
}

struct Known(HealthService);

#[tonic::async_trait]
impl Health for Known {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        self.0.check(request).await.map_err(known)
    }

    type WatchStream = <HealthService as Health>::WatchStream;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        self.0.watch(request).await.map_err(known)
    }
}

fn known(status: Status) -> Status {
    if status.code() == Code::NotFound { Status::not_found("unknown service") } else { status }
}
