//! Steps that somebody outside the engine hears of.

use crate::testkit::*;
use api::enums::v1::EventType;
use engine::{Following, Settings};
use std::time::Duration;
use store::{Store, row::Follower};

const HERALD: Follower = Follower(7);

#[tokio::test]
async fn a_followed_step_is_told_with_its_commit_and_none_other_is() {
    let node = Node::with(following("default")).await;
    node.begin("w").await;
    node.begin("other").await;
    node.turn("w", [timer("t", 5)]).await;
    node.turn("other", []).await;
    assert_eq!(told(&node.store), []);

    node.advance(Duration::from_secs(5)).await;
    node.turn("w", [complete()]).await;

    let rows = told(&node.store);
    assert_eq!(rows, [("w-1".to_owned(), 9)], "the answer to the completion follows the row");
    assert_eq!(node.history("w").await[9], "workflow_execution_completed");
    let last = *node.store.last_followed().borrow();
    assert_eq!(node.store.followed(HERALD, last - 1, 10).unwrap().len(), 1);
}

#[tokio::test]
async fn what_was_not_dealt_with_is_there_after_a_restart() {
    let node = Node::with(following("default")).await;
    for name in ["a", "b"] {
        node.begin(name).await;
        node.turn(name, [complete()]).await;
    }

    let node = node.restart().await;

    assert_eq!(told(&node.store), [("w-1".to_owned(), 4), ("w-2".to_owned(), 4)]);
}

#[tokio::test]
async fn other_namespaces_are_left_alone() {
    let node = Node::with(following("another")).await;
    node.begin("w").await;
    node.turn("w", [complete()]).await;
    assert_eq!(told(&node.store), []);
}

fn following(namespace: &str) -> Settings {
    let events = [EventType::WorkflowExecutionCompleted].into();
    let following = vec![Following { follower: HERALD, namespace: namespace.to_owned(), events }];
    Settings { following, ..Settings::default() }
}

/// The runs that were told about, by their keys, and where the batch begins.
#[track_caller]
fn told(store: &Store) -> Vec<(String, i64)> {
    let rows = store.followed(HERALD, 0, 100).expect("the store works");
    rows.into_iter().map(|row| (format!("w-{}", row.run.0), row.first_event_id)).collect()
}
