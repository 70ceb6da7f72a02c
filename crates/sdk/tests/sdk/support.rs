//! A server, a client of it, and workers that stop when their test is over.

use server::{Server, Settings};
use std::time::Duration;
use tempfile::TempDir;
use temporalio_common::protos::temporal::api::history::v1::HistoryEvent;
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tradewind::worker::Builder;
use tradewind::{Client, Worker, WorkerError, WorkflowHandle, client, workflow};

/// A server and a client of it.
pub struct Test {
    pub client: Client,
    /// A queue that no other test uses.
    pub queue: String,
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
            let client = describe(Client::builder().address(address)).connect().await.expect("the server answers");
            return Test { client, queue, server: None };
        }
        let directory = tempfile::tempdir().expect("a directory");
        let mut settings = Settings::default();
        settings.listen.port = 0;
        settings.listen.http_port = 0;
        settings.storage.directory = directory.path().to_owned();
        let server = Server::start(settings).await.expect("the server starts");
        let client = Client::builder().address(server.grpc_address().to_string());
        let client = describe(client).connect().await.expect("the server answers");
        Test { client, queue, server: Some((server, directory)) }
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
