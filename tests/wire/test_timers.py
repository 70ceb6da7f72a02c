"""Timers, markers, and what a workflow says of itself: memo and search attributes."""

from __future__ import annotations

import time

from raw import (
    SHORT_POLL,
    Raw,
    Run,
    cancel_timer,
    command,
    complete_workflow,
    memo,
    null_payload,
    payloads,
    record_marker,
    search_attributes,
    secs,
    start_timer,
    upsert_memo,
    upsert_search_attributes,
    value,
)

FIRST_TASK_DONE = "WorkflowExecutionStarted WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted"


# --- timers ------------------------------------------------------------------------------------------------------


def test_a_timer_fires(run: Run):
    run.complete_task(start_timer("t", 0.5))
    began = time.monotonic()
    task = run.poll()
    assert 0.3 < time.monotonic() - began < 3
    run.expect(FIRST_TASK_DONE, "TimerStarted TimerFired WorkflowTaskScheduled WorkflowTaskStarted")
    started, fired = run.event("TimerStarted"), run.event("TimerFired")
    assert (started.timer_id, started.workflow_task_completed_event_id) == ("t", 4)
    assert started.start_to_fire_timeout.ToTimedelta() == secs(0.5)
    assert (fired.timer_id, fired.started_event_id) == ("t", 5)
    task.complete()


def test_a_cancelled_timer_never_fires(run: Run):
    run.complete_task(start_timer("t", 1))
    run.signal()
    run.complete_task(cancel_timer("t"))
    run.expect("… WorkflowTaskCompleted TimerCanceled")
    canceled = run.event("TimerCanceled")
    assert (canceled.timer_id, canceled.started_event_id, canceled.identity) == ("t", 5, "wire-test")
    assert run.raw.poll(run.queue, SHORT_POLL) is None
    assert "TimerFired" not in run.names()


def test_a_timer_that_fired_behind_a_task_can_still_be_cancelled(run: Run):
    run.complete_task(start_timer("t", 0.5), force_create_new_workflow_task=True)
    task = run.poll()
    time.sleep(1)
    task.complete(cancel_timer("t"))
    run.expect("… WorkflowTaskCompleted TimerCanceled")


def test_a_timer_of_no_length_fires_at_once(run: Run):
    run.complete_task(start_timer("t", 0))
    assert "TimerFired" in run.poll(timeout=5).names()


def test_a_timer_id_can_be_used_again(run: Run):
    run.complete_task(start_timer("t", 0.1))
    run.complete_task(start_timer("t", 0.1))
    run.poll()
    assert run.names().count("TimerFired") == 2


def test_timers_fire_in_their_order(run: Run):
    run.complete_task(*[start_timer(str(n), 0.2 * n) for n in (3, 1, 2)])
    fired = []
    while len(fired) < 3:
        task = run.poll()
        fired = [e.timer_fired_event_attributes.timer_id for e in task.events if e.event_type == 18]
        task.complete()
    assert fired == ["1", "2", "3"]


def test_an_open_timer_does_not_outlive_its_run(run: Run):
    run.complete_task(start_timer("t", 0.5), complete_workflow())
    time.sleep(1)
    run.expect(FIRST_TASK_DONE, "TimerStarted WorkflowExecutionCompleted")


# --- markers -----------------------------------------------------------------------------------------------------


def test_a_marker_is_kept_as_it_came(run: Run):
    run.complete_task(record_marker("m", details={"d": payloads("x")}, failure={"message": "f"}))
    marker = run.event("MarkerRecorded")
    assert marker.marker_name == "m"
    assert value(marker.details["d"]) == "x"
    assert marker.failure.message == "f"
    assert marker.workflow_task_completed_event_id == 4


def test_the_user_metadata_of_a_command_is_on_its_event(run: Run):
    timer = start_timer()
    timer.user_metadata.summary.CopyFrom(payloads("why").payloads[0])
    run.complete_task(timer)
    assert value(run.history()[4].user_metadata.summary) == "why"


# --- memo --------------------------------------------------------------------------------------------------------


def test_the_memo_is_merged(raw: Raw):
    run = raw.start(memo=memo(keep=1, change=1, drop=1))
    run.complete_task(upsert_memo(change=2, new=3, drop=None))
    assert value(run.event("WorkflowPropertiesModified").upserted_memo.fields["change"]) == 2
    fields = run.describe_info().memo.fields
    assert {key: value(item) for key, item in fields.items()} == {"keep": 1, "change": 2, "new": 3}


# --- search attributes -------------------------------------------------------------------------------------------


def shown(run: Run) -> dict:
    fields = run.describe_info().search_attributes.indexed_fields
    return {key: value(item) for key, item in fields.items() if key.startswith("Wire")}


def test_search_attributes_of_a_start(raw: Raw, custom_attributes: dict):
    run = raw.start(search_attributes=search_attributes(WireKeyword=("Keyword", "k"), WireInt=("Int", 7)))
    assert shown(run) == {"WireKeyword": "k", "WireInt": 7}
    fields = run.describe_info().search_attributes.indexed_fields
    assert fields["WireInt"].metadata["type"] == b"Int"
    assert fields["WireKeyword"].metadata["type"] == b"Keyword"


def test_search_attributes_are_merged(raw: Raw, custom_attributes: dict):
    run = raw.start(search_attributes=search_attributes(WireKeyword=("Keyword", "k"), WireInt=("Int", 7)))
    run.complete_task(
        upsert_search_attributes(
            WireKeyword=("Keyword", "changed"),
            WireInt=("Int", None),
            WireBool=("Bool", True),
            WireList=("KeywordList", ["a", "b"]),
            WireDouble=("Double", 1.5),
            WireDatetime=("Datetime", "2024-05-06T07:08:09Z"),
            WireText=("Text", "some words"),
        )
    )
    upserted = run.event("UpsertWorkflowSearchAttributes")
    assert value(upserted.search_attributes.indexed_fields["WireBool"]) is True
    assert shown(run) == {
        "WireKeyword": "changed",
        "WireBool": True,
        "WireList": ["a", "b"],
        "WireDouble": 1.5,
        "WireDatetime": "2024-05-06T07:08:09Z",
        "WireText": "some words",
    }


def test_a_null_payload_removes_an_attribute(raw: Raw, custom_attributes: dict):
    run = raw.start(search_attributes=search_attributes(WireInt=("Int", 7)))
    run.complete_task(
        command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", search_attributes={"indexed_fields": {"WireInt": null_payload()}})
    )
    assert shown(run) == {}


def test_a_completed_task_notes_its_build_id(run: Run):
    run.complete_task()
    fields = run.describe_info().search_attributes.indexed_fields
    assert value(fields["BuildIds"]) == ["unversioned"]
    (point,) = run.describe_info().auto_reset_points.points
    assert (point.run_id, point.first_workflow_task_completed_id, point.resettable) == (run.run_id, 4, True)
