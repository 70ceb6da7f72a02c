//! What a process says about its work.

use crate::support::{RunningWorker, Test, uuid};
use opentelemetry::trace::{SpanKind, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use temporalio_common::protos::temporal::api::enums::v1::EventType;
use temporalio_common::protos::temporal::api::history::v1::HistoryEvent;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;
use tradewind::prelude::*;
use tradewind::telemetry::{Metrics, OncePerHistory, WorkflowIdGenerator, traces};
use tradewind::workflow::Signal;

#[activity]
async fn shout(text: String) -> Result<String> {
    tracing::info!("shouting");
    Ok(text.to_uppercase())
}

#[workflow]
async fn shout_twice(text: String) -> Result<String> {
    shout(shout(text).await?).await
}

#[tokio::test]
async fn one_trace_goes_from_the_client_to_the_activities() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_id_generator(WorkflowIdGenerator::default())
        .with_simple_exporter(exporter.clone())
        .build();
    let traced = traces().tracer(provider.tracer("test"));
    let test = Test::with(|client| client.traces(traced)).await;
    let worker = test.worker(|worker| worker.activity(shout).workflow(shout_twice));

    assert_eq!(test.client.execute(shout_twice("hey".into())).await.unwrap(), "HEY");
    worker.stop().await;
    test.stop().await;

    let spans = exporter.get_finished_spans().unwrap();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
    let by_id: HashMap<_, _> = spans.iter().map(|span| (span.span_context.span_id(), span)).collect();
    let trace = spans[0].span_context.trace_id();
    assert!(spans.iter().all(|span| span.span_context.trace_id() == trace), "one trace: {names:?}");

    let ran: Vec<&SpanData> = spans.iter().filter(|span| span.name == "RunActivity:shout").collect();
    assert_eq!(ran.len(), 2, "{names:?}");
    for span in ran {
        assert_eq!(span.span_kind, SpanKind::Server);
        let mut parents = Vec::new();
        let mut at = span;
        while let Some(parent) = by_id.get(&at.parent_span_id) {
            parents.push(parent.name.as_ref());
            at = parent;
        }
        assert_eq!(
            parents,
            ["StartActivity:shout", "RunWorkflow:shout_twice", "StartWorkflow:shout_twice"],
            "all: {names:?}"
        );
    }
}

#[tokio::test]
async fn metrics_are_there_to_scrape_until_the_last_client_is_gone() {
    let metrics = Metrics::prometheus("127.0.0.1:0").unwrap();
    let address = metrics.address().unwrap();
    let test = Test::with(|client| client.metrics(&metrics)).await;
    drop(metrics);
    let worker = test.worker(|worker| worker.activity(shout).workflow(shout_twice));
    assert_eq!(test.client.execute(shout_twice("hey".into())).await.unwrap(), "HEY");

    // Counted a moment after the client has its result.
    let wanted = [
        "temporal_activity_execution_latency",
        "temporal_workflow_completed",
        "temporal_request_latency",
        "temporal_worker_task_slots_available",
        "activity_type=\"shout\"",
    ];
    let mut missing = wanted.to_vec();
    let complete = async {
        while !missing.is_empty() {
            let page = scrape(address).await.unwrap();
            missing.retain(|name| !page.contains(name));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(30), complete).await;
    assert!(missing.is_empty(), "never there: {missing:?}");

    worker.stop().await;
    test.stop().await;
    let deadline = Duration::from_secs(30);
    let gone = async {
        while scrape(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(deadline, gone).await.expect("the endpoint ends with its last client");
}

/// Holds its thread, which an async function should not, until the test has seen enough.
#[activity(start_to_close_timeout = "5m", max_attempts = 1)]
async fn hold() -> Result<()> {
    while !RELEASED.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

static RELEASED: AtomicBool = AtomicBool::new(false);

/// Lives by its heartbeats while it has no thread to run on.
#[activity(start_to_close_timeout = "5m", heartbeat_timeout = "1s", max_attempts = 1)]
async fn watch() -> Result<()> {
    WATCHED.notify_one();
    let released = async {
        while !RELEASED.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    activity::heartbeat_every(Duration::from_millis(200), released).await
}

static WATCHED: Notify = Notify::const_new();

#[activity(blocking)]
fn whisper(text: String) -> Result<String> {
    Ok(text.to_lowercase())
}

#[workflow]
async fn held() -> Result<()> {
    hold().await
}

#[workflow]
async fn watched() -> Result<()> {
    watch().await
}

/// Longer than two heartbeat timeouts.
#[workflow]
async fn goes_on() -> Result<String> {
    workflow::sleep(Duration::from_millis(2_500)).await?;
    whisper("HEY".into()).await
}

#[tokio::test]
async fn activities_that_hold_all_threads_are_counted_by_name_and_hold_up_nobody_else() {
    let metrics = Metrics::prometheus("127.0.0.1:0").unwrap();
    let test = Test::with(|client| client.metrics(&metrics)).await;
    let worker = test.worker(|worker| {
        let worker = worker.activity(hold).activity(watch).activity(whisper);
        let worker = worker.workflow(held).workflow(watched).workflow(goes_on);
        worker.activity_threads(2).blocked_limit(Duration::from_millis(100))
    });
    let watched = test.client.start(watched()).await.unwrap();
    WATCHED.notified().await;
    let holding = [test.client.start(held()).await.unwrap(), test.client.start(held()).await.unwrap()];

    let counted = async {
        while blocked(&scrape(metrics.address().unwrap()).await.unwrap()) != Some(2.0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), counted).await.expect("both are counted");
    assert_eq!(test.client.execute(goes_on()).await.unwrap(), "hey");

    RELEASED.store(true, Ordering::SeqCst);
    for holding in holding {
        holding.result().await.unwrap();
    }
    watched.result().await.expect("its heartbeats went on");
    assert_eq!(blocked(&scrape(metrics.address().unwrap()).await.unwrap()), Some(2.0), "each is counted once");
    worker.stop().await;
    test.stop().await;
}

/// How often `hold` was found to block, on this page.
fn blocked(page: &str) -> Option<f64> {
    counted(page, "tradewind_activity_blocked", r#"activity_type="hold""#)
}

fn counted(page: &str, name: &str, label: &str) -> Option<f64> {
    let line = page.lines().find(|line| line.starts_with(name) && line.contains(label))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[workflow]
async fn computes() -> Result<()> {
    std::thread::sleep(Duration::from_millis(300));
    Ok(())
}

#[tokio::test]
async fn workflow_code_that_holds_its_thread_is_counted_by_name() {
    let metrics = Metrics::prometheus("127.0.0.1:0").unwrap();
    let test = Test::with(|client| client.metrics(&metrics)).await;
    let worker = Worker::builder(&test.client, &test.queue).workflow(computes);
    let worker = worker.blocked_limit(Duration::from_millis(50)).build().unwrap();
    let watch = worker.watch();
    let worker = RunningWorker::start(worker);
    test.client.execute(computes()).await.unwrap();
    assert!(watch.blocked_workflows() >= 1);
    let page = scrape(metrics.address().unwrap()).await.unwrap();
    let found = counted(&page, "tradewind_workflow_blocked", r#"workflow_type="computes""#);
    assert!(found.is_some_and(|times| times >= 1.0), "{page}");
    worker.stop().await;
    test.stop().await;
}

/// Comes from a thread of the program.
static ANSWER: Mutex<Option<tokio::sync::oneshot::Receiver<u8>>> = Mutex::new(None);

#[workflow]
async fn waits_for_a_thread() -> Result<u8> {
    let answer = ANSWER.lock().take().ok_or("this is a second try")?;
    Ok(answer.await?)
}

#[tokio::test]
async fn workflow_code_that_waits_for_a_thread_is_named() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::registry()
        .with(LevelFilter::ERROR)
        .with(tracing_subscriber::fmt::layer().with_ansi(false).with_writer(lines.clone()));
    tracing::subscriber::set_global_default(subscriber).expect("each test has a process of its own");

    let test = Test::start().await;
    let worker = test.worker(|worker| worker.workflow(waits_for_a_thread));
    let (answer, receiver) = tokio::sync::oneshot::channel();
    *ANSWER.lock() = Some(receiver);
    let handle = test.client.start(waits_for_a_thread()).await.unwrap();
    // Its first task is done: nothing on the server will wake it.
    while !handle.history().into_events().await.unwrap().iter().any(is_completed_task) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    std::thread::spawn(move || answer.send(7)).join().unwrap().unwrap();

    let text = lines.text();
    let named = text.lines().find(|line| line.contains("waits for something outside it")).expect("it is in the log");
    assert!(named.contains("waits_for_a_thread") && named.contains(handle.id()), "{named}");
    // With the next task, the server knows too.
    handle.signal(Signal::new("wake up", ())).await.unwrap();
    test.failed_task_says(&handle, "Nondeterministic future").await;
    worker.stop().await;
    test.stop().await;
}

fn is_completed_task(event: &HistoryEvent) -> bool {
    event.event_type() == EventType::WorkflowTaskCompleted
}

#[workflow]
async fn talk(text: String) -> Result<String> {
    tracing::info!("before");
    let louder = shout(text).await?;
    tracing::info!("between");
    workflow::sleep(Duration::from_secs(2)).await?;
    tracing::info!("after");
    Ok(louder)
}

/// The second worker runs again what the first one ran, and then goes on.
#[tokio::test]
async fn a_replay_logs_nothing_again() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(OncePerHistory)
        .with(tracing_subscriber::fmt::layer().with_ansi(false).with_writer(lines.clone()));
    tracing::subscriber::set_global_default(subscriber).expect("each test has a process of its own");

    let test = Test::start().await;
    let first = test.worker(|worker| worker.activity(shout).workflow(talk));
    let id = uuid();
    let handle = test.client.start(talk("hey".into())).id(&id).await.unwrap();
    handle.signal(Signal::new("greet", ())).await.unwrap();
    while !handle.history().into_events().await.unwrap().iter().any(is_timer) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    first.stop().await;
    let second = test.worker(|worker| worker.activity(shout).workflow(talk));
    assert_eq!(handle.result().await.unwrap(), "HEY");
    second.stop().await;
    test.stop().await;

    let lines = lines.text();
    let nobody_takes = r#"a signal that no handler takes is left aside signal="greet""#;
    for what in ["before", "between", "after", "shouting", nobody_takes] {
        let with: Vec<_> = lines.lines().filter(|line| line.ends_with(what)).collect();
        assert_eq!(with.len(), 1, "{what}:\n{lines}");
        assert!(with[0].contains(&id), "{}", with[0]);
    }
}

fn is_timer(event: &HistoryEvent) -> bool {
    event.event_type() == EventType::TimerStarted
}

async fn scrape(address: std::net::SocketAddr) -> io::Result<String> {
    let mut connection = tokio::net::TcpStream::connect(address).await?;
    connection.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await?;
    let mut page = String::new();
    connection.read_to_string(&mut page).await?;
    Ok(page)
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).expect("lines are text")
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Lines {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        self.clone()
    }
}
