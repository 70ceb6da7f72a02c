"""A small document-processing service, and the failures a durable engine has to take off its hands.

    pip install -r requirements.txt
    python user_report.py [--address localhost:7233]

Three stories, each against a real failure:

1. `user_report` awaits two activities, one after the other.
2. `call_external_api` asks a local HTTP server that refuses twice before it answers. Nobody writes a retry loop.
3. `process_large_file` reads a file chunk by chunk and heartbeats its checkpoint. Its worker process is killed
   (SIGKILL) half way, and a second worker process finishes the file from the last checkpoint.

Every promise is checked as it is kept. The exit code is 0 only if all of them were.
"""

from __future__ import annotations

import argparse
import asyncio
import http.server
import json
import logging
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
import zlib
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.worker import Worker

CHUNK_BYTES = 64 * 1024
CHUNKS = 40
SECONDS_PER_CHUNK = 0.05
HEARTBEAT_TIMEOUT = timedelta(seconds=2)
DEADLINE_SECONDS = 50


# --- the service: what a user of the engine writes ---------------------------------------------------------------


@dataclass
class Report:
    user: str
    lines: list[str]


@dataclass
class Progress:
    """A checkpoint of `process_large_file`: enough to go on without reading anything twice."""

    offset: int = 0
    newlines: int = 0
    crc32: int = 0


@activity.defn
def fetch_user_data(user_id: str) -> dict[str, str]:
    say(f"fetch_user_data({user_id!r})")
    return {"id": user_id, "name": "Ada", "plan": "basic"}


@activity.defn
def generate_report(user: dict[str, str]) -> Report:
    say(f"generate_report for {user['name']}")
    return Report(user["name"], [f"{key}: {value}" for key, value in sorted(user.items())])


@activity.defn
def call_external_api(url: str) -> str:
    attempt = activity.info().attempt
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:
            say(f"call_external_api, attempt {attempt}: {reply.status}")
            return reply.read().decode()
    except urllib.error.HTTPError as refusal:
        say(f"call_external_api, attempt {attempt}: {refusal.code}, the engine will try again")
        raise


@activity.defn
def process_large_file(path: str) -> Progress:
    info = activity.info()
    progress = Progress(**info.heartbeat_details[0]) if info.heartbeat_details else Progress()
    tell_parent("start", attempt=info.attempt, offset=progress.offset)
    with open(path, "rb") as file:
        file.seek(progress.offset)
        while chunk := file.read(CHUNK_BYTES):
            time.sleep(SECONDS_PER_CHUNK)  # stands for the work that a real chunk would cost
            tell_parent("chunk", offset=progress.offset)
            progress.offset += len(chunk)
            progress.newlines += chunk.count(b"\n")
            progress.crc32 = zlib.crc32(chunk, progress.crc32)
            activity.heartbeat(asdict(progress))
    return progress


@workflow.defn(name="user_report")
class UserReport:
    @workflow.run
    async def run(self, user_id: str) -> Report:
        limit = timedelta(seconds=30)
        user = await workflow.execute_activity(fetch_user_data, user_id, start_to_close_timeout=limit)
        return await workflow.execute_activity(generate_report, user, start_to_close_timeout=limit)


@workflow.defn(name="external_lookup")
class ExternalLookup:
    @workflow.run
    async def run(self, url: str) -> str:
        return await workflow.execute_activity(
            call_external_api,
            url,
            start_to_close_timeout=timedelta(minutes=5),
            retry_policy=RetryPolicy(maximum_attempts=3, backoff_coefficient=2.0),
        )


@workflow.defn(name="digest_file")
class DigestFile:
    @workflow.run
    async def run(self, path: str, files_queue: str) -> Progress:
        return await workflow.execute_activity(
            process_large_file,
            path,
            task_queue=files_queue,
            start_to_close_timeout=timedelta(minutes=5),
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=200)),
        )


# --- the stories -------------------------------------------------------------------------------------------------


async def report_story(client: Client, queue: str) -> None:
    headline("user_report: two activities in turn")
    report = await client.execute_workflow(UserReport.run, "user-7", id=f"user-report-{queue}", task_queue=queue)
    for line in report.lines:
        say(f"  {line}")
    check(
        "the report holds what the first activity fetched", report.lines == ["id: user-7", "name: Ada", "plan: basic"]
    )


async def flaky_api_story(client: Client, queue: str) -> None:
    headline("call_external_api: two refusals, then an answer")
    with flaky_server(refusals=2) as (url, asked_at):
        answer = await client.execute_workflow(ExternalLookup.run, url, id=f"lookup-{queue}", task_queue=queue)
    gaps = [later - earlier for earlier, later in zip(asked_at, asked_at[1:])]
    say(f"asked {len(asked_at)} times, waiting {', '.join(f'{gap:.1f} s' for gap in gaps)} between")
    check("the third attempt brought the answer", answer == "all is well" and len(asked_at) == 3)
    check("the engine waited 1 s, then twice as long", 0.9 <= gaps[0] < 5 and 1.9 <= gaps[1] < 10)


async def killed_worker_story(client: Client, address: str, queue: str) -> None:
    headline("process_large_file: its worker process is killed half way")
    files_queue = f"{queue}-files"
    with large_file() as (path, expected):
        handle = await client.start_workflow(
            DigestFile.run, args=[path, files_queue], id=f"digest-{queue}", task_queue=queue
        )
        async with file_worker("first", address, files_queue) as first:
            await first.until_offset(expected.offset // 2)
            await until(lambda: checkpoint(handle), "the engine to hold a checkpoint")
        await asyncio.sleep(0.2)  # a heartbeat may have been on its way when its sender died
        saved = (await checkpoint(handle)).offset
        say(f"killed the first worker after {len(first.chunks)} chunks; the engine holds a checkpoint at byte {saved}")

        async with file_worker("second", address, files_queue) as second:
            result = await handle.result()

    say(f"the second worker began at byte {second.began_at} on attempt {second.attempt}, {len(second.chunks)} chunks")
    say(f"result: {result}")
    check("the first worker was killed before it could finish", len(first.chunks) < CHUNKS)
    check("the second worker began at the last checkpoint", second.began_at == saved > 0)
    check("it was told that this is attempt 2", second.attempt == 2)
    check("no chunk before the checkpoint was read again", min(second.chunks) == saved)
    check("no chunk was left out", {*first.chunks, *second.chunks} == set(range(0, expected.offset, CHUNK_BYTES)))
    check("the total is that of a run without a failure", result == expected)


async def checkpoint(handle: WorkflowHandle) -> Progress | None:
    """The last heartbeat details the engine has recorded for the activity that is running."""
    for pending in (await handle.describe()).raw_description.pending_activities:
        for payload in pending.heartbeat_details.payloads:
            return Progress(**json.loads(payload.data))
    return None


# --- the props ---------------------------------------------------------------------------------------------------


@contextmanager
def flaky_server(refusals: int) -> Iterator[tuple[str, list[float]]]:
    """An HTTP server that answers 503 a few times and 200 from then on; yields its URL and when it was asked."""
    asked_at: list[float] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked_at.append(time.monotonic())
            self.send_response(503 if len(asked_at) <= refusals else 200)
            self.end_headers()
            if len(asked_at) > refusals:
                self.wfile.write(b"all is well")

        def log_message(self, *_args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", asked_at
        server.shutdown()


@contextmanager
def large_file() -> Iterator[tuple[str, Progress]]:
    """A file of `CHUNKS` chunks, and what processing all of it must come to."""
    content = bytearray()
    while len(content) < CHUNKS * CHUNK_BYTES:
        content += f"record {len(content)}\n".encode()
    del content[CHUNKS * CHUNK_BYTES :]
    with tempfile.NamedTemporaryFile(suffix=".records") as file:
        file.write(content)
        file.flush()
        yield file.name, Progress(len(content), content.count(b"\n"), zlib.crc32(content))


@asynccontextmanager
async def file_worker(name: str, address: str, files_queue: str) -> AsyncIterator[FileWorker]:
    """A worker for `process_large_file` in a process of its own, which ends the hard way: SIGKILL."""
    say(f"starting the {name} worker process")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--address", address, "--files-queue", files_queue),
        stdout=asyncio.subprocess.PIPE,
    )
    worker = FileWorker(name)
    listening = asyncio.create_task(worker.listen(process.stdout))
    try:
        yield worker
    finally:
        process.kill()
        await process.wait()
        await listening


class FileWorker:
    """What a worker process has told of its work."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.began_at = -1
        self.attempt = 0
        self.chunks: list[int] = []

    async def listen(self, lines: asyncio.StreamReader) -> None:
        async for line in lines:
            told = json.loads(line)
            if told["what"] == "start":
                self.began_at, self.attempt = told["offset"], told["attempt"]
                say(f"the {self.name} worker starts at byte {self.began_at}")
            else:
                self.chunks.append(told["offset"])
                if len(self.chunks) % 8 == 0:
                    say(f"the {self.name} worker has done {len(self.chunks)} chunks")

    async def until_offset(self, offset: int) -> None:
        async def reached() -> bool:
            return bool(self.chunks) and self.chunks[-1] >= offset

        await until(reached, f"the {self.name} worker to reach byte {offset}")


async def serve_files(address: str, files_queue: str) -> None:
    """The life of a file worker process: it serves until it is killed."""
    client = await Client.connect(address)
    with ThreadPoolExecutor(1) as threads:
        await Worker(
            client,
            task_queue=files_queue,
            activities=[process_large_file],
            activity_executor=threads,
            max_concurrent_activities=1,
            # By default a worker sends a heartbeat no sooner than 80 % of the timeout after the one before.
            # Checkpoints are worth more than the calls they cost here.
            max_heartbeat_throttle_interval=timedelta(milliseconds=200),
        ).run()


def tell_parent(what: str, **facts: int) -> None:
    print(json.dumps({"what": what, **facts}), flush=True)


async def until(condition, what: str, seconds: float = 15) -> None:
    give_up = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > give_up:
            raise TimeoutError(f"waited {seconds} s for {what}")
        await asyncio.sleep(0.05)


BEGAN = time.monotonic()
BROKEN: list[str] = []


def say(text: str) -> None:
    print(f"{time.monotonic() - BEGAN:6.2f} s  {text}", flush=True)


def headline(text: str) -> None:
    print(f"\n{text}", flush=True)


def check(promise: str, kept: bool) -> None:
    say(f"{'ok    ' if kept else 'BROKEN'} {promise}")
    if not kept:
        BROKEN.append(promise)


@asynccontextmanager
async def service(client: Client, queue: str) -> AsyncIterator[None]:
    """The worker of this process: all workflows, and every activity except the one that gets killed."""
    with ThreadPoolExecutor(4) as threads:
        async with Worker(
            client,
            task_queue=queue,
            workflows=[UserReport, ExternalLookup, DigestFile],
            activities=[fetch_user_data, generate_report, call_external_api],
            activity_executor=threads,
        ):
            yield


async def tell_all(address: str) -> None:
    queue = uuid.uuid4().hex[:8]
    client = await Client.connect(address)
    say(f"connected to {address}")
    async with service(client, queue):
        await report_story(client, queue)
        await flaky_api_story(client, queue)
        await killed_worker_story(client, address, queue)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", default="localhost:7233", help="the engine's gRPC address")
    parser.add_argument("--files-queue", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.files_queue:
        asyncio.run(serve_files(options.address, options.files_queue))
        return 0
    # The refusals of the flaky server are told by the activity itself; their stack traces add nothing.
    logging.getLogger("temporalio.activity").setLevel(logging.CRITICAL)
    try:
        asyncio.run(asyncio.wait_for(tell_all(options.address), DEADLINE_SECONDS))
    except (asyncio.TimeoutError, TimeoutError) as late:
        BROKEN.append(str(late) or f"everything done within {DEADLINE_SECONDS} s")
    if BROKEN:
        print("\nBroken promises:", *BROKEN, sep="\n  ", flush=True)
        return 1
    print("\nEvery promise was kept.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
