use super::*;
use crate::{step::Input, testkit::*, time::wire};
use expect_test::expect;
use std::time::Duration;

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
fn what_is_kept_of_a_long_failure_is_cut() {
    let mut run = Run::limited(|it| it.retained_activity_failure_bytes_max = 1_000);
    run.complete_task([schedule_activity("a")]);
    run.start_activity("a");
    run.fail_activity("a", application_failure(&"é".repeat(2_000)));
    let kept = run.attempt("a").last_failure.as_ref().expect("it failed");
    assert!(kept.encoded_len() <= 1_000, "{} bytes are kept", kept.encoded_len());
    assert!(format!("{kept:?}").contains(&"é".repeat(100)), "it still says what went wrong");
}
