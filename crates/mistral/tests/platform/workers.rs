//! What workers say, and what follows from it.

use crate::control::{Control, NAMESPACE, definitions};
use serde_json::{Value, json};
use server::ambient::Clock;
use std::time::Duration;
use tradewind_core::time::Timestamp;

#[tokio::test]
async fn a_worker_is_told_where_the_scheduler_is_under_the_name_that_it_used_itself() {
    let control = Control::start().await;
    let told = control.get("/workers/whoami").await.ok();
    let port = control.server().grpc_address().port();
    assert_eq!(told["scheduler_url"], json!(format!("here:{port}")), "the test says `host: here:1`");
    assert_eq!((&told["namespace"], &told["tls"]), (&json!(NAMESPACE), &json!(false)));
}

#[tokio::test]
async fn the_namespace_has_the_search_attribute_without_which_no_run_moves() {
    let control = Control::start().await;
    let namespace = control.server().service().namespaces.named(NAMESPACE).expect("it is there from the start");
    assert!(namespace.search_attributes.contains_key("OtelTraceId"));
}

#[tokio::test]
async fn each_definition_has_one_reference_in_order_and_again_the_same() {
    let mut control = Control::start().await;
    let first = control.register("demo", "w1").await.ok();
    assert_eq!(first["warnings"], json!([]));
    let refs = first["workflow_registration_refs"].as_array().unwrap();
    assert_eq!(refs.len(), 5);
    for (index, reference) in refs.iter().enumerate() {
        assert_eq!(reference["workflow_version_id"], reference["workflow_registration_id"]);
        assert_eq!(reference["workflow_registration_id"], first["workflow_registration_ids"][index]);
    }

    let again = control.register("demo", "w1").await.ok();
    assert_eq!(again["workflow_registration_refs"], first["workflow_registration_refs"], "nothing has changed");

    let mut changed = definitions("demo");
    changed[0]["description"] = json!("says it again");
    let changed = control.register_these("demo", "w1", changed).await.ok();
    let ids = |answer: &Value, index: usize| {
        let reference = &answer["workflow_registration_refs"][index];
        (reference["workflow_id"].clone(), reference["workflow_registration_id"].clone())
    };
    assert_eq!(ids(&changed, 0).0, ids(&first, 0).0, "the workflow is the same");
    assert_ne!(ids(&changed, 0).1, ids(&first, 0).1, "and this is another version of it");
    assert_eq!(ids(&changed, 1), ids(&first, 1));

    control.restart().await;
    let after = control.register("demo", "w1").await.ok();
    assert_eq!(after["workflow_registration_refs"], first["workflow_registration_refs"], "an older one is found again");
}

#[tokio::test]
async fn bad_registrations_name_the_field() {
    let control = Control::start().await;
    let with = |change: fn(&mut Value)| {
        let mut definitions = definitions("demo");
        change(&mut definitions[1]);
        definitions
    };
    let refused = async |definitions| control.register_these("demo", "w", definitions).await.refused(422, "WF_1001");

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
    let deployment = control.register_these("a/b", "w", definitions("x")).await;
    assert!(deployment.refused(422, "WF_1001").starts_with("body.deployment_name"));
}

#[tokio::test]
async fn who_acts_for_users_is_refused_where_nobody_was_authorized() {
    let control = Control::start().await;
    let mut definitions = definitions("demo");
    definitions[2]["on_behalf_of"] = json!(true);
    let refused = control.register_these("demo", "w1", definitions).await.refused(403, "WF_1104");
    assert!(refused.contains("chain") && refused.contains("demo"), "{refused}");
    control.execute("echo", json!({})).await.refused(404, "WF_1100");
}

#[tokio::test]
async fn schedules_in_definitions_are_counted_and_not_taken() {
    let control = Control::start().await;
    let mut definitions = definitions("demo");
    definitions[0]["schedules"] = json!([{"input": {}, "cron_expressions": ["* * * * *"]}]);
    let warnings = control.register_these("demo", "w1", definitions).await.ok()["warnings"].clone();
    assert_eq!(warnings, json!(["schedules are not available here: 1 of workflow echo are ignored"]));
}

#[tokio::test]
async fn a_worker_that_falls_silent_takes_its_workflows_along() {
    let control = Control::start_with(Clock::manual(Timestamp::from_secs(1_000_000))).await;
    let refs = control.register("demo", "w1").await.ok()["workflow_registration_refs"].clone();
    let beat = async || {
        let body = json!({"deployment_name": "demo", "worker_name": "w1", "workflow_registration_refs": refs});
        control.post("/workers/heartbeat", body).await
    };
    control.clock.advance(Duration::from_secs(50));
    assert_eq!(control.execute("waiter", json!({"execution_id": "a"})).await.status, 200, "50 seconds are within");
    control.clock.advance(Duration::from_secs(1));
    let silent = control.execute("waiter", json!({"execution_id": "b"})).await.refused(404, "WF_1100");
    assert_eq!(silent, "workflow waiter is not served by any active worker");

    assert_eq!(beat().await.ok(), json!({"all_active": true}));
    assert_eq!(control.execute("waiter", json!({"execution_id": "b"})).await.status, 200);
}

#[tokio::test]
async fn an_unknown_worker_is_sent_back_to_register() {
    let control = Control::start().await;
    let body = json!({"deployment_name": "demo", "worker_name": "w1", "workflow_registration_refs": []});
    // 404 would make it give up heartbeats for good.
    control.post("/workers/heartbeat", body).await.refused(409, "WF_1104");
}

#[tokio::test]
async fn a_restart_of_the_server_does_not_silence_workers() {
    let mut control = Control::start().await;
    control.register("demo", "w1").await.ok();
    control.restart().await;
    assert_eq!(control.execute("waiter", json!({})).await.status, 200);
}

#[tokio::test]
async fn two_deployments_of_one_workflow_have_to_be_told_apart() {
    let control = Control::start().await;
    control.register("one", "w1").await.ok();
    let second = control.register("two", "w1").await.ok();
    assert!(second["warnings"][0].as_str().unwrap().contains("also served by one"), "{second}");

    let ambiguous = control.execute("waiter", json!({})).await;
    ambiguous.refused(409, "AMBIGUOUS_WORKFLOW");
    assert_eq!(ambiguous.body["deployments"], json!(["one", "two"]));
    let told = control.execute("waiter", json!({"deployment_name": "two"})).await.ok();
    assert_eq!(told["deployment_name"], "two");
    let aliased = control.execute("waiter", json!({"task_queue": "one"})).await.ok();
    assert_eq!(aliased["deployment_name"], "one");
    control.execute("waiter", json!({"deployment_name": "three"})).await.refused(404, "WF_1100");

    let registration = second["workflow_registration_refs"][1]["workflow_registration_id"].as_str().unwrap();
    let direct = control.post(&format!("/registrations/{registration}/execute"), json!({})).await.ok();
    assert_eq!((&direct["workflow_name"], &direct["deployment_name"]), (&json!("waiter"), &json!("two")));
}

#[tokio::test]
async fn other_workers_with_the_same_workflows_are_conflicts() {
    let control = Control::start().await;
    assert_eq!(control.register("demo", "w1").await.ok()["has_conflicts"], false);
    assert_eq!(control.register("demo", "w1").await.ok()["has_conflicts"], false);
    assert_eq!(control.register("demo", "w2").await.ok()["has_conflicts"], true);
}
