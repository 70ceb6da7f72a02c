//! The platform on a server in this process, asked over HTTP as its workers and clients ask it.

use api::workflowservice::v1::{StartWorkflowExecutionRequest, TerminateWorkflowExecutionRequest};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use server::ambient::{Clock, Entropy};
use server::{Server, Settings, handlers};
use std::path::Path;
use std::time::Duration;

pub struct Platform {
    server: Option<Server>,
    settings: Settings,
    http: reqwest::Client,
    key: Option<&'static str>,
}

impl Platform {
    pub async fn start() -> Platform {
        Platform::with(|_| {}).await
    }

    pub async fn on(directory: &Path) -> Platform {
        Platform::with(|settings| {
            settings.storage.in_memory = false;
            settings.storage.directory = directory.to_owned();
        })
        .await
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> Platform {
        let mut settings = Settings::default();
        settings.listen.port = 0;
        settings.listen.http_port = 0;
        settings.engine.loops = Some(1);
        settings.storage.in_memory = true;
        change(&mut settings);
        let server = Some(start(&settings).await);
        Platform { server, settings, http: reqwest::Client::new(), key: None }
    }

    /// From here on, requests carry this key.
    pub fn show_key(&mut self, key: &'static str) {
        self.key = Some(key);
    }

    pub async fn restart(&mut self) {
        self.server.take().expect("it runs").stop().await;
        self.server = Some(start(&self.settings).await);
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let address = self.server.as_ref().expect("it runs").http_address();
        let request = self.http.request(method, format!("http://{address}{path}"));
        match self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let mut request = self.request(method, &format!("/v1/workflows{path}"));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.expect("the server answers");
        let status = response.status();
        let text = response.text().await.expect("the answer is whole");
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("answers are JSON") };
        (status, body)
    }

    pub async fn get(&self, path: &str) -> Value {
        self.done(Method::GET, path, None, StatusCode::OK).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Value {
        self.done(Method::PUT, path, Some(body), StatusCode::OK).await
    }

    async fn done(&self, method: Method, path: &str, body: Option<&Value>, status: StatusCode) -> Value {
        let (answered, answer) = self.ask(method, path, body).await;
        assert_eq!(answered, status, "{path}: {answer}");
        answer
    }

    /// Asks for something that is refused, and gives the detail and the code.
    pub async fn refused(&self, method: Method, path: &str, body: Option<&Value>, status: u16) -> (Value, Value) {
        let (answered, answer) = self.ask(method, path, body).await;
        assert_eq!(answered, status, "{path}: {answer}");
        // Clients read a list under 422 and a sentence anywhere else.
        assert_eq!(answer["detail"].is_array(), status == 422, "{path}: {answer}");
        (answer["detail"].clone(), answer["code"].clone())
    }

    /// A worker registers these workflows, as the SDK does.
    pub async fn register(&self, deployment: &str, worker: &str, definitions: &[Value]) -> Value {
        let body = registration(deployment, worker, definitions);
        self.done(Method::POST, "/register", Some(&body), StatusCode::OK).await
    }

    /// Starts a run of the workflow that nobody will work on.
    pub async fn begin(&self, workflow: &str, deployment: &str) -> String {
        let service = self.server.as_ref().expect("it runs").service();
        let workflow_id = service.entropy.uuid().to_string();
        let request = StartWorkflowExecutionRequest {
            namespace: self.settings.mistral.namespace.clone(),
            workflow_id: workflow_id.clone(),
            workflow_type: Some(api::common::v1::WorkflowType { name: workflow.into() }),
            task_queue: Some(api::taskqueue::v1::TaskQueue { name: deployment.into(), ..Default::default() }),
            request_id: workflow_id.clone(),
            ..Default::default()
        };
        handlers::start_workflow_execution::handle(service, request).await.expect("it starts");
        workflow_id
    }

    /// The latest run of an execution, as its worker knows it.
    pub async fn run_id(&self, workflow_id: &str) -> String {
        let service = self.server.as_ref().expect("it runs").service();
        let request = api::workflowservice::v1::DescribeWorkflowExecutionRequest {
            namespace: self.settings.mistral.namespace.clone(),
            execution: Some(api::common::v1::WorkflowExecution {
                workflow_id: workflow_id.into(),
                run_id: String::new(),
            }),
        };
        let described = handlers::describe_workflow_execution::handle(service, request).await.expect("it is there");
        described.workflow_execution_info.and_then(|info| info.execution).expect("it has a run").run_id
    }

    pub async fn terminate(&self, workflow_id: &str) {
        let service = self.server.as_ref().expect("it runs").service();
        let request = TerminateWorkflowExecutionRequest {
            namespace: self.settings.mistral.namespace.clone(),
            workflow_execution: Some(api::common::v1::WorkflowExecution {
                workflow_id: workflow_id.into(),
                run_id: String::new(),
            }),
            ..Default::default()
        };
        handlers::terminate_workflow_execution::handle(service, request).await.expect("it ends");
    }
}

async fn start(settings: &Settings) -> Server {
    let annexes = mistral::annex(settings).into_iter().collect();
    Server::start_with(settings.clone(), annexes, Clock::System, Entropy::System).await.expect("the server starts")
}

pub fn registration(deployment: &str, worker: &str, definitions: &[Value]) -> Value {
    json!({
        "definitions": definitions,
        "deployment_name": deployment,
        "worker_name": worker,
        "deployment_location": { "location_type": "local", "k8s_cluster": null, "k8s_namespace": null },
    })
}

/// A workflow as the SDK describes it.
pub fn definition(name: &str, deployment: &str) -> Value {
    json!({
        "name": name,
        "task_queue": deployment,
        "input_schema": { "type": "object", "properties": { "count": { "type": "integer" } } },
        "output_schema": null,
        "signals": [{ "name": "stop", "description": null, "input_schema": { "type": "object" } }],
        "queries": [],
        "updates": [],
        "schedules": [],
        "enforce_determinism": true,
        "on_behalf_of": false,
        "is_technical": name.starts_with("__"),
        "execution_timeout": "PT1H30M",
        "plugin_metadata": null,
        "display_name": null,
        "description": null,
    })
}

/// The values at `key` of a list.
pub fn each(list: &Value, key: &str) -> Vec<Value> {
    list.as_array().expect("a list").iter().map(|item| item[key].clone()).collect()
}

/// How long something may take that has to happen.
pub const PATIENCE: Duration = Duration::from_secs(30);
