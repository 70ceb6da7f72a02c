"""The worker in Rust that these tests talk to: the example `python_peer`."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def rust_worker(*bucket: str) -> Iterator[tuple[str, str]]:
    """Runs it with this kind and name of a bucket, if any, and gives the server's address and the worker's task queue."""
    address = os.environ.get("TRADEWIND_ADDRESS")
    if not address:
        pytest.exit("TRADEWIND_ADDRESS must name the server to test, for example localhost:7233", returncode=2)
    binary = Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "debug/examples/python_peer"
    queue = f"rust-{uuid.uuid4()}"
    process = subprocess.Popen([binary, address, queue, *bucket], stdin=subprocess.PIPE)
    yield address, queue
    process.stdin.close()
    assert process.wait(30) == 0
