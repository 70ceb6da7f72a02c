"""Runs a command beside buckets: services that speak the protocols of S3, Google Cloud Storage and Azure Blob Storage.

    .venv/bin/pip install -r tests/sdk/requirements.txt
    .venv/bin/python tests/sdk/buckets.py cargo nextest run -p tradewind --run-ignored only

Each has a bucket `tradewind`, and the command finds them by the variables that programs of these clouds read. S3 (moto)
and Azure (azurite, which npm has and must be on the path) check signatures. Google's (gcp-storage-emulator) checks
nothing. It also leaves out two headers that the service sends with each object and clients rely on; those are added.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from hashlib import md5

BUCKET = "tradewind"

# The account that azurite has, with its published key.
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@contextmanager
def s3() -> Iterator[dict[str, str]]:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        settings = {"region_name": "eu-north-1", "endpoint_url": endpoint}
        nobody = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nothing"}
        iam = boto3.client("iam", **settings, **nobody)
        iam.create_user(UserName="worker")
        anything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
        iam.put_user_policy(UserName="worker", PolicyName="buckets", PolicyDocument=json.dumps(anything))
        key = iam.create_access_key(UserName="worker")["AccessKey"]
        boto3.client("s3", **settings, **nobody).create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": settings["region_name"]}
        )
        # From here on it asks who is there.
        send(f"{endpoint}/moto-api/reset-auth", "POST", {"Content-Type": "text/plain"}, b"0")
        yield {
            "AWS_ENDPOINT_URL_S3": endpoint,
            "AWS_REGION": settings["region_name"],
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }
    finally:
        server.stop()


@contextmanager
def gcs() -> Iterator[dict[str, str]]:
    from gcp_storage_emulator import server as emulator
    from gcp_storage_emulator.handlers import objects

    def with_headers(handler):
        def handle(request, response, storage, *args, **kwargs):
            handler(request, response, storage, *args, **kwargs)
            if response.status < 300:
                where = request.params["bucket_name"], request.params["object_id"]
                response["ETag"] = f'"{md5(storage.get_file(*where)).hexdigest()}"'
                response["Last-Modified"] = formatdate(usegmt=True)

        return handle

    for _, methods in emulator.HANDLERS:
        for method, handler in methods.items():
            if handler in (objects.download, objects.xml_upload):
                methods[method] = with_headers(handler)

    port = free_port()
    server = emulator.create_server("127.0.0.1", port, in_memory=True, default_bucket=BUCKET)
    server.start()
    try:
        yield {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"}
    finally:
        server.stop()


@contextmanager
def azure() -> Iterator[dict[str, str]]:
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}"
    where = ["--blobHost", "127.0.0.1", "--blobPort", str(port)]
    kind = ["--inMemoryPersistence", "--disableTelemetry", "--silent", "--skipApiVersionCheck"]
    server = subprocess.Popen(["azurite-blob", *where, *kind], stdout=subprocess.DEVNULL)
    try:
        wait_for(port, server)
        make_container(endpoint)
        yield {
            "AZURE_STORAGE_ENDPOINT": endpoint,
            "AZURE_STORAGE_ACCOUNT_NAME": AZURE_ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY,
        }
    finally:
        server.terminate()
        server.wait(30)


def make_container(endpoint: str) -> None:
    """With a signature of our own: one request is not worth a client library."""
    import base64
    import hmac

    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
    signed = "".join(f"{name}:{value}\n" for name, value in headers.items())
    resource = f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{BUCKET}\nrestype:container"
    text = "PUT" + "\n" * 12 + signed + resource
    signature = base64.b64encode(hmac.digest(base64.b64decode(AZURE_KEY), text.encode(), "sha256")).decode()
    headers["Authorization"] = f"SharedKey {AZURE_ACCOUNT}:{signature}"
    send(f"{endpoint}/{BUCKET}?restype=container", "PUT", headers)


def send(url: str, method: str, headers: dict[str, str], data: bytes | None = None) -> None:
    urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method)).close()


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


def wait_for(port: int, server: subprocess.Popen) -> None:
    for _ in range(600):
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        if server.poll() is not None:
            break
        time.sleep(0.05)
    sys.exit(f"{server.args[0]} did not start")


def main() -> int:
    # A line for each request would hide what the command says.
    logging.disable(logging.WARNING)
    with s3() as s3_variables, gcs() as gcs_variables, azure() as azure_variables:
        return subprocess.call(sys.argv[1:], env={**os.environ, **s3_variables, **gcs_variables, **azure_variables})


if __name__ == "__main__":
    sys.exit(main())
