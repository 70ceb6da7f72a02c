//! A worker's own queue: used while it polls, and left when it does not.

use crate::testkit::{Node, complete};
use std::time::Duration;

#[tokio::test]
async fn a_worker_that_polls_gets_only_what_it_has_not_seen() {
    let node = Node::start().await;
    node.begin("w").await;
    let task = node.task("w").await;
    let (polled, ()) = tokio::join!(node.sticky_task("own", "w"), async {
        node.complete_sticky(&task, [], Some("own")).await.expect("it is taken");
        node.signal("w", "hello").await.expect("it is taken");
    });
    let events = polled.history.as_ref().expect("there is some").events.clone();
    assert_eq!(events[0].event_id, 4, "from the completion of the last task on");
    node.complete(&polled, [complete()]).await.expect("it is taken");
}

#[tokio::test]
async fn a_task_goes_to_the_normal_queue_at_once_if_nobody_polls_the_sticky_one() {
    let node = Node::start().await;
    node.begin("w").await;
    let task = node.task("w").await;
    node.complete_sticky(&task, [], Some("own")).await.expect("it is taken");
    node.signal("w", "hello").await.expect("it is taken");

    let polled = node.task("w").await;
    assert_eq!(polled.history.expect("there is some").events[0].event_id, 1, "with the whole history");
}

#[tokio::test]
async fn a_task_left_on_the_sticky_queue_comes_to_the_normal_one_after_its_timeout() {
    let node = Node::start().await;
    node.begin("w").await;
    let task = node.task("w").await;
    let poll = node.poll_of(tradewind_core::ids::TaskKind::Workflow, "own", Duration::from_millis(10));
    assert_eq!(node.handle().poll_workflow_task(poll).await, Ok(None), "it has polled not long ago");
    node.complete_sticky(&task, [], Some("own")).await.expect("it is taken");
    node.signal("w", "hello").await.expect("it is taken");
    node.expect_no_task("w").await;

    node.advance(Duration::from_secs(6)).await;
    let polled = node.task("w").await;
    assert_eq!(polled.history.expect("there is some").events[0].event_id, 1);
    let timed_out = node.history("w").await.iter().any(|it| it == "workflow_task_timed_out");
    assert!(timed_out, "the timeout is in history");
}

#[tokio::test]
async fn a_restart_forgets_who_polls_and_loses_no_task() {
    let node = Node::start().await;
    node.begin("w").await;
    let task = node.task("w").await;
    let poll = node.poll_of(tradewind_core::ids::TaskKind::Workflow, "own", Duration::from_millis(10));
    assert_eq!(node.handle().poll_workflow_task(poll).await, Ok(None));
    node.complete_sticky(&task, [], Some("own")).await.expect("it is taken");
    node.signal("w", "hello").await.expect("it is taken");

    let node = node.restart().await;
    node.advance(Duration::from_secs(6)).await;
    node.turn("w", [complete()]).await;
    assert!(node.is_closed("w").await);
}
