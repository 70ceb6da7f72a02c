use super::*;
use crate::{step::Input, testkit::*};
use api::{common::v1::WorkflowType, enums::v1::CommandType};
use expect_test::expect;

const CHILD: Uuid = Uuid::from_u128(9);

/// A run with the child `c`, initiated by event 5.
fn with_child() -> Run {
    let mut run = Run::started();
    run.complete_task([start_child("c")]);
    run
}

#[test]
fn a_child_starts_and_completes() {
    let mut run = with_child();
    run.expect_transfers(expect![[r#"
        start c of 5
    "#]]);
    run.done(Input::ChildStarted { initiated: 5, run_id: CHILD });
    run.complete_task([]);
    run.done(child_closed(5, "c", CHILD, completed()));
    run.expect_history_from(
        5,
        expect![[r#"
         5 StartChildWorkflowExecutionInitiated c
         6 ChildWorkflowExecutionStarted      initiated=5 c
         7 WorkflowTaskScheduled
         8 WorkflowTaskStarted
         9 WorkflowTaskCompleted
        10 ChildWorkflowExecutionCompleted    initiated=5 started=6 result=child's result
        11 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn every_end_of_a_child_is_told() {
    for outcome in [completed(), failed(), canceled(), timed_out(), terminated()] {
        let mut run = with_child();
        run.done(Input::ChildStarted { initiated: 5, run_id: CHILD });
        run.done(child_closed(5, "c", CHILD, outcome));
        assert!(run.state.recorded.children.is_empty());
        assert_eq!(run.history.len(), 8);
    }
}

#[test]
fn a_child_that_closed_before_its_start_was_reported_has_started_too() {
    let mut run = with_child();
    run.done(child_closed(5, "c", CHILD, failed()));
    run.done(Input::ChildStarted { initiated: 5, run_id: CHILD });
    run.expect_history_from(
        5,
        expect![[r#"
         5 StartChildWorkflowExecutionInitiated c
         6 ChildWorkflowExecutionStarted      initiated=5 c
         7 ChildWorkflowExecutionFailed       initiated=5 started=6 failure=Oops(child broke)
         8 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn the_same_behind_a_running_task() {
    let mut run = with_child();
    run.signal("wake");
    run.poll();
    run.done(child_closed(5, "c", CHILD, completed()));
    run.done(child_closed(5, "c", CHILD, completed()));
    run.done(Input::ChildStarted { initiated: 5, run_id: CHILD });
    run.complete_task([]);
    run.expect_history_from(
        8,
        expect![[r#"
         8 WorkflowTaskStarted
         9 WorkflowTaskCompleted
        10 ChildWorkflowExecutionStarted      initiated=5 c
        11 ChildWorkflowExecutionCompleted    initiated=5 started=10 result=child's result
        12 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn reports_are_taken_once() {
    let mut run = with_child();
    for _ in 0..2 {
        run.done(Input::ChildStarted { initiated: 5, run_id: CHILD });
    }
    let cause = StartChildWorkflowExecutionFailedCause::WorkflowAlreadyExists;
    run.done(Input::ChildStartFailed { initiated: 5, cause });
    for _ in 0..2 {
        run.done(child_closed(5, "c", CHILD, completed()));
    }
    assert!(!run.last.changed);
    run.expect_history_from(
        5,
        expect![[r#"
         5 StartChildWorkflowExecutionInitiated c
         6 ChildWorkflowExecutionStarted      initiated=5 c
         7 WorkflowTaskScheduled
         8 ChildWorkflowExecutionCompleted    initiated=5 started=6 result=child's result
    "#]],
    );
}

#[test]
fn a_report_of_another_child_is_ignored() {
    let mut run = with_child();
    run.done(child_closed(5, "other", CHILD, completed()));
    run.done(child_closed(50, "c", CHILD, completed()));
    run.done(Input::ChildStarted { initiated: 50, run_id: CHILD });
    assert_eq!(run.history.len(), 5);
}

#[test]
fn a_child_that_cannot_start_is_told() {
    let mut run = with_child();
    let cause = StartChildWorkflowExecutionFailedCause::WorkflowAlreadyExists;
    for _ in 0..2 {
        run.done(Input::ChildStartFailed { initiated: 5, cause });
    }
    run.expect_history_from(
        5,
        expect![[r#"
         5 StartChildWorkflowExecutionInitiated c
         6 StartChildWorkflowExecutionFailed  initiated=5 WorkflowAlreadyExists
         7 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn children_end_as_their_policy_says() {
    let children = || {
        [
            start_child("plain"),
            start_child_closing("abandoned", ParentClosePolicy::Abandon),
            start_child_closing("cancelled", ParentClosePolicy::RequestCancel),
            start_child_closing("terminated", ParentClosePolicy::Terminate),
        ]
    };
    for end in [complete_workflow(), fail_workflow(application_failure("no")), cancel_workflow(), continue_as_new()] {
        let mut run = Run::started();
        run.complete_task(children());
        for initiated in 5..9 {
            run.done(Input::ChildStarted { initiated, run_id: CHILD });
        }
        run.transfers.clear();
        run.complete_task([end]);
        run.expect_transfers(expect![[r#"
            terminate child plain
            cancel child cancelled
            terminate child terminated
        "#]]);
    }
}

#[test]
fn a_closed_parent_takes_reports_without_a_word() {
    let mut run = with_child();
    run.terminate();
    run.done(Input::ChildStarted { initiated: 5, run_id: CHILD });
    run.done(child_closed(5, "c", CHILD, completed()));
}

#[test]
fn bad_child_commands_fail_the_task() {
    let refused = |command: api::command::v1::Command| Run::started().refused([command]);
    expect!["BadStartChildExecutionAttributes: StartChildWorkflowExecutionCommandAttributes is not set on StartChildWorkflowExecutionCommand."].assert_eq(&refused(bare(CommandType::StartChildWorkflowExecution)));
    expect!["BadStartChildExecutionAttributes: Required field WorkflowId is not set on StartChildWorkflowExecutionCommand. WorkflowType=C Namespace="].assert_eq(&refused(start_child("")));
    expect!["BadStartChildExecutionAttributes: Required field WorkflowType is not set on StartChildWorkflowExecutionCommand. WorkflowId=c Namespace="].assert_eq(&refused(start_child_with("c", |it| it.workflow_type = None)));
    expect!["BadStartChildExecutionAttributes: cross namespace commands are not allowed"]
        .assert_eq(&refused(start_child_with("c", |it| it.namespace = "other".into())));
    let negative = Some(prost_types::Duration { seconds: -1, nanos: 0 });
    expect!["BadStartChildExecutionAttributes: Invalid WorkflowRunTimeout on StartChildWorkflowExecutionCommand: negative duration. WorkflowId=c WorkflowType=C Namespace="].assert_eq(&refused(start_child_with("c", |it| it.workflow_run_timeout = negative)));
    expect!["BadStartChildExecutionAttributes: invalid CronSchedule on StartChildWorkflowExecutionCommand: invalid CronSchedule.. WorkflowId=c WorkflowType=C Namespace="].assert_eq(&refused(start_child_with("c", |it| it.cron_schedule = "often".into())));
    expect!["BadStartChildExecutionAttributes: invalid TaskQueue on StartChildWorkflowExecutionCommand: task queue name cannot start with reserved prefix /_sys/. WorkflowId=c WorkflowType=C Namespace="].assert_eq(&refused(start_child_with("c", |it| it.task_queue = queue("/_sys/x"))));
    let attributes = api::common::v1::SearchAttributes { indexed_fields: [("nope".to_owned(), payload("1"))].into() };
    expect!["BadSearchAttributes: invalid SearchAttributes on StartChildWorkflowCommand: Namespace default has no mapping defined for search attribute nope. WorkflowId=c WorkflowType=C Namespace="].assert_eq(&refused(start_child_with("c", |it| it.search_attributes = Some(attributes))));
    let long = WorkflowType { name: "x".repeat(1_001) };
    let text = refused(start_child_with("c", |it| it.workflow_type = Some(long)));
    expect!["BadStartChildExecutionAttributes: WorkflowType on StartChildWorkflowExecutionCommand exceeds length limit. WorkflowId=c Length=1001 Limit=1000 WorkflowType=… Namespace="].assert_eq(&text.replace(&"x".repeat(1_001), "…"));
    let mut run = Run::limited(|it| it.pending_children_max = 1);
    expect!["PendingChildWorkflowsLimitExceeded: the number of pending child workflow executions, 1, has reached the per-workflow limit of 1"].assert_eq(&run.refused([start_child("a"), start_child("b")]));
}
