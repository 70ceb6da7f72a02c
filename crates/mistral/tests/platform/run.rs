//! Runs whose workflow tasks a test completes itself, past HTTP, and what their workers tell of them.

use crate::testkit::{NAMESPACE, PATIENCE, Platform};
use api::command::v1::{Command, UpsertWorkflowSearchAttributesCommandAttributes, command::Attributes};
use api::common::v1::{WorkflowExecution, WorkflowType};
use api::enums::v1::CommandType;
use api::taskqueue::v1::TaskQueue;
use api::workflowservice::v1::{
    DeleteWorkflowExecutionRequest, PollWorkflowTaskQueueResponse, RespondWorkflowTaskCompletedRequest,
    StartWorkflowExecutionRequest, TerminateWorkflowExecutionRequest,
};
use engine::poll::Poll;
use engine::token::{self, Token};
use serde_json::{Value, json};
use server::handlers;
use tradewind_core::ids::TaskKind;

/// A run that a test is about.
#[derive(Debug, Clone)]
pub struct Run {
    pub workflow_id: String,
    pub run_id: String,
}

impl Platform {
    /// Starts a workflow of type `Order` on the task queue of its own name.
    pub async fn begin(&self, workflow_id: &str) -> Run {
        self.begin_as("Order", workflow_id, workflow_id).await
    }

    pub async fn begin_as(&self, workflow: &str, workflow_id: &str, queue: &str) -> Run {
        let request = StartWorkflowExecutionRequest {
            namespace: NAMESPACE.into(),
            workflow_id: workflow_id.into(),
            workflow_type: Some(WorkflowType { name: workflow.into() }),
            task_queue: Some(TaskQueue { name: queue.into(), ..TaskQueue::default() }),
            request_id: self.service().entropy.uuid().to_string(),
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

    pub async fn delete(&self, run: &Run) {
        let request =
            DeleteWorkflowExecutionRequest { namespace: NAMESPACE.into(), workflow_execution: Some(run.execution()) };
        handlers::delete_workflow_execution::handle(self.service(), request).await.expect("it is deleted");
    }

    /// Tells one event, as a worker does, and waits until it is durable.
    pub async fn tell(&self, event: Value) {
        let told = self.post("/events", json!({ "event": event })).await.ok();
        assert_eq!(told["status"], "success", "{told}");
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
