"""A small document-processing service, written for Mistral Workflows.

    pip install -r requirements.txt
    SERVER_URL=http://localhost:8233 DEPLOYMENT_NAME=documents python worker.py

It serves three workflows until it is stopped. None of their code knows of retries, crashes or lost workers.
"""

from __future__ import annotations

import asyncio
import zlib
from datetime import timedelta
from pathlib import Path

import mistralai.workflows as workflows
from pydantic import BaseModel

with workflows.workflow.unsafe.imports_passed_through():
    import httpx
    from temporalio import activity as running

CHUNK_BYTES = 64 * 1024


class User(BaseModel):
    id: str
    name: str
    plan: str


class Report(BaseModel):
    user: str
    lines: list[str]


class Progress(BaseModel):
    """A checkpoint of `process_large_file`: enough to go on without reading anything twice."""

    offset: int = 0
    newlines: int = 0
    crc32: int = 0


@workflows.activity()
async def fetch_user_data(user_id: str) -> User:
    print(f"fetch_user_data({user_id!r})", flush=True)
    return User(id=user_id, name="Ada", plan="basic")


@workflows.activity()
async def generate_report(user: User) -> Report:
    print(f"generate_report for {user.name}", flush=True)
    return Report(user=user.name, lines=[f"{key}: {value}" for key, value in sorted(user.model_dump().items())])


@workflows.activity(retry_policy_max_attempts=3, retry_policy_backoff_coefficient=2.0)
async def call_external_api(url: str) -> str:
    async with httpx.AsyncClient() as client:
        reply = await client.get(url)
        print(f"call_external_api, attempt {running.info().attempt}: {reply.status_code}", flush=True)
        reply.raise_for_status()
        return reply.text


@workflows.activity(start_to_close_timeout=timedelta(minutes=5), heartbeat_timeout=timedelta(seconds=2))
async def process_large_file(path: str) -> Progress:
    details = running.info().heartbeat_details
    progress = Progress.model_validate(details[0]) if details else Progress()
    print(f"process_large_file, attempt {running.info().attempt}: from byte {progress.offset}", flush=True)
    content = await asyncio.to_thread(Path(path).read_bytes)
    while chunk := content[progress.offset : progress.offset + CHUNK_BYTES]:
        await asyncio.sleep(0.1)  # stands for the work that a real chunk would cost
        print(f"process_large_file, chunk at byte {progress.offset}", flush=True)
        progress.offset += len(chunk)
        progress.newlines += chunk.count(b"\n")
        progress.crc32 = zlib.crc32(chunk, progress.crc32)
        workflows.activity_heartbeat(progress.model_dump())
    return progress


@workflows.workflow.define(name="user_report", workflow_description="Says who a user is")
class UserReport:
    @workflows.workflow.entrypoint
    async def run(self, user_id: str) -> Report:
        return await generate_report(await fetch_user_data(user_id))


@workflows.workflow.define(name="external_lookup")
class ExternalLookup:
    @workflows.workflow.entrypoint
    async def run(self, url: str) -> str:
        return await call_external_api(url)


@workflows.workflow.define(name="digest_file")
class DigestFile:
    @workflows.workflow.entrypoint
    async def run(self, path: str) -> Progress:
        return await process_large_file(path)


WORKFLOWS = [UserReport, ExternalLookup, DigestFile]

if __name__ == "__main__":
    asyncio.run(workflows.run_worker(WORKFLOWS))
