//! The client half: calls that survive a server being away.
//!
//! Every call here may be repeated safely: starts and signals carry a request id that stays the same over all
//! attempts, completions carry a task token. A completion whose first answer was lost is therefore answered
//! NOT_FOUND the second time; callers treat that as "not mine any more", never as a failure.
//!
//! Channels connect lazily and reconnect by themselves, so a client outlives any number of server restarts.

use api::{
    common::v1::{Payload, Payloads, WorkflowExecution, WorkflowType},
    enums::v1::{HistoryEventFilterType, TaskQueueKind},
    history::v1::HistoryEvent,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{self as wire, workflow_service_client::WorkflowServiceClient},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{
    error::Error as _,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tonic::{
    Code, Request, Response, Status,
    transport::{Channel, Endpoint},
};

pub type Rpc = WorkflowServiceClient<Channel>;

/// How long one attempt of an ordinary call may take.
pub const UNARY: Duration = Duration::from_secs(30);
/// How long one long poll may take. The server ends it earlier, with an empty answer.
pub const LONG_POLL: Duration = Duration::from_secs(65);

/// Histories of runs with many thousand events arrive in one poll answer.
const MESSAGE_BYTES_MAX: usize = 128 * 1024 * 1024;

const BACKOFF_FIRST: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_millis(500);

#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// `host:port`, or a full `http://` URI.
    pub address: String,
    pub namespace: String,
    pub identity: String,
    /// Connections; calls take turns over them.
    pub channels: usize,
    /// How long a call keeps retrying while the server is away or refuses for lack of capacity.
    pub patience: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:7233".into(),
            namespace: "default".into(),
            identity: "tradewind-bench".into(),
            channels: 2,
            patience: Duration::from_secs(60),
        }
    }
}

/// What the client had to put up with.
#[derive(Debug, Default)]
pub struct Trouble {
    /// Attempts repeated because the server could not be reached or dropped the call.
    pub unreachable: AtomicU64,
    /// Attempts repeated because the server refused for lack of capacity.
    pub refused: AtomicU64,
}

impl Trouble {
    pub fn total(&self) -> u64 {
        self.unreachable.load(Ordering::Relaxed) + self.refused.load(Ordering::Relaxed)
    }
}

/// A cheap handle; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: ClientOptions,
    stubs: Vec<Rpc>,
    turn: AtomicUsize,
    trouble: Trouble,
}

impl Client {
    /// Makes a client without connecting: the first call does that.
    pub fn new(options: ClientOptions) -> anyhow::Result<Self> {
        let uri = match options.address.contains("://") {
            true => options.address.clone(),
            false => format!("http://{}", options.address),
        };
        let endpoint = Endpoint::from_shared(uri)?.connect_timeout(Duration::from_secs(5)).tcp_nodelay(true);
        let stubs = (0..options.channels.max(1))
            .map(|_| WorkflowServiceClient::new(endpoint.connect_lazy()).max_decoding_message_size(MESSAGE_BYTES_MAX))
            .collect();
        let shared = Shared { options, stubs, turn: AtomicUsize::new(0), trouble: Trouble::default() };
        Ok(Self { shared: Arc::new(shared) })
    }

    pub fn namespace(&self) -> &str {
        &self.shared.options.namespace
    }

    pub fn identity(&self) -> &str {
        &self.shared.options.identity
    }

    pub fn trouble(&self) -> &Trouble {
        &self.shared.trouble
    }

    /// A stub on the next connection, for calls this module does not wrap.
    pub fn rpc(&self) -> Rpc {
        let turn = self.shared.turn.fetch_add(1, Ordering::Relaxed);
        self.shared.stubs[turn % self.shared.stubs.len()].clone()
    }

    /// Makes one attempt.
    pub async fn once<Req, Res, F>(
        &self,
        request: Req,
        deadline: Duration,
        call: impl Fn(Rpc, Request<Req>) -> F,
    ) -> Result<Res, Status>
    where
        F: Future<Output = Result<Response<Res>, Status>>,
    {
        let mut request = Request::new(request);
        request.set_timeout(deadline);
        call(self.rpc(), request).await.map(Response::into_inner)
    }

    /// Repeats a call until it is answered, refused for good, or patience runs out.
    pub async fn call<Req, Res, F>(
        &self,
        request: &Req,
        deadline: Duration,
        call: impl Fn(Rpc, Request<Req>) -> F,
    ) -> Result<Res, Status>
    where
        Req: Clone,
        F: Future<Output = Result<Response<Res>, Status>>,
    {
        let mut backoff = BACKOFF_FIRST;
        let mut failing_since: Option<Instant> = None;
        loop {
            let status = match self.once(request.clone(), deadline, &call).await {
                Ok(reply) => return Ok(reply),
                Err(status) => status,
            };
            let since = *failing_since.get_or_insert_with(Instant::now);
            if !self.is_worth_repeating(&status) || since.elapsed() > self.shared.options.patience {
                return Err(status);
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// Says whether the same call may succeed later, and counts it.
    pub fn is_worth_repeating(&self, status: &Status) -> bool {
        // A status with a source was made on this side: the transport broke.
        let unreachable = status.source().is_some()
            || matches!(status.code(), Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded);
        let refused = matches!(status.code(), Code::ResourceExhausted | Code::Aborted);
        if unreachable {
            self.shared.trouble.unreachable.fetch_add(1, Ordering::Relaxed);
        } else if refused {
            self.shared.trouble.refused.fetch_add(1, Ordering::Relaxed);
        }
        unreachable || refused
    }

    /// Waits until the server answers for this client's namespace.
    pub async fn wait_ready(&self, limit: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let request =
                wire::DescribeNamespaceRequest { namespace: self.namespace().to_owned(), ..Default::default() };
            let answer = self
                .once(request, Duration::from_secs(2), |mut rpc, request| async move {
                    rpc.describe_namespace(request).await
                })
                .await;
            match answer {
                Ok(_) => return Ok(()),
                Err(status) if begun.elapsed() > limit => anyhow::bail!("server is not ready: {status}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Starts a run and returns its id.
    pub async fn start(&self, start: Start) -> Result<String, Status> {
        let request = wire::StartWorkflowExecutionRequest {
            namespace: self.namespace().to_owned(),
            workflow_id: start.workflow_id,
            workflow_type: Some(WorkflowType { name: start.workflow_type }),
            task_queue: Some(normal_queue(start.task_queue)),
            input: start.input,
            identity: self.identity().to_owned(),
            request_id: uuid::Uuid::new_v4().to_string(),
            ..start.more
        };
        let reply = self
            .call(&request, UNARY, |mut rpc, request| async move { rpc.start_workflow_execution(request).await })
            .await?;
        Ok(reply.run_id)
    }

    /// Sends a signal to the current run of a workflow id.
    pub async fn signal(&self, workflow_id: &str, name: &str, input: Option<Payloads>) -> Result<(), Status> {
        let request = wire::SignalWorkflowExecutionRequest {
            namespace: self.namespace().to_owned(),
            workflow_execution: Some(execution(workflow_id, "")),
            signal_name: name.to_owned(),
            input,
            identity: self.identity().to_owned(),
            request_id: uuid::Uuid::new_v4().to_string(),
            ..Default::default()
        };
        self.call(&request, UNARY, |mut rpc, request| async move { rpc.signal_workflow_execution(request).await })
            .await?;
        Ok(())
    }

    /// Waits until a run closes and returns the event that closed it. An empty run id means the current run.
    pub async fn closing_event(&self, workflow_id: &str, run_id: &str) -> Result<HistoryEvent, Status> {
        let mut request = wire::GetWorkflowExecutionHistoryRequest {
            namespace: self.namespace().to_owned(),
            execution: Some(execution(workflow_id, run_id)),
            wait_new_event: true,
            history_event_filter_type: HistoryEventFilterType::CloseEvent as i32,
            skip_archival: true,
            ..Default::default()
        };
        loop {
            let mut reply = self.history_page(&request, LONG_POLL).await?;
            if let Some(event) = reply.history.as_mut().and_then(|history| history.events.pop()) {
                return Ok(event);
            }
            request.next_page_token = reply.next_page_token;
        }
    }

    /// Reads the whole history of a run as it is now.
    pub async fn history(&self, workflow_id: &str, run_id: &str) -> Result<Vec<HistoryEvent>, Status> {
        self.history_from(workflow_id, run_id, Bytes::new()).await
    }

    /// Reads the rest of a history, from a page token on.
    pub async fn history_from(
        &self,
        workflow_id: &str,
        run_id: &str,
        page: Bytes,
    ) -> Result<Vec<HistoryEvent>, Status> {
        let mut request = wire::GetWorkflowExecutionHistoryRequest {
            namespace: self.namespace().to_owned(),
            execution: Some(execution(workflow_id, run_id)),
            next_page_token: page,
            ..Default::default()
        };
        let mut events = Vec::new();
        loop {
            let reply = self.history_page(&request, UNARY).await?;
            events.extend(reply.history.unwrap_or_default().events);
            if reply.next_page_token.is_empty() {
                return Ok(events);
            }
            request.next_page_token = reply.next_page_token;
        }
    }

    async fn history_page(
        &self,
        request: &wire::GetWorkflowExecutionHistoryRequest,
        deadline: Duration,
    ) -> Result<wire::GetWorkflowExecutionHistoryResponse, Status> {
        self.call(
            request,
            deadline,
            |mut rpc, request| async move { rpc.get_workflow_execution_history(request).await },
        )
        .await
    }
}

/// What to start.
#[derive(Debug, Clone, Default)]
pub struct Start {
    pub workflow_id: String,
    pub workflow_type: String,
    pub task_queue: String,
    pub input: Option<Payloads>,
    /// Fields the benchmarks do not set (timeouts, policies, ...); its own copies of the fields above are ignored.
    pub more: wire::StartWorkflowExecutionRequest,
}

pub fn execution(workflow_id: &str, run_id: &str) -> WorkflowExecution {
    WorkflowExecution { workflow_id: workflow_id.to_owned(), run_id: run_id.to_owned() }
}

pub fn normal_queue(name: impl Into<String>) -> TaskQueue {
    TaskQueue { name: name.into(), kind: TaskQueueKind::Normal as i32, ..Default::default() }
}

/// A duration as the wire has it.
pub fn wire_duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration { seconds: duration.as_secs() as i64, nanos: duration.subsec_nanos() as i32 }
}

/// One value, encoded as the SDKs' default data converter does it.
pub fn to_payloads(value: &impl Serialize) -> Payloads {
    let data = serde_json::to_vec(value).expect("benchmark values serialize");
    let metadata = [("encoding".to_owned(), Bytes::from_static(b"json/plain"))].into();
    Payloads { payloads: vec![Payload { metadata, data: data.into(), ..Default::default() }] }
}

/// The first value of some payloads.
pub fn from_payloads<T: for<'a> Deserialize<'a>>(payloads: Option<&Payloads>) -> Option<T> {
    let payload = payloads?.payloads.first()?;
    serde_json::from_slice(&payload.data).ok()
}
