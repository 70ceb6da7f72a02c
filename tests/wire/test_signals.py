"""Signals, signal-with-start, cancel, terminate, delete, as a client asks for them."""

from __future__ import annotations

import uuid

import grpc
import pytest
from raw import (
    IDENTITY,
    MIB,
    Raw,
    Run,
    big_payloads,
    cancel_workflow,
    complete_workflow,
    new_id,
    payloads,
    refused,
    secs,
    start_fields,
    value,
)

CLOSED = "workflow execution already completed"


# --- signals -----------------------------------------------------------------------------------------------------


def test_a_signal_is_recorded_and_wakes_the_workflow(run: Run):
    run.complete_task()
    reply = run.signal("go", input=payloads("x"), header={"fields": {"h": payloads(1).payloads[0]}})
    run.expect("… WorkflowTaskCompleted WorkflowExecutionSignaled WorkflowTaskScheduled")
    signaled = run.event("WorkflowExecutionSignaled")
    assert (signaled.signal_name, signaled.identity, value(signaled.input)) == ("go", IDENTITY, "x")
    assert value(signaled.header.fields["h"]) == 1
    assert reply.link.workflow_event.run_id == run.run_id


def test_signals_while_a_task_waits_need_no_other(run: Run):
    run.signal("one")
    run.signal("two")
    run.expect("WorkflowExecutionStarted WorkflowTaskScheduled WorkflowExecutionSignaled WorkflowExecutionSignaled")


def test_the_same_request_id_is_the_same_signal(run: Run):
    for _ in range(2):
        run.signal(request_id="r1")
    run.signal(request_id="r2")
    assert run.names().count("WorkflowExecutionSignaled") == 2


def test_a_signal_without_run_id_finds_the_open_run(raw: Raw, run: Run):
    raw.run(run.workflow_id).signal()
    assert "WorkflowExecutionSignaled" in run.names()


def test_signals_that_are_refused(raw: Raw, run: Run):
    with refused("NOT_FOUND", "workflow not found for ID: nope", "NotFoundFailure"):
        raw.run("nope").signal()
    with refused("INVALID_ARGUMENT", "SignalName is not set on request."):
        run.signal("")
    with refused("INVALID_ARGUMENT", "SignalName length exceeds limit."):
        run.signal("x" * 1001)
    with refused("INVALID_ARGUMENT", "Invalid RunId."):
        raw.run(run.workflow_id, "not-a-uuid").signal()
    with refused("INVALID_ARGUMENT", "Blob data size exceeds limit."):
        run.signal(input=big_payloads(2 * MIB + 1))
    missing = str(uuid.uuid4())
    text = f'workflow execution not found for workflow ID "{run.workflow_id}" and run ID "{missing}"'
    with refused("NOT_FOUND", text, "NotFoundFailure"):
        raw.run(run.workflow_id, missing).signal()
    assert "WorkflowExecutionSignaled" not in run.names()


@pytest.mark.parametrize("with_run_id", [True, False])
def test_a_closed_workflow_takes_no_signal(raw: Raw, run: Run, with_run_id: bool):
    run.complete_task(complete_workflow())
    with refused("NOT_FOUND", CLOSED, "NotFoundFailure"):
        raw.run(run.workflow_id, run.run_id if with_run_id else "").signal()


# --- signal-with-start -------------------------------------------------------------------------------------------


def signal_with_start(raw: Raw, workflow_id: str, queue: str, **fields) -> Run:
    reply = raw("SignalWithStartWorkflowExecution", signal_name="s", **start_fields(workflow_id, queue, **fields))
    return Run(raw, workflow_id, reply.run_id, queue, reply)


def test_signal_with_start_starts(raw: Raw, queue: str):
    run = signal_with_start(raw, new_id(), queue, signal_input=payloads("x"))
    assert run.reply.started
    run.expect("WorkflowExecutionStarted WorkflowExecutionSignaled WorkflowTaskScheduled")
    assert value(run.event("WorkflowExecutionSignaled").input) == "x"
    assert run.poll().reply.attempt == 1


def test_signal_with_start_signals_the_running_one(raw: Raw, run: Run):
    again = signal_with_start(raw, run.workflow_id, run.queue)
    assert (again.run_id, again.reply.started) == (run.run_id, False)
    run.expect("… WorkflowExecutionSignaled")


def test_signal_with_start_after_a_close(raw: Raw, run: Run):
    run.complete_task(complete_workflow())
    new = signal_with_start(raw, run.workflow_id, run.queue)
    assert new.reply.started and new.run_id != run.run_id
    reject = "WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE"
    new.terminate()
    with refused("ALREADY_EXISTS", detail="WorkflowExecutionAlreadyStartedFailure"):
        signal_with_start(raw, run.workflow_id, run.queue, workflow_id_reuse_policy=reject)


def test_signal_with_start_replacing_the_running_one(raw: Raw, run: Run):
    new = signal_with_start(
        raw, run.workflow_id, run.queue, workflow_id_conflict_policy="WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING"
    )
    assert new.reply.started and new.run_id != run.run_id
    assert run.status == "TERMINATED"
    assert "WorkflowExecutionSignaled" in new.names()


def test_signal_with_start_delayed(raw: Raw, queue: str):
    run = signal_with_start(raw, new_id(), queue, workflow_start_delay=secs(30))
    run.expect("WorkflowExecutionStarted WorkflowExecutionSignaled")


def test_signal_with_start_refuses_the_fail_policy(raw: Raw, queue: str):
    with refused("INVALID_ARGUMENT", pattern="WORKFLOW_ID_CONFLICT_POLICY_FAIL"):
        signal_with_start(raw, new_id(), queue, workflow_id_conflict_policy="WORKFLOW_ID_CONFLICT_POLICY_FAIL")


# --- cancel ------------------------------------------------------------------------------------------------------


def test_a_cancel_request(run: Run):
    run.complete_task()
    run.cancel(reason="enough")
    run.expect("… WorkflowTaskCompleted WorkflowExecutionCancelRequested WorkflowTaskScheduled")
    requested = run.event("WorkflowExecutionCancelRequested")
    assert (requested.cause, requested.identity) == ("enough", IDENTITY)
    run.complete_task(cancel_workflow())
    assert run.status == "CANCELED"


def test_a_second_cancel_changes_nothing(run: Run):
    run.cancel()
    run.cancel()
    assert run.names().count("WorkflowExecutionCancelRequested") == 1


def test_a_cancel_of_what_is_closed_or_unknown(raw: Raw, run: Run):
    run.complete_task(complete_workflow())
    raw.run(run.workflow_id).cancel()
    with refused("NOT_FOUND", "workflow not found for ID: nope", "NotFoundFailure"):
        raw.run("nope").cancel()
    assert "WorkflowExecutionCancelRequested" not in run.names()


# --- terminate ---------------------------------------------------------------------------------------------------


def test_a_termination(run: Run):
    run.terminate(reason="why", details=payloads("d"))
    terminated = run.event("WorkflowExecutionTerminated")
    assert (terminated.reason, value(terminated.details), terminated.identity) == ("why", "d", IDENTITY)
    assert run.status == "TERMINATED"
    run.expect("WorkflowExecutionStarted WorkflowTaskScheduled WorkflowExecutionTerminated")
    with refused("NOT_FOUND", CLOSED, "NotFoundFailure"):
        run.terminate()


def test_a_termination_by_the_id_of_the_first_run(raw: Raw, run: Run):
    raw(
        "TerminateWorkflowExecution",
        workflow_execution={"workflow_id": run.workflow_id},
        first_execution_run_id=run.run_id,
    )
    assert run.status == "TERMINATED"


def test_a_termination_that_names_another_chain(raw: Raw, run: Run):
    with refused("NOT_FOUND", detail="NotFoundFailure"):
        raw(
            "TerminateWorkflowExecution",
            workflow_execution={"workflow_id": run.workflow_id},
            first_execution_run_id=str(uuid.uuid4()),
        )
    assert run.status == "RUNNING"


def test_a_termination_of_nobody(raw: Raw):
    with refused("NOT_FOUND", "workflow not found for ID: nope", "NotFoundFailure"):
        raw.run("nope").terminate()


# --- delete ------------------------------------------------------------------------------------------------------


def test_a_deleted_workflow_is_gone(raw: Raw, run: Run, eventually):
    raw("DeleteWorkflowExecution", workflow_execution=run.ref)

    def gone() -> bool:
        try:
            run.describe()
        except grpc.RpcError as error:
            return error.code() is grpc.StatusCode.NOT_FOUND
        return False

    eventually(gone)


def test_a_closed_workflow_can_be_deleted(raw: Raw, run: Run):
    # Its record goes later: the reference takes ten seconds or more.
    run.complete_task(complete_workflow())
    raw("DeleteWorkflowExecution", workflow_execution=run.ref)


def test_deleting_nobody(raw: Raw):
    with refused("NOT_FOUND", "workflow not found for ID: nope", "NotFoundFailure"):
        raw("DeleteWorkflowExecution", workflow_execution={"workflow_id": "nope"})
