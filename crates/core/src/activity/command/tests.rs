use super::*;
use crate::testkit::*;
use api::enums::v1::CommandType;
use expect_test::expect;

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
