//! API keys: who is let in at the two doors.

use super::{Test, refused, settings};
use api::workflowservice::v1::GetSystemInfoRequest;
use axum::routing::get;
use axum::{Extension, Router};
use server::ambient::{Clock, Entropy};
use server::auth::Caller;
use server::{Annex, Server};
use std::net::{IpAddr, Ipv4Addr};
use tonic::metadata::AsciiMetadataValue;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

const MISSING: &str = "an API key is needed: send it as \"authorization: Bearer KEY\"";
const MALFORMED: &str = "the authorization header is not of the form \"Bearer KEY\"";
const UNKNOWN: &str = "the API key is not valid here";

#[tokio::test]
async fn the_grpc_door_wants_a_key_before_it_answers() {
    let test = keyed().await;

    refused(system_info(&test, None).await, Code::Unauthenticated, MISSING);
    refused(system_info(&test, Some("s3cret")).await, Code::Unauthenticated, MALFORMED);
    refused(system_info(&test, Some("Bearer wrong")).await, Code::Unauthenticated, UNKNOWN);
    system_info(&test, Some("Bearer s3cret")).await.expect("the right key");
    system_info(&test, Some("Bearer 0ther")).await.expect("the other right key");

    let unbuilt = api::workflowservice::v1::ListSchedulesRequest::default();
    let unbuilt = test.workflow().list_schedules(unbuilt).await;
    refused(unbuilt.map(|_| ()), Code::Unauthenticated, MISSING);
}

#[tokio::test]
async fn without_a_key_there_is_health_and_nothing_else() {
    let test = keyed().await;
    let mut health = HealthClient::new(test.channel.clone());
    health.check(HealthCheckRequest { service: String::new() }).await.expect("health is open");
    assert_eq!(test.get("/healthz").await.0, 200);

    for path in ["/", "/metrics", "/healthz/", "//healthz", "/nope", "/v1/workflows/workers/whoami"] {
        let (code, body) = test.get(path).await;
        assert_eq!(code, 401, "{path}: {body}");
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(body, serde_json::json!({ "detail": MISSING, "code": "UNAUTHENTICATED" }));
    }
    let request = tonic_reflection::pb::v1::ServerReflectionRequest::default();
    let mut reflection =
        tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient::new(test.channel.clone());
    let asked = reflection.server_reflection_info(tokio_stream::once(request)).await;
    refused(asked.map(|_| ()), Code::Unauthenticated, MISSING);
}

#[tokio::test]
async fn the_http_door_takes_the_same_keys() {
    let test = keyed().await;

    assert_eq!(test.get_with("/metrics", "authorization: Bearer wrong\r\n").await.0, 401);
    assert_eq!(test.get_with("/metrics", "authorization: Basic czNjcmV0\r\n").await.0, 401);
    assert_eq!(test.get_with("/nope", "authorization: Bearer s3cret\r\n").await.0, 404);
    let (code, metrics) = test.get_with("/metrics", "Authorization: bearer s3cret\r\n").await;
    assert_eq!(code, 200);
    assert!(metrics.contains(r#"tradewind_auth_refused_total{door="http"} 2"#), "{metrics}");
}

#[tokio::test]
async fn an_annex_is_behind_the_same_door_and_learns_whose_key_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path());
    settings.auth.api_keys = vec!["ci s3cret".into()];
    let annex = Annex::new("test", async |_, _| {
        Ok(Router::new().route("/test", get(async |Extension(caller): Extension<Caller>| caller.name.to_string())))
    });
    let server = Server::start_with(settings, vec![annex], Clock::System, Entropy::System).await.unwrap();
    let test = Test::of(server, directory).await;

    assert_eq!(test.get("/test").await.0, 401);
    assert_eq!(test.get_with("/test", "authorization: Bearer s3cret\r\n").await, (200, "ci".into()));
}

#[tokio::test]
async fn nobody_listens_to_the_world_without_a_key_or_a_word_that_it_is_meant() {
    let directory = tempfile::tempdir().unwrap();
    let mut open = settings(directory.path());
    open.listen.ip = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

    let refused = Server::start(open.clone()).await.err().expect("it is refused").to_string();
    assert!(refused.starts_with("0.0.0.0 is not a loopback address"), "{refused}");
    assert!(!directory.path().join("tradewind.db").exists(), "refused before anything is made");

    open.auth.insecure_no_auth = true;
    Server::start(open).await.expect("it was told to").stop().await;
}

async fn keyed() -> Test {
    Test::start_with(|settings| settings.auth.api_keys = vec!["ci s3cret".into(), "0ther".into()]).await
}

async fn system_info(test: &Test, authorization: Option<&'static str>) -> Result<(), Status> {
    let mut request = Request::new(GetSystemInfoRequest {});
    if let Some(header) = authorization {
        request.metadata_mut().insert("authorization", AsciiMetadataValue::from_static(header));
    }
    test.workflow().get_system_info(request).await.map(|_| ())
}
