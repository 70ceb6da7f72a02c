//! SIGTERM: what is under way is finished, and nothing is lost.

use crate::rig::Rig;
use api::{taskqueue::v1::TaskQueue, workflowservice::v1 as wire};
use bench::client::{Client, LONG_POLL, Start, UNARY, normal_queue};
use std::time::Duration;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_told_to_end_drains() {
    let rig = Rig::new();
    let server = rig.spawn_ready().await;
    let client = rig.client();
    let run_id = client.start(start("watched")).await.expect("it starts");

    let workflow_poll = tokio::spawn(poll_workflow(client.clone(), normal_queue("empty")));
    let activity_poll = tokio::spawn(poll_activity(client.clone(), normal_queue("empty")));
    let history_poll = tokio::spawn(poll_history(client.clone(), run_id));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut starts = JoinSet::new();
    for number in 0..64 {
        let client = client.clone();
        starts.spawn(async move { (number, start_once(&client, number).await) });
    }
    let mut acknowledged = Vec::new();
    let first = starts.join_next().await.expect("64 were asked for").expect("clients do not panic");
    let ended = tokio::spawn(server.terminate(Duration::from_secs(20)));

    let outcomes = std::iter::once(first).chain(starts.join_all().await);
    for (number, outcome) in outcomes {
        match outcome {
            Ok(started) => acknowledged.push((number, started.run_id)),
            // It came too late, which is what the code says, and may be repeated elsewhere.
            Err(status) => assert!(client.is_worth_repeating(&status), "start {number}: {status:?}"),
        }
    }
    let task = workflow_poll.await.unwrap().expect("a waiting poll is answered");
    assert!(task.task_token.is_empty(), "with nothing: {task:?}");
    let task = activity_poll.await.unwrap().expect("a waiting poll is answered");
    assert!(task.task_token.is_empty(), "with nothing: {task:?}");
    let page = history_poll.await.unwrap().expect("a waiting read is answered");
    assert!(page.history.unwrap_or_default().events.is_empty() && !page.next_page_token.is_empty(), "to go on later");

    let ended = ended.await.unwrap().expect("it ends");
    assert_eq!(ended.status.code(), Some(0), "{}", rig.log_tail());
    assert!(ended.took < Duration::from_secs(5), "it took {:?}", ended.took);

    let server = rig.spawn_ready().await;
    assert!(!acknowledged.is_empty());
    for (number, run_id) in acknowledged {
        let events = client.history(&format!("late-{number}"), &run_id).await.expect("an acknowledged start is there");
        assert_eq!(events.len(), 2, "started, and its first task scheduled");
    }
    let ended = server.terminate(Duration::from_secs(20)).await.expect("it ends");
    assert_eq!(ended.status.code(), Some(0), "{}", rig.log_tail());
}

fn start(workflow_id: &str) -> Start {
    Start {
        workflow_id: workflow_id.to_owned(),
        workflow_type: "nothing".into(),
        task_queue: "nobody".into(),
        ..Start::default()
    }
}

async fn start_once(client: &Client, number: u64) -> Result<wire::StartWorkflowExecutionResponse, tonic::Status> {
    let request = wire::StartWorkflowExecutionRequest {
        namespace: client.namespace().to_owned(),
        workflow_id: format!("late-{number}"),
        workflow_type: Some(api::common::v1::WorkflowType { name: "nothing".into() }),
        task_queue: Some(normal_queue("nobody")),
        request_id: format!("late-{number}"),
        ..Default::default()
    };
    client.once(request, UNARY, |mut rpc, request| async move { rpc.start_workflow_execution(request).await }).await
}

async fn poll_workflow(client: Client, queue: TaskQueue) -> Result<wire::PollWorkflowTaskQueueResponse, tonic::Status> {
    let request = wire::PollWorkflowTaskQueueRequest {
        namespace: client.namespace().to_owned(),
        task_queue: Some(queue),
        ..Default::default()
    };
    client.once(request, LONG_POLL, |mut rpc, request| async move { rpc.poll_workflow_task_queue(request).await }).await
}

async fn poll_activity(client: Client, queue: TaskQueue) -> Result<wire::PollActivityTaskQueueResponse, tonic::Status> {
    let request = wire::PollActivityTaskQueueRequest {
        namespace: client.namespace().to_owned(),
        task_queue: Some(queue),
        ..Default::default()
    };
    client.once(request, LONG_POLL, |mut rpc, request| async move { rpc.poll_activity_task_queue(request).await }).await
}

async fn poll_history(
    client: Client,
    run_id: String,
) -> Result<wire::GetWorkflowExecutionHistoryResponse, tonic::Status> {
    let request = wire::GetWorkflowExecutionHistoryRequest {
        namespace: client.namespace().to_owned(),
        execution: Some(bench::client::execution("watched", &run_id)),
        wait_new_event: true,
        history_event_filter_type: api::enums::v1::HistoryEventFilterType::CloseEvent as i32,
        ..Default::default()
    };
    client
        .once(request, LONG_POLL, |mut rpc, request| async move { rpc.get_workflow_execution_history(request).await })
        .await
}
