"""Limits: the caller gets an error with the number and the limit, and nothing is lost."""

from __future__ import annotations

import pytest
from raw import (
    MIB,
    Raw,
    Run,
    big_payloads,
    cancel_external,
    cause_name,
    complete_workflow,
    refused,
    schedule_activity,
    signal_external,
    start_child,
    value,
)


@pytest.mark.parametrize(
    ("cause", "things", "make"),
    [
        ("PENDING_ACTIVITIES_LIMIT_EXCEEDED", "activities", lambda n: schedule_activity("nowhere", str(n))),
        (
            "PENDING_CHILD_WORKFLOWS_LIMIT_EXCEEDED",
            "child workflow executions",
            lambda n: start_child(f"nobody-{n}", "nowhere"),
        ),
        (
            "PENDING_SIGNALS_LIMIT_EXCEEDED",
            "signals to external workflows",
            lambda n: signal_external(f"nobody-{n}"),
        ),
        (
            "PENDING_REQUEST_CANCEL_LIMIT_EXCEEDED",
            "requests to cancel external workflows",
            lambda n: cancel_external(f"nobody-{n}"),
        ),
    ],
    ids=["activities", "children", "signals", "cancels"],
)
def test_2000_pending_things_of_a_kind_are_the_most(run: Run, cause: str, things: str, make):
    prefix = "".join(word.capitalize() for word in cause.split("_"))
    text = f"{prefix}: the number of pending {things}, 2000, has reached the per-workflow limit of 2000"
    task = run.poll()
    with refused("INVALID_ARGUMENT", text):
        task.complete(*[make(n) for n in range(2001)])
    assert cause_name(run.event("WorkflowTaskFailed")) == cause
    run.expect("… WorkflowTaskStarted WorkflowTaskFailed WorkflowTaskScheduled")
    run.terminate()


def test_an_oversize_signal_leaves_the_workflow_alone(run: Run):
    with refused("INVALID_ARGUMENT", "Blob data size exceeds limit."):
        run.signal(input=big_payloads(2 * MIB + 1))
    run.expect("WorkflowExecutionStarted WorkflowTaskScheduled")


def test_an_oversize_query_is_refused(run: Run):
    run.complete_task()
    query = {"query_type": "q", "query_args": big_payloads(2 * MIB + 1)}
    with refused("INVALID_ARGUMENT", "Blob data size exceeds limit."):
        run.raw("QueryWorkflow", execution=run.ref, query=query)


def test_100_buffered_events_are_the_most(run: Run):
    run.poll()
    for _ in range(100):
        run.signal()
    run.expect("WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted")
    run.signal()
    assert cause_name(run.event("WorkflowTaskFailed")) == "FORCE_CLOSE_COMMAND"
    assert run.names().count("WorkflowExecutionSignaled") == 101
    assert run.names()[-1] == "WorkflowTaskScheduled"


def test_a_value_comes_back_byte_for_byte(run: Run):
    blob = big_payloads(MIB)
    run.signal(input=blob)
    assert run.event("WorkflowExecutionSignaled").input == blob
    run.complete_task(complete_workflow({"ü": ["ÿ", None, 1.5]}))
    assert value(run.event("WorkflowExecutionCompleted").result) == {"ü": ["ÿ", None, 1.5]}


def test_the_largest_payload_that_fits(raw: Raw):
    blob = big_payloads(2 * MIB - 200)
    run = raw.start(input=blob)
    assert run.poll().events[0].workflow_execution_started_event_attributes.input == blob
