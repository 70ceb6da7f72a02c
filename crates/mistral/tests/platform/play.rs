//! A worker that plays a handful of workflows over gRPC.

use crate::run::command;
use crate::testkit::{NAMESPACE, Platform};
use api::command::v1::command::Attributes as Does;
use api::command::v1::*;
use api::common::v1::{Payload, Payloads, WorkflowExecution, WorkflowType};
use api::enums::v1::{CommandType, QueryResultType};
use api::failure::v1::Failure;
use api::history::v1::history_event::Attributes;
use api::protocol::v1::Message;
use api::query::v1::WorkflowQueryResult;
use api::taskqueue::v1::TaskQueue;
use api::update::v1 as update;
use api::workflowservice::v1::workflow_service_client::WorkflowServiceClient;
use api::workflowservice::v1::*;
use prost::{Message as _, Name};
use serde_json::{Value, json};
use tonic::transport::Channel;

/// The workflows that [`Platform::work`] plays, as their worker registers them.
///
/// `echo` completes with its input; `waiter` collects signals `note`, answers the query `notes`, takes the update `ask`,
/// and completes at a signal `go`; `chain` continues as new `left` times; `broken` fails; `family` starts a `waiter` as its
/// child and completes at a signal `go`.
pub fn played(task_queue: &str) -> Value {
    let any = json!({"type": "object"});
    let handler = |name: &str, schema: &Value| json!({"name": name, "description": null, "input_schema": schema, "output_schema": null});
    let text = json!({
        "type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": false,
    });
    let definition = |name: &str, input: &Value| {
        json!({
            "name": name, "task_queue": task_queue, "input_schema": input, "output_schema": null,
            "signals": [handler("note", &text), handler("go", &any)],
            "queries": [handler("notes", &any), handler("boom", &any)],
            "updates": [handler("ask", &text), handler("refuse", &any)],
            "enforce_determinism": true, "on_behalf_of": false, "is_technical": name == "family",
            "execution_timeout": "PT1H", "plugin_metadata": null, "display_name": null,
            "description": format!("plays {name}"), "schedules": [],
        })
    };
    let left = json!({
        "type": "object", "properties": {"left": {"type": "integer"}}, "required": ["left"], "additionalProperties": false,
    });
    json!([
        definition("echo", &any),
        definition("waiter", &any),
        definition("chain", &left),
        definition("broken", &any),
        definition("family", &any),
    ])
}

impl Platform {
    /// With a worker of deployment `demo` that has registered and works.
    pub async fn working() -> Platform {
        let mut platform = Platform::start().await;
        platform.play("demo").await;
        platform
    }

    /// Registers [`played`] as a worker of this deployment, and works.
    pub async fn play(&mut self, deployment: &str) {
        self.register(deployment, "w1", played(deployment)).await.ok();
        self.work(deployment).await;
    }

    pub async fn rpc(&self) -> WorkflowServiceClient<Channel> {
        let address = format!("http://{}", self.server().grpc_address());
        WorkflowServiceClient::connect(address).await.expect("it listens")
    }

    /// Plays the workflows of [`played`] on a task queue.
    pub async fn work(&mut self, queue: &str) {
        let (mut rpc, queue) = (self.rpc().await, queue.to_owned());
        self.workers.push(tokio::spawn(async move {
            loop {
                let poll = PollWorkflowTaskQueueRequest {
                    namespace: NAMESPACE.into(),
                    task_queue: Some(TaskQueue { name: queue.clone(), ..TaskQueue::default() }),
                    identity: "player".into(),
                    ..PollWorkflowTaskQueueRequest::default()
                };
                let Ok(task) = rpc.poll_workflow_task_queue(poll).await else { return };
                let task = task.into_inner();
                if task.task_token.is_empty() {
                    continue;
                }
                let played = Play::of(&task);
                if let Some(query) = &task.query {
                    let answer = played.answer(&query.query_type);
                    let completed = RespondQueryTaskCompletedRequest {
                        task_token: task.task_token.clone(),
                        namespace: NAMESPACE.into(),
                        completed_type: answer.result_type,
                        query_result: answer.answer,
                        error_message: answer.error_message,
                        ..RespondQueryTaskCompletedRequest::default()
                    };
                    let _ = rpc.respond_query_task_completed(completed).await;
                    continue;
                }
                let (mut commands, messages) = replies(&task.messages);
                commands.extend(played.commands());
                let queries = task.queries.iter().map(|(id, query)| (id.clone(), played.answer(&query.query_type)));
                let completed = RespondWorkflowTaskCompletedRequest {
                    task_token: task.task_token.clone(),
                    namespace: NAMESPACE.into(),
                    identity: "player".into(),
                    commands,
                    messages,
                    query_results: queries.collect(),
                    ..RespondWorkflowTaskCompletedRequest::default()
                };
                let _ = rpc.respond_workflow_task_completed(completed).await;
            }
        }));
    }
}

/// A run as its worker sees it.
#[derive(Default)]
struct Play {
    workflow: String,
    id: String,
    input: Option<Payloads>,
    notes: Vec<String>,
    go: bool,
    cancel: bool,
    has_child: bool,
}

impl Play {
    fn of(task: &PollWorkflowTaskQueueResponse) -> Play {
        let mut play = Play {
            id: task.workflow_execution.as_ref().map(|it| it.workflow_id.clone()).unwrap_or_default(),
            ..Play::default()
        };
        for event in task.history.iter().flat_map(|history| &history.events) {
            match event.attributes.as_ref() {
                Some(Attributes::WorkflowExecutionStartedEventAttributes(it)) => {
                    play.workflow = it.workflow_type.as_ref().map(|it| it.name.clone()).unwrap_or_default();
                    play.input = it.input.clone();
                }
                Some(Attributes::WorkflowExecutionSignaledEventAttributes(it)) if it.signal_name == "go" => {
                    play.go = true
                }
                Some(Attributes::WorkflowExecutionSignaledEventAttributes(it)) => {
                    play.notes.push(document(it.input.as_ref())["text"].as_str().unwrap_or("?").to_owned());
                }
                Some(Attributes::WorkflowExecutionCancelRequestedEventAttributes(_)) => play.cancel = true,
                Some(Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(_)) => play.has_child = true,
                _ => {}
            }
        }
        play
    }

    fn commands(&self) -> Vec<Command> {
        let complete = |result| {
            Does::CompleteWorkflowExecutionCommandAttributes(
                CompleteWorkflowExecutionCommandAttributes { result }.into(),
            )
        };
        let left = document(self.input.as_ref())["left"].as_i64().unwrap_or_default();
        match self.workflow.as_str() {
            _ if self.cancel => {
                let canceled = CancelWorkflowExecutionCommandAttributes::default();
                vec![command(
                    CommandType::CancelWorkflowExecution,
                    Does::CancelWorkflowExecutionCommandAttributes(canceled.into()),
                )]
            }
            "echo" => vec![command(CommandType::CompleteWorkflowExecution, complete(self.input.clone()))],
            "waiter" | "family" if self.go => {
                vec![command(
                    CommandType::CompleteWorkflowExecution,
                    complete(Some(plain(&json!({"notes": self.notes})))),
                )]
            }
            "chain" if left > 0 => {
                let again = ContinueAsNewWorkflowExecutionCommandAttributes {
                    input: Some(plain(&json!({"left": left - 1}))),
                    ..ContinueAsNewWorkflowExecutionCommandAttributes::default()
                };
                vec![command(
                    CommandType::ContinueAsNewWorkflowExecution,
                    Does::ContinueAsNewWorkflowExecutionCommandAttributes(again.into()),
                )]
            }
            "chain" => {
                vec![command(CommandType::CompleteWorkflowExecution, complete(Some(plain(&json!({"result": left})))))]
            }
            "broken" => {
                let failure = Some(Failure { message: "it broke".into(), ..Failure::default() });
                let failed = FailWorkflowExecutionCommandAttributes { failure };
                vec![command(
                    CommandType::FailWorkflowExecution,
                    Does::FailWorkflowExecutionCommandAttributes(failed.into()),
                )]
            }
            "family" if !self.has_child => {
                let child = StartChildWorkflowExecutionCommandAttributes {
                    workflow_id: format!("{}-child", self.id),
                    workflow_type: Some(WorkflowType { name: "waiter".into() }),
                    ..StartChildWorkflowExecutionCommandAttributes::default()
                };
                vec![command(
                    CommandType::StartChildWorkflowExecution,
                    Does::StartChildWorkflowExecutionCommandAttributes(child.into()),
                )]
            }
            _ => Vec::new(),
        }
    }

    fn answer(&self, query: &str) -> WorkflowQueryResult {
        if query == "notes" {
            return WorkflowQueryResult {
                result_type: QueryResultType::Answered as i32,
                answer: Some(plain(&json!(self.notes))),
                ..WorkflowQueryResult::default()
            };
        }
        WorkflowQueryResult {
            result_type: QueryResultType::Failed as i32,
            error_message: format!("query {query} went wrong"),
            ..WorkflowQueryResult::default()
        }
    }
}

/// Accepts updates and answers with their input; the one called `refuse` it rejects.
fn replies(messages: &[Message]) -> (Vec<Command>, Vec<Message>) {
    let (mut commands, mut replies) = (Vec::new(), Vec::new());
    for asked in messages {
        let id = &asked.protocol_instance_id;
        let request =
            asked.body.as_ref().map(|body| update::Request::decode(body.value.as_slice()).expect("an update"));
        let input = request.as_ref().and_then(|it| it.input.clone()).unwrap_or_default();
        if input.name == "refuse" {
            let failure = Some(Failure { message: "not now".into(), ..Failure::default() });
            let rejection = update::Rejection {
                rejected_request_message_id: asked.id.clone(),
                rejected_request: request,
                failure,
                ..Default::default()
            };
            replies.push(message(id, "reject", &rejection));
            continue;
        }
        let acceptance = update::Acceptance {
            accepted_request_message_id: asked.id.clone(),
            accepted_request: request.clone(),
            ..Default::default()
        };
        let meta = request.and_then(|it| it.meta);
        let outcome =
            Some(update::Outcome { value: Some(update::outcome::Value::Success(input.args.unwrap_or_default())) });
        replies.push(message(id, "accept", &acceptance));
        replies.push(message(id, "complete", &update::Response { meta, outcome }));
        for what in ["accept", "complete"] {
            let attributes = ProtocolMessageCommandAttributes { message_id: format!("{id}/{what}") };
            commands
                .push(command(CommandType::ProtocolMessage, Does::ProtocolMessageCommandAttributes(attributes.into())));
        }
    }
    (commands, replies)
}

fn message<M: Name>(id: &str, what: &str, body: &M) -> Message {
    let body =
        prost_types::Any { type_url: format!("type.googleapis.com/{}", M::full_name()), value: body.encode_to_vec() };
    Message { id: format!("{id}/{what}"), protocol_instance_id: id.into(), body: Some(body), ..Message::default() }
}

fn plain(value: &Value) -> Payloads {
    let metadata = [("encoding".to_owned(), "json/plain".into())].into();
    Payloads { payloads: vec![Payload { metadata, data: value.to_string().into(), ..Payload::default() }] }
}

fn document(payloads: Option<&Payloads>) -> Value {
    let data = payloads.and_then(|payloads| payloads.payloads.first()).map(|payload| payload.data.clone());
    data.and_then(|data| serde_json::from_slice(&data).ok()).unwrap_or_default()
}

/// The input of a run, as its worker gets it.
pub async fn input(platform: &Platform, execution: &str) -> Payload {
    let request = GetWorkflowExecutionHistoryRequest {
        namespace: NAMESPACE.into(),
        execution: Some(WorkflowExecution { workflow_id: execution.into(), run_id: String::new() }),
        ..GetWorkflowExecutionHistoryRequest::default()
    };
    let history = platform.rpc().await.get_workflow_execution_history(request).await.unwrap().into_inner();
    let started = history.history.unwrap_or_default().events.remove(0);
    match started.attributes {
        Some(Attributes::WorkflowExecutionStartedEventAttributes(it)) => {
            it.input.unwrap_or_default().payloads.remove(0)
        }
        other => panic!("a history begins with the start: {other:?}"),
    }
}
