use super::*;
use crate::testkit::*;
use expect_test::expect;

#[test]
fn a_bad_command_undoes_the_ones_before_it() {
    let mut run = Run::started();
    run.sticky = Some("worker-1");
    run.refused([start_timer("t", secs(1)), schedule_activity("a"), start_child("c"), cancel_timer("other")]);
    assert!(run.state.recorded.timers.is_empty() && run.state.recorded.activities.is_empty());
    assert!(run.transfers.is_empty());
    assert_eq!(run.state.unrecorded.task.sticky, None);
    run.expect_history_from(3, expect![[r#"
         3 WorkflowTaskStarted
         4 WorkflowTaskFailed                 BadCancelTimerAttributes failure=Server(BadCancelTimerAttributes: invalid history builder state for action: add-timer-canceled-event, TimerID: other)
    "#]]);
}

#[test]
fn a_bad_command_of_a_transient_task_is_left_to_time_out() {
    let mut run = Run::started();
    run.fail_task();
    let rejection = run.respond([cancel_timer("other")], [], |_| ()).expect_err("it is dropped");
    assert_eq!(
        rejection.to_string(),
        "BadCancelTimerAttributes: invalid history builder state for action: add-timer-canceled-event, TimerID: other"
    );
    assert!(run.state.workflow_task().is_started());
    run.advance(secs(10));
    run.complete_task([]);
    run.expect_history_from(
        4,
        expect![[r#"
         4 WorkflowTaskFailed                 WorkflowWorkerUnhandledFailure failure=Oops(worker broke)
         5 WorkflowTaskScheduled              attempt=3
         6 WorkflowTaskStarted
         7 WorkflowTaskCompleted
    "#]],
    );
}

#[test]
fn a_closing_command_is_the_last() {
    let mut run = Run::started();
    let rejection =
        run.respond([complete_workflow(), start_timer("t", secs(1))], [], |_| ()).expect_err("out of order");
    expect!["invalid command sequence: [CompleteWorkflowExecution, StartTimer], command CompleteWorkflowExecution must be the last command."].assert_eq(&rejection.to_string());
    run.complete_task([start_timer("t", secs(1)), complete_workflow()]);
}

#[test]
fn an_unknown_command_is_refused() {
    let unknown = Command { command_type: 99, ..Command::default() };
    let rejection = Run::started().respond([unknown], [], |_| ()).expect_err("nobody knows it");
    assert_eq!(rejection.to_string(), "unknown command type: 99");
}

#[test]
fn nexus_commands_fail_the_task() {
    for kind in [CommandType::ScheduleNexusOperation, CommandType::RequestCancelNexusOperation] {
        assert!(Run::started().refused([bare(kind)]).contains("is not set"));
    }
}

#[test]
fn a_history_that_is_too_long_ends_the_run() {
    let mut run = Run::limited(|it| it.history_events_max = 6);
    let text = run.refused([record_marker("1"), record_marker("2"), record_marker("3")]);
    expect!["ForceCloseCommand: Workflow history count exceeds limit: 7 events, limit 6."].assert_eq(&text);
    run.expect_history_from(3, expect![[r#"
         3 WorkflowTaskStarted
         4 WorkflowTaskFailed                 ForceCloseCommand failure=Server(ForceCloseCommand: Workflow history count exceeds limit: 7 events, limit 6.)
         5 WorkflowExecutionTerminated        ForceCloseCommand: Workflow history count exceeds limit: 7 events, limit 6. by=history-service
    "#]]);

    let mut run = Run::limited(|it| it.history_size_bytes_max = 300);
    let text = run.refused([upsert_memo("m", payload(&"x".repeat(300)))]);
    assert!(text.contains("limit 300"), "{text}");
}

#[test]
fn a_history_that_signals_make_too_long_ends_the_run() {
    let mut run = Run::limited(|it| it.history_size_bytes_max = 2_000);
    run.complete_task([]);
    let signal = |run: &mut Run| run.signal(&"x".repeat(700));
    signal(&mut run);
    assert!(run.state.is_running());
    signal(&mut run);
    signal(&mut run);
    assert!(!run.state.is_running());
    let last = run.state.recorded.progress.next_event_id - 1;
    run.expect_history_from(last, expect![[r#"
        9 WorkflowExecutionTerminated        Workflow history size exceeds limit: 2438 bytes, limit 2000. by=history-service
    "#]]);
}

#[test]
fn what_a_user_attached_to_a_command_is_on_its_event() {
    let summary = api::sdk::v1::UserMetadata { summary: Some(payload("nap")), ..Default::default() };
    let mut run = Run::started();
    run.complete_task([Command { user_metadata: Some(summary), ..start_timer("t", secs(1)) }]);
    run.expect_history_from(
        5,
        expect![[r#"
         5 TimerStarted                       t after=1s summary=nap
    "#]],
    );
}

#[test]
fn what_the_worker_says_of_itself_is_on_the_event() {
    let mut run = Run::started();
    run.complete_task_with([], [], |it| {
        it.sdk_metadata = Some(api::sdk::v1::WorkflowTaskCompletedMetadata {
            sdk_name: "sdk".into(),
            lang_used_flags: vec![1, 2],
            ..Default::default()
        });
    });
    let Some(Attributes::WorkflowTaskCompletedEventAttributes(it)) = &run.event(4).attributes else {
        panic!("event 4 is the completion")
    };
    assert_eq!(it.sdk_metadata.as_ref().map(|it| it.lang_used_flags.clone()), Some(vec![1, 2]));
    assert_eq!(it.identity, "worker");
}

#[test]
fn the_first_completion_shows_in_lists() {
    let mut run = Run::started();
    run.complete_task([]);
    assert!(run.last.visibility, "the build ids appear");
    run.signal("hello");
    run.complete_task([]);
    assert!(!run.last.visibility);
}

#[test]
fn a_worker_keeps_its_task_by_heartbeats() {
    let mut run = Run::started();
    run.advance(secs(3));
    let heartbeat = |run: &mut Run| {
        run.respond([], [], |it| {
            it.force_create_new_workflow_task = true;
            it.return_new_workflow_task = true;
        })
    };
    let next = match heartbeat(&mut run) {
        Ok(Reply::TaskCompleted(done)) => done.next.expect("the next task comes inline"),
        other => panic!("expected the next task, got {other:?}"),
    };
    assert_eq!((next.scheduled, next.started, next.previous_started, next.history_from), (5, 6, 3, 4));
    for _ in 0..5 {
        run.advance(secs(5));
        assert!(matches!(heartbeat(&mut run), Ok(Reply::TaskCompleted(_))));
    }
    run.expect_history_from(
        17,
        expect![[r#"
        17 WorkflowTaskScheduled
        18 WorkflowTaskStarted
        19 WorkflowTaskCompleted
        20 WorkflowTaskScheduled
        21 WorkflowTaskStarted
    "#]],
    );
}

#[test]
fn heartbeats_end_after_half_an_hour() {
    let mut run = Run::limited(|limits| limits.workflow_task_heartbeat_total_max = secs(20));
    run.sticky = Some("worker-1");
    let heartbeat = |run: &mut Run| {
        run.respond([], [], |it| {
            it.force_create_new_workflow_task = true;
            it.return_new_workflow_task = true;
        })
    };
    for _ in 0..5 {
        assert!(matches!(heartbeat(&mut run), Ok(Reply::TaskCompleted(_))));
        run.advance(secs(5));
    }
    assert!(matches!(heartbeat(&mut run), Ok(Reply::TaskTimedOut)));
    run.expect_history_from(
        14,
        expect![[r#"
        14 WorkflowTaskScheduled              sticky=worker-1
        15 WorkflowTaskStarted
        16 WorkflowTaskCompleted
        17 WorkflowTaskScheduled              sticky=worker-1
        18 WorkflowTaskStarted
        19 WorkflowTaskTimedOut               StartToClose
        20 WorkflowTaskScheduled
    "#]],
    );
    assert_eq!(run.state.unrecorded.task.sticky, None);
}

#[test]
fn a_worker_that_makes_progress_may_go_on() {
    let mut run = Run::limited(|limits| limits.workflow_task_heartbeat_total_max = secs(20));
    for n in 0..10 {
        run.complete_task_with([record_marker(&n.to_string())], [], |it| {
            it.force_create_new_workflow_task = true;
            it.return_new_workflow_task = true;
        });
        run.advance(secs(5));
    }
    assert!(run.state.workflow_task().is_started());
}

#[test]
fn nothing_comes_inline_when_there_is_nothing_to_do() {
    let mut run = Run::started();
    let done = run.complete_task_with([], [], |it| it.return_new_workflow_task = true);
    assert!(done.next.is_none());
    assert!(run.state.workflow_task().is_none());
}

#[test]
fn what_arrived_meanwhile_comes_inline() {
    let mut run = Run::started();
    run.poll();
    run.signal("hello");
    let done = run.complete_task_with([], [], |it| it.return_new_workflow_task = true);
    assert_eq!(done.next.expect("a signal is to be seen").started, 7);
    assert!(run.queue.is_empty(), "it never was in a queue");
    run.expect_history_from(
        4,
        expect![[r#"
         4 WorkflowTaskCompleted
         5 WorkflowExecutionSignaled          hello
         6 WorkflowTaskScheduled
         7 WorkflowTaskStarted
    "#]],
    );
}
