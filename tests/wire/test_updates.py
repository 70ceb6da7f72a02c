"""Updates: speculative tasks, rejection without a trace, acceptance, completion, ids, stages, update-with-start."""

from __future__ import annotations

import time

import pytest
from google.protobuf import any_pb2
from raw import (
    Raw,
    Run,
    WorkflowTask,
    attributes,
    cause_name,
    complete_workflow,
    continue_as_new,
    event_name,
    fail_workflow,
    new_id,
    past_its_deadline,
    refused,
    start_fields,
    start_timer,
    update_fields,
    update_request,
    update_stage,
    value,
)
from temporalio.api.enums.v1 import UpdateWorkflowExecutionLifecycleStage
from temporalio.api.protocol.v1 import Message
from temporalio.api.update.v1 import Outcome, Response
from temporalio.api.workflowservice.v1 import (
    ExecuteMultiOperationRequest,
    StartWorkflowExecutionRequest,
    UpdateWorkflowExecutionRequest,
)

FIRST_TASK_DONE = "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted"
TASK_DONE = "WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted"


def stage(reply) -> str:
    return UpdateWorkflowExecutionLifecycleStage.Name(reply.stage).removeprefix(update_stage(""))


@pytest.fixture
def idle(run: Run) -> Run:
    """A run that has completed its first task and waits: its next update makes a speculative task."""
    run.complete_task()
    return run


def handle(run: Run, update_id: str = "u1", result: str = "done") -> None:
    """Accepts and completes the update of the next task."""
    task = run.poll()
    assert task.reply.messages[0].protocol_instance_id == update_id
    task.complete_with_messages(task.accept(), task.respond(result))


# --- speculative tasks -------------------------------------------------------------------------------------------


def test_the_request_arrives_as_a_message(idle: Run):
    update = idle.update("u1", name="add")
    task = idle.poll()
    (message,) = task.reply.messages
    assert (message.id, message.protocol_instance_id) == ("u1/request", "u1")
    assert message.event_id == 5
    request = update_request(message)
    assert (request.meta.update_id, request.input.name) == ("u1", "add")
    assert task.names()[-2:] == ["WorkflowTaskScheduled", "WorkflowTaskStarted"]
    task.complete_with_messages(task.accept(), task.respond())
    update.result()


def test_an_accepted_and_completed_update(idle: Run):
    update = idle.update("u1")
    handle(idle, result="sum")
    reply = update.result()
    assert stage(reply) == "COMPLETED"
    assert value(reply.outcome.success) == "sum"
    assert reply.update_ref.update_id == "u1"
    assert reply.update_ref.workflow_execution.run_id == idle.run_id
    idle.expect(FIRST_TASK_DONE, TASK_DONE, "WorkflowExecutionUpdateAccepted WorkflowExecutionUpdateCompleted")
    accepted = idle.event("WorkflowExecutionUpdateAccepted")
    assert accepted.protocol_instance_id == "u1"
    assert accepted.accepted_request_message_id == "u1/request"
    assert accepted.accepted_request_sequencing_event_id == 5
    assert accepted.accepted_request.input.name == "u"
    completed = idle.event("WorkflowExecutionUpdateCompleted")
    assert (completed.meta.update_id, completed.accepted_event_id) == ("u1", 8)
    assert value(completed.outcome.success) == "sum"


def test_a_speculative_task_is_not_in_history(idle: Run, address: str):
    update = idle.update("u1")
    task = idle.poll()
    as_cli = Raw(address, metadata={"client-name": "temporal-cli"}).run(idle.workflow_id)
    assert as_cli.names() == FIRST_TASK_DONE.split()
    task.complete_with_messages(task.accept(), task.respond())
    update.result()


def test_a_rejected_update_leaves_no_trace(idle: Run):
    before = idle.names()
    update = idle.update("u1")
    task = idle.poll()
    reply = task.complete_with_messages(task.reject("no such item"))
    assert reply.reset_history_event_id == 3
    result = update.result()
    assert stage(result) == "COMPLETED"
    assert result.outcome.failure.message == "no such item"
    assert idle.names() == before
    assert not idle.describe().HasField("pending_workflow_task")


def test_a_rejected_update_is_forgotten(idle: Run):
    update = idle.update("u1")
    task = idle.poll()
    task.complete_with_messages(task.reject())
    update.result()
    with refused("NOT_FOUND", 'update "u1" not found', "NotFoundFailure"):
        idle.poll_update("u1").result()
    again = idle.update("u1")
    handle(idle)
    assert value(again.result().outcome.success) == "done"


def test_a_rejection_with_commands_is_written(idle: Run):
    update = idle.update("u1")
    task = idle.poll()
    task.complete_with_messages(task.reject(), start_timer())
    update.result()
    idle.expect(FIRST_TASK_DONE, TASK_DONE, "TimerStarted")


def test_the_task_after_a_dropped_one_follows_the_last_real_one(idle: Run):
    update = idle.update("u1")
    task = idle.poll()
    task.complete_with_messages(task.reject())
    update.result()
    idle.signal()
    task = idle.poll()
    assert (task.reply.previous_started_event_id, task.reply.started_event_id) == (3, 7)


def test_an_event_makes_a_speculative_task_a_real_one(idle: Run):
    update = idle.update("u1")
    idle_task = idle.poll()
    idle.signal()
    idle_task.complete_with_messages(idle_task.reject())
    assert update.result().outcome.failure.message == "rejected"
    idle.expect(FIRST_TASK_DONE, TASK_DONE, "WorkflowExecutionSignaled WorkflowTaskScheduled")


def test_an_update_rides_on_a_waiting_task(run: Run):
    update = run.update("u1")
    time.sleep(0.3)
    task = run.poll()
    assert len(task.reply.messages) == 1
    task.complete_with_messages(task.accept(), task.respond(), start_timer())
    update.result()
    run.expect(FIRST_TASK_DONE, "WorkflowExecutionUpdateAccepted WorkflowExecutionUpdateCompleted TimerStarted")


def test_the_command_of_a_message_gives_its_place(idle: Run):
    update = idle.update("u1")
    task = idle.poll()
    task.complete_with_messages(start_timer("before"), task.accept(), start_timer("after"), task.respond())
    update.result()
    idle.expect(
        "… WorkflowTaskCompleted TimerStarted WorkflowExecutionUpdateAccepted TimerStarted "
        "WorkflowExecutionUpdateCompleted"
    )


def test_an_update_during_a_task_comes_with_the_next(idle: Run):
    idle.signal()
    task = idle.poll()
    update = idle.update("u1")
    time.sleep(0.3)
    task.complete()
    handle(idle)
    assert stage(update.result()) == "COMPLETED"


def test_several_updates_in_one_task(idle: Run):
    idle.signal()
    updates = [idle.update(f"u{n}") for n in range(3)]
    time.sleep(0.3)
    task = idle.poll()
    assert sorted(m.protocol_instance_id for m in task.reply.messages) == ["u0", "u1", "u2"]
    task.complete_with_messages(*[part for n in range(3) for part in (task.accept(n), task.respond(n, n))])
    assert {stage(update.result()) for update in updates} == {"COMPLETED"}


def test_a_speculative_task_that_nobody_takes_becomes_real(idle: Run):
    update = idle.update("u1", timeout=15)
    time.sleep(5.5)
    task = idle.poll()
    assert (
        task.names()
        == FIRST_TASK_DONE.split()
        + ("WorkflowTaskScheduled WorkflowTaskTimedOut WorkflowTaskScheduled WorkflowTaskStarted").split()
    )
    task.complete_with_messages(task.accept(), task.respond())
    assert stage(update.result()) == "COMPLETED"


# --- stages ------------------------------------------------------------------------------------------------------


def accept_only(run: Run) -> WorkflowTask:
    task = run.poll()
    task.complete_with_messages(task.accept())
    return task


def test_waiting_for_acceptance(idle: Run):
    update = idle.update("u1", "ACCEPTED")
    task = accept_only(idle)
    reply = update.result()
    assert stage(reply) == "ACCEPTED"
    assert not reply.HasField("outcome")
    polled = idle.poll_update("u1").result()
    assert (stage(polled), polled.HasField("outcome")) == ("ACCEPTED", False)
    waiting = idle.poll_update("u1", "COMPLETED")
    idle.signal()
    next_task = idle.poll()
    next_task.complete_with_messages(task.respond("later"))
    assert value(waiting.result().outcome.success) == "later"
    assert idle.event("WorkflowExecutionUpdateCompleted").accepted_event_id == 8


def test_an_update_that_fails(idle: Run):
    update = idle.update("u1")
    task = idle.poll()
    body = any_pb2.Any()
    body.Pack(Response(meta={"update_id": "u1"}, outcome=Outcome(failure={"message": "handler failed"})))
    failed = Message(id="u1/complete", protocol_instance_id="u1", body=body)
    task.complete_with_messages(task.accept(), failed)
    assert update.result().outcome.failure.message == "handler failed"
    assert idle.event("WorkflowExecutionUpdateCompleted").outcome.failure.message == "handler failed"


def test_polling_for_a_stage_not_reached_ends_at_the_deadline(idle: Run):
    update = idle.update("u1", "ACCEPTED")
    accept_only(idle)
    update.result()
    with past_its_deadline():
        idle.poll_update("u1", "COMPLETED", timeout=1).result()


def test_waiting_for_admission_is_refused(idle: Run):
    text = "UpdateWorkflowExecution issued asynchronously and waiting on update admitted is not supported."
    with refused("PERMISSION_DENIED", text, "PermissionDeniedFailure"):
        idle.update("u1", "ADMITTED").result()


def test_an_admitted_update_can_be_polled(idle: Run):
    update = idle.update("u1")
    time.sleep(0.3)
    assert stage(idle.poll_update("u1").result()) == "ADMITTED"
    handle(idle)
    update.result()


def test_an_update_without_worker_ends_at_the_deadline(run: Run):
    with past_its_deadline():
        run.update("u1", timeout=1).result()


# --- ids ---------------------------------------------------------------------------------------------------------


def test_the_same_id_is_the_same_update(idle: Run):
    first = idle.update("u1")
    time.sleep(0.2)
    second = idle.update("u1")
    handle(idle, result="once")
    assert value(first.result().outcome.success) == value(second.result().outcome.success) == "once"
    assert value(idle.update("u1").result().outcome.success) == "once"
    assert idle.names().count("WorkflowExecutionUpdateAccepted") == 1


def test_the_outcome_outlives_the_run(idle: Run):
    update = idle.update("u1")
    task = idle.poll()
    task.complete_with_messages(task.accept(), task.respond("kept"), complete_workflow())
    update.result()
    assert idle.status == "COMPLETED"
    assert value(idle.update("u1").result().outcome.success) == "kept"
    assert value(idle.poll_update("u1", "COMPLETED").result().outcome.success) == "kept"


def test_an_update_without_an_id_gets_one(idle: Run):
    update = idle.update("")
    task = idle.poll()
    task.complete_with_messages(task.accept(), task.respond())
    assert update.result().update_ref.update_id == task.reply.messages[0].protocol_instance_id != ""


def test_polling_for_an_unknown_update(idle: Run):
    with refused("NOT_FOUND", 'update "nope" not found', "NotFoundFailure"):
        idle.poll_update("nope").result()


# --- closing and failing -----------------------------------------------------------------------------------------


def test_an_update_of_a_closed_run(run: Run):
    run.complete_task(complete_workflow())
    with refused("NOT_FOUND", "workflow execution already completed", "NotFoundFailure"):
        run.update("u1").result()


def test_an_update_of_an_unknown_workflow(raw: Raw):
    with refused("NOT_FOUND", "workflow not found for ID: nope", "NotFoundFailure"):
        raw.run("nope").update("u1").result()


def test_the_close_aborts_an_update_that_was_not_accepted(idle: Run):
    update = idle.update("u1")
    time.sleep(0.2)
    idle.terminate()
    with refused("NOT_FOUND", "workflow update was aborted by closing workflow", "NotFoundFailure"):
        update.result()


def test_the_close_fails_an_update_that_was_accepted(idle: Run):
    update = idle.update("u1")
    accept_only(idle)
    idle.terminate()
    failure = update.result().outcome.failure
    assert failure.application_failure_info.type == "AcceptedUpdateCompletedWorkflow"
    assert failure.application_failure_info.non_retryable
    assert failure.source == "Server"
    assert failure.message == "Workflow Update failed because the Workflow completed before the Update completed."


def test_a_message_that_the_worker_ignores(idle: Run):
    update = idle.update("u1")
    idle.complete_task()
    failure = update.result().outcome.failure
    assert failure.application_failure_info.type == "UnprocessedUpdate"
    assert failure.source == "Server"


def test_a_close_does_not_wait_for_an_update_the_worker_has_not_seen(run: Run):
    task = run.poll()
    update = run.update("u1")
    time.sleep(0.3)
    task.complete(complete_workflow())
    assert run.status == "COMPLETED"
    with refused("NOT_FOUND", "workflow update was aborted by closing workflow", "NotFoundFailure"):
        update.result()


def test_an_update_waiting_at_continue_as_new_is_for_the_next_run(idle: Run):
    """The server carries it over, or tells the client to ask again, which every SDK does by itself."""
    workflow = idle.raw.run(idle.workflow_id)
    idle.signal()
    task = idle.poll()
    update = workflow.update("u1")
    time.sleep(0.3)
    task.complete(continue_as_new(idle.queue))
    task = idle.poll()
    assert task.reply.workflow_execution.run_id != idle.run_id
    if update.done():
        text = "workflow operation can not be applied because workflow is closing"
        with refused("RESOURCE_EXHAUSTED", text, "ResourceExhaustedFailure"):
            update.result()
        update = workflow.update("u1")
    if not task.reply.messages:
        task.complete()
        task = idle.poll()
    task.complete_with_messages(task.accept(), task.respond("in the new run"))
    reply = update.result()
    assert value(reply.outcome.success) == "in the new run"
    assert reply.update_ref.workflow_execution.run_id == task.reply.workflow_execution.run_id


def test_a_failing_task_refuses_new_updates(run: Run):
    for _ in range(3):
        run.poll().fail()
    text = "Unable to perform workflow execution update due to Workflow Task in failed state."
    with refused("FAILED_PRECONDITION", text, "WorkflowNotReadyFailure"):
        run.update("u1").result()


def test_a_task_that_fails_with_the_update_in_hand(idle: Run):
    update = idle.update("u1")
    idle.poll().fail()
    handle(idle, result="second try")
    assert value(update.result().outcome.success) == "second try"


def test_a_bad_completion_with_the_update_in_hand(idle: Run):
    update = idle.update("u1")
    with refused("INVALID_ARGUMENT"):
        idle.poll().complete(start_timer(""))
    text = "Unable to perform workflow execution update due to unexpected workflow task failure."
    with refused("FAILED_PRECONDITION", text, "WorkflowNotReadyFailure"):
        update.result()


def test_a_bad_message_fails_the_task(idle: Run):
    _waiting = idle.update("u1")
    task = idle.poll()
    bad = task.respond()
    with refused("INVALID_ARGUMENT", pattern="^BadUpdateWorkflowExecutionMessage: update other wasn't found"):
        task.complete(messages=[Message(id=bad.id, protocol_instance_id="other", body=bad.body)])
    assert cause_name(idle.event("WorkflowTaskFailed")) == "BAD_UPDATE_WORKFLOW_EXECUTION_MESSAGE"


def test_only_so_many_updates_at_once(idle: Run):
    waiting = [idle.update(f"u{n}", timeout=5) for n in range(10)]
    time.sleep(0.5)
    text = "limit on number of concurrent in-flight updates has been reached (10)"
    with refused("RESOURCE_EXHAUSTED", text, "ResourceExhaustedFailure"):
        idle.update("one-too-many").result()
    answered = 0
    while answered < 10:
        task = idle.poll()
        here = range(len(task.reply.messages))
        task.complete_with_messages(*[part for n in here for part in (task.accept(n), task.respond(n, n))])
        answered += len(here)
    assert {stage(update.result()) for update in waiting} == {"COMPLETED"}


def test_a_reset_of_the_worker_sees_the_update_again(idle: Run):
    """A worker that lost its cache gets accepted updates from history, with the event that holds the request."""
    update = idle.update("u1", "ACCEPTED")
    accept_only(idle)
    update.result()
    idle.signal()
    task = idle.poll()
    accepted = next(e for e in task.events if event_name(e) == "WorkflowExecutionUpdateAccepted")
    assert attributes(accepted).accepted_request.input.name == "u"
    assert not task.reply.messages


# --- update-with-start -------------------------------------------------------------------------------------------


def update_with_start(
    raw: Raw, workflow_id: str, queue: str, update_id: str = "u1", timeout: float = 10, stage="COMPLETED", **fields
):
    Operation = ExecuteMultiOperationRequest.Operation
    execution = {"workflow_id": workflow_id}
    start = {"namespace": "default", **start_fields(workflow_id, queue, **fields)}
    update = {"namespace": "default", "workflow_execution": execution, **update_fields(update_id, stage)}
    return raw.later(
        "ExecuteMultiOperation",
        timeout=timeout,
        operations=[
            Operation(start_workflow=StartWorkflowExecutionRequest(**start)),
            Operation(update_workflow=UpdateWorkflowExecutionRequest(**update)),
        ],
    )


def test_update_with_start_starts(raw: Raw, queue: str):
    workflow_id = new_id()
    call = update_with_start(raw, workflow_id, queue)
    task = raw.poll(queue)
    assert task and len(task.reply.messages) == 1
    task.complete_with_messages(task.accept(), task.respond("both"))
    start, update = call.result().responses
    assert start.start_workflow.started
    assert start.start_workflow.run_id == update.update_workflow.update_ref.workflow_execution.run_id
    assert value(update.update_workflow.outcome.success) == "both"


def test_update_with_start_uses_the_running_one(raw: Raw, idle: Run):
    conflict = "WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING"
    call = update_with_start(raw, idle.workflow_id, idle.queue, workflow_id_conflict_policy=conflict)
    handle(idle)
    start, update = call.result().responses
    assert not start.start_workflow.started
    assert start.start_workflow.run_id == idle.run_id
    assert stage(update.update_workflow) == "COMPLETED"


def test_update_with_start_refused_because_it_runs(raw: Raw, idle: Run):
    conflict = "WORKFLOW_ID_CONFLICT_POLICY_FAIL"
    text = "Update-with-Start could not be executed."
    with refused("ALREADY_EXISTS", text, "MultiOperationExecutionFailure") as refusal:
        update_with_start(raw, idle.workflow_id, idle.queue, workflow_id_conflict_policy=conflict).result()
    start, update = refusal.detail.statuses
    assert (start.code, update.code) == (6, 10)
    assert start.message.startswith("Workflow execution is already running.")
    assert update.message == "Operation was aborted."
    assert "MultiOperationExecutionAborted" in update.details[0].type_url


def test_update_with_start_finds_an_update_it_made(raw: Raw, idle: Run):
    update = idle.update("u1")
    handle(idle, result="first")
    update.result()
    conflict = "WORKFLOW_ID_CONFLICT_POLICY_FAIL"
    call = update_with_start(raw, idle.workflow_id, idle.queue, workflow_id_conflict_policy=conflict)
    start, update = call.result().responses
    assert not start.start_workflow.started
    assert value(update.update_workflow.outcome.success) == "first"


def test_update_with_start_of_an_update_that_was_lost_to_the_close(raw: Raw, idle: Run):
    accepted = idle.update("u1", "ACCEPTED")
    accept_only(idle)
    accepted.result()
    idle.terminate()
    call = update_with_start(raw, idle.workflow_id, idle.queue)
    task = raw.poll(idle.queue)
    task.complete_with_messages(task.accept(), task.respond("in another run"))
    start, update = call.result().responses
    assert start.start_workflow.started
    assert start.start_workflow.run_id != idle.run_id
    assert value(update.update_workflow.outcome.success) == "in another run"


def test_update_with_start_may_not_start_over_for_an_update_lost_to_the_close(raw: Raw, idle: Run):
    accepted = idle.update("u1", "ACCEPTED")
    accept_only(idle)
    accepted.result()
    idle.terminate()
    reuse = "WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE"
    text = "Update-with-Start could not be executed."
    with refused("ALREADY_EXISTS", text, "MultiOperationExecutionFailure"):
        update_with_start(raw, idle.workflow_id, idle.queue, workflow_id_reuse_policy=reuse).result()


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"cron_schedule": "* * * * *"}, "CronSchedule is not allowed."),
        ({"request_eager_execution": True}, "RequestEagerExecution is not supported."),
    ],
)
def test_update_with_start_with_what_it_cannot_do(raw: Raw, queue: str, fields: dict, text: str):
    with refused("INVALID_ARGUMENT", "Update-with-Start could not be executed.",
                 "MultiOperationExecutionFailure") as refusal:  # fmt: skip
        update_with_start(raw, new_id(), queue, **fields).result()
    assert refusal.detail.statuses[0].message == text


def test_update_with_start_needs_both_parts(raw: Raw):
    with refused("INVALID_ARGUMENT", "Operations have to be exactly [Start, Update]."):
        raw("ExecuteMultiOperation", operations=[])


def test_a_failed_workflow_close_answers_the_update(idle: Run):
    update = idle.update("u1")
    task = idle.poll()
    task.complete_with_messages(task.accept(), fail_workflow())
    assert update.result().outcome.failure.application_failure_info.type == "AcceptedUpdateCompletedWorkflow"
