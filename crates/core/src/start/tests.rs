use super::*;
use crate::{
    step::{Input, Namespace},
    testkit::*,
};
use expect_test::expect;

#[test]
fn a_run_starts_with_its_first_task() {
    let run = Run::started();
    run.expect_history(expect![[r#"
         1 WorkflowExecutionStarted
         2 WorkflowTaskScheduled
    "#]]);
    assert!(run.last.durable && run.last.visibility);
    let event = &run.state.start.event;
    assert_eq!((event.attempt, event.workflow_id.as_str()), (1, "w"));
    assert_eq!(event.first_execution_run_id, event.original_execution_run_id);
    assert!(event.first_workflow_task_backoff.is_some(), "present even when it is zero");
}

#[test]
fn a_delayed_run_waits_and_signals_wait_with_it() {
    let mut run = Run::started_with(|it| it.workflow_start_delay = wire(secs(10)));
    run.signal("early");
    assert!(run.queue.is_empty());
    run.crash();
    run.advance(secs(10));
    run.expect_history(expect![[r#"
        1 WorkflowExecutionStarted           backoff=10s
        2 WorkflowExecutionSignaled          early
        3 WorkflowTaskScheduled
    "#]]);
    assert_eq!(run.state.start.execution_time(), BEGINNING + secs(10));
}

#[test]
fn a_delayed_run_hears_of_its_cancellation_at_once() {
    let mut run = Run::started_with(|it| it.workflow_start_delay = wire(secs(10)));
    run.signal("early");
    run.request_cancel();
    run.complete_task([cancel_workflow()]);
    run.advance(secs(20));
    run.expect_history(expect![[r#"
        1 WorkflowExecutionStarted           backoff=10s
        2 WorkflowExecutionSignaled          early
        3 WorkflowExecutionCancelRequested   enough
        4 WorkflowTaskScheduled
        5 WorkflowTaskStarted
        6 WorkflowTaskCompleted
        7 WorkflowExecutionCanceled          details=cancelled
    "#]]);
}

#[test]
fn a_delayed_run_can_be_ended_before_it_begins() {
    let mut run = Run::started_with(|it| it.workflow_start_delay = wire(secs(10)));
    run.terminate();
    run.advance(secs(20));
    run.expect_history(expect![[r#"
         1 WorkflowExecutionStarted           backoff=10s
         2 WorkflowExecutionTerminated        stop by=client
    "#]]);
}

#[test]
fn the_run_timeout_counts_from_the_end_of_the_delay() {
    let mut run = Run::started_with(|it| {
        it.workflow_start_delay = wire(secs(10));
        it.workflow_run_timeout = wire(secs(5));
    });
    run.advance(secs(14));
    assert!(run.state.is_running());
    run.advance(secs(1));
    run.expect_history_from(
        2,
        expect![[r#"
         2 WorkflowTaskScheduled              timeout=5s
         3 WorkflowExecutionTimedOut          RetryPolicyNotSet
    "#]],
    );
}

#[test]
fn an_eager_start_hands_the_first_task_back() {
    let (limits, namespace) = (Limits::default(), namespace());
    let env = Env { now: BEGINNING, seed: 1, first_id: 1, limits: &limits, namespace: &namespace };
    let eager = || Request { request_eager_execution: true, ..request() };

    let begun = from_request(eager(), Uuid::from_u128(1), &env).expect("the request is fine");
    let (state, step) = begin(begun, &env);
    let Reply::WorkflowTask(polled) = step.reply else { panic!("expected the task, got {:?}", step.reply) };
    assert_eq!((polled.scheduled, polled.started, polled.attempt, polled.history_from), (2, 3, 1, 1));
    assert!(step.dispatch.is_empty(), "it never was in a queue");
    assert!(state.start.event.eager_execution_accepted);
    assert!(step.durable, "a start is promised");

    let delayed = Request { workflow_start_delay: wire(secs(1)), ..eager() };
    let begun = from_request(delayed, Uuid::from_u128(1), &env).expect("the request is fine");
    let (state, step) = begin(begun, &env);
    assert!(matches!(step.reply, Reply::Done));
    assert!(!state.start.event.eager_execution_accepted);
}

#[test]
fn a_signal_with_the_start_comes_before_the_first_task() {
    let (limits, namespace) = (Limits::default(), namespace());
    let env = Env { now: BEGINNING, seed: 1, first_id: 1, limits: &limits, namespace: &namespace };
    let mut begun = from_request(request(), Uuid::from_u128(1), &env).expect("the request is fine");
    let Input::Signal(signal) = signal_once("hello", "once") else { unreachable!() };
    begun.signal = Some(signal);
    let (state, step) = begin(begun, &env);
    let lines: Vec<_> = step.events.iter().map(shown).collect();
    assert_eq!(
        lines,
        ["1 WorkflowExecutionStarted", "2 WorkflowExecutionSignaled          hello", "3 WorkflowTaskScheduled"]
    );
    let (_, again) = crate::step::step(&state, signal_once("hello", "once"), &env).expect("taken once");
    assert!(again.events.is_empty());
}

#[test]
fn timeouts_are_settled_by_the_start() {
    let started = |change: fn(&mut Request)| {
        let run = Run::started_with(change);
        let start = &run.state.start;
        (start.task_timeout(), start.run_timeout(), start.execution_timeout())
    };
    assert_eq!(started(|_| ()), (secs(10), secs(0), secs(0)));
    assert_eq!(started(|it| it.workflow_task_timeout = wire(secs(500))), (secs(120), secs(0), secs(0)));
    assert_eq!(started(|it| it.workflow_run_timeout = wire(secs(3))), (secs(3), secs(3), secs(0)));
    assert_eq!(
        started(|it| {
            it.workflow_run_timeout = wire(secs(100));
            it.workflow_execution_timeout = wire(secs(50));
        }),
        (secs(10), secs(50), secs(50))
    );
}

#[test]
fn a_retry_policy_is_shown_filled() {
    let run = Run::started_with(|it| it.retry_policy = retry_policy(0));
    let policy = run.state.start.event.retry_policy.as_ref().expect("a policy was given");
    assert_eq!(duration(policy.initial_interval.as_ref()), secs(1));
    assert_eq!(duration(policy.maximum_interval.as_ref()), secs(100));
}

#[test]
fn a_request_that_was_answered_with_this_run_is_remembered() {
    let mut run = Run::started();
    let attach = |id: &str, event| Input::AttachRequest { request_id: id.into(), identity: "client".into(), event };
    run.done(attach("start", true));
    assert!(!run.last.changed, "the run was started by it");
    run.done(attach("other", false));
    assert!(run.last.durable, "the caller was told that it is this run");
    run.done(attach("other", true));
    assert!(!run.last.changed);
    run.done(attach("third", true));
    run.expect_history_from(
        3,
        expect![[r#"
         3 WorkflowExecutionOptionsUpdated    third
    "#]],
    );
}

#[test]
fn bad_requests_are_refused_with_their_reason() {
    let refused = |change: fn(&mut Request)| {
        let (limits, namespace) = (Limits::default(), namespace());
        let env = Env { now: BEGINNING, seed: 1, first_id: 1, limits: &limits, namespace: &namespace };
        let mut request = request();
        change(&mut request);
        from_request(request, Uuid::from_u128(1), &env).expect_err("the request is bad")
    };
    let text = [
        refused(|it| it.workflow_id.clear()),
        refused(|it| it.workflow_id = "x".repeat(1_001)),
        refused(|it| it.workflow_type = None),
        refused(|it| it.task_queue = None),
        refused(|it| it.task_queue = queue("/_sys/q")),
        refused(|it| it.cron_schedule = "often".into()),
        refused(|it| {
            it.cron_schedule = "@hourly".into();
            it.workflow_start_delay = wire(secs(1));
        }),
        refused(|it| it.workflow_run_timeout = Some(prost_types::Duration { seconds: -1, nanos: 0 })),
        refused(|it| it.retry_policy.get_or_insert_default().backoff_coefficient = 0.5),
        refused(|it| {
            it.retry_policy.get_or_insert_default().initial_interval =
                Some(prost_types::Duration { seconds: -1, nanos: 0 });
        }),
        refused(|it| it.input = Some(large(3 * 1024 * 1024))),
        refused(|it| {
            it.search_attributes.get_or_insert_default().indexed_fields.insert("nope".into(), payload("1"));
        }),
    ];
    expect![[r#"
        WorkflowId is not set on request.
        WorkflowId exceeds maximum allowed length (1001/1000)
        WorkflowType is not set on request.
        missing task queue name
        task queue name cannot start with reserved prefix /_sys/
        invalid CronSchedule.
        CronSchedule and WorkflowStartDelay may not be used together.
        An invalid WorkflowRunTimeoutSeconds is set on request. cause: negative duration
        BackoffCoefficient cannot be less than 1 on retry policy.
        invalid InitialInterval set on retry policy: negative duration
        Blob data size exceeds limit. Size=3145762 Limit=2097152
        Namespace default has no mapping defined for search attribute nope
    "#]]
    .assert_eq(&text.map(|it| it + "\n").concat());
}

fn namespace() -> Namespace {
    Namespace {
        key: crate::ids::NamespaceKey(1),
        id: "namespace-id".into(),
        name: "default".into(),
        search_attributes: Default::default(),
    }
}
