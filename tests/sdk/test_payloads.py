"""Payloads of the Rust SDK, read and written by the official Python SDK.

One workflow, in Rust, takes its argument from a client in Python, has it turned around by an activity in Rust and back by
an activity in Python, and gives its result to the client. So every stage of each side reads what the other side wrote:
compression (`binary/zlib`), encryption (`binary/encrypted`), and references to external storage and the objects in it,
in the formats of the official drivers for S3 and Google Cloud Storage. These are used as they are, on the services that
`buckets.py` starts.

    cargo build -p tradewind --example python_peer
    TRADEWIND_ADDRESS=localhost:7233 .venv/bin/python tests/sdk/buckets.py .venv/bin/python -m pytest tests/sdk
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import os
import random
import string
import uuid
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aioboto3
import pytest
from buckets import BUCKET
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from gcloud.aio.storage import Storage
from peer import rust_worker
from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.aws.s3driver import S3StorageDriver
from temporalio.contrib.aws.s3driver.aioboto3 import new_aioboto3_client
from temporalio.contrib.gcp.gcsdriver import GCSStorageDriver
from temporalio.contrib.gcp.gcsdriver.gcloud_aio import new_gcloud_aio_client
from temporalio.converter import DataConverter, ExternalStorage, PayloadCodec, StorageDriver
from temporalio.worker import Worker

KEY_ID = b"test-key"
KEY = AESGCM(b"test-key-test-key-test-key-test!")


class Zlib(PayloadCodec):
    """As the codec of the official Go SDK does it."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload(metadata={"encoding": b"binary/zlib"}, data=zlib.compress(payload.SerializeToString()))
            for payload in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload.FromString(zlib.decompress(payload.data))
            if payload.metadata["encoding"] == b"binary/zlib"
            else payload
            for payload in payloads
        ]


class Encryption(PayloadCodec):
    """As the encryption samples of the official SDKs do it."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._seal(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._open(payload) for payload in payloads]

    def _seal(self, payload: Payload) -> Payload:
        nonce = os.urandom(12)
        return Payload(
            metadata={"encoding": b"binary/encrypted", "encryption-key-id": KEY_ID},
            data=nonce + KEY.encrypt(nonce, payload.SerializeToString(), None),
        )

    def _open(self, payload: Payload) -> Payload:
        if payload.metadata["encoding"] != b"binary/encrypted":
            return payload
        assert payload.metadata["encryption-key-id"] == KEY_ID
        return Payload.FromString(KEY.decrypt(payload.data[:12], payload.data[12:], None))


class Both(PayloadCodec):
    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return await Encryption().encode(await Zlib().encode(payloads))

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return await Zlib().decode(await Encryption().decode(payloads))


@asynccontextmanager
async def s3() -> AsyncIterator[StorageDriver]:
    async with aioboto3.Session().client("s3") as client:
        yield S3StorageDriver(client=new_aioboto3_client(client), bucket=BUCKET)


@asynccontextmanager
async def gcs() -> AsyncIterator[StorageDriver]:
    async with Storage() as client:
        yield GCSStorageDriver(client=new_gcloud_aio_client(client), bucket=BUCKET)


@activity.defn
async def python_reverse(text: str) -> str:
    return text[::-1]


@dataclasses.dataclass
class Peer:
    """The worker in Rust, and the bucket that both sides share."""

    address: str
    queue: str
    driver: Callable[[], AbstractAsyncContextManager[StorageDriver]]


@pytest.fixture(params=[s3, gcs], ids=["s3", "gcs"])
def peer(request):
    if "AWS_ENDPOINT_URL_S3" not in os.environ:
        pytest.exit("the buckets are missing: run this with tests/sdk/buckets.py", returncode=2)
    with rust_worker(request.param.__name__, BUCKET) as (address, queue):
        yield Peer(address, queue, request.param)


async def through_both(peer: Peer, text: str) -> tuple[str, WorkflowHandle]:
    async with peer.driver() as driver:
        storage = ExternalStorage(drivers=[driver], payload_size_threshold=2000)
        converter = dataclasses.replace(DataConverter.default, payload_codec=Both(), external_storage=storage)
        client = await Client.connect(peer.address, data_converter=converter)
        python_queue = f"python-{uuid.uuid4()}"
        async with Worker(client, task_queue=python_queue, activities=[python_reverse]):
            handle = await client.start_workflow(
                "through_both",
                args=[text, python_queue],
                # In the names of objects the official drivers quote what is not plain.
                id=f"both ways/it's 100% (*) änd {uuid.uuid4()}",
                task_queue=peer.queue,
                result_type=str,
            )
            return await asyncio.wait_for(handle.result(), 100), handle


def encodings(history: dict) -> list[str]:
    """What the payloads of a history say they are, as the server sees them."""
    found = []

    def look(value) -> None:
        if isinstance(value, dict):
            if "metadata" in value and "encoding" in (value["metadata"] or {}):
                found.append(base64.b64decode(value["metadata"]["encoding"]).decode())
            for inner in value.values():
                look(inner)
        elif isinstance(value, list):
            for inner in value:
                look(inner)

    look(history)
    return found


def test_small_payloads_are_compressed_and_encrypted_the_same_way(peer) -> None:
    async def run() -> None:
        result, handle = await through_both(peer, "ahoy")
        assert result == "ahoy"
        seen = encodings(json.loads((await handle.fetch_history()).to_json()))
        # Two arguments of the run, one and a result of each activity, the result.
        assert seen == ["binary/encrypted"] * 7

    asyncio.run(run())


def test_large_payloads_are_offloaded_the_same_way(peer) -> None:
    async def run() -> None:
        # Random, and still more than a server takes when compressed.
        text = "".join(random.choices(string.printable, k=2_600_000))
        result, handle = await through_both(peer, text)
        assert result == text
        seen = encodings(json.loads((await handle.fetch_history()).to_json()))
        assert sorted(set(seen)) == ["binary/encrypted", "json/protobuf"], "the name of the queue is small"
        assert seen.count("json/protobuf") == 6

    asyncio.run(run())
