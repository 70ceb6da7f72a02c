//! The list of runs: filters, orders, pages.

use crate::testkit::{Platform, eventually};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn runs_are_found_by_what_they_are() {
    let platform = Platform::working().await;
    for id in ["w-1", "w-2", "x-3"] {
        platform.execute("waiter", json!({"execution_id": id})).await.ok();
    }
    platform.execute("echo", json!({"execution_id": "e", "wait_for_result": true})).await.ok();
    platform.execute("family", json!({"execution_id": "f"})).await.ok();
    eventually(async || platform.get("/executions/f-child").await, |child| child.status == 200).await;
    platform.post("/executions/w-2/terminate", json!({})).await;
    let find =
        async |query: &str| ids(&platform.get(&format!("/runs?sort_by=start_time&order=asc&{query}")).await.ok());

    assert_eq!(find("").await, ["w-1", "w-2", "x-3", "e", "f", "f-child"]);
    assert_eq!(find("workflow_identifier=waiter").await, ["w-1", "w-2", "x-3", "f-child"]);
    assert_eq!(find("status=RUNNING&workflow_identifier=waiter").await, ["w-1", "x-3", "f-child"]);
    assert_eq!(find("status=TERMINATED&status=COMPLETED").await, ["w-2", "e"]);
    assert_eq!(find("status=RETRYING_AFTER_ERROR").await, [""; 0]);
    assert_eq!(find("root_execution_id=f").await, ["f", "f-child"], "the whole tree");
    assert_eq!(find("search=w-").await, ["w-1", "w-2"]);
    assert_eq!(find("search=ECH").await, ["e"], "part of a workflow's name");
    assert_eq!(find("deployment_name=demo&search=x").await, ["x-3"]);
    assert_eq!(find("deployment_name=other").await, [""; 0]);
    assert_eq!(find("include_internal=false&search=f").await, ["f-child"], "`family` is the SDK's");
    assert_eq!(find("user_id=current&search=x").await, ["x-3"]);
    assert_eq!(find("user_id=somebody").await, [""; 0]);
    assert_eq!(find("workflow_tags=none-has-it").await, [""; 0]);
    assert_eq!(find("end_time_after=2000-01-01T00:00:00Z").await, ["w-2", "e"], "what runs has no end");
    assert_eq!(find("start_time_before=2000-01-01T00:00:00%2B02:00").await, [""; 0]);
    let id = platform.get("/executions/e").await.ok()["workflow_id"].as_str().unwrap().to_owned();
    assert_eq!(find(&format!("workflow_identifier={id}")).await, ["e"]);

    let child = &platform.get("/runs?search=f-child").await.ok()["executions"][0];
    assert_eq!((&child["parent_execution_id"], &child["root_execution_id"]), (&json!("f"), &json!("f")));
    assert!(child.get("end_time").is_some_and(Value::is_null) && child.get("result").is_none(), "{child}");
}

#[tokio::test]
async fn runs_are_found_by_search_keys() {
    let platform = Platform::working().await;
    for (id, keys) in [("a", json!({"customer": "ACME 7", "region": "eu"})), ("b", json!({"customer": "acme 70"}))] {
        let run_id = platform.execute("waiter", json!({"execution_id": id})).await.ok()["run_id"].clone();
        let body = json!({"search_key_metadata": keys, "temporal_run_id": run_id});
        platform.ask(Method::PATCH, &format!("/executions/search_keys/{id}"), Some(&body)).await.ok();
    }
    let find = async |query: &str| ids(&platform.get(&format!("/runs?{query}")).await.ok());
    assert_eq!(find("search_key=customer:acme").await, ["b", "a"]);
    assert_eq!(find("search_key=customer:acme%207&search_key=region:EU").await, ["a"]);
    assert_eq!(find("search_key=cust:acme").await, [""; 0]);

    let malformed = platform.get("/runs?search_key=customer").await.refused(422, "WF_1001");
    assert_eq!(malformed, "query.search_key: search_key=\"customer\" must be key:value");
    let many = "search_key=a:b&".repeat(4);
    assert!(platform.get(&format!("/runs?{many}")).await.refused(422, "WF_1001").contains("3 at most"));
    let long = platform.get(&format!("/runs?search_key=a:{}", "%25".repeat(8_193))).await.refused(422, "WF_1001");
    assert!(long.contains("8193") && long.contains("8192"), "{long}");
    assert_eq!(find(&format!("search_key=a:{}", "%25".repeat(8_192))).await, [""; 0]);
}

#[tokio::test]
async fn pages_lead_from_one_to_the_next_in_every_order() {
    let platform = Platform::working().await;
    for n in 0..5 {
        platform.execute("waiter", json!({"execution_id": format!("w-{n}")})).await.ok();
    }
    for id in ["w-3", "w-1"] {
        platform.post(&format!("/executions/{id}/terminate"), json!({})).await;
    }
    let all = async |order: &str| {
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let page = platform.get(&format!("/runs?page_size=2&{order}&next_page_token={token}")).await.ok();
            found.extend(ids(&page));
            match page["next_page_token"].as_str() {
                Some(next) => token = next.to_owned(),
                None => return found,
            }
        }
    };
    assert_eq!(all("").await, ["w-4", "w-2", "w-0", "w-1", "w-3"], "what runs comes first, then what ended last");
    assert_eq!(all("sort_by=start_time").await, ["w-4", "w-3", "w-2", "w-1", "w-0"]);
    assert_eq!(all("sort_by=start_time&order=asc").await, ["w-0", "w-1", "w-2", "w-3", "w-4"]);
    assert_eq!(all("sort_by=end_time&order=asc").await, ["w-3", "w-1", "w-0", "w-2", "w-4"]);
}

#[tokio::test]
async fn bad_parameters_are_named_with_value_and_limit() {
    let platform = Platform::start().await;
    let refused = async |query: &str| platform.get(&format!("/runs?{query}")).await.refused(422, "WF_1001");
    assert_eq!(refused("page_size=0").await, "query.page_size: page_size=\"0\" must be a whole number from 1 to 1000");
    assert!(refused("page_size=ten").await.starts_with("query.page_size"));
    assert!(refused("status=DONE").await.contains("must be one of RUNNING, COMPLETED"));
    assert!(refused("sort_by=colour").await.contains("must be one of start_time, end_time"));
    assert!(refused("include_internal=perhaps").await.contains("must be true or false"));
    assert!(refused("start_time_after=yesterday").await.contains("ISO 8601"));
    assert!(refused("next_page_token=%00%ff").await.contains("is not a token of this list"));
    assert!(refused("next_page_token=AAAA").await.contains("is not a token of this list"));
    assert!(refused(&"workflow_tags=t&".repeat(21)).await.contains("20 at most"));
    platform.get("/runs/not-a-uuid").await.refused(422, "WF_1001");
    platform.get("/runs/00000000-0000-4000-8000-000000000000").await.refused(404, "WF_1100");
}

fn ids(page: &Value) -> Vec<String> {
    let runs = page["executions"].as_array().expect("a page has executions");
    runs.iter().map(|run| run["execution_id"].as_str().expect("an id").to_owned()).collect()
}
