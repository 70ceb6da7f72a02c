use super::*;
use crate::testkit::{accept, reject};
use crate::{
    state::{TaskClass, WorkflowTask},
    step::Input,
    testkit::*,
    time::wire,
};
use expect_test::expect;

/// A run whose first workflow task is completed and that has nothing to do.
fn idle() -> Run {
    let mut run = Run::started();
    run.complete_task([]);
    run
}

fn class(run: &Run) -> TaskClass {
    match run.state.workflow_task() {
        WorkflowTask::Scheduled(task) => task.class,
        WorkflowTask::Started(task) => task.class,
        WorkflowTask::None => panic!("no task is under way"),
    }
}

#[test]
fn a_rejected_update_leaves_no_trace() {
    let mut run = idle();
    assert_eq!(run.update("u"), Stage::Admitted);
    assert!(!run.last.changed, "nothing is written for it");
    let polled = run.poll();
    assert!(!run.last.changed);
    assert_eq!((polled.scheduled, polled.started, polled.extra.len()), (5, 6, 2));
    assert_eq!(polled.messages.len(), 1);
    assert_eq!(polled.messages[0].id, "u/request");
    assert_eq!(polled.messages[0].sequencing_id, Some(SequencingId::EventId(5)));
    let done = run.complete_task_with([], [reject("u")], |_| ());
    assert_eq!(done.reset_to, Some(3));
    assert!(!run.last.changed);

    run.expect_notices(expect![[r#"
        u rejected: Oops(not now)
    "#]]);
    run.expect_history_from(
        4,
        expect![[r#"
         4 WorkflowTaskCompleted
    "#]],
    );
    assert_eq!(stage(&run.state, "u"), None, "it is forgotten");
}

#[test]
fn an_update_is_accepted_and_completed() {
    let mut run = idle();
    run.update("u");
    let (accepted, completed) = (accept("u"), answer("u", "fine"));
    run.poll();
    run.complete_task_with([message_here(&accepted), message_here(&completed)], [accepted, completed], |_| ());
    assert_eq!(stage(&run.state, "u"), Some(Stage::Completed(9)));
    run.expect_notices(expect![[r#"
        u accepted
        u completed: result=fine
    "#]]);
    run.expect_history_from(
        4,
        expect![[r#"
         4 WorkflowTaskCompleted
         5 WorkflowTaskScheduled
         6 WorkflowTaskStarted
         7 WorkflowTaskCompleted
         8 WorkflowExecutionUpdateAccepted    u request=change
         9 WorkflowExecutionUpdateCompleted   u accepted=8 result=fine
    "#]],
    );
    assert_eq!(run.update("u"), Stage::Completed(9), "asking again finds the same");
}

#[test]
fn commands_stand_where_the_worker_put_the_message() {
    let mut run = idle();
    run.update("u");
    run.poll();
    let (accepted, completed) = (accept("u"), answer("u", "fine"));
    let commands = [message_here(&accepted), start_timer("t", secs(1)), message_here(&completed)];
    run.complete_task_with(commands, [accepted, completed], |_| ());
    run.expect_history_from(
        8,
        expect![[r#"
         8 WorkflowExecutionUpdateAccepted    u request=change
         9 TimerStarted                       t after=1s
        10 WorkflowExecutionUpdateCompleted   u accepted=8 result=fine
    "#]],
    );
}

#[test]
fn messages_without_a_place_come_after_the_commands() {
    let mut run = idle();
    run.update("u");
    run.poll();
    run.complete_task_with([start_timer("t", secs(1))], [accept("u"), answer("u", "fine")], |_| ());
    run.expect_history_from(
        8,
        expect![[r#"
         8 TimerStarted                       t after=1s
         9 WorkflowExecutionUpdateAccepted    u request=change
        10 WorkflowExecutionUpdateCompleted   u accepted=9 result=fine
    "#]],
    );
}

#[test]
fn an_accepted_update_completes_later() {
    let mut run = idle();
    run.update("u");
    run.poll();
    run.complete_task_with([], [accept("u")], |_| ());
    assert_eq!(run.update("u"), Stage::Accepted);
    run.crash();
    assert_eq!(run.update("u"), Stage::Accepted);
    run.signal("go on");
    run.complete_task_with([], [answer("u", "fine")], |_| ());
    run.expect_notices(expect![[r#"
        u accepted
        u completed: result=fine
    "#]]);
}

#[test]
fn a_signal_makes_the_task_of_an_update_normal() {
    let mut run = idle();
    run.update("u");
    assert_eq!(class(&run), TaskClass::Speculative);
    run.signal("hello");
    assert_eq!(class(&run), TaskClass::Normal);
    run.crash();
    run.poll();
    run.expect_history_from(
        5,
        expect![[r#"
         5 WorkflowTaskScheduled
         6 WorkflowExecutionSignaled          hello
         7 WorkflowTaskStarted
    "#]],
    );
}

#[test]
fn a_signal_makes_the_running_task_of_an_update_normal() {
    let mut run = idle();
    run.update("u");
    run.poll();
    run.signal("hello");
    run.complete_task_with([], [reject("u")], |_| ());
    run.expect_notices(expect![[r#"
        u rejected: Oops(not now)
    "#]]);
    run.expect_history_from(
        5,
        expect![[r#"
         5 WorkflowTaskScheduled
         6 WorkflowTaskStarted
         7 WorkflowTaskCompleted
         8 WorkflowExecutionSignaled          hello
         9 WorkflowTaskScheduled
    "#]],
    );
}

#[test]
fn rejected_among_others_is_rejected_all_the_same() {
    let mut run = idle();
    run.update("yes");
    run.update("no");
    run.poll();
    run.complete_task_with([], [accept("yes"), reject("no")], |_| ());
    run.expect_notices(expect![[r#"
        yes accepted
        no rejected: Oops(not now)
    "#]]);
}

#[test]
fn what_the_worker_does_not_answer_the_server_rejects() {
    let mut run = idle();
    run.update("u");
    run.poll();
    run.complete_task([start_timer("t", secs(1))]);
    run.expect_notices(expect![[r#"
        u rejected: UnprocessedUpdate(Workflow Update is rejected because it wasn't processed by worker. Probably, Workflow Update is not supported by the worker.)
    "#]]);
}

#[test]
fn an_update_that_comes_meanwhile_gets_the_next_task() {
    let mut run = idle();
    run.update("first");
    run.poll();
    run.update("second");
    let done = run.complete_task_with([], [reject("first")], |it| it.return_new_workflow_task = true);
    let next = done.next.expect("the second waits");
    assert_eq!(next.messages.len(), 1);
    assert_eq!(next.messages[0].protocol_instance_id, "second");
    run.complete_task_with([], [reject("second")], |_| ());
    assert_eq!(run.history.len(), 4, "neither left a trace");
}

#[test]
fn an_update_that_no_task_carried_yet_does_not_keep_the_run_open() {
    let mut run = idle();
    run.signal("go");
    run.poll();
    run.update("u");
    run.complete_task([complete_workflow()]);
    run.expect_notices(expect![[r#"
        u aborted: Closed
    "#]]);
}

#[test]
fn a_run_that_closes_ends_its_updates() {
    let mut run = idle();
    run.update("accepted");
    run.poll();
    run.complete_task_with([], [accept("accepted")], |_| ());
    run.update("admitted");
    run.notices.clear();
    run.terminate();
    run.expect_notices(expect![[r#"
        admitted aborted: Closed
        accepted completed: failure=AcceptedUpdateCompletedWorkflow(Workflow Update failed because the Workflow completed before the Update completed.)
    "#]]);
    assert_eq!(run.update("accepted"), Stage::LostToClose);
    assert_eq!(run.step(update("other")).expect_err("it is over"), Rejection::Closed);
}

#[test]
fn a_run_that_continues_sends_its_updates_on() {
    let mut run = idle();
    run.update("u");
    run.poll();
    run.complete_task([continue_as_new()]);
    run.expect_notices(expect![[r#"
        u aborted: Continued
    "#]]);
}

#[test]
fn an_update_whose_task_nobody_takes_gets_a_normal_one() {
    let mut run = idle();
    run.update("u");
    run.advance(secs(5));
    assert_eq!(class(&run), TaskClass::Normal);
    let polled = run.poll();
    assert_eq!((polled.attempt, polled.messages.len()), (1, 1));
    run.expect_history_from(
        5,
        expect![[r#"
         5 WorkflowTaskScheduled
         6 WorkflowTaskTimedOut               ScheduleToStart
         7 WorkflowTaskScheduled
         8 WorkflowTaskStarted
    "#]],
    );
}

#[test]
fn a_worker_that_fails_its_task_gets_the_update_again() {
    let mut run = idle();
    run.update("u");
    run.fail_task();
    assert_eq!(run.poll().messages.len(), 1);
    run.complete_task_with([], [reject("u")], |_| ());
    run.expect_notices(expect![[r#"
        u rejected: Oops(not now)
    "#]]);
    run.expect_history_from(
        5,
        expect![[r#"
         5 WorkflowTaskScheduled
         6 WorkflowTaskStarted
         7 WorkflowTaskFailed                 WorkflowWorkerUnhandledFailure failure=Oops(worker broke)
         8 WorkflowTaskScheduled              attempt=2
         9 WorkflowTaskStarted
        10 WorkflowTaskCompleted
    "#]],
    );
}

#[test]
fn an_update_is_lost_with_a_task_that_the_server_fails() {
    let mut run = idle();
    run.update("u");
    run.poll();
    run.refused([cancel_timer("none")]);
    run.expect_notices(expect![[r#"
        u aborted: TaskFailed
    "#]]);
    run.expect_history_from(5, expect![[r#"
         5 WorkflowTaskScheduled
         6 WorkflowTaskStarted
         7 WorkflowTaskFailed                 BadCancelTimerAttributes failure=Server(BadCancelTimerAttributes: invalid history builder state for action: add-timer-canceled-event, TimerID: none)
    "#]]);
}

#[test]
fn updates_are_refused_while_tasks_keep_failing() {
    let mut run = idle();
    run.signal("go");
    run.fail_task();
    assert_eq!(run.update("u"), Stage::Admitted);
    run.fail_task();
    assert_eq!(
        run.step(update("v")).expect_err("two attempts failed").to_string(),
        "Unable to perform workflow execution update due to Workflow Task in failed state."
    );
}

#[test]
fn a_crash_forgets_what_was_not_accepted_and_the_client_asks_again() {
    let mut run = idle();
    run.update("u");
    let old = {
        run.poll();
        run.token()
    };
    run.crash();
    assert!(run.state.workflow_task().is_none());
    let late = crate::step::TaskCompletion { token: old, request: Default::default() };
    let rejection = run.step(Input::CompleteWorkflowTask(Box::new(late))).expect_err("the task was forgotten");
    assert_eq!(rejection, Rejection::StaleWorkflowTask);
    assert_eq!(run.update("u"), Stage::Admitted);
}

#[test]
fn a_worker_that_outlived_a_crash_brings_the_update_back() {
    let mut run = idle();
    run.update("u");
    run.signal("hello");
    run.poll();
    run.crash();
    assert_eq!(run.update("u"), Stage::Admitted, "the client asks again meanwhile");
    run.complete_task_with([], [accept_with_request("u"), answer("u", "fine")], |_| ());
    assert!(run.state.workflow_task().is_none(), "nothing is left to do");
    run.expect_notices(expect![[r#"
        u accepted
        u completed: result=fine
    "#]]);
}

#[test]
fn a_worker_that_only_heartbeats_is_not_sent_the_same_again() {
    let mut run = idle();
    run.update("u");
    run.poll();
    let heartbeat = |run: &mut Run| {
        run.complete_task_with([], [], |it| {
            it.force_create_new_workflow_task = true;
            it.return_new_workflow_task = true;
        })
    };
    let next = heartbeat(&mut run).next.expect("the next task comes inline");
    assert_eq!(next.messages.len(), 0);
    run.advance(secs(10));
    assert_eq!(run.poll().messages.len(), 1, "another worker has not seen it");
    run.complete_task_with([], [accept("u")], |_| ());
}

#[test]
fn a_speculative_task_that_shipped_events_is_dropped_if_the_worker_can_take_them_again() {
    let rejected = |can: bool| {
        let mut run = Run::started();
        run.complete_task([start_timer("t", secs(100))]);
        run.update("u");
        run.poll();
        run.complete_task_with([], [reject("u")], |it| {
            it.capabilities.get_or_insert_default().discard_speculative_workflow_task_with_events = can;
        });
        run.history.len()
    };
    assert_eq!((rejected(true), rejected(false)), (5, 8));
}

#[test]
fn an_update_waits_for_a_first_task_that_is_held_back() {
    let mut run = Run::started_with(|it| it.workflow_start_delay = wire(secs(10)));
    run.update("u");
    assert!(run.state.workflow_task().is_none());
    run.advance(secs(10));
    assert_eq!(run.poll().messages.len(), 1);
}

#[test]
fn limits_on_updates_name_the_number_and_the_limit() {
    let mut run = Run::limited(|it| it.updates_in_flight_max = 1);
    run.complete_task([]);
    run.update("u");
    expect!["limit on number of concurrent in-flight updates has been reached (1): 1 in flight"]
        .assert_eq(&run.step(update("v")).expect_err("one is in flight").to_string());

    let mut run = Run::limited(|it| it.update_in_flight_payload_bytes_max = 10);
    expect!["limit on total payload size of in-flight updates has been reached (10 bytes): 23 bytes"]
        .assert_eq(&run.step(update("u")).expect_err("it is large").to_string());

    let mut run = Run::limited(|it| it.updates_total_max = 1);
    run.update("u");
    run.poll();
    run.complete_task_with([], [accept("u"), answer("u", "fine")], |_| ());
    expect!["The limit on the total number of distinct updates in this workflow has been reached (1, limit 1). Make sure any duplicate updates share an Update ID so the server can deduplicate them, and consider continuing the workflow as new"].assert_eq(&run.step(update("v")).expect_err("one is all").to_string());
}

#[test]
fn bad_messages_fail_the_task() {
    let refused = |messages: Vec<Message>| {
        let mut run = idle();
        run.update("u");
        run.poll();
        match run.respond([], messages, |_| ()) {
            Ok(Reply::TaskRefused(text)) => text,
            other => panic!("expected a refusal, got {other:?}"),
        }
    };
    expect!["BadUpdateWorkflowExecutionMessage: update other wasn't found on the server. This is most likely a transient error which will be resolved automatically by retries"].assert_eq(&refused(vec![accept("other")]));
    expect!["BadUpdateWorkflowExecutionMessage: update u wasn't found on the server. This is most likely a transient error which will be resolved automatically by retries"].assert_eq(&refused(vec![answer("u", "too soon")]));
    expect!["BadUpdateWorkflowExecutionMessage: invalid state transition attempted for Update u: accepted twice"]
        .assert_eq(&refused(vec![accept("u"), accept("u")]));
    expect!["BadUpdateWorkflowExecutionMessage: invalid state transition attempted for Update u: completed twice"]
        .assert_eq(&refused(vec![accept("u"), answer("u", "1"), answer("u", "2")]));
    expect!["BadUpdateWorkflowExecutionMessage: Update u received message with nil body"]
        .assert_eq(&refused(vec![Message { body: None, ..accept("u") }]));
    let odd = prost_types::Any { type_url: "type.googleapis.com/Odd".into(), value: Vec::new() };
    expect!["BadUpdateWorkflowExecutionMessage: Message type Odd not supported"]
        .assert_eq(&refused(vec![Message { body: Some(odd), ..accept("u") }]));
    let mut run = idle();
    run.update("u");
    expect!["BadUpdateWorkflowExecutionMessage: ProtocolMessageCommand referenced absent message ID u/accept"]
        .assert_eq(&run.refused([message_here(&accept("u"))]));
}
