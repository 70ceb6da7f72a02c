"""Workflows in Python that a program in Rust has only declared, called and talked to from there.

    cargo build -p tradewind --example python_peer
    TRADEWIND_ADDRESS=localhost:7233 .venv/bin/python -m pytest tests/sdk/test_declared.py
"""

from __future__ import annotations

import asyncio
import uuid

from peer import rust_worker
from temporalio import workflow
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker


@workflow.defn(name="Ledger")
class Ledger:
    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.closed = ""

    @workflow.run
    async def run(self, name: str) -> list[int]:
        await workflow.wait_condition(lambda: self.closed != "")
        return self.numbers

    @workflow.update
    def add(self, number: int) -> int:
        if number == 0:
            raise ApplicationError("nothing to add", type="Nothing")
        self.numbers.append(number)
        return sum(self.numbers)

    @workflow.query
    def total(self) -> int:
        return sum(self.numbers)

    @workflow.signal
    def close(self, why: str) -> None:
        self.closed = why


async def executed(name: str) -> list:
    with rust_worker() as (address, queue):
        client = await Client.connect(address)
        python_queue = f"python-{uuid.uuid4()}"
        async with Worker(client, task_queue=python_queue, workflows=[Ledger]):
            call = client.execute_workflow(name, python_queue, id=f"{name} {uuid.uuid4()}", task_queue=queue)
            return await asyncio.wait_for(call, 60)


def test_a_workflow_in_rust_has_a_child_in_python() -> None:
    assert asyncio.run(executed("closes_at_once")) == []


def test_a_client_in_rust_talks_to_a_run_in_python() -> None:
    total, refused, asked, numbers = asyncio.run(executed("has_books_kept"))
    assert (total, asked, numbers) == (3, 3, [3])
    assert "nothing to add" in refused
