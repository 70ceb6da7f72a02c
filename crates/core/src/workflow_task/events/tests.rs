use crate::testkit::*;
use expect_test::expect;

#[test]
fn a_failed_task_is_tried_again_and_further_failures_leave_no_trace() {
    let mut run = Run::started();
    run.fail_task();
    run.fail_task();
    run.fail_task();
    run.complete_task([]);

    run.expect_history(expect![[r#"
         1 WorkflowExecutionStarted
         2 WorkflowTaskScheduled
         3 WorkflowTaskStarted
         4 WorkflowTaskFailed                 WorkflowWorkerUnhandledFailure failure=Oops(worker broke)
         5 WorkflowTaskScheduled              attempt=4 timeout=15s
         6 WorkflowTaskStarted
         7 WorkflowTaskCompleted
    "#]]);
}

#[test]
fn a_transient_task_shows_its_worker_the_pair_that_history_lacks() {
    let mut run = Run::started();
    run.fail_task();
    let polled = run.poll();

    assert_eq!((polled.attempt, polled.scheduled, polled.started), (2, 5, 6));
    assert_eq!((polled.history_from, polled.history_until), (1, 5));
    let extra: Vec<String> = polled.extra.iter().map(shown).collect();
    assert_eq!(extra, ["5 WorkflowTaskScheduled              attempt=2", "6 WorkflowTaskStarted"]);
}

#[test]
fn something_that_happens_before_a_transient_task_starts_makes_it_a_first_attempt() {
    let mut run = Run::started();
    run.fail_task();
    run.signal("hello");
    run.complete_task([]);

    run.expect_history_from(
        4,
        expect![[r#"
         4 WorkflowTaskFailed                 WorkflowWorkerUnhandledFailure failure=Oops(worker broke)
         5 WorkflowExecutionSignaled          hello
         6 WorkflowTaskScheduled
         7 WorkflowTaskStarted
         8 WorkflowTaskCompleted
    "#]],
    );
}

#[test]
fn something_that_happens_while_a_transient_task_runs_comes_after_it() {
    let mut run = Run::started();
    run.fail_task();
    run.poll();
    run.signal("hello");
    run.complete_task([]);

    run.expect_history_from(
        4,
        expect![[r#"
         4 WorkflowTaskFailed                 WorkflowWorkerUnhandledFailure failure=Oops(worker broke)
         5 WorkflowTaskScheduled              attempt=2
         6 WorkflowTaskStarted
         7 WorkflowTaskCompleted
         8 WorkflowExecutionSignaled          hello
         9 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn what_waited_behind_a_failed_transient_task_makes_the_next_a_first_attempt() {
    let mut run = Run::started();
    run.fail_task();
    run.poll();
    run.signal("hello");
    run.fail_task();
    run.complete_task([]);

    run.expect_history_from(
        4,
        expect![[r#"
         4 WorkflowTaskFailed                 WorkflowWorkerUnhandledFailure failure=Oops(worker broke)
         5 WorkflowExecutionSignaled          hello
         6 WorkflowTaskScheduled
         7 WorkflowTaskStarted
         8 WorkflowTaskCompleted
    "#]],
    );
}
