"""Activities: time-outs, retries, heartbeats, cancellation, completion by id, eager dispatch, stale tokens."""

from __future__ import annotations

import time

import pytest
from raw import (
    says,
    IDENTITY,
    MIB,
    ActivityTask,
    Raw,
    Run,
    attributes,
    big_payloads,
    cancel_activity,
    complete_workflow,
    event_name,
    new_id,
    payloads,
    refused,
    schedule_activity,
    secs,
    value,
)

# RetryState
IN_PROGRESS, NON_RETRYABLE, TIMEOUT, MAXIMUM_ATTEMPTS = 1, 2, 3, 4
# TimeoutType
START_TO_CLOSE, SCHEDULE_TO_START, SCHEDULE_TO_CLOSE, HEARTBEAT = 1, 2, 3, 4
# PendingActivityState
SCHEDULED, STARTED, CANCEL_REQUESTED = 1, 2, 3

STALE = "invalid activityID or activity already timed out or invoking workflow is completed"
NO_TIME_LEFT = "Not enough time to schedule next retry before activity ScheduleToClose timeout, giving up retrying"
ONCE = {"maximum_attempts": 1}


def scheduled(run: Run, **fields) -> Run:
    """The run with one activity scheduled as event 5."""
    run.complete_task(schedule_activity(run.queue, **fields))
    return run


# --- scheduled, started, completed -------------------------------------------------------------------------------


def test_the_scheduled_event_holds_what_was_resolved(run: Run):
    scheduled(run, retry_policy=None, input=payloads("in"), heartbeat_timeout=3)
    event = run.event("ActivityTaskScheduled")
    assert (event.activity_id, event.activity_type.name, event.task_queue.name) == ("a", "A", run.queue)
    assert event.workflow_task_completed_event_id == 4
    assert value(event.input) == "in"
    assert event.HasField("schedule_to_close_timeout") and event.HasField("schedule_to_start_timeout")
    assert event.schedule_to_close_timeout.ToTimedelta() == secs(0)
    assert event.start_to_close_timeout.ToTimedelta() == secs(10)
    assert event.heartbeat_timeout.ToTimedelta() == secs(3)
    policy = event.retry_policy
    assert policy.initial_interval.ToTimedelta() == secs(1)
    assert policy.maximum_interval.ToTimedelta() == secs(100)
    assert (policy.backoff_coefficient, policy.maximum_attempts) == (2.0, 0)


def test_schedule_to_close_bounds_the_other_timeouts(run: Run):
    scheduled(run, schedule_to_close_timeout=5, start_to_close_timeout=None, heartbeat_timeout=60)
    event = run.event("ActivityTaskScheduled")
    assert event.schedule_to_start_timeout.ToTimedelta() == secs(5)
    assert event.start_to_close_timeout.ToTimedelta() == secs(5)
    assert event.heartbeat_timeout.ToTimedelta() == secs(5)


def test_the_run_timeout_bounds_all(raw: Raw):
    run = scheduled(raw.start(workflow_run_timeout=secs(30)), start_to_close_timeout=60)
    event = run.event("ActivityTaskScheduled")
    assert event.schedule_to_close_timeout.ToTimedelta() == secs(30)
    assert event.schedule_to_start_timeout.ToTimedelta() == secs(30)
    assert event.start_to_close_timeout.ToTimedelta() == secs(30)


def test_the_activity_task(run: Run):
    scheduled(run, input=payloads("in"), header={"fields": {"h": payloads("x").payloads[0]}})
    task = run.poll_activity().reply
    assert (task.workflow_execution.workflow_id, task.workflow_execution.run_id) == (run.workflow_id, run.run_id)
    assert (task.workflow_namespace, task.workflow_type.name) == ("default", "T")
    assert (task.activity_id, task.activity_type.name, task.attempt) == ("a", "A", 1)
    assert value(task.input) == "in"
    assert value(task.header.fields["h"]) == "x"
    assert task.scheduled_time == task.current_attempt_scheduled_time
    assert task.HasField("started_time")
    assert task.start_to_close_timeout.ToTimedelta() == secs(10)
    assert task.retry_policy.maximum_interval.ToTimedelta() == secs(20)


def test_a_started_activity_leaves_no_event_until_it_ends(run: Run):
    scheduled(run)
    task = run.poll_activity()
    run.expect("… ActivityTaskScheduled")
    task.complete("out")
    run.expect("… ActivityTaskScheduled ActivityTaskStarted ActivityTaskCompleted WorkflowTaskScheduled")
    started, completed = run.event("ActivityTaskStarted"), run.event("ActivityTaskCompleted")
    assert (started.scheduled_event_id, started.attempt, started.identity) == (5, 1, IDENTITY)
    assert (completed.scheduled_event_id, completed.started_event_id) == (5, 6)
    assert value(completed.result) == "out"
    assert not run.describe().pending_activities


def test_describe_follows_an_activity(run: Run):
    scheduled(run, heartbeat_timeout=10)
    pending = run.pending_activity()
    assert (pending.activity_id, pending.activity_type.name) == ("a", "A")
    assert (pending.state, pending.attempt) == (SCHEDULED, 1)
    assert not pending.HasField("last_started_time")
    assert pending.activity_options.start_to_close_timeout.ToTimedelta() == secs(10)
    assert pending.activity_options.task_queue.name == run.queue
    task = run.poll_activity()
    pending = run.pending_activity()
    assert (pending.state, pending.attempt, pending.last_worker_identity) == (STARTED, 1, IDENTITY)
    assert pending.HasField("last_started_time")
    task.heartbeat("half")
    pending = run.pending_activity()
    assert value(pending.heartbeat_details) == "half"
    assert pending.HasField("last_heartbeat_time")


# --- failures and retries ----------------------------------------------------------------------------------------


def test_a_failed_attempt_is_retried_out_of_history(run: Run):
    scheduled(run, retry_policy={"initial_interval": secs(1), "backoff_coefficient": 2.0})
    run.poll_activity().fail("first")
    pending = run.pending_activity()
    assert (pending.state, pending.attempt, pending.last_failure.message) == (SCHEDULED, 2, "first")
    assert pending.HasField("next_attempt_schedule_time") and pending.HasField("last_attempt_complete_time")
    assert secs(0.9) < pending.current_retry_interval.ToTimedelta() < secs(1.1)
    run.expect("… ActivityTaskScheduled")
    task = run.poll_activity()
    assert task.reply.attempt == 2
    waited = task.reply.current_attempt_scheduled_time.ToDatetime() - task.reply.scheduled_time.ToDatetime()
    assert secs(0.9) < waited < secs(2)
    task.complete()
    started = run.event("ActivityTaskStarted")
    assert (started.attempt, started.last_failure.message) == (2, "first")


def test_back_off_grows(run: Run):
    scheduled(run, retry_policy={"initial_interval": secs(0.3), "backoff_coefficient": 3.0})
    for interval in (0.3, 0.9):
        run.poll_activity().fail()
        assert run.pending_activity().current_retry_interval.ToMilliseconds() == pytest.approx(interval * 1000, abs=100)


def test_attempts_run_out(run: Run):
    scheduled(run, retry_policy={"initial_interval": secs(0.1), "maximum_attempts": 2})
    run.poll_activity().fail("first")
    run.poll_activity().fail("second")
    run.expect("… ActivityTaskScheduled ActivityTaskStarted ActivityTaskFailed WorkflowTaskScheduled")
    failed = run.event("ActivityTaskFailed")
    assert (failed.failure.message, failed.retry_state, failed.identity) == ("second", MAXIMUM_ATTEMPTS, IDENTITY)
    assert run.event("ActivityTaskStarted").last_failure.message == "first"


def test_a_non_retryable_failure_is_final(run: Run):
    scheduled(run)
    run.poll_activity().fail(non_retryable=True)
    assert run.event("ActivityTaskFailed").retry_state == NON_RETRYABLE


def test_a_listed_type_is_final(run: Run):
    scheduled(run, retry_policy={"non_retryable_error_types": ["Boom"]})
    run.poll_activity().fail(kind="Boom")
    assert run.event("ActivityTaskFailed").retry_state == NON_RETRYABLE


def test_the_failure_names_the_next_delay(run: Run):
    scheduled(run, retry_policy={"initial_interval": secs(30), "maximum_interval": secs(30)})
    run.poll_activity().fail(next_retry_delay=secs(0.2))
    assert run.pending_activity().current_retry_interval.ToMilliseconds() == pytest.approx(200, abs=100)
    assert run.poll_activity(timeout=5).reply.attempt == 2


def test_no_attempt_begins_after_schedule_to_close(run: Run):
    scheduled(run, schedule_to_close_timeout=3, retry_policy={"initial_interval": secs(10)})
    run.poll_activity().fail("too late")
    failed = run.event("ActivityTaskFailed")
    assert (failed.retry_state, failed.failure.message) == (TIMEOUT, "too late")


def test_a_long_failure_is_cut_while_retrying(run: Run):
    scheduled(run, retry_policy={"initial_interval": secs(30)})
    run.poll_activity().fail("x" * 10_000)
    kept = run.pending_activity().last_failure
    assert says(kept.message, "Failure exceeds size limit.")
    assert kept.HasField("server_failure_info")
    assert kept.cause.message.startswith("xxxx")
    assert kept.cause.application_failure_info.type == "Boom"
    assert kept.ByteSize() <= 4 * 1024 + 200


# --- time-outs ---------------------------------------------------------------------------------------------------


def timed_out(run: Run, seconds: float = 10):
    """The attributes of the time-out event, once the workflow has been told."""
    task = run.poll(timeout=seconds)
    assert "ActivityTaskTimedOut" in task.names()
    return run.event("ActivityTaskTimedOut")


def test_start_to_close(run: Run):
    scheduled(run, start_to_close_timeout=1, retry_policy=ONCE)
    run.poll_activity()
    event = timed_out(run)
    assert event.failure.timeout_failure_info.timeout_type == START_TO_CLOSE
    assert event.failure.message == "activity StartToClose timeout"
    assert event.retry_state == MAXIMUM_ATTEMPTS
    run.expect(
        "… ActivityTaskScheduled ActivityTaskStarted ActivityTaskTimedOut WorkflowTaskScheduled WorkflowTaskStarted"
    )


def test_schedule_to_start(run: Run):
    scheduled(run, schedule_to_start_timeout=1)
    event = timed_out(run)
    assert event.failure.timeout_failure_info.timeout_type == SCHEDULE_TO_START
    assert event.failure.message == "activity ScheduleToStart timeout"
    assert (event.retry_state, event.started_event_id) == (TIMEOUT, 0)
    run.expect("… ActivityTaskScheduled ActivityTaskTimedOut WorkflowTaskScheduled WorkflowTaskStarted")


def test_schedule_to_close(run: Run):
    scheduled(run, schedule_to_close_timeout=1, start_to_close_timeout=None)
    event = timed_out(run)
    # Nobody took it, and both limits are the same second: schedule-to-start is looked at first.
    assert event.failure.timeout_failure_info.timeout_type in (SCHEDULE_TO_START, SCHEDULE_TO_CLOSE)
    assert event.retry_state == TIMEOUT


def test_schedule_to_close_of_a_running_attempt(run: Run):
    scheduled(run, schedule_to_close_timeout=1, start_to_close_timeout=30)
    run.poll_activity()
    event = timed_out(run)
    assert event.failure.timeout_failure_info.timeout_type == SCHEDULE_TO_CLOSE
    assert event.failure.message == NO_TIME_LEFT
    assert event.retry_state == TIMEOUT


def test_a_timeout_too_late_to_retry_is_one_of_schedule_to_close(run: Run):
    scheduled(run, start_to_close_timeout=1, schedule_to_close_timeout=3, retry_policy={"initial_interval": secs(20)})
    run.poll_activity()
    event = timed_out(run)
    assert event.failure.timeout_failure_info.timeout_type == SCHEDULE_TO_CLOSE
    assert (event.failure.message, event.retry_state) == (NO_TIME_LEFT, TIMEOUT)


def test_schedule_to_close_wraps_the_last_failure(run: Run):
    scheduled(run, schedule_to_close_timeout=1.5, retry_policy={"initial_interval": secs(0.1)})
    run.poll_activity().fail("the cause")
    run.poll_activity()
    event = timed_out(run)
    assert event.failure.timeout_failure_info.timeout_type == SCHEDULE_TO_CLOSE
    assert event.failure.cause.message == "the cause"


def test_heartbeat_timeout_is_retried_with_its_details(run: Run):
    scheduled(run, heartbeat_timeout=2)
    run.poll_activity().heartbeat("half way")
    task = run.poll_activity()
    assert (task.reply.attempt, value(task.reply.heartbeat_details)) == (2, "half way")
    pending = run.pending_activity()
    assert pending.last_failure.timeout_failure_info.timeout_type == HEARTBEAT
    assert pending.last_failure.message == "activity Heartbeat timeout"


def test_the_last_heartbeat_is_in_the_final_failure(run: Run):
    scheduled(run, heartbeat_timeout=2, retry_policy=ONCE)
    run.poll_activity().heartbeat("half way")
    failure = timed_out(run).failure
    assert failure.timeout_failure_info.timeout_type == HEARTBEAT
    assert value(failure.timeout_failure_info.last_heartbeat_details) == "half way"


def test_heartbeats_keep_an_attempt_alive(run: Run):
    scheduled(run, heartbeat_timeout=2, retry_policy=ONCE)
    task = run.poll_activity()
    for _ in range(4):
        time.sleep(0.7)
        assert not task.heartbeat().cancel_requested
    task.complete()
    run.expect("… ActivityTaskStarted ActivityTaskCompleted WorkflowTaskScheduled")


@pytest.mark.parametrize("kind", ["StartToClose", "Heartbeat"])
def test_a_timeout_type_can_be_listed_as_final(run: Run, kind: str):
    limits = {"start_to_close_timeout": 1} if kind == "StartToClose" else {"heartbeat_timeout": 1}
    scheduled(run, **limits, retry_policy={"non_retryable_error_types": [f"TemporalTimeout:{kind}"]})
    run.poll_activity()
    assert timed_out(run).retry_state == NON_RETRYABLE


# --- heartbeats --------------------------------------------------------------------------------------------------


def test_the_next_attempt_gets_the_details(run: Run):
    scheduled(run)
    task = run.poll_activity()
    task.heartbeat("one")
    task.heartbeat("two")
    task.fail()
    assert value(run.poll_activity().reply.heartbeat_details) == "two"


def test_a_failure_can_bring_the_last_details(run: Run):
    scheduled(run)
    task = run.poll_activity()
    task.heartbeat("one")
    run.raw(
        "RespondActivityTaskFailed",
        task_token=task.token,
        failure={"message": "f", "application_failure_info": {"type": "F"}},
        last_heartbeat_details=payloads("last"),
    )
    assert value(run.poll_activity().reply.heartbeat_details) == "last"


def test_a_heartbeat_above_the_limit_fails_the_activity(run: Run):
    scheduled(run)
    task = run.poll_activity()
    reply = run.raw("RecordActivityTaskHeartbeat", task_token=task.token, details=big_payloads(2 * MIB + 1))
    assert reply.cancel_requested
    failure = run.event("ActivityTaskFailed").failure
    assert says(failure.message, "Heartbeat details exceed size limit.")
    assert failure.HasField("server_failure_info")


def test_a_result_above_the_limit_fails_the_activity(run: Run):
    scheduled(run)
    task = run.poll_activity()
    run.raw("RespondActivityTaskCompleted", task_token=task.token, result=big_payloads(2 * MIB + 1))
    event = run.event("ActivityTaskFailed")
    assert says(event.failure.message, "Complete result exceeds size limit.")
    assert event.failure.server_failure_info.non_retryable


# --- stale and wrong reports -------------------------------------------------------------------------------------


@pytest.mark.parametrize("report", ["complete", "fail", "heartbeat", "cancel"])
def test_a_report_of_an_old_attempt_is_refused(run: Run, report: str):
    scheduled(run)
    old = run.poll_activity()
    old.fail()
    with refused("NOT_FOUND", STALE, "NotFoundFailure"):
        getattr(old, report)()
    new = run.poll_activity()
    with refused("NOT_FOUND", STALE, "NotFoundFailure"):
        getattr(old, report)()
    new.complete()
    with refused("NOT_FOUND", STALE, "NotFoundFailure"):
        getattr(new, report)()


@pytest.mark.parametrize("report", ["complete", "fail", "heartbeat", "cancel"])
def test_a_report_after_the_workflow_has_closed_is_refused(run: Run, report: str):
    scheduled(run)
    task = run.poll_activity()
    run.terminate()
    with refused("NOT_FOUND", "workflow execution already completed", "NotFoundFailure"):
        getattr(task, report)()


@pytest.mark.parametrize(
    "method",
    [
        "RespondActivityTaskCompleted",
        "RespondActivityTaskFailed",
        "RespondActivityTaskCanceled",
        "RecordActivityTaskHeartbeat",
    ],
)
def test_a_token_that_is_none(raw: Raw, method: str):
    with refused("INVALID_ARGUMENT", "Task token not set on request."):
        raw(method)
    with refused("INVALID_ARGUMENT", "Error deserializing task token."):
        raw(method, task_token=b"garbage")


# --- by id -------------------------------------------------------------------------------------------------------


def by_id(run: Run, method: str, activity_id: str = "a", **fields):
    return run.raw(method, workflow_id=run.workflow_id, run_id=run.run_id, activity_id=activity_id, **fields)


def test_completion_by_id(run: Run):
    scheduled(run)
    run.poll_activity()
    by_id(run, "RespondActivityTaskCompletedById", result=payloads("out"))
    assert value(run.event("ActivityTaskCompleted").result) == "out"


def test_completion_by_id_without_a_run_id(run: Run):
    scheduled(run)
    run.poll_activity()
    run.raw("RespondActivityTaskCompletedById", workflow_id=run.workflow_id, activity_id="a")
    run.expect("… ActivityTaskCompleted WorkflowTaskScheduled")


def test_failure_by_id(run: Run):
    scheduled(run, retry_policy=ONCE)
    run.poll_activity()
    failure = {"message": "f", "application_failure_info": {"type": "F"}}
    by_id(run, "RespondActivityTaskFailedById", failure=failure)
    assert run.event("ActivityTaskFailed").failure.message == "f"


def test_heartbeat_by_id(run: Run):
    scheduled(run)
    run.poll_activity()
    assert not by_id(run, "RecordActivityTaskHeartbeatById", details=payloads("hb")).cancel_requested
    assert value(run.pending_activity().heartbeat_details) == "hb"


def test_by_id_of_an_unknown_activity(run: Run):
    scheduled(run)
    run.poll_activity()
    text = "cannot find pending activity with ActivityID nope, check workflow execution history for more details"
    for method in ("RespondActivityTaskCompletedById", "RecordActivityTaskHeartbeatById"):
        with refused("NOT_FOUND", text, "NotFoundFailure"):
            by_id(run, method, "nope")


def test_by_id_of_an_unknown_workflow(raw: Raw):
    with refused("NOT_FOUND", "workflow not found for ID: nope", "NotFoundFailure"):
        raw("RespondActivityTaskCompletedById", workflow_id="nope", activity_id="a")


def test_by_id_needs_an_id(raw: Raw):
    with refused("INVALID_ARGUMENT", "ActivityId is not set on request."):
        raw("RespondActivityTaskCompletedById", workflow_id="w")


# --- cancellation ------------------------------------------------------------------------------------------------


def test_an_activity_that_nobody_took_is_cancelled_at_once(run: Run):
    scheduled(run)
    run.signal()
    run.complete_task(cancel_activity(5))
    run.expect("… WorkflowTaskCompleted ActivityTaskCancelRequested ActivityTaskCanceled WorkflowTaskScheduled")
    canceled = run.event("ActivityTaskCanceled")
    assert (canceled.scheduled_event_id, canceled.started_event_id) == (5, 0)
    assert canceled.latest_cancel_requested_event_id == len(run.names()) - 2


def cancel_requested(run: Run) -> ActivityTask:
    scheduled(run)
    task = run.poll_activity()
    run.signal()
    run.complete_task(cancel_activity(5))
    return task


def test_a_running_activity_learns_of_the_cancel_by_heartbeat(run: Run):
    task = cancel_requested(run)
    assert run.pending_activity().state == CANCEL_REQUESTED
    assert task.heartbeat().cancel_requested
    task.cancel("stopped")
    canceled = run.event("ActivityTaskCanceled")
    assert value(canceled.details) == "stopped"
    assert canceled.latest_cancel_requested_event_id == 10
    run.expect("… ActivityTaskCancelRequested ActivityTaskStarted ActivityTaskCanceled WorkflowTaskScheduled")


def test_an_activity_may_complete_in_spite_of_a_cancel(run: Run):
    cancel_requested(run).complete()
    run.expect("… ActivityTaskCancelRequested ActivityTaskStarted ActivityTaskCompleted WorkflowTaskScheduled")


def test_a_cancelled_activity_is_not_retried(run: Run):
    cancel_requested(run).fail()
    assert run.event("ActivityTaskFailed").retry_state == 7  # cancel requested


def test_an_activity_waiting_for_its_next_attempt_is_cancelled_at_once(run: Run):
    scheduled(run, retry_policy={"initial_interval": secs(30)})
    run.poll_activity().fail()
    run.signal()
    run.complete_task(cancel_activity(5))
    run.expect("… ActivityTaskCancelRequested ActivityTaskCanceled WorkflowTaskScheduled")


def test_reporting_a_cancel_that_nobody_asked_for(run: Run):
    scheduled(run)
    with refused(
        "INVALID_ARGUMENT",
        "unable to mark activity as canceled without activity being request canceled first",
    ):
        run.poll_activity().cancel()


def test_scheduling_and_cancelling_in_one_task(run: Run):
    run.complete_task(schedule_activity(run.queue), cancel_activity(5))
    run.expect("… ActivityTaskScheduled ActivityTaskCancelRequested ActivityTaskCanceled WorkflowTaskScheduled")


# --- dispatch ----------------------------------------------------------------------------------------------------


def test_an_eager_activity_comes_with_the_completion(run: Run):
    reply = run.complete_task(schedule_activity(run.queue, request_eager_execution=True, input=payloads("in")))
    (task,) = reply.activity_tasks
    assert (task.activity_id, task.attempt, value(task.input)) == ("a", 1, "in")
    assert run.pending_activity().state == STARTED
    ActivityTask(run.raw, task).complete()
    run.expect("… ActivityTaskStarted ActivityTaskCompleted WorkflowTaskScheduled")


def test_without_asking_no_activity_comes_with_the_completion(run: Run):
    reply = run.complete_task(schedule_activity(run.queue, request_eager_execution=False))
    assert not reply.activity_tasks


def test_an_activity_on_another_queue(raw: Raw, run: Run):
    other = new_id("q")
    scheduled(run, task_queue={"name": other})
    task = raw.poll_activity(other)
    assert task and task.reply.activity_id == "a"
    task.complete()


def test_many_activities_at_once(run: Run):
    ids = [f"a{n}" for n in range(50)]
    run.complete_task(*[schedule_activity(run.queue, i) for i in ids])
    assert len(run.describe().pending_activities) == 50
    seen = set()
    for _ in ids:
        task = run.poll_activity()
        seen.add(task.reply.activity_id)
        task.complete()
    assert seen == set(ids)
    run.complete_task(complete_workflow())
    assert run.names().count("ActivityTaskCompleted") == 50


def test_an_activity_of_a_closed_workflow_is_not_handed_out(run: Run):
    scheduled(run)
    run.terminate()
    assert run.raw.poll_activity(run.queue, timeout=2.2) is None


def test_a_queue_rate_limit_slows_the_tasks(raw: Raw, run: Run):
    run.complete_task(*[schedule_activity(run.queue, f"a{n}") for n in range(6)])
    limit = {"max_tasks_per_second": {"value": 4.0}}
    began = time.monotonic()
    for _ in range(6):
        task = raw.poll_activity(run.queue, task_queue_metadata=limit)
        assert task
    assert time.monotonic() - began > 0.4


def test_the_events_of_a_failure_point_at_each_other(run: Run):
    scheduled(run, retry_policy=ONCE)
    run.poll_activity().fail()
    names = [event_name(event) for event in run.history()]
    started = names.index("ActivityTaskStarted") + 1
    failed = attributes(run.history()[started])
    assert (failed.scheduled_event_id, failed.started_event_id) == (5, started)
