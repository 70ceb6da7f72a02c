"""What `acceptance.py` plays with: a server, worker processes that can be killed, an API that refuses, a blob store."""

from __future__ import annotations

import asyncio
import http.server
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from mistralai.client import Mistral

HERE = Path(__file__).parent
BEGAN = time.monotonic()


def say(text: str) -> None:
    print(f"{time.monotonic() - BEGAN:7.2f} s  {text}", flush=True)


class Broken(Exception):
    """A promise that was not kept."""


def expect(kept: bool, promise: str) -> None:
    if not kept:
        raise Broken(promise)
    say(f"ok: {promise}")


async def until(seen: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    """Asks until the answer is yes, and gives it. Without an answer in time the promise of `what` is broken."""
    give_up = time.monotonic() + seconds
    while True:
        answer = seen()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return answer
        if time.monotonic() > give_up:
            raise Broken(f"{what}, within {seconds:.0f} s")
        await asyncio.sleep(0.1)


# --- the server --------------------------------------------------------------------------------------------------


@asynccontextmanager
async def tradewind(binary: str, api_key: str, directory: Path) -> AsyncIterator[str]:
    """A server of our own on free ports, with its data in `directory`; yields the URL of its HTTP port."""
    log = directory / "server.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(binary, "dev", "--port", "0", "--http-port", "0", "--data-dir", str(directory / "data")),
            env={**os.environ, "TRADEWIND_API_KEY": api_key},
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    try:
        async for line in process.stdout:
            words = line.decode().split()
            if words[:1] == ["HTTP"]:
                yield words[1]
                break
        else:
            raise Broken(f"the server starts; instead it says: {log.read_text()[-2000:]}")
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        status = await asyncio.wait_for(process.wait(), 60)
        say(f"the server ended with {status}")
        panics = [line for line in log.read_text(errors="replace").splitlines() if "panicked" in line]
        if panics or status != 0:
            print(log.read_text(errors="replace")[-4000:])
            raise Broken("the server ends well, without a panic")


# --- workers -----------------------------------------------------------------------------------------------------


class WorkerProcess:
    """`python PROGRAM` in a process of its own, and what it has printed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: list[str] = []
        self.process: asyncio.subprocess.Process

    async def start(self, program: str, environment: dict[str, str]) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(HERE / program)),
            env={**os.environ, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self.listening = asyncio.create_task(self.listen())

    async def listen(self) -> None:
        # A traceback of its own may be longer than a line may be by default.
        while chunk := await self.process.stdout.read(65_536):
            self.lines.extend(chunk.decode(errors="replace").splitlines())

    def told(self, start: str) -> list[str]:
        """The lines that begin like this, without that beginning."""
        return [line.removeprefix(start) for line in self.lines if line.startswith(start)]

    def kill(self) -> None:
        self.process.kill()

    async def end(self) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), 15)
        except TimeoutError:
            self.process.kill()
        await self.listening


class Stage:
    """One server, one deployment name for each check, and whoever works for it."""

    def __init__(self, server_url: str, api_key: str | None, token: str, directory: Path | None = None) -> None:
        self.server_url = server_url
        self.api_key = api_key
        self.token = token
        # Where the server keeps its data, if it is one of ours.
        self.directory = directory
        self.mistral = Mistral(server_url=server_url, api_key=api_key, timeout_ms=60_000)

    @property
    def environment(self) -> dict[str, str]:
        """What points a worker or a client at the server: two variables, or three with a key."""
        environment = {"SERVER_URL": self.server_url, "LOG_LEVEL": "WARNING"}
        if self.api_key is not None:
            environment["MISTRAL_API_KEY"] = self.api_key
        return environment

    def deployment(self, name: str) -> str:
        return f"{name}-{self.token}"

    @asynccontextmanager
    async def worker(
        self, deployment: str, program: str = "features.py", name: str = "worker", **environment: str
    ) -> AsyncIterator[WorkerProcess]:
        """A worker process, from the moment that the server counts it among the active ones."""
        worker = WorkerProcess(name)
        deployment = self.deployment(deployment)
        await worker.start(
            program, {**self.environment, "DEPLOYMENT_NAME": deployment, "WORKER_NAME": name, **environment}
        )
        try:
            await until(lambda: self.serves(worker, deployment), f"{name} of {deployment} registers", 60)
            yield worker
        except BaseException:
            print(*worker.lines[-40:], sep="\n")
            raise
        finally:
            await worker.end()

    async def serves(self, worker: WorkerProcess, deployment: str) -> bool:
        if worker.process.returncode is not None:
            raise Broken(f"{worker.name} serves; it ended with {worker.process.returncode}")
        listed = await self.mistral.workflows.deployments.list_deployments_async(search=deployment)
        if deployment not in (found.name for found in listed.deployments):
            return False
        found = await self.mistral.workflows.deployments.get_deployment_async(name=deployment)
        return worker.name in (known.name for known in found.workers if known.is_active)

    async def start(self, workflow: str, deployment: str, input: dict[str, Any], **more: Any) -> str:
        """Starts an execution and gives its id."""
        started = await self.mistral.workflows.execute_workflow_async(
            workflow_identifier=workflow, input=input, deployment_name=self.deployment(deployment), **more
        )
        return started.execution_id

    async def ended(self, execution_id: str, seconds: float = 60) -> Any:
        """The execution, once it does not run any more."""

        async def closed() -> Any:
            execution = await self.mistral.workflows.executions.get_workflow_execution_async(execution_id=execution_id)
            return execution if execution.status != "RUNNING" else None

        return await until(closed, f"{execution_id} ends", seconds)

    async def result(self, execution_id: str, seconds: float = 60) -> Any:
        execution = await self.ended(execution_id, seconds)
        if execution.status != "COMPLETED":
            raise Broken(f"{execution_id} completes; it is {execution.status}")
        return execution.result

    async def run(self, workflow: str, deployment: str, input: dict[str, Any], seconds: float = 60) -> Any:
        return await self.result(await self.start(workflow, deployment, input), seconds)


# --- the world outside -------------------------------------------------------------------------------------------


class Quiet(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(handler: type[Quiet]) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def flaky_api(refusals: int) -> Iterator[tuple[str, list[float]]]:
    """Answers 503 a few times and 200 from then on; yields its URL and when it was asked."""
    asked_at: list[float] = []

    class Handler(Quiet):
        def do_GET(self) -> None:
            asked_at.append(time.monotonic())
            refuse = len(asked_at) <= refusals
            self.answer(503 if refuse else 200, b"" if refuse else b"all is well")

    with serving(Handler) as url:
        yield url, asked_at


@contextmanager
def blob_store() -> Iterator[tuple[str, dict[str, bytes]]]:
    """As much of S3 as offloading uses; yields its URL and what has been put there, by path."""
    blobs: dict[str, bytes] = {}
    dated = {"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT", "ETag": '"0"'}

    class Handler(Quiet):
        def do_PUT(self) -> None:
            blobs[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(200, **dated)

        def do_GET(self) -> None:
            if self.path in blobs:
                self.answer(200, blobs[self.path], **dated)
            else:
                self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>", **{"Content-Type": "application/xml"})

        do_HEAD = do_GET

    with serving(Handler) as url:
        yield url, blobs


@contextmanager
def large_file(chunks: int, chunk_bytes: int) -> Iterator[tuple[str, bytes]]:
    content = b"".join(b"record %d\n" % number for number in range(chunks * chunk_bytes // 8))[: chunks * chunk_bytes]
    with tempfile.NamedTemporaryFile(suffix=".records") as file:
        file.write(content)
        file.flush()
        yield file.name, content
