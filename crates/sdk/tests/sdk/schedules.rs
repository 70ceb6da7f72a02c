//! Schedules, on servers that have them. Others say that they have none.

use crate::support::{Test, uuid};
use futures_util::TryStreamExt;
use std::time::{Duration, SystemTime};
use temporalio_common::protos::temporal::api::enums::v1::EventType;
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use tradewind::client::{Backfill, Calendar, Overlap, ScheduleDescription, ScheduleHandle};
use tradewind::prelude::*;
use tradewind::workflow::RetryPolicy;

const MINUTE: Duration = Duration::from_secs(60);

#[workflow(run_timeout = "7m", summary = "every night", priority = 2)]
async fn report(what: String) -> Result<String> {
    Ok(format!("all of {what}"))
}

/// Waits until the schedule shows what it was asked for. The reference server carries it out a moment later, and forgets
/// it if it is asked for more before that.
async fn until(schedule: &ScheduleHandle, shows: impl Fn(&ScheduleDescription) -> bool) -> ScheduleDescription {
    let shown = async {
        loop {
            let description = schedule.describe().await.unwrap();
            if shows(&description) {
                return description;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), shown).await.expect("it shows in time")
}

#[tokio::test]
async fn schedules_start_workflows_or_are_honestly_refused() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.workflow(report));
    let id = uuid();
    let created = test
        .client
        .schedule(&id, report("it".into()))
        .cron("0 3 * * *")
        .except(Calendar::builder().hour("3").day_of_week("0").build())
        .time_zone("Europe/Paris")
        .jitter(MINUTE)
        .overlap(Overlap::BufferOne)
        .catch_up(10 * MINUTE)
        .pause_on_failure()
        .at_most(5)
        .note("for the board")
        .memo("asked by", "ann".to_owned())
        .with(|o| o.retry_policy(RetryPolicy::builder().maximum_attempts(4).build()))
        .and_now()
        .await;
    let schedule = match created {
        Err(ClientError::Unsupported(why)) if test.is_own_server() => return assert!(!why.is_empty()),
        created => created.unwrap(),
    };

    let shown = until(&schedule, |it| it.action_count() == 1 && !it.recent_actions().is_empty()).await;
    let raw = shown.raw().schedule.clone().unwrap();
    let (spec, policies, state) = (raw.spec.unwrap(), raw.policies.unwrap(), raw.state.unwrap());
    assert_eq!((spec.timezone_name.as_str(), spec.jitter.unwrap().seconds), ("Europe/Paris", 60));
    assert_eq!(policies.catchup_window.unwrap().seconds, 600);
    assert_eq!((policies.overlap_policy, policies.pause_on_failure), (2, true));
    assert_eq!((state.limited_actions, state.notes.as_str()), (true, "for the board"));
    assert_eq!(shown.future_action_times().len(), 5, "the one that it was asked for does not count");

    // Its run has the options of its workflow.
    let started = shown.raw().info.as_ref().unwrap().recent_actions[0].start_workflow_result.clone().unwrap();
    assert!(started.workflow_id.starts_with(&id), "{}", started.workflow_id);
    let run = test.client.handle(report, &started.workflow_id).run(&started.run_id);
    assert_eq!(run.result().await.unwrap(), "all of it");
    let events = run.history().into_events().await.unwrap();
    assert_eq!(events[0].event_type(), EventType::WorkflowExecutionStarted);
    let Some(Attributes::WorkflowExecutionStartedEventAttributes(facts)) = &events[0].attributes else {
        panic!("it starts otherwise: {:?}", events[0])
    };
    assert_eq!(facts.workflow_run_timeout.as_ref().unwrap().seconds, 420);
    assert_eq!(facts.retry_policy.as_ref().unwrap().maximum_attempts, 4);
    assert_eq!(facts.priority.as_ref().unwrap().priority_key, 2);
    assert!(facts.memo.as_ref().unwrap().fields.contains_key("asked by"));
    assert!(events[0].user_metadata.as_ref().unwrap().summary.is_some());

    schedule.pause("the source is down").await.unwrap();
    until(&schedule, |it| it.paused() && it.note() == Some("the source is down")).await;
    schedule.unpause("it is up").await.unwrap();
    until(&schedule, |it| !it.paused()).await;
    schedule.trigger().await.unwrap();
    until(&schedule, |it| it.action_count() == 2).await;
    // From Friday, 4 October 2024, to Tuesday: four nights, and one of them a Sunday's.
    let day = 24 * 60 * MINUTE;
    let friday = SystemTime::UNIX_EPOCH + 20_000 * day;
    let backfill = Backfill::new(friday, friday + 4 * day).overlap_policy(Overlap::AllowAll).build();
    schedule.backfill([backfill]).await.unwrap();
    until(&schedule, |it| it.action_count() == 5).await;
    schedule
        .update(|it| {
            it.set_note("changed").set_remaining_actions(None);
        })
        .await
        .unwrap();
    let changed = until(&schedule, |it| it.note() == Some("changed")).await;
    let Some(action) = changed.raw().schedule.clone().unwrap().action else { panic!("an update keeps the action") };
    assert!(format!("{action:?}").contains("seconds: 420"), "an update keeps the options: {action:?}");

    let listed = async {
        loop {
            let all: Vec<_> = test.client.schedules("").try_collect().await.unwrap();
            if let Some(one) = all.into_iter().find(|one| one.schedule_id() == id) {
                return one;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let listed = tokio::time::timeout(Duration::from_secs(30), listed).await.expect("lists are a moment late");
    assert_eq!(listed.workflow_type(), Some("report"));

    let twice = test.client.schedule(&id, report("it".into())).every(MINUTE).await.unwrap_err();
    assert!(matches!(&twice, ClientError::Invalid(_)), "{twice:?}");
    schedule.delete().await.unwrap();
    let gone = schedule.describe().await.unwrap_err();
    assert!(matches!(gone, ClientError::NotFound(_)), "{gone}");
    worker.stop().await;
    test.stop().await;
}
