//! A server in this process, on ports of its own, asked over the wire.

mod auth;
mod executions;
mod in_process;

use api::enums::v1::{IndexedValueType, NamespaceState, WorkerStatus};
use api::errordetails::v1::NamespaceNotFoundFailure;
use api::operatorservice::v1 as operator;
use api::operatorservice::v1::operator_service_client::OperatorServiceClient;
use api::worker::v1::WorkerHeartbeat;
use api::workflowservice::v1::workflow_service_client::WorkflowServiceClient;
use api::workflowservice::v1::*;
use axum::Router;
use axum::routing::get;
use prost::Message;
use server::ambient::{Clock, Entropy};
use server::{Annex, Server, Settings, StartError};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

#[tokio::test]
async fn a_new_server_has_the_default_namespace_and_says_what_it_can() {
    let test = Test::start().await;

    let info = test.workflow().get_system_info(GetSystemInfoRequest {}).await.unwrap().into_inner();
    let capabilities = info.capabilities.unwrap();
    assert!(capabilities.encoded_failure_attributes && capabilities.eager_workflow_start);
    assert!(!capabilities.nexus && !capabilities.supports_schedules, "not built, so not announced");

    let described = test.describe("default").await.unwrap();
    let info = described.namespace_info.unwrap();
    assert_eq!(info.state(), NamespaceState::Registered);
    assert_eq!(info.limits.unwrap().blob_size_limit_error, 2_097_152);
    assert!(info.capabilities.unwrap().worker_heartbeats);
    assert_eq!(described.config.unwrap().workflow_execution_retention_ttl.unwrap().seconds, 86_400);

    let by_id = DescribeNamespaceRequest { id: info.id.clone(), ..Default::default() };
    let by_id = test.workflow().describe_namespace(by_id).await.unwrap().into_inner();
    assert_eq!(by_id.namespace_info.unwrap().name, "default");
}

#[tokio::test]
async fn namespaces_are_registered_listed_changed_and_deleted() {
    let test = Test::start().await;
    test.register("orders", 3_600).await.unwrap();

    refused(test.register("orders", 3_600).await, Code::AlreadyExists, "Namespace \"orders\" already exists");
    let too_short = "A valid retention period is not set on request.";
    refused(test.register("short", 1_800).await, Code::InvalidArgument, too_short);
    refused(
        test.register("temporal-system", 3_600).await,
        Code::AlreadyExists,
        "Namespace \"temporal-system\" already exists",
    );

    let page = |token| ListNamespacesRequest { page_size: 1, next_page_token: token, ..Default::default() };
    let first = test.workflow().list_namespaces(page(Default::default())).await.unwrap().into_inner();
    let second = test.workflow().list_namespaces(page(first.next_page_token)).await.unwrap().into_inner();
    let names = [first.namespaces, second.namespaces].concat();
    let names: Vec<_> = names.into_iter().map(|described| described.namespace_info.unwrap().name).collect();
    assert_eq!(names, ["default", "orders"]);
    assert!(second.next_page_token.is_empty());

    let deprecate = DeprecateNamespaceRequest { namespace: "orders".into(), ..Default::default() };
    test.workflow().deprecate_namespace(deprecate).await.unwrap();
    let state = test.describe("orders").await.unwrap().namespace_info.unwrap().state();
    assert_eq!(state, NamespaceState::Deprecated);

    let delete = operator::DeleteNamespaceRequest { namespace: "orders".into(), ..Default::default() };
    let deleted = test.operator().delete_namespace(delete).await.unwrap().into_inner();
    assert!(deleted.deleted_namespace.starts_with("orders-deleted-"), "{}", deleted.deleted_namespace);
    let gone = test.describe("orders").await;
    let details = gone.as_ref().unwrap_err().details().to_owned();
    refused(gone, Code::NotFound, "Namespace orders is not found.");
    let details = api::google::rpc::Status::decode(details.as_slice()).unwrap();
    assert_eq!(
        details.details[0].type_url,
        "type.googleapis.com/temporal.api.errordetails.v1.NamespaceNotFoundFailure"
    );
    let detail = NamespaceNotFoundFailure::decode(details.details[0].value.as_slice()).unwrap();
    assert_eq!(detail.namespace, "orders");
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_merges_data() {
    let test = Test::start().await;
    let update = |key: &str| UpdateNamespaceRequest {
        namespace: "default".into(),
        update_info: Some(api::namespace::v1::UpdateNamespaceInfo {
            description: "main".into(),
            data: [(key.to_owned(), "1".to_owned())].into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    test.workflow().update_namespace(update("a")).await.unwrap();
    let updated = test.workflow().update_namespace(update("b")).await.unwrap().into_inner();

    let info = updated.namespace_info.unwrap();
    assert_eq!(info.description, "main");
    assert_eq!(info.data.into_keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(updated.config.unwrap().workflow_execution_retention_ttl.unwrap().seconds, 86_400);
}

#[tokio::test]
async fn search_attributes_are_there_in_the_very_next_call() {
    let test = Test::start().await;
    test.add_attribute("Color", IndexedValueType::Keyword).await.unwrap();
    // The reference keeps the type that a name has, and says nothing.
    test.add_attribute("Color", IndexedValueType::Int).await.unwrap();

    let list = || operator::ListSearchAttributesRequest { namespace: "default".into() };
    let listed = test.operator().list_search_attributes(list()).await.unwrap().into_inner();
    assert_eq!(listed.custom_attributes, [("Color".to_owned(), IndexedValueType::Keyword as i32)].into());
    assert_eq!(listed.system_attributes.len(), 33);

    let reserved = test.add_attribute("WorkflowId", IndexedValueType::Keyword).await;
    refused(reserved, Code::InvalidArgument, "Search attribute WorkflowId is reserved by system.");

    let remove = |name: &str| operator::RemoveSearchAttributesRequest {
        namespace: "default".into(),
        search_attributes: vec![name.into()],
    };
    test.operator().remove_search_attributes(remove("Color")).await.unwrap();
    test.operator().remove_search_attributes(remove("Never")).await.unwrap();
    let listed = test.operator().list_search_attributes(list()).await.unwrap().into_inner();
    assert!(listed.custom_attributes.is_empty());
}

#[tokio::test]
async fn workers_that_send_heartbeats_are_listed() {
    let test = Test::start().await;
    let heartbeat = |key: &str| WorkerHeartbeat {
        worker_instance_key: key.into(),
        status: WorkerStatus::Running as i32,
        ..Default::default()
    };
    let record = RecordWorkerHeartbeatRequest {
        namespace: "default".into(),
        worker_heartbeat: vec![heartbeat("a"), heartbeat("b")],
        ..Default::default()
    };
    test.workflow().record_worker_heartbeat(record).await.unwrap();

    let list = ListWorkersRequest {
        namespace: "default".into(),
        page_size: 1,
        query: "WorkerInstanceKey != 'c'".into(),
        ..Default::default()
    };
    let listed = test.workflow().list_workers(list).await.unwrap().into_inner();
    assert_eq!(listed.workers[0].worker_instance_key, "a");
    assert!(!listed.next_page_token.is_empty());
    let count = CountWorkersRequest { namespace: "default".into(), ..Default::default() };
    assert_eq!(test.workflow().count_workers(count).await.unwrap().into_inner().count, 2);
    let describe = DescribeWorkerRequest { namespace: "default".into(), worker_instance_key: "b".into() };
    assert!(test.workflow().describe_worker(describe).await.unwrap().into_inner().worker_info.is_some());
}

#[tokio::test]
async fn what_is_not_built_says_so() {
    let test = Test::start().await;
    let refused = test.workflow().list_schedules(ListSchedulesRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
}

#[tokio::test]
async fn health_knows_the_names_that_sdks_ask_for() {
    let test = Test::start().await;
    let mut health = HealthClient::new(test.channel.clone());
    let services =
        ["", "temporal.api.workflowservice.v1.WorkflowService", "temporal.api.operatorservice.v1.OperatorService"];
    for service in services {
        let checked = health.check(HealthCheckRequest { service: service.into() }).await.unwrap().into_inner();
        assert_eq!(checked.status(), ServingStatus::Serving, "{service}");
    }
    let mut packing = HealthClient::new(test.channel.clone()).send_compressed(Gzip);
    packing.check(HealthCheckRequest { service: String::new() }).await.expect("packed requests are read");
    let unknown = health.check(HealthCheckRequest { service: "nope".into() }).await;
    refused(unknown.map(|_| ()), Code::NotFound, "unknown service");
}

#[tokio::test]
async fn reflection_names_the_services_in_both_versions() {
    use tonic_reflection::pb::{v1, v1alpha};
    let test = Test::start().await;

    let request = v1::ServerReflectionRequest {
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(test.channel.clone());
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let v1::server_reflection_response::MessageResponse::ListServicesResponse(listed) = answer else {
        panic!("{answer:?}")
    };
    let names: Vec<_> = listed.service.iter().map(|service| service.name.as_str()).collect();
    assert!(names.contains(&"temporal.api.workflowservice.v1.WorkflowService"), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("cloud")), "{names:?}");

    let request = v1alpha::ServerReflectionRequest {
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(
            "temporal.api.operatorservice.v1.OperatorService".into(),
        )),
        ..Default::default()
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(test.channel.clone());
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    assert!(
        matches!(answer, v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse(_)),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused_in_the_words_that_sdks_look_for() {
    let test = Test::start().await;
    let request = DescribeNamespaceRequest { namespace: "x".repeat(4_194_304), ..Default::default() };
    let size = request.encoded_len();

    let refused_with = format!("grpc: received message larger than max ({size} vs. 4194304)");
    let outcome = test.workflow().describe_namespace(request).await;
    refused(outcome.map(|_| ()), Code::ResourceExhausted, &refused_with);
}

#[tokio::test]
async fn small_answers_to_clients_that_read_gzip_are_marked_but_not_packed() {
    let test = Test::start().await;
    let mut client = test.workflow().send_compressed(Gzip).accept_compressed(Gzip);

    let response = client.get_system_info(GetSystemInfoRequest {}).await.unwrap();
    assert_eq!(response.metadata().get("grpc-encoding").unwrap(), "gzip");
    assert_eq!(response.into_inner().server_version, "1.32.0");
}

#[tokio::test]
async fn garbage_on_the_port_harms_nobody() {
    let test = Test::start().await;
    let mut stream = TcpStream::connect(test.server().grpc_address()).await.unwrap();
    stream.write_all(&[0xa5; 4_096]).await.unwrap();
    let mut answer = Vec::new();
    // Closed or reset: either way it is over.
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.expect("it is cut off");

    test.describe("default").await.unwrap();
}

#[tokio::test]
async fn the_http_door_tells_health_and_numbers() {
    let test = Test::start().await;
    test.describe("default").await.unwrap();

    assert_eq!(test.get("/healthz").await, (200, r#"{"status":"serving"}"#.to_owned()));
    let (code, metrics) = test.get("/metrics").await;
    assert_eq!(code, 200);
    assert!(metrics.contains(r#"tradewind_rpc_requests_total{method="DescribeNamespace",code="OK"} 1"#), "{metrics}");
    for name in ["store_flushes_total", "engine_steps_total", "engine_runs_cached", "matching_backlog"] {
        assert!(metrics.contains(&format!("tradewind_{name} ")), "{name} in {metrics}");
    }
    let (code, page) = test.get("/").await;
    assert!(code == 200 && page.contains("Tradewind"), "{page}");
    assert_eq!(test.get("/nope").await, (404, r#"{"error":"not found","path":"/nope"}"#.to_owned()));
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let mut test = Test::start().await;
    test.register("orders", 3_600).await.unwrap();
    test.add_attribute("Color", IndexedValueType::Keyword).await.unwrap();
    let before = test.describe("orders").await.unwrap();
    let cluster = test.workflow().get_cluster_info(GetClusterInfoRequest {}).await.unwrap().into_inner().cluster_id;

    test.restart().await;

    assert_eq!(test.describe("orders").await.unwrap(), before);
    let after = test.workflow().get_cluster_info(GetClusterInfoRequest {}).await.unwrap().into_inner().cluster_id;
    assert_eq!(after, cluster);
}

#[tokio::test]
async fn a_taken_port_and_a_locked_directory_are_named() {
    let test = Test::start().await;
    let address = test.server().grpc_address();

    let mut same_port = settings(Path::new("unused"));
    same_port.listen.port = address.port();
    let refused = Server::start(same_port).await.err().expect("the port is taken").to_string();
    assert_eq!(refused, format!("cannot listen on {address}: another process uses this port"));

    let refused =
        Server::start(settings(test.directory.path())).await.err().expect("the directory is locked").to_string();
    assert!(refused.contains("is in use by"), "{refused}");
}

#[tokio::test]
async fn stopping_waits_for_nothing_when_nothing_runs() {
    let mut test = Test::start().await;
    test.describe("default").await.unwrap();
    let stopped = tokio::time::timeout(Duration::from_secs(5), test.server.take().unwrap().stop()).await;
    assert!(stopped.is_ok(), "an idle connection held the server up");
}

#[tokio::test]
async fn an_annex_shares_the_port_and_the_shutdown() {
    let directory = tempfile::tempdir().unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let told = ended.clone();
    let annex = Annex::new("test", async move |service, settings: Settings| {
        let shutdown = service.shutdown.clone();
        service.background.spawn(async move {
            shutdown.cancelled().await;
            told.store(true, Ordering::Relaxed);
        });
        let namespace = settings.namespaces[0].clone();
        assert!(service.namespaces.named(&namespace).is_some(), "it opens after the namespaces are there");
        Ok(Router::new().route("/test", get(async move || namespace)))
    });
    let server = start_annexed(directory.path(), annex).await.expect("the server starts");
    let test = Test::of(server, directory).await;

    assert_eq!(test.get("/test").await, (200, "default".into()));
    assert_eq!(test.get("/healthz").await.0, 200);
    test.server.unwrap().stop().await;
    assert!(ended.load(Ordering::Relaxed), "what runs in the background is waited for");
}

#[tokio::test]
async fn an_annex_may_refuse_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let annex = Annex::new("test", async |_, _| Err("the key does not fit".into()));
    let refused = start_annexed(directory.path(), annex).await.err().expect("the start is refused");
    assert_eq!(refused.to_string(), "test cannot start: the key does not fit");
}

struct Test {
    server: Option<Server>,
    channel: Channel,
    directory: tempfile::TempDir,
}

impl Test {
    async fn start() -> Test {
        Test::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut Settings)) -> Test {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = settings(directory.path());
        change(&mut settings);
        let server = Server::start(settings).await.expect("the server starts");
        Test::of(server, directory).await
    }

    async fn of(server: Server, directory: tempfile::TempDir) -> Test {
        let channel = connect(&server).await;
        Test { server: Some(server), channel, directory }
    }

    async fn restart(&mut self) {
        self.server.take().expect("it runs").stop().await;
        let server = Server::start(settings(self.directory.path())).await.expect("the server starts");
        self.channel = connect(&server).await;
        self.server = Some(server);
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("it runs")
    }

    fn workflow(&self) -> WorkflowServiceClient<Channel> {
        WorkflowServiceClient::new(self.channel.clone())
    }

    fn operator(&self) -> OperatorServiceClient<Channel> {
        OperatorServiceClient::new(self.channel.clone())
    }

    async fn describe(&self, namespace: &str) -> Result<DescribeNamespaceResponse, Status> {
        let request = DescribeNamespaceRequest { namespace: namespace.into(), ..Default::default() };
        self.workflow().describe_namespace(Request::new(request)).await.map(tonic::Response::into_inner)
    }

    async fn register(&self, namespace: &str, retention_secs: i64) -> Result<(), Status> {
        let request = RegisterNamespaceRequest {
            namespace: namespace.into(),
            workflow_execution_retention_period: Some(prost_types::Duration { seconds: retention_secs, nanos: 0 }),
            ..Default::default()
        };
        self.workflow().register_namespace(request).await.map(|_| ())
    }

    async fn add_attribute(&self, name: &str, kind: IndexedValueType) -> Result<(), Status> {
        let request = operator::AddSearchAttributesRequest {
            namespace: "default".into(),
            search_attributes: [(name.to_owned(), kind as i32)].into(),
        };
        self.operator().add_search_attributes(request).await.map(|_| ())
    }

    async fn get(&self, path: &str) -> (u16, String) {
        self.get_with(path, "").await
    }

    /// With whole header lines besides the usual ones.
    async fn get_with(&self, path: &str, headers: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.server().http_address()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n{headers}connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
        (code, body.to_owned())
    }
}

async fn start_annexed(directory: &Path, annex: Annex) -> Result<Server, StartError> {
    Server::start_with(settings(directory), vec![annex], Clock::System, Entropy::System).await
}

async fn connect(server: &Server) -> Channel {
    let address = format!("http://{}", server.grpc_address());
    Channel::from_shared(address).expect("an address").connect().await.expect("it listens")
}

fn settings(directory: &Path) -> Settings {
    let mut settings = Settings::default();
    settings.listen.port = 0;
    settings.listen.http_port = 0;
    settings.storage.directory = directory.to_owned();
    settings
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, Status>, code: Code, message: &str) {
    let status = outcome.expect_err("it is refused");
    assert_eq!((status.code(), status.message()), (code, message));
}
