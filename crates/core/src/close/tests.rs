use super::*;
use crate::testkit::terminate;
use crate::{
    step::{Input, Rejection},
    testkit::*,
    time::wire,
};
use expect_test::expect;

#[test]
fn a_run_completes() {
    let mut run = Run::started();
    run.complete_task([complete_workflow()]);
    assert!(run.last.visibility && run.last.durable);
    run.expect_history_from(
        4,
        expect![[r#"
         4 WorkflowTaskCompleted
         5 WorkflowExecutionCompleted         result=done
    "#]],
    );
    assert!(run.successor.is_none());
}

#[test]
fn a_closed_run_refuses_and_ignores() {
    let mut run = Run::started();
    run.complete_task([schedule_activity("a"), start_timer("t", secs(5))]);
    run.start_activity("a");
    let token = run.activity_token("a");
    run.signal("end");
    run.complete_task([complete_workflow()]);

    let complete = Input::CompleteActivity { activity: token, result: None, identity: String::new() };
    for input in [signal("late"), terminate(), complete] {
        assert_eq!(run.step(input).expect_err("it is closed"), Rejection::Closed);
    }
    run.request_cancel();
    run.done(Input::Wake);
    run.advance(mins(60));
    assert_eq!(run.history.len(), 11);
}

#[test]
fn a_failed_run_says_why_it_is_not_retried() {
    let mut run = Run::started();
    run.complete_task([fail_workflow(application_failure("broke"))]);
    run.expect_history_from(
        5,
        expect![[r#"
         5 WorkflowExecutionFailed            RetryPolicyNotSet failure=Oops(broke)
    "#]],
    );

    let mut run = Run::started_with(|it| it.retry_policy = retry_policy(5));
    run.complete_task([fail_workflow(non_retryable_failure("broke"))]);
    run.expect_history_from(
        5,
        expect![[r#"
         5 WorkflowExecutionFailed            NonRetryableFailure failure=Oops(broke)
    "#]],
    );
}

#[test]
fn a_failed_run_is_retried_by_a_run_after_it() {
    let mut run = Run::started_with(|it| {
        it.retry_policy = retry_policy(3);
        it.input = Some(payloads("input"));
    });
    run.complete_task([fail_workflow(application_failure("first"))]);
    run.expect_history_from(
        4,
        expect![[r#"
         4 WorkflowTaskCompleted
         5 WorkflowExecutionFailed            InProgress failure=Oops(first) next=yes
    "#]],
    );

    let mut run = run.next_run();
    run.expect_history(expect![[r#"
         1 WorkflowExecutionStarted           backoff=1s attempt=2 by=Retry input=input failed=Oops(first)
    "#]]);
    run.advance(secs(1));
    run.complete_task([fail_workflow(application_failure("second"))]);

    let mut run = run.next_run();
    run.advance(secs(2));
    run.complete_task([fail_workflow(application_failure("third"))]);
    run.expect_history(expect![[r#"
         1 WorkflowExecutionStarted           backoff=2s attempt=3 by=Retry input=input failed=Oops(second)
         2 WorkflowTaskScheduled
         3 WorkflowTaskStarted
         4 WorkflowTaskCompleted
         5 WorkflowExecutionFailed            MaximumAttemptsReached failure=Oops(third)
    "#]]);
    assert!(run.successor.is_none());
    assert_eq!(run.state.start.event.first_execution_run_id, Uuid::from_u128(1).to_string());
}

#[test]
fn a_run_that_times_out_is_retried_within_the_execution() {
    let mut run = Run::started_with(|it| {
        it.workflow_run_timeout = wire(secs(10));
        it.workflow_execution_timeout = wire(secs(25));
        it.retry_policy = retry_policy(0);
    });
    run.advance(secs(10));
    run.expect_history_from(
        2,
        expect![[r#"
         2 WorkflowTaskScheduled
         3 WorkflowExecutionTimedOut          InProgress next=yes
    "#]],
    );
    let mut run = run.next_run();
    run.advance(secs(11));
    run.expect_history_from(
        2,
        expect![[r#"
         2 WorkflowTaskScheduled
         3 WorkflowExecutionTimedOut          InProgress next=yes
    "#]],
    );
    let mut run = run.next_run();
    run.advance(secs(10));
    run.expect_history(expect![[r#"
         1 WorkflowExecutionStarted           backoff=2s attempt=3 by=Retry failed=StartToClose(workflow timeout)
         2 WorkflowTaskScheduled
         3 WorkflowExecutionTimedOut          Timeout
    "#]]);
    assert!(run.successor.is_none(), "the execution is over");
}

#[test]
fn a_run_that_times_out_ends_the_running_task() {
    let mut run = Run::started_with(|it| it.workflow_run_timeout = wire(secs(8)));
    run.poll();
    run.signal("hello");
    run.advance(secs(8));
    run.expect_history_from(
        3,
        expect![[r#"
         3 WorkflowTaskStarted
         4 WorkflowTaskFailed                 ForceCloseCommand
         5 WorkflowExecutionSignaled          hello
         6 WorkflowExecutionTimedOut          RetryPolicyNotSet
    "#]],
    );
}

#[test]
fn a_cron_run_comes_again() {
    let mut run = Run::started_with(|it| it.cron_schedule = "@every 30s".into());
    run.expect_history(expect![[r#"
        1 WorkflowExecutionStarted           backoff=30s by=CronSchedule
    "#]]);
    run.advance(secs(30));
    run.complete_task([complete_workflow()]);
    run.expect_history_from(
        2,
        expect![[r#"
         2 WorkflowTaskScheduled
         3 WorkflowTaskStarted
         4 WorkflowTaskCompleted
         5 WorkflowExecutionCompleted         result=done next=yes
    "#]],
    );

    let mut run = run.next_run();
    run.advance(secs(30));
    run.complete_task([fail_workflow(application_failure("broke"))]);
    run.expect_history(expect![[r#"
         1 WorkflowExecutionStarted           backoff=30s by=CronSchedule last=done
         2 WorkflowTaskScheduled
         3 WorkflowTaskStarted
         4 WorkflowTaskCompleted
         5 WorkflowExecutionFailed            RetryPolicyNotSet failure=Oops(broke) next=yes
    "#]]);

    let run = run.next_run();
    run.expect_history(expect![[r#"
         1 WorkflowExecutionStarted           backoff=30s by=CronSchedule last=done failed=Oops(broke)
    "#]]);
}

#[test]
fn a_cancelled_cron_run_does_not_come_again() {
    let mut run = Run::started_with(|it| it.cron_schedule = "@every 30s".into());
    run.advance(secs(30));
    run.complete_task([cancel_workflow()]);
    assert!(run.successor.is_none());
}

#[test]
fn a_run_continues_as_new() {
    let mut run = Run::started();
    run.complete_task([continue_as_new()]);
    run.expect_history_from(
        4,
        expect![[r#"
         4 WorkflowTaskCompleted
         5 WorkflowExecutionContinuedAsNew    by=Workflow input=next
    "#]],
    );
    let run = run.next_run();
    run.expect_history(expect![[r#"
        1 WorkflowExecutionStarted           backoff=1s by=Workflow input=next
    "#]]);
    assert_eq!(run.state.start.event.continued_execution_run_id, Uuid::from_u128(1).to_string());
    assert_eq!(run.state.start.event.first_execution_run_id, Uuid::from_u128(1).to_string());
    assert_eq!(run.state.start.workflow_type(), "W");
}

#[test]
fn a_run_that_continues_at_once_leaves_its_children_behind() {
    let mut run = Run::started();
    run.complete_task([start_child("c")]);
    run.done(Input::ChildStarted { initiated: 5, run_id: Uuid::from_u128(9) });
    run.advance(secs(1));
    run.complete_task([continue_as_new()]);
    run.expect_transfers(expect![[r#"
        start c of 5
        terminate child c
    "#]]);
    let run = run.next_run();
    run.expect_history(expect![[r#"
        1 WorkflowExecutionStarted           by=Workflow input=next
        2 WorkflowTaskScheduled
    "#]]);
    assert!(run.state.recorded.children.is_empty());
}

#[test]
fn a_run_continues_as_something_else_and_later() {
    let mut run = Run::started();
    run.complete_task([continue_as_new_with(|it| {
        it.workflow_type = Some(api::common::v1::WorkflowType { name: "Other".into() });
        it.task_queue = queue("elsewhere");
        it.backoff_start_interval = wire(secs(5));
    })]);
    let mut run = run.next_run();
    assert_eq!((run.state.start.workflow_type(), run.state.start.task_queue()), ("Other", "elsewhere"));
    run.signal("meanwhile");
    run.advance(secs(5));
    run.expect_history(expect![[r#"
         1 WorkflowExecutionStarted           backoff=5s by=Workflow input=next
         2 WorkflowExecutionSignaled          meanwhile
         3 WorkflowTaskScheduled
    "#]]);
}

#[test]
fn a_parent_hears_of_the_end_of_the_chain_only() {
    let mut run = Run::started_as_child();
    run.complete_task([continue_as_new()]);
    run.expect_transfers(expect![[r#""#]]);
    let mut run = run.next_run();
    run.advance(secs(1));
    run.complete_task([complete_workflow()]);
    run.expect_transfers(expect![[r#"
        tell parent of 5: 5 WorkflowExecutionCompleted         result=done
    "#]]);
}

#[test]
fn termination_ends_whatever_runs() {
    let mut run = Run::started();
    run.terminate();
    run.expect_history_from(
        2,
        expect![[r#"
         2 WorkflowTaskScheduled
         3 WorkflowExecutionTerminated        stop by=client
    "#]],
    );

    let mut run = Run::started();
    run.poll();
    run.signal("unseen");
    run.terminate();
    run.expect_history_from(
        3,
        expect![[r#"
         3 WorkflowTaskStarted
         4 WorkflowTaskFailed                 ForceCloseCommand
         5 WorkflowExecutionSignaled          unseen
         6 WorkflowExecutionTerminated        stop by=client
    "#]],
    );

    let mut run = Run::started();
    run.fail_task();
    run.poll();
    run.signal("unseen");
    run.terminate();
    run.expect_history_from(
        4,
        expect![[r#"
         4 WorkflowTaskFailed                 WorkflowWorkerUnhandledFailure failure=Oops(worker broke)
         5 WorkflowExecutionSignaled          unseen
         6 WorkflowExecutionTerminated        stop by=client
    "#]],
    );
}

#[test]
fn termination_drops_a_task_that_carries_updates_only() {
    let mut run = Run::started();
    run.complete_task([]);
    run.update("u");
    run.poll();
    run.terminate();
    run.expect_history_from(
        4,
        expect![[r#"
         4 WorkflowTaskCompleted
         5 WorkflowExecutionTerminated        stop by=client
    "#]],
    );
}

#[test]
fn bad_closing_commands_fail_the_task() {
    use api::{command::v1::command::Attributes as C, enums::v1::CommandType};
    let refused = |command: api::command::v1::Command| Run::started().refused([command]);
    expect!["BadCompleteWorkflowExecutionAttributes: CompleteWorkflowExecutionCommandAttributes is not set on CompleteWorkflowExecutionCommand."].assert_eq(&refused(bare(CommandType::CompleteWorkflowExecution)));
    expect!["BadFailWorkflowExecutionAttributes: FailWorkflowExecutionCommandAttributes is not set on FailWorkflowExecutionCommand."].assert_eq(&refused(bare(CommandType::FailWorkflowExecution)));
    expect!["BadCancelWorkflowExecutionAttributes: CancelWorkflowExecutionCommandAttributes is not set on CancelWorkflowExecutionCommand."].assert_eq(&refused(bare(CommandType::CancelWorkflowExecution)));
    expect!["BadContinueAsNewAttributes: ContinueAsNewWorkflowExecutionCommandAttributes is not set on ContinueAsNewWorkflowExecutionCommand."].assert_eq(&refused(bare(CommandType::ContinueAsNewWorkflowExecution)));
    let no_failure = C::FailWorkflowExecutionCommandAttributes(Default::default());
    expect!["BadFailWorkflowExecutionAttributes: Failure is not set on FailWorkflowExecutionCommand."]
        .assert_eq(&refused(command(CommandType::FailWorkflowExecution, no_failure)));
    let negative = Some(prost_types::Duration { seconds: -1, nanos: 0 });
    expect!["BadContinueAsNewAttributes: Invalid WorkflowRunTimeout on ContinueAsNewWorkflowExecutionCommand: negative duration. WorkflowType=W TaskQueue=q"].assert_eq(&refused(continue_as_new_with(|it| it.workflow_run_timeout = negative)));
    expect!["BadContinueAsNewAttributes: error validating ContinueAsNewWorkflowExecutionCommand TaskQueue: task queue name cannot start with reserved prefix /_sys/. WorkflowType=W TaskQueue=/_sys/x"].assert_eq(&refused(continue_as_new_with(|it| it.task_queue = queue("/_sys/x"))));
}

#[test]
fn a_result_that_never_fits_ends_the_run() {
    let mut run = Run::limited(|it| it.blob_size_bytes_max = 100);
    run.refused([complete_workflow_with(Some(large(200)))]);
    run.expect_history_from(4, expect![[r#"
        4 WorkflowTaskFailed                 BadScheduleActivityAttributes failure=Server(BadScheduleActivityAttributes: CompleteWorkflowExecutionCommandAttributes.Result exceeds size limit. Size=230 Limit=100)
        5 WorkflowExecutionTerminated        BadScheduleActivityAttributes: CompleteWorkflowExecutionCommandAttributes.Result exceeds size limit. Size=230 Limit=100 by=history-service
    "#]]);
}
