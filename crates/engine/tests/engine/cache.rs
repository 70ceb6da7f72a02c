//! Runs come and go from memory, and nobody can tell.

use crate::testkit::{Node, activity, child, complete, timer};
use engine::Settings;
use std::{sync::atomic::Ordering, time::Duration};

#[tokio::test]
async fn mixed_load_with_room_for_one_run_in_memory() {
    let node = Node::with(Settings { loops: 2, runs_cached_per_loop: 1, ..Settings::default() }).await;
    let names: Vec<String> = (0..30).map(|number| format!("w-{number}")).collect();
    for name in &names {
        node.begin(name).await;
    }
    for name in &names {
        node.turn(name, [timer("t", 30), activity("a", name), child(&format!("{name}-child"))]).await;
    }
    for name in &names {
        node.signal(name, "hello").await.expect("it is taken");
        node.wait_for(name, "child_workflow_execution_started").await;
        node.turn(&format!("{name}-child"), [complete()]).await;
    }
    for name in &names {
        let task = node.activity(name).await;
        node.complete_activity(&task, "result").await.expect("it is taken");
        node.wait_for(name, "child_workflow_execution_completed").await;
    }
    node.advance(Duration::from_secs(5)).await;
    for name in &names {
        node.turn(name, []).await;
        node.expect_no_task(name).await;
    }
    node.advance(Duration::from_secs(25)).await;
    for name in &names {
        node.turn(name, [complete()]).await;
        let history = node.history(name).await;
        for event in ["timer_fired", "activity_task_completed", "workflow_execution_signaled"] {
            assert_eq!(history.iter().filter(|it| *it == event).count(), 1, "{event} in {name}: {history:?}");
        }
    }
    let shared = node.handle();
    let counters = &shared.shared().counters;
    assert!(counters.runs_loaded.load(Ordering::Relaxed) > 100, "runs were read back from disk");
    assert!(counters.runs_cached.load(Ordering::Relaxed) <= 4, "and did not stay");
}
