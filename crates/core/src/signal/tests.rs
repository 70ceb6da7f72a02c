use super::*;
use crate::{step::Input, testkit::*};
use expect_test::expect;

#[test]
fn a_signal_wakes_the_workflow_once_for_each_request() {
    let mut run = Run::started();
    run.complete_task([]);
    for _ in 0..2 {
        run.done(signal_once("hello", "1"));
        run.crash();
    }
    run.signal("plain");
    run.signal("plain");
    run.expect_history_from(
        5,
        expect![[r#"
         5 WorkflowExecutionSignaled          hello
         6 WorkflowTaskScheduled
         7 WorkflowExecutionSignaled          plain
         8 WorkflowExecutionSignaled          plain
    "#]],
    );
}

#[test]
fn a_repeated_signal_behind_a_running_task_is_taken_once() {
    let mut run = Run::started();
    run.poll();
    run.done(signal_once("hello", "1"));
    run.done(signal_once("hello", "1"));
    run.complete_task([]);
    run.expect_history_from(
        4,
        expect![[r#"
         4 WorkflowTaskCompleted
         5 WorkflowExecutionSignaled          hello
         6 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn too_many_signals_are_refused_with_number_and_limit() {
    let mut run = Run::limited(|it| it.signals_per_run_max = 2);
    run.complete_task([]);
    run.signal("1");
    run.signal("2");
    let text = run.step(signal("3")).expect_err("two are all").to_string();
    expect!["exceeded workflow execution limit for signal events: 2 signals, limit 2"].assert_eq(&text);
}

#[test]
fn signals_that_wait_count_towards_the_limit() {
    let mut run = Run::limited(|it| it.signals_per_run_max = 2);
    run.poll();
    run.signal("1");
    run.signal("2");
    assert!(run.step(signal("3")).is_err());
}

#[test]
fn a_cancel_request_is_recorded_once() {
    let mut run = Run::started();
    run.complete_task([]);
    run.request_cancel();
    run.request_cancel();
    run.poll();
    run.request_cancel();
    run.complete_task([cancel_workflow()]);
    run.request_cancel();
    run.expect_history_from(
        5,
        expect![[r#"
         5 WorkflowExecutionCancelRequested   enough
         6 WorkflowTaskScheduled
         7 WorkflowTaskStarted
         8 WorkflowTaskCompleted
         9 WorkflowExecutionCanceled          details=cancelled
    "#]],
    );
}

#[test]
fn a_cancel_request_behind_a_running_task_is_recorded_once() {
    let mut run = Run::started();
    run.poll();
    run.request_cancel();
    run.request_cancel();
    run.complete_task([]);
    run.expect_history_from(
        4,
        expect![[r#"
         4 WorkflowTaskCompleted
         5 WorkflowExecutionCancelRequested   enough
         6 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn a_cancel_request_for_another_chain_or_child_is_refused() {
    let mut run = Run::started_as_child();
    let request = |first: Option<u128>, parent: Option<u128>| {
        let Input::RequestCancel(request) = request_cancel() else { unreachable!() };
        Input::RequestCancel(crate::step::CancelRequest {
            first_run_id: first.map(uuid::Uuid::from_u128),
            child_only: parent.map(uuid::Uuid::from_u128),
            ..request
        })
    };
    assert_eq!(run.step(request(Some(2), None)).expect_err("another chain"), Rejection::NotThisExecution);
    assert_eq!(run.step(request(None, Some(78))).expect_err("another parent"), Rejection::NotThisExecution);
    run.done(request(Some(1), Some(77)));
}
