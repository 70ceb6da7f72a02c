//! Events: told by workers, listed and streamed.

use crate::run::*;
use crate::sse::Stream;
use crate::testkit::*;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn events_are_listed_in_their_order_with_every_key_the_client_needs() {
    let platform = Platform::start().await;
    let run = platform.begin("w").await;
    let payload = json!({ "type": "json", "value": { "n": [1, null] }, "encoding_options": null });
    let started =
        json!({ "task_id": "t", "workflow_name": "Order", "display_name": null, "input": payload, "attempt": 1 });
    platform.tell(run.event("a", "WORKFLOW_EXECUTION_STARTED", started.clone())).await;
    let batch = json!({ "events": [run.token("b", "Hel"), run.token("c", "lo"), run.token("b", "Hel")] });
    let Answer { status, body } = platform.post("/events/batch", &batch).await;
    assert_eq!((status, &body["events_received"]), (200, &json!(3)));

    let list = platform.get("/events/list?workflow_exec_id=w").await.ok();
    assert_eq!(ids(&list), ["a", "b", "c"]);
    assert_eq!(list["next_cursor"], Value::Null);
    let first = &list["events"][0];
    assert_eq!(first["attributes"], started);
    assert_eq!(first["event_timestamp"], json!(1_764_000_000_000_000_123_u64));
    assert_eq!(first["chain_run_id"], json!(run.run_id), "it is ours to fill in");
    for nullable in ["parent_workflow_exec_id", "continued_run_id", "schedule_id"] {
        assert_eq!(first.get(nullable), Some(&Value::Null), "{nullable}");
    }
}

#[tokio::test]
async fn a_list_is_paged_and_filtered() {
    let platform = Platform::start().await;
    let (one, other) = (platform.begin("one").await, platform.begin("other").await);
    for number in 0..5 {
        platform.tell(one.token(&format!("a{number}"), "x")).await;
        platform.tell(other.token(&format!("b{number}"), "x")).await;
    }
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let list = platform.get(&format!("/events/list?limit=2&workflow_exec_id=one{cursor}")).await.ok();
        assert!(ids(&list).len() <= 2);
        found.extend(ids(&list));
        let Some(next) = list["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(found, ["a0", "a1", "a2", "a3", "a4"]);

    let list = platform.get(&format!("/events/list?workflow_run_id={}", other.run_id)).await.ok();
    assert_eq!(ids(&list), ["b0", "b1", "b2", "b3", "b4"]);
    let list = platform.get("/events/list?root_workflow_exec_id=nobody").await.ok();
    assert_eq!(list, json!({ "events": [], "next_cursor": null }));
    for wrong in ["limit=0", "limit=1001", "cursor=x", "cursor=-1", "workflow_run_id=7"] {
        let Answer { status, body } = platform.get(&format!("/events/list?{wrong}")).await;
        assert_eq!(status, 422, "{wrong}");
        assert_eq!(body["detail"][0]["loc"], json!(["query", wrong.split('=').next().unwrap()]), "{body}");
    }
}

#[tokio::test]
async fn bad_events_are_refused_whole_with_the_place_of_what_is_wrong() {
    let platform = Platform::start().await;
    let run = platform.begin("w").await;
    let mut bad = run.token("b", "x");
    bad["attributes"]["payload"]["value"] = json!([{ "op": "swap", "path": "", "value": 1 }]);
    let batch = json!({ "events": [run.token("a", "x"), bad] });
    let Answer { status, body } = platform.post("/events/batch", &batch).await;
    assert_eq!(status, 422);
    let loc = json!(["body", "events", 1, "attributes", "payload", "value"]);
    assert_eq!(body["detail"][0]["loc"], loc, "{body}");

    let big = run.token("big", &"x".repeat(2 * 1024 * 1024));
    let Answer { status, body } = platform.post("/events", &json!({ "event": big })).await;
    assert_eq!(status, 422);
    assert!(body["detail"][0]["msg"].as_str().unwrap().contains("2097152"), "{body}");

    let stranger = Run { workflow_id: "w".into(), run_id: uuid::Uuid::from_u128(9).to_string() };
    for nobody in [stranger, Run { workflow_id: "nobody".into(), ..run.clone() }, Run { run_id: "no".into(), ..run }] {
        let Answer { status, body } = platform.post("/events", &json!({ "event": nobody.token("a", "x") })).await;
        assert_eq!((status, &body["code"]), (404, &json!("WF_1100")), "{body}");
    }
    for junk in [json!({}), json!({ "event": 7 }), json!([]), json!({ "event": { "event_id": null } })] {
        let Answer { status, body } = platform.post("/events", &junk).await;
        assert_eq!(status, 422, "{junk}");
        assert!(body["detail"].is_array(), "{body}");
    }
    let list = platform.get("/events/list").await.ok();
    assert_eq!(ids(&list), [] as [&str; 0], "all of a request or none");
}

#[tokio::test]
async fn the_v2_routes_take_what_their_token_is_for() {
    let platform = Platform::start().await;
    let (run, other) = (platform.begin("w").await, platform.begin("other").await);
    let ask = json!({ "execution_token": null, "workflow_exec_id": "w", "workflow_run_id": run.run_id });
    let Answer { status, body: granted } = route_token(&platform, &ask).await;
    assert_eq!((status, &granted["expires_in_seconds"]), (200, &json!(3600)), "{granted}");
    let token = granted["route_token"].as_str().unwrap();
    let send = async |path: &str, token: Option<&str>, body: Value| {
        let mut request = platform.request(Method::POST, path).json(&body);
        if let Some(token) = token {
            request = request.header("X-Workflow-Route-Token", token);
        }
        let Answer { status, body } = answered(request).await;
        (status, body["code"].as_str().map(str::to_owned))
    };
    let code = |text: &str| Some(text.to_owned());

    let one = json!({ "event": run.token("a", "x") });
    assert_eq!(send("/v2/workflows/events", Some(token), one.clone()).await, (200, None));
    let many = json!({ "events": [run.token("b", "x"), run.token("c", "x")] });
    assert_eq!(send("/v2/workflows/events/batch", Some(token), many).await, (200, None));
    assert_eq!(send("/v2/workflows/events", None, one.clone()).await, (401, code("EVENT_ROUTE_TOKEN_INVALID")));
    let forged = format!("B{}", &token[1..]);
    assert_eq!(send("/v2/workflows/events", Some(&forged), one).await, (401, code("EVENT_ROUTE_TOKEN_INVALID")));
    let foreign = json!({ "events": [run.token("d", "x"), other.token("e", "x")] });
    let refused = (403, code("EVENT_ROUTE_TOKEN_BINDING_INVALID"));
    assert_eq!(send("/v2/workflows/events/batch", Some(token), foreign).await, refused);

    let ask = json!({ "workflow_exec_id": "nobody", "workflow_run_id": run.run_id });
    let Answer { status, body } = route_token(&platform, &ask).await;
    assert_eq!(status, 404);
    assert_eq!(body["code"], json!("EVENT_ROUTE_EXECUTION_NOT_MATERIALIZED"), "without a code workers fall back to v1");
    let list = platform.get("/events/list").await.ok();
    assert_eq!(ids(&list), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_route_token_expires() {
    let clock = server::ambient::Clock::manual(tradewind_core::time::Timestamp::from_secs(1_764_000_000));
    let platform = Platform::with_clock(|_| {}, clock.clone()).await;
    let run = platform.begin("w").await;
    let ask = json!({ "workflow_exec_id": "w", "workflow_run_id": run.run_id });
    let granted = route_token(&platform, &ask).await.ok();
    clock.advance(Duration::from_secs(3_600));
    let request = platform.request(Method::POST, "/v2/workflows/events").json(&json!({ "event": run.token("a", "x") }));
    let request = request.header("X-Workflow-Route-Token", granted["route_token"].as_str().unwrap());
    let Answer { status, body } = answered(request).await;
    assert_eq!((status, &body["code"]), (401, &json!("EVENT_ROUTE_TOKEN_EXPIRED")));
}

#[tokio::test]
async fn a_stream_replays_and_then_goes_on_live() {
    let platform = Platform::start().await;
    let run = platform.begin("w").await;
    platform.tell(run.token("a", "Hel")).await;
    platform.tell(run.token("b", "lo")).await;
    let mut stream = Stream::open(&platform, "/events/stream?workflow_exec_id=w&scope=%2A&start_seq=0").await;

    let frame = stream.next().await.unwrap();
    assert_eq!((frame.id.as_deref(), frame.event), (Some("1"), None));
    let data = frame.data;
    assert_eq!(data["broker_sequence"], json!(1));
    assert_eq!(data["stream"], json!("llm"));
    assert_eq!(data["metadata"], json!({}));
    let context = json!({
        "namespace": "mistral-workflows", "workflow_name": "Order", "workflow_exec_id": "w",
        "parent_workflow_exec_id": null, "root_workflow_exec_id": "w",
    });
    assert_eq!(data["workflow_context"], context);
    assert_eq!(data["data"]["attributes"]["payload"]["value"][0]["op"], json!("append"));
    assert_eq!(stream.event_ids(1).await, ["b"]);

    for number in 0..50 {
        platform.tell(run.token(&format!("c{number}"), "!")).await;
    }
    let expected: Vec<_> = (0..50).map(|number| format!("c{number}")).collect();
    assert_eq!(stream.event_ids(50).await, expected, "in order, without gap or repetition");
}

#[tokio::test]
async fn a_reader_that_was_cut_off_resumes_by_sequence() {
    let directory = tempfile::tempdir().unwrap();
    let platform = Platform::on(directory.path()).await;
    let run = platform.begin("w").await;
    for number in 1..=5 {
        platform.tell(run.token(&format!("e{number}"), "x")).await;
    }
    let path = "/events/stream?root_workflow_exec_id=w";
    let mut stream = Stream::open(&platform, path).await;
    assert_eq!(stream.event_ids(3).await, ["e1", "e2", "e3"]);
    drop(stream);

    let mut stream = Stream::resume(&platform, path, Some(3)).await;
    assert_eq!(stream.event_ids(2).await, ["e4", "e5"]);
    platform.stop().await;
    let after = stream.next().await;
    assert_eq!(after, None, "a server that stops ends its streams");

    let platform = Platform::on(directory.path()).await;
    platform.tell(run.token("e6", "x")).await;
    let mut stream = Stream::open(&platform, &format!("{path}&start_seq=5")).await;
    assert_eq!(stream.event_ids(2).await, ["e5", "e6"], "start_seq is where it begins");
    let mut stream = Stream::resume(&platform, "/executions/w/stream", Some(5)).await;
    assert_eq!(stream.event_ids(1).await, ["e6"]);
}

#[tokio::test]
async fn streams_carry_what_was_asked_for() {
    let platform = Platform::start().await;
    let (run, other) = (platform.begin("w").await, platform.begin("other").await);
    let failed = json!({ "task_id": "5", "activity_name": "call", "attempt": 1, "failure": { "message": "no" } });
    let stated = json!({ "task_id": "6", "activity_name": "look", "attempt": 1, "failure": { "message": "no" } });
    let custom = |kind: &str| json!({ "custom_task_id": "t", "custom_task_type": kind, "payload": { "value": 1 } });
    let everything = [
        run.event("custom", "CUSTOM_TASK_STARTED", custom("llm")),
        run.event("ocr", "CUSTOM_TASK_STARTED", custom("ocr")),
        run.event("retrying", "ACTIVITY_TASK_RETRYING", failed.clone()),
        run.event("failed", "ACTIVITY_TASK_FAILED", failed),
        run.event("look", "ACTIVITY_TASK_FAILED", stated),
        run.event("canceled", "WORKFLOW_EXECUTION_CANCELED", json!({ "task_id": "r", "reason": null })),
        other.event("other", "WORKFLOW_EXECUTION_CANCELED", json!({ "task_id": "r" })),
        run.event("end", "WORKFLOW_TASK_FAILED", json!({ "task_id": "3", "failure": { "message": "bug" } })),
    ];
    // Once from the log and once as they come.
    let mut live = Vec::new();
    let cases: [(&str, &[&str]); 10] = [
        ("workflow_exec_id=w", &["custom", "ocr", "retrying", "failed", "look", "canceled", "end"]),
        ("workflow_exec_id=*", &["custom", "ocr", "retrying", "failed", "look", "canceled", "other", "end"]),
        ("workflow_exec_id=w&scope=activity", &["retrying", "failed", "look"]),
        ("root_workflow_exec_id=w&scope=workflow", &["custom", "ocr", "canceled", "end"]),
        ("workflow_exec_id=w&activity_name=call", &["retrying", "failed"]),
        ("workflow_exec_id=w&activity_id=6", &["look"]),
        ("workflow_exec_id=w&stream=ocr", &["ocr"]),
        ("workflow_exec_id=w&stream=workflow", &["canceled", "end"]),
        (
            "workflow_name=Order&workflow_event_types=WORKFLOW_EXECUTION_CANCELED&workflow_event_types=WORKFLOW_TASK_FAILED",
            &["canceled", "other", "end"],
        ),
        ("workflow_exec_id=w&metadata_filters=%7B%7D&workflow_event_types=WORKFLOW_TASK_FAILED", &["end"]),
    ];
    for (query, _) in &cases {
        live.push(Stream::open(&platform, &format!("/events/stream?{query}")).await);
    }
    for event in everything {
        platform.tell(event).await;
    }
    for ((query, expected), live) in cases.iter().zip(&mut live) {
        assert_eq!(live.event_ids(expected.len()).await, *expected, "live, {query}");
        let mut replayed = Stream::open(&platform, &format!("/events/stream?{query}")).await;
        assert_eq!(replayed.event_ids(expected.len()).await, *expected, "replayed, {query}");
    }
    for wrong in [
        "scope=both",
        "start_seq=-1",
        "workflow_event_types=NOPE",
        "metadata_filters=x",
        "metadata_filters=%7B%22a%22:1%7D",
    ] {
        let Answer { status, body } = platform.get(&format!("/events/stream?{wrong}")).await;
        assert_eq!(status, 422, "{wrong}: {body}");
    }
}

#[tokio::test]
async fn an_execution_is_streamed_from_the_log_live_or_both() {
    let platform = Platform::start().await;
    let run = platform.begin("w").await;
    platform.tell(run.token("a", "x")).await;
    let open = async |source: &str| {
        let path = format!("/executions/w/stream?event_source={source}");
        Stream::open(&platform, &path).await
    };
    let mut database = open("DATABASE").await;
    assert_eq!(database.event_ids(1).await, ["a"]);
    assert_eq!(database.next().await, None, "the log has an end");

    let (mut live, mut hybrid) = (open("LIVE").await, open("HYBRID").await);
    platform.tell(run.token("b", "x")).await;
    assert_eq!(live.event_ids(1).await, ["b"]);
    assert_eq!(hybrid.event_ids(2).await, ["a", "b"]);

    let Answer { status, body } = platform.get("/executions/nobody/stream").await;
    assert_eq!((status, &body["code"]), (404, &json!("WF_1100")));
    let Answer { status, .. } = platform.get("/executions/w/stream?event_source=BOTH").await;
    assert_eq!(status, 422);
}

#[tokio::test]
async fn an_id_that_is_started_again_streams_its_latest_start() {
    let platform = Platform::start().await;
    let first = platform.begin("w").await;
    platform.tell(first.token("old", "x")).await;
    platform.terminate(&first, "").await;
    let second = platform.begin("w").await;
    platform.tell(second.token("new", "x")).await;

    let mut stream = Stream::open(&platform, "/executions/w/stream").await;
    assert_eq!(stream.event_ids(1).await, ["new"]);
}

#[tokio::test]
async fn a_reader_that_takes_nothing_holds_up_nobody_and_misses_nothing() {
    let platform = Platform::start().await;
    let run = platform.begin("w").await;
    let path = "/events/stream?workflow_exec_id=w";
    let mut slow = Stream::open(&platform, path).await;
    let mut quick = Stream::open(&platform, path).await;

    // Far more than fits into sockets and a mailbox.
    let text = "x".repeat(64 * 1024);
    let count = 400;
    for number in 0..count {
        platform.tell(run.token(&format!("e{number}"), &text)).await;
        assert_eq!(quick.event_ids(1).await, [format!("e{number}")], "it reads along meanwhile");
    }
    let expected: Vec<_> = (0..count).map(|number| format!("e{number}")).collect();
    assert_eq!(slow.event_ids(count).await, expected);
    platform.tell(run.token("after", "x")).await;
    assert_eq!(slow.event_ids(1).await, ["after"], "it is back among the living");
}

async fn route_token(platform: &Platform, ask: &Value) -> Answer {
    answered(platform.request(Method::POST, "/v2/workflows/workers/event-route-token").json(ask)).await
}

fn ids(list: &Value) -> Vec<String> {
    let events = list["events"].as_array().unwrap_or_else(|| panic!("no list: {list}"));
    events.iter().map(|event| event["event_id"].as_str().expect("each has an id").to_owned()).collect()
}
