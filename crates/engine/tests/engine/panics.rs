//! A step that panics is a bug of ours: it costs its run a restart, and nobody else anything.

use crate::testkit::{Node, child, complete, signal_other};
use engine::{Error, Settings, Stepping};
use tradewind_core::step::Input;

const IN_TROUBLE: &str = "TemporalReportedProblems = 'category=EngineError'";

#[tokio::test]
async fn a_panicking_step_commits_nothing_and_parks_its_run() {
    let node = Node::with_fault(poison).await;
    node.begin("sick").await;
    node.begin("well").await;
    let before = node.history("sick").await;

    let parked = node.signal("sick", "poison").await.unwrap_err();
    assert_eq!(parked, Error::Parked("a bug".into()));
    assert_eq!(node.history("sick").await, before, "the signal is not there");

    // It takes nothing more, and everything says why.
    assert_eq!(node.signal("sick", "food").await.unwrap_err(), parked);
    assert!(parked.to_string().contains("a bug"), "{parked}");
    node.expect_no_task("sick").await;
    assert_eq!(node.list(IN_TROUBLE).await, ["sick"]);
    assert_eq!(node.list("TemporalReportedProblems = 'cause=a bug'").await, ["sick"]);

    node.turn("well", [complete()]).await;
    assert!(node.is_closed("well").await);
}

#[tokio::test]
async fn a_parked_run_goes_on_after_a_restart() {
    let node = Node::with_fault(poison).await;
    node.begin("sick").await;
    node.signal("sick", "poison").await.unwrap_err();
    node.expect_no_task("sick").await;

    let node = node.restart_with(Settings::default()).await;
    node.signal("sick", "poison").await.expect("the bug is gone");
    node.turn("sick", [complete()]).await;
    assert!(node.is_closed("sick").await);
    assert_eq!(node.list(IN_TROUBLE).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_parked_run_misses_nothing_that_others_owe_it() {
    let node = Node::with_fault(poison).await;
    node.begin("parent").await;
    node.begin("friend").await;
    node.turn("parent", [child("child")]).await;
    node.wait_for("parent", "child_workflow_execution_started").await;
    node.signal("parent", "poison").await.unwrap_err();

    node.turn("child", [complete()]).await;
    node.turn("friend", [signal_other("parent", "hello"), child("other")]).await;
    // What is owed to others does not wait for the parked run.
    node.turn("other", [complete()]).await;
    node.wait_for("friend", "child_workflow_execution_completed").await;

    let node = node.restart_with(Settings::default()).await;
    node.wait_for("parent", "child_workflow_execution_completed").await;
    node.wait_for("parent", "workflow_execution_signaled").await;
    node.wait_for("friend", "external_workflow_execution_signaled").await;
    let closed = node.history("parent").await.iter().filter(|it| it.contains("child_workflow_execution_comp")).count();
    assert_eq!(closed, 1);
}

#[tokio::test]
async fn a_panicking_start_makes_no_run_and_harms_no_other() {
    let node = Node::with_fault(poison).await;
    let refused = node.try_begin_on("poison", "q").await.unwrap_err();
    assert_eq!(refused, Error::StartPanicked("a bug".into()));
    assert_eq!(node.list("").await, Vec::<String>::new());

    node.begin("parent").await;
    node.turn("parent", [child("poison"), child("well")]).await;
    node.turn("well", [complete()]).await;
    node.wait_for("parent", "child_workflow_execution_completed").await;

    let node = node.restart_with(Settings::default()).await;
    node.turn("poison", [complete()]).await;
}

fn poison(stepping: Stepping<'_>) {
    let bad = match stepping {
        Stepping::Start(start) => start.workflow_id == "poison",
        Stepping::Input(Input::Signal(signal)) => signal.name == "poison",
        Stepping::Input(_) => false,
    };
    assert!(!bad, "a bug");
}
