"""Starting workflows: id policies, idempotency, delays, cron, retries, timeouts, eager start."""

from __future__ import annotations

import time
import uuid

import pytest
from raw import (
    IDENTITY,
    MIB,
    Raw,
    Run,
    attributes,
    big_payloads,
    cancel_workflow,
    complete_workflow,
    event_name,
    fail_workflow,
    memo,
    new_id,
    payloads,
    refused,
    schedule_activity,
    search_attributes,
    secs,
    start_fields,
    value,
)

REUSE = "WORKFLOW_ID_REUSE_POLICY_"
CONFLICT = "WORKFLOW_ID_CONFLICT_POLICY_"
LINK = {"workflow_event": {"namespace": "default", "workflow_id": "w", "run_id": "r"}}
ALREADY_STARTED = "WorkflowExecutionAlreadyStartedFailure"


# --- what a start records ----------------------------------------------------------------------------------------


def test_a_start_records_the_event_and_schedules_a_task(run: Run):
    run.expect("WorkflowExecutionStarted WorkflowTaskScheduled")
    started = run.event("WorkflowExecutionStarted")
    assert started.workflow_type.name == "T"
    assert started.task_queue.name == run.queue
    assert started.original_execution_run_id == started.first_execution_run_id == run.run_id
    assert started.attempt == 1
    assert started.HasField("first_workflow_task_backoff")
    assert started.first_workflow_task_backoff.ToTimedelta() == secs(0)
    assert started.workflow_id == run.workflow_id
    assert started.identity == IDENTITY
    assert started.workflow_task_timeout.ToTimedelta() == secs(10)
    scheduled = run.event("WorkflowTaskScheduled")
    assert scheduled.attempt == 1
    assert scheduled.start_to_close_timeout.ToTimedelta() == secs(10)


def test_the_reply_to_a_start(run: Run):
    assert run.reply.started
    assert run.reply.status == 1
    assert run.reply.first_execution_run_id == run.run_id
    link = run.reply.link.workflow_event
    assert (link.namespace, link.workflow_id, link.run_id) == ("default", run.workflow_id, run.run_id)
    assert link.event_ref.event_id == 1
    assert link.event_ref.event_type == 1
    assert str(uuid.UUID(run.run_id)) == run.run_id


def test_input_header_and_memo_come_back(raw: Raw):
    run = raw.start(input=payloads("in"), memo=memo(note="n"), header={"fields": {"h": payloads("x").payloads[0]}})
    started = run.event("WorkflowExecutionStarted")
    assert value(started.input) == "in"
    assert value(started.memo.fields["note"]) == "n"
    assert value(started.header.fields["h"]) == "x"
    assert value(run.describe_info().memo.fields["note"]) == "n"


def test_user_metadata_is_kept(raw: Raw):
    metadata = {"summary": payloads("short").payloads[0], "details": payloads("long").payloads[0]}
    run = raw.start(user_metadata=metadata)
    assert value(run.history()[0].user_metadata.summary) == "short"
    assert value(run.describe().execution_config.user_metadata.details) == "long"


# --- id policies -------------------------------------------------------------------------------------------------


def test_the_same_request_id_is_the_same_start(raw: Raw):
    request_id = str(uuid.uuid4())
    first = raw.start(request_id=request_id)
    again = raw.start(workflow_id=first.workflow_id, queue=first.queue, request_id=request_id)
    assert again.run_id == first.run_id
    assert again.reply.started


def test_the_same_request_id_is_the_same_start_after_the_task_was_done(raw: Raw):
    request_id = str(uuid.uuid4())
    first = raw.start(request_id=request_id)
    first.complete_task()
    again = raw.start(workflow_id=first.workflow_id, queue=first.queue, request_id=request_id)
    assert (again.run_id, again.reply.started) == (first.run_id, True)


@pytest.mark.parametrize("reuse", ["UNSPECIFIED", "ALLOW_DUPLICATE", "ALLOW_DUPLICATE_FAILED_ONLY", "REJECT_DUPLICATE"])
@pytest.mark.parametrize("conflict", ["UNSPECIFIED", "FAIL"])
def test_a_running_id_is_refused(raw: Raw, run: Run, reuse: str, conflict: str):
    text = f"Workflow execution is already running. WorkflowId: {run.workflow_id}, RunId: {run.run_id}."
    with refused("ALREADY_EXISTS", text, ALREADY_STARTED) as refusal:
        raw.start(
            workflow_id=run.workflow_id,
            workflow_id_reuse_policy=REUSE + reuse,
            workflow_id_conflict_policy=CONFLICT + conflict,
        )
    assert refusal.detail.run_id == run.run_id
    assert refusal.detail.first_execution_run_id == run.run_id
    assert refusal.detail.start_request_id


@pytest.mark.parametrize("reuse", ["ALLOW_DUPLICATE", "ALLOW_DUPLICATE_FAILED_ONLY", "REJECT_DUPLICATE"])
def test_use_existing_answers_with_the_running_one(raw: Raw, run: Run, reuse: str):
    again = raw.start(
        workflow_id=run.workflow_id,
        workflow_id_reuse_policy=REUSE + reuse,
        workflow_id_conflict_policy=CONFLICT + "USE_EXISTING",
    )
    assert again.run_id == run.run_id
    assert not again.reply.started
    run.expect("WorkflowExecutionStarted WorkflowTaskScheduled")


@pytest.mark.parametrize(
    "policies",
    [
        {"workflow_id_conflict_policy": CONFLICT + "TERMINATE_EXISTING"},
        {"workflow_id_reuse_policy": REUSE + "TERMINATE_IF_RUNNING"},
    ],
)
def test_terminate_existing_replaces_the_running_one(raw: Raw, run: Run, policies: dict):
    new = raw.start(workflow_id=run.workflow_id, **policies)
    assert new.reply.started and new.run_id != run.run_id
    assert run.status == "TERMINATED"
    terminated = run.event("WorkflowExecutionTerminated")
    assert terminated.reason == "TerminateIfRunning WorkflowIdReusePolicy"
    assert new.run_id in value_text(terminated.details)
    assert terminated.identity == "history-service"
    assert new.event("WorkflowExecutionStarted").continued_execution_run_id == ""


def value_text(details) -> str:
    return b"".join(item.data for item in details.payloads).decode()


def closed(raw: Raw, how: str) -> Run:
    run = raw.start()
    if how == "TERMINATED":
        run.terminate()
    else:
        closing = {"COMPLETED": complete_workflow(), "FAILED": fail_workflow(), "CANCELED": cancel_workflow()}
        run.complete_task(closing[how])
    assert run.status == how
    return run


@pytest.mark.parametrize("how", ["COMPLETED", "FAILED", "CANCELED", "TERMINATED"])
@pytest.mark.parametrize("reuse", ["ALLOW_DUPLICATE", "ALLOW_DUPLICATE_FAILED_ONLY", "REJECT_DUPLICATE"])
def test_a_closed_id(raw: Raw, how: str, reuse: str):
    old = closed(raw, how)
    allowed = reuse == "ALLOW_DUPLICATE" or (reuse == "ALLOW_DUPLICATE_FAILED_ONLY" and how != "COMPLETED")
    if allowed:
        new = raw.start(workflow_id=old.workflow_id, workflow_id_reuse_policy=REUSE + reuse)
        assert new.reply.started and new.run_id != old.run_id
        return
    ended, rule = {
        "REJECT_DUPLICATE": ("finished", "reject duplicate workflow Id"),
        "ALLOW_DUPLICATE_FAILED_ONLY": ("finished successfully", "allow duplicate workflow Id if last run failed"),
    }[reuse]
    text = (
        f"Workflow execution already {ended}. WorkflowId: {old.workflow_id}, RunId: {old.run_id}. "
        f"Workflow Id reuse policy: {rule}."
    )
    with refused("ALREADY_EXISTS", text, ALREADY_STARTED):
        raw.start(workflow_id=old.workflow_id, workflow_id_reuse_policy=REUSE + reuse)


@pytest.mark.parametrize("conflict", ["FAIL", "USE_EXISTING", "TERMINATE_EXISTING"])
def test_a_conflict_policy_does_not_matter_when_nothing_runs(raw: Raw, conflict: str):
    old = closed(raw, "COMPLETED")
    new = raw.start(workflow_id=old.workflow_id, workflow_id_conflict_policy=CONFLICT + conflict)
    assert new.reply.started and new.run_id != old.run_id


def test_terminate_if_running_excludes_a_conflict_policy(raw: Raw):
    text = (
        "Invalid WorkflowIDReusePolicy: WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING cannot be used together "
        "with a WorkflowIDConflictPolicy"
    )
    with refused("INVALID_ARGUMENT", text):
        raw.start(
            workflow_id_reuse_policy=REUSE + "TERMINATE_IF_RUNNING", workflow_id_conflict_policy=CONFLICT + "FAIL"
        )


def test_on_conflict_attaches_the_request_id(raw: Raw, run: Run):
    request_id = str(uuid.uuid4())
    options = {"attach_request_id": True}
    again = raw.start(
        workflow_id=run.workflow_id,
        request_id=request_id,
        workflow_id_conflict_policy=CONFLICT + "USE_EXISTING",
        on_conflict_options=options,
    )
    assert (again.run_id, again.reply.started) == (run.run_id, False)
    assert run.event("WorkflowExecutionOptionsUpdated").attached_request_id == request_id


# --- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"workflow_id": ""}, "WorkflowId is not set on request."),
        ({"workflow_id": "x" * 1001}, "WorkflowId exceeds maximum allowed length (1001/1000)"),
        ({"workflow_type": {"name": ""}}, "WorkflowType is not set on request."),
        ({"workflow_type": {"name": "x" * 1001}}, "WorkflowType length exceeds limit."),
        ({"task_queue": {"name": ""}}, "missing task queue name"),
        ({"task_queue": {"name": "/_sys/x"}}, "task queue name cannot start with reserved prefix /_sys/"),
        ({"task_queue": {"name": "x" * 1001}}, "taskQueue length exceeds limit"),
        ({"request_id": "x" * 1001}, "RequestId length exceeds limit."),
        ({"cron_schedule": "every day"}, "invalid CronSchedule."),
        (
            {"cron_schedule": "* * * * *", "workflow_start_delay": secs(1)},
            "CronSchedule and WorkflowStartDelay may not be used together.",
        ),
        (
            {"workflow_start_delay": secs(-1)},
            "An invalid WorkflowStartDelaySeconds is set on request. cause: negative duration",
        ),
        (
            {"workflow_execution_timeout": secs(-1)},
            "An invalid WorkflowExecutionTimeoutSeconds is set on request. cause: negative duration",
        ),
        (
            {"workflow_run_timeout": secs(-1)},
            "An invalid WorkflowRunTimeoutSeconds is set on request. cause: negative duration",
        ),
        (
            {"workflow_task_timeout": secs(-1)},
            "An invalid WorkflowTaskTimeoutSeconds is set on request. cause: negative duration",
        ),
        (
            {"retry_policy": {"backoff_coefficient": 0.5}},
            "BackoffCoefficient cannot be less than 1 on retry policy.",
        ),
        ({"retry_policy": {"maximum_attempts": -1}}, "MaximumAttempts cannot be negative on retry policy."),
        (
            {"retry_policy": {"initial_interval": secs(2), "maximum_interval": secs(1)}},
            "MaximumInterval cannot be less than InitialInterval on retry policy.",
        ),
        ({"memo": {"fields": {"m": big_payloads(2 * MIB + 1).payloads[0]}}}, "Memo size exceeds limit."),
        ({"input": big_payloads(2 * MIB + 1)}, "Blob data size exceeds limit."),
        ({"priority": {"priority_key": -1}}, "priority key can't be negative"),
        ({"priority": {"fairness_key": "x" * 65}}, "fairness key length exceeds limit"),
        ({"links": [LINK] * 11}, "cannot attach more than 10 links per request, got 11"),
        (
            {"search_attributes": search_attributes(Nope=("Keyword", "x"))},
            "Namespace default has no mapping defined for search attribute Nope",
        ),
        (
            {"search_attributes": search_attributes(RunId=("Keyword", "x"))},
            "RunId attribute can't be set in SearchAttributes",
        ),
    ],
    ids=lambda item: next(iter(item)) if isinstance(item, dict) else None,
)
def test_a_start_is_refused(raw: Raw, fields: dict, text: str):
    with refused("INVALID_ARGUMENT", text):
        raw("StartWorkflowExecution", **(start_fields(new_id(), new_id("q")) | fields))


def test_a_message_above_4_mib_is_refused_by_the_transport(raw: Raw):
    with refused("RESOURCE_EXHAUSTED", pattern=r"received message larger than max|decoded message length too large"):
        raw.start(input=big_payloads(4 * MIB + 1024))


def test_an_unknown_namespace_is_refused(raw: Raw):
    with refused("NOT_FOUND", "Namespace nope is not found.", "NamespaceNotFoundFailure") as refusal:
        raw.start(namespace="nope")
    assert refusal.detail.namespace == "nope"


def test_an_empty_namespace_is_refused(raw: Raw):
    with refused("INVALID_ARGUMENT", "Namespace is empty."):
        raw.start(namespace="")


# --- timeouts ----------------------------------------------------------------------------------------------------


def test_the_run_timeout_never_exceeds_the_execution_timeout(raw: Raw):
    run = raw.start(workflow_execution_timeout=secs(30), workflow_run_timeout=secs(60))
    started = run.event("WorkflowExecutionStarted")
    assert started.workflow_execution_timeout.ToTimedelta() == secs(30)
    assert started.workflow_run_timeout.ToTimedelta() == secs(30)
    assert started.HasField("workflow_execution_expiration_time")


def test_the_task_timeout_is_capped(raw: Raw):
    capped = raw.start(workflow_task_timeout=secs(500)).event("WorkflowExecutionStarted")
    assert capped.workflow_task_timeout.ToTimedelta() == secs(120)
    by_run = raw.start(workflow_task_timeout=secs(8), workflow_run_timeout=secs(5)).event("WorkflowExecutionStarted")
    assert by_run.workflow_task_timeout.ToTimedelta() == secs(5)


def test_a_run_times_out(raw: Raw):
    run = raw.start(workflow_run_timeout=secs(1))
    assert event_name(run.wait_closed()) == "WorkflowExecutionTimedOut"
    assert run.status == "TIMED_OUT"
    assert run.event("WorkflowExecutionTimedOut").retry_state == 5  # retry policy not set


def test_an_execution_timeout_ends_a_chain_of_runs(raw: Raw):
    run = raw.start(
        workflow_execution_timeout=secs(2),
        retry_policy={"initial_interval": secs(0.1), "backoff_coefficient": 1.0},
    )
    run.complete_task(fail_workflow())
    second = run.latest
    assert event_name(second.wait_closed()) == "WorkflowExecutionTimedOut"
    assert second.event("WorkflowExecutionTimedOut").retry_state == 3  # timeout


# --- start delay, cron, retry ------------------------------------------------------------------------------------


def test_a_start_delay_holds_the_first_task_back(raw: Raw):
    run = raw.start(workflow_start_delay=secs(1.5))
    assert run.event("WorkflowExecutionStarted").first_workflow_task_backoff.ToTimedelta() == secs(1.5)
    run.expect("WorkflowExecutionStarted")
    info = run.describe_info()
    assert 1.4 < (info.execution_time.ToDatetime() - info.start_time.ToDatetime()).total_seconds() < 1.6
    began = time.monotonic()
    run.poll()
    assert time.monotonic() - began > 1


def test_a_signal_does_not_shorten_a_start_delay(raw: Raw):
    run = raw.start(workflow_start_delay=secs(30))
    run.signal()
    run.expect("WorkflowExecutionStarted WorkflowExecutionSignaled")


def test_a_delayed_workflow_can_be_cancelled_at_once(raw: Raw):
    run = raw.start(workflow_start_delay=secs(30))
    run.cancel()
    run.expect("WorkflowExecutionStarted WorkflowExecutionCancelRequested WorkflowTaskScheduled")


def test_a_query_of_a_delayed_workflow_fails(raw: Raw):
    run = raw.start(workflow_start_delay=secs(30))
    with refused("FAILED_PRECONDITION", "Workflow task is not scheduled yet.", "WorkflowNotReadyFailure"):
        run.query(timeout=5).result()


def test_cron_starts_the_next_run_when_one_completes(raw: Raw):
    run = raw.start(cron_schedule="@every 1s")
    assert run.event("WorkflowExecutionStarted").cron_schedule == "@every 1s"
    assert run.event("WorkflowExecutionStarted").initiator == 3
    run.expect("WorkflowExecutionStarted")
    run.complete_task(complete_workflow("one"))
    new_run_id = run.event("WorkflowExecutionCompleted").new_execution_run_id
    second = raw.run(run.workflow_id, new_run_id, run.queue)
    started = second.event("WorkflowExecutionStarted")
    assert run.status == "COMPLETED"
    assert started.initiator == 3
    assert started.continued_execution_run_id == run.run_id
    assert started.first_execution_run_id == run.run_id
    assert value(started.last_completion_result) == "one"
    assert started.first_workflow_task_backoff.ToTimedelta() > secs(0)
    second.complete_task(fail_workflow("two"))
    third = second.latest
    started = third.event("WorkflowExecutionStarted")
    assert started.continued_failure.message == "two"
    assert value(started.last_completion_result) == "one"
    third.terminate()


def test_a_failed_workflow_is_retried(raw: Raw):
    run = raw.start(retry_policy={"initial_interval": secs(1.5), "maximum_attempts": 2}, input=payloads("in"))
    policy = run.event("WorkflowExecutionStarted").retry_policy
    assert (policy.backoff_coefficient, policy.maximum_interval.ToTimedelta()) == (2.0, secs(150))
    run.complete_task(fail_workflow("first"))
    failed = run.event("WorkflowExecutionFailed")
    assert failed.retry_state == 1  # in progress
    second = raw.run(run.workflow_id, failed.new_execution_run_id, run.queue)
    started = second.event("WorkflowExecutionStarted")
    assert (started.attempt, started.initiator) == (2, 2)
    assert started.continued_failure.message == "first"
    assert started.first_workflow_task_backoff.ToTimedelta() == secs(1.5)
    assert value(started.input) == "in"
    second.complete_task(fail_workflow("second"))
    failed = second.event("WorkflowExecutionFailed")
    assert (failed.retry_state, failed.new_execution_run_id) == (4, "")  # maximum attempts reached


def test_runs_of_a_chain_start_a_second_apart(raw: Raw):
    run = raw.start(retry_policy={"initial_interval": secs(0.1)})
    run.complete_task(fail_workflow())
    info = run.latest.describe_info()
    assert (info.execution_time.ToDatetime() - run.describe_info().execution_time.ToDatetime()) >= secs(0.99)
    assert run.latest.event("WorkflowExecutionStarted").first_workflow_task_backoff.ToTimedelta() > secs(0.5)


def test_a_non_retryable_failure_ends_the_workflow(raw: Raw):
    run = raw.start(retry_policy={"initial_interval": secs(0.1)})
    run.complete_task(fail_workflow(non_retryable=True))
    failed = run.event("WorkflowExecutionFailed")
    assert (failed.retry_state, failed.new_execution_run_id) == (2, "")


def test_a_listed_failure_type_ends_the_workflow(raw: Raw):
    run = raw.start(retry_policy={"initial_interval": secs(0.1), "non_retryable_error_types": ["Failed"]})
    run.complete_task(fail_workflow(kind="Failed"))
    assert run.event("WorkflowExecutionFailed").retry_state == 2


def test_a_failure_can_name_the_delay_of_the_next_run(raw: Raw):
    run = raw.start(retry_policy={"initial_interval": secs(30)})
    run.complete_task(fail_workflow(next_retry_delay=secs(2)))
    assert run.latest.event("WorkflowExecutionStarted").first_workflow_task_backoff.ToTimedelta() == secs(2)


def test_a_timed_out_run_is_retried(raw: Raw):
    run = raw.start(workflow_run_timeout=secs(1), retry_policy={"initial_interval": secs(0.1)})
    timed_out = run.closing_event()
    assert timed_out.retry_state == 1
    assert timed_out.new_execution_run_id == run.latest.run_id
    run.raw.run(run.workflow_id).terminate()


# --- eager start -------------------------------------------------------------------------------------------------


def test_an_eager_start_brings_the_first_task(raw: Raw):
    run = raw.start(request_eager_execution=True)
    task = run.reply.eager_workflow_task
    assert (task.attempt, task.started_event_id) == (1, 3)
    assert [event_name(event) for event in task.history.events] == [
        "WorkflowExecutionStarted",
        "WorkflowTaskScheduled",
        "WorkflowTaskStarted",
    ]
    assert attributes(task.history.events[0]).eager_execution_accepted
    raw("RespondWorkflowTaskCompleted", task_token=task.task_token, commands=[complete_workflow()])
    assert run.status == "COMPLETED"


def test_a_delayed_start_is_never_eager(raw: Raw):
    run = raw.start(request_eager_execution=True, workflow_start_delay=secs(30))
    assert not run.reply.HasField("eager_workflow_task")
    assert not run.event("WorkflowExecutionStarted").eager_execution_accepted


# --- what rides along --------------------------------------------------------------------------------------------


def test_priority_reaches_tasks_and_activities(raw: Raw):
    run = raw.start(priority={"priority_key": 2, "fairness_key": "f", "fairness_weight": 1.5})
    assert run.event("WorkflowExecutionStarted").priority.priority_key == 2
    assert run.describe_info().priority.fairness_key == "f"
    run.complete_task(
        schedule_activity(run.queue),
        schedule_activity(run.queue, "b", priority={"priority_key": 1}),
        schedule_activity(run.queue, "c", priority={}),
    )

    def parts(it) -> tuple[int, str, float]:
        return it.priority.priority_key, it.priority.fairness_key, it.priority.fairness_weight

    # Workers are told what holds, and history what was asked for.
    tasks = {task.reply.activity_id: parts(task.reply) for task in (run.poll_activity() for _ in range(3))}
    assert tasks == {"a": (2, "f", 1.5), "b": (1, "f", 1.5), "c": (2, "f", 1.5)}
    asked = {
        event.activity_task_scheduled_event_attributes.activity_id: parts(event.activity_task_scheduled_event_attributes)
        for event in run.history()
        if event.HasField("activity_task_scheduled_event_attributes")
    }
    assert asked == {"a": (0, "", 0.0), "b": (1, "", 0.0), "c": (0, "", 0.0)}


def test_links_are_kept(raw: Raw):
    run = raw.start(links=[LINK])
    assert len(run.history()[0].links) == 1
