"""The official `temporal` command line against a server, as its users type it.

    pip install -r tests/cli/requirements.txt
    TRADEWIND_ADDRESS=localhost:7233 pytest tests/cli

The command is `temporal` from the path, or what TEMPORAL_CLI names. Works against the reference server as well.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

QUEUE = f"cli-{uuid.uuid4().hex[:8]}"


# --- the workflows that the commands talk to ---------------------------------------------------------------------


@activity.defn(name="by_hand")
def by_hand() -> str:
    activity.raise_complete_async()


@workflow.defn(name="counter")
class Counter:
    def __init__(self) -> None:
        self.total = 0
        self.done = False

    @workflow.run
    async def run(self, start: int = 0) -> int:
        self.total += start
        await workflow.wait_condition(lambda: self.done)
        return self.total

    @workflow.signal
    def add(self, n: int) -> None:
        self.total += n

    @workflow.signal
    def stop(self) -> None:
        self.done = True

    @workflow.query
    def now(self) -> int:
        return self.total

    @workflow.update
    def add_and_get(self, n: int) -> int:
        self.total += n
        return self.total

    @add_and_get.validator
    def check(self, n: int) -> None:
        if n < 0:
            raise ValueError("must not be negative")


@workflow.defn(name="waits_for_a_hand")
class WaitsForAHand:
    @workflow.run
    async def run(self) -> str:
        return await workflow.execute_activity(
            by_hand, activity_id="hand", start_to_close_timeout=timedelta(minutes=5), result_type=str
        )


@pytest.fixture(scope="module")
def address() -> str:
    address = os.environ.get("TRADEWIND_ADDRESS")
    if not address:
        pytest.exit("TRADEWIND_ADDRESS must name the server to test, for example localhost:7233", returncode=2)
    return address


@pytest.fixture(scope="module", autouse=True)
def worker(address: str) -> Iterator[None]:
    """Serves the workflows above from a thread, for the whole module."""
    ready, stop, trouble = threading.Event(), asyncio.Event(), []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        from concurrent.futures import ThreadPoolExecutor

        client = await Client.connect(address)
        with ThreadPoolExecutor(2) as threads:
            async with Worker(
                client,
                task_queue=QUEUE,
                workflows=[Counter, WaitsForAHand],
                activities=[by_hand],
                activity_executor=threads,
                workflow_runner=UnsandboxedWorkflowRunner(),
            ):
                ready.set()
                await stop.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        except Exception as error:
            trouble.append(error)
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(20)
    if trouble:
        pytest.exit(f"no worker could be started at {address}: {trouble[0]}", returncode=2)
    yield
    loop.call_soon_threadsafe(stop.set)
    thread.join()


class Cli:
    def __init__(self, address: str) -> None:
        beside = Path(sys.executable).with_name("temporal")
        self.binary = os.environ.get("TEMPORAL_CLI") or shutil.which("temporal") or str(beside)
        self.address = address

    def __call__(self, *args: str, ok: bool = True) -> str:
        """Runs a command and gives what it printed; `ok=False` wants it to fail and gives its complaint."""
        done = subprocess.run(
            [self.binary, *args, "--address", self.address, "--color", "never"],
            capture_output=True,
            text=True,
            timeout=30,
            env={**os.environ, "TEMPORAL_ADDRESS": self.address},
        )
        assert (done.returncode == 0) == ok, f"{' '.join(args)}\n{done.stdout}\n{done.stderr}"
        return done.stdout if ok else done.stdout + done.stderr

    def json(self, *args: str) -> Any:
        return json.loads(self(*args, "-o", "json") or "null")

    def start(self, kind: str = "counter", **options: str) -> str:
        workflow_id = f"cli-{uuid.uuid4().hex[:12]}"
        flags = [part for key, text in options.items() for part in (f"--{key.replace('_', '-')}", text)]
        self("workflow", "start", "--type", kind, "--task-queue", QUEUE, "--workflow-id", workflow_id, *flags)
        return workflow_id

    def describe(self, workflow_id: str) -> Any:
        return self.json("workflow", "describe", "-w", workflow_id)

    def status(self, workflow_id: str) -> str:
        status = self.describe(workflow_id)["workflowExecutionInfo"]["status"]
        return status.removeprefix("WORKFLOW_EXECUTION_STATUS_")


@pytest.fixture(scope="module")
def cli(address: str) -> Cli:
    return Cli(address)


def eventually(condition, seconds: float = 10) -> Any:
    give_up = time.monotonic() + seconds
    while not (seen := condition()):
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.1)
    return seen


# --- workflows ---------------------------------------------------------------------------------------------------


def test_the_cluster_is_healthy(cli: Cli):
    assert "SERVING" in cli("operator", "cluster", "health")
    assert cli.json("operator", "cluster", "system")["serverVersion"]


def test_start_and_describe(cli: Cli):
    workflow_id = cli.start(input="3", memo='note="x"')
    description = cli.describe(workflow_id)
    info = description["workflowExecutionInfo"]
    assert info["execution"]["workflowId"] == workflow_id
    assert (info["type"]["name"], info["taskQueue"]) == ("counter", QUEUE)
    assert "note" in info["memo"]["fields"]
    assert workflow_id in cli("workflow", "describe", "-w", workflow_id)


def test_start_of_a_running_id(cli: Cli):
    workflow_id = cli.start()
    start = ("workflow", "start", "--type", "counter", "--task-queue", QUEUE, "--workflow-id", workflow_id)
    assert cli.json(*start)["runId"] == cli.describe(workflow_id)["workflowExecutionInfo"]["execution"]["runId"]
    assert "already" in cli(*start, "--fail-existing", ok=False)


def test_list_and_count(cli: Cli):
    workflow_id = cli.start()
    query = f"WorkflowId = '{workflow_id}'"
    found = eventually(lambda: cli.json("workflow", "list", "--query", query))
    assert [item["execution"]["workflowId"] for item in found] == [workflow_id]
    assert cli.json("workflow", "count", "--query", query)["count"] == "1"
    assert workflow_id in cli("workflow", "list", "--query", query)
    assert "invalid query" in cli("workflow", "list", "--query", "nonsense", ok=False)


def test_signal_and_query(cli: Cli):
    workflow_id = cli.start(input="1")
    cli("workflow", "signal", "-w", workflow_id, "--name", "add", "--input", "4")
    assert cli.json("workflow", "query", "-w", workflow_id, "--type", "now")["queryResult"] == [5]


def test_update(cli: Cli):
    workflow_id = cli.start(input="1")
    update = ("workflow", "update", "execute", "-w", workflow_id, "--name", "add_and_get")
    assert cli.json(*update, "--input", "2", "--update-id", "u1")["result"] == 3
    assert "must not be negative" in cli(*update, "--input", "-1", ok=False)
    cli("workflow", "update", "start", "-w", workflow_id, "--name", "add_and_get", "--input", "5",
        "--update-id", "u2", "--wait-for-stage", "accepted")  # fmt: skip
    assert cli.json("workflow", "update", "result", "-w", workflow_id, "--update-id", "u2")["result"] == 8


def test_show_and_result(cli: Cli):
    workflow_id = cli.start(input="2")
    cli("workflow", "signal", "-w", workflow_id, "--name", "stop")
    assert cli.json("workflow", "result", "-w", workflow_id)["result"] == 2
    events = cli.json("workflow", "show", "-w", workflow_id)["events"]
    assert events[0]["eventType"] == "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED"
    assert events[-1]["eventType"] == "EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED"
    assert "WorkflowExecutionCompleted" in cli("workflow", "show", "-w", workflow_id)


def test_execute(cli: Cli):
    workflow_id = f"cli-{uuid.uuid4().hex[:12]}"
    running = subprocess.Popen(
        [cli.binary, "workflow", "execute", "--type", "counter", "--task-queue", QUEUE, "--workflow-id", workflow_id,
         "--input", "9", "--address", cli.address, "-o", "json"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    eventually(lambda: workflow_id in cli("workflow", "list", "--query", f"WorkflowId = '{workflow_id}'"))
    cli("workflow", "signal", "-w", workflow_id, "--name", "stop")
    output, _ = running.communicate(timeout=20)
    assert json.loads(output)["result"] == 9


def test_cancel(cli: Cli):
    workflow_id = cli.start()
    cli("workflow", "cancel", "-w", workflow_id)
    eventually(lambda: cli.status(workflow_id) == "CANCELED")


def test_terminate(cli: Cli):
    workflow_id = cli.start()
    cli("workflow", "terminate", "-w", workflow_id, "--reason", "enough")
    assert cli.status(workflow_id) == "TERMINATED"
    last = cli.json("workflow", "show", "-w", workflow_id)["events"][-1]
    assert last["workflowExecutionTerminatedEventAttributes"]["reason"] == "enough"
    assert "completed" in cli("workflow", "terminate", "-w", workflow_id, ok=False)


def test_delete(cli: Cli):
    workflow_id = cli.start()
    cli("workflow", "delete", "-w", workflow_id, "--yes")
    eventually(lambda: not cli.json("workflow", "list", "--query", f"WorkflowId = '{workflow_id}'"))


def test_signal_with_start(cli: Cli):
    workflow_id = f"cli-{uuid.uuid4().hex[:12]}"
    cli("workflow", "signal-with-start", "--type", "counter", "--task-queue", QUEUE, "-w", workflow_id,
        "--signal-name", "add", "--signal-input", "6", "--input", "1")  # fmt: skip
    assert cli.json("workflow", "query", "-w", workflow_id, "--type", "now")["queryResult"] == [7]


def test_stack(cli: Cli):
    workflow_id = cli.start()
    cli.json("workflow", "query", "-w", workflow_id, "--type", "now")
    assert cli("workflow", "stack", "-w", workflow_id)


def test_a_workflow_that_is_not_there(cli: Cli):
    assert "not found" in cli("workflow", "describe", "-w", "nope", ok=False)
    assert "not found" in cli("workflow", "signal", "-w", "nope", "--name", "s", ok=False)


# --- activities --------------------------------------------------------------------------------------------------


def waiting(cli: Cli) -> str:
    workflow_id = cli.start("waits_for_a_hand")
    eventually(
        lambda: any(
            item["state"] == "PENDING_ACTIVITY_STATE_STARTED"
            for item in cli.describe(workflow_id).get("pendingActivities", [])
        )
    )
    return workflow_id


def test_an_activity_is_completed_by_id(cli: Cli):
    workflow_id = waiting(cli)
    cli("activity", "complete", "-w", workflow_id, "--activity-id", "hand", "--result", '"by hand"')
    assert cli.json("workflow", "result", "-w", workflow_id)["result"] == "by hand"


def test_an_activity_is_failed_by_id(cli: Cli):
    workflow_id = waiting(cli)
    cli("activity", "fail", "-w", workflow_id, "--activity-id", "hand", "--reason", "no hand")
    eventually(lambda: cli.status(workflow_id) == "FAILED")
    assert "no hand" in cli("workflow", "show", "-w", workflow_id, "-o", "json")


# --- administration ----------------------------------------------------------------------------------------------


def test_namespaces(cli: Cli):
    name = f"cli-{uuid.uuid4().hex[:8]}"
    cli("operator", "namespace", "create", "-n", name, "--retention", "48h", "--description", "made by a test")
    described = cli.json("operator", "namespace", "describe", "-n", name)
    assert described["namespaceInfo"]["name"] == name
    assert described["config"]["workflowExecutionRetentionTtl"] == "172800s"
    listed = cli.json("operator", "namespace", "list")
    assert {"default", name} <= {item["namespaceInfo"]["name"] for item in listed}
    cli("operator", "namespace", "update", "-n", name, "--description", "changed")
    assert cli.json("operator", "namespace", "describe", "-n", name)["namespaceInfo"]["description"] == "changed"
    assert "already exists" in cli("operator", "namespace", "create", "-n", name, ok=False)


def test_search_attributes(cli: Cli):
    cli("operator", "search-attribute", "create", "--name", "CliKeyword", "--type", "Keyword")
    listed = cli.json("operator", "search-attribute", "list")
    assert listed["customAttributes"]["CliKeyword"] == "INDEXED_VALUE_TYPE_KEYWORD"
    workflow_id = cli.start(search_attribute='CliKeyword="here"')
    query = f"CliKeyword = 'here' AND WorkflowId = '{workflow_id}'"
    eventually(lambda: cli.json("workflow", "list", "--query", query))
    assert "CliKeyword" in cli("operator", "search-attribute", "list")
    cli("operator", "search-attribute", "remove", "--name", "CliKeyword", "--yes")


def test_task_queues(cli: Cli):
    cli.json("workflow", "query", "-w", cli.start(), "--type", "now")
    text = cli("task-queue", "describe", "--task-queue", QUEUE)
    assert "workflow" in text
    described = cli.json("task-queue", "describe", "--task-queue", QUEUE, "--legacy-mode")
    assert described["pollers"]
