//! A workflow that calls activities, start to result.

use crate::support::Test;
use serde::{Deserialize, Serialize};
use tradewind::prelude::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct User {
    id: String,
    orders: u32,
}

#[activity(start_to_close_timeout = "10s", max_attempts = 3)]
async fn fetch_user(id: String) -> Result<User> {
    Ok(User { orders: id.len() as u32, id })
}

#[activity]
async fn describe(user: User, greeting: String) -> Result<String> {
    Ok(format!("{greeting} {}: {} orders", user.id, user.orders))
}

#[workflow(name = "user_report")]
async fn user_report(id: String) -> Result<String> {
    let user = fetch_user(id).await?;
    workflow::sleep(std::time::Duration::from_millis(10)).await?;
    describe(user, "Dear".into()).await
}

#[workflow]
async fn two_reports(first: String, second: String) -> Result<Vec<String>> {
    Ok(vec![user_report(first).await?, user_report(second).await?])
}

#[tokio::test]
async fn a_workflow_runs_its_activities_and_returns_what_they_give() {
    let test = Test::start().await;
    let worker = test
        .worker(|worker| worker.activity(fetch_user).activity(describe).workflow(user_report).workflow(two_reports));

    let handle = test.client.start(user_report("ann".into())).id("report-ann").await.unwrap();
    assert_eq!(handle.id(), "report-ann");
    assert_eq!(handle.result().await.unwrap(), "Dear ann: 3 orders");

    let both = test.client.execute(two_reports("ann".into(), "robert".into())).await.unwrap();
    assert_eq!(both, ["Dear ann: 3 orders", "Dear robert: 6 orders"]);

    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn outside_a_workflow_an_activity_is_its_function() {
    assert_eq!(fetch_user("ann".into()).await.unwrap(), User { id: "ann".into(), orders: 3 });
}

#[tokio::test]
async fn outside_a_workflow_a_workflow_says_how_to_start_it() {
    let error = user_report("ann".into()).await.unwrap_err();
    assert!(error.to_string().contains("client.start"), "{error}");
}
