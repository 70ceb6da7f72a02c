//! What a process leaves behind is taken up by the next.

use crate::testkit::{Node, RETENTION, activity, child, complete, timer};
use engine::Error;
use std::time::Duration;

#[tokio::test]
async fn open_runs_go_on_where_they_were() {
    let node = Node::start().await;
    node.begin("w").await;
    node.turn("w", [timer("t", 60), activity("a", "w")]).await;
    let task = node.activity("w").await;

    let node = node.restart().await;
    node.complete_activity(&task, "result").await.expect("the token outlives the process");
    node.complete_activity(&task, "again").await.expect_err("a result is recorded once");
    node.turn("w", []).await;
    let node = node.restart().await;
    node.expect_no_task("w").await;
    node.advance(Duration::from_secs(60)).await;
    node.turn("w", [complete()]).await;
    let expected = [
        "workflow_execution_started",
        "workflow_task_scheduled",
        "workflow_task_started",
        "workflow_task_completed",
        "timer_started",
        "activity_task_scheduled",
        "activity_task_started",
        "activity_task_completed",
        "workflow_task_scheduled",
        "workflow_task_started",
        "workflow_task_completed",
        "timer_fired",
        "workflow_task_scheduled",
        "workflow_task_started",
        "workflow_task_completed",
        "workflow_execution_completed",
    ];
    assert_eq!(node.history("w").await, expected);
}

#[tokio::test]
async fn waiting_tasks_are_found_again_each_once_and_in_order() {
    let node = Node::start().await;
    for number in 0..20 {
        node.begin_on(&format!("w-{number}"), "shared").await;
    }
    let node = node.restart().await;
    let mut seen = Vec::new();
    for _ in 0..20 {
        let task = node.task("shared").await;
        seen.push(task.workflow_execution.clone().expect("a task names its run").workflow_id);
        node.complete(&task, [complete()]).await.expect("it is taken");
    }
    seen.sort_by_key(|id| id[2..].parse::<u32>().expect("a number"));
    seen.dedup();
    assert_eq!(seen.len(), 20);
    node.expect_no_task("shared").await;
}

#[tokio::test]
async fn a_task_that_was_handed_out_is_completed_after_a_restart_or_handed_out_again() {
    let node = Node::start().await;
    node.begin("w").await;
    let task = node.task("w").await;

    let node = node.restart().await;
    node.expect_no_task("w").await;
    // Its worker is gone: after the task's timeout another gets it.
    node.advance(Duration::from_secs(11)).await;
    let again = node.task("w").await;
    assert_eq!(again.attempt, 2);
    node.complete(&task, [complete()]).await.expect_err("the first worker is too late");
    node.complete(&again, [complete()]).await.expect("the second is not");
}

#[tokio::test]
async fn work_owed_to_other_runs_is_taken_up() {
    let node = Node::start().await;
    node.begin("parent").await;
    let task = node.task("parent").await;
    node.complete(&task, (0..20).map(|n| child(&format!("child-{n}"))).collect::<Vec<_>>()).await.expect("it is taken");

    // Some of the children are started by now, some are not.
    let node = node.restart().await;
    for number in 0..20 {
        node.turn(&format!("child-{number}"), [complete()]).await;
    }
    let node = node.restart().await;
    for _ in 0..1_000 {
        let history = node.history("parent").await;
        let count = |name: &str| history.iter().filter(|it| *it == name).count();
        if count("child_workflow_execution_completed") == 20 {
            assert_eq!(count("child_workflow_execution_started"), 20);
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("children are missing: {:?}", node.history("parent").await);
}

#[tokio::test]
async fn a_closed_run_is_deleted_after_its_retention_and_not_before() {
    let node = Node::start().await;
    node.begin("w").await;
    node.begin("open").await;
    node.turn("w", [complete()]).await;

    let node = node.restart().await;
    node.advance(RETENTION - Duration::from_secs(1)).await;
    assert!(node.is_closed("w").await);
    let run = node.handle().inspect(node.target("w"), false).await.expect("it is there").run;

    node.advance(Duration::from_secs(2)).await;
    let gone = node.handle().inspect(node.target("w"), false).await.unwrap_err();
    assert_eq!(gone, Error::NoSuchWorkflow { workflow_id: "w".into() });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(node.store.load_run(run).expect("the store works").is_none());
    assert!(node.store.read_history(run, 1, 10, 1_000).expect("the store works").is_empty());
    assert!(node.store.visibility(run).expect("the store works").is_none());
    assert!(!node.is_closed("open").await, "an open run has no retention");
}
