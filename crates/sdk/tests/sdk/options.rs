//! That every option is on the wire as the program said it, and what some of them bring about.

use crate::support::{Test, uuid};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use temporalio_common::protos::temporal::api::common::v1::{Priority as Wire, RetryPolicy as WirePolicy};
use temporalio_common::protos::temporal::api::enums::v1::{EventType, ParentClosePolicy as WireClose};
use temporalio_common::protos::temporal::api::history::v1::HistoryEvent;
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use tradewind::activity::Cancellation;
use tradewind::prelude::*;
use tradewind::workflow::{ParentClosePolicy, RetryPolicy, Scope};
use tradewind::{Priority, workflow::Child};

const SECOND: Duration = Duration::from_secs(1);

fn policy() -> RetryPolicy {
    RetryPolicy::builder().initial_interval(2 * SECOND).maximum_attempts(7).non_retryable_error_types(["No"]).build()
}

#[activity(
    start_to_close_timeout = "11s",
    schedule_to_close_timeout = "44s",
    schedule_to_start_timeout = "33s",
    heartbeat_timeout = "5s",
    max_attempts = 4,
    initial_interval = "2s",
    maximum_interval = "9s",
    backoff_coefficient = 1.5,
    non_retryable_errors = ["No", "Never"],
    priority = 2,
    summary = "all of it"
)]
async fn declared() -> Result<()> {
    Ok(())
}

#[activity]
async fn plain() -> Result<()> {
    Ok(())
}

#[workflow(
    execution_timeout = "1h",
    run_timeout = "50m",
    task_timeout = "7s",
    retry_policy = policy(),
    priority = Priority::new(4).fairness("ann", 2.5),
    parent_close_policy = ParentClosePolicy::Abandon,
    summary = "for whoever looks"
)]
async fn all_options() -> Result<()> {
    declared().await?;
    plain()
        .with(|o| {
            let o = o.start_to_close_timeout(12 * SECOND).schedule_to_close_timeout(45 * SECOND);
            let o = o.schedule_to_start_timeout(34 * SECOND).heartbeat_timeout(6 * SECOND).max_attempts(5);
            let o = o.initial_interval(3 * SECOND).maximum_interval(10 * SECOND).backoff_coefficient(3.0);
            o.non_retryable_errors(["None"]).priority(Priority::new(1).fairness("bob", 0.5)).id("an id")
        })
        .await?;
    plain().await
}

#[workflow]
async fn parent() -> Result<()> {
    all_options().await
}

fn attributes<T>(events: &[HistoryEvent], pick: impl Fn(&Attributes) -> Option<&T>) -> Vec<&T> {
    events.iter().filter_map(|event| pick(event.attributes.as_ref()?)).collect()
}

fn seconds<D>(duration: Option<D>) -> u64
where
    Duration: TryFrom<D>,
{
    duration.and_then(|it| Duration::try_from(it).ok()).map_or(0, |it| it.as_secs())
}

fn key(priority: Option<&Wire>) -> (i32, &str, f32) {
    priority.map_or((0, "", 0.0), |it| (it.priority_key, it.fairness_key.as_str(), it.fairness_weight))
}

fn is_policy(wire: Option<&WirePolicy>) {
    let wire = wire.expect("there is one");
    assert_eq!((seconds(wire.initial_interval), wire.maximum_attempts), (2, 7));
    assert_eq!(wire.non_retryable_error_types, ["No"]);
}

#[tokio::test]
async fn options_are_on_the_wire_as_they_were_said() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(declared).activity(plain).workflow(all_options).workflow(parent));
    let handle = test.client.start(all_options()).await.unwrap();
    handle.result().await.unwrap();
    let events = handle.history().into_events().await.unwrap();

    let started = attributes(&events, |it| match it {
        Attributes::WorkflowExecutionStartedEventAttributes(started) => Some(started),
        _ => None,
    })[0];
    assert_eq!(seconds(started.workflow_execution_timeout), 3600);
    assert_eq!(seconds(started.workflow_run_timeout), 3000);
    assert_eq!(seconds(started.workflow_task_timeout), 7);
    is_policy(started.retry_policy.as_ref());
    assert_eq!(key(started.priority.as_ref()), (4, "ann", 2.5));
    assert!(events[0].user_metadata.as_ref().is_some_and(|it| it.summary.is_some()));

    let scheduled = attributes(&events, |it| match it {
        Attributes::ActivityTaskScheduledEventAttributes(scheduled) => Some(scheduled),
        _ => None,
    });
    let facts: Vec<_> = scheduled
        .iter()
        .map(|it| {
            let policy = it.retry_policy.as_ref().expect("there is one");
            let timeouts = [
                it.start_to_close_timeout,
                it.schedule_to_close_timeout,
                it.schedule_to_start_timeout,
                it.heartbeat_timeout,
                policy.initial_interval,
                policy.maximum_interval,
            ];
            let types = policy.non_retryable_error_types.join(" ");
            (
                timeouts.map(seconds),
                policy.maximum_attempts,
                policy.backoff_coefficient,
                types,
                key(it.priority.as_ref()),
            )
        })
        .collect();
    assert_eq!(facts[0], ([11, 44, 33, 5, 2, 9], 4, 1.5, "No Never".into(), (2, "", 0.0)));
    assert_eq!(facts[1], ([12, 45, 34, 6, 3, 10], 5, 3.0, "None".into(), (1, "bob", 0.5)));
    // What nobody said: five minutes for an attempt, no end of them, and whatever priority the workflow has.
    let (timeouts, attempts, ..) = &facts[2];
    assert_eq!((timeouts[0], *attempts, facts[2].4), (300, 0, (0, "", 0.0)));
    assert_eq!(scheduled[1].activity_id, "an id");

    let handle = test.client.start(parent()).await.unwrap();
    handle.result().await.unwrap();
    let events = handle.history().into_events().await.unwrap();
    let child = attributes(&events, |it| match it {
        Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(child) => Some(child),
        _ => None,
    })[0];
    assert_eq!(seconds(child.workflow_execution_timeout), 3600);
    assert_eq!(seconds(child.workflow_run_timeout), 3000);
    assert_eq!(seconds(child.workflow_task_timeout), 7);
    assert_eq!(child.parent_close_policy(), WireClose::Abandon);
    is_policy(child.retry_policy.as_ref());
    assert_eq!(key(child.priority.as_ref()), (4, "ann", 2.5));
    worker.stop().await;
    test.stop().await;
}

#[workflow]
async fn has_children(ids: [String; 2]) -> Result<()> {
    let [open, half] = ids;
    measures_itself().id(open).await?;
    measures_itself().id(half).with(|o| o.priority(2)).await?;
    Ok(())
}

#[tokio::test]
async fn children_take_from_their_parent_what_their_priority_leaves_open() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(plain).workflow(has_children).workflow(measures_itself));
    let ids = [format!("open-{}", uuid()), format!("half-{}", uuid())];
    let parent = test.client.execute(has_children(ids.clone()));
    parent.with(|o| o.priority(Priority::new(4).fairness("ann", 2.5))).await.unwrap();
    for (id, expected) in ids.iter().zip([(4, "ann", 2.5), (2, "ann", 2.5)]) {
        let events = test.client.untyped_handle(id).history().into_events().await.unwrap();
        let Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) = &events[0].attributes else {
            panic!("it starts otherwise: {:?}", events[0])
        };
        assert_eq!(key(started.priority.as_ref()), expected, "{id}");
    }
    worker.stop().await;
    test.stop().await;
}

static RUNS: AtomicU32 = AtomicU32::new(0);

#[workflow]
async fn succeeds_at_the_third_run() -> Result<u32> {
    match workflow::info().attempt() {
        3 => Ok(RUNS.load(Ordering::SeqCst)),
        _ => {
            RUNS.fetch_add(1, Ordering::SeqCst);
            Err(Error::new("not yet"))
        }
    }
}

#[tokio::test]
async fn a_workflow_is_run_again_by_its_policy() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.workflow(succeeds_at_the_third_run));
    let policy = RetryPolicy::builder().initial_interval(SECOND / 10).maximum_attempts(3).build();
    let start = test.client.execute(succeeds_at_the_third_run()).with(|o| o.retry_policy(policy));
    assert_eq!(start.await.unwrap(), 2);
    worker.stop().await;
    test.stop().await;
}

static TICKS: AtomicU32 = AtomicU32::new(0);

#[workflow(cron_schedule = "@every 1s")]
async fn ticks() -> Result<()> {
    TICKS.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

#[tokio::test]
async fn a_cron_schedule_runs_it_again_and_again() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.workflow(ticks));
    let handle = test.client.start(ticks()).await.unwrap();
    while TICKS.load(Ordering::SeqCst) < 3 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    test.client.untyped_handle(handle.id()).terminate("enough").await.unwrap();
    // Not by a schedule too: one of them would have to give way.
    let both = test.client.schedule(uuid(), ticks()).every(SECOND).await.unwrap_err();
    assert!(matches!(&both, ClientError::Invalid(why) if why.contains("@every 1s")), "{both}");
    worker.stop().await;
    test.stop().await;
}

#[workflow]
async fn waits_to_be_cancelled(cleans_up: bool) -> Result<String> {
    let outcome = workflow::sleep(60 * SECOND).await;
    if cleans_up {
        workflow::detached(workflow::sleep(3 * SECOND)).await?;
    }
    outcome.map(|()| "slept".into())
}

#[workflow]
async fn leaves_children(ids: Vec<String>) -> Result<()> {
    use ParentClosePolicy::{Abandon, RequestCancel, Terminate};
    for (id, policy) in ids.into_iter().zip([Abandon, RequestCancel, Terminate]) {
        let call = waits_to_be_cancelled(false).id(id).with(|o| o.parent_close_policy(policy));
        let _running: Child<_> = call.start().await?;
    }
    Ok(())
}

#[tokio::test]
async fn children_that_are_left_behind_end_by_their_policy() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.workflow(leaves_children).workflow(waits_to_be_cancelled));
    let ids: Vec<_> = (0..3).map(|_| format!("child-{}", uuid())).collect();
    test.client.execute(leaves_children(ids.clone())).await.unwrap();

    let [abandoned, asked, ended] = [0, 1, 2].map(|at: usize| test.client.handle(waits_to_be_cancelled, &ids[at]));
    let asked = asked.result().await.unwrap_err();
    assert!(matches!(&asked, ClientError::Failed(error) if error.is_cancelled()), "{asked:?}");
    let ended = ended.result().await.unwrap_err();
    assert!(matches!(ended, ClientError::Terminated), "{ended:?}");
    assert!(abandoned.describe().await.unwrap().close_time().is_none(), "it goes on");
    abandoned.terminate("enough").await.unwrap();
    worker.stop().await;
    test.stop().await;
}

/// How its child ends for it, and whether it waited for that.
#[workflow]
async fn cancels_a_child(id: String, how: String) -> Result<(String, bool)> {
    let how = match how.as_str() {
        "wait" => Cancellation::Wait,
        "abandon" => Cancellation::Abandon,
        _ => Cancellation::Request,
    };
    let scope = Scope::new();
    let mut began = workflow::now();
    let child = scope.run(
        waits_to_be_cancelled(true)
            .id(id)
            .with(|o| o.cancellation(how).parent_close_policy(ParentClosePolicy::Abandon)),
    );
    let (outcome, ()) = workflow::join!(child, async {
        let _ = workflow::sleep(SECOND / 2).await;
        scope.cancel();
        began = workflow::now();
    });
    let error = outcome.unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    let waited = workflow::now().duration_since(began)? >= 2 * SECOND;
    // Some servers forget what a run asked for in the task that ends it.
    workflow::sleep(SECOND).await?;
    Ok((format!("{:?}", error.kind()), waited))
}

#[tokio::test]
async fn a_child_is_cancelled_as_its_parent_said() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.workflow(cancels_a_child).workflow(waits_to_be_cancelled));
    for (how, waited, goes_on) in [("request", false, false), ("wait", true, false), ("abandon", false, true)] {
        let id = format!("child-{}", uuid());
        let outcome = test.client.execute(cancels_a_child(id.clone(), how.into())).await.unwrap();
        assert_eq!(outcome, ("Cancelled".into(), waited), "{how}");
        let child = test.client.handle(waits_to_be_cancelled, id);
        if goes_on {
            assert!(child.describe().await.unwrap().close_time().is_none(), "it goes on");
            child.terminate("enough").await.unwrap();
        } else {
            let ended = child.result().await.unwrap_err();
            assert!(matches!(&ended, ClientError::Failed(error) if error.is_cancelled()), "{ended:?}");
        }
    }
    worker.stop().await;
    test.stop().await;
}

static SERVED: parking_lot::Mutex<Vec<u32>> = parking_lot::Mutex::new(Vec::new());

#[activity]
async fn is_served(number: u32) -> Result<()> {
    SERVED.lock().push(number);
    Ok(())
}

#[workflow]
async fn asks_in_turn(queue: String) -> Result<()> {
    // 0 says nothing, which is what the workflow says.
    let calls = [5, 3, 4, 1, 0].map(|key| is_served(key).with(|o| o.task_queue(&queue).priority(key)));
    workflow::try_join_all(calls).await?;
    Ok(())
}

#[tokio::test]
async fn urgent_activities_are_served_first() {
    let test = Test::start().await;
    let queue = format!("{}-served", test.queue);
    let workflows = test.worker(|worker| worker.workflow(asks_in_turn));
    let handle = test.client.start(asks_in_turn(queue.clone())).with(|o| o.priority(2)).await.unwrap();
    let all = |events: Vec<HistoryEvent>| {
        events.iter().filter(|event| event.event_type() == EventType::ActivityTaskScheduled).count() == 5
    };
    while !all(handle.history().into_events().await.unwrap()) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // They are on their way to the queue by then.
    tokio::time::sleep(SECOND / 2).await;
    let one_by_one = Worker::builder(&test.client, &queue).activity(is_served).max_concurrent_activities(1);
    let activities = crate::support::RunningWorker::start(one_by_one.build().unwrap());
    handle.result().await.unwrap();
    // Other servers divide a queue into parts, each of which has an order of its own.
    if test.is_own_server() {
        assert_eq!(*SERVED.lock(), [1, 0, 3, 4, 5]);
    }
    activities.stop().await;
    workflows.stop().await;
    test.stop().await;
}

#[workflow]
async fn measures_itself() -> Result<(u32, u32, bool)> {
    let before = workflow::history_length();
    plain().await?;
    Ok((before, workflow::history_length(), workflow::continue_as_new_suggested()))
}

#[tokio::test]
async fn a_run_knows_how_long_its_history_is() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(plain).workflow(measures_itself));
    // Started, task scheduled and started; and three of the activity, and three of the next task.
    assert_eq!(test.client.execute(measures_itself()).await.unwrap(), (3, 9, false));
    worker.stop().await;
    test.stop().await;
}
