use crate::testkit::*;
use api::enums::v1::CommandType;
use expect_test::expect;

#[test]
fn a_timer_fires_when_its_time_has_come() {
    let mut run = Run::started();
    run.complete_task([start_timer("t", secs(10))]);
    run.advance(secs(9));
    assert_eq!(run.history.len(), 5, "too early");
    run.advance(secs(1));

    run.expect_history(expect![[r#"
         1 WorkflowExecutionStarted
         2 WorkflowTaskScheduled
         3 WorkflowTaskStarted
         4 WorkflowTaskCompleted
         5 TimerStarted                       t after=10s
         6 TimerFired                         t started=5
         7 WorkflowTaskScheduled
    "#]]);
}

#[test]
fn a_cancelled_timer_never_fires() {
    let mut run = Run::started();
    run.complete_task([start_timer("t", secs(10))]);
    run.signal("wake");
    run.complete_task([cancel_timer("t")]);
    run.advance(secs(60));

    run.expect_history(expect![[r#"
         1 WorkflowExecutionStarted
         2 WorkflowTaskScheduled
         3 WorkflowTaskStarted
         4 WorkflowTaskCompleted
         5 TimerStarted                       t after=10s
         6 WorkflowExecutionSignaled          wake
         7 WorkflowTaskScheduled
         8 WorkflowTaskStarted
         9 WorkflowTaskCompleted
        10 TimerCanceled                      t started=5
    "#]]);
}

#[test]
fn a_firing_behind_a_running_task_waits_for_its_end() {
    let mut run = Run::started();
    run.complete_task([start_timer("t", secs(5))]);
    run.signal("wake");
    run.poll();
    run.advance(secs(5));
    assert_eq!(run.history.len(), 8, "not while the worker works");
    run.complete_task([]);

    run.expect_history_from(
        6,
        expect![[r#"
         6 WorkflowExecutionSignaled          wake
         7 WorkflowTaskScheduled
         8 WorkflowTaskStarted
         9 WorkflowTaskCompleted
        10 TimerFired                         t started=5
        11 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn a_firing_that_waits_can_still_be_cancelled() {
    let mut run = Run::started();
    run.complete_task([start_timer("t", secs(5))]);
    run.signal("wake");
    run.poll();
    run.advance(secs(6));
    run.complete_task([cancel_timer("t"), complete_workflow()]);

    run.expect_history_from(
        6,
        expect![[r#"
         6 WorkflowExecutionSignaled          wake
         7 WorkflowTaskScheduled
         8 WorkflowTaskStarted
         9 WorkflowTaskCompleted
        10 TimerCanceled                      t started=5
        11 WorkflowExecutionCompleted         result=done
    "#]],
    );
}

#[test]
fn what_a_cancelled_firing_took_of_the_buffer_is_given_back() {
    let mut run = Run::started();
    for _ in 0..3 {
        run.complete_task([start_timer("t", secs(5))]);
        run.signal("wake");
        run.poll();
        run.advance(secs(6));
        run.complete_task([cancel_timer("t")]);
        run.signal("again");
    }
    assert_eq!(run.state.unrecorded.task.buffered_bytes, 0);
}

#[test]
fn a_timer_may_start_again_under_the_id_of_one_that_is_over() {
    let mut run = Run::started();
    run.complete_task([start_timer("t", secs(1))]);
    run.advance(secs(1));
    run.complete_task([start_timer("t", secs(1))]);
    run.advance(secs(1));
    run.complete_task([start_timer("t", secs(1)), cancel_timer("t"), start_timer("t", secs(2))]);

    run.expect_history_from(
        6,
        expect![[r#"
         6 TimerFired                         t started=5
         7 WorkflowTaskScheduled
         8 WorkflowTaskStarted
         9 WorkflowTaskCompleted
        10 TimerStarted                       t after=1s
        11 TimerFired                         t started=10
        12 WorkflowTaskScheduled
        13 WorkflowTaskStarted
        14 WorkflowTaskCompleted
        15 TimerStarted                       t after=1s
        16 TimerCanceled                      t started=15
        17 TimerStarted                       t after=2s
    "#]],
    );
}

#[test]
fn a_timer_of_no_length_fires_at_once() {
    let mut run = Run::started();
    run.complete_task([start_timer("t", secs(0))]);
    run.advance(secs(0));
    run.expect_history_from(
        5,
        expect![[r#"
         5 TimerStarted                       t
         6 TimerFired                         t started=5
         7 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn timers_fire_in_order_of_their_time() {
    let mut run = Run::started();
    run.complete_task([start_timer("late", secs(3)), start_timer("early", secs(1)), start_timer("middle", secs(2))]);
    run.advance(secs(10));
    run.expect_history_from(
        8,
        expect![[r#"
         8 TimerFired                         early started=6
         9 WorkflowTaskScheduled
        10 TimerFired                         middle started=7
        11 TimerFired                         late started=5
    "#]],
    );
}

#[test]
fn bad_timer_commands_fail_the_task() {
    let refused = |commands: Vec<_>| Run::started().refused(commands);
    expect!["BadStartTimerAttributes: TimerId is not set on StartTimerCommand."]
        .assert_eq(&refused(vec![start_timer("", secs(1))]));
    expect!["StartTimerDuplicateId: invalid history builder state for action: add-timer-started-event, TimerID: t"]
        .assert_eq(&refused(vec![start_timer("t", secs(1)), start_timer("t", secs(2))]));
    expect!["BadCancelTimerAttributes: invalid history builder state for action: add-timer-canceled-event, TimerID: t"]
        .assert_eq(&refused(vec![cancel_timer("t")]));
    expect!["BadCancelTimerAttributes: TimerId is not set on CancelTimerCommand."]
        .assert_eq(&refused(vec![cancel_timer("")]));
    expect!["BadStartTimerAttributes: StartTimerCommandAttributes is not set on StartTimerCommand."]
        .assert_eq(&refused(vec![bare(CommandType::StartTimer)]));
    expect!["BadCancelTimerAttributes: CancelTimerCommandAttributes is not set on CancelTimerCommand."]
        .assert_eq(&refused(vec![bare(CommandType::CancelTimer)]));

    let mut run = Run::limited(|limits| limits.id_length_max = 10);
    expect!["BadStartTimerAttributes: TimerId on StartTimerCommand exceeds length limit. TimerId=longer-than-that Length=16 Limit=10"].assert_eq(&run.refused([start_timer("longer-than-that", secs(1))]));
}

#[test]
fn timers_survive_a_crash() {
    let mut run = Run::started();
    run.complete_task([start_timer("t", secs(5))]);
    run.crash();
    run.advance(secs(5));
    assert_eq!(run.history.last().expect("events").event_id, 7);
}
