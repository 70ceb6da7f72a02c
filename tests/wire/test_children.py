"""Children, signals and cancels between workflows, continue-as-new."""

from __future__ import annotations

import time

import pytest
from raw import (
    Raw,
    Run,
    attributes,
    cancel_external,
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    event_name,
    fail_workflow,
    memo,
    new_id,
    payloads,
    search_attributes,
    secs,
    signal_external,
    start_child,
    start_timer,
    value,
)

POLICY = "PARENT_CLOSE_POLICY_"


class Family:
    """A parent whose child has been started; parent and child have queues of their own."""

    def __init__(self, raw: Raw, **fields) -> None:
        self.raw, self.parent, self.child_id = raw, raw.start(), new_id("child")
        self.child_queue = new_id("q")
        self.parent.complete_task(start_child(self.child_id, self.child_queue, **fields))
        self.begun = self.parent.poll()
        self.child = raw.run(self.child_id, queue=self.child_queue)
        if "ChildWorkflowExecutionStarted" in self.begun.names():
            self.child.run_id = self.parent.event("ChildWorkflowExecutionStarted").workflow_execution.run_id


@pytest.fixture
def family(raw: Raw) -> Family:
    return Family(raw)


# --- children ----------------------------------------------------------------------------------------------------


def test_the_events_of_a_child(raw: Raw):
    family = Family(raw, input=payloads("in"), memo=memo(m=1), control="c")
    family.parent.expect(
        "… WorkflowTaskCompleted StartChildWorkflowExecutionInitiated ChildWorkflowExecutionStarted",
        "WorkflowTaskScheduled WorkflowTaskStarted",
    )
    initiated = family.parent.event("StartChildWorkflowExecutionInitiated")
    assert (initiated.workflow_id, initiated.workflow_type.name, initiated.namespace) == (
        family.child_id, "C", "default",
    )  # fmt: skip
    assert initiated.parent_close_policy == 1  # terminate is the default
    assert initiated.workflow_id_reuse_policy == 1
    assert initiated.workflow_task_timeout.ToTimedelta() == secs(10)
    assert initiated.workflow_task_completed_event_id == 4
    started = family.parent.event("ChildWorkflowExecutionStarted")
    assert (started.initiated_event_id, started.workflow_type.name) == (5, "C")

    parent = family.child.event("WorkflowExecutionStarted")
    assert (parent.parent_workflow_execution.workflow_id, parent.parent_workflow_execution.run_id) == (
        family.parent.workflow_id, family.parent.run_id,
    )  # fmt: skip
    assert parent.parent_initiated_event_id == 5
    assert parent.parent_workflow_namespace == "default"
    assert parent.root_workflow_execution.workflow_id == family.parent.workflow_id
    assert value(parent.input) == "in"
    info = family.child.describe_info()
    assert info.parent_execution.workflow_id == family.parent.workflow_id
    assert info.root_execution.workflow_id == family.parent.workflow_id
    family.begun.complete()


def test_describe_shows_pending_children(family: Family):
    (pending,) = family.parent.describe().pending_children
    assert (pending.workflow_id, pending.run_id) == (family.child_id, family.child.run_id)
    assert (pending.initiated_id, pending.workflow_type_name, pending.parent_close_policy) == (5, "C", 1)


@pytest.mark.parametrize(
    ("closing", "event"),
    [
        (complete_workflow("out"), "ChildWorkflowExecutionCompleted"),
        (fail_workflow("bad"), "ChildWorkflowExecutionFailed"),
        (cancel_workflow(), "ChildWorkflowExecutionCanceled"),
    ],
    ids=["complete", "fail", "cancel"],
)
def test_the_parent_learns_how_its_child_ended(family: Family, closing, event: str):
    family.begun.complete()
    family.child.complete_task(closing)
    task = family.parent.poll()
    assert task.names()[-3:] == [event, "WorkflowTaskScheduled", "WorkflowTaskStarted"]
    ended = family.parent.event(event)
    assert (ended.initiated_event_id, ended.started_event_id) == (5, 6)
    assert ended.workflow_execution.run_id == family.child.run_id
    if event.endswith("Completed"):
        assert value(ended.result) == "out"
    if event.endswith("Failed"):
        assert ended.failure.message == "bad"
        assert ended.retry_state == 5
    assert not family.parent.describe().pending_children


def test_the_parent_learns_of_a_termination(family: Family):
    family.begun.complete()
    family.child.terminate()
    assert "ChildWorkflowExecutionTerminated" in family.parent.poll().names()


def test_the_parent_learns_of_a_timeout(raw: Raw):
    family = Family(raw, workflow_run_timeout=1)
    family.begun.complete()
    assert "ChildWorkflowExecutionTimedOut" in family.parent.poll().names()
    assert family.parent.event("ChildWorkflowExecutionTimedOut").retry_state == 5


def test_a_child_id_that_is_taken(raw: Raw):
    other = raw.start()
    parent = raw.start()
    parent.complete_task(start_child(other.workflow_id, parent.queue))
    assert "StartChildWorkflowExecutionFailed" in parent.poll().names()
    failed = parent.event("StartChildWorkflowExecutionFailed")
    assert failed.cause == 1  # workflow already exists
    assert (failed.initiated_event_id, failed.workflow_id) == (5, other.workflow_id)


def test_a_child_is_retried_by_its_own_policy(raw: Raw):
    family = Family(raw, retry_policy={"initial_interval": secs(0.1), "maximum_attempts": 2})
    family.begun.complete()
    for _ in range(2):
        family.child.complete_task(fail_workflow("again"))
    family.parent.poll()
    assert family.parent.names().count("ChildWorkflowExecutionFailed") == 1
    assert family.parent.event("ChildWorkflowExecutionFailed").retry_state == 4


def test_a_child_that_continues_as_new_is_one_child(family: Family):
    family.begun.complete()
    family.child.complete_task(continue_as_new(family.child_queue))
    family.child.complete_task(complete_workflow("second run"))
    family.parent.poll()
    completed = family.parent.event("ChildWorkflowExecutionCompleted")
    assert value(completed.result) == "second run"
    assert family.parent.names().count("ChildWorkflowExecutionStarted") == 1


@pytest.mark.parametrize(
    ("policy", "status"), [("TERMINATE", "TERMINATED"), ("REQUEST_CANCEL", "RUNNING"), ("ABANDON", "RUNNING")]
)
@pytest.mark.parametrize("end", ["complete", "terminate"])
def test_parent_close_policies(raw: Raw, eventually, policy: str, status: str, end: str):
    family = Family(raw, parent_close_policy=POLICY + policy)
    family.begun.complete(*([complete_workflow()] if end == "complete" else []))
    if end == "terminate":
        family.parent.terminate()
    if policy == "TERMINATE":
        eventually(lambda: family.child.status == status)
        assert family.child.event("WorkflowExecutionTerminated").reason == "by parent close policy"
    elif policy == "REQUEST_CANCEL":
        eventually(lambda: "WorkflowExecutionCancelRequested" in family.child.names())
    else:
        time.sleep(0.5)
        family.child.expect("WorkflowExecutionStarted WorkflowTaskScheduled")
    assert family.child.status == status


def test_many_children_are_ended_too(raw: Raw, eventually):
    parent = raw.start()
    children = [new_id("child") for _ in range(15)]
    parent.complete_task(*[start_child(child, new_id("q")) for child in children])
    eventually(lambda: parent.names().count("ChildWorkflowExecutionStarted") == 15)
    parent.terminate()
    eventually(lambda: all(raw.run(child).status == "TERMINATED" for child in children), seconds=15)


def test_a_parent_that_continues_as_new_closes_its_children(family: Family, eventually):
    family.begun.complete(continue_as_new(family.parent.queue))
    eventually(lambda: family.child.status == "TERMINATED")


# --- signals and cancels to other workflows ----------------------------------------------------------------------


def test_a_signal_to_another_workflow(raw: Raw, run: Run):
    target = raw.start()
    run.complete_task(signal_external(target.workflow_id, name="hi", input=payloads("x"), control="c"))
    assert "ExternalWorkflowExecutionSignaled" in run.poll().names()
    run.expect(
        "… SignalExternalWorkflowExecutionInitiated ExternalWorkflowExecutionSignaled",
        "WorkflowTaskScheduled WorkflowTaskStarted",
    )
    initiated, signaled = (
        run.event("SignalExternalWorkflowExecutionInitiated"),
        target.event("WorkflowExecutionSignaled"),
    )
    assert (initiated.signal_name, initiated.workflow_execution.workflow_id) == ("hi", target.workflow_id)
    assert (signaled.signal_name, value(signaled.input)) == ("hi", "x")
    assert signaled.external_workflow_execution.workflow_id == run.workflow_id
    assert run.event("ExternalWorkflowExecutionSignaled").initiated_event_id == 5


def test_a_signal_to_nobody_fails(run: Run):
    run.complete_task(signal_external(new_id()))
    run.poll()
    failed = run.event("SignalExternalWorkflowExecutionFailed")
    assert (failed.cause, failed.initiated_event_id) == (1, 5)  # external workflow not found


def test_a_signal_to_a_child(family: Family):
    family.begun.complete(signal_external(family.child_id, child_workflow_only=True))
    assert "ExternalWorkflowExecutionSignaled" in family.parent.poll().names()
    assert family.child.event("WorkflowExecutionSignaled").signal_name == "s"


def test_a_signal_to_itself_is_refused(run: Run):
    run.complete_task(signal_external(run.workflow_id))
    run.poll()
    assert "SignalExternalWorkflowExecutionFailed" in run.names()


def test_a_cancel_of_another_workflow(raw: Raw, run: Run):
    target = raw.start()
    run.complete_task(cancel_external(target.workflow_id, reason="tired"))
    run.poll()
    run.expect(
        "… RequestCancelExternalWorkflowExecutionInitiated ExternalWorkflowExecutionCancelRequested",
        "WorkflowTaskScheduled WorkflowTaskStarted",
    )
    requested = target.event("WorkflowExecutionCancelRequested")
    assert requested.external_workflow_execution.workflow_id == run.workflow_id
    assert requested.external_initiated_event_id == 5
    assert requested.cause == "tired"
    assert run.event("ExternalWorkflowExecutionCancelRequested").initiated_event_id == 5


def test_a_cancel_of_nobody_fails(run: Run):
    run.complete_task(cancel_external(new_id()))
    run.poll()
    failed = run.event("RequestCancelExternalWorkflowExecutionFailed")
    assert (failed.cause, failed.initiated_event_id) == (1, 5)


def test_a_cancel_of_a_child(family: Family):
    family.begun.complete(cancel_external(family.child_id, child_workflow_only=True))
    family.parent.complete_task()
    family.child.complete_task(cancel_workflow())
    assert "ChildWorkflowExecutionCanceled" in family.parent.poll().names()


# --- continue-as-new ---------------------------------------------------------------------------------------------


def test_continue_as_new_starts_the_next_run(raw: Raw, custom_attributes: dict):
    run = raw.start(memo=memo(m=1), search_attributes=search_attributes(WireInt=("Int", 1)))
    run.complete_task(
        continue_as_new(
            run.queue, input=payloads("next"), memo=memo(m=2), search_attributes=search_attributes(WireInt=("Int", 2))
        )
    )
    assert run.status == "CONTINUED_AS_NEW"
    closing = run.event("WorkflowExecutionContinuedAsNew")
    assert value(closing.input) == "next"
    new = run.latest
    assert closing.new_execution_run_id == new.run_id != run.run_id
    started = new.event("WorkflowExecutionStarted")
    assert started.continued_execution_run_id == run.run_id
    assert started.first_execution_run_id == run.run_id
    assert started.original_execution_run_id == new.run_id
    assert (started.initiator, started.attempt) == (1, 1)
    assert value(started.input) == "next"
    assert new.describe_info().first_run_id == run.run_id
    assert value(new.describe_info().memo.fields["m"]) == 2
    assert value(new.describe_info().search_attributes.indexed_fields["WireInt"]) == 2


def test_continue_as_new_keeps_what_it_does_not_name(raw: Raw):
    run = raw.start(workflow_run_timeout=secs(50), workflow_task_timeout=secs(7))
    run.complete_task(continue_as_new(run.queue, workflow_type=None, task_queue=None))
    started = run.latest.event("WorkflowExecutionStarted")
    assert (started.workflow_type.name, started.task_queue.name) == ("T", run.queue)
    assert started.workflow_run_timeout.ToTimedelta() == secs(50)
    assert started.workflow_task_timeout.ToTimedelta() == secs(7)


def test_continue_as_new_with_a_delay(run: Run):
    run.complete_task(continue_as_new(run.queue, backoff_start_interval=1.5))
    new = run.latest
    assert new.event("WorkflowExecutionStarted").first_workflow_task_backoff.ToTimedelta() == secs(1.5)
    new.expect("WorkflowExecutionStarted")
    assert new.poll().names()[:2] == ["WorkflowExecutionStarted", "WorkflowTaskScheduled"]


def test_continue_as_new_moves_to_another_type_and_queue(run: Run):
    other = new_id("q")
    run.complete_task(continue_as_new(other, workflow_type={"name": "U"}))
    task = run.raw.poll(other)
    assert task and task.reply.workflow_type.name == "U"


def test_a_timer_does_not_follow_to_the_next_run(run: Run):
    run.complete_task(start_timer("t", 0.5), continue_as_new(run.queue))
    new = run.latest
    new.complete_task()
    time.sleep(1)
    assert "TimerFired" not in new.names()


def test_clients_are_led_along_the_chain(run: Run):
    run.complete_task(continue_as_new(run.queue))
    last = run.wait_closed()
    assert event_name(last) == "WorkflowExecutionContinuedAsNew"
    next_run = run.raw.run(run.workflow_id, attributes(last).new_execution_run_id, run.queue)
    next_run.complete_task(complete_workflow("end"))
    assert value(next_run.closing_event().result) == "end"
