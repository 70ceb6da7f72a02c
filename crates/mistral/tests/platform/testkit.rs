//! The platform on a server in this process, with short ways to be its client and its worker.

use api::command::v1::{Command, UpsertWorkflowSearchAttributesCommandAttributes, command::Attributes};
use api::common::v1::{WorkflowExecution, WorkflowType};
use api::enums::v1::CommandType;
use api::taskqueue::v1::TaskQueue;
use api::workflowservice::v1::{
    DeleteWorkflowExecutionRequest, PollWorkflowTaskQueueResponse, RespondWorkflowTaskCompletedRequest,
    StartWorkflowExecutionRequest, TerminateWorkflowExecutionRequest,
};
use axum::Router;
use engine::poll::Poll;
use engine::token::{self, Token};
use reqwest::StatusCode;
use serde_json::{Value, json};
use server::ambient::{Clock, Entropy};
use server::{Annex, Server, Service, Settings, handlers};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tradewind_core::ids::TaskKind;

pub const NAMESPACE: &str = "mistral-workflows";
/// How long something may take that has to happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Platform {
    pub server: Server,
    pub http: reqwest::Client,
    base: String,
}

/// A run that a test is about.
#[derive(Debug, Clone)]
pub struct Run {
    pub workflow_id: String,
    pub run_id: String,
}

impl Platform {
    pub async fn start() -> Platform {
        Platform::with(|settings| settings.storage.in_memory = true).await
    }

    pub async fn on(directory: &Path) -> Platform {
        Platform::with(|settings| settings.storage.directory = directory.to_owned()).await
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> Platform {
        Platform::with_clock(change, Clock::System).await
    }

    pub async fn with_clock(change: impl FnOnce(&mut Settings), clock: Clock) -> Platform {
        let mut settings = Settings::default();
        settings.listen.port = 0;
        settings.listen.http_port = 0;
        settings.engine.loops = Some(1);
        change(&mut settings);
        let annexes = mistral::annex(&settings).into_iter().collect();
        let server = Server::start_with(settings, annexes, clock, Entropy::System).await.expect("it starts");
        let base = format!("http://{}", server.http_address());
        Platform { server, http: reqwest::Client::new(), base }
    }

    /// A server on whose directory steps are followed as ever, but nobody acts on them.
    pub async fn deaf(directory: &Path) -> Platform {
        let mut settings = Settings::default();
        settings.listen.port = 0;
        settings.listen.http_port = 0;
        settings.storage.directory = directory.to_owned();
        let annex = Annex::new("nobody", async |_, _| Ok(Router::new()));
        let annex = annex.following(mistral::events::lifecycle::following(NAMESPACE));
        let server = Server::start_with(settings, vec![annex], Clock::System, Entropy::System).await;
        Platform { server: server.expect("it starts"), http: reqwest::Client::new(), base: String::new() }
    }

    pub async fn stop(self) {
        self.server.stop().await;
    }

    pub fn service(&self) -> &Arc<Service> {
        self.server.service()
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        answered(self.http.get(self.url(path))).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        answered(self.http.post(self.url(path)).json(body)).await
    }

    /// Starts a workflow of type `Order` on the task queue of its own name.
    pub async fn begin(&self, workflow_id: &str) -> Run {
        let request = StartWorkflowExecutionRequest {
            namespace: NAMESPACE.into(),
            workflow_id: workflow_id.into(),
            workflow_type: Some(WorkflowType { name: "Order".into() }),
            task_queue: Some(TaskQueue { name: workflow_id.into(), ..TaskQueue::default() }),
            request_id: uuid::Uuid::from_u128(next_number()).to_string(),
            ..StartWorkflowExecutionRequest::default()
        };
        let started = handlers::start_workflow_execution::handle(self.service(), request).await.expect("it starts");
        Run { workflow_id: workflow_id.into(), run_id: started.run_id }
    }

    /// The workflow task that must be there.
    pub async fn task(&self, queue: &str) -> PollWorkflowTaskQueueResponse {
        let service = self.service();
        let poll = Poll {
            namespace: service.namespaces.named(NAMESPACE).expect("the namespace is there").key,
            kind: TaskKind::Workflow,
            queue: queue.into(),
            sticky: false,
            normal_queue: String::new(),
            identity: "worker".into(),
            worker_instance: String::new(),
            max_tasks_per_second: None,
            until: service.clock.now() + PATIENCE,
        };
        service.engine.poll_workflow_task(poll).await.expect("polls are answered").expect("a task is there")
    }

    pub async fn complete(&self, task: &PollWorkflowTaskQueueResponse, commands: impl Into<Vec<Command>>) {
        let token = Token::decode_as(token::WORKFLOW, &task.task_token).expect("a token of ours");
        let request = RespondWorkflowTaskCompletedRequest {
            task_token: task.task_token.clone(),
            commands: commands.into(),
            identity: "worker".into(),
            ..RespondWorkflowTaskCompletedRequest::default()
        };
        self.service().engine.complete_workflow_task(&token, request).await.expect("the completion is taken");
    }

    /// Runs the next task of the queue with these commands.
    pub async fn turn(&self, queue: &str, commands: impl Into<Vec<Command>>) {
        let task = self.task(queue).await;
        self.complete(&task, commands).await;
    }

    pub async fn terminate(&self, run: &Run, reason: &str) {
        let request = TerminateWorkflowExecutionRequest {
            namespace: NAMESPACE.into(),
            workflow_execution: Some(run.execution()),
            reason: reason.into(),
            ..TerminateWorkflowExecutionRequest::default()
        };
        handlers::terminate_workflow_execution::handle(self.service(), request).await.expect("it is terminated");
    }

    /// Introduces a workflow as its worker does; the id of its registration.
    pub async fn register(&self, workflow: &str, deployment: &str, worker: &str) -> String {
        let spec = json!({
            "name": workflow, "task_queue": deployment, "input_schema": { "type": "object" }, "output_schema": null,
            "signals": [], "queries": [], "updates": [], "enforce_determinism": true, "on_behalf_of": false,
            "is_technical": false, "execution_timeout": "PT1H", "plugin_metadata": null, "display_name": null,
            "description": null, "schedules": [],
        });
        let registration = json!({
            "definitions": [spec], "deployment_name": deployment, "worker_name": worker, "deployment_location": null,
        });
        let (status, body) = self.post("/v1/workflows/register", &registration).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["workflow_registration_ids"][0].as_str().expect("an id for each").to_owned()
    }

    pub async fn delete(&self, run: &Run) {
        let request =
            DeleteWorkflowExecutionRequest { namespace: NAMESPACE.into(), workflow_execution: Some(run.execution()) };
        handlers::delete_workflow_execution::handle(self.service(), request).await.expect("it is deleted");
    }

    /// Waits until what may go is gone.
    pub async fn sweep(&self) {
        let platform = mistral::Platform::open(self.service().clone(), &Settings::default()).await.expect("it opens");
        mistral::events::retention::sweep(&platform).await.expect("the store works");
    }

    /// Tells one event, as a worker does, and waits until it is durable.
    #[track_caller]
    pub fn tell(&self, event: Value) -> impl Future<Output = ()> {
        let request = self.http.post(self.url("/v1/workflows/events")).json(&json!({ "event": event }));
        async move {
            let (status, body) = answered(request).await;
            assert_eq!((status, &body["status"]), (StatusCode::OK, &json!("success")), "{body}");
        }
    }
}

impl Run {
    pub fn execution(&self) -> WorkflowExecution {
        WorkflowExecution { workflow_id: self.workflow_id.clone(), run_id: self.run_id.clone() }
    }

    /// An event as the worker's package writes it.
    pub fn event(&self, id: &str, kind: &str, attributes: Value) -> Value {
        json!({
            "event_id": id, "event_timestamp": 1_764_000_000_000_000_123_u64, "event_type": kind,
            "root_workflow_exec_id": self.workflow_id, "parent_workflow_exec_id": null, "continued_run_id": null,
            "first_execution_run_id": self.run_id, "chain_run_id": null, "schedule_id": null,
            "workflow_exec_id": self.workflow_id, "workflow_run_id": self.run_id, "workflow_name": "Order",
            "attributes": attributes,
        })
    }

    /// A piece of a text that grows, as a model's tokens come.
    pub fn token(&self, id: &str, text: &str) -> Value {
        let patch = json!([{ "op": "append", "path": "/text", "value": text }]);
        let payload = json!({ "type": "json_patch", "value": patch, "encoding_options": null });
        let attributes = json!({ "custom_task_id": "t", "custom_task_type": "llm", "payload": payload });
        self.event(id, "CUSTOM_TASK_IN_PROGRESS", attributes)
    }
}

pub fn command(kind: CommandType, attributes: Attributes) -> Command {
    Command { command_type: kind as i32, attributes: Some(attributes), ..Command::default() }
}

pub async fn answered(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.expect("the server answers");
    let status = response.status();
    let text = response.text().await.expect("with a whole body");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Waits until something holds; says what it was otherwise.
pub async fn eventually<T: std::fmt::Debug>(mut probe: impl AsyncFnMut() -> T, holds: impl Fn(&T) -> bool) -> T {
    let mut found = probe().await;
    for _ in 0..PATIENCE.as_millis() / 10 {
        if holds(&found) {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        found = probe().await;
    }
    panic!("it never came to hold: {found:?}");
}

/// Request ids only have to differ.
fn next_number() -> u128 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    u128::from(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// What a worker does first: it says under which trace the run goes.
pub fn name_trace(trace: &str) -> Command {
    let metadata = [("encoding", "json/plain"), ("type", "Keyword")];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), bytes::Bytes::from(value))).into();
    let payload = api::common::v1::Payload { metadata, data: format!("{trace:?}").into(), ..Default::default() };
    let search_attributes =
        api::common::v1::SearchAttributes { indexed_fields: [("OtelTraceId".into(), payload)].into() };
    let attributes = UpsertWorkflowSearchAttributesCommandAttributes { search_attributes: Some(search_attributes) };
    let attributes = Attributes::UpsertWorkflowSearchAttributesCommandAttributes(attributes.into());
    command(CommandType::UpsertWorkflowSearchAttributes, attributes)
}
