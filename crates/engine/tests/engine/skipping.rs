//! A clock that skips: time passes as soon as nothing else can happen, and not before.

use crate::testkit::{Node, activity, complete, timer};
use api::command::v1::command::Attributes;
use engine::{
    Settings,
    ambient::{Clock, Skipping},
};
use std::{sync::Arc, time::Duration};
use tradewind_core::time::Timestamp;

const DAY: Duration = Duration::from_secs(86_400);
/// Longer than anything here takes, and far shorter than what is skipped.
const AT_ONCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn thirty_days_pass_at_once() {
    let test = Test::start().await;
    let began = test.now();
    test.node.begin("w").await;
    test.node.turn("w", [timer("t", 30 * 86_400)]).await;

    tokio::join!(test.sleep(31 * DAY), test.node.turn("w", [complete()]));
    let fired = test.event_time("w", "timer_fired").await - began;
    assert!((30 * DAY..30 * DAY + AT_ONCE).contains(&fired), "{fired:?}");
    assert!((31 * DAY..31 * DAY + AT_ONCE).contains(&(test.now() - began)));
}

#[tokio::test]
async fn deadlines_on_the_way_are_not_passed_over() {
    let test = Test::start().await;
    test.node.begin("w").await;
    test.node.turn("w", [timer("first", 86_400), timer("second", 2 * 86_400)]).await;

    let worker = async {
        test.node.turn("w", [timer("third", 3_600)]).await;
        test.node.turn("w", []).await;
        test.node.turn("w", [complete()]).await;
    };
    tokio::join!(test.sleep(10 * DAY), worker);
    let events = test.node.events("w").await;
    let times: Vec<_> = events.iter().filter(|event| is(event, "timer_fired")).map(time_of).collect();
    let hours: Vec<_> = times.iter().map(|time| (*time - time_of(&events[0])).as_secs() / 3_600).collect();
    assert_eq!(hours, [24, 25, 48]);
}

#[tokio::test]
async fn nobody_waiting_leaves_time_alone() {
    let test = Test::start().await;
    let began = test.now();
    test.node.begin("w").await;
    test.node.turn("w", [timer("t", 86_400)]).await;

    // A poller waits for work, not for time.
    test.node.expect_no_task("w").await;
    assert!(test.now() - began < AT_ONCE);
}

#[tokio::test]
async fn time_does_not_run_over_a_worker_that_has_an_activity() {
    let test = Test::start().await;
    test.node.begin("w").await;
    test.node.turn("w", [activity("a", "w"), timer("t", 86_400)]).await;
    let task = test.node.activity("w").await;
    let began = test.now();

    let sleeping = test.sleep(2 * DAY);
    tokio::pin!(sleeping);
    let early = tokio::time::timeout(Duration::from_millis(300), &mut sleeping).await;
    assert!(early.is_err() && test.now() - began < AT_ONCE, "its minute would be over");

    test.node.complete_activity(&task, "done").await.expect("it is taken");
    let worker = async {
        test.node.turn("w", []).await;
        test.node.turn("w", [complete()]).await;
    };
    tokio::join!(sleeping, worker);
    assert!(test.now() - began >= 2 * DAY);
    let history = test.node.history("w").await;
    assert!(!history.iter().any(|it| it == "activity_task_timed_out"), "{history:?}");
}

#[tokio::test]
async fn an_activity_that_nobody_polls_for_times_out() {
    let test = Test::start().await;
    test.node.begin("w").await;
    let mut lonely = activity("a", "elsewhere");
    if let Some(Attributes::ScheduleActivityTaskCommandAttributes(it)) = &mut lonely.attributes {
        it.schedule_to_start_timeout = Some(crate::testkit::seconds(3_600));
    }
    test.node.turn("w", [lonely]).await;

    tokio::join!(test.sleep(DAY), test.node.turn("w", [complete()]));
    let history = test.node.history("w").await;
    assert!(history.iter().any(|it| it == "activity_task_timed_out"), "{history:?}");
}

#[tokio::test]
async fn an_activity_waits_for_a_worker_that_is_only_late() {
    let test = Test::start().await;
    test.node.begin("w").await;
    test.node.turn("w", [activity("a", "w"), timer("t", 3_600)]).await;

    let worker = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let task = test.node.activity("w").await;
        test.node.complete_activity(&task, "done").await.expect("it is taken");
        test.node.turn("w", [complete()]).await;
    };
    tokio::join!(test.sleep(DAY), worker);
    let history = test.node.history("w").await;
    assert!(!history.iter().any(|it| it == "timer_fired"), "{history:?}");
}

#[tokio::test]
async fn whoever_waits_until_something_is_true_lets_time_pass_until_it_is() {
    let test = Test::start().await;
    test.node.begin("w").await;
    test.node.turn("w", [timer("t", 86_400)]).await;
    test.node.begin("other").await;
    test.node.turn("other", [timer("t", 10 * 86_400)]).await;
    let began = test.now();

    let snapshot = test.node.handle().inspect(test.node.target("w"), true).await.expect("it is there");
    let mut progress = snapshot.progress.expect("asked for");
    let seen = progress.clone();
    let waiting = test.node.clock.wait(move || seen.borrow().closed);
    let (closed, ()) = tokio::join!(progress.wait_for(|seen| seen.closed), test.node.turn("w", [complete()]));
    drop(closed.expect("the run closes"));
    // Its answer is on the way: nothing more is skipped, though somebody else's timer is due next.
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(waiting);
    let passed = test.now() - began;
    assert!((DAY..DAY + AT_ONCE).contains(&passed), "{passed:?}");
}

#[tokio::test]
async fn the_end_of_a_retention_is_nothing_to_wait_for() {
    let test = Test::start().await;
    test.node.begin("done").await;
    test.node.turn("done", [complete()]).await;
    let began = test.now();

    let waiting = test.node.clock.wait(|| false);
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(waiting);
    assert!(test.now() - began < AT_ONCE);
    assert!(test.node.is_closed("done").await, "and the run is still there");
}

#[tokio::test]
async fn a_jump_by_hand_makes_what_it_passes_over_late() {
    let test = Test::start().await;
    let began = test.now();
    test.node.begin("w").await;
    test.node.turn("w", [timer("t", 3_600)]).await;

    test.clock.skip(DAY);
    test.node.turn("w", [complete()]).await;
    let fired = test.event_time("w", "timer_fired").await - began;
    assert!(fired >= DAY, "{fired:?}");
}

#[tokio::test]
async fn a_sticky_worker_keeps_its_place_over_a_jump() {
    let test = Test::start().await;
    test.node.begin("w").await;
    let task = test.node.task("w").await;
    test.node.complete_sticky(&task, [timer("t", 30 * 86_400)], Some("own")).await.expect("it is taken");

    let worker = async {
        let task = test.node.sticky_task("own", "w").await;
        test.node.complete(&task, [complete()]).await.expect("it is taken");
        task
    };
    let (_, task) = tokio::join!(test.sleep(31 * DAY), worker);
    assert!(task.history.expect("there is some").events[0].event_id > 1, "only what is new");
}

struct Test {
    node: Node,
    clock: Arc<Skipping>,
}

impl Test {
    async fn start() -> Test {
        let clock = Skipping::new();
        let node = Node::on(Clock::Skipping(clock.clone()), Settings::default()).await;
        node.keep_closed_runs_for(365 * DAY).await;
        Test { node, clock }
    }

    fn now(&self) -> Timestamp {
        self.node.clock.now()
    }

    async fn sleep(&self, by: Duration) {
        let until = self.now() + by;
        let slept = tokio::time::timeout(AT_ONCE, self.clock.sleep_until(until)).await;
        assert!(slept.is_ok(), "time stands still: {:?}", self.clock);
    }

    async fn event_time(&self, workflow_id: &str, name: &str) -> Timestamp {
        let events = self.node.events(workflow_id).await;
        time_of(events.iter().find(|event| is(event, name)).expect("it is in history"))
    }
}

fn is(event: &api::history::v1::HistoryEvent, name: &str) -> bool {
    event.event_type().as_str_name().to_lowercase().ends_with(name)
}

fn time_of(event: &api::history::v1::HistoryEvent) -> Timestamp {
    event.event_time.expect("every event has a time").into()
}
