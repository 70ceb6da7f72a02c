"""Workflow tasks: what a poll brings, failures and time-outs, buffered events, sticky queues."""

from __future__ import annotations

import time

import pytest
from raw import (
    IDENTITY,
    SHORT_POLL,
    Raw,
    Run,
    attributes,
    cancel_workflow,
    cause_name,
    complete_workflow,
    continue_as_new,
    event_name,
    fail_workflow,
    new_id,
    payloads,
    record_marker,
    refused,
    schedule_activity,
    secs,
    start_timer,
    value,
)

FIRST_TASK = "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted"
FIRST_TASK_DONE = FIRST_TASK + " WorkflowTaskCompleted"


# --- polls -------------------------------------------------------------------------------------------------------


def test_the_first_task_has_the_whole_history(run: Run):
    task = run.poll()
    assert task.names() == FIRST_TASK.split()
    reply = task.reply
    assert (reply.workflow_execution.workflow_id, reply.workflow_execution.run_id) == (run.workflow_id, run.run_id)
    assert reply.workflow_type.name == "T"
    assert (reply.previous_started_event_id, reply.started_event_id, reply.attempt) == (0, 3, 1)
    assert reply.workflow_execution_task_queue.name == run.queue
    assert reply.workflow_execution_task_queue.kind == 1
    assert reply.HasField("scheduled_time") and reply.HasField("started_time")
    assert attributes(task.events[2]).identity == IDENTITY
    assert attributes(task.events[2]).history_size_bytes > 0


def test_the_next_task_says_where_the_last_one_began(run: Run):
    run.complete_task(start_timer())
    run.signal()
    task = run.poll()
    assert (task.reply.previous_started_event_id, task.reply.started_event_id) == (3, 8)
    assert task.names() == (
        FIRST_TASK_DONE.split()
        + "TimerStarted WorkflowExecutionSignaled WorkflowTaskScheduled WorkflowTaskStarted".split()
    )


def test_a_poll_with_too_little_time_is_refused(raw: Raw, queue: str):
    for poll in (raw.poll, raw.poll_activity):
        with refused("FAILED_PRECONDITION", "Context timeout is too short."):
            poll(queue, timeout=1.5)


def test_an_empty_poll_ends_before_its_deadline(raw: Raw, queue: str):
    began = time.monotonic()
    reply = raw("PollWorkflowTaskQueue", timeout=3, task_queue={"name": queue})
    assert reply == type(reply)()
    assert 0.9 < time.monotonic() - began < 2.9


def test_a_poll_needs_a_queue(raw: Raw):
    with refused("INVALID_ARGUMENT", "taskQueue is not set"):
        raw("PollWorkflowTaskQueue")
    with refused("INVALID_ARGUMENT", "taskQueue is not set"):
        raw("PollActivityTaskQueue")


def test_a_waiting_poll_gets_the_task_at_once(raw: Raw, queue: str):
    poll = raw.later("PollWorkflowTaskQueue", task_queue={"name": queue})
    time.sleep(0.3)
    run = raw.start(queue=queue)
    assert poll.result().workflow_execution.run_id == run.run_id


def test_a_cancelled_poll_takes_no_task_with_it(raw: Raw, queue: str):
    for _ in range(3):
        poll = raw.later("PollWorkflowTaskQueue", task_queue={"name": queue})
        time.sleep(0.2)
        poll.cancel()
    time.sleep(0.2)
    run = raw.start(queue=queue)
    assert run.poll(timeout=5).reply.attempt == 1


# --- completing --------------------------------------------------------------------------------------------------


def test_closing_commands(raw: Raw):
    for closing, status, event in (
        (complete_workflow("r"), "COMPLETED", "WorkflowExecutionCompleted"),
        (fail_workflow("f"), "FAILED", "WorkflowExecutionFailed"),
        (cancel_workflow(), "CANCELED", "WorkflowExecutionCanceled"),
    ):
        run = raw.start()
        run.complete_task(closing)
        assert run.status == status
        run.expect(FIRST_TASK_DONE, event)
        assert run.event(event).workflow_task_completed_event_id == 4


def test_a_result_comes_back(run: Run):
    run.complete_task(complete_workflow({"a": 1}))
    assert value(run.event("WorkflowExecutionCompleted").result) == {"a": 1}


def test_what_the_sdk_says_of_itself_is_kept(run: Run):
    run.complete_task(
        sdk_metadata={"lang_used_flags": [1, 3], "sdk_name": "sdk", "sdk_version": "1"},
        metering_metadata={"nonfirst_local_activity_execution_attempts": 2},
    )
    completed = run.event("WorkflowTaskCompleted")
    assert list(completed.sdk_metadata.lang_used_flags) == [1, 3]
    assert (completed.sdk_metadata.sdk_name, completed.sdk_metadata.sdk_version) == ("sdk", "1")
    assert completed.metering_metadata.nonfirst_local_activity_execution_attempts == 2
    assert completed.identity == IDENTITY


def test_a_second_completion_of_one_task_is_refused(run: Run):
    task = run.poll()
    task.complete(start_timer())
    with refused("NOT_FOUND", "Workflow task not found.", "NotFoundFailure"):
        task.complete(start_timer("u"))
    assert run.names().count("TimerStarted") == 1


def test_a_completion_after_the_close_is_refused(run: Run):
    task = run.poll()
    run.terminate()
    with refused("NOT_FOUND", "Workflow task not found.", "NotFoundFailure"):
        task.complete(complete_workflow())


@pytest.mark.parametrize("method", ["RespondWorkflowTaskCompleted", "RespondWorkflowTaskFailed"])
def test_a_token_that_is_none(raw: Raw, method: str):
    with refused("INVALID_ARGUMENT", "Task token not set on request."):
        raw(method)
    with refused("INVALID_ARGUMENT", "Error deserializing task token."):
        raw(method, task_token=b"garbage")


def test_a_token_of_another_namespace(raw: Raw, run: Run):
    task = run.poll()
    other = new_id()
    raw("RegisterNamespace", namespace=other, workflow_execution_retention_period=secs(86_400))
    time.sleep(2.5)  # the reference server takes a moment to know it
    with refused("INVALID_ARGUMENT", "Operation requested with a token from a different namespace."):
        raw("RespondWorkflowTaskCompleted", namespace=other, task_token=task.token)


def test_force_create_brings_another_task(run: Run):
    run.complete_task(force_create_new_workflow_task=True)
    run.expect(FIRST_TASK_DONE, "WorkflowTaskScheduled")
    assert run.poll().reply.attempt == 1


def test_the_next_task_can_come_with_the_reply(run: Run):
    reply = run.complete_task(force_create_new_workflow_task=True, return_new_workflow_task=True)
    task = reply.workflow_task
    assert [event_name(event) for event in task.history.events][-2:] == ["WorkflowTaskScheduled", "WorkflowTaskStarted"]
    assert (task.previous_started_event_id, task.started_event_id, task.attempt) == (3, 6, 1)
    run.raw("RespondWorkflowTaskCompleted", task_token=task.task_token, commands=[complete_workflow()])
    assert run.status == "COMPLETED"


def test_no_next_task_without_a_reason(run: Run):
    reply = run.complete_task(return_new_workflow_task=True)
    assert not reply.HasField("workflow_task")
    run.expect(FIRST_TASK_DONE)


# --- failures and time-outs --------------------------------------------------------------------------------------


def test_only_the_first_failure_of_a_task_is_recorded(run: Run):
    run.poll().fail()
    for attempt in (2, 3):
        task = run.poll()
        assert task.reply.attempt == attempt
        assert (
            task.names() == FIRST_TASK.split() + "WorkflowTaskFailed WorkflowTaskScheduled WorkflowTaskStarted".split()
        )
        task.fail()
    run.expect(FIRST_TASK, "WorkflowTaskFailed WorkflowTaskScheduled")
    run.complete_task()
    run.expect(FIRST_TASK, "WorkflowTaskFailed WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted")
    assert run.event("WorkflowTaskScheduled").attempt == 4


def test_a_transient_task_is_not_shown_to_the_cli(run: Run, address: str):
    run.poll().fail()
    names = [
        event_name(e) for e in Raw(address, metadata={"client-name": "temporal-cli"}).run(run.workflow_id).history()
    ]
    assert names == FIRST_TASK.split() + ["WorkflowTaskFailed"]


def test_describe_shows_the_pending_task(run: Run):
    assert run.describe().pending_workflow_task.state == 1  # scheduled
    task = run.poll()
    pending = run.describe().pending_workflow_task
    assert (pending.state, pending.attempt) == (2, 1)  # started
    assert pending.HasField("scheduled_time") and pending.HasField("started_time")
    assert pending.HasField("original_scheduled_time")
    task.fail()
    assert run.describe().pending_workflow_task.attempt == 2
    run.complete_task()
    assert not run.describe().HasField("pending_workflow_task")


def test_a_task_times_out_and_is_handed_out_again(raw: Raw):
    run = raw.start(workflow_task_timeout=secs(1))
    old = run.poll()
    task = run.poll()
    assert task.reply.attempt == 2
    assert task.names() == FIRST_TASK.split() + "WorkflowTaskTimedOut WorkflowTaskScheduled WorkflowTaskStarted".split()
    timed_out = attributes(task.events[3])
    assert (timed_out.scheduled_event_id, timed_out.started_event_id, timed_out.timeout_type) == (2, 3, 1)
    with refused("NOT_FOUND", "Workflow task not found.", "NotFoundFailure"):
        old.complete(complete_workflow())
    task.complete(complete_workflow())


def test_from_the_fourth_attempt_a_task_has_more_time(raw: Raw):
    run = raw.start(workflow_task_timeout=secs(1))
    for _ in range(3):
        run.poll().fail()
    task = run.poll()
    assert task.reply.attempt == 4
    scheduled = attributes(task.events[-2])
    # One second, and 5 s more with up to a fifth taken off at random; twice as much for the attempt after it.
    assert secs(5) <= scheduled.start_to_close_timeout.ToTimedelta() <= secs(6)
    task.fail()
    assert secs(9) <= attributes(run.poll().events[-2]).start_to_close_timeout.ToTimedelta() <= secs(11)


def test_an_event_makes_a_transient_task_a_real_one(run: Run):
    run.poll().fail()
    run.poll().fail()
    run.signal()
    task = run.poll()
    assert task.reply.attempt == 1
    task.complete()
    run.expect(
        FIRST_TASK,
        "WorkflowTaskFailed WorkflowExecutionSignaled WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted",
    )


def test_after_five_failures_the_workflow_reports_problems(run: Run):
    for _ in range(5):
        run.poll().fail(cause="WORKFLOW_WORKER_UNHANDLED_FAILURE")
    problems = run.describe_info().search_attributes.indexed_fields["TemporalReportedProblems"]
    assert value(problems) == [
        "category=WorkflowTaskFailed",
        "cause=WorkflowTaskFailedCauseWorkflowWorkerUnhandledFailure",
    ]
    run.complete_task()
    assert "TemporalReportedProblems" not in run.describe_info().search_attributes.indexed_fields


# --- buffered events ---------------------------------------------------------------------------------------------


def test_a_signal_during_a_task_is_buffered(run: Run):
    task = run.poll()
    run.signal("one")
    run.signal("two")
    run.expect(FIRST_TASK)
    task.complete(start_timer())
    run.expect(
        FIRST_TASK_DONE, "TimerStarted WorkflowExecutionSignaled WorkflowExecutionSignaled WorkflowTaskScheduled"
    )
    assert [run.event("WorkflowExecutionSignaled", n).signal_name for n in (0, 1)] == ["one", "two"]


def test_activity_completions_are_flushed_after_other_events(run: Run):
    run.complete_task(schedule_activity(run.queue), force_create_new_workflow_task=True)
    task = run.poll()
    run.poll_activity().complete()
    run.signal()
    task.complete()
    run.expect(
        "… WorkflowTaskCompleted ActivityTaskStarted WorkflowExecutionSignaled ActivityTaskCompleted",
        "WorkflowTaskScheduled",
    )
    assert run.event("ActivityTaskStarted").scheduled_event_id == 5
    assert run.event("ActivityTaskCompleted").started_event_id == len(run.names()) - 3


@pytest.mark.parametrize("kind", ["complete", "fail", "cancel", "continue"])
def test_a_close_that_missed_an_event_is_unhandled(run: Run, kind: str):
    closing = {
        "complete": complete_workflow(),
        "fail": fail_workflow(),
        "cancel": cancel_workflow(),
        "continue": continue_as_new(run.queue),
    }[kind]
    task = run.poll()
    run.signal()
    with refused("INVALID_ARGUMENT", "UnhandledCommand"):
        task.complete(closing)
    run.expect(FIRST_TASK, "WorkflowTaskFailed WorkflowExecutionSignaled WorkflowTaskScheduled")
    failed = run.event("WorkflowTaskFailed")
    assert cause_name(failed) == "UNHANDLED_COMMAND"
    assert failed.failure.message == "UnhandledCommand"
    task = run.poll()
    assert task.reply.attempt == 1
    task.complete(closing)


def test_a_terminate_does_not_wait_for_the_task(run: Run):
    run.poll()
    run.signal()
    run.terminate()
    run.expect(FIRST_TASK, "WorkflowTaskFailed WorkflowExecutionSignaled WorkflowExecutionTerminated")
    assert cause_name(run.event("WorkflowTaskFailed")) == "FORCE_CLOSE_COMMAND"


def test_a_cancel_request_is_buffered_too(run: Run):
    task = run.poll()
    run.cancel()
    run.expect(FIRST_TASK)
    task.complete(record_marker())
    run.expect(FIRST_TASK_DONE, "MarkerRecorded WorkflowExecutionCancelRequested WorkflowTaskScheduled")


def test_the_events_buffered_behind_a_failing_task_survive_it(run: Run):
    task = run.poll()
    run.signal()
    task.fail()
    run.expect(FIRST_TASK, "WorkflowTaskFailed WorkflowExecutionSignaled WorkflowTaskScheduled")


# --- sticky queues -----------------------------------------------------------------------------------------------


def test_a_sticky_task_has_only_the_new_events(raw: Raw, run: Run):
    sticky = new_id("sticky")
    run.complete_task(start_timer(), sticky=sticky)
    poll = raw.poll_sticky(sticky, run.queue)
    run.signal()
    task = poll()
    assert task
    assert task.names() == "WorkflowTaskCompleted TimerStarted WorkflowExecutionSignaled".split() + [
        "WorkflowTaskScheduled",
        "WorkflowTaskStarted",
    ]
    assert task.events[0].event_id == 4
    assert task.reply.workflow_execution_task_queue.name == run.queue
    scheduled = run.event("WorkflowTaskScheduled")
    assert (scheduled.task_queue.name, scheduled.task_queue.normal_name) == (sticky, run.queue)
    assert scheduled.task_queue.kind == 2
    task.complete(complete_workflow())


def test_a_sticky_task_that_nobody_takes_goes_to_the_normal_queue(raw: Raw, run: Run):
    sticky = new_id("sticky")
    run.complete_task(sticky=sticky, sticky_s=1)
    raw.poll_sticky(sticky, run.queue, timeout=SHORT_POLL)()
    run.signal()
    task = run.poll()
    assert (
        task.names()
        == FIRST_TASK_DONE.split()
        + (
            "WorkflowExecutionSignaled WorkflowTaskScheduled WorkflowTaskTimedOut WorkflowTaskScheduled "
            "WorkflowTaskStarted"
        ).split()
    )
    timed_out = run.event("WorkflowTaskTimedOut")
    assert timed_out.timeout_type == 2  # schedule-to-start
    assert run.event("WorkflowTaskScheduled").task_queue.name == run.queue
    assert task.reply.attempt == 1


def test_a_sticky_queue_without_a_poller_is_passed_over(raw: Raw, run: Run):
    run.complete_task(sticky=new_id("sticky"), sticky_s=30)
    run.signal()
    task = run.poll(timeout=5)
    assert task.events[0].event_id == 1


def test_a_sticky_queue_can_be_reset(raw: Raw, run: Run):
    sticky = new_id("sticky")
    run.complete_task(sticky=sticky, sticky_s=30)
    raw("ResetStickyTaskQueue", execution=run.ref)
    run.signal()
    assert run.poll().events[0].event_id == 1
    assert run.event("WorkflowTaskScheduled").task_queue.name == run.queue


def test_a_failed_task_leaves_the_sticky_queue(raw: Raw, run: Run):
    sticky = new_id("sticky")
    run.complete_task(sticky=sticky, sticky_s=30)
    poll = raw.poll_sticky(sticky, run.queue)
    run.signal()
    task = poll()
    assert task
    task.fail()
    assert run.poll().events[0].event_id == 1


def test_a_worker_that_shuts_down_gives_up_its_sticky_queue(raw: Raw, run: Run):
    sticky = new_id("sticky")
    run.complete_task(sticky=sticky, sticky_s=30)
    raw.poll_sticky(sticky, run.queue, timeout=SHORT_POLL)()
    raw("ShutdownWorker", sticky_task_queue=sticky, task_queue=run.queue)
    run.signal()
    assert run.poll(timeout=5).events[0].event_id == 1


# --- continue-as-new is suggested --------------------------------------------------------------------------------


def test_a_short_history_needs_no_continuation(run: Run):
    started = attributes(run.poll().events[-1])
    assert not started.suggest_continue_as_new
    assert started.history_size_bytes > 0


def test_a_long_history_suggests_one(run: Run):
    run.complete_task(*[record_marker() for _ in range(4100)], force_create_new_workflow_task=True)
    token, last = b"", None
    task = run.poll()
    last, token = task.events[-1] if task.events else None, task.reply.next_page_token
    while token:
        page = run.raw("GetWorkflowExecutionHistory", execution=run.ref, next_page_token=token)
        last, token = page.history.events[-1], page.next_page_token
    assert attributes(last).suggest_continue_as_new


def test_big_input_in_one_history_counts(run: Run):
    task = run.poll()
    run.signal(input=payloads("x" * 1000))
    task.complete()
    assert attributes(run.poll().events[-1]).history_size_bytes > 1000
