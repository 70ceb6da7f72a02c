"""One workflow for each thing that the SDK offers. `acceptance.py` runs them; so can you:

    SERVER_URL=http://localhost:8233 DEPLOYMENT_NAME=features python features.py
"""

from __future__ import annotations

import asyncio
import os
import time
from datetime import timedelta

import mistralai.workflows as workflows
from pydantic import BaseModel, Field

with workflows.workflow.unsafe.imports_passed_through():
    from temporalio import activity as running

    import worker


# --- activities --------------------------------------------------------------------------------------------------


@workflows.activity()
async def square(number: int) -> int:
    return number * number


@workflows.activity()
async def process_id() -> int:
    return os.getpid()


@workflows.activity(sticky_to_worker=True)
async def sticky_process_id() -> int:
    return os.getpid()


@workflows.activity(rate_limit=workflows.RateLimit(time_window_in_sec=1, max_execution=5))
async def limited(number: int) -> float:
    return time.time()


@workflows.activity(heartbeat_timeout=timedelta(seconds=2))
async def falls_silent() -> str:
    """Beats once and then hangs, the first time."""
    workflows.activity_heartbeat("I was here")
    if running.info().attempt == 1:
        await asyncio.sleep(60)
    return f"attempt {running.info().attempt}, after {running.info().heartbeat_details[0]!r}"


@workflows.activity()
async def write_story(words: list[str], pause: float) -> str:
    """Tells its progress word by word, as a language model would."""
    async with workflows.task("story", state={"text": ""}) as story:
        for word in words:
            await asyncio.sleep(pause)
            await story.update_state({"text": story.state["text"] + word})
        return story.state["text"]


# --- workflows ---------------------------------------------------------------------------------------------------


@workflows.workflow.define(name="squares")
class Squares:
    @workflows.workflow.entrypoint
    async def run(self, count: int) -> int:
        return sum(await asyncio.gather(*(square(number) for number in range(count))))


@workflows.workflow.define(name="managed_squares")
class ManagedSquares:
    @workflows.workflow.entrypoint
    async def run(self, count: int) -> int:
        return sum(await workflows.execute_activities_in_parallel(square, items=list(range(count))))


class Number(BaseModel):
    number: int = Field(ge=0)


@workflows.workflow.define(name="square_child")
class SquareChild:
    @workflows.workflow.entrypoint
    async def run(self, params: Number) -> int:
        return await square(params.number)


@workflows.workflow.define(name="family")
class Family:
    @workflows.workflow.entrypoint
    async def run(self, numbers: list[int]) -> list[int]:
        children = (workflows.workflow.execute_workflow(SquareChild, params=Number(number=n)) for n in numbers)
        return list(await asyncio.gather(*children))


@workflows.workflow.define(name="places", workflow_description="Where activities run that care about it")
class Places:
    @workflows.workflow.entrypoint
    async def run(self, count: int) -> dict[str, list[int]]:
        with workflows.run_activities_locally():
            local = [await process_id() for _ in range(count)]
        async with workflows.run_sticky_worker_session():
            sticky = [await sticky_process_id() for _ in range(count)]
        return {"local": local, "sticky": sticky}


@workflows.workflow.define(name="at_a_rate")
class AtARate:
    @workflows.workflow.entrypoint
    async def run(self, count: int) -> list[float]:
        return sorted(await asyncio.gather(*(limited(number) for number in range(count))))


@workflows.workflow.define(name="silence")
class Silence:
    @workflows.workflow.entrypoint
    async def run(self) -> str:
        return await falls_silent()


@workflows.workflow.define(name="counter", search_keys=["customer"])
class Counter:
    """Counts until it is told to stop; `customer` is only there to be found by."""

    def __init__(self) -> None:
        self.total = 0
        self.done = False

    @workflows.workflow.entrypoint
    async def run(self, customer: str = "nobody") -> int:
        await workflows.workflow.wait_condition(lambda: self.done)
        return self.total

    @workflows.workflow.signal(name="add")
    async def add(self, amount: int) -> None:
        self.total += amount

    @workflows.workflow.signal(name="stop")
    async def stop(self) -> None:
        self.done = True

    @workflows.workflow.query(name="total")
    def current(self) -> int:
        return self.total

    @workflows.workflow.update(name="add_and_get")
    async def add_and_get(self, amount: int) -> int:
        self.total += amount
        return self.total


class Lap(BaseModel):
    lap: int = 1
    laps: int


@workflows.workflow.define(name="laps")
class Laps:
    @workflows.workflow.entrypoint
    async def run(self, params: Lap) -> str:
        if params.lap < params.laps:
            workflows.workflow.continue_as_new(Lap(lap=params.lap + 1, laps=params.laps))
        return f"lap {params.lap} of {params.laps}"


class Approval(BaseModel):
    approved: bool
    by: str


@workflows.workflow.define(name="approval")
class AskSomebody(workflows.InteractiveWorkflow):
    @workflows.workflow.entrypoint
    async def run(self, document: str) -> str:
        answer = await self.wait_for_input(Approval, label=f"May {document} go out?")
        return f"{document}: {'yes' if answer.approved else 'no'}, says {answer.by}"


@workflows.workflow.define(name="story")
class Story:
    @workflows.workflow.entrypoint
    async def run(self, words: list[str], pause: float) -> str:
        return await write_story(words, pause)


class Document(BaseModel):
    text: str


@workflows.activity()
async def to_upper(document: Document) -> Document:
    return Document(text=document.text.upper())


@workflows.workflow.define(name="upper")
class Upper:
    @workflows.workflow.entrypoint
    async def run(self, params: Document) -> Document:
        return await to_upper(params)


WORKFLOWS = [
    Squares,
    ManagedSquares,
    SquareChild,
    Family,
    Places,
    AtARate,
    Silence,
    Counter,
    Laps,
    AskSomebody,
    Story,
    Upper,
]

if __name__ == "__main__":
    asyncio.run(workflows.run_worker([*worker.WORKFLOWS, *WORKFLOWS]))
