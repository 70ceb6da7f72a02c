//! Deployments, their workers, and who may be one.

use crate::testkit::{Answer, Platform, definition, each, eventually, registration};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_deployment_is_active_while_a_worker_of_it_is() {
    let platform =
        Platform::with(|settings| settings.mistral.liveness_window = std::time::Duration::from_millis(300)).await;
    platform.register("d", "one", [definition("counter", "d")]).await.ok();

    let one = platform.get("/deployments/d").await.ok();
    assert_eq!(
        (&one["is_active"], &one["is_hardened"], &one["worker_count"]),
        (&json!(true), &json!(false), &json!(1))
    );
    assert_eq!((&one["locations"], &one["location"]["location_type"]), (&json!(["local"]), &json!("local")));
    assert_eq!(each(&one["workers"], "name"), ["one"]);
    for required in ["id", "created_at", "updated_at", "last_heartbeat"] {
        assert!(one[required].is_string() && (required == "id" || one["workers"][0][required].is_string()), "{one}");
    }

    eventually(async || platform.get("/deployments").await.ok(), |seen| seen["deployments"] == json!([])).await;
    let all = platform.get("/deployments?active_only=false").await.ok();
    assert_eq!(each(&all["deployments"], "is_active"), [false]);
    let inactive = platform.get("/deployments/d/workers?worker_status=inactive").await.ok();
    assert_eq!(each(&inactive["workers"], "name"), ["one"]);
    assert_eq!(platform.get("/counter").await.ok()["workflow"]["active"], json!(false));
}

#[tokio::test]
async fn deployments_are_filtered_sorted_and_read_by_page() {
    let platform = Platform::start().await;
    for name in ["alpha", "beta", "gamma"] {
        platform.register(name, "w1", [definition(&format!("of-{name}"), name)]).await.ok();
    }
    platform.register("beta", "w2", [definition("of-beta", "beta")]).await.ok();

    let names = async |query: &str| {
        let listed = platform.get(&format!("/deployments?{query}")).await.ok();
        assert!(listed["workspace_id"].is_string() && listed.get("next_cursor").is_some(), "{listed}");
        each(&listed["deployments"], "name").iter().map(|name| name.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("").await, ["gamma", "beta", "alpha"], "latest first");
    assert_eq!(names("order=asc&order_by=created_at").await, ["alpha", "beta", "gamma"]);
    assert_eq!(names("search=BE").await, ["beta"]);
    assert_eq!(names("workflow_name=of-gamma").await, ["gamma"]);
    assert_eq!(names("location_types=k8s").await, [""; 0]);
    assert_eq!(names("location_types=k8s&location_types=local&limit=1").await, ["gamma"]);
    assert_eq!(names("is_hardened=true").await, [""; 0]);
    assert_eq!(names("created_by=somebody").await, [""; 0]);
    assert_eq!(names("workspace_id=elsewhere").await, [""; 0]);

    let first = platform.get("/deployments?limit=2").await.ok();
    assert_eq!(names(&format!("cursor={}", first["next_cursor"].as_str().unwrap())).await, ["alpha"]);
    let workers = platform.get("/deployments/beta/workers?limit=1").await.ok();
    assert_eq!(each(&workers["workers"], "name"), ["w1"]);
    let next = format!("/deployments/beta/workers?cursor={}", workers["next_cursor"].as_str().unwrap());
    let rest = platform.get(&next).await.ok();
    assert_eq!((each(&rest["workers"], "name"), &rest["next_cursor"]), (vec![json!("w2")], &Value::Null));
    let serving = platform.get("/deployments/beta?workflow_name=of-alpha").await.ok();
    assert_eq!(serving["workers"], json!([]));

    platform.refused(Method::GET, "/deployments/nope", None, 404).await;
    platform.refused(Method::GET, "/deployments/nope/workers", None, 404).await;
    for wrong in ["limit=101", "location_types=moon", "order_by=name", "is_hardened=x"] {
        platform.refused(Method::GET, &format!("/deployments?{wrong}"), None, 422).await;
    }
}

#[tokio::test]
async fn managed_deployments_are_said_not_to_be_here() {
    let platform = Platform::start().await;
    platform.register("d", "one", [definition("counter", "d")]).await.ok();
    for (method, path) in [
        (Method::POST, "/deployments"),
        (Method::PATCH, "/deployments/d"),
        (Method::DELETE, "/deployments/d"),
        (Method::POST, "/deployments/d/stop"),
        (Method::POST, "/deployments/d/start"),
        (Method::POST, "/deployments/d/restart"),
    ] {
        let (detail, code) = platform.refused(method, path, Some(&json!({})), 501).await;
        assert_eq!(code, json!("NOT_AVAILABLE"));
        assert!(detail.as_str().unwrap().ends_with("not available here"), "{detail}");
    }
    platform.get("/deployments/d").await.ok();
}

#[tokio::test]
async fn only_an_authorized_key_registers_in_a_hardened_deployment() {
    let mut platform = Platform::with(|settings| {
        settings.auth.api_keys = vec!["robot s3cret".into(), "human 0ther".into()];
    })
    .await;
    platform.show_key("0ther");
    platform.register("d", "one", [definition("counter", "d")]).await.ok();
    let id = platform.get("/deployments/d").await.ok()["id"].clone();

    let credential = json!({ "deployment_id": id, "credential_id": "robot" });
    let path = "/deployments/authorized-credentials";
    let Answer { status, body: added } = platform.ask(Method::POST, path, Some(&credential)).await;
    assert_eq!((status, &added["credential_id"], &added["principal_type"]), (201, &json!("robot"), &json!("api_key")));
    platform.refused(Method::POST, path, Some(&credential), 409).await;
    assert_eq!(platform.get("/deployments/d").await.ok()["is_hardened"], json!(true));
    let listed = platform.get(&format!("{path}?deployment_id={}", id.as_str().unwrap())).await.ok();
    assert_eq!(listed["authorized_credentials"], json!([added]));

    let register = registration("d", "two", [definition("counter", "d")]);
    let (detail, code) = platform.refused(Method::POST, "/register", Some(&register), 403).await;
    assert_eq!(code, json!("WF_1104"));
    assert_eq!(detail, json!("deployment d is hardened, and API key human is not authorized for it"));
    assert_eq!(each(&platform.get("/deployments/d/workers").await.ok()["workers"], "name"), ["one"]);
    platform.show_key("s3cret");
    platform.register("d", "two", [definition("counter", "d")]).await.ok();

    let Answer { status, .. } = platform.ask(Method::DELETE, path, Some(&credential)).await;
    assert_eq!(status, 204);
    platform.refused(Method::DELETE, path, Some(&credential), 404).await;
    platform.show_key("0ther");
    platform.register("d", "three", [definition("counter", "d")]).await.ok();
}

#[tokio::test]
async fn a_workflow_that_acts_for_users_needs_a_hardened_deployment() {
    let mut platform = Platform::with(|settings| settings.auth.api_keys = vec!["robot s3cret".into()]).await;
    platform.show_key("s3cret");
    let mut acting = definition("acting", "d");
    acting["on_behalf_of"] = json!(true);
    let register = registration("d", "one", [acting]);
    let (_, code) = platform.refused(Method::POST, "/register", Some(&register), 403).await;
    assert_eq!(code, json!("WF_1104"));

    // The refusal has made the deployment, so that it can be hardened.
    let id = platform.get("/deployments/d").await.ok()["id"].clone();
    let credential = json!({ "deployment_id": id, "credential_id": "robot" });
    let Answer { status, .. } =
        platform.ask(Method::POST, "/deployments/authorized-credentials", Some(&credential)).await;
    assert_eq!(status, 201);
    let Answer { status, body: answer } = platform.ask(Method::POST, "/register", Some(&register)).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn credentials_of_what_is_not_there_are_refused() {
    let platform = Platform::start().await;
    platform.register("d", "one", [definition("counter", "d")]).await.ok();
    let id = platform.get("/deployments/d").await.ok()["id"].clone();
    let path = "/deployments/authorized-credentials";
    let nobody = "00000000-0000-0000-0000-000000000000";
    let unknown = json!({ "deployment_id": nobody, "credential_id": "robot" });
    platform.refused(Method::POST, path, Some(&unknown), 404).await;
    let elsewhere = json!({ "deployment_id": id, "credential_id": "robot", "workspace_id": nobody });
    platform.refused(Method::POST, path, Some(&elsewhere), 404).await;
    for wrong in [
        json!({ "deployment_id": "d", "credential_id": "robot" }),
        json!({ "deployment_id": id, "credential_id": "" }),
        json!({ "deployment_id": id, "credential_id": "x".repeat(129) }),
        json!({ "deployment_id": id, "credential_id": "robot", "principal_type": "ghost" }),
        json!({ "deployment_id": id }),
    ] {
        platform.refused(Method::POST, path, Some(&wrong), 422).await;
    }
    assert_eq!(platform.get(path).await.ok()["authorized_credentials"], json!([]));
}
