//! The platform on a server in this process, asked over HTTP as its workers and clients ask it.

use axum::Router;
use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};
use server::ambient::{Clock, Entropy};
use server::{Annex, Server, Service, Settings};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

pub const NAMESPACE: &str = "mistral-workflows";
/// How long something may take that has to happen.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// What most paths begin with.
const ROOT: &str = "/v1/workflows";

pub struct Platform {
    server: Option<Server>,
    settings: Settings,
    pub clock: Clock,
    http: reqwest::Client,
    key: Option<&'static str>,
    /// What plays workflows; see `play`.
    pub workers: Vec<JoinHandle<()>>,
}

/// What is answered to a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Platform {
    pub async fn start() -> Platform {
        Platform::with(|_| {}).await
    }

    pub async fn on(directory: &Path) -> Platform {
        Platform::with(|settings| on(settings, directory)).await
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> Platform {
        Platform::with_clock(change, Clock::System).await
    }

    pub async fn with_clock(change: impl FnOnce(&mut Settings), clock: Clock) -> Platform {
        let settings = settings(change);
        let annexes = mistral::annex(&settings).into_iter().collect();
        Platform::of(settings, annexes, clock).await
    }

    /// A server on whose directory steps are followed as ever, but nobody acts on them.
    pub async fn deaf(directory: &Path) -> Platform {
        let annex = Annex::new("nobody", async |_, _| Ok(Router::new()));
        let annex = annex.following(mistral::events::lifecycle::following(NAMESPACE));
        Platform::of(settings(|settings| on(settings, directory)), vec![annex], Clock::System).await
    }

    async fn of(settings: Settings, annexes: Vec<Annex>, clock: Clock) -> Platform {
        let server = Server::start_with(settings.clone(), annexes, clock.clone(), Entropy::System).await;
        let server = Some(server.expect("the server starts"));
        Platform { server, settings, clock, http: http_client(), key: None, workers: Vec::new() }
    }

    /// Another process on the same directory; whoever worked for this one is gone.
    pub async fn restart(&mut self) {
        self.workers.drain(..).for_each(|worker| worker.abort());
        self.server.take().expect("it runs").stop().await;
        let annexes = mistral::annex(&self.settings).into_iter().collect();
        let next = Platform::of(self.settings.clone(), annexes, self.clock.clone()).await;
        self.server = next.server;
    }

    pub async fn stop(self) {
        self.server.expect("it runs").stop().await;
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("it runs")
    }

    pub fn service(&self) -> &Arc<Service> {
        self.server().service()
    }

    /// From here on, requests carry this key.
    pub fn show_key(&mut self, key: &'static str) {
        self.key = Some(key);
    }

    /// A request for a path of any kind.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("http://{}{path}", self.server().http_address()));
        match self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Asks for a path below `/v1/workflows`, as all that follow do.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = self.request(method, &format!("{ROOT}{path}"));
        answered(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: impl Serialize) -> Answer {
        answered(self.request(Method::POST, &format!("{ROOT}{path}")).json(&body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::PUT, path, Some(body)).await
    }

    /// Sends these bytes and calls them JSON.
    pub async fn send(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.request(method, &format!("{ROOT}{path}"));
        answered(request.header("content-type", "application/json").body(body)).await
    }

    /// Asks for something that is refused, and gives the detail and the code.
    pub async fn refused(&self, method: Method, path: &str, body: Option<&Value>, status: u16) -> (Value, Value) {
        let Answer { status: answered, body } = self.ask(method, path, body).await;
        assert_eq!(answered, status, "{path}: {body}");
        // Clients read a list under 422 and a sentence anywhere else.
        assert_eq!(body["detail"].is_array(), status == 422, "{path}: {body}");
        (body["detail"].clone(), body["code"].clone())
    }

    /// A worker registers these workflows, as the SDK does.
    pub async fn register(&self, deployment: &str, worker: &str, definitions: impl Into<Value>) -> Answer {
        self.post("/register", registration(deployment, worker, definitions)).await
    }

    pub async fn execute(&self, workflow: &str, body: Value) -> Answer {
        self.post(&format!("/{workflow}/execute"), body).await
    }

    /// Reads an execution until it is no more running.
    pub async fn ended(&self, execution: &str) -> Value {
        let path = format!("/executions/{execution}");
        eventually(async || self.get(&path).await, |seen| seen.body["status"] != "RUNNING").await.ok()
    }

    /// Waits until what may go is gone.
    pub async fn sweep(&self) {
        let platform = mistral::Platform::open(self.service().clone(), &Settings::default()).await.expect("it opens");
        mistral::events::retention::sweep(&platform).await.expect("the store works");
    }
}

impl Answer {
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// Refused with this status and code; says the detail, or for a 422 the place and message of the first problem.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> String {
        assert_eq!((self.status, &self.body["code"]), (status, &json!(code)), "{}", self.body);
        let detail = &self.body["detail"];
        if status != 422 {
            return detail.as_str().expect("the detail is a text").to_owned();
        }
        let problem = &detail[0];
        assert!(problem["type"].is_string(), "a 422 lists problems: {}", self.body);
        let steps = problem["loc"].as_array().expect("a problem has a place");
        let steps: Vec<_> = steps.iter().map(|step| step.as_str().map_or(step.to_string(), str::to_owned)).collect();
        format!("{}: {}", steps.join("."), problem["msg"].as_str().expect("a problem has a message"))
    }
}

fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::default();
    settings.listen.port = 0;
    settings.listen.http_port = 0;
    settings.engine.loops = Some(1);
    settings.storage.in_memory = true;
    change(&mut settings);
    settings
}

fn on(settings: &mut Settings, directory: &Path) {
    settings.storage.in_memory = false;
    settings.storage.directory = directory.to_owned();
}

/// Plain HTTP. The client wants a provider of TLS all the same as soon as any package of the workspace has it speak TLS.
fn http_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

pub async fn answered(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("the server answers");
    let status = response.status().as_u16();
    let text = response.text().await.expect("with a whole body");
    let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
    Answer { status, body }
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

pub fn registration(deployment: &str, worker: &str, definitions: impl Into<Value>) -> Value {
    json!({
        "definitions": definitions.into(),
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
