"""Holds Tradewind to what Mistral Workflows promises, with the packages as they come from PyPI.

    pip install -r requirements.txt
    python acceptance.py --tradewind ../../target/release/tradewind    # a server of its own, with an API key
    python acceptance.py --server-url http://localhost:8233            # or one that runs already

Workers are processes, started and killed as they would be; the client is `mistralai`. Every check says what happens
as it happens and has a limit of its own. The exit code is 0 only if every promise was kept.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
import traceback
import uuid
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from mistralai.client import Mistral, models
from mistralai.client.errors import HTTPValidationError, SDKError
from mistralai.extra.workflows import (
    BlobStorageConfig,
    PayloadEncryptionConfig,
    PayloadOffloadingConfig,
    WorkflowEncodingConfig,
    configure_workflow_encoding,
)
from stage import HERE, Broken, Stage, blob_store, expect, flaky_api, large_file, say, tradewind, until

Check = Callable[[Stage], Awaitable[None]]
CHECKS: list[tuple[str, float, Check]] = []

# As worker.py has it. Importing that would set up a worker's log here.
CHUNK_BYTES = 64 * 1024

# Checks that need nothing special of their worker share this deployment.
SHARED = "features"


def check(title: str, seconds: float = 60) -> Callable[[Check], Check]:
    def add(function: Check) -> Check:
        CHECKS.append((title, seconds, function))
        return function

    return add


# --- the service -------------------------------------------------------------------------------------------------


@check("report: worker.py and client.py, as a reader of them would start them")
async def report(stage: Stage) -> None:
    async with stage.worker("documents", "worker.py") as worker:
        environment = {**os.environ, **stage.environment, "DEPLOYMENT_NAME": stage.deployment("documents")}
        client = await asyncio.create_subprocess_exec(
            *(sys.executable, str(HERE / "client.py"), "user-9"), env=environment, stdout=asyncio.subprocess.PIPE
        )
        printed = (await client.communicate())[0].decode().splitlines()
        say(f"client.py: {printed}")
        expect(client.returncode == 0, "client.py ends well")
        expect(printed[-3:] == ["id: user-9", "name: Ada", "plan: basic"], "it prints what the first activity fetched")
        expect(worker.told("generate_report for ") == ["Ada"], "the second activity was given it, once")


@check("retry: an API that answers 503 twice")
async def retry(stage: Stage) -> None:
    with flaky_api(refusals=2) as (url, asked_at):
        answer = await stage.run("external_lookup", SHARED, {"url": url})
    gaps = [later - earlier for earlier, later in zip(asked_at, asked_at[1:])]
    say(f"asked {len(asked_at)} times, waiting {', '.join(f'{gap:.1f} s' for gap in gaps)} between")
    expect(answer == {"result": "all is well"} and len(asked_at) == 3, "the third attempt brought the answer")
    expect(0.9 <= gaps[0] < 10 and 1.9 <= gaps[1] < 20, "the engine waited 1 s, then twice as long")


@check("retry: an API that never answers")
async def retry_in_vain(stage: Stage) -> None:
    with flaky_api(refusals=99) as (url, asked_at):
        execution = await stage.ended(await stage.start("external_lookup", SHARED, {"url": url}))
    expect(execution.status == "FAILED" and len(asked_at) == 3, "it fails after the third attempt, and no fourth comes")


@check("heartbeat: an activity that falls silent")
async def heartbeat(stage: Stage) -> None:
    began = time.monotonic()
    result = await stage.run("silence", SHARED, {})
    say(f"{result['result']} ({time.monotonic() - began:.1f} s)")
    expect(result == {"result": "attempt 2, after 'I was here'"}, "the next attempt has the details of the last beat")
    expect(time.monotonic() - began < 30, "it came long before the first would have ended")


@check("checkpoint: kill -9 of the worker half way through a file", seconds=120)
async def checkpoint(stage: Stage) -> None:
    chunks = 80
    with large_file(chunks, CHUNK_BYTES) as (path, content):
        async with stage.worker("files", "worker.py", "first") as first:
            execution_id = await stage.start("digest_file", "files", {"path": path})
            await until(lambda: len(first.told("process_large_file, chunk")) > chunks // 2, "the first worker gets on")
            first.kill()
            say(f"killed the first worker after {len(first.told('process_large_file, chunk'))} chunks")
        async with stage.worker("files", "worker.py", "second") as second:
            result = await stage.result(execution_id)

    done = [[int(line.split()[-1]) for line in one.told("process_large_file, chunk")] for one in (first, second)]
    say(f"the second worker says: {second.told('process_large_file, attempt')}; {len(done[1])} chunks")
    expect(second.told("process_large_file, attempt ")[0] == f"2: from byte {done[1][0]}", "it was attempt 2")
    expect(0 < done[1][0] <= done[0][-1] + CHUNK_BYTES, "it began at a checkpoint of the first")
    expect({*done[0], *done[1]} == set(range(0, len(content), CHUNK_BYTES)), "no chunk was left out")
    whole = {"offset": len(content), "newlines": content.count(b"\n"), "crc32": zlib.crc32(content)}
    expect(result == whole, "the total is that of a run without a failure")


# --- talking to an execution -------------------------------------------------------------------------------------


@check("signals, queries, updates")
async def messages(stage: Stage) -> None:
    executions = stage.mistral.workflows.executions
    execution_id = await stage.start("counter", SHARED, {"customer": "ada"})
    accepted = await executions.signal_workflow_execution_async(
        execution_id=execution_id, name="add", input={"amount": 4}
    )
    expect(accepted.message == "Signal accepted", "a signal is accepted")
    updated = await executions.update_workflow_execution_async(
        execution_id=execution_id, name="add_and_get", input={"amount": 3}
    )
    expect(updated.result in (7, {"result": 7}), "an update sees the signal before it, and answers")
    asked = await executions.query_workflow_execution_async(execution_id=execution_id, name="total")
    expect(asked.result in (7, {"result": 7}), "a query answers")
    await executions.signal_workflow_execution_async(execution_id=execution_id, name="stop")
    expect(await stage.result(execution_id) == {"result": 7}, "the execution ends with all of it")
    asked = await executions.query_workflow_execution_async(execution_id=execution_id, name="total")
    expect(asked.result in (7, {"result": 7}), "a query answers after the end, too")


@check("bad input is refused at the door, and nothing hangs")
async def bad_input(stage: Stage) -> None:
    executions = stage.mistral.workflows.executions
    await refused(422, stage.start("squares", SHARED, {"count": "many"}), "an input of the wrong type")
    await refused(422, stage.start("squares", SHARED, {}), "an input that lacks a field")
    await refused(422, stage.start("square_child", SHARED, {"number": -1}), "an input below its minimum")
    await refused(404, stage.start("no_such_workflow", SHARED, {}), "an unknown workflow")
    await refused(404, executions.get_workflow_execution_async(execution_id="nope"), "an unknown execution")

    execution_id = await stage.start("counter", SHARED, {})
    send = {"signal": executions.signal_workflow_execution_async, "update": executions.update_workflow_execution_async}
    await refused(422, send["signal"](execution_id=execution_id, name="add", input={"amount": "x"}), "a bad signal")
    await refused(422, send["signal"](execution_id=execution_id, name="nope", input={}), "a signal without a handler")
    bad = send["update"](execution_id=execution_id, name="add_and_get", input={"amount": []})
    await refused(422, bad, "a bad update")
    good = await send["update"](execution_id=execution_id, name="add_and_get", input={"amount": 1})
    expect(good.result in (1, {"result": 1}), "the execution is none the worse for it")
    again = stage.start("counter", SHARED, {}, execution_id=execution_id)
    await refused(409, again, "an execution id that is taken")
    await executions.terminate_workflow_execution_async(execution_id=execution_id)


@check("wait_for_input: a person is asked")
async def wait_for_input(stage: Stage) -> None:
    executions = stage.mistral.workflows.executions
    execution_id = await stage.start("approval", SHARED, {"document": "letter"})

    async def pending() -> list[Any]:
        asked = await executions.query_workflow_execution_async(
            execution_id=execution_id, name="__get_pending_inputs"
        )
        return asked.result["pending_inputs"]

    [question] = await until(pending, "the question is there")
    expect(question["label"] == "May letter go out?", "its label comes through")
    expect("approved" in question["input_schema"]["properties"], "and the schema of the answer")
    waiting = await executions.get_workflow_execution_async(execution_id=execution_id, include_search_keys=True)
    expect(
        waiting.search_keys == {"internal.execution.state": "waiting_for_input"}, "it can be found among those that wait"
    )

    def submit(answer: dict[str, Any]) -> Awaitable[Any]:
        return executions.update_workflow_execution_async(
            execution_id=execution_id, name="__submit_input", input={"task_id": question["task_id"], "input": answer}
        )

    await refused(422, submit({"approved": "perhaps"}), "an answer that does not fit")
    await submit({"approved": True, "by": "Ada"})
    expect(await stage.result(execution_id) == {"result": "letter: yes, says Ada"}, "the answer arrives")


@check("cancel and terminate")
async def ends(stage: Stage) -> None:
    executions = stage.mistral.workflows.executions
    ids = [await stage.start("counter", SHARED, {}) for _ in range(4)]
    await executions.cancel_workflow_execution_async(execution_id=ids[0])
    await executions.terminate_workflow_execution_async(execution_id=ids[1])
    cancelled = await executions.batch_cancel_workflow_executions_async(execution_ids=[ids[2], "nope"])
    expect(cancelled.results[ids[2]].status == "success", "a batch cancels what is there")
    expect(cancelled.results["nope"].status == "failure", "and says what is not")
    await executions.batch_terminate_workflow_executions_async(execution_ids=[ids[3]])
    statuses = [(await stage.ended(execution_id)).status for execution_id in ids]
    expect(statuses == ["CANCELED", "TERMINATED", "CANCELED", "TERMINATED"], f"they end as asked: {statuses}")
    await refused(409, executions.terminate_workflow_execution_async(execution_id=ids[1]), "a second end")


# --- what workflows are made of ----------------------------------------------------------------------------------


@check("child workflows")
async def children(stage: Stage) -> None:
    execution_id = await stage.start("family", SHARED, {"numbers": [1, 2, 3]})
    expect(await stage.result(execution_id) == {"result": [1, 4, 9]}, "three children bring their results")
    tree = await stage.mistral.workflows.runs.list_runs_async(root_execution_id=execution_id)
    names = sorted(run.workflow_name for run in tree.result.executions)
    expect(names == ["family", "square_child", "square_child", "square_child"], "the tree of runs shows them all")


@check("fan-out of 100 activities")
async def fan_out(stage: Stage) -> None:
    began = time.monotonic()
    squares = sum(number * number for number in range(100))
    expect(await stage.run("squares", SHARED, {"count": 100}) == {"result": squares}, "gathered by the workflow")
    say(f"{time.monotonic() - began:.1f} s")
    expect(await stage.run("managed_squares", SHARED, {"count": 100}) == {"result": squares}, "managed by the SDK")
    say(f"{time.monotonic() - began:.1f} s for both")


@check("local and sticky activities", seconds=90)
async def places(stage: Stage) -> None:
    async with stage.worker("places", name="one") as one, stage.worker("places", name="two") as two:
        ids = {one.process.pid, two.process.pid}
        for _ in range(3):
            ran = (await stage.run("places", "places", {"count": 6}))["result"]
            say(f"local in {set(ran['local'])}, sticky in {set(ran['sticky'])}, workers {ids}")
            expect(set(ran["local"]) <= ids, "local activities ran with the workflow")
            expect(len(set(ran["sticky"])) == 1 and set(ran["sticky"]) <= ids, "a sticky session stays with one worker")


@check("rate-limited activities: five a second")
async def at_a_rate(stage: Stage) -> None:
    times = (await stage.run("at_a_rate", SHARED, {"count": 16}))["result"]
    took = times[-1] - times[0]
    say(f"16 activities in {took:.1f} s")
    expect(1.9 <= took < 20, "the queue's limit held: five at once at most, then five a second")


@check("continue-as-new")
async def laps(stage: Stage) -> None:
    execution_id = await stage.start("laps", SHARED, {"laps": 4})
    expect(await stage.result(execution_id) == {"result": "lap 4 of 4"}, "the last run's result is the execution's")


@check("synchronous execution")
async def synchronous(stage: Stage) -> None:
    workflows = stage.mistral.workflows
    result = await workflows.execute_workflow_and_wait_async(
        "squares", input={"count": 4}, use_api_sync=True, deployment_name=stage.deployment(SHARED)
    )
    expect(result == {"result": 14}, "the answer to the request is the result")


# --- seeing ------------------------------------------------------------------------------------------------------


@check("stream: events arrive while the run runs")
async def stream(stage: Stage) -> None:
    words = [f"word {number} " for number in range(20)]
    execution_id = await stage.start("story", SHARED, {"words": words, "pause": 0.1})
    seen: list[tuple[float, Any]] = []
    text = ""
    async for message in events(stage, execution_id):
        seen.append((time.monotonic(), message))
        attributes = message.data.attributes
        if message.data.event_type == "CUSTOM_TASK_IN_PROGRESS":
            for patch in attributes.payload.value:
                text += patch.value
    types = [message.data.event_type for _, message in seen]
    say(f"{len(seen)} events: {', '.join(dict.fromkeys(types))}")
    expect(text == "".join(words), "the words arrive in order, none twice and none missing")
    spread = seen[-1][0] - next(at for at, message in seen if message.data.event_type == "CUSTOM_TASK_STARTED")
    expect(spread > 1, f"they arrive as they are written, {spread:.1f} s from the first to the last")
    expect(
        {"WORKFLOW_EXECUTION_STARTED", "ACTIVITY_TASK_STARTED", "ACTIVITY_TASK_COMPLETED", "CUSTOM_TASK_COMPLETED"}
        <= set(types),
        "the run tells its whole life",
    )
    sequences = [message.broker_sequence for _, message in seen]
    expect(sequences == sorted(set(sequences)), "sequence numbers rise")

    middle = sequences[len(sequences) // 2]
    again = [message.broker_sequence async for message in events(stage, execution_id, start_seq=middle)]
    expect(again == sequences[len(sequences) // 2 :], "from a sequence number on, the same is replayed")
    listed = await stage.mistral.workflows.events.get_workflow_events_async(
        workflow_exec_id=execution_id, limit=1000
    )
    ids = {event.event_id for event in listed.events}
    expect(ids >= {message.data.event_id for _, message in seen}, "the list of events holds them all")


async def events(stage: Stage, execution_id: str, **more: Any) -> Any:
    """The events of one execution up to the one that ends it."""
    stream = await stage.mistral.workflows.events.get_stream_events_async(workflow_exec_id=execution_id, **more)
    async with stream:
        async for frame in stream:
            if isinstance(frame.data, models.WorkflowStreamError):
                raise Broken(f"the stream goes on; it ends with {frame.data}")
            yield frame.data
            if frame.data.data.event_type.startswith("WORKFLOW_EXECUTION_") and frame.data.data.event_type not in (
                "WORKFLOW_EXECUTION_STARTED",
                "WORKFLOW_EXECUTION_CONTINUED_AS_NEW",
            ):
                return


@check("catalogue: workflows, registrations, deployments, metrics")
async def catalogue(stage: Stage) -> None:
    workflows = stage.mistral.workflows
    found = (await workflows.get_workflow_async(workflow_identifier="counter")).workflow
    expect(found.name == "counter" and found.active, "a workflow is found by name")
    changed = await workflows.update_workflow_async(
        workflow_identifier="counter", display_name="The counter", tags=["acceptance", " acceptance "]
    )
    expect((changed.workflow.display_name, changed.workflow.tags) == ("The counter", ["acceptance"]), "it is renamed")
    page = await workflows.get_workflows_async(tags=["acceptance"])
    expect([one.name for one in page.result.workflows] == ["counter"], "it is found by its tag")
    await workflows.archive_workflow_async(workflow_identifier=found.id)
    page = await workflows.get_workflows_async(tags=["acceptance"], archived=False)
    expect(page.result.workflows == [], "once archived it is off the list")
    await workflows.unarchive_workflow_async(workflow_identifier=found.id)
    registered = await workflows.get_workflow_registrations_async(workflow_id=found.id, with_workflow=True)
    mine = [one for one in registered.workflow_registrations if one.deployment_name == stage.deployment(SHARED)]
    expect(len(mine) == 1, "the deployment's registration is listed")
    names = [signal.name for signal in mine[0].definition.signals]
    expect(sorted(names) == ["add", "stop"], "with its signals")
    metrics = await workflows.metrics.get_workflow_metrics_async(workflow_name="laps")
    expect(metrics.execution_count.value >= 1 and metrics.error_count.value == 0, "executions are counted")


@check("search keys: runs are found by what they are about")
async def search_keys(stage: Stage) -> None:
    execution_id = await stage.start("counter", SHARED, {"customer": f"customer {stage.token}"})

    async def found() -> list[str]:
        page = await stage.mistral.workflows.runs.list_runs_async(search_key=[f"customer:customer {stage.token}"])
        return [run.execution_id for run in page.result.executions]

    expect(await until(found, "the run is found by its customer") == [execution_id], "that run, and no other")
    await stage.mistral.workflows.executions.terminate_workflow_execution_async(execution_id=execution_id)


# --- payloads ----------------------------------------------------------------------------------------------------


@check("offloading: 10 MB through a blob store", seconds=90)
async def offloading(stage: Stage) -> None:
    text = "".join(f"{number:08d}" for number in range(10 * 1024 * 1024 // 8))
    credentials = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}
    with blob_store() as (url, blobs):
        store = {"storage_provider": "s3", "bucket_name": "payloads", "endpoint_url": url, **credentials}
        variables = {f"TEMPORAL_PAYLOAD_OFFLOADING__STORAGE_CONFIG__{key.upper()}": store[key] for key in store}
        async with stage.worker("offloading", **variables):
            config = PayloadOffloadingConfig(storage_config=BlobStorageConfig.model_validate(store))
            client = await encoding_stage(stage, WorkflowEncodingConfig(payload_offloading=config))
            result = await client.run("upper", "offloading", {"text": text + "end"})
    say(f"{len(blobs)} blobs of {', '.join(str(len(blob)) for blob in blobs.values())} bytes")
    expect(result == {"text": text + "END"}, "the text comes back, changed by the activity")
    expect(len(blobs) >= 2 and max(map(len, blobs.values())) > len(text), "it went past the server, to the blob store")


@check("encryption: the server never sees what is inside", seconds=90)
async def encryption(stage: Stage) -> None:
    key = os.urandom(32).hex()
    secret = f"secret {uuid.uuid4().hex}"
    variables = {"TEMPORAL_PAYLOAD_ENCRYPTION__MODE": "full", "TEMPORAL_PAYLOAD_ENCRYPTION__MAIN_KEY": key}
    async with stage.worker("encryption", **variables):
        config = PayloadEncryptionConfig.model_validate({"mode": "full", "main_key": key})
        client = await encoding_stage(stage, WorkflowEncodingConfig(payload_encryption=config))
        execution_id = await client.start("upper", "encryption", {"text": secret})
        result = await client.result(execution_id)
        expect(result == {"text": secret.upper()}, "who has the key reads the result")
        plain = await stage.mistral.workflows.executions.get_workflow_execution_async(execution_id=execution_id)
        expect("b64payload" in plain.result and secret.upper() not in str(plain.result), "who has not, does not")
        history = await stage.mistral.workflows.executions.get_workflow_execution_history_async(
            execution_id=execution_id
        )
        expect(secret not in str(history) and secret.upper() not in str(history), "nor is it in the history")
    if stage.directory:
        kept = b"".join(path.read_bytes() for path in (stage.directory / "data").glob("*.db*"))
        expect(b"OtelTraceId" in kept and secret.encode() not in kept and secret.upper().encode() not in kept,
               "nor on the disk")  # fmt: skip


async def encoding_stage(stage: Stage, config: WorkflowEncodingConfig) -> Stage:
    """The same stage, with a client that encodes what it sends and decodes what it gets."""
    encoding = Stage(stage.server_url, stage.api_key, stage.token)
    await configure_workflow_encoding(config, client=encoding.mistral)
    return encoding


# --- who may come in ---------------------------------------------------------------------------------------------


@check("API key: nobody comes in without")
async def api_key(stage: Stage) -> None:
    if stage.api_key is None:
        say("not checked: the server that you gave asks for no key")
        return
    for key, what in [(None, "no key"), ("wrong", "a wrong key")]:
        async with Mistral(server_url=stage.server_url, api_key=key) as outsider:
            await refused(401, outsider.workflows.get_workflows_async(), what)
    keyless = {key: value for key, value in stage.environment.items() if key != "MISTRAL_API_KEY"}
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, str(HERE / "worker.py")),
        env={**os.environ, **keyless, "DEPLOYMENT_NAME": stage.deployment("outside")},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    expect(await asyncio.wait_for(worker.wait(), 45) != 0, "a worker without a key gives up")


async def refused(status: int, request: Awaitable[Any], what: str) -> None:
    try:
        answer = await request
    except HTTPValidationError as error:
        # What the client makes of a 422 in its own shape: a list of what is wrong where.
        expect(status == 422 and bool(error.data.detail), f"{what} is a 422: {error.data.detail[0].msg}")
    except SDKError as error:
        expect(error.status_code == status, f"{what} is a {status}: {error.body[:200]}")
    else:
        raise Broken(f"{what} is refused; it was answered {answer!r:.200}")


# --- the play ----------------------------------------------------------------------------------------------------


async def play(stage: Stage, wanted: str) -> list[str]:
    """Runs the checks one by one and gives those that failed."""
    failed = []
    async with stage.worker(SHARED):
        for title, seconds, function in CHECKS:
            if wanted not in title:
                continue
            print(f"\n{title}", flush=True)
            began = time.monotonic()
            try:
                await asyncio.wait_for(function(stage), seconds)
                say(f"done in {time.monotonic() - began:.1f} s")
            except TimeoutError:
                failed.append(f"{title}: not done within {seconds:.0f} s")
            except Broken as broken:
                failed.append(f"{title}: {broken}")
            except Exception as error:
                traceback.print_exc()
                failed.append(f"{title}: {type(error).__name__} {str(error)[:300]}")
            if failed and failed[-1].startswith(title):
                say(f"BROKEN: {failed[-1]}")
    return failed


async def main(options: argparse.Namespace) -> int:
    token = uuid.uuid4().hex[:8]
    async with contextlib.AsyncExitStack() as exits:
        directory = None
        if options.tradewind:
            directory = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="tradewind-")))
            options.api_key = uuid.uuid4().hex
            options.server_url = await exits.enter_async_context(
                tradewind(options.tradewind, options.api_key, directory)
            )
        say(f"server {options.server_url}")
        stage = Stage(options.server_url, options.api_key, token, directory)
        try:
            failed = await play(stage, options.check)
        except Broken as broken:
            failed = [str(broken)]
    if failed:
        print(f"\n{len(failed)} broken promises:", *failed, sep="\n  ", flush=True)
        return 1
    print("\nEvery promise was kept.", flush=True)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    server = parser.add_mutually_exclusive_group(required=True)
    server.add_argument("--tradewind", help="the program; a server is started from it, and stopped")
    server.add_argument("--server-url", help="a server that runs")
    parser.add_argument("--api-key", default=os.environ.get("MISTRAL_API_KEY"), help="the key of that server")
    parser.add_argument("--check", default="", help="only the checks that have this in their title")
    sys.exit(asyncio.run(main(parser.parse_args())))
