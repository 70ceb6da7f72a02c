"""The official command line and the official Python SDK at a server that wants an API key.

    TRADEWIND_BINARY=target/debug/tradewind pytest tests/cli/test_api_keys.py

Starts a server of its own: the other suites talk to one that lets everybody in.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

KEY = "an-api-key-for-a-test"


@workflow.defn(name="hello")
class Hello:
    @workflow.run
    async def run(self, name: str) -> str:
        return f"hello {name}"


@dataclass
class Server:
    grpc: str
    log: Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    binary = os.environ.get("TRADEWIND_BINARY")
    if not binary:
        pytest.skip("TRADEWIND_BINARY must name the program whose server to test with a key")
    log = tmp_path_factory.mktemp("keyed") / "server.log"
    command = [binary, "dev", "--port", "0", "--http-port", "0", "--log-level", "trace"]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*command, "--data-dir", str(log.with_name("data"))],
            env={**os.environ, "TRADEWIND_API_KEY": KEY},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        # The address is in the summary that it prints once it serves.
        lines = (line.split() for line in process.stdout)
        yield Server(next(words[1] for words in lines if words[:1] == ["gRPC"]), log)
    finally:
        process.terminate()
        process.wait(30)


def temporal(server: Server, *args: str) -> subprocess.CompletedProcess[str]:
    beside = Path(sys.executable).with_name("temporal")
    binary = os.environ.get("TEMPORAL_CLI") or shutil.which("temporal") or str(beside)
    # With a key the command turns TLS on unless it is told not to.
    args = (*args, "--address", server.grpc, "--tls=false", "--command-timeout", "20s")
    return subprocess.run([binary, *args], capture_output=True, text=True, timeout=30)


def test_the_command_line_is_let_in_with_the_key(server: Server):
    listed = temporal(server, "operator", "namespace", "list", "--api-key", KEY)
    assert listed.returncode == 0 and "default" in listed.stdout, listed.stderr


@pytest.mark.parametrize("key", [[], ["--api-key", "wrong"]], ids=["missing", "wrong"])
def test_the_command_line_stays_outside_without_it(server: Server, key: list[str]):
    refused = temporal(server, "operator", "namespace", "list", *key)
    assert refused.returncode != 0
    assert "gRPC request was unauthenticated" in refused.stderr, refused.stderr


def test_the_sdk_runs_a_workflow_with_the_key(server: Server):
    async def run() -> str:
        client = await Client.connect(server.grpc, api_key=KEY, tls=False)
        queue = f"keyed-{uuid.uuid4().hex[:8]}"
        async with Worker(client, task_queue=queue, workflows=[Hello], workflow_runner=UnsandboxedWorkflowRunner()):
            return await client.execute_workflow(Hello.run, "world", id=queue, task_queue=queue)

    assert asyncio.run(asyncio.wait_for(run(), 60)) == "hello world"


@pytest.mark.parametrize("key", [None, "wrong"])
def test_the_sdk_is_told_why_it_stays_outside(server: Server, key: str | None):
    with pytest.raises((RPCError, RuntimeError), match="API key"):
        asyncio.run(asyncio.wait_for(Client.connect(server.grpc, api_key=key, tls=False), 60))


def test_the_key_is_in_no_line_of_the_log(server: Server):
    temporal(server, "operator", "namespace", "list", "--api-key", KEY)
    log = server.log.read_text(errors="replace")
    assert log and KEY not in log
