//! The catalogue: what people see and say of workflows.

use crate::testkit::{Platform, definition, each};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn workflows_are_found_by_name_and_by_id() {
    let platform = Platform::start().await;
    platform.register("d", "one", [definition("counter", "d"), definition("__parallel_execution__", "d")]).await.ok();

    let found = platform.get("/counter").await.ok()["workflow"].clone();
    let id = found["id"].as_str().unwrap();
    assert_eq!(platform.get(&format!("/{id}")).await.ok()["workflow"], found);
    assert_eq!(
        (&found["name"], &found["display_name"], &found["type"]),
        (&json!("counter"), &json!("counter"), &json!("code"))
    );
    assert_eq!((&found["active"], &found["archived"], &found["tags"]), (&json!(true), &json!(false), &json!([])));
    for required in ["customer_id", "workspace_id"] {
        assert!(found[required].is_string(), "{required} in {found}");
    }

    let listed = platform.get("").await.ok();
    assert_eq!(each(&listed["workflows"], "name"), ["counter"], "what the SDK brings along is no workflow of users");
    assert_eq!(listed["next_cursor"], Value::Null);
    assert_eq!(platform.get("/__parallel_execution__").await.ok()["workflow"]["is_technical"], json!(true));
    for path in ["/nope", "/00000000-0000-0000-0000-000000000000", "/%F0%9F%A6%80", "/a%00b"] {
        platform.refused(Method::GET, path, None, 404).await;
    }
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_read_by_page() {
    let platform = Platform::start().await;
    let names = ["delta", "Alpha", "charlie", "bravo"];
    let definitions: Vec<_> = names.iter().map(|name| definition(name, "d")).collect();
    platform.register("d", "one", definitions).await.ok();
    platform.register("e", "two", [definition("echo", "e")]).await.ok();
    platform.put("/bravo", &json!({ "tags": ["blue", "red"], "available_in_chat_assistant": true })).await.ok();
    platform.put("/charlie", &json!({ "tags": ["blue"], "description": "Sings in the rain" })).await.ok();
    platform.put("/delta/archive", &Value::Null).await.ok();
    let running = platform.begin_as("Alpha", "w", "d").await;

    let names = async |query: &str| {
        let listed = platform.get(&format!("?{query}")).await.ok();
        each(&listed["workflows"], "name").iter().map(|name| name.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("").await, ["Alpha", "bravo", "charlie", "delta", "echo"], "whatever their case");
    assert_eq!(names("order=desc&limit=2").await, ["echo", "delta"]);
    assert_eq!(names("archived=true").await, ["delta"]);
    assert_eq!(names("archived=false&deployment_name=d").await, ["Alpha", "bravo", "charlie"]);
    assert_eq!(names("deployment_name=e&deployment_name=nope").await, ["echo"]);
    assert_eq!(names("tags=blue").await, ["bravo", "charlie"]);
    assert_eq!(names("tags=blue&tags=red").await, ["bravo"]);
    assert_eq!(names("available_in_chat_assistant=true").await, ["bravo"]);
    assert_eq!(names("search=THE%20RAIN").await, ["charlie"]);
    assert_eq!(names("search=%27%20OR%201=1").await, [""; 0]);
    assert_eq!(names("deployment_status=inactive").await, [""; 0]);
    assert_eq!(names("status=RUNNING").await, ["Alpha"]);
    platform.terminate(&running, "").await;
    assert_eq!(names("status=RUNNING&status=COMPLETED").await, [""; 0]);
    assert_eq!(names("status=TERMINATED").await, ["Alpha"]);

    let first = platform.get("?limit=2").await.ok();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = platform.get(&format!("?limit=3&cursor={cursor}")).await.ok();
    assert_eq!(each(&second["workflows"], "name"), ["charlie", "delta", "echo"]);
    assert_eq!(second["next_cursor"], Value::Null);

    for wrong in ["limit=0", "limit=1001", "order=up", "status=GONE", "archived=perhaps", "cursor=!", "sort_by=name"] {
        let (detail, code) = platform.refused(Method::GET, &format!("?{wrong}"), None, 422).await;
        let name = wrong.split('=').next().unwrap();
        assert_eq!((&detail[0]["loc"], &code), (&json!(["query", name]), &json!("WF_1001")), "{wrong}");
    }
}

#[tokio::test]
async fn what_people_say_of_a_workflow_outlives_its_worker_and_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let mut platform = Platform::on(directory.path()).await;
    platform.register("d", "one", [definition("counter", "d")]).await.ok();
    let said = json!({
        "display_name": "The counter",
        "description": "Counts",
        "tags": [" one ", "two", "one"],
        "available_in_chat_assistant": true,
    });
    let changed = platform.put("/counter", &said).await.ok()["workflow"].clone();
    assert_eq!((&changed["display_name"], &changed["tags"]), (&json!("The counter"), &json!(["one", "two"])));

    let same = platform.put("/counter", &json!({})).await.ok()["workflow"].clone();
    assert_eq!(same, changed, "what is left out stays");
    let mut again = definition("counter", "d");
    again["display_name"] = json!("Counter of the worker");
    platform.register("d", "one", [again]).await.ok();
    platform.restart().await;
    let mut found = platform.get("/counter").await.ok()["workflow"].clone();
    found.as_object_mut().unwrap().remove("active");
    assert_eq!(found, changed);

    let cleared = platform.put("/counter", &json!({ "description": null, "tags": [] })).await.ok()["workflow"].clone();
    assert_eq!((&cleared["description"], &cleared["tags"]), (&Value::Null, &json!([])));
}

#[tokio::test]
async fn a_bad_change_changes_nothing_and_says_what_is_bad() {
    let platform = Platform::start().await;
    platform.register("d", "one", [definition("counter", "d")]).await.ok();
    let before = platform.get("/counter").await.ok();
    for (body, loc) in [
        (json!({ "display_name": " \t" }), json!(["body", "display_name"])),
        (json!({ "display_name": "ü".repeat(129) }), json!(["body", "display_name"])),
        (json!({ "display_name": 7 }), json!(["body", "display_name"])),
        (json!({ "description": "x".repeat(10_001) }), json!(["body", "description"])),
        (json!({ "tags": ["good", "  "] }), json!(["body", "tags", 1])),
        (json!({ "tags": ["x".repeat(101)] }), json!(["body", "tags", 0])),
        (json!({ "tags": "one" }), json!(["body", "tags"])),
        (json!({ "tags": vec!["t"; 101] }), json!(["body", "tags"])),
        (json!([]), json!(["body"])),
    ] {
        let (detail, _) = platform.refused(Method::PUT, "/counter", Some(&body), 422).await;
        assert_eq!(detail[0]["loc"], loc, "{detail}");
    }
    assert_eq!(platform.get("/counter").await.ok(), before);
    platform.refused(Method::PUT, "/nope", Some(&json!({})), 404).await;
    platform.put("/counter", &json!({ "display_name": "ü".repeat(128) })).await.ok();
}

#[tokio::test]
async fn workflows_are_archived_one_by_one_and_together() {
    let platform = Platform::start().await;
    platform.register("d", "one", [definition("a", "d"), definition("b", "d")]).await.ok();
    let id = async |name: &str| platform.get(&format!("/{name}")).await.ok()["workflow"]["id"].clone();
    let ids = json!({ "workflow_ids": [id("a").await, "nope", id("b").await] });

    let archived = platform.put("/archive", &ids).await.ok();
    assert_eq!(each(&archived["archived"], "name"), ["a", "b"]);
    assert_eq!(each(&archived["errored"], "workflow_id"), ["nope"]);
    assert_eq!(platform.get("?archived=false").await.ok()["workflows"], json!([]));
    let back = platform.put("/a/unarchive", &Value::Null).await.ok();
    assert_eq!(back["workflow"]["archived"], json!(false));
    let back = platform.put("/unarchive", &ids).await.ok();
    assert_eq!(each(&back["unarchived"], "archived"), [false, false]);

    platform.refused(Method::PUT, "/nope/archive", None, 404).await;
    for wrong in [json!({ "workflow_ids": [] }), json!({ "workflow_ids": vec!["x"; 101] }), json!({})] {
        platform.refused(Method::PUT, "/archive", Some(&wrong), 422).await;
    }
}

#[tokio::test]
async fn registrations_are_the_versions_of_a_definition() {
    let platform = Platform::start().await;
    platform.register("d", "one", [definition("counter", "d")]).await.ok();
    let mut newer = definition("counter", "d");
    newer["input_schema"] = json!({ "type": "object", "title": "newer" });
    platform.register("d", "one", [newer.clone()]).await.ok();
    platform.register("e", "two", [definition("counter", "e")]).await.ok();
    let workflow = platform.get("/counter").await.ok()["workflow"]["id"].clone();

    let listed = platform.get(&format!("/registrations?workflow_id={}", workflow.as_str().unwrap())).await.ok();
    assert_eq!(listed["workflow_registrations"], listed["workflow_versions"], "clients want both");
    assert_eq!(each(&listed["workflow_registrations"], "deployment_name"), ["e", "d", "d"], "latest first");
    assert_eq!(listed["next_cursor"], Value::Null);
    let in_force = platform.get("/registrations?task_queue=d&active_only=true&with_workflow=true").await.ok();
    let [only] = &in_force["workflow_registrations"].as_array().unwrap()[..] else { panic!("{in_force}") };
    assert_eq!(only["definition"]["input_schema"]["title"], json!("newer"));
    assert_eq!(only["definition"]["execution_timeout"], json!(5400.0), "seconds");
    assert_eq!(only["definition"]["signals"][0]["name"], json!("stop"));
    assert_eq!((&only["workflow"]["id"], &only["workflow_id"]), (&workflow, &workflow));

    let one = platform.get(&format!("/registrations/{}?with_workflow=true", only["id"].as_str().unwrap())).await.ok();
    assert_eq!(one["workflow_registration"], one["workflow_version"]);
    assert_eq!(one["workflow_registration"]["active"], json!(true));
    assert_eq!(one["workflow_registration"]["definition"], only["definition"]);
    let first = platform.get("/registrations?limit=1&workflow_search=COUNT").await.ok();
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = platform.get(&format!("/registrations?cursor={cursor}")).await.ok();
    assert_eq!(each(&rest["workflow_registrations"], "deployment_name"), ["d", "d"]);

    assert_eq!(platform.get("/registrations?archived=true").await.ok()["workflow_registrations"], json!([]));
    platform.refused(Method::GET, "/registrations/00000000-0000-0000-0000-000000000000", None, 404).await;
    platform.refused(Method::GET, "/registrations/nope", None, 422).await;
}

#[tokio::test]
async fn figures_come_from_the_executions_themselves() {
    let platform = Platform::start().await;
    platform.register("d", "one", [definition("counter", "d"), definition("other", "d")]).await.ok();
    platform.begin_as("counter", "runs", "d").await;
    let ended = platform.begin_as("counter", "ends", "d").await;
    platform.terminate(&ended, "").await;
    platform.begin_as("other", "o", "d").await;

    let figures = platform.get("/counter/metrics").await.ok();
    let value = |name: &str| figures[name]["value"].clone();
    assert_eq!(
        (value("execution_count"), value("success_count"), value("error_count")),
        (json!(2), json!(0), json!(1))
    );
    assert!(value("average_latency_ms").is_number() && value("retry_rate").is_number());
    assert_eq!(value("latency_over_time").as_array().unwrap().len(), 1);

    let later = platform.get("/counter/metrics?start_time=2100-01-01T00:00:00Z").await.ok();
    assert_eq!(later["execution_count"]["value"], json!(0));
    platform.refused(Method::GET, "/nope/metrics", None, 404).await;
    for wrong in ["start_time=now", "start_time=2100-01-01T00:00:00Z&end_time=2000-01-01T00:00:00Z"] {
        platform.refused(Method::GET, &format!("/counter/metrics?{wrong}"), None, 422).await;
    }
}
