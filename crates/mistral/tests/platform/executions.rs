//! Executions from their start to their end.

use crate::play::{input, played};
use crate::testkit::{Platform, answered, eventually};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_started_execution_runs_and_its_result_comes_back_as_it_was_made() {
    let platform = Platform::working().await;
    let input = json!({"text": "ünïcødé 🌬", "n": 1.5, "deep": {"a": [null, true]}});
    let started = platform.execute("echo", json!({"input": input, "execution_id": "e-1"})).await.ok();
    for (key, value) in [("workflow_name", "echo"), ("execution_id", "e-1"), ("root_execution_id", "e-1")] {
        assert_eq!(started[key], value);
    }
    for key in ["status", "start_time", "end_time", "result", "run_id"] {
        assert!(started.get(key).is_some(), "{key} has to be there, be it null: {started}");
    }

    let ended = platform.ended("e-1").await;
    assert_eq!((&ended["status"], &ended["result"]), (&json!("COMPLETED"), &input));
    assert!(ended["end_time"].is_string() && ended["total_duration_ms"].is_u64(), "{ended}");
    assert_eq!(ended["deployment_name"], "demo");
}

#[tokio::test]
async fn a_caller_may_wait_for_the_result() {
    let platform = Platform::working().await;
    let answer = platform.execute("echo", json!({"input": {"a": 1}, "wait_for_result": true})).await.ok();
    assert_eq!((&answer["workflow_name"], &answer["result"]), (&json!("echo"), &json!({"a": 1})));
    assert_eq!(answer.as_object().unwrap().len(), 3, "the two shapes are told apart by their members");

    let failed = platform.execute("broken", json!({"wait_for_result": true, "execution_id": "f"})).await;
    assert_eq!(failed.refused(409, "WF_1102"), "execution f ended FAILED: it broke");
    assert_eq!(failed.body["status"], "FAILED");

    let late = platform
        .execute("waiter", json!({"wait_for_result": true, "timeout_seconds": 0.05, "execution_id": "w"}))
        .await;
    assert_eq!(late.refused(504, "WF_1103"), "An error occurred");
    assert_eq!(late.body["execution_id"], "w");
}

#[tokio::test]
async fn a_chain_of_runs_is_one_execution() {
    let platform = Platform::working().await;
    let answer = platform
        .execute("chain", json!({"input": {"left": 3}, "wait_for_result": true, "execution_id": "c"}))
        .await
        .ok();
    assert_eq!(answer["result"], json!({"result": 0}));
    let execution = platform.get("/executions/c").await.ok();
    assert_eq!((&execution["status"], &execution["result"]), (&json!("COMPLETED"), &json!({"result": 0})));

    let runs = platform.get("/runs?workflow_identifier=chain&sort_by=start_time&order=asc").await.ok();
    let statuses: Vec<_> = runs["executions"].as_array().unwrap().iter().map(|run| run["status"].clone()).collect();
    assert_eq!(statuses, ["CONTINUED_AS_NEW", "CONTINUED_AS_NEW", "CONTINUED_AS_NEW", "COMPLETED"]);
    let first = runs["executions"][0]["run_id"].as_str().unwrap();
    let first = platform.get(&format!("/runs/{first}")).await.ok();
    assert_eq!((&first["status"], &first["result"]), (&json!("CONTINUED_AS_NEW"), &Value::Null));
    assert!(first["end_time"].is_string());
}

#[tokio::test]
async fn an_id_is_free_again_once_its_execution_has_ended() {
    let platform = Platform::working().await;
    platform.execute("waiter", json!({"execution_id": "w"})).await.ok();
    platform.execute("waiter", json!({"execution_id": "w"})).await.refused(409, "WF_1101");
    assert_eq!(platform.post("/executions/w/terminate", json!({})).await.status, 204);
    assert_eq!(platform.ended("w").await["status"], "TERMINATED");
    let again = platform.execute("waiter", json!({"execution_id": "w"})).await.ok();
    assert_eq!(again["status"], "RUNNING");
}

#[tokio::test]
async fn an_input_that_the_schema_refuses_starts_nothing() {
    let platform = Platform::working().await;
    let refused = platform.execute("chain", json!({"execution_id": "c", "input": {"left": "two"}})).await;
    assert_eq!(refused.refused(422, "WF_1001"), "body.input.left: \"two\" is not of type \"integer\"");
    let missing = platform.execute("chain", json!({"execution_id": "c"})).await;
    assert_eq!(missing.refused(422, "WF_1001"), "body.input: \"left\" is a required property");
    let more = platform.execute("chain", json!({"execution_id": "c", "input": {"left": 1, "right": 2}})).await;
    assert!(more.refused(422, "WF_1001").contains("right"));
    platform.get("/executions/c").await.refused(404, "WF_1100");
}

#[tokio::test]
async fn the_worker_gets_the_document_with_its_context() {
    let platform = Platform::working().await;
    let body = br#"{"execution_id": "e", "input": {"n": 1.10, "big": 123456789012345678901234567890}, "extensions": {"x": {"y": 1}}}"#;
    assert_eq!(platform.send(Method::POST, "/waiter/execute", &body[..]).await.status, 200);
    let payload = input(&platform, "e").await;
    assert_eq!(payload.data, r#"{"n": 1.10, "big": 123456789012345678901234567890}"#, "the text, digit for digit");
    let metadata = |key: &str| payload.metadata.get(key).map(|value| String::from_utf8(value.to_vec()).unwrap());
    assert_eq!(metadata("encoding").unwrap(), "json/wf_v1");
    assert_eq!(metadata("encoding_options").unwrap(), "");
    assert_eq!(
        (metadata("namespace").unwrap().as_str(), metadata("execution_id").unwrap().as_str()),
        ("mistral-workflows", "e")
    );
    assert_eq!(metadata("__internal_extensions").unwrap(), r#"{"x": {"y": 1}}"#);
    assert_eq!(metadata("__internal_execution_token").unwrap().len(), 36);
    assert_eq!(metadata("__internal_on_behalf_of"), None);
}

#[tokio::test]
async fn an_encoded_input_passes_unread_and_its_result_comes_back_encoded() {
    let platform = Platform::working().await;
    let encoded = json!({"b64payload": "AP8Q", "encoding_options": ["compressed", "encrypted"], "empty": false});
    // `left` is nowhere to be seen, and nobody can know.
    platform.execute("chain", json!({"encoded_input": encoded, "input": null, "execution_id": "c"})).await.ok();
    let payload = input(&platform, "c").await;
    assert_eq!(
        (&payload.data[..], &payload.metadata["encoding_options"][..]),
        (&[0, 255, 16][..], &b"compressed,encrypted"[..])
    );

    let body = json!({"encoded_input": encoded, "wait_for_result": true});
    let answer = platform.execute("echo", body).await.ok();
    assert_eq!(answer["result"], json!({"b64payload": "AP8Q", "encoding_options": ["compressed", "encrypted"]}));
    let both = platform.execute("echo", json!({"encoded_input": encoded, "input": {}})).await;
    assert!(both.refused(422, "WF_1001").starts_with("body.encoded_input"));
}

#[tokio::test]
async fn signals_queries_and_updates_reach_the_worker() {
    let platform = Platform::working().await;
    platform.execute("waiter", json!({"execution_id": "w"})).await.ok();
    for text in ["one", "two"] {
        let sent = platform.post("/executions/w/signals", json!({"name": "note", "input": {"text": text}})).await;
        assert_eq!((sent.status, sent.body), (202, json!({"message": "Signal accepted"})));
    }
    let query = json!({"name": "notes"});
    let asked = platform.post("/executions/w/queries", query.clone()).await.ok();
    assert_eq!(asked, json!({"query_name": "notes", "result": ["one", "two"]}));
    let updated = platform.post("/executions/w/updates", json!({"name": "ask", "input": {"text": "?"}})).await.ok();
    assert_eq!(updated, json!({"update_name": "ask", "result": {"text": "?"}}));

    let failed = platform.post("/executions/w/queries", json!({"name": "boom", "input": null})).await;
    assert_eq!(failed.refused(422, "WF_1001"), "body: query boom went wrong");
    let rejected = platform.post("/executions/w/updates", json!({"name": "refuse"})).await;
    assert_eq!(rejected.refused(422, "WF_1001"), "body.input: not now");

    platform.post("/executions/w/signals", json!({"name": "go", "input": {}})).await;
    assert_eq!(platform.ended("w").await["result"], json!({"notes": ["one", "two"]}));
    assert_eq!(
        platform.post("/executions/w/queries", query).await.ok()["result"],
        json!(["one", "two"]),
        "a closed run answers"
    );
}

#[tokio::test]
async fn a_wrong_name_or_input_never_reaches_the_run() {
    let platform = Platform::working().await;
    platform.execute("waiter", json!({"execution_id": "w"})).await.ok();
    let ask = async |what: &str, body: Value| {
        platform.post(&format!("/executions/w/{what}"), body).await.refused(422, "WF_1001")
    };

    assert_eq!(
        ask("signals", json!({"name": "nope"})).await,
        "body.name: workflow waiter has no signal \"nope\"; it has note, go"
    );
    assert!(ask("queries", json!({"name": "note"})).await.contains("has no query"));
    assert!(ask("updates", json!({"name": "notes"})).await.contains("has no update"));
    assert_eq!(
        ask("signals", json!({"name": "note", "input": {"text": 7}})).await,
        "body.input.text: 7 is not of type \"string\""
    );
    assert_eq!(ask("updates", json!({"name": "ask"})).await, "body.input: \"text\" is a required property");
    assert!(ask("signals", json!({"name": ""})).await.starts_with("body.name: name must have 1 to"));
    assert!(ask("signals", json!({"input": {}})).await.contains("missing field `name`"));

    let history = platform.get("/executions/w/history").await.ok();
    assert!(!history.to_string().contains("SIGNALED"), "{history}");
    let encoded = json!({"name": "note", "input": {"b64payload": "AA==", "encoding_options": ["encrypted"]}});
    assert_eq!(platform.post("/executions/w/signals", encoded).await.status, 202, "nobody can look into it");
}

#[tokio::test]
async fn what_is_over_says_so_and_what_is_absent_too() {
    let platform = Platform::working().await;
    platform.execute("echo", json!({"execution_id": "e", "wait_for_result": true})).await.ok();
    for (path, body) in [
        ("signals", json!({"name": "note", "input": {"text": ""}})),
        ("updates", json!({"name": "ask", "input": {"text": ""}})),
        ("cancel", json!({})),
        ("terminate", json!({})),
    ] {
        let over = platform.post(&format!("/executions/e/{path}"), body.clone()).await;
        assert_eq!(over.refused(409, "WF_1102"), "execution e is not running: it is COMPLETED");
        assert_eq!(over.body["status"], "COMPLETED");
        let absent = platform.post(&format!("/executions/nobody/{path}"), body).await;
        assert_eq!(absent.refused(404, "WF_1100"), "execution nobody is not found");
    }
    platform.post("/executions/nobody/queries", json!({"name": "notes"})).await.refused(404, "WF_1100");
    platform.get("/executions/nobody/history").await.refused(404, "WF_1100");
}

#[tokio::test]
async fn executions_are_canceled_and_terminated_one_by_one_and_in_batches() {
    let platform = Platform::working().await;
    for id in ["a", "b", "c"] {
        platform.execute("waiter", json!({"execution_id": id})).await.ok();
    }
    assert_eq!(platform.post("/executions/a/cancel", json!({})).await.status, 204);
    assert_eq!(platform.ended("a").await["status"], "CANCELED");

    let many = json!({"execution_ids": ["a", "b", "nobody", "b"]});
    let results = platform.post("/executions/terminate", many).await.ok()["results"].clone();
    assert_eq!(results["b"], json!({"status": "success"}));
    assert_eq!(results["a"], json!({"status": "failure", "error": "execution a is not running: it is CANCELED"}));
    assert_eq!(results["nobody"], json!({"status": "failure", "error": "execution nobody is not found"}));
    let results = platform.post("/executions/cancel", json!({"execution_ids": ["c"]})).await.ok()["results"].clone();
    assert_eq!(results["c"]["status"], "success");
    assert_eq!(platform.ended("c").await["status"], "CANCELED");

    let ids = |n: usize| json!({"execution_ids": (0..n).map(|n| n.to_string()).collect::<Vec<_>>()});
    for n in [0, 101] {
        let refused = platform.post("/executions/cancel", ids(n)).await.refused(422, "WF_1001");
        assert_eq!(refused, format!("body.execution_ids: execution_ids must have 1 to 100 items, not {n}"));
    }
}

#[tokio::test]
async fn a_history_tells_payloads_as_bytes_or_as_what_they_hold() {
    let platform = Platform::working().await;
    platform.execute("echo", json!({"execution_id": "e", "input": {"a": 1}, "wait_for_result": true})).await.ok();
    let started = |history: &Value| {
        history["events"][0]["workflowExecutionStartedEventAttributes"]["input"]["payloads"][0].clone()
    };
    let raw = platform.get("/executions/e/history").await.ok();
    assert_eq!(started(&raw)["data"], json!("eyJhIjoxfQ=="));
    let decoded = platform.get("/executions/e/history?decode_payloads=true").await.ok();
    assert_eq!(started(&decoded), json!({"a": 1}));
    assert_eq!(decoded["events"][0]["eventType"], "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED");
}

#[tokio::test]
async fn a_run_is_registered_once_however_often_its_worker_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let mut platform = Platform::on(directory.path()).await;
    platform.play("demo").await;
    platform.execute("waiter", json!({"execution_id": "w"})).await.ok();
    let run_id = platform.get("/executions/w").await.ok()["run_id"].clone();
    let body = json!({
        "temporal_workflow_id": "w", "temporal_run_id": run_id, "workflow_name": "waiter", "task_queue": "demo",
        "execution_token_hash": "ab".repeat(32), "temporal_parent_workflow_id": null, "temporal_root_workflow_id": null,
        "search_key_metadata": {"customer.id": "acme", "region": null, "bad:key": "x"},
    });
    let first = platform.post("/executions/register", body.clone()).await.ok();
    assert_eq!(first, json!({"execution_id": "w", "created": true, "metadata_status": "partial"}));
    let again = platform.post("/executions/register", body.clone()).await.ok();
    assert_eq!(again["created"], false);
    let keys = json!({"customer.id": "acme", "region": null});
    assert_eq!(platform.get("/executions/w?include_search_keys=true").await.ok()["search_keys"], keys);

    platform.restart().await;
    assert_eq!(platform.post("/executions/register", body.clone()).await.ok()["created"], false);
    assert_eq!(platform.get("/executions/w?include_search_keys=true").await.ok()["search_keys"], keys);

    let with = |key: &str, value: Value| {
        let mut body = body.clone();
        body[key] = value;
        body
    };
    let absent = with("temporal_run_id", json!("00000000-0000-4000-8000-000000000000"));
    platform.post("/executions/register", absent).await.refused(404, "WF_1100");
    for wrong in ["", "abc", &"zz".repeat(32), &"ü".repeat(32)] {
        let refused = platform.post("/executions/register", with("execution_token_hash", json!(wrong))).await;
        assert!(refused.refused(422, "WF_1001").starts_with("body.execution_token_hash"));
    }
}

#[tokio::test]
async fn search_keys_are_added_changed_and_deleted() {
    let platform = Platform::working().await;
    platform.execute("waiter", json!({"execution_id": "w"})).await.ok();
    let run_id = platform.get("/executions/w").await.ok()["run_id"].clone();
    let path = "/executions/search_keys/w";
    let upsert = async |keys: Value| {
        let body = json!({"search_key_metadata": keys, "temporal_run_id": run_id});
        platform.ask(Method::PATCH, path, Some(&body)).await.ok()
    };
    let ok = json!({"metadata_status": "ok", "dropped_keys": [], "truncated_keys": []});
    assert_eq!(upsert(json!({"a": "1", "b": "2"})).await, ok);
    assert_eq!(upsert(json!({"a": "3", "c": null})).await, ok);
    let long = "y".repeat(8_193);
    let partial = upsert(json!({"long": long, "x=": "1"})).await;
    assert_eq!(partial, json!({"metadata_status": "partial", "dropped_keys": ["x="], "truncated_keys": ["long"]}));

    let delete = json!({"temporal_run_id": run_id, "keys": ["b", "long", "never"]});
    let deleted = platform.ask(Method::DELETE, path, Some(&delete)).await.ok();
    assert_eq!(deleted, json!({"deleted_keys": ["b", "long"]}));
    let shown = platform.get("/executions/w?include_search_keys=true").await.ok();
    assert_eq!(shown["search_keys"], json!({"a": "3", "c": null}));
}

#[tokio::test]
async fn a_run_that_continues_another_keeps_its_search_keys() {
    let mut platform = Platform::start().await;
    platform.register("demo", "w1", played("demo")).await.ok();
    let first = platform.execute("chain", json!({"execution_id": "c", "input": {"left": 1}})).await.ok();
    let keys = json!({"customer": "acme", "step": "1", "internal.execution.state": "x"});
    register(&platform, &first["run_id"], keys).await;
    platform.work("demo").await;
    platform.ended("c").await;
    let second = platform.get("/executions/c").await.ok()["run_id"].clone();
    assert_ne!(second, first["run_id"]);
    let many: serde_json::Map<_, _> = (0..19).map(|n| (format!("k{n:02}"), json!("v"))).collect();
    assert_eq!(register(&platform, &second, json!({"step": "2"})).await["metadata_status"], "ok");
    let keys = platform.get("/executions/c?include_search_keys=true").await.ok()["search_keys"].clone();
    assert_eq!(keys, json!({"customer": "acme", "step": "2"}));
    assert_eq!(
        register(&platform, &second, Value::Object(many)).await["metadata_status"],
        "partial",
        "there are twenty in all"
    );
}

#[tokio::test]
async fn who_waits_is_told_to_come_back_when_the_server_stops() {
    let directory = tempfile::tempdir().unwrap();
    let mut platform = Platform::on(directory.path()).await;
    platform.play("demo").await;
    platform.execute("waiter", json!({"execution_id": "w"})).await.ok();
    let wait = json!({"execution_id": "x", "wait_for_result": true});
    let request = platform.request(Method::POST, "/v1/workflows/waiter/execute").json(&wait);
    let waiting = tokio::spawn(answered(request));
    eventually(async || platform.get("/executions/x").await, |seen| seen.status == 200).await;
    platform.restart().await;
    assert_eq!(waiting.await.unwrap().refused(503, "WF_1103"), "An error occurred");
    assert_eq!(platform.get("/executions/x").await.ok()["status"], "RUNNING");
}

#[tokio::test]
async fn what_the_engine_has_not_says_so() {
    let platform = Platform::start().await;
    let reset = platform.post("/executions/w/reset", json!({"event_id": 4})).await;
    assert_eq!(reset.refused(501, "NOT_AVAILABLE"), "resetting an execution is not available here");
    let schedules = platform.get("/schedules").await;
    assert_eq!(schedules.refused(501, "NOT_AVAILABLE"), "schedules are not available here");
    assert_eq!(platform.ask(Method::DELETE, "/schedules/s", None).await.status, 501);
}

/// Registers a run of the execution `c`.
async fn register(platform: &Platform, run_id: &Value, keys: Value) -> Value {
    let body = json!({
        "temporal_workflow_id": "c", "temporal_run_id": run_id, "workflow_name": "chain", "task_queue": "demo",
        "execution_token_hash": "cd".repeat(32), "search_key_metadata": keys,
    });
    platform.post("/executions/register", body).await.ok()
}
