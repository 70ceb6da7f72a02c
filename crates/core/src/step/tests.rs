//! Anything may happen in any order, and what must hold after every step does (the helper checks it).

use super::*;
use crate::{
    ids::RunKey,
    state::{ActivityPhase, WorkflowTask},
    testkit::*,
    time::wire,
};
use api::{
    command::v1::Command,
    enums::v1::{
        CancelExternalWorkflowExecutionFailedCause, CommandType, ParentClosePolicy,
        SignalExternalWorkflowExecutionFailedCause, StartChildWorkflowExecutionFailedCause, WorkflowTaskFailedCause,
    },
    workflowservice::v1::StartWorkflowExecutionRequest,
};
use proptest::{collection::vec, prelude::*, sample::Index};

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(400), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_invariants_hold(kind in a_start(), happenings in vec(a_happening(), 1..60)) {
        let mut run = Run::start(kind, tight_limits());
        for happening in happenings {
            let closed = !run.state.is_running();
            happen(&mut run, happening);
            assert!(!(closed && run.state.is_running()), "a closed run stays closed");
            if run.successor.is_some() {
                run = run.next_run();
            }
        }
    }
}

/// Limits that a short random story can reach.
fn tight_limits() -> Limits {
    Limits {
        buffered_events_max: 4,
        pending_activities_max: 3,
        pending_children_max: 2,
        pending_signals_max: 2,
        pending_cancels_max: 2,
        signals_per_run_max: 12,
        updates_in_flight_max: 2,
        updates_total_max: 5,
        blob_size_bytes_max: 1_000,
        memo_size_bytes_max: 1_000,
        id_length_max: 100,
        history_events_max: 200,
        workflow_task_attempts_reported: 2,
        retained_activity_failure_bytes_max: 100,
        ..Limits::default()
    }
}

fn a_start() -> impl Strategy<Value = StartWorkflowExecutionRequest> {
    (0..6).prop_map(|kind| {
        let mut it = request();
        match kind {
            0 => it.cron_schedule = "@every 30s".into(),
            1 => it.workflow_start_delay = wire(secs(5)),
            2 => it.workflow_run_timeout = wire(secs(60)),
            3 => {
                it.retry_policy = retry_policy(3);
                it.workflow_execution_timeout = wire(secs(100));
            }
            4 => it.memo = Some(api::common::v1::Memo { fields: [("m".to_owned(), payload("1"))].into() }),
            _ => {}
        }
        it
    })
}

#[derive(Debug, Clone)]
enum Happening {
    Poll,
    PollStale,
    /// A tame worker leaves out whatever would be refused.
    Complete {
        commands: Vec<Wish>,
        answers: Vec<Answer>,
        tame: bool,
        with: With,
    },
    CompleteStale,
    FailTask {
        too_large: bool,
    },
    StickyUnavailable,
    ResetSticky,
    Signal {
        id: u8,
    },
    RequestCancel,
    Terminate,
    Attach {
        id: u8,
        event: bool,
    },
    Pass {
        seconds: u8,
    },
    WakeEarly,
    Crash,
    StartActivity(Index),
    ReportActivity {
        which: Index,
        by_id: bool,
        report: Report,
    },
    Child {
        which: Index,
        report: u8,
    },
    External {
        which: Index,
        failed: bool,
    },
    Update {
        id: u8,
        large: bool,
    },
}

#[derive(Debug, Clone, Copy)]
struct With {
    force: bool,
    inline: bool,
    sticky: bool,
    can_discard: bool,
}

#[derive(Debug, Clone, Copy)]
enum Report {
    Complete,
    CompleteTooMuch,
    Fail,
    FailForGood,
    FailAtLength,
    Cancel,
    Heartbeat,
    HeartbeatTooMuch,
    StaleAttempt,
}

#[derive(Debug, Clone)]
enum Wish {
    StartTimer(u8, u8),
    CancelTimer(u8),
    Schedule { id: u8, eager: bool, timeouts: u8 },
    CancelActivity(Index),
    StartChild(u8),
    Signal,
    Cancel,
    Marker,
    Memo { size: u8 },
    Search { bad: bool },
    Bare(i32),
    Complete,
    CompleteTooMuch,
    Fail,
    CancelRun,
    ContinueAsNew,
}

#[derive(Debug, Clone)]
enum Answer {
    Accept { id: u8, bring: bool, here: bool },
    Complete { id: u8, here: bool },
    Reject { id: u8 },
}

fn a_happening() -> impl Strategy<Value = Happening> {
    let complete = (vec(a_wish(), 0..5), vec(an_answer(), 0..4), 0..5, any::<[bool; 4]>());
    prop_oneof![
        6 => Just(Happening::Poll),
        1 => Just(Happening::PollStale),
        12 => complete.prop_map(|(commands, answers, tame, [force, inline, sticky, can_discard])| {
            let with = With { force: force && inline, inline, sticky, can_discard };
            Happening::Complete { commands, answers, tame: tame > 0, with }
        }),
        1 => Just(Happening::CompleteStale),
        2 => (0..8).prop_map(|it| Happening::FailTask { too_large: it == 0 }),
        1 => Just(Happening::StickyUnavailable),
        1 => Just(Happening::ResetSticky),
        5 => (0..6u8).prop_map(|id| Happening::Signal { id }),
        1 => Just(Happening::RequestCancel),
        1 => (0..5).prop_map(|it| if it == 0 { Happening::Terminate } else { Happening::WakeEarly }),
        1 => (0..3u8, any::<bool>()).prop_map(|(id, event)| Happening::Attach { id, event }),
        6 => (0..20u8).prop_map(|seconds| Happening::Pass { seconds }),
        2 => Just(Happening::Crash),
        5 => any::<Index>().prop_map(Happening::StartActivity),
        6 => (any::<Index>(), any::<bool>(), a_report())
            .prop_map(|(which, by_id, report)| Happening::ReportActivity { which, by_id, report }),
        3 => (any::<Index>(), 0..7u8).prop_map(|(which, report)| Happening::Child { which, report }),
        2 => (any::<Index>(), any::<bool>()).prop_map(|(which, failed)| Happening::External { which, failed }),
        6 => (0..4u8, 0..10).prop_map(|(id, it)| Happening::Update { id, large: it == 0 }),
    ]
}

fn a_report() -> impl Strategy<Value = Report> {
    prop_oneof![
        4 => Just(Report::Complete),
        1 => Just(Report::CompleteTooMuch),
        4 => Just(Report::Fail),
        1 => Just(Report::FailForGood),
        1 => Just(Report::FailAtLength),
        2 => Just(Report::Cancel),
        3 => Just(Report::Heartbeat),
        1 => Just(Report::HeartbeatTooMuch),
        1 => Just(Report::StaleAttempt),
    ]
}

fn a_wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        4 => (0..3u8, 0..20u8).prop_map(|(id, after)| Wish::StartTimer(id, after)),
        2 => (0..3u8).prop_map(Wish::CancelTimer),
        6 => (0..4u8, any::<bool>(), any::<u8>()).prop_map(|(id, eager, timeouts)| Wish::Schedule { id, eager, timeouts }),
        2 => any::<Index>().prop_map(Wish::CancelActivity),
        3 => (0..4u8).prop_map(Wish::StartChild),
        1 => Just(Wish::Signal),
        1 => Just(Wish::Cancel),
        1 => Just(Wish::Marker),
        1 => any::<u8>().prop_map(|size| Wish::Memo { size }),
        1 => any::<bool>().prop_map(|bad| Wish::Search { bad }),
        1 => (0..20i32).prop_map(Wish::Bare),
        1 => (0..7).prop_map(|it| match it {
            0 => Wish::CompleteTooMuch,
            1 => Wish::Fail,
            2 => Wish::CancelRun,
            3 => Wish::ContinueAsNew,
            4 => Wish::Complete,
            _ => Wish::Marker,
        }),
    ]
}

fn an_answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        3 => (0..4u8, any::<bool>(), any::<bool>()).prop_map(|(id, bring, here)| Answer::Accept { id, bring, here }),
        3 => (0..4u8, any::<bool>()).prop_map(|(id, here)| Answer::Complete { id, here }),
        2 => (0..4u8).prop_map(|id| Answer::Reject { id }),
    ]
}

fn happen(run: &mut Run, happening: Happening) {
    let waiting = matches!(run.state.workflow_task(), WorkflowTask::Scheduled(_));
    let running = run.state.workflow_task().is_started();
    match happening {
        Happening::Poll if waiting => drop(run.poll()),
        Happening::Poll | Happening::PollStale => {
            let (identity, request_id) = ("late".into(), "late".into());
            let _ = run.step(Input::StartWorkflowTask { scheduled: 2, task: 1, identity, request_id, sticky: false });
        }
        Happening::Complete { commands, answers, tame, with } if waiting || running => {
            if waiting {
                run.poll();
            }
            run.sticky = with.sticky.then_some("sticky");
            let mut said = (Vec::new(), Vec::new());
            for answer in answers {
                let (message, here) = answered(&answer);
                let mut next = said.clone();
                next.0.extend(here.then(|| message_here(&message)));
                next.1.push(message);
                if !tame || is_taken(run, &next) {
                    said = next;
                }
            }
            for wish in commands {
                let mut next = said.clone();
                next.0.push(wished(run, &wish));
                if !tame || is_taken(run, &next) {
                    said = next;
                }
            }
            let (commands, messages) = said;
            let _ = run.respond(commands, messages, |it| {
                it.force_create_new_workflow_task = with.force;
                it.return_new_workflow_task = with.inline;
                it.capabilities.get_or_insert_default().discard_speculative_workflow_task_with_events =
                    with.can_discard;
            });
        }
        Happening::Complete { .. } | Happening::CompleteStale => {
            let at = Timestamp::ZERO;
            let token = TaskToken { run: RunKey(1), scheduled: 2, started: 3, attempt: 1, started_at: at };
            let completion = TaskCompletion { token, request: Default::default() };
            assert!(run.step(Input::CompleteWorkflowTask(Box::new(completion))).is_err());
        }
        Happening::FailTask { too_large } if waiting || running => {
            let (large, plain) =
                (WorkflowTaskFailedCause::GrpcMessageTooLarge, WorkflowTaskFailedCause::NonDeterministicError);
            run.fail_task_because(if too_large { large } else { plain });
        }
        Happening::FailTask { .. } => {}
        Happening::StickyUnavailable => {
            let scheduled = match run.state.workflow_task() {
                WorkflowTask::Scheduled(task) => task.scheduled,
                _ => 2,
            };
            let _ = run.step(Input::StickyUnavailable { scheduled });
        }
        Happening::ResetSticky => run.done(Input::ResetSticky),
        Happening::Signal { id } => {
            let request_id = if id < 3 { id.to_string() } else { String::new() };
            let _ = run.step(signal_once("s", &request_id));
        }
        Happening::RequestCancel => run.done(request_cancel()),
        Happening::Terminate => drop(run.step(terminate())),
        Happening::Attach { id, event } => {
            let (request_id, identity) = (format!("attach-{id}"), "client".into());
            let _ = run.step(Input::AttachRequest { request_id, identity, event });
        }
        Happening::Pass { seconds } => run.advance(secs(seconds.into())),
        Happening::WakeEarly => run.done(Input::Wake),
        Happening::Crash => run.crash(),
        Happening::StartActivity(which) => {
            let queued: Vec<_> = run
                .state
                .unrecorded
                .attempts
                .iter()
                .filter_map(|(id, it)| match it.phase {
                    ActivityPhase::Queued { task } => Some((*id, task)),
                    _ => None,
                })
                .collect();
            let (scheduled, task) = if queued.is_empty() { (5, 1) } else { *which.get(&queued) };
            let (identity, request_id) = ("worker".into(), "poll".into());
            let _ = run.step(Input::StartActivity { scheduled, task, identity, request_id });
        }
        Happening::ReportActivity { which, by_id, report } => report_activity(run, which, by_id, report),
        Happening::Child { which, report } => report_child(run, which, report),
        Happening::External { which, failed } => {
            let signals: Vec<_> = run.state.recorded.external_signals.keys().copied().collect();
            let cancels: Vec<_> = run.state.recorded.external_cancels.keys().copied().collect();
            let pick = |ids: &[i64]| if ids.is_empty() { 5 } else { *which.get(ids) };
            let cause = SignalExternalWorkflowExecutionFailedCause::ExternalWorkflowExecutionNotFound;
            run.done(Input::ExternalSignaled { initiated: pick(&signals), failed: failed.then_some(cause) });
            let cause = CancelExternalWorkflowExecutionFailedCause::ExternalWorkflowExecutionNotFound;
            run.done(Input::ExternalCanceled { initiated: pick(&cancels), failed: failed.then_some(cause) });
        }
        Happening::Update { id, large: is_large } => {
            let mut request = update_request(&format!("u{id}"));
            if is_large {
                request.input.get_or_insert_default().args = Some(large(500));
            }
            let _ = run.step(Input::Update(Box::new(request)));
        }
    }
}

/// Whether the running workflow task could be completed with this.
fn is_taken(run: &Run, (commands, messages): &(Vec<Command>, Vec<Message>)) -> bool {
    let request = api::workflowservice::v1::RespondWorkflowTaskCompletedRequest {
        commands: commands.clone(),
        messages: messages.clone(),
        ..Default::default()
    };
    let completion = TaskCompletion { token: run.token(), request };
    let env = Env { now: run.now, seed: 0, first_id: 1_000_000, limits: &run.limits, namespace: &run.namespace };
    let taken = step(&run.state, Input::CompleteWorkflowTask(Box::new(completion)), &env);
    matches!(taken, Ok((_, Step { reply: Reply::TaskCompleted(_), .. })))
}

fn report_activity(run: &mut Run, which: Index, by_id: bool, report: Report) {
    let pending: Vec<i64> = run.state.unrecorded.attempts.keys().copied().collect();
    let scheduled = if pending.is_empty() { 5 } else { *which.get(&pending) };
    let attempt = run.state.unrecorded.attempts.get(&scheduled).map_or(1, |it| it.attempt);
    let attempt = if matches!(report, Report::StaleAttempt) { attempt - 1 } else { attempt };
    let id = run.state.recorded.activities.get(&scheduled).map(|it| it.attributes.activity_id.clone());
    let activity =
        if by_id { ActivityRef::Id(id.unwrap_or_default()) } else { ActivityRef::Token { scheduled, attempt } };
    let identity = "worker".to_owned();
    let fail = |failure| Input::FailActivity {
        activity: activity.clone(),
        failure: Some(failure),
        last_heartbeat: Some(payloads("last")),
        identity: identity.clone(),
    };
    let input = match report {
        Report::Complete | Report::StaleAttempt => {
            Input::CompleteActivity { activity, result: Some(payloads("ok")), identity }
        }
        Report::CompleteTooMuch => Input::CompleteActivity { activity, result: Some(large(2_000)), identity },
        Report::Fail => fail(application_failure("broke")),
        Report::FailForGood => fail(non_retryable_failure("broke")),
        Report::FailAtLength => fail(application_failure(&"é".repeat(200))),
        Report::Cancel => Input::CancelActivity { activity, details: None, identity },
        Report::Heartbeat => Input::Heartbeat { activity, details: Some(payloads("half")), identity },
        Report::HeartbeatTooMuch => Input::Heartbeat { activity, details: Some(large(2_000)), identity },
    };
    let _ = run.step(input);
}

fn report_child(run: &mut Run, which: Index, report: u8) {
    let children: Vec<_> =
        run.state.recorded.children.values().map(|it| (it.initiated, it.attributes.workflow_id.clone())).collect();
    let (initiated, id) = if children.is_empty() { (5, "c".to_owned()) } else { which.get(&children).clone() };
    let run_id = Uuid::from_u128(initiated as u128);
    run.done(match report {
        0 => Input::ChildStarted { initiated, run_id },
        1 => {
            let cause = StartChildWorkflowExecutionFailedCause::WorkflowAlreadyExists;
            Input::ChildStartFailed { initiated, cause }
        }
        2 => child_closed(initiated, &id, run_id, completed()),
        3 => child_closed(initiated, &id, run_id, failed()),
        4 => child_closed(initiated, &id, run_id, canceled()),
        5 => child_closed(initiated, &id, run_id, timed_out()),
        _ => child_closed(initiated, &id, run_id, terminated()),
    });
}

fn wished(run: &Run, wish: &Wish) -> Command {
    match wish {
        Wish::StartTimer(id, after) => start_timer(&format!("t{id}"), secs((*after).into())),
        Wish::CancelTimer(id) => cancel_timer(&format!("t{id}")),
        Wish::Schedule { id, eager, timeouts } => schedule_activity_with(&format!("a{id}"), |it| {
            it.request_eager_execution = *eager;
            let timeout = |bit: u8, seconds| if timeouts & bit != 0 { wire(secs(seconds)) } else { None };
            it.schedule_to_close_timeout = timeout(1, 20);
            it.schedule_to_start_timeout = timeout(2, 4);
            it.heartbeat_timeout = timeout(4, 3);
            it.retry_policy = if timeouts & 8 != 0 { retry_policy(2) } else { None };
            if timeouts & 16 != 0 && timeouts & 32 != 0 {
                it.start_to_close_timeout = None;
            }
        }),
        Wish::CancelActivity(which) => {
            let all: Vec<i64> = run.state.recorded.activities.keys().copied().collect();
            cancel_activity(if all.is_empty() { 5 } else { *which.get(&all) })
        }
        Wish::StartChild(id) => {
            let policies = [
                ParentClosePolicy::Unspecified,
                ParentClosePolicy::Abandon,
                ParentClosePolicy::RequestCancel,
                ParentClosePolicy::Terminate,
            ];
            start_child_closing(&format!("c{id}"), policies[usize::from(*id)])
        }
        Wish::Signal => signal_external("other"),
        Wish::Cancel => cancel_external("other"),
        Wish::Marker => record_marker("m"),
        Wish::Memo { size } => upsert_memo("m", payload(&"x".repeat(4 * usize::from(*size)))),
        Wish::Search { bad } => upsert_search_attribute("CustomInt", if *bad { "\"text\"" } else { "5" }),
        Wish::Bare(kind) => Command { command_type: *kind, ..bare(CommandType::Unspecified) },
        Wish::Complete => complete_workflow(),
        Wish::CompleteTooMuch => complete_workflow_with(Some(large(2_000))),
        Wish::Fail => fail_workflow(application_failure("broke")),
        Wish::CancelRun => cancel_workflow(),
        Wish::ContinueAsNew => continue_as_new(),
    }
}

fn answered(answer: &Answer) -> (Message, bool) {
    match answer {
        Answer::Accept { id, bring: true, here } => (accept_with_request(&format!("u{id}")), *here),
        Answer::Accept { id, bring: false, here } => (accept(&format!("u{id}")), *here),
        Answer::Complete { id, here } => (crate::testkit::answer(&format!("u{id}"), "ok"), *here),
        Answer::Reject { id } => (reject(&format!("u{id}")), false),
    }
}
