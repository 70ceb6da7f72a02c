//! What workers say, and what follows from it.

use crate::play::played;
use crate::testkit::{NAMESPACE, Platform, answered};
use reqwest::Method;
use serde_json::{Value, json};
use server::ambient::Clock;
use std::time::Duration;
use tradewind_core::time::Timestamp;

#[tokio::test]
async fn a_worker_is_told_where_the_scheduler_is_under_the_name_that_it_used_itself() {
    let platform = Platform::start().await;
    let request = platform.request(Method::GET, "/v1/workflows/workers/whoami").header("host", "here:1");
    let told = answered(request).await.ok();
    let port = platform.server().grpc_address().port();
    assert_eq!(told["scheduler_url"], json!(format!("here:{port}")));
    assert_eq!((&told["namespace"], &told["tls"]), (&json!(NAMESPACE), &json!(false)));
}

#[tokio::test]
async fn the_namespace_has_the_search_attribute_without_which_no_run_moves() {
    let platform = Platform::start().await;
    let namespace = platform.server().service().namespaces.named(NAMESPACE).expect("it is there from the start");
    assert!(namespace.search_attributes.contains_key("OtelTraceId"));
}

#[tokio::test]
async fn each_definition_has_one_reference_in_order_and_again_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let mut platform = Platform::on(directory.path()).await;
    let first = platform.register("demo", "w1", played("demo")).await.ok();
    assert_eq!(first["warnings"], json!([]));
    let refs = first["workflow_registration_refs"].as_array().unwrap();
    assert_eq!(refs.len(), 5);
    for (index, reference) in refs.iter().enumerate() {
        assert_eq!(reference["workflow_version_id"], reference["workflow_registration_id"]);
        assert_eq!(reference["workflow_registration_id"], first["workflow_registration_ids"][index]);
    }

    let again = platform.register("demo", "w1", played("demo")).await.ok();
    assert_eq!(again["workflow_registration_refs"], first["workflow_registration_refs"], "nothing has changed");

    let mut changed = played("demo");
    changed[0]["description"] = json!("says it again");
    let changed = platform.register("demo", "w1", changed).await.ok();
    let ids = |answer: &Value, index: usize| {
        let reference = &answer["workflow_registration_refs"][index];
        (reference["workflow_id"].clone(), reference["workflow_registration_id"].clone())
    };
    assert_eq!(ids(&changed, 0).0, ids(&first, 0).0, "the workflow is the same");
    assert_ne!(ids(&changed, 0).1, ids(&first, 0).1, "and this is another version of it");
    assert_eq!(ids(&changed, 1), ids(&first, 1));

    platform.restart().await;
    let after = platform.register("demo", "w1", played("demo")).await.ok();
    assert_eq!(after["workflow_registration_refs"], first["workflow_registration_refs"], "an older one is found again");
}

#[tokio::test]
async fn bad_registrations_name_the_field() {
    let platform = Platform::start().await;
    let with = |change: fn(&mut Value)| {
        let mut definitions = played("demo");
        change(&mut definitions[1]);
        definitions
    };
    let refused = async |definitions| platform.register("demo", "w", definitions).await.refused(422, "WF_1001");

    let at = refused(with(|it| it["name"] = json!("a b"))).await;
    assert!(at.starts_with("body.definitions.1.name: name \"a b\" must be 1 to 128 letters"), "{at}");
    assert!(refused(with(|it| it["name"] = json!("x".repeat(129)))).await.contains("128"));
    assert!(refused(with(|it| it["name"] = json!("executions"))).await.ends_with("is reserved"));
    assert!(
        refused(with(|it| it["execution_timeout"] = json!("1 hour")))
            .await
            .starts_with("body.definitions.1.execution_timeout")
    );
    assert!(refused(with(|it| it["input_schema"] = json!(true))).await.contains("a JSON Schema must be an object"));
    assert!(
        refused(with(|it| drop(it.as_object_mut().unwrap().remove("task_queue"))))
            .await
            .contains("missing field `task_queue`")
    );
    assert!(refused(json!([])).await.starts_with("body.definitions: at least one"));
    let deployment = platform.register("a/b", "w", played("x")).await;
    assert!(deployment.refused(422, "WF_1001").starts_with("body.deployment_name"));
}

#[tokio::test]
async fn who_acts_for_users_is_refused_where_nobody_was_authorized() {
    let platform = Platform::start().await;
    let mut definitions = played("demo");
    definitions[2]["on_behalf_of"] = json!(true);
    let refused = platform.register("demo", "w1", definitions).await.refused(403, "WF_1104");
    assert!(refused.contains("chain") && refused.contains("demo"), "{refused}");
    platform.execute("echo", json!({})).await.refused(404, "WF_1100");
}

#[tokio::test]
async fn schedules_in_definitions_are_counted_and_not_taken() {
    let platform = Platform::start().await;
    let mut definitions = played("demo");
    definitions[0]["schedules"] = json!([{"input": {}, "cron_expressions": ["* * * * *"]}]);
    let warnings = platform.register("demo", "w1", definitions).await.ok()["warnings"].clone();
    assert_eq!(warnings, json!(["schedules are not available here: 1 of workflow echo are ignored"]));
}

#[tokio::test]
async fn a_worker_that_falls_silent_takes_its_workflows_along() {
    let platform = Platform::with_clock(|_| {}, Clock::manual(Timestamp::from_secs(1_000_000))).await;
    let refs = platform.register("demo", "w1", played("demo")).await.ok()["workflow_registration_refs"].clone();
    let beat = async || {
        let body = json!({"deployment_name": "demo", "worker_name": "w1", "workflow_registration_refs": refs});
        platform.post("/workers/heartbeat", body).await
    };
    platform.clock.advance(Duration::from_secs(50));
    assert_eq!(platform.execute("waiter", json!({"execution_id": "a"})).await.status, 200, "50 seconds are within");
    platform.clock.advance(Duration::from_secs(1));
    let silent = platform.execute("waiter", json!({"execution_id": "b"})).await.refused(404, "WF_1100");
    assert_eq!(silent, "workflow waiter is not served by any active worker");

    assert_eq!(beat().await.ok(), json!({"all_active": true}));
    assert_eq!(platform.execute("waiter", json!({"execution_id": "b"})).await.status, 200);
}

#[tokio::test]
async fn an_unknown_worker_is_sent_back_to_register() {
    let platform = Platform::start().await;
    let body = json!({"deployment_name": "demo", "worker_name": "w1", "workflow_registration_refs": []});
    // 404 would make it give up heartbeats for good.
    platform.post("/workers/heartbeat", body).await.refused(409, "WF_1104");
}

#[tokio::test]
async fn a_restart_of_the_server_does_not_silence_workers() {
    let directory = tempfile::tempdir().unwrap();
    let mut platform = Platform::on(directory.path()).await;
    platform.register("demo", "w1", played("demo")).await.ok();
    platform.restart().await;
    assert_eq!(platform.execute("waiter", json!({})).await.status, 200);
}

#[tokio::test]
async fn two_deployments_of_one_workflow_have_to_be_told_apart() {
    let platform = Platform::start().await;
    platform.register("one", "w1", played("one")).await.ok();
    let second = platform.register("two", "w1", played("two")).await.ok();
    assert!(second["warnings"][0].as_str().unwrap().contains("also served by one"), "{second}");

    let ambiguous = platform.execute("waiter", json!({})).await;
    ambiguous.refused(409, "AMBIGUOUS_WORKFLOW");
    assert_eq!(ambiguous.body["deployments"], json!(["one", "two"]));
    let told = platform.execute("waiter", json!({"deployment_name": "two"})).await.ok();
    assert_eq!(told["deployment_name"], "two");
    let aliased = platform.execute("waiter", json!({"task_queue": "one"})).await.ok();
    assert_eq!(aliased["deployment_name"], "one");
    platform.execute("waiter", json!({"deployment_name": "three"})).await.refused(404, "WF_1100");

    let registration = second["workflow_registration_refs"][1]["workflow_registration_id"].as_str().unwrap();
    let direct = platform.post(&format!("/registrations/{registration}/execute"), json!({})).await.ok();
    assert_eq!((&direct["workflow_name"], &direct["deployment_name"]), (&json!("waiter"), &json!("two")));
}

#[tokio::test]
async fn other_workers_with_the_same_workflows_are_conflicts() {
    let platform = Platform::start().await;
    assert_eq!(platform.register("demo", "w1", played("demo")).await.ok()["has_conflicts"], false);
    assert_eq!(platform.register("demo", "w1", played("demo")).await.ok()["has_conflicts"], false);
    assert_eq!(platform.register("demo", "w2", played("demo")).await.ok()["has_conflicts"], true);
}
