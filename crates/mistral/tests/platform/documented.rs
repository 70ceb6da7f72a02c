//! `docs/mistral.md` says of every operation what is built; here it is held to that.

use crate::testkit::{Platform, definition};
use reqwest::Method;
use serde_json::{Value, json};

const DOCUMENT: &str = include_str!("../../../../docs/mistral.md");

#[tokio::test]
async fn the_document_says_of_every_operation_what_it_does() {
    let platform = Platform::start().await;
    platform.register("d", "one", [definition("counter", "d")]).await.ok();
    let rows: Vec<_> = DOCUMENT.lines().filter_map(row).collect();
    assert_eq!(rows.len(), 74, "the two packages have as many operations");

    let mut wrong = Vec::new();
    for (method, path, state) in rows {
        let asked = path.replace("{name}", "counter").replace("{id}", "00000000-0000-4000-8000-000000000000");
        let response = platform.request(method.clone(), &asked).json(&json!({})).send().await.expect("an answer");
        let status = response.status().as_u16();
        let is_json = response.headers().get("content-type").is_some_and(|kind| kind == "application/json");
        let body: Value = if is_json { response.json().await.expect("JSON") } else { Value::Null };
        // What is found to be missing has a code; a route that is missing has none.
        let is_there = status != 405 && status != 501 && (status != 404 || body["code"].is_string());
        let does_it = match state {
            "built" => is_there,
            "not here" => status == 501 && body["code"] == json!("NOT_AVAILABLE"),
            "absent" => status == 404 && body["detail"].as_str().is_some_and(|it| it.ends_with("not available here")),
            _ => false,
        };
        if !does_it {
            wrong.push(format!("{method} {path} is {state:?}, and answers {status} {body}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `| METHOD /path | state | remark |`
fn row(line: &str) -> Option<(Method, &str, &str)> {
    let (operation, rest) = line.strip_prefix("| ")?.split_once(" | ")?;
    let (method, path) = operation.split_once(' ').filter(|(_, path)| path.starts_with('/'))?;
    Some((method.parse().ok()?, path, rest.split(" |").next()?))
}
