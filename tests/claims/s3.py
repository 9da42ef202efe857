"""A server that speaks S3: `moto_server` (moto, Apache-2.0, kept up by Bert Blommers and others at getmoto/moto)."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import requests

from tests.claims.world import QUEUE, ClaimWorld
from tests.ports import LOOPBACK, free_port

START_SECONDS = 60.0
BUCKET, PREFIX = "claims", "letrade/claims"


@contextmanager
def running_s3(folder: Path, port: int | None = None) -> Iterator[dict[str, str]]:
    """Start it with an empty bucket; what agents need in their environment. It forgets everything at its end.

    Args:
        folder: its log goes there.
        port: where it listens; a free one without it.
    """
    port = free_port() if port is None else port
    url = f"http://{LOOPBACK}:{port}"
    command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)]
    with (folder / f"s3-{port}.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                requests.put(f"{url}/{BUCKET}", timeout=START_SECONDS).raise_for_status()
                break
            except requests.ConnectionError:
                assert process.poll() is None, (folder / f"s3-{port}.log").read_text()
                assert time.monotonic() < deadline, "moto_server does not start"
                time.sleep(0.1)
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "test-key",
            "AWS_SECRET_ACCESS_KEY": "test-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        process.terminate()
        process.wait(30)


def client_of(environment: dict[str, str]) -> Any:
    """A client of it that is not the one that agents use."""
    return boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
    )


def keys_in(client: Any) -> list[str]:
    """The names of all objects in the bucket."""
    return [found["Key"] for found in client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


@dataclass(frozen=True, slots=True)
class Cloud:
    """A world whose agents use S3."""

    world: ClaimWorld
    s3: dict[str, str]
    client: Any

    @property
    def objects(self) -> list[str]:
        """Their names, as stubs have them."""
        return [key.removeprefix(f"{PREFIX}/") for key in keys_in(self.client)]

    def put(self, name: str, body: bytes) -> None:
        """Write an object."""
        self.client.put_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}", Body=body)

    def delete(self, name: str) -> None:
        """Delete an object."""
        self.client.delete_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}")

    def stub(self) -> dict[str, str]:
        """What the message at the head of the queue says."""
        found: dict[str, str] = json.loads(self.world.messages(QUEUE)[0]["payload"])
        return found
