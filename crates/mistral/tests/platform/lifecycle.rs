//! Events of runs' lives that no worker tells.

use crate::run::*;
use crate::sse::Stream;
use crate::testkit::*;
use api::command::v1::{
    CompleteWorkflowExecutionCommandAttributes, ContinueAsNewWorkflowExecutionCommandAttributes,
    ScheduleActivityTaskCommandAttributes, command::Attributes,
};
use api::common::v1::{ActivityType, Payload, Payloads};
use api::enums::v1::{CommandType, WorkflowTaskFailedCause};
use api::failure::v1::Failure;
use api::taskqueue::v1::TaskQueue;
use api::workflowservice::v1::RespondWorkflowTaskFailedRequest;
use reqwest::Method;
use serde_json::{Value, json};
use server::handlers;
use std::time::Duration;

#[tokio::test]
async fn a_terminated_run_closes_what_its_worker_left_open() {
    let platform = Platform::start().await;
    let run = platform.begin("w").await;
    let custom = json!({ "custom_task_id": "t", "custom_task_type": "llm", "payload": { "value": 1 } });
    let started = json!({ "task_id": "run-task", "workflow_name": "Order", "input": { "value": [] } });
    platform.tell(run.event("a", "WORKFLOW_EXECUTION_STARTED", started)).await;
    platform.tell(run.event("b", "CUSTOM_TASK_STARTED", custom)).await;
    let mut stream = Stream::open(&platform, "/executions/w/stream?event_source=LIVE").await;
    platform.terminate(&run, "too slow").await;

    let task = stream.data().await["data"].take();
    assert_eq!(task["event_type"], json!("CUSTOM_TASK_CANCELED"));
    let reason = "the run was terminated: too slow";
    assert_eq!(task["attributes"], json!({ "custom_task_id": "t", "custom_task_type": "llm", "reason": reason }));
    let end = stream.data().await["data"].take();
    assert_eq!(end["event_type"], json!("WORKFLOW_EXECUTION_CANCELED"));
    assert_eq!(end["attributes"], json!({ "task_id": "run-task", "reason": reason }));
    assert_eq!((&end["workflow_run_id"], &end["chain_run_id"]), (&json!(run.run_id), &json!(run.run_id)));
}

#[tokio::test]
async fn an_end_that_the_worker_has_told_is_not_told_again() {
    let platform = Platform::start().await;
    let run = platform.begin("w").await;
    let task = platform.task("w").await;
    let completed = json!({ "task_id": "r", "result": { "value": 42 } });
    platform.tell(run.event("a", "WORKFLOW_EXECUTION_COMPLETED", completed)).await;
    platform.complete(&task, [complete("42")]).await;
    // Another run's end shows that this one's has been dealt with.
    let silent = platform.begin("silent").await;
    platform.turn("silent", [complete("{\"n\": 12345678901234567890123}")]).await;

    let events = told(&platform, 2).await;
    assert_eq!((&events[0]["event_id"], &events[0]["workflow_exec_id"]), (&json!("a"), &json!("w")));
    assert_eq!(events[1]["event_type"], json!("WORKFLOW_EXECUTION_COMPLETED"));
    assert_eq!(events[1]["attributes"]["task_id"], json!(silent.run_id), "nobody told that it began");
    let text = platform.request(Method::GET, "/v1/workflows/events/list").send().await.unwrap().text().await.unwrap();
    assert!(text.contains("\"value\":{\"n\": 12345678901234567890123}"), "JSON keeps its text: {text}");
}

#[tokio::test]
async fn an_end_that_was_told_wrongly_is_put_right() {
    let platform = Platform::start().await;
    let run = platform.begin("w").await;
    let task = platform.task("w").await;
    // What workers do when code raises in a task that is then tried again.
    let failed = json!({ "task_id": "r", "failure": { "message": "bug" } });
    platform.tell(run.event("a", "WORKFLOW_EXECUTION_FAILED", failed)).await;
    platform.complete(&task, [complete("null")]).await;

    let events = told(&platform, 2).await;
    assert_eq!(events[1]["event_type"], json!("WORKFLOW_EXECUTION_COMPLETED"));
}

#[tokio::test]
async fn a_run_that_continues_as_new_says_as_what() {
    let platform = Platform::start().await;
    let first = platform.begin("w").await;
    let attributes = ContinueAsNewWorkflowExecutionCommandAttributes {
        input: Some(payloads("{\"n\":1}")),
        ..ContinueAsNewWorkflowExecutionCommandAttributes::default()
    };
    let again = command(
        CommandType::ContinueAsNewWorkflowExecution,
        Attributes::ContinueAsNewWorkflowExecutionCommandAttributes(attributes.into()),
    );
    platform.turn("w", [again]).await;
    platform.turn("w", [complete("7")]).await;

    let events = told(&platform, 2).await;
    assert_eq!(events[0]["event_type"], json!("WORKFLOW_EXECUTION_CONTINUED_AS_NEW"));
    assert_eq!(events[0]["attributes"]["new_execution_run_id"], events[1]["workflow_run_id"]);
    assert_eq!(events[0]["attributes"]["workflow_name"], json!("Order"));
    assert_eq!(
        events[0]["attributes"]["input"],
        json!({ "type": "json", "value": [{ "n": 1 }], "encoding_options": null })
    );
    assert_ne!(events[1]["workflow_run_id"], json!(first.run_id));
    for event in &events {
        assert_eq!(event["chain_run_id"], json!(first.run_id), "one start, one chain");
        assert_eq!(event["first_execution_run_id"], json!(first.run_id));
    }
}

#[tokio::test]
async fn a_payload_that_is_encoded_is_told_as_it_is() {
    let platform = Platform::start().await;
    platform.begin("w").await;
    let metadata = [("encoding", "json/wf_v1"), ("encoding_options", "encrypted")];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), bytes::Bytes::from(value))).into();
    let payload = Payload { metadata, data: bytes::Bytes::from_static(&[0, 255]), ..Payload::default() };
    let result = Some(Payloads { payloads: vec![payload] });
    let attributes = CompleteWorkflowExecutionCommandAttributes { result };
    let attributes = Attributes::CompleteWorkflowExecutionCommandAttributes(attributes.into());
    platform.turn("w", [command(CommandType::CompleteWorkflowExecution, attributes)]).await;

    let events = told(&platform, 1).await;
    let expected = json!({ "type": "json", "value": "AP8=", "encoding_options": ["encrypted"] });
    assert_eq!(events[0]["attributes"]["result"], expected);
}

#[tokio::test]
async fn failed_and_timed_out_tasks_are_told() {
    let clock = server::ambient::Clock::manual(tradewind_core::time::Timestamp::from_secs(1_764_000_000));
    let platform = Platform::with_clock(|_| {}, clock.clone()).await;
    platform.begin("w").await;
    let task = platform.task("w").await;
    let request = RespondWorkflowTaskFailedRequest {
        task_token: task.task_token,
        cause: WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure as i32,
        failure: Some(Failure { message: "no such step".into(), ..Failure::default() }),
        namespace: NAMESPACE.into(),
        ..RespondWorkflowTaskFailedRequest::default()
    };
    handlers::respond_workflow_task_failed::handle(platform.service(), request).await.unwrap();
    let events = told(&platform, 1).await;
    assert_eq!(events[0]["event_type"], json!("WORKFLOW_TASK_FAILED"));
    assert_eq!(events[0]["attributes"], json!({ "task_id": "2", "failure": { "message": "no such step" } }));

    let call = ScheduleActivityTaskCommandAttributes {
        activity_id: "5".into(),
        activity_type: Some(ActivityType { name: "call".into() }),
        task_queue: Some(TaskQueue { name: "w".into(), ..TaskQueue::default() }),
        schedule_to_close_timeout: Some(prost_types::Duration { seconds: 5, nanos: 0 }),
        ..ScheduleActivityTaskCommandAttributes::default()
    };
    platform.begin("v").await;
    let attributes = Attributes::ScheduleActivityTaskCommandAttributes(call.into());
    platform.turn("v", [command(CommandType::ScheduleActivityTask, attributes)]).await;
    clock.advance(Duration::from_secs(6));
    let events = poked(&platform, 2).await;
    assert_eq!(events[1]["event_type"], json!("ACTIVITY_TASK_FAILED"));
    assert_eq!(
        (&events[1]["attributes"]["task_id"], &events[1]["attributes"]["activity_name"]),
        (&json!("5"), &json!("call"))
    );
    assert_eq!(events[1]["attributes"]["attempt"], json!(1));

    // Taken by a worker that is never heard of again.
    platform.task("v").await;
    clock.advance(Duration::from_secs(11));
    let events = poked(&platform, 3).await;
    assert_eq!(events[2]["event_type"], json!("WORKFLOW_TASK_TIMED_OUT"));
    assert_eq!(events[2]["attributes"]["timeout_type"], json!("START_TO_CLOSE"));
}

#[tokio::test]
async fn what_a_crash_interrupted_is_told_once_by_the_next_process() {
    // The same directory without the annex stands for a process that dies between the step and its telling.
    let directory = tempfile::tempdir().unwrap();
    let platform = Platform::on(directory.path()).await;
    let (one, other) = (platform.begin("one").await, platform.begin("other").await);
    platform.terminate(&one, "first").await;
    told(&platform, 1).await;
    platform.stop().await;

    let dying = Platform::deaf(directory.path()).await;
    dying.terminate(&other, "second").await;
    dying.stop().await;

    for _ in 0..2 {
        let platform = Platform::on(directory.path()).await;
        let events = told(&platform, 2).await;
        let reasons: Vec<_> = events.iter().map(|event| event["attributes"]["reason"].as_str().unwrap()).collect();
        assert_eq!(reasons, ["the run was terminated: first", "the run was terminated: second"]);
        platform.stop().await;
    }
}

#[tokio::test]
async fn old_events_go_and_their_sequences_with_them() {
    let clock = server::ambient::Clock::manual(tradewind_core::time::Timestamp::from_secs(1_764_000_000));
    let platform = Platform::with_clock(|_| {}, clock.clone()).await;
    let run = platform.begin("w").await;
    for number in 0..3 {
        platform.tell(run.token(&format!("old-{number}"), "x")).await;
    }
    // The settings say thirty days.
    clock.advance(Duration::from_secs(29 * 24 * 60 * 60));
    platform.tell(run.token("young", "x")).await;
    clock.advance(Duration::from_secs(2 * 24 * 60 * 60));
    platform.sweep().await;
    platform.tell(run.token("new", "x")).await;

    let mut stream = Stream::open(&platform, "/events/stream?workflow_exec_id=w").await;
    let sequences = [stream.data().await, stream.data().await].map(|data| data["broker_sequence"].clone());
    assert_eq!(sequences, [json!(4), json!(5)]);
}

#[tokio::test]
async fn events_go_with_their_run() {
    let platform = Platform::start().await;
    let (run, other) = (platform.begin("w").await, platform.begin("other").await);
    for number in 0..3 {
        platform.tell(run.token(&format!("a{number}"), "x")).await;
        platform.tell(other.token(&format!("b{number}"), "x")).await;
    }
    platform.delete(&run).await;
    platform.sweep().await;

    let list = platform.get("/events/list").await.ok();
    let left: Vec<_> =
        list["events"].as_array().unwrap().iter().map(|event| event["workflow_exec_id"].clone()).collect();
    assert_eq!(left, [json!("other"), json!("other"), json!("other")]);
}

fn complete(result: &str) -> api::command::v1::Command {
    let attributes = CompleteWorkflowExecutionCommandAttributes { result: Some(payloads(result)) };
    command(
        CommandType::CompleteWorkflowExecution,
        Attributes::CompleteWorkflowExecutionCommandAttributes(attributes.into()),
    )
}

fn payloads(json: &str) -> Payloads {
    let metadata = [("encoding".to_owned(), bytes::Bytes::from_static(b"json/plain"))].into();
    Payloads { payloads: vec![Payload { metadata, data: json.to_owned().into(), ..Payload::default() }] }
}

/// All events, once there are so many; the last of them shows that what came before was dealt with.
async fn told(platform: &Platform, count: usize) -> Vec<Value> {
    let list = async || platform.get("/events/list").await.ok()["events"].as_array().unwrap().clone();
    let events = eventually(list, |events| events.len() >= count).await;
    assert_eq!(events.len(), count, "{events:#?}");
    events
}

/// The same after the clock was moved, which loops only notice when something else wakes them.
async fn poked(platform: &Platform, count: usize) -> Vec<Value> {
    let list = async || {
        platform.get("/executions/nobody").await;
        platform.get("/events/list").await.ok()["events"].as_array().unwrap().clone()
    };
    eventually(list, |events| events.len() >= count).await
}
