"""Reading history: pages, long polls, the closing event, reverse; and what describe says of a run."""

from __future__ import annotations

import threading
import time
import uuid

from raw import (
    SHORT_POLL,
    Raw,
    Run,
    cancel_external,
    complete_workflow,
    event_name,
    memo,
    new_id,
    refused,
    schedule_activity,
    signal_external,
    start_child,
    start_timer,
)

CLOSE = "HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT"


def read(run: Run, timeout: float = 10, **fields):
    return run.raw("GetWorkflowExecutionHistory", execution=run.ref, timeout=timeout, **fields)


# --- pages -------------------------------------------------------------------------------------------------------


def test_event_ids_are_dense_and_times_do_not_go_back(run: Run):
    run.complete_task(start_timer(), complete_workflow())
    events = run.history()
    assert [event.event_id for event in events] == list(range(1, 7))
    assert all(a.event_time.ToNanoseconds() <= b.event_time.ToNanoseconds() for a, b in zip(events, events[1:]))
    assert all(event.task_id for event in events)


def test_pages(run: Run):
    """The size of a page counts what was written together, so a page may hold a few events more."""
    for _ in range(20):
        run.signal()
    ids, token, pages = [], b"", 0
    while True:
        page = read(run, maximum_page_size=4, next_page_token=token)
        assert len(page.history.events) <= 5
        ids += [event.event_id for event in page.history.events]
        token, pages = page.next_page_token, pages + 1
        if not token:
            break
    assert ids == list(range(1, 23))
    assert pages >= 5


def test_a_page_holds_at_most_256_events(run: Run):
    for _ in range(300):
        run.signal()
    page = read(run, maximum_page_size=1000)
    read_so_far = len(page.history.events)
    assert read_so_far in (256, 257)  # the first two events were written together
    rest = read(run, maximum_page_size=1000, next_page_token=page.next_page_token)
    assert [e.event_id for e in rest.history.events] == list(range(read_so_far + 1, 303))
    assert not rest.next_page_token


def test_a_read_without_run_id_is_of_the_current_run(raw: Raw, run: Run):
    run.complete_task(complete_workflow())
    new = raw.start(workflow_id=run.workflow_id)
    assert len(raw.run(run.workflow_id).history()) == 2
    new.terminate()


def test_reads_that_are_refused(raw: Raw, run: Run):
    with refused("NOT_FOUND", "workflow not found for ID: nope", "NotFoundFailure"):
        raw.run("nope").history()
    with refused("INVALID_ARGUMENT", "Execution is not set on request."):
        raw("GetWorkflowExecutionHistory")
    with refused("INVALID_ARGUMENT", "WorkflowId is not set on request."):
        raw.run("").history()
    with refused("INVALID_ARGUMENT", "Invalid RunId."):
        raw.run(run.workflow_id, "x").history()
    with refused("INVALID_ARGUMENT", "Invalid NextPageToken."):
        read(run, next_page_token=b"garbage")
    with refused("NOT_FOUND", detail="NotFoundFailure"):
        raw.run(run.workflow_id, str(uuid.uuid4())).history()


def test_a_token_of_another_run_is_refused(raw: Raw, run: Run):
    run.complete_task(start_timer())
    token = read(run, maximum_page_size=1).next_page_token
    assert token
    other = raw.start()
    with refused("INVALID_ARGUMENT"):
        read(other, next_page_token=token)


# --- long polls --------------------------------------------------------------------------------------------------


def after(seconds: float, action) -> None:
    threading.Timer(seconds, action).start()


def test_a_long_poll_brings_new_events(run: Run):
    page = read(run, wait_new_event=True)
    assert len(page.history.events) == 2 and page.next_page_token
    after(0.5, run.signal)
    began = time.monotonic()
    page = read(run, wait_new_event=True, next_page_token=page.next_page_token)
    assert [event_name(event) for event in page.history.events] == ["WorkflowExecutionSignaled"]
    assert time.monotonic() - began > 0.3
    assert page.next_page_token


def test_a_long_poll_of_a_closed_run_ends(run: Run):
    run.complete_task(complete_workflow())
    page = read(run, wait_new_event=True)
    assert len(page.history.events) == 5
    assert not page.next_page_token


def test_a_long_poll_waits_for_the_close(run: Run):
    after(0.5, run.terminate)
    page = read(run, wait_new_event=True, history_event_filter_type=CLOSE)
    assert [event_name(event) for event in page.history.events] == ["WorkflowExecutionTerminated"]
    assert not page.next_page_token


def test_the_close_filter_gives_the_last_event_of_a_closed_run(run: Run):
    run.complete_task(start_timer(), complete_workflow())
    page = read(run, history_event_filter_type=CLOSE)
    assert [event_name(event) for event in page.history.events] == ["WorkflowExecutionCompleted"]
    assert not page.next_page_token


def test_the_close_filter_gives_nothing_of_an_open_run(run: Run):
    page = read(run, timeout=SHORT_POLL, history_event_filter_type=CLOSE)
    assert not page.history.events and not page.next_page_token


def test_a_long_poll_that_brings_nothing_leaves_the_run_as_it_was(run: Run):
    token = read(run, wait_new_event=True).next_page_token
    page = read(run, timeout=SHORT_POLL, wait_new_event=True, next_page_token=token)
    assert not page.history.events
    token = page.next_page_token
    assert token
    run.signal()
    page = read(run, wait_new_event=True, next_page_token=token)
    assert [event_name(event) for event in page.history.events] == ["WorkflowExecutionSignaled"]


def test_a_long_poll_without_run_id_stays_with_its_run(raw: Raw, run: Run):
    workflow = raw.run(run.workflow_id)
    token = read(workflow, wait_new_event=True).next_page_token
    run.terminate()
    raw.start(workflow_id=run.workflow_id)
    page = read(workflow, wait_new_event=True, next_page_token=token)
    assert [event_name(event) for event in page.history.events] == ["WorkflowExecutionTerminated"]


# --- reverse -----------------------------------------------------------------------------------------------------


def test_reverse_is_the_same_backwards(run: Run):
    run.complete_task(start_timer(), complete_workflow())
    events, token = [], b""
    while True:
        page = run.raw(
            "GetWorkflowExecutionHistoryReverse", execution=run.ref, maximum_page_size=3, next_page_token=token
        )
        events += page.history.events
        token = page.next_page_token
        if not token:
            break
    assert events == list(reversed(run.history()))


def test_reverse_of_nobody(raw: Raw):
    with refused("NOT_FOUND", "workflow not found for ID: nope", "NotFoundFailure"):
        raw("GetWorkflowExecutionHistoryReverse", execution={"workflow_id": "nope"})


# --- describe ----------------------------------------------------------------------------------------------------


def test_describe_of_an_open_run(raw: Raw):
    run = raw.start(memo=memo(m=1))
    description = run.describe()
    info, config = description.workflow_execution_info, description.execution_config
    assert (config.task_queue.name, config.task_queue.kind) == (run.queue, 1)
    assert config.default_workflow_task_timeout.ToSeconds() == 10
    assert (info.execution.workflow_id, info.execution.run_id) == (run.workflow_id, run.run_id)
    assert (info.type.name, info.task_queue, info.history_length) == ("T", run.queue, 2)
    assert info.start_time == info.execution_time
    assert not info.HasField("close_time")
    assert info.history_size_bytes > 0 and info.state_transition_count >= 1
    assert info.root_execution.run_id == info.first_run_id == run.run_id


def test_describe_of_a_closed_run(run: Run):
    run.complete_task(complete_workflow())
    info = run.describe_info()
    assert (info.status, info.history_length) == (2, 5)
    assert info.close_time.ToNanoseconds() >= info.start_time.ToNanoseconds()
    duration = info.close_time.ToNanoseconds() - info.execution_time.ToNanoseconds()
    assert abs(info.execution_duration.ToNanoseconds() - duration) < 1_000_000


def test_describe_shows_all_that_is_pending(raw: Raw, run: Run):
    run.complete_task(
        schedule_activity(new_id("q"), "a1"),
        schedule_activity(new_id("q"), "a2"),
        start_child(new_id(), new_id("q")),
        signal_external(new_id()),
        cancel_external(new_id()),
    )
    run.poll()
    description = run.describe()
    assert {item.activity_id for item in description.pending_activities} == {"a1", "a2"}
    assert len(description.pending_children) == 1
    assert description.pending_workflow_task.state == 2


def test_describe_of_nobody(raw: Raw, run: Run):
    with refused("NOT_FOUND", "workflow not found for ID: nope", "NotFoundFailure"):
        raw.run("nope").describe()
    missing = str(uuid.uuid4())
    text = f'workflow execution not found for workflow ID "{run.workflow_id}" and run ID "{missing}"'
    with refused("NOT_FOUND", text, "NotFoundFailure"):
        raw.run(run.workflow_id, missing).describe()
    with refused("INVALID_ARGUMENT", "Invalid RunId."):
        raw.run(run.workflow_id, "x").describe()


def test_describe_keeps_count_of_transitions_and_bytes(run: Run):
    before = run.describe_info()
    run.signal()
    after_signal = run.describe_info()
    assert after_signal.history_length == before.history_length + 1
    assert after_signal.history_size_bytes > before.history_size_bytes
    assert after_signal.state_transition_count > before.state_transition_count


def test_task_queues_show_their_pollers(raw: Raw, run: Run):
    run.complete_task()
    reply = raw("DescribeTaskQueue", task_queue={"name": run.queue}, task_queue_type="TASK_QUEUE_TYPE_WORKFLOW")
    assert [poller.identity for poller in reply.pollers] == ["wire-test"]
    assert reply.pollers[0].HasField("last_access_time")
    reply = raw("DescribeTaskQueue", task_queue={"name": run.queue}, task_queue_type="TASK_QUEUE_TYPE_ACTIVITY")
    assert not reply.pollers
