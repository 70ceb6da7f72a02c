//! Requests that nobody should send. Each gets an answer in the clients' shape, and the server lives on.

use crate::testkit::{Answer, Platform};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn what_is_no_json_is_refused_where_json_is_wanted() {
    let platform = Platform::working().await;
    platform.execute("waiter", json!({"execution_id": "w"})).await.ok();
    let paths = [
        (Method::POST, "/register"),
        (Method::POST, "/workers/heartbeat"),
        (Method::POST, "/executions/register"),
        (Method::PATCH, "/executions/search_keys/w"),
        (Method::DELETE, "/executions/search_keys/w"),
        (Method::POST, "/waiter/execute"),
        (Method::POST, "/executions/w/signals"),
        (Method::POST, "/executions/w/queries"),
        (Method::POST, "/executions/w/updates"),
        (Method::POST, "/executions/cancel"),
    ];
    let deep = "[".repeat(100_000);
    for (method, path) in paths {
        for body in ["{", "[]", "7", "\"x\"", "{}{}", "\u{0}", "{\"a\":1,}", "\u{feff}{}", deep.as_str()] {
            let answer = platform.send(method.clone(), path, body.to_owned()).await;
            let told = answer.refused(422, "WF_1001");
            assert!(told.starts_with("body"), "{method} {path} {body:.20}: {told}");
        }
        let answer = platform.send(method, path, &b"\xff\xfe{\x00"[..]).await;
        answer.refused(422, "WF_1001");
    }
    assert_eq!(platform.get("/executions/w").await.status, 200);
}

#[tokio::test]
async fn wrong_types_are_named_with_their_place() {
    let platform = Platform::working().await;
    platform.execute("waiter", json!({"execution_id": "w"})).await.ok();
    let ask = async |path: &str, body| platform.post(path, body).await.refused(422, "WF_1001");
    let of = async |body| ask("/waiter/execute", body).await;
    assert!(of(json!({"execution_id": 7})).await.starts_with("body.execution_id: invalid type: integer `7`"));
    assert!(of(json!({"input": [1]})).await.starts_with("body.input: must be an object"));
    assert!(of(json!({"input": {"b64payload": 7}})).await.starts_with("body.input"));
    assert!(of(json!({"encoded_input": {"b64payload": "*"}})).await.starts_with("body.encoded_input"));
    assert!(of(json!({"encoded_input": {"b64payload": "", "encoding_options": ["rot13"]}})).await.contains("rot13"));
    assert!(of(json!({"wait_for_result": "yes"})).await.starts_with("body.wait_for_result"));
    assert!(of(json!({"timeout_seconds": -1})).await.starts_with("body.timeout_seconds: timeout_seconds -1"));
    assert!(of(json!({"timeout_seconds": 1e300})).await.contains("100 years"));
    assert!(of(json!({"extensions": [1]})).await.starts_with("body.extensions"));
    assert!(of(json!({"custom_tracing_attributes": {"a": 1}})).await.starts_with("body.custom_tracing_attributes.a"));
    assert!(ask("/executions/w/signals", json!({"name": ["x"]})).await.starts_with("body.name"));
    assert!(ask("/executions/w/signals", json!({"name": "note", "input": "x"})).await.starts_with("body.input"));
    assert!(ask("/executions/cancel", json!({"execution_ids": [1]})).await.starts_with("body.execution_ids.0"));
}

#[tokio::test]
async fn ids_are_held_to_their_letters_and_length() {
    let platform = Platform::working().await;
    let longest = "x".repeat(256);
    assert_eq!(platform.execute("waiter", json!({"execution_id": longest})).await.status, 200);
    assert_eq!(platform.get(&format!("/executions/{longest}")).await.status, 200);
    for wrong in ["", "x y", "x/y", "ключ", "a\u{0}b", &"x".repeat(257)] {
        let refused = platform.execute("waiter", json!({"execution_id": wrong})).await.refused(422, "WF_1001");
        assert!(refused.starts_with("body.execution_id") && refused.contains("1 to 256"), "{refused}");
    }
    for unknown in [
        "nope",
        "%00",
        "%ff",
        "%D0%BA",
        &"x".repeat(5_000),
        "..%2f..",
        "'; DROP TABLE run; --".replace(' ', "%20").as_str(),
    ] {
        let answer = platform.get(&format!("/executions/{unknown}")).await;
        assert!(answer.status == 404 || answer.status == 422, "{unknown}: {answer:?}");
        assert!(answer.body["code"].is_string() && !answer.body["detail"].is_null(), "{answer:?}");
        assert_eq!(platform.execute(unknown, json!({})).await.status, answer.status, "{unknown}");
    }
}

#[tokio::test]
async fn a_body_past_the_limit_is_refused_in_shape() {
    let platform = Platform::working().await;
    let huge = json!({"input": {"text": "x".repeat(5 * 1024 * 1024)}});
    let refused = posted(&platform, "/echo/execute", &huge.to_string()).await;
    assert_eq!(
        refused.refused(413, "TOO_LARGE"),
        "the request body is larger than the 4194304 bytes that this server takes"
    );
    let large = json!({"input": {"text": "x".repeat(3 * 1024 * 1024)}});
    let refused = platform.execute("echo", large).await;
    assert!(refused.body["detail"].to_string().contains("2097152"), "one payload has its own limit: {}", refused.body);
}

#[tokio::test]
async fn names_with_nothing_behind_them_are_told_apart_from_wrong_methods() {
    let platform = Platform::start().await;
    let absent = platform.get("/executions/w/nothing").await;
    assert_eq!(
        (absent.status, &absent.body["detail"]),
        (404, &json!("there is no /v1/workflows/executions/w/nothing"))
    );
    assert!(absent.body.get("code").is_none(), "workers take a 404 without a code as a missing route");
    let wrong = platform.ask(Method::DELETE, "/register", None).await;
    assert_eq!(wrong.refused(405, "METHOD_NOT_ALLOWED"), "DELETE is not allowed on /v1/workflows/register");
    // Literals win over the name of a workflow.
    platform.post("/executions/execute", json!({})).await.refused(405, "METHOD_NOT_ALLOWED");
}

/// Posts past what the server reads: it may refuse and stop reading, which is no reason not to hear what it says.
async fn posted(platform: &Platform, path: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(platform.server().http_address()).await.unwrap();
    let head = format!(
        "POST /v1/workflows{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let _ = stream.write_all(body.as_bytes()).await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
    Answer { status, body: serde_json::from_str(body).expect("a body of JSON") }
}
