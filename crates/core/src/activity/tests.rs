use super::*;
use crate::{step::Input, testkit::*};
use api::enums::v1::CommandType;
use expect_test::expect;
use std::time::Duration;

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
fn what_a_command_leaves_open_is_filled_in() {
    let mut run = Run::started_with(|it| it.workflow_run_timeout = wire(secs(60)));
    run.complete_task([
        schedule_activity("plain"),
        schedule_activity_with("to-close", |it| {
            it.start_to_close_timeout = None;
            it.schedule_to_close_timeout = wire(secs(30));
        }),
        schedule_activity_with("long", |it| {
            it.start_to_close_timeout = wire(secs(600));
            it.heartbeat_timeout = wire(secs(900));
        }),
    ]);
    run.expect_history_from(
        5,
        expect![[r#"
         5 ActivityTaskScheduled              plain to-close=60s to-start=60s run=10s
         6 ActivityTaskScheduled              to-close to-close=30s to-start=30s run=30s
         7 ActivityTaskScheduled              long to-close=60s to-start=60s run=60s heartbeat=60s
    "#]],
    );

    let facts = &run.state.activity(run.scheduled("plain")).expect("it is pending").facts;
    let policy = facts.attributes.retry_policy.as_ref().expect("a policy is filled in");
    assert_eq!(duration(policy.initial_interval.as_ref()), secs(1));
    assert_eq!(duration(policy.maximum_interval.as_ref()), secs(100));
    assert_eq!((policy.backoff_coefficient, policy.maximum_attempts), (2.0, 0));
    assert_eq!(facts.attributes.task_queue.as_ref().map(|it| it.name.as_str()), Some("q"));
}

#[test]
fn a_failed_attempt_is_retried_after_a_growing_wait() {
    let mut run = Run::started();
    run.complete_task([schedule_activity("a")]);
    let mut waits = Vec::new();
    for _ in 0..9 {
        run.start_activity("a");
        run.fail_activity("a", application_failure("broke"));
        let wait = run.attempt("a").retry_interval.expect("it waits");
        waits.push(wait.as_secs());
        run.advance(wait);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 100, 100]);
    run.start_activity("a");
    run.complete_activity("a", "at last");
    run.expect_history_from(
        5,
        expect![[r#"
         5 ActivityTaskScheduled              a run=10s
         6 ActivityTaskStarted                scheduled=5 attempt=10 last=Oops(broke)
         7 ActivityTaskCompleted              scheduled=5 started=6 result=at last
         8 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn a_retried_attempt_is_written_before_anyone_hears_of_it() {
    let mut run = Run::started();
    run.complete_task([schedule_activity("a")]);
    run.start_activity("a");
    assert!(!run.last.durable, "an attempt that is not counted may be forgotten");
    run.fail_activity("a", application_failure("broke"));
    assert!(run.last.durable);
}

#[test]
fn a_counted_attempt_is_durable() {
    let mut run = Run::started();
    run.complete_task([schedule_activity_with("a", |it| it.retry_policy = retry_policy(3))]);
    run.start_activity("a");
    assert!(run.last.durable);
}

#[test]
fn attempts_end_where_the_policy_says() {
    let mut run = Run::started();
    run.complete_task([schedule_activity_with("a", |it| it.retry_policy = retry_policy(2))]);
    run.start_activity("a");
    run.fail_activity("a", application_failure("first"));
    run.advance(secs(1));
    run.start_activity("a");
    run.fail_activity("a", application_failure("second"));
    run.expect_history_from(
        6,
        expect![[r#"
         6 ActivityTaskStarted                scheduled=5 attempt=2 last=Oops(first)
         7 ActivityTaskFailed                 scheduled=5 started=6 MaximumAttemptsReached failure=Oops(second)
         8 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn some_failures_are_not_retried() {
    let fails = |failure: Failure| {
        let mut run = Run::started();
        run.complete_task([schedule_activity_with("a", |it| {
            it.retry_policy = retry_policy(0);
            it.retry_policy.get_or_insert_default().non_retryable_error_types = vec!["Fatal".into()];
        })]);
        run.start_activity("a");
        run.fail_activity("a", failure);
        shown(run.history.iter().rev().nth(1).expect("events"))
    };
    expect!["7 ActivityTaskFailed                 scheduled=5 started=6 NonRetryableFailure failure=Oops(broke)"]
        .assert_eq(&fails(non_retryable_failure("broke")));
    expect!["7 ActivityTaskFailed                 scheduled=5 started=6 NonRetryableFailure failure=Fatal(broke)"]
        .assert_eq(&fails(application_failure_of("Fatal", "broke")));
    expect![
        "7 ActivityTaskFailed                 scheduled=5 started=6 NonRetryableFailure failure=Canceled(canceled)"
    ]
    .assert_eq(&fails(canceled_failure()));
}

#[test]
fn a_failure_may_say_when_to_try_again() {
    let mut run = Run::started();
    run.complete_task([schedule_activity("a")]);
    run.start_activity("a");
    run.fail_activity("a", failure_with_delay("later", secs(500)));
    assert_eq!(run.attempt("a").retry_interval, Some(secs(500)), "beyond the maximum interval");
    run.advance(secs(500));
    run.start_activity("a");
    run.fail_activity("a", failure_with_delay("at once", Duration::ZERO));
    run.advance(Duration::ZERO);
    assert_eq!(run.start_activity("a").activity.attempt.attempt, 3);
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
fn a_retry_that_would_come_too_late_is_not_waited_for() {
    let mut run = Run::started();
    run.complete_task([schedule_activity_with("a", |it| it.schedule_to_close_timeout = wire(secs(5)))]);
    run.start_activity("a");
    run.fail_activity("a", failure_with_delay("later", secs(6)));
    run.expect_history_from(
        6,
        expect![[r#"
         6 ActivityTaskStarted                scheduled=5 attempt=1
         7 ActivityTaskFailed                 scheduled=5 started=6 Timeout failure=Oops(later)
         8 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn the_next_attempt_gets_what_the_last_one_reported() {
    let mut run = Run::started();
    run.complete_task([schedule_activity("a")]);
    run.start_activity("a");
    run.heartbeat("a", "half");
    run.crash();
    let activity = run.activity_token("a");
    run.done(Input::FailActivity {
        activity,
        failure: Some(application_failure("broke")),
        last_heartbeat: Some(payloads("most")),
        identity: "worker".into(),
    });
    run.crash();
    run.advance(secs(1));
    let polled = run.start_activity("a").activity;
    assert_eq!(polled.attempt.heartbeat_details.as_ref().map(|it| it.0.clone()), Some(payloads("most")));
    assert_eq!(polled.facts.scheduled_at, BEGINNING);
    assert_eq!(polled.attempt.attempt_scheduled_at, BEGINNING + secs(1));
    assert_eq!(polled.attempt.last_failure.as_ref().map(|it| it.message.as_str()), Some("broke"));
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
fn an_activity_that_is_to_stop_is_not_retried() {
    let mut run = Run::started();
    run.complete_task([schedule_activity("a")]);
    run.start_activity("a");
    run.signal("stop");
    run.complete_task([cancel_activity(5)]);
    run.fail_activity("a", application_failure("broke"));
    run.expect_history_from(
        10,
        expect![[r#"
        10 ActivityTaskCancelRequested        scheduled=5
        11 ActivityTaskStarted                scheduled=5 attempt=1
        12 ActivityTaskFailed                 scheduled=5 started=11 CancelRequested failure=Oops(broke)
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
fn what_is_kept_of_a_long_failure_is_cut() {
    let mut run = Run::limited(|it| it.retained_activity_failure_bytes_max = 1_000);
    run.complete_task([schedule_activity("a")]);
    run.start_activity("a");
    run.fail_activity("a", application_failure(&"é".repeat(2_000)));
    let kept = run.attempt("a").last_failure.as_ref().expect("it failed");
    assert!(kept.encoded_len() <= 1_000, "{} bytes are kept", kept.encoded_len());
    assert!(format!("{kept:?}").contains(&"é".repeat(100)), "it still says what went wrong");
}

#[test]
fn bad_activity_commands_fail_the_task() {
    let refused = |command: api::command::v1::Command| Run::started().refused([command]);
    expect!["BadScheduleActivityAttributes: ScheduleActivityTaskCommandAttributes is not set on ScheduleActivityTaskCommand."].assert_eq(&refused(bare(CommandType::ScheduleActivityTask)));
    expect!["BadScheduleActivityAttributes: activityId is not set"].assert_eq(&refused(schedule_activity("")));
    expect!["BadScheduleActivityAttributes: activityType is not set"]
        .assert_eq(&refused(schedule_activity_with("a", |it| it.activity_type = None)));
    expect!["BadScheduleActivityAttributes: a valid StartToCloseTimeout or ScheduleToCloseTimeout must be set on the activity. ActivityId=a ActivityType=A"].assert_eq(&refused(schedule_activity_with("a", |it| it.start_to_close_timeout = None)));
    let negative = Some(prost_types::Duration { seconds: -1, nanos: 0 });
    expect!["BadScheduleActivityAttributes: invalid HeartbeatTimeout: negative duration"]
        .assert_eq(&refused(schedule_activity_with("a", |it| it.heartbeat_timeout = negative)));
    expect!["BadScheduleActivityAttributes: task queue name cannot start with reserved prefix /_sys/"]
        .assert_eq(&refused(schedule_activity_with("a", |it| it.task_queue = queue("/_sys/x"))));
    let interval = |it: &mut ScheduleActivityTaskCommandAttributes| {
        it.retry_policy.get_or_insert_default().initial_interval = negative;
    };
    expect!["BadScheduleActivityAttributes: invalid InitialInterval set on retry policy: negative duration"]
        .assert_eq(&refused(schedule_activity_with("a", interval)));
    let coefficient = |it: &mut ScheduleActivityTaskCommandAttributes| {
        it.retry_policy.get_or_insert_default().backoff_coefficient = 0.5;
    };
    expect!["BadScheduleActivityAttributes: BackoffCoefficient cannot be less than 1 on retry policy."]
        .assert_eq(&refused(schedule_activity_with("a", coefficient)));
    expect!["BadScheduleActivityAttributes: activityId exceeds length limit. Length=1001 Limit=1000"]
        .assert_eq(&refused(schedule_activity(&"a".repeat(1_001))).replace(&"a".repeat(1_001), "…"));
    expect!["ScheduleActivityDuplicateId: invalid history builder state for action: add-activitytask-scheduled-event, ActivityID: a"].assert_eq(&Run::started().refused([schedule_activity("a"), schedule_activity("a")]));
    expect!["BadRequestCancelActivityAttributes: ScheduledEventId is not set on RequestCancelActivityTaskCommand."]
        .assert_eq(&refused(cancel_activity(0)));
    expect!["BadRequestCancelActivityAttributes: invalid history builder state for action: add-activitytask-cancel-requested-event, ScheduledEventID: 9"].assert_eq(&refused(cancel_activity(9)));
    let mut run = Run::started();
    run.complete_task([schedule_activity("a")]);
    run.start_activity("a");
    run.signal("wake");
    expect!["BadRequestCancelActivityAttributes: invalid history builder state for action: add-activitytask-cancel-requested-event, ScheduledEventID: 5"].assert_eq(&run.refused([cancel_activity(5), cancel_activity(5)]));
    let mut run = Run::limited(|it| it.pending_activities_max = 1);
    expect![
        "PendingActivitiesLimitExceeded: the number of pending activities, 1, has reached the per-workflow limit of 1"
    ]
    .assert_eq(&run.refused([schedule_activity("a"), schedule_activity("b")]));
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
