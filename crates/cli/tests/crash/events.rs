//! SIGKILL while workers tell events and runs are terminated: no acknowledged event is lost or doubled, and each end is
//! told once, even where the kill came between the end and its telling.

use crate::rig::Rig;
use api::taskqueue::v1::TaskQueue;
use api::workflowservice::v1::{StartWorkflowExecutionRequest, TerminateWorkflowExecutionRequest};
use bench::client::{Client, UNARY};
use bench::server_process::ServerProcess;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const KILLS: u32 = 4;
const RUNS_PER_LIFE: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_keeps_its_events_and_tells_each_end_once() {
    let mut rig = Rig::new();
    rig.options.namespace = "mistral-workflows".into();
    let http = http_client();
    let mut acknowledged = BTreeSet::new();
    let mut terminated = BTreeSet::new();
    for life in 0..KILLS {
        let server = rig.spawn_ready().await;
        let client = rig.client();
        let mut runs = BTreeMap::new();
        for number in 0..RUNS_PER_LIFE {
            let id = format!("run-{life}-{number}");
            runs.insert(id.clone(), start(&client, &id).await);
        }
        let kill = tokio::spawn(killed_after(server, Duration::from_millis(150 + 130 * u64::from(life))));
        let telling = async {
            for (number, (workflow_id, run_id)) in (0_u32..).zip(runs.iter().cycle()) {
                let event = event(&format!("event-{life}-{number}"), workflow_id, run_id);
                let sent = http.post(rig.http("/v1/workflows/events")).json(&json!({ "event": event })).send().await;
                match sent {
                    Ok(answer) if answer.status().is_success() => acknowledged.insert(format!("event-{life}-{number}")),
                    _ => break,
                };
            }
        };
        let ending = async {
            for (workflow_id, run_id) in &runs {
                let ended =
                    client.once(terminate(&client, workflow_id, run_id), UNARY, |mut rpc, request| async move {
                        rpc.terminate_workflow_execution(request).await
                    });
                match ended.await {
                    Ok(_) => terminated.insert(workflow_id.clone()),
                    Err(_) => break,
                };
            }
        };
        tokio::join!(telling, ending);
        kill.await.expect("the server can be killed");
    }

    let server = rig.spawn_ready().await;
    assert!(
        acknowledged.len() > 100 && !terminated.is_empty(),
        "{} events, {} ends",
        acknowledged.len(),
        terminated.len()
    );
    let mut events = Vec::new();
    for _ in 0..300 {
        events = all(&rig, &http).await;
        if terminated.is_subset(&ended(&events)) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let ids: Vec<&str> = events.iter().map(|event| event["event_id"].as_str().expect("each has one")).collect();
    let distinct: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), distinct.len(), "none twice");
    let lost: Vec<_> = acknowledged.iter().filter(|id| !distinct.contains(id.as_str())).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let missing: Vec<_> = terminated.difference(&ended(&events)).cloned().collect();
    assert!(missing.is_empty(), "ended and not told: {missing:?}");
    let ends = events.iter().filter(|event| event["event_type"] == "WORKFLOW_EXECUTION_CANCELED").count();
    assert_eq!(ends, ended(&events).len(), "each end once");
    server.terminate(Duration::from_secs(20)).await.expect("it ends");
}

async fn killed_after(server: ServerProcess, after: Duration) {
    tokio::time::sleep(after).await;
    server.kill().expect("it can be killed");
}

async fn start(client: &Client, workflow_id: &str) -> String {
    let request = StartWorkflowExecutionRequest {
        namespace: client.namespace().to_owned(),
        workflow_id: workflow_id.to_owned(),
        workflow_type: Some(api::common::v1::WorkflowType { name: "nothing".into() }),
        task_queue: Some(TaskQueue { name: "nobody".into(), ..TaskQueue::default() }),
        request_id: workflow_id.to_owned(),
        ..StartWorkflowExecutionRequest::default()
    };
    let started =
        client.once(request, UNARY, |mut rpc, request| async move { rpc.start_workflow_execution(request).await });
    started.await.expect("it starts").run_id
}

fn terminate(client: &Client, workflow_id: &str, run_id: &str) -> TerminateWorkflowExecutionRequest {
    TerminateWorkflowExecutionRequest {
        namespace: client.namespace().to_owned(),
        workflow_execution: Some(bench::client::execution(workflow_id, run_id)),
        ..TerminateWorkflowExecutionRequest::default()
    }
}

fn event(id: &str, workflow_id: &str, run_id: &str) -> Value {
    let patch = json!([{ "op": "append", "path": "/text", "value": "token " }]);
    let payload = json!({ "type": "json_patch", "value": patch });
    json!({
        "event_id": id, "event_type": "CUSTOM_TASK_IN_PROGRESS", "workflow_exec_id": workflow_id,
        "workflow_run_id": run_id,
        "attributes": { "custom_task_id": "t", "custom_task_type": "llm", "payload": payload },
    })
}

/// The runs that were told to have ended.
fn ended(events: &[Value]) -> BTreeSet<String> {
    let ends = events.iter().filter(|event| event["event_type"] == "WORKFLOW_EXECUTION_CANCELED");
    ends.map(|event| event["workflow_exec_id"].as_str().expect("each is about a run").to_owned()).collect()
}

/// Plain HTTP. The client wants a provider of TLS all the same as soon as any package of the workspace has it speak TLS.
fn http_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

async fn all(rig: &Rig, http: &reqwest::Client) -> Vec<Value> {
    let mut events = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = rig.http(&format!("/v1/workflows/events/list?limit=1000{cursor}"));
        let page: Value = http.get(path).send().await.expect("it answers").json().await.expect("with JSON");
        events.extend(page["events"].as_array().expect("a list").iter().cloned());
        let Some(next) = page["next_cursor"].as_str() else { return events };
        cursor = format!("&cursor={next}");
    }
}
