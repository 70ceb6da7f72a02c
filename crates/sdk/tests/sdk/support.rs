//! A server, a client of it, and workers that stop when their test is over.

use server::{Server, Settings};
use std::time::Duration;
use tempfile::TempDir;
use temporalio_client::grpc::OperatorService;
use temporalio_client::tonic::IntoRequest;
use temporalio_client::{Connection, ConnectionOptions, Url};
use temporalio_common::protos::temporal::api::enums::v1::IndexedValueType;
use temporalio_common::protos::temporal::api::history::v1::HistoryEvent;
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use temporalio_common::protos::temporal::api::operatorservice::v1::AddSearchAttributesRequest;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tradewind::worker::Builder;
use tradewind::{Client, Worker, WorkerError, WorkflowHandle, client, workflow};

/// A server and a client of it.
pub struct Test {
    pub client: Client,
    /// A queue that no other test uses.
    pub queue: String,
    address: String,
    server: Option<(Server, TempDir)>,
}

fn failure_of(event: HistoryEvent) -> Option<String> {
    match event.attributes? {
        Attributes::WorkflowTaskFailedEventAttributes(failed) => Some(failed.failure?.message),
        _ => None,
    }
}

impl Test {
    pub async fn start() -> Test {
        Test::with(|client| client).await
    }

    /// A test whose client is described further.
    pub async fn with(describe: impl FnOnce(client::Builder) -> client::Builder) -> Test {
        let queue = format!("test-{}", uuid());
        if let Ok(address) = std::env::var("TRADEWIND_TEST_ADDRESS") {
            let client = describe(Client::builder().address(&address)).connect().await.expect("the server answers");
            return Test { client, queue, address, server: None };
        }
        let directory = tempfile::tempdir().expect("a directory");
        let mut settings = Settings::default();
        settings.listen.port = 0;
        settings.listen.http_port = 0;
        settings.storage.directory = directory.path().to_owned();
        let server = Server::start(settings).await.expect("the server starts");
        let address = server.grpc_address().to_string();
        let client = describe(Client::builder().address(&address)).connect().await.expect("the server answers");
        Test { client, queue, address, server: Some((server, directory)) }
    }

    /// Whether the server is ours, with an engine in this process.
    pub fn is_own_server(&self) -> bool {
        self.server.is_some()
    }

    /// Where the server is.
    pub fn address(&self) -> String {
        match &self.server {
            Some((server, _)) => server.grpc_address().to_string(),
            None => std::env::var("TRADEWIND_TEST_ADDRESS").expect("without a server of its own it has an address"),
        }
    }

    /// Waits until a task of the run has failed with words that contain these.
    pub async fn failed_task_says<W: workflow::Definition>(&self, handle: &WorkflowHandle<W>, words: &str) {
        let mut said = Vec::new();
        for _ in 0..300 {
            let events = handle.history().into_events().await.expect("there is a history");
            said = events.into_iter().filter_map(failure_of).collect();
            if said.iter().any(|said| said.contains(words)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no failed task says {words:?}, but: {said:?}");
    }

    /// Makes these attributes known to the server, as an operator does. A server that has them keeps them.
    pub async fn add_search_attributes<const N: usize>(&self, types: [(&str, IndexedValueType); N]) {
        let address = Url::parse(&format!("http://{}", self.address)).expect("an address");
        let connection = Connection::connect(ConnectionOptions::new(address).build()).await;
        let search_attributes = types.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).into())).collect();
        let request = AddSearchAttributesRequest { search_attributes, namespace: "default".to_owned() };
        let mut connection = connection.expect("the server answers");
        connection.add_search_attributes(request.into_request()).await.expect("the attributes are added");
        // Some servers look at their attributes only now and then.
        for _ in 0..300 {
            let known = types.iter().map(|(name, _)| format!("{name} IS NULL")).collect::<Vec<_>>().join(" AND ");
            if self.client.count(known).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the attributes are not known");
    }

    /// A connection of its own: workers of one queue are in processes of their own, or at least on these.
    pub async fn another_client(&self) -> Client {
        Client::connect(&self.address).await.expect("the server answers")
    }

    /// Runs a worker on the test's queue.
    pub fn worker(&self, describe: impl FnOnce(Builder) -> Builder) -> RunningWorker {
        let worker = describe(Worker::builder(&self.client, &self.queue)).build().expect("the worker is complete");
        RunningWorker::start(worker)
    }

    pub async fn stop(self) {
        if let Some((server, _directory)) = self.server {
            server.stop().await;
        }
    }
}

/// A worker that runs.
pub struct RunningWorker {
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), WorkerError>>,
}

impl RunningWorker {
    pub fn start(worker: Worker) -> RunningWorker {
        let (stop, stopped) = oneshot::channel();
        RunningWorker { stop, running: tokio::spawn(worker.run_until(stopped)) }
    }

    pub async fn stop(self) {
        let _ = self.stop.send(());
        self.running.await.expect("the worker does not panic").expect("the worker stops well");
    }
}

/// A name that no other test has.
pub fn uuid() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{}-{next}", std::process::id())
}
