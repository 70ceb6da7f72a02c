//! Workers that act for the user who started a run.

use crate::run::Run;
use crate::testkit::{Answer, Platform, definition};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const TOKEN: &str = "6e0c54a7-3b0e-4d43-9a4b-0f3c2f1f7a11";
const ASK: &str = "/workers/executor-identity-token";

#[tokio::test]
async fn a_worker_acts_under_the_name_of_whoever_started_the_run() {
    let (mut platform, _) = acting_run(true).await;

    let asked = platform.ask(Method::POST, ASK, Some(&json!({ "execution_token": TOKEN }))).await;
    let pass = asked.body["token"].as_str().expect("a token").to_owned();
    assert_eq!(pass.split('.').count(), 3, "workers read it as a JWT");
    let identity = platform.post("/workers/executor-identity", json!({ "execution_token": TOKEN })).await.ok();
    assert_eq!((&identity["user_id"], &identity["organization_id"]), (&json!("ada"), &Value::Null));
    assert!(identity["customer_id"].is_string() && identity["workspace_id"].is_string(), "{identity}");

    // The pass opens the doors like a key, under that name.
    platform.show_key(pass.leak());
    platform.get("/acting").await.ok();
    platform.refused(Method::POST, ASK, Some(&json!({ "execution_token": TOKEN })), 403).await;
}

#[tokio::test]
async fn a_token_that_names_no_run_to_act_for_is_refused() {
    let (mut platform, run) = acting_run(true).await;

    for token in ["", "nope", "6e0c54a7-3b0e-4d43-9a4b-0f3c2f1f7a12"] {
        platform.refused(Method::POST, ASK, Some(&json!({ "execution_token": token })), 403).await;
    }
    platform.refused(Method::POST, ASK, Some(&json!({})), 422).await;
    platform.show_key("0ther");
    platform.refused(Method::POST, ASK, Some(&json!({ "execution_token": TOKEN })), 403).await;
    platform.show_key("s3cret");
    platform.terminate(&run, "").await;
    platform.refused(Method::POST, ASK, Some(&json!({ "execution_token": TOKEN })), 403).await;
}

#[tokio::test]
async fn a_workflow_that_does_not_act_for_users_gets_no_pass() {
    let (platform, _) = acting_run(false).await;
    platform.refused(Method::POST, ASK, Some(&json!({ "execution_token": TOKEN })), 403).await;
}

/// A run that `ada` has started, in a deployment that only `robot` may serve. From then on requests are robot's.
async fn acting_run(on_behalf_of: bool) -> (Platform, Run) {
    let mut platform = Platform::with(|settings| {
        settings.auth.api_keys = vec!["robot s3cret".into(), "ada 0ther".into()];
    })
    .await;
    platform.show_key("s3cret");
    platform.register("d", "one", [definition("counter", "d")]).await.ok();
    let deployment = platform.get("/deployments/d").await.ok()["id"].clone();
    let credential = json!({ "deployment_id": deployment, "credential_id": "robot" });
    platform.ask(Method::POST, "/deployments/authorized-credentials", Some(&credential)).await;
    let mut acting = definition("acting", "d");
    acting["on_behalf_of"] = json!(on_behalf_of);
    platform.register("d", "one", [acting]).await.ok();

    platform.show_key("0ther");
    let Answer { status, body: started } =
        platform.ask(Method::POST, "/acting/execute", Some(&json!({ "input": {} }))).await;
    assert_eq!(status, 200, "{started}");
    let text = |key: &str| started[key].as_str().unwrap().to_owned();
    let run = Run { workflow_id: text("execution_id"), run_id: text("run_id") };
    platform.show_key("s3cret");
    let hash: String = Sha256::digest(TOKEN).iter().map(|byte| format!("{byte:02x}")).collect();
    let registered = json!({
        "temporal_workflow_id": run.workflow_id,
        "temporal_run_id": run.run_id,
        "workflow_name": "acting",
        "task_queue": "d",
        "execution_token_hash": hash,
        "temporal_parent_workflow_id": null,
        "temporal_root_workflow_id": null,
    });
    let Answer { status, body: answer } = platform.ask(Method::POST, "/executions/register", Some(&registered)).await;
    assert_eq!(status, 200, "{answer}");
    (platform, run)
}
