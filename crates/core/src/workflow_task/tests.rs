use super::*;
use crate::{testkit::*, time::wire};
use api::enums::v1::WorkflowTaskFailedCause as Cause;
use expect_test::expect;

#[test]
fn a_task_that_times_out_is_tried_again() {
    let mut run = Run::started();
    run.poll();
    run.advance(secs(9));
    assert!(run.state.workflow_task().is_started());
    run.advance(secs(1));
    run.complete_task([]);

    run.expect_history(expect![[r#"
         1 WorkflowExecutionStarted
         2 WorkflowTaskScheduled
         3 WorkflowTaskStarted
         4 WorkflowTaskTimedOut               StartToClose
         5 WorkflowTaskScheduled              attempt=2
         6 WorkflowTaskStarted
         7 WorkflowTaskCompleted
    "#]]);
}

#[test]
fn the_timeout_of_a_task_that_keeps_failing_grows() {
    let mut run = Run::started();
    let mut waits = Vec::new();
    for _ in 0..13 {
        let started = run.poll().started_at;
        let due = run.state.next_deadline().expect("a started task has a deadline");
        waits.push(due.since(started).as_secs());
        run.advance(due.since(started));
    }
    assert_eq!(waits, [10, 10, 10, 15, 20, 30, 50, 90, 170, 330, 610, 610, 610]);
}

#[test]
fn a_stale_token_is_refused() {
    let mut run = Run::started();
    run.poll();
    let token = run.token();
    run.advance(secs(10));
    let fail = |token: TaskToken| crate::step::Input::FailWorkflowTask {
        token,
        cause: Cause::WorkflowWorkerUnhandledFailure,
        failure: None,
        identity: String::new(),
        binary_checksum: String::new(),
    };
    assert_eq!(run.step(fail(token.clone())).expect_err("the task timed out"), Rejection::StaleWorkflowTask);
    run.poll();
    assert_eq!(run.step(fail(token)).expect_err("another attempt runs"), Rejection::StaleWorkflowTask);
    let token = run.token();
    run.complete_task([]);
    assert_eq!(run.step(fail(token)).expect_err("it is completed"), Rejection::StaleWorkflowTask);
}

#[test]
fn two_starts_of_one_transient_attempt_are_told_apart() {
    let mut run = Run::started();
    run.fail_task();
    run.poll();
    let old = TaskToken { started_at: run.now + secs(1), ..run.token() };
    let input = crate::step::Input::FailWorkflowTask {
        token: old,
        cause: Cause::WorkflowWorkerUnhandledFailure,
        failure: None,
        identity: String::new(),
        binary_checksum: String::new(),
    };
    assert_eq!(run.step(input).expect_err("it was started at another time"), Rejection::StaleWorkflowTask);
}

#[test]
fn a_task_starts_once() {
    let mut run = Run::started();
    let again = |task: i64| crate::step::Input::StartWorkflowTask {
        scheduled: 2,
        task,
        identity: "other".into(),
        request_id: "other".into(),
        sticky: false,
    };
    let waiting = *run.queue.keys().next().expect("a task waits");
    assert!(run.step(again(waiting + 50)).is_err(), "another task of the queue");
    run.poll();
    let rejection = run.step(again(waiting)).expect_err("it runs already");
    assert_eq!(rejection, Rejection::StaleTask { scheduled: 2 });
}

#[test]
fn nobody_waits_for_the_start_of_a_task_to_reach_the_disk() {
    let mut run = Run::started();
    assert!(run.last.durable, "a start is promised");
    run.poll();
    assert!(!run.last.durable);
    run.crash();
    assert!(run.state.workflow_task().is_started(), "a written start is kept");
}

#[test]
fn a_worker_that_has_the_run_cached_gets_only_what_is_new() {
    let mut run = Run::started();
    run.sticky = Some("worker-1");
    run.complete_task([]);
    run.signal("hello");
    let offered = run.offered.last().expect("a task was offered");
    assert_eq!((offered.queue.as_str(), offered.sticky.as_deref()), ("q", Some("worker-1")));
    let polled = run.poll();
    assert_eq!((polled.previous_started, polled.history_from, polled.history_until), (3, 4, 8));
    run.expect_history_from(
        4,
        expect![[r#"
         4 WorkflowTaskCompleted
         5 WorkflowExecutionSignaled          hello
         6 WorkflowTaskScheduled              sticky=worker-1
         7 WorkflowTaskStarted
    "#]],
    );
}

#[test]
fn a_sticky_queue_that_nobody_serves_gives_the_task_up() {
    let mut run = Run::started();
    run.sticky = Some("worker-1");
    run.complete_task([]);
    run.signal("hello");
    run.advance(secs(5));
    assert_eq!(run.offered.last().expect("a task was offered").sticky, None);
    let polled = run.poll();
    assert_eq!((polled.attempt, polled.history_from), (1, 1), "full history, and no failure is counted");
    run.expect_history_from(
        5,
        expect![[r#"
         5 WorkflowExecutionSignaled          hello
         6 WorkflowTaskScheduled              sticky=worker-1
         7 WorkflowTaskTimedOut               ScheduleToStart
         8 WorkflowTaskScheduled
         9 WorkflowTaskStarted
    "#]],
    );
}

#[test]
fn a_sticky_queue_without_poller_gives_the_task_up_at_once() {
    let mut run = Run::started();
    run.sticky = Some("worker-1");
    run.complete_task([]);
    run.signal("hello");
    run.done(crate::step::Input::StickyUnavailable { scheduled: 6 });
    assert_eq!(run.queue.values().next().expect("it waits still").sticky, None);
    run.advance(mins(10));
    assert_eq!(run.history.len(), 6, "no timeout is left");
    let again = run.step(crate::step::Input::StickyUnavailable { scheduled: 6 });
    assert_eq!(again.expect_err("it moved already"), Rejection::StaleTask { scheduled: 6 });
}

#[test]
fn a_failure_in_a_workers_cache_counts_no_attempt() {
    let mut run = Run::started();
    run.sticky = Some("worker-1");
    run.complete_task([]);
    run.signal("hello");
    run.fail_task();
    assert_eq!(run.state.unrecorded.task.sticky, None);
    run.fail_task();
    run.fail_task();

    run.expect_history_from(
        5,
        expect![[r#"
         5 WorkflowExecutionSignaled          hello
         6 WorkflowTaskScheduled              sticky=worker-1
         7 WorkflowTaskStarted
         8 WorkflowTaskFailed                 WorkflowWorkerUnhandledFailure failure=Oops(worker broke)
         9 WorkflowTaskScheduled
        10 WorkflowTaskStarted
        11 WorkflowTaskFailed                 WorkflowWorkerUnhandledFailure failure=Oops(worker broke)
    "#]],
    );
}

#[test]
fn a_reset_sticky_binding_sends_the_next_task_to_everybody() {
    let mut run = Run::started();
    run.sticky = Some("worker-1");
    run.complete_task([]);
    run.done(crate::step::Input::ResetSticky);
    run.signal("hello");
    assert_eq!(run.offered.last().expect("a task was offered").sticky, None);
}

#[test]
fn events_wait_behind_a_running_task_and_completions_come_last() {
    let mut run = Run::started();
    run.complete_task([schedule_activity("a"), start_timer("t", secs(5)), start_child("c")]);
    run.signal("first");
    run.poll();
    run.start_activity("a");
    run.complete_activity("a", "done");
    run.done(crate::step::Input::ChildStarted { initiated: 7, run_id: uuid::Uuid::from_u128(9) });
    run.done(child_closed(7, "c", uuid::Uuid::from_u128(9), completed()));
    run.advance(secs(5));
    run.signal("second");
    run.request_cancel();
    assert_eq!(run.history.len(), 10);
    run.complete_task([]);

    run.expect_history_from(
        8,
        expect![[r#"
         8 WorkflowExecutionSignaled          first
         9 WorkflowTaskScheduled
        10 WorkflowTaskStarted
        11 WorkflowTaskCompleted
        12 ActivityTaskStarted                scheduled=5 attempt=1
        13 ChildWorkflowExecutionStarted      initiated=7 c
        14 TimerFired                         t started=6
        15 WorkflowExecutionSignaled          second
        16 WorkflowExecutionCancelRequested   enough
        17 ActivityTaskCompleted              scheduled=5 started=12 result=done
        18 ChildWorkflowExecutionCompleted    initiated=7 started=13 result=child's result
        19 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn closing_what_has_not_seen_everything_is_refused() {
    let mut run = Run::started();
    run.poll();
    run.signal("hello");
    assert_eq!(run.refused([complete_workflow()]), "UnhandledCommand");
    assert_eq!(run.state.unrecorded.task.attempt, 1, "nobody failed");
    run.complete_task([complete_workflow()]);

    run.expect_history(expect![[r#"
         1 WorkflowExecutionStarted
         2 WorkflowTaskScheduled
         3 WorkflowTaskStarted
         4 WorkflowTaskFailed                 UnhandledCommand failure=Server(UnhandledCommand)
         5 WorkflowExecutionSignaled          hello
         6 WorkflowTaskScheduled
         7 WorkflowTaskStarted
         8 WorkflowTaskCompleted
         9 WorkflowExecutionCompleted         result=done
    "#]]);
}

#[test]
fn every_way_to_close_sees_everything_first() {
    for command in [fail_workflow(application_failure("no")), cancel_workflow(), continue_as_new()] {
        let mut run = Run::started();
        run.poll();
        run.signal("hello");
        assert_eq!(run.refused([command]), "UnhandledCommand");
        assert!(run.state.is_running());
    }
}

#[test]
fn a_closing_run_that_missed_something_is_no_failing_run() {
    let mut run = Run::limited(|limits| limits.workflow_task_attempts_reported = 1);
    run.poll();
    run.signal("hello");
    run.refused([complete_workflow()]);
    assert!(run.state.unrecorded.task.reported_problems.is_empty());
    run.fail_task();
    assert_eq!(
        run.state.unrecorded.task.reported_problems,
        ["category=WorkflowTaskFailed", "cause=WorkflowTaskFailedCauseWorkflowWorkerUnhandledFailure"]
    );
}

#[test]
fn a_task_that_keeps_failing_is_reported_until_it_succeeds() {
    let mut run = Run::started();
    for _ in 0..4 {
        run.fail_task();
    }
    assert!(run.state.unrecorded.task.reported_problems.is_empty());
    run.fail_task();
    assert!(run.last.visibility);
    run.poll();
    run.advance(mins(1));
    assert_eq!(
        run.state.unrecorded.task.reported_problems,
        ["category=WorkflowTaskTimedOut", "cause=WorkflowTaskTimedOutCauseStartToClose"]
    );
    let all = crate::properties::all_search_attributes(&run.state);
    assert!(all.contains_key(crate::properties::REPORTED_PROBLEMS));
    run.complete_task([]);
    assert!(run.last.visibility);
    assert!(run.state.unrecorded.task.reported_problems.is_empty());
}

#[test]
fn too_much_behind_a_running_task_ends_the_task() {
    let mut run = Run::limited(|limits| limits.buffered_events_max = 2);
    run.poll();
    run.signal("1");
    run.signal("2");
    assert!(run.state.workflow_task().is_started());
    run.signal("3");

    run.expect_history_from(
        3,
        expect![[r#"
         3 WorkflowTaskStarted
         4 WorkflowTaskFailed                 ForceCloseCommand
         5 WorkflowExecutionSignaled          1
         6 WorkflowExecutionSignaled          2
         7 WorkflowExecutionSignaled          3
         8 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn what_the_run_asked_for_does_not_end_the_task() {
    let mut run = Run::limited(|limits| limits.buffered_events_max = 1);
    run.complete_task([start_timer("1", secs(1)), start_timer("2", secs(1))]);
    run.signal("wake");
    run.poll();
    run.advance(secs(1));
    run.complete_task([]);

    run.expect_history_from(
        9,
        expect![[r#"
         9 WorkflowTaskStarted
        10 WorkflowTaskCompleted
        11 TimerFired                         1 started=5
        12 TimerFired                         2 started=6
        13 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn an_answer_that_will_never_fit_ends_the_run() {
    let mut run = Run::started();
    run.fail_task_because(Cause::GrpcMessageTooLarge);
    run.expect_history_from(
        3,
        expect![[r#"
         3 WorkflowTaskStarted
         4 WorkflowTaskFailed                 ForceCloseCommand
         5 WorkflowExecutionTerminated        GrpcMessageTooLarge by=history-service
    "#]],
    );
}

#[test]
fn a_long_history_suggests_to_continue_as_new() {
    let mut run = Run::limited(|limits| limits.history_events_suggest_continue_as_new = 8);
    run.complete_task([]);
    run.signal("1");
    run.complete_task([]);
    run.signal("2");
    run.poll();
    let WorkflowTask::Started(task) = run.state.workflow_task() else { panic!("a task runs") };
    assert_eq!(task.suggest_continue_as_new, [SuggestContinueAsNewReason::TooManyHistoryEvents as i32]);
    run.expect_history_from(
        8,
        expect![[r#"
         8 WorkflowTaskCompleted
         9 WorkflowExecutionSignaled          2
        10 WorkflowTaskScheduled
        11 WorkflowTaskStarted                suggest=continue-as-new
    "#]],
    );
}

#[test]
fn a_running_task_survives_a_crash_and_so_does_what_waits_behind_it() {
    let mut run = Run::started();
    run.poll();
    run.signal("hello");
    run.crash();
    run.complete_task([]);
    run.expect_history_from(
        3,
        expect![[r#"
         3 WorkflowTaskStarted
         4 WorkflowTaskCompleted
         5 WorkflowExecutionSignaled          hello
         6 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn the_task_timeout_of_the_run_is_what_a_worker_has() {
    let mut run = Run::started_with(|it| it.workflow_task_timeout = wire(secs(2)));
    run.poll();
    run.advance(secs(2));
    run.expect_history_from(
        2,
        expect![[r#"
         2 WorkflowTaskScheduled              timeout=2s
         3 WorkflowTaskStarted
         4 WorkflowTaskTimedOut               StartToClose
    "#]],
    );
}
