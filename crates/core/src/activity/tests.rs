use super::*;
use crate::{step::Input, testkit::*, time::wire};
use expect_test::expect;

#[test]
fn a_completed_activity_is_written_with_its_start() {
    let mut run = Run::started();
    run.complete_task([schedule_activity("a")]);
    let polled = run.start_activity("a");
    assert_eq!(polled.activity.attempt.attempt, 1);
    assert_eq!(run.history.len(), 5, "a start alone is not written");
    run.complete_activity("a", "fine");

    run.expect_history(expect![[r#"
         1 WorkflowExecutionStarted
         2 WorkflowTaskScheduled
         3 WorkflowTaskStarted
         4 WorkflowTaskCompleted
         5 ActivityTaskScheduled              a run=10s
         6 ActivityTaskStarted                scheduled=5 attempt=1
         7 ActivityTaskCompleted              scheduled=5 started=6 result=fine
         8 WorkflowTaskScheduled
    "#]]);
}

#[test]
fn a_counted_attempt_is_durable() {
    let mut run = Run::started();
    run.complete_task([schedule_activity_with("a", |it| it.retry_policy = retry_policy(3))]);
    run.start_activity("a");
    assert!(run.last.durable);
}

#[test]
fn an_activity_that_nobody_takes_times_out_for_good() {
    let mut run = Run::started();
    run.complete_task([schedule_activity_with("a", |it| it.schedule_to_start_timeout = wire(secs(5)))]);
    run.advance(secs(5));
    run.expect_history_from(5, expect![[r#"
         5 ActivityTaskScheduled              a to-start=5s run=10s
         6 ActivityTaskTimedOut               scheduled=5 started=0 Timeout failure=ScheduleToStart(activity ScheduleToStart timeout)
         7 WorkflowTaskScheduled
    "#]]);
}

#[test]
fn an_attempt_that_takes_too_long_is_retried() {
    let mut run = Run::started();
    run.complete_task([schedule_activity_with("a", |it| it.retry_policy = retry_policy(2))]);
    run.start_activity("a");
    run.advance(secs(10));
    assert_eq!(run.attempt("a").phase, ActivityPhase::BackingOff);
    run.advance(secs(1));
    run.start_activity("a");
    run.advance(secs(10));
    run.expect_history_from(6, expect![[r#"
         6 ActivityTaskStarted                scheduled=5 attempt=2 last=StartToClose(activity StartToClose timeout)
         7 ActivityTaskTimedOut               scheduled=5 started=6 MaximumAttemptsReached failure=StartToClose(activity StartToClose timeout) <- StartToClose(activity StartToClose timeout)
         8 WorkflowTaskScheduled
    "#]]);
}

#[test]
fn the_heart_must_beat() {
    let mut run = Run::started();
    run.complete_task([schedule_activity_with("a", |it| {
        it.heartbeat_timeout = wire(secs(3));
        it.retry_policy = retry_policy(1);
    })]);
    run.start_activity("a");
    for n in 0..3 {
        run.advance(secs(2));
        assert!(!run.heartbeat("a", &n.to_string()));
        assert!(run.last.durable, "a checkpoint is promised to the next attempt");
    }
    run.advance(secs(3));
    run.expect_history_from(6, expect![[r#"
         6 ActivityTaskStarted                scheduled=5 attempt=1
         7 ActivityTaskTimedOut               scheduled=5 started=6 MaximumAttemptsReached failure=Heartbeat@2(activity Heartbeat timeout)
         8 WorkflowTaskScheduled
    "#]]);
}

#[test]
fn a_timeout_may_be_listed_as_final() {
    let mut run = Run::started();
    run.complete_task([schedule_activity_with("a", |it| {
        it.retry_policy.get_or_insert_default().non_retryable_error_types = vec!["TemporalTimeout:StartToClose".into()];
    })]);
    run.start_activity("a");
    run.advance(secs(10));
    run.expect_history_from(6, expect![[r#"
         6 ActivityTaskStarted                scheduled=5 attempt=1
         7 ActivityTaskTimedOut               scheduled=5 started=6 NonRetryableFailure failure=StartToClose(activity StartToClose timeout)
         8 WorkflowTaskScheduled
    "#]]);
}

#[test]
fn all_attempts_together_end_with_schedule_to_close() {
    let mut run = Run::started();
    run.complete_task([schedule_activity_with("a", |it| it.schedule_to_close_timeout = wire(secs(15)))]);
    run.start_activity("a");
    run.advance(secs(10));
    run.advance(secs(1));
    run.start_activity("a");
    run.heartbeat("a", "half");
    run.advance(secs(10));
    run.expect_history_from(5, expect![[r#"
         5 ActivityTaskScheduled              a to-close=15s to-start=15s run=10s
         6 ActivityTaskStarted                scheduled=5 attempt=2 last=StartToClose(activity StartToClose timeout)
         7 ActivityTaskTimedOut               scheduled=5 started=6 Timeout failure=ScheduleToClose@half(Not enough time to schedule next retry before activity ScheduleToClose timeout, giving up retrying) <- StartToClose(activity StartToClose timeout)
         8 WorkflowTaskScheduled
    "#]]);
}

#[test]
fn a_report_of_an_attempt_that_is_over_is_refused() {
    let mut run = Run::started();
    run.complete_task([schedule_activity("a")]);
    run.start_activity("a");
    let old = run.activity_token("a");
    run.fail_activity("a", application_failure("broke"));
    let complete = |activity: ActivityRef| Input::CompleteActivity { activity, result: None, identity: String::new() };
    assert_eq!(run.step(complete(old.clone())).expect_err("it waits"), Rejection::StaleActivity);
    run.advance(secs(1));
    run.start_activity("a");
    assert_eq!(run.step(complete(old)).expect_err("attempt 2 runs"), Rejection::StaleActivity);
    let current = run.activity_token("a");
    run.complete_activity("a", "fine");
    assert_eq!(run.step(complete(current)).expect_err("it is over"), Rejection::StaleActivity);
    assert_eq!(
        run.step(complete(ActivityRef::Id("a".into()))).expect_err("it is over").to_string(),
        "cannot find pending activity with ActivityID a, check workflow execution history for more details"
    );
}

#[test]
fn a_task_of_an_attempt_that_is_over_is_thrown_away() {
    let mut run = Run::started();
    run.complete_task([schedule_activity("a")]);
    let ActivityPhase::Queued { task } = run.attempt("a").phase else { panic!("it waits") };
    run.start_activity("a");
    let start =
        |task: i64| Input::StartActivity { scheduled: 5, task, identity: String::new(), request_id: String::new() };
    assert_eq!(run.step(start(task)).expect_err("it runs"), Rejection::StaleTask { scheduled: 5 });
    run.fail_activity("a", application_failure("broke"));
    run.advance(secs(1));
    assert_eq!(run.step(start(task)).expect_err("another task waits"), Rejection::StaleTask { scheduled: 5 });
}

#[test]
fn by_id_an_activity_completes_even_before_it_starts() {
    let mut run = Run::started();
    run.complete_task([schedule_activity("a")]);
    let activity = ActivityRef::Id("a".into());
    run.done(Input::CompleteActivity { activity, result: Some(payloads("by hand")), identity: "person".into() });
    run.expect_history_from(
        6,
        expect![[r#"
         6 ActivityTaskStarted                scheduled=5 attempt=1
         7 ActivityTaskCompleted              scheduled=5 started=6 result=by hand
         8 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn an_activity_that_has_not_started_is_cancelled_at_once() {
    let mut run = Run::started();
    run.complete_task([schedule_activity("a")]);
    run.signal("stop");
    run.complete_task([cancel_activity(5)]);
    assert!(run.state.recorded.activities.is_empty());
    run.expect_history_from(
        5,
        expect![[r#"
         5 ActivityTaskScheduled              a run=10s
         6 WorkflowExecutionSignaled          stop
         7 WorkflowTaskScheduled
         8 WorkflowTaskStarted
         9 WorkflowTaskCompleted
        10 ActivityTaskCancelRequested        scheduled=5
        11 ActivityTaskCanceled               scheduled=5 started=0 requested=10 details="ACTIVITY_ID_NOT_STARTED"
        12 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn an_activity_that_waits_for_its_retry_is_cancelled_at_once() {
    let mut run = Run::started();
    run.complete_task([schedule_activity("a")]);
    run.start_activity("a");
    run.fail_activity("a", application_failure("broke"));
    run.signal("stop");
    run.complete_task([cancel_activity(5)]);
    run.advance(mins(10));
    run.expect_history_from(
        9,
        expect![[r#"
         9 WorkflowTaskCompleted
        10 ActivityTaskCancelRequested        scheduled=5
        11 ActivityTaskCanceled               scheduled=5 started=0 requested=10 details="ACTIVITY_ID_NOT_STARTED"
        12 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn a_running_activity_hears_of_its_cancellation_by_heartbeat() {
    let mut run = Run::started();
    run.complete_task([schedule_activity("a")]);
    run.start_activity("a");
    assert!(!run.heartbeat("a", "half"));
    assert_eq!(
        run.cancel_activity("a").expect_err("nobody asked").to_string(),
        "unable to mark activity as canceled without activity being request canceled first"
    );
    run.signal("stop");
    run.complete_task([cancel_activity(5)]);
    assert!(run.heartbeat("a", "more"));
    assert!(matches!(run.cancel_activity("a"), Ok(Reply::Done)));
    run.expect_history_from(
        6,
        expect![[r#"
         6 WorkflowExecutionSignaled          stop
         7 WorkflowTaskScheduled
         8 WorkflowTaskStarted
         9 WorkflowTaskCompleted
        10 ActivityTaskCancelRequested        scheduled=5
        11 ActivityTaskStarted                scheduled=5 attempt=1
        12 ActivityTaskCanceled               scheduled=5 started=11 requested=10 details=stopped
        13 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn an_activity_that_ended_behind_the_task_can_still_be_asked_to_stop() {
    let mut run = Run::started();
    run.complete_task([schedule_activity("a")]);
    run.signal("wake");
    run.poll();
    run.start_activity("a");
    run.complete_activity("a", "fine");
    run.complete_task([cancel_activity(5)]);
    run.expect_history_from(
        8,
        expect![[r#"
         8 WorkflowTaskStarted
         9 WorkflowTaskCompleted
        10 ActivityTaskCancelRequested        scheduled=5
        11 ActivityTaskStarted                scheduled=5 attempt=1
        12 ActivityTaskCompleted              scheduled=5 started=11 result=fine
        13 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn an_eager_activity_comes_with_the_reply() {
    let mut run = Run::started();
    let eager = |id| schedule_activity_with(id, |it| it.request_eager_execution = true);
    let done = run.complete_task([eager("a"), schedule_activity("b"), eager("c")]);
    let ids: Vec<_> = done.activities.iter().map(|it| it.activity.facts.attributes.activity_id.as_str()).collect();
    assert_eq!(ids, ["a", "c"]);
    assert_eq!(run.queue.len(), 1, "it never was in a queue");
    run.complete_activity("a", "fine");
    run.expect_history_from(
        8,
        expect![[r#"
         8 ActivityTaskStarted                scheduled=5 attempt=1
         9 ActivityTaskCompleted              scheduled=5 started=8 result=fine
        10 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn an_eager_activity_of_a_run_that_closes_is_not_handed_out() {
    let mut run = Run::started();
    let eager = schedule_activity_with("a", |it| it.request_eager_execution = true);
    let done = run.complete_task([eager, complete_workflow()]);
    assert!(done.activities.is_empty());
}

#[test]
fn what_is_too_large_fails_the_activity() {
    let limited = || {
        let mut run = Run::limited(|it| it.blob_size_bytes_max = 200);
        run.complete_task([schedule_activity("a")]);
        run.start_activity("a");
        run
    };
    let last = |run: &Run| shown(run.history.iter().rev().nth(1).expect("events"));

    let mut run = limited();
    run.complete_activity("a", &"x".repeat(300));
    expect!["7 ActivityTaskFailed                 scheduled=5 started=6 NonRetryableFailure failure=Server(Complete result exceeds size limit. Size=330 Limit=200)"].assert_eq(&last(&run));

    let mut run = limited();
    run.fail_activity("a", application_failure(&"x".repeat(300)));
    expect!["7 ActivityTaskFailed                 scheduled=5 started=6 NonRetryableFailure failure=Server(Failure exceeds size limit. Size=311 Limit=200)"].assert_eq(&last(&run));

    let mut run = limited();
    assert!(run.heartbeat("a", &"x".repeat(300)), "it may as well stop");
    expect!["7 ActivityTaskFailed                 scheduled=5 started=6 NonRetryableFailure failure=Server(Heartbeat details exceed size limit. Size=330 Limit=200)"].assert_eq(&last(&run));
}

#[test]
fn an_input_that_never_fits_ends_the_run() {
    let mut run = Run::limited(|it| it.blob_size_bytes_max = 200);
    run.refused([schedule_activity_with("a", |it| it.input = Some(large(300)))]);
    run.expect_history_from(3, expect![[r#"
         3 WorkflowTaskStarted
         4 WorkflowTaskFailed                 BadScheduleActivityAttributes failure=Server(BadScheduleActivityAttributes: ScheduleActivityTaskCommandAttributes.Input exceeds size limit. ActivityId=a Size=330 Limit=200)
         5 WorkflowExecutionTerminated        BadScheduleActivityAttributes: ScheduleActivityTaskCommandAttributes.Input exceeds size limit. ActivityId=a Size=330 Limit=200 by=history-service
    "#]]);
}
