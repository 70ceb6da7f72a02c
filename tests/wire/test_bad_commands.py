"""Commands that are wrong fail the workflow task, not the workflow, with the reference's cause and text."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from raw import (
    MIB,
    Raw,
    Run,
    bare_command,
    big_payloads,
    cancel_activity,
    cancel_external,
    cancel_timer,
    cause_name,
    command,
    complete_workflow,
    continue_as_new,
    event_name,
    fail_workflow,
    new_id,
    record_marker,
    refused,
    says,
    schedule_activity,
    secs,
    signal_external,
    start_child,
    start_timer,
    upsert_search_attributes,
)
from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import WorkflowTaskFailedCause

LONG = "x" * 1001
NEGATIVE = timedelta(seconds=-1)
SCHEDULE = "BAD_SCHEDULE_ACTIVITY_ATTRIBUTES"
CHILD = "BAD_START_CHILD_EXECUTION_ATTRIBUTES"
SIGNAL = "BAD_SIGNAL_WORKFLOW_EXECUTION_ATTRIBUTES"
CANCEL_EXTERNAL = "BAD_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_ATTRIBUTES"
CONTINUE = "BAD_CONTINUE_AS_NEW_ATTRIBUTES"


def expect_task_failure(run: Run, cause: str, text: str, *commands: Command, pattern: bool = False, **fields) -> None:
    """The completion is refused, the task is recorded as failed, and the next one is there for the worker."""
    prefix = "".join(word.capitalize() for word in cause.split("_"))
    task = run.poll()
    before = len(run.names())
    if pattern:
        with refused("INVALID_ARGUMENT", pattern=f"^{prefix}: {text}") as refusal:
            task.complete(*commands, **fields)
    else:
        with refused("INVALID_ARGUMENT", f"{prefix}: {text}" if text else prefix) as refusal:
            task.complete(*commands, **fields)
    assert run.names()[before:] == ["WorkflowTaskFailed", "WorkflowTaskScheduled"]
    failed = run.event("WorkflowTaskFailed")
    assert cause_name(failed) == cause
    assert failed.failure.message == refusal.message
    assert failed.failure.HasField("server_failure_info")
    assert run.poll().reply.attempt == 2


# A case is a cause, a text, and the command as a function of the queue.
Case = tuple[str, str, Callable[[str], Command]]

CASES: list[Case] = [
    # -- activities
    (SCHEDULE, "ScheduleActivityTaskCommandAttributes is not set on ScheduleActivityTaskCommand.",
        lambda q: bare_command("SCHEDULE_ACTIVITY_TASK")),
    (SCHEDULE, "activityId is not set", lambda q: schedule_activity(q, "")),
    (SCHEDULE, "activityType is not set", lambda q: schedule_activity(q, activity_type=None)),
    (SCHEDULE, "activityId exceeds length limit. Length=1001 Limit=1000",
        lambda q: schedule_activity(q, LONG)),
    (SCHEDULE, "activityType exceeds length limit. Length=1001 Limit=1000",
        lambda q: schedule_activity(q, activity_type={"name": LONG})),
    (SCHEDULE, "a valid StartToCloseTimeout or ScheduleToCloseTimeout must be set on the activity. "
        "ActivityId=a ActivityType=A", lambda q: schedule_activity(q, start_to_close_timeout=None)),
    (SCHEDULE, "invalid StartToCloseTimeout: negative duration",
        lambda q: schedule_activity(q, start_to_close_timeout=-1)),
    (SCHEDULE, "invalid ScheduleToCloseTimeout: negative duration",
        lambda q: schedule_activity(q, schedule_to_close_timeout=-1)),
    (SCHEDULE, "invalid ScheduleToStartTimeout: negative duration",
        lambda q: schedule_activity(q, schedule_to_start_timeout=-1)),
    (SCHEDULE, "invalid HeartbeatTimeout: negative duration",
        lambda q: schedule_activity(q, heartbeat_timeout=-1)),
    (SCHEDULE, "BackoffCoefficient cannot be less than 1 on retry policy.",
        lambda q: schedule_activity(q, retry_policy={"backoff_coefficient": 0.5})),
    (SCHEDULE, "taskQueue is not set", lambda q: schedule_activity(q, task_queue=None)),
    (SCHEDULE, "missing task queue name", lambda q: schedule_activity(q, task_queue={"name": ""})),
    (SCHEDULE, "task queue name cannot start with reserved prefix /_sys/",
        lambda q: schedule_activity(q, task_queue={"name": "/_sys/x"})),
    (SCHEDULE, "invalid priorities: priority key can't be negative",
        lambda q: schedule_activity(q, priority={"priority_key": -1})),
    ("BAD_REQUEST_CANCEL_ACTIVITY_ATTRIBUTES",
        "RequestCancelActivityTaskCommandAttributes is not set on RequestCancelActivityTaskCommand.",
        lambda q: bare_command("REQUEST_CANCEL_ACTIVITY_TASK")),
    ("BAD_REQUEST_CANCEL_ACTIVITY_ATTRIBUTES", "ScheduledEventId is not set on RequestCancelActivityTaskCommand.",
        lambda q: cancel_activity(0)),
    # -- timers
    ("BAD_START_TIMER_ATTRIBUTES", "StartTimerCommandAttributes is not set on StartTimerCommand.",
        lambda q: bare_command("START_TIMER")),
    ("BAD_START_TIMER_ATTRIBUTES", "TimerId is not set on StartTimerCommand.", lambda q: start_timer("")),
    ("BAD_START_TIMER_ATTRIBUTES",
        f"TimerId on StartTimerCommand exceeds length limit. TimerId={LONG} Length=1001 Limit=1000",
        lambda q: start_timer(LONG)),
    ("BAD_START_TIMER_ATTRIBUTES",
        "An invalid StartToFireTimeout is set on StartTimerCommand: negative duration. TimerId=t",
        lambda q: start_timer("t", -1)),
    ("BAD_CANCEL_TIMER_ATTRIBUTES", "CancelTimerCommandAttributes is not set on CancelTimerCommand.",
        lambda q: bare_command("CANCEL_TIMER")),
    ("BAD_CANCEL_TIMER_ATTRIBUTES", "TimerId is not set on CancelTimerCommand.", lambda q: cancel_timer("")),
    ("BAD_CANCEL_TIMER_ATTRIBUTES",
        "invalid history builder state for action: add-timer-canceled-event, TimerID: nope",
        lambda q: cancel_timer("nope")),
    # -- closing commands and markers
    ("BAD_COMPLETE_WORKFLOW_EXECUTION_ATTRIBUTES",
        "CompleteWorkflowExecutionCommandAttributes is not set on CompleteWorkflowExecutionCommand.",
        lambda q: bare_command("COMPLETE_WORKFLOW_EXECUTION")),
    ("BAD_FAIL_WORKFLOW_EXECUTION_ATTRIBUTES",
        "FailWorkflowExecutionCommandAttributes is not set on FailWorkflowExecutionCommand.",
        lambda q: bare_command("FAIL_WORKFLOW_EXECUTION")),
    ("BAD_FAIL_WORKFLOW_EXECUTION_ATTRIBUTES", "Failure is not set on FailWorkflowExecutionCommand.",
        lambda q: command("FAIL_WORKFLOW_EXECUTION")),
    ("BAD_CANCEL_WORKFLOW_EXECUTION_ATTRIBUTES",
        "CancelWorkflowExecutionCommandAttributes is not set on CancelWorkflowExecutionCommand.",
        lambda q: bare_command("CANCEL_WORKFLOW_EXECUTION")),
    ("BAD_RECORD_MARKER_ATTRIBUTES", "RecordMarkerCommandAttributes is not set on RecordMarkerCommand.",
        lambda q: bare_command("RECORD_MARKER")),
    ("BAD_RECORD_MARKER_ATTRIBUTES", "MarkerName is not set on RecordMarkerCommand.", lambda q: record_marker("")),
    ("BAD_RECORD_MARKER_ATTRIBUTES",
        f"MarkerName on RecordMarkerCommand exceeds length limit. MarkerName={LONG} Length=1001 Limit=1000",
        lambda q: record_marker(LONG)),
    # -- continue-as-new
    (CONTINUE, "ContinueAsNewWorkflowExecutionCommandAttributes is not set on ContinueAsNewWorkflowExecutionCommand.",
        lambda q: bare_command("CONTINUE_AS_NEW_WORKFLOW_EXECUTION")),
    # -- children
    # (A child command without attributes is left out: the reference answers INTERNAL.)
    (CHILD, "Required field WorkflowId is not set on StartChildWorkflowExecutionCommand. "
        "WorkflowType=C Namespace=default", lambda q: start_child("", q)),
    (CHILD, "Required field WorkflowType is not set on StartChildWorkflowExecutionCommand. "
        "WorkflowId=c Namespace=default", lambda q: start_child("c", q, workflow_type=None)),
    (CHILD, "WorkflowId on StartChildWorkflowExecutionCommand exceeds length limit. "
        f"WorkflowId={LONG} Length=1001 Limit=1000 WorkflowType=C Namespace=default", lambda q: start_child(LONG, q)),
    (CHILD, "Invalid WorkflowRunTimeout on StartChildWorkflowExecutionCommand: negative duration. "
        "WorkflowId=c WorkflowType=C Namespace=default", lambda q: start_child("c", q, workflow_run_timeout=-1)),
    (CHILD, "invalid CronSchedule on StartChildWorkflowExecutionCommand: invalid CronSchedule.. "
        "WorkflowId=c WorkflowType=C Namespace=default", lambda q: start_child("c", q, cron_schedule="often")),
    (CHILD, "invalid WorkflowRetryPolicy on StartChildWorkflowExecutionCommand: "
        "BackoffCoefficient cannot be less than 1 on retry policy.. WorkflowId=c WorkflowType=C Namespace=default",
        lambda q: start_child("c", q, retry_policy={"backoff_coefficient": 0.5})),
    # -- other workflows
    (SIGNAL, "SignalExternalWorkflowExecutionCommandAttributes is not set on SignalExternalWorkflowExecutionCommand.",
        lambda q: bare_command("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION")),
    (SIGNAL, "Execution is not set on SignalExternalWorkflowExecutionCommand.",
        lambda q: command("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION", namespace="default")),
    (SIGNAL, "WorkflowId is not set on SignalExternalWorkflowExecutionCommand. "
        "Namespace=default RunId= SignalName=s", lambda q: signal_external("")),
    (SIGNAL, "Invalid RunId set on SignalExternalWorkflowExecutionCommand. "
        "WorkflowId=w Namespace=default RunId=1 SignalName=s", lambda q: signal_external("w", "1")),
    (SIGNAL, "SignalName is not set on SignalExternalWorkflowExecutionCommand. "
        "WorkflowId=w Namespace=default RunId=", lambda q: signal_external("w", name="")),
    (CANCEL_EXTERNAL, "RequestCancelExternalWorkflowExecutionCommandAttributes is not set on "
        "RequestCancelExternalWorkflowExecutionCommand.",
        lambda q: bare_command("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION")),
    (CANCEL_EXTERNAL, "WorkflowId is not set on RequestCancelExternalWorkflowExecutionCommand. "
        "Namespace=default RunId=", lambda q: cancel_external("")),
    (CANCEL_EXTERNAL, "Invalid RunId set on RequestCancelExternalWorkflowExecutionCommand. "
        "WorkflowId=w RunId=1 Namespace=default", lambda q: cancel_external("w", "1")),
    # -- memo and search attributes
    ("BAD_SEARCH_ATTRIBUTES",
        "UpsertWorkflowSearchAttributesCommandAttributes is not set on UpsertWorkflowSearchAttributesCommand.",
        lambda q: bare_command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES")),
    ("BAD_SEARCH_ATTRIBUTES", "IndexedFields is not set on UpsertWorkflowSearchAttributesCommand.",
        lambda q: command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", search_attributes={})),
    ("BAD_MODIFY_WORKFLOW_PROPERTIES_ATTRIBUTES",
        "ModifyWorkflowPropertiesCommandAttributes is not set on ModifyWorkflowPropertiesCommand.",
        lambda q: bare_command("MODIFY_WORKFLOW_PROPERTIES")),
    ("BAD_MODIFY_WORKFLOW_PROPERTIES_ATTRIBUTES", "UpsertedMemo is not set on ModifyWorkflowPropertiesCommand.",
        lambda q: command("MODIFY_WORKFLOW_PROPERTIES")),
    ("BAD_MODIFY_WORKFLOW_PROPERTIES_ATTRIBUTES", "UpsertedMemo.Fields is not set on ModifyWorkflowPropertiesCommand.",
        lambda q: command("MODIFY_WORKFLOW_PROPERTIES", upserted_memo={})),
    # -- messages
    ("BAD_UPDATE_WORKFLOW_EXECUTION_MESSAGE", "ProtocolMessageCommandAttributes is not set on ProtocolMessageCommand.",
        lambda q: bare_command("PROTOCOL_MESSAGE")),
    ("BAD_UPDATE_WORKFLOW_EXECUTION_MESSAGE", "MessageID is not set on ProtocolMessageCommand.",
        lambda q: command("PROTOCOL_MESSAGE")),
    ("BAD_UPDATE_WORKFLOW_EXECUTION_MESSAGE", "ProtocolMessageCommand referenced absent message ID nope",
        lambda q: command("PROTOCOL_MESSAGE", message_id="nope")),
]  # fmt: skip


@pytest.mark.parametrize(("cause", "text", "make"), CASES, ids=[f"{cause}-{text[:60]}" for cause, text, _ in CASES])
def test_a_bad_command_fails_the_task(run: Run, cause: str, text: str, make: Callable[[str], Command]):
    expect_task_failure(run, cause, text, make(run.queue))


def test_a_duplicate_timer_id(run: Run):
    expect_task_failure(
        run,
        "START_TIMER_DUPLICATE_ID",
        "invalid history builder state for action: add-timer-started-event, TimerID: t",
        start_timer("t"),
        start_timer("t"),
    )


def test_a_duplicate_activity_id(run: Run):
    expect_task_failure(
        run,
        "SCHEDULE_ACTIVITY_DUPLICATE_ID",
        "invalid history builder state for action: add-activitytask-scheduled-event, ActivityID: a",
        schedule_activity(run.queue, "a"),
        schedule_activity(run.queue, "a"),
    )


def test_cancelling_an_activity_that_was_never_scheduled(run: Run):
    expect_task_failure(
        run,
        "BAD_REQUEST_CANCEL_ACTIVITY_ATTRIBUTES",
        "invalid history builder state for action: add-activitytask-cancel-requested-event, ScheduledEventID: 99",
        cancel_activity(99),
    )


def test_an_unknown_search_attribute(run: Run):
    expect_task_failure(
        run,
        "BAD_SEARCH_ATTRIBUTES",
        "Namespace default has no mapping defined for search attribute Nope",
        upsert_search_attributes(Nope=("Keyword", "x")),
    )


def test_starting_and_cancelling_a_child_in_one_task(run: Run):
    child = new_id()
    expect_task_failure(
        run,
        CANCEL_EXTERNAL,
        "Start and RequestCancel for child workflow is not allowed in same workflow task. "
        f"WorkflowId={child} RunId= Namespace=default",
        start_child(child, run.queue),
        cancel_external(child),
    )


def test_nothing_of_a_bad_completion_is_kept(run: Run):
    task = run.poll()
    with refused("INVALID_ARGUMENT"):
        task.complete(start_timer("good"), record_marker("good"), start_timer(""))
    run.expect(
        "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskFailed WorkflowTaskScheduled"
    )


def test_a_second_bad_completion_writes_nothing(run: Run):
    for _ in range(2):
        task = run.poll()
        with refused("INVALID_ARGUMENT", "BadStartTimerAttributes: TimerId is not set on StartTimerCommand."):
            task.complete(start_timer(""))
    assert run.names().count("WorkflowTaskFailed") == 1


def test_a_command_after_the_closing_one(run: Run):
    task = run.poll()
    text = (
        "invalid command sequence: [CompleteWorkflowExecution, StartTimer], "
        "command CompleteWorkflowExecution must be the last command."
    )
    with refused("INVALID_ARGUMENT", text):
        task.complete(complete_workflow(), start_timer())


def test_an_unknown_command_type(run: Run):
    task = run.poll()
    with refused("INVALID_ARGUMENT", "unknown command type: Unspecified"):
        task.complete(Command())
    task.complete(complete_workflow())
    assert run.status == "COMPLETED"


# --- payloads above the limit end the workflow -------------------------------------------------------------------


TOO_BIG: list[tuple[str, str, Callable[[str], Command]]] = [
    ("BAD_SCHEDULE_ACTIVITY_ATTRIBUTES", "ScheduleActivityTaskCommandAttributes.Input exceeds size limit.",
        lambda q: schedule_activity(q, input=big_payloads(2 * MIB + 1))),
    (SCHEDULE,  # the wrong cause, but that is what clients are used to
        "CompleteWorkflowExecutionCommandAttributes.Result exceeds size limit.",
        lambda q: command("COMPLETE_WORKFLOW_EXECUTION", result=big_payloads(2 * MIB + 1))),
    ("BAD_FAIL_WORKFLOW_EXECUTION_ATTRIBUTES",
        "FailWorkflowExecutionCommandAttributes.Failure exceeds size limit.",
        lambda q: fail_workflow(details=big_payloads(2 * MIB + 1))),
    ("BAD_RECORD_MARKER_ATTRIBUTES", "RecordMarkerCommandAttributes.Details exceeds size limit.",
        lambda q: record_marker(details={"d": big_payloads(2 * MIB + 1)})),
    ("BAD_CONTINUE_AS_NEW_ATTRIBUTES", "ContinueAsNewWorkflowExecutionCommandAttributes. Input exceeds size limit.",
        lambda q: continue_as_new(q, input=big_payloads(2 * MIB + 1))),
    ("BAD_START_CHILD_EXECUTION_ATTRIBUTES", "StartChildWorkflowExecutionCommandAttributes. Input exceeds size limit.",
        lambda q: start_child(new_id(), q, input=big_payloads(2 * MIB + 1))),
    ("BAD_SIGNAL_WORKFLOW_EXECUTION_ATTRIBUTES",
        "SignalExternalWorkflowExecutionCommandAttributes.Input exceeds size limit.",
        lambda q: signal_external("w", input=big_payloads(2 * MIB + 1))),
    ("BAD_MODIFY_WORKFLOW_PROPERTIES_ATTRIBUTES",
        "ModifyWorkflowPropertiesCommandAttributes exceeds size limit.",
        lambda q: command("MODIFY_WORKFLOW_PROPERTIES",
                          upserted_memo={"fields": {"m": big_payloads(2 * MIB + 1).payloads[0]}})),
]  # fmt: skip


@pytest.mark.parametrize(("cause", "text", "make"), TOO_BIG, ids=[text.split("Command")[0] for _, text, _ in TOO_BIG])
def test_an_oversize_payload_terminates_the_workflow(run: Run, cause: str, text: str, make: Callable[[str], Command]):
    prefix = "".join(word.capitalize() for word in cause.split("_"))
    task = run.poll()
    with refused("INVALID_ARGUMENT", f"{prefix}: {text}"):
        task.complete(make(run.queue))
    assert run.status == "TERMINATED"
    assert event_name(run.history()[-1]) == "WorkflowExecutionTerminated"
    assert says(run.event("WorkflowExecutionTerminated").reason, f"{prefix}: {text}")


# --- every cause a worker may report -----------------------------------------------------------------------------


@pytest.mark.parametrize("cause", ["WORKFLOW_WORKER_UNHANDLED_FAILURE", "NON_DETERMINISTIC_ERROR"])
def test_a_worker_reports_its_own_failure(raw: Raw, cause: str):
    run = raw.start(workflow_task_timeout=secs(5))
    run.poll().fail(cause, "why")
    failed = run.event("WorkflowTaskFailed")
    assert WorkflowTaskFailedCause.Name(failed.cause).endswith(cause)
    assert failed.failure.message == "why"
    assert (failed.scheduled_event_id, failed.started_event_id, failed.identity) == (2, 3, "wire-test")
