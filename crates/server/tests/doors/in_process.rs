//! The door without a port.

use super::*;
use bytes::Bytes;
use engine::ambient::{Clock, Entropy};
use http::{HeaderMap, HeaderValue};
use server::{Door, InProcess};
use tradewind_core::ids::{QueueKey, TaskKind};

#[tokio::test]
async fn a_request_is_answered_without_a_port() {
    let test = InMemory::start().await;
    let described: DescribeNamespaceResponse = test.call("DescribeNamespace", describe("default")).await.unwrap();
    assert_eq!(described.namespace_info.unwrap().name, "default");
}

#[tokio::test]
async fn an_error_brings_its_code_its_words_and_its_details() {
    let test = InMemory::start().await;
    let gone = test.call::<DescribeNamespaceResponse>("DescribeNamespace", describe("orders")).await;
    let details = gone.as_ref().unwrap_err().details().to_owned();
    refused(gone, Code::NotFound, "Namespace orders is not found.");
    let details = api::google::rpc::Status::decode(details.as_slice()).unwrap();
    assert!(details.details[0].type_url.ends_with("NamespaceNotFoundFailure"));
}

#[tokio::test]
async fn a_method_that_is_not_built_is_unimplemented() {
    let test = InMemory::start().await;
    let unknown = test.call::<GetSystemInfoResponse>("NoSuchMethod", GetSystemInfoRequest {}).await;
    assert_eq!(unknown.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test]
async fn a_message_past_the_limit_is_refused_as_over_the_wire() {
    let test = InMemory::start().await;
    let limit = Settings::default().limits.message_bytes_max;
    let large = describe(&"x".repeat(limit));
    let words = format!("grpc: received message larger than max ({} vs. {limit})", large.encoded_len());
    refused(test.call::<DescribeNamespaceResponse>("DescribeNamespace", large).await, Code::ResourceExhausted, &words);
}

#[tokio::test]
async fn the_callers_deadline_ends_a_long_poll() {
    let test = InMemory::start().await;
    let mut headers = HeaderMap::new();
    headers.insert("grpc-timeout", HeaderValue::from_static("2500m"));
    let polled = test.call_with::<PollWorkflowTaskQueueResponse>("PollWorkflowTaskQueue", headers, poll()).await;
    assert!(polled.unwrap().task_token.is_empty(), "nothing was there to be done");
}

#[tokio::test]
async fn a_dropped_poll_gives_up_its_place_at_once() {
    let test = InMemory::start().await;
    let polling = tokio::spawn(test.future::<PollWorkflowTaskQueueResponse, _>("PollWorkflowTaskQueue", poll()));
    test.until(|test| test.pollers() == 1).await;
    polling.abort();
    test.until(|test| test.pollers() == 0).await;
}

#[tokio::test]
async fn a_stopping_server_answers_polls_and_refuses_what_comes_later() {
    let test = InMemory::start().await;
    let polling = tokio::spawn(test.future::<PollWorkflowTaskQueueResponse, _>("PollWorkflowTaskQueue", poll()));
    test.until(|test| test.pollers() == 1).await;

    let InMemory { server, door, directory } = test;
    server.stop().await;
    assert!(polling.await.unwrap().unwrap().task_token.is_empty());
    let message = Bytes::from(GetSystemInfoRequest {}.encode_to_vec());
    let late = door.call(SERVICE, "GetSystemInfo", HeaderMap::new(), message).await.map(|_| ());
    refused(late, Code::FailedPrecondition, "the engine of this process has stopped");

    // Everything is on disk, and the directory free for the next one.
    InMemory::start_in(directory).await.server.stop().await;
}

#[tokio::test]
async fn one_directory_has_one_server() {
    let test = InMemory::start().await;
    let second = InProcess::start(settings(test.directory.path()), Clock::System, Entropy::System).await;
    let refused = second.err().expect("the directory is locked").to_string();
    assert!(refused.contains("is in use by process"), "{refused}");
}

const SERVICE: &str = api::workflowservice::v1::workflow_service_server::SERVICE_NAME;

struct InMemory {
    server: InProcess,
    door: Door,
    directory: tempfile::TempDir,
}

impl InMemory {
    async fn start() -> InMemory {
        InMemory::start_in(tempfile::tempdir().unwrap()).await
    }

    async fn start_in(directory: tempfile::TempDir) -> InMemory {
        let settings = settings(directory.path());
        let server = InProcess::start(settings, Clock::System, Entropy::System).await.expect("the server starts");
        InMemory { door: server.door(), server, directory }
    }

    async fn call<T: Message + Default>(&self, method: &'static str, request: impl Message) -> Result<T, Status> {
        self.future(method, request).await
    }

    async fn call_with<T: Message + Default>(
        &self,
        method: &'static str,
        headers: HeaderMap,
        request: impl Message,
    ) -> Result<T, Status> {
        let (_, answer) = self.door.call(SERVICE, method, headers, request.encode_to_vec().into()).await?;
        Ok(T::decode(answer.as_slice()).expect("an answer of this type"))
    }

    fn future<T: Message + Default, R: Message>(
        &self,
        method: &'static str,
        request: R,
    ) -> impl Future<Output = Result<T, Status>> + use<T, R> {
        let (door, message) = (self.door.clone(), Bytes::from(request.encode_to_vec()));
        async move {
            let (_, answer) = door.call(SERVICE, method, HeaderMap::new(), message).await?;
            Ok(T::decode(answer.as_slice()).expect("an answer of this type"))
        }
    }

    fn pollers(&self) -> usize {
        let service = self.server.service();
        let namespace = service.namespaces.named("default").expect("it is there").key;
        let key = QueueKey { namespace, kind: TaskKind::Workflow, name: "queue".into() };
        service.engine.shared().matching.existing(&key).map_or(0, |queue| queue.waiting())
    }

    async fn until(&self, reached: impl Fn(&InMemory) -> bool) {
        for _ in 0..1_000 {
            if reached(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it did not come to that within 10 s");
    }
}

fn describe(namespace: &str) -> DescribeNamespaceRequest {
    DescribeNamespaceRequest { namespace: namespace.into(), ..Default::default() }
}

fn poll() -> PollWorkflowTaskQueueRequest {
    let queue = api::taskqueue::v1::TaskQueue { name: "queue".into(), ..Default::default() };
    PollWorkflowTaskQueueRequest { namespace: "default".into(), task_queue: Some(queue), ..Default::default() }
}
