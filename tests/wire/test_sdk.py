"""The main flows through the official Python SDK: what most users will see first.

One worker in one event loop per test; workflows here stay small, the details are in the raw tests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from raw import new_id
from temporalio import activity, workflow
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateStage,
)
from temporalio.common import RetryPolicy, WorkflowIDConflictPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    ChildWorkflowError,
    TerminatedError,
    TimeoutError,
    WorkflowAlreadyStartedError,
)
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

SOON = timedelta(seconds=20)


@activity.defn
async def greet(name: str) -> str:
    return f"hello {name}"


@activity.defn
async def fails_until(attempt: int) -> int:
    if activity.info().attempt < attempt:
        raise RuntimeError("not yet")
    return activity.info().attempt


@activity.defn
async def fails_for_good() -> None:
    raise ApplicationError("no use", "detail", type="NoUse", non_retryable=True)


@activity.defn
async def beats_until_cancelled() -> str:
    try:
        while True:
            activity.heartbeat("alive")
            await asyncio.sleep(0.1)
    except asyncio.CancelledError:
        return "stopped"


@activity.defn
def blocking(n: int) -> int:
    return n * 2


@workflow.defn
class Hello:
    @workflow.run
    async def run(self, name: str) -> str:
        return await workflow.execute_activity(greet, name, start_to_close_timeout=SOON)


@workflow.defn
class Retries:
    @workflow.run
    async def run(self, attempts: int) -> int:
        policy = RetryPolicy(initial_interval=timedelta(milliseconds=100), backoff_coefficient=1)
        return await workflow.execute_activity(fails_until, attempts, start_to_close_timeout=SOON, retry_policy=policy)


@workflow.defn
class Fails:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(fails_for_good, start_to_close_timeout=SOON)


@workflow.defn
class Parallel:
    @workflow.run
    async def run(self, count: int) -> int:
        calls = [workflow.execute_activity(blocking, n, start_to_close_timeout=SOON) for n in range(count)]
        return sum(await asyncio.gather(*calls))


@workflow.defn
class Local:
    @workflow.run
    async def run(self) -> str:
        return await workflow.execute_local_activity(greet, "local", start_to_close_timeout=SOON)


@workflow.defn
class Counter:
    """Waits for signals and updates until it is told to stop."""

    def __init__(self) -> None:
        self.total = 0
        self.stopped = False

    @workflow.run
    async def run(self) -> int:
        await workflow.wait_condition(lambda: self.stopped)
        return self.total

    @workflow.signal
    def add(self, n: int) -> None:
        self.total += n

    @workflow.signal
    def stop(self) -> None:
        self.stopped = True

    @workflow.query
    def now(self) -> int:
        return self.total

    @workflow.query
    def broken(self) -> int:
        raise ApplicationError("cannot say")

    @workflow.update
    async def add_and_get(self, n: int) -> int:
        await workflow.sleep(0.01)
        self.total += n
        return self.total

    @add_and_get.validator
    def check(self, n: int) -> None:
        if n < 0:
            raise ApplicationError("must not be negative")


@workflow.defn
class Sleeper:
    @workflow.run
    async def run(self, seconds: float) -> str:
        try:
            await asyncio.sleep(seconds)
            return "slept"
        except asyncio.CancelledError:
            workflow.upsert_memo({"woken": True})
            raise


@workflow.defn
class CancelsItsActivity:
    @workflow.run
    async def run(self) -> str:
        handle = workflow.start_activity(
            beats_until_cancelled,
            start_to_close_timeout=SOON,
            heartbeat_timeout=timedelta(seconds=5),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        await asyncio.sleep(0.3)
        handle.cancel()
        return await handle


@workflow.defn
class Parent:
    @workflow.run
    async def run(self, fail: bool) -> str:
        if fail:
            return await workflow.execute_child_workflow(Fails.run, id=f"{workflow.info().workflow_id}-child")
        return await workflow.execute_child_workflow(Hello.run, "child", id=f"{workflow.info().workflow_id}-child")


@workflow.defn
class Countdown:
    @workflow.run
    async def run(self, n: int) -> str:
        if n:
            workflow.continue_as_new(n - 1)
        return "lift-off"


WORKFLOWS: list[type] = [
    Hello,
    Retries,
    Fails,
    Parallel,
    Local,
    Counter,
    Sleeper,
    CancelsItsActivity,
    Parent,
    Countdown,
]
ACTIVITIES: list[Callable[..., Any]] = [greet, fails_until, fails_for_good, beats_until_cancelled, blocking]


class Sdk:
    def __init__(self, client: Client, queue: str) -> None:
        self.client, self.queue = client, queue

    def _options(self, options: dict) -> dict:
        return {"id": new_id(), "task_queue": self.queue, **options}

    async def start(self, run: Any, *args: Any, **options: Any):
        return await self.client.start_workflow(run, args=args, **self._options(options))

    async def execute(self, run: Any, *args: Any, **options: Any) -> Any:
        return await self.client.execute_workflow(run, args=args, **self._options(options))


def worker(client: Client, queue: str, threads: ThreadPoolExecutor, **options: Any) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        workflows=WORKFLOWS,
        activities=ACTIVITIES,
        activity_executor=threads,
        # The sandbox checks workflow code, not servers, and costs seconds for each worker.
        workflow_runner=UnsandboxedWorkflowRunner(),
        **options,
    )


@pytest.fixture
def sdk(raw, address: str) -> Callable[[Callable[[Sdk], Awaitable[None]]], None]:
    """Runs a coroutine with a client, while a worker serves its queue."""

    def runner(body: Callable[[Sdk], Awaitable[None]], **options: Any) -> None:
        async def main() -> None:
            client, queue = await Client.connect(address), new_id("q")
            with ThreadPoolExecutor(8) as threads:
                async with worker(client, queue, threads, **options):
                    await asyncio.wait_for(body(Sdk(client, queue)), 30)

        asyncio.run(main())

    return runner


def test_a_workflow_with_an_activity(sdk):
    async def body(sdk: Sdk) -> None:
        assert await sdk.execute(Hello.run, "you") == "hello you"

    sdk(body)


def test_without_a_workflow_cache(sdk):
    async def body(sdk: Sdk) -> None:
        assert await sdk.execute(Hello.run, "you") == "hello you"
        counter = await sdk.start(Counter.run)
        await counter.signal(Counter.add, 2)
        assert await counter.query(Counter.now) == 2
        assert await counter.execute_update(Counter.add_and_get, 1) == 3

    sdk(body, max_cached_workflows=0)


def test_retries(sdk):
    async def body(sdk: Sdk) -> None:
        assert await sdk.execute(Retries.run, 3) == 3

    sdk(body)


def test_a_failure_comes_through(sdk):
    async def body(sdk: Sdk) -> None:
        with pytest.raises(WorkflowFailureError) as error:
            await sdk.execute(Fails.run)
        assert isinstance(error.value.cause, ActivityError)
        cause = error.value.cause.cause
        assert isinstance(cause, ApplicationError)
        assert (cause.message, cause.type, list(cause.details)) == ("no use", "NoUse", ["detail"])

    sdk(body)


def test_many_activities(sdk):
    async def body(sdk: Sdk) -> None:
        assert await sdk.execute(Parallel.run, 40) == 40 * 39

    sdk(body)


def test_a_local_activity(sdk):
    async def body(sdk: Sdk) -> None:
        assert await sdk.execute(Local.run) == "hello local"

    sdk(body)


def test_signals_queries_and_updates(sdk):
    async def body(sdk: Sdk) -> None:
        counter = await sdk.start(Counter.run)
        await counter.signal(Counter.add, 2)
        assert await counter.query(Counter.now) == 2
        with pytest.raises(WorkflowQueryFailedError):
            await counter.query(Counter.broken)
        assert await counter.execute_update(Counter.add_and_get, 3) == 5
        with pytest.raises(WorkflowUpdateFailedError) as error:
            await counter.execute_update(Counter.add_and_get, -1)
        assert error.value.cause.message == "must not be negative"
        update = await counter.start_update(Counter.add_and_get, 1, wait_for_stage=WorkflowUpdateStage.ACCEPTED)
        assert await update.result() == 6
        await counter.signal(Counter.stop)
        assert await counter.result() == 6
        assert await counter.query(Counter.now) == 6

    sdk(body)


def test_signal_with_start_and_update_with_start(sdk):
    async def body(sdk: Sdk) -> None:
        counter = await sdk.start(Counter.run, start_signal="add", start_signal_args=[4])
        assert await counter.query(Counter.now) == 4
        start = WithStartWorkflowOperation(
            Counter.run, id=new_id(), task_queue=sdk.queue, id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING
        )
        assert (
            await sdk.client.execute_update_with_start_workflow(Counter.add_and_get, 7, start_workflow_operation=start)
            == 7
        )

    sdk(body)


def test_timers_and_cancellation(sdk):
    async def body(sdk: Sdk) -> None:
        assert await sdk.execute(Sleeper.run, 0.1) == "slept"
        sleeper = await sdk.start(Sleeper.run, 600)
        await sleeper.query("__stack_trace")
        await sleeper.cancel()
        with pytest.raises(WorkflowFailureError) as error:
            await sleeper.result()
        assert isinstance(error.value.cause, CancelledError)
        assert await (await sleeper.describe()).memo_value("woken") is True

    sdk(body)


def test_an_activity_is_cancelled(sdk):
    async def body(sdk: Sdk) -> None:
        assert await sdk.execute(CancelsItsActivity.run) == "stopped"

    sdk(body)


def test_termination_and_timeout(sdk):
    async def body(sdk: Sdk) -> None:
        sleeper = await sdk.start(Sleeper.run, 600)
        await sleeper.terminate("enough")
        with pytest.raises(WorkflowFailureError) as error:
            await sleeper.result()
        assert isinstance(error.value.cause, TerminatedError)
        with pytest.raises(WorkflowFailureError) as error:
            await sdk.execute(Sleeper.run, 600, run_timeout=timedelta(seconds=1))
        assert isinstance(error.value.cause, TimeoutError)

    sdk(body)


def test_children(sdk):
    async def body(sdk: Sdk) -> None:
        assert await sdk.execute(Parent.run, False) == "hello child"
        with pytest.raises(WorkflowFailureError) as error:
            await sdk.execute(Parent.run, True)
        assert isinstance(error.value.cause, ChildWorkflowError)

    sdk(body)


def test_a_chain_of_runs(sdk):
    async def body(sdk: Sdk) -> None:
        countdown = await sdk.start(Countdown.run, 2)
        assert await countdown.result() == "lift-off"

    sdk(body)


def test_an_id_in_use(sdk):
    async def body(sdk: Sdk) -> None:
        first = await sdk.start(Sleeper.run, 600)
        with pytest.raises(WorkflowAlreadyStartedError):
            await sdk.start(Sleeper.run, 600, id=first.id)
        same = await sdk.start(Sleeper.run, 600, id=first.id, id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING)
        assert same.result_run_id == first.result_run_id
        await first.terminate()

    sdk(body)


def test_listing_and_describing(sdk):
    async def body(sdk: Sdk) -> None:
        sleeper = await sdk.start(Sleeper.run, 600, memo={"k": "v"})
        query = f"WorkflowId = '{sleeper.id}'"
        for _ in range(50):
            found = [item async for item in sdk.client.list_workflows(query)]
            if found:
                break
            await asyncio.sleep(0.1)
        assert [item.run_id for item in found] == [sleeper.result_run_id]
        assert (await sdk.client.count_workflows(query)).count == 1
        description = await sleeper.describe()
        assert (description.workflow_type, description.task_queue) == ("Sleeper", sdk.queue)
        assert await description.memo() == {"k": "v"}
        history = await sleeper.fetch_history()
        assert len(history.events) >= 2
        await sleeper.terminate()

    sdk(body)


def test_a_worker_restart_loses_nothing(raw, address: str):
    async def main() -> None:
        client, queue = await Client.connect(address), new_id("q")
        with ThreadPoolExecutor(4) as threads:
            async with worker(client, queue, threads):
                counter = await client.start_workflow(Counter.run, id=new_id(), task_queue=queue)
                await counter.signal(Counter.add, 1)
                assert await counter.query(Counter.now) == 1
            await counter.signal(Counter.add, 2)
            async with worker(client, queue, threads):
                assert await counter.execute_update(Counter.add_and_get, 4) == 7
                await counter.signal(Counter.stop)
                assert await counter.result() == 7

    asyncio.run(main())


def test_unknown_workflows(sdk):
    async def body(sdk: Sdk) -> None:
        with pytest.raises(RPCError) as error:
            await sdk.client.get_workflow_handle(new_id("nobody")).describe()
        assert error.value.status == RPCStatusCode.NOT_FOUND

    sdk(body)


def test_eager_start(sdk):
    async def body(sdk: Sdk) -> None:
        assert await sdk.execute(Hello.run, "eager", request_eager_start=True) == "hello eager"

    sdk(body)
