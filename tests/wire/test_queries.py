"""Queries: direct and attached, on open and closed runs, refused, failing, rejected."""

from __future__ import annotations

import time

import grpc
import pytest
from raw import (
    SHORT_POLL,
    Raw,
    Run,
    complete_workflow,
    fail_workflow,
    new_id,
    past_its_deadline,
    payloads,
    refused,
    start_timer,
    value,
)
from temporalio.api.query.v1 import WorkflowQueryResult

# ResourceExhaustedCause and ResourceExhaustedScope
BUSY_WORKFLOW, NAMESPACE = 5, 1

REJECT = "QUERY_REJECT_CONDITION_"


def attached(result: str) -> dict:
    return {"result_type": "QUERY_RESULT_TYPE_ANSWERED", "answer": payloads(result)}


def answers(task, make=attached) -> dict:
    """Answers for all queries that came with a workflow task: their type."""
    return {key: WorkflowQueryResult(**make(q.query_type)) for key, q in task.reply.queries.items()}


@pytest.fixture
def idle(run: Run) -> Run:
    """A run that has completed its first task and waits."""
    run.complete_task(start_timer(seconds=600))
    return run


# --- direct ------------------------------------------------------------------------------------------------------


def test_an_idle_run_is_queried_directly(idle: Run):
    before = idle.names()
    query = idle.query("state")
    task = idle.poll()
    assert task.reply.query.query_type == "state"
    assert not task.reply.queries
    assert task.names() == before
    assert task.reply.started_event_id == 0
    assert task.reply.previous_started_event_id == 3
    task.answer_query("answer")
    assert value(query.result().query_result) == "answer"
    assert idle.names() == before


def test_the_arguments_of_a_query_arrive(idle: Run):
    query = idle.raw.later(
        "QueryWorkflow",
        execution=idle.ref,
        query={
            "query_type": "q",
            "query_args": payloads(1, 2),
            "header": {"fields": {"h": payloads("x").payloads[0]}},
        },
    )
    task = idle.poll()
    assert [value(arg) for arg in task.reply.query.query_args.payloads] == [1, 2]
    assert value(task.reply.query.header.fields["h"]) == "x"
    task.answer_query("ok")
    query.result()


def test_a_query_goes_to_the_sticky_queue_without_history(raw: Raw, run: Run):
    sticky = new_id("sticky")
    run.complete_task(start_timer(), sticky=sticky)
    poll = raw.poll_sticky(sticky, run.queue)
    query = run.query()
    task = poll()
    assert task and task.reply.query.query_type == "q"
    assert not task.events
    assert task.reply.workflow_execution_task_queue.name == run.queue
    task.answer_query("sticky")
    assert value(query.result().query_result) == "sticky"


def test_a_query_falls_back_from_a_sticky_queue_without_poller(raw: Raw, run: Run):
    run.complete_task(start_timer(), sticky=new_id("sticky"))
    query = run.query()
    task = run.poll()
    assert task.reply.query.query_type == "q"
    assert task.events
    task.answer_query("normal")
    assert value(query.result().query_result) == "normal"


def test_a_query_that_fails(idle: Run):
    query = idle.query()
    idle.poll().answer_query(
        completed_type="QUERY_RESULT_TYPE_FAILED", error_message="no such query", failure={"message": "no such query"}
    )
    with refused("INVALID_ARGUMENT", "no such query", "QueryFailedFailure") as refusal:
        query.result()
    assert refusal.detail.failure.message == "no such query"


def test_several_direct_queries_at_once(idle: Run):
    queries = {name: idle.query(name) for name in ("one", "two", "three")}
    for _ in queries:
        task = idle.poll()
        task.answer_query(task.reply.query.query_type)
    assert {name: value(query.result().query_result) for name, query in queries.items()} == {n: n for n in queries}


def test_a_query_nobody_waits_for(idle: Run):
    query = idle.query(timeout=1)
    task = idle.poll()
    with past_its_deadline():
        query.result()
    time.sleep(0.5)
    with refused("NOT_FOUND", "query task not found, or already expired", "NotFoundFailure"):
        task.answer_query("late")


def test_a_query_token_is_no_workflow_task_token(idle: Run):
    query = idle.query()
    task = idle.poll()
    with pytest.raises(grpc.RpcError):
        task.complete(complete_workflow())
    task.answer_query("fine")
    assert value(query.result().query_result) == "fine"


# --- attached ----------------------------------------------------------------------------------------------------


def test_a_query_behind_a_started_task_rides_on_the_next_one(idle: Run):
    idle.signal()
    task = idle.poll()
    query = idle.query("state")
    time.sleep(0.3)
    task.complete(force_create_new_workflow_task=True)
    task = idle.poll()
    assert [q.query_type for q in task.reply.queries.values()] == ["state"]
    assert not task.reply.HasField("query")
    task.complete(query_results=answers(task))
    assert value(query.result().query_result) == "state"


def test_a_query_of_a_run_with_a_waiting_task_rides_on_it(idle: Run):
    idle.signal()
    query = idle.query("state")
    time.sleep(0.3)
    task = idle.poll()
    assert [q.query_type for q in task.reply.queries.values()] == ["state"]
    task.complete(query_results=answers(task))
    assert value(query.result().query_result) == "state"


def test_an_attached_query_that_fails(idle: Run):
    idle.signal()
    query = idle.query()
    time.sleep(0.3)
    task = idle.poll()
    task.complete(
        query_results=answers(task, lambda _: {"result_type": "QUERY_RESULT_TYPE_FAILED", "error_message": "nope"})
    )
    with refused("INVALID_ARGUMENT", "nope", "QueryFailedFailure"):
        query.result()


def test_a_query_left_unanswered_is_asked_directly(idle: Run):
    idle.signal()
    query = idle.query()
    time.sleep(0.3)
    task = idle.poll()
    assert task.reply.queries
    task.complete()
    task = idle.poll()
    assert task.reply.query.query_type == "q"
    task.answer_query("second try")
    assert value(query.result().query_result) == "second try"


def test_an_attached_query_of_a_failed_task_is_asked_again(idle: Run):
    idle.signal()
    query = idle.query()
    time.sleep(0.3)
    idle.poll().fail()
    task = idle.poll()
    assert len(task.reply.queries) == 1
    task.complete(query_results=answers(task))
    assert value(query.result().query_result) == "q"


def test_only_so_many_queries_wait_for_a_task(idle: Run):
    idle.signal()
    first = idle.query("first", timeout=5)
    time.sleep(0.3)
    text = (
        "consistent query buffer is full, this may be caused by too many queries and workflow not able to process "
        "query fast enough"
    )
    with refused("RESOURCE_EXHAUSTED", text, "ResourceExhaustedFailure") as refusal:
        idle.query("second", timeout=5).result()
    assert (refusal.detail.cause, refusal.detail.scope) == (BUSY_WORKFLOW, NAMESPACE)
    task = idle.poll()
    task.complete(query_results=answers(task))
    first.result()


def test_a_query_answered_by_the_closing_task(idle: Run):
    idle.signal()
    query = idle.query("last")
    time.sleep(0.3)
    task = idle.poll()
    task.complete(complete_workflow(), query_results=answers(task))
    assert value(query.result().query_result) == "last"


# --- before the first task ---------------------------------------------------------------------------------------


def test_a_query_waits_for_the_first_task(run: Run):
    query = run.query()
    time.sleep(0.3)
    run.complete_task(start_timer())
    task = run.poll()
    assert task.reply.query.query_type == "q"
    task.answer_query("begun")
    assert value(query.result().query_result) == "begun"


def test_a_query_without_any_worker_runs_into_its_deadline(run: Run):
    with past_its_deadline():
        run.query(timeout=1).result()


# --- closed runs -------------------------------------------------------------------------------------------------


def test_a_closed_run_answers_from_its_whole_history(run: Run):
    run.complete_task(complete_workflow())
    query = run.query()
    task = run.poll()
    assert task.names() == run.names()
    task.answer_query("past")
    assert value(query.result().query_result) == "past"


@pytest.mark.parametrize(
    ("condition", "close", "rejected"),
    [
        ("NONE", None, False),
        ("NOT_OPEN", None, False),
        ("NOT_OPEN", complete_workflow(), True),
        ("NOT_OPEN", fail_workflow(), True),
        ("NOT_COMPLETED_CLEANLY", None, False),
        ("NOT_COMPLETED_CLEANLY", complete_workflow(), False),
        ("NOT_COMPLETED_CLEANLY", fail_workflow(), True),
    ],
)
def test_reject_conditions(run: Run, condition: str, close, rejected: bool):
    run.complete_task(*([close] if close else []))
    query = run.query(query_reject_condition=REJECT + condition)
    if rejected:
        reply = query.result()
        assert reply.HasField("query_rejected")
        assert reply.query_rejected.status == run.describe_info().status
    else:
        run.poll().answer_query("answered")
        assert value(query.result().query_result) == "answered"


def test_a_closed_run_that_never_ran_cannot_answer(run: Run):
    run.terminate()
    text = "Workflow execution closed before WorkflowTaskStarted event"
    with refused("FAILED_PRECONDITION", text, "WorkflowNotReadyFailure"):
        run.query().result()


# --- refusals ----------------------------------------------------------------------------------------------------


def test_an_unknown_workflow(raw: Raw):
    with refused("NOT_FOUND", "workflow not found for ID: nope", "NotFoundFailure"):
        raw.run("nope").query().result()


def test_a_query_needs_a_query(idle: Run):
    with refused("INVALID_ARGUMENT", "WorkflowQuery is not set on request."):
        idle.raw("QueryWorkflow", execution=idle.ref)


def test_a_run_whose_task_keeps_failing_cannot_answer(run: Run):
    for _ in range(3):
        run.poll().fail()
    text = "Unable to query workflow due to Workflow Task in failed state."
    with refused("FAILED_PRECONDITION", text, "WorkflowNotReadyFailure"):
        run.query().result()


@pytest.mark.parametrize("token", [b"", b"garbage"])
def test_a_query_token_that_is_none(raw: Raw, token: bytes):
    text = "Error deserializing task token." if token else "Task token not set on request."
    with refused("INVALID_ARGUMENT", text):
        raw("RespondQueryTaskCompleted", task_token=token)


def test_a_query_makes_no_task_for_anybody_else(idle: Run):
    query = idle.query()
    idle.poll().answer_query("once")
    query.result()
    assert idle.raw.poll(idle.queue, SHORT_POLL) is None
