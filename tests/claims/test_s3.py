"""The same with S3: credentials and address come from the environment, nothing of them is in the topology."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pika
import pytest

from letrade_topo.claims.store import ObjectStore, StoreUnavailable
from letrade_topo.messages.claim import object_prefix
from letrade_topo.model.claim_check import ClaimCheck
from tests.brokers import BrokerFactory
from tests.claims.s3 import BUCKET, client_of, keys_in, running_s3
from tests.claims.world import MIB, QUEUE, World, order, running_world, until
from tests.topologies import loaded

BIG = 256 * 1024
PREFIX = "letrade/claims"


@dataclass(frozen=True, slots=True)
class Cloud:
    """A world whose agents use S3."""

    world: World
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


@pytest.fixture(scope="module")
def _cloud(
    one_broker_version: str, _shared_brokers: BrokerFactory, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("s3-")
    with ExitStack() as stack:
        s3 = stack.enter_context(running_s3(folder))
        claim_check = {"store": f"s3://{BUCKET}/{PREFIX}", "retention": "30d"}
        broker = _shared_brokers(one_broker_version)
        yield Cloud(stack.enter_context(running_world(broker, folder, claim_check, s3)), s3, client_of(s3))


@pytest.fixture
def cloud(_cloud: Cloud) -> Cloud:
    """It, with nothing left in it of another test."""
    _cloud.world.empty()
    for name in _cloud.objects:
        _cloud.delete(name)
    return _cloud


def test_ten_megabytes(cloud: Cloud) -> None:
    """They go through the bucket, and arrive as they were published; no secret is in a log."""
    body = order(10 * MIB)
    cloud.world.publish(body)
    assert cloud.objects == [cloud.stub()["object"]]

    ((_, got),) = cloud.world.receive()
    assert sha256(got).digest() == sha256(body).digest()
    for agent in (cloud.world.shop, cloud.world.clerk):
        assert "test-secret" not in agent.log_file.read_text()


def test_missing_and_altered_objects(cloud: Cloud) -> None:
    """Each goes to the dead letters with its own reason; what comes behind them arrives."""
    for reason in ("claim_missing", "claim_altered"):
        cloud.world.empty()
        cloud.world.publish(order(BIG))
        name = cloud.stub()["object"]
        if reason == "claim_missing":
            cloud.delete(name)
        else:
            cloud.put(name, b"")
        cloud.world.publish(small := order())

        assert [body for _, body in cloud.world.receive()] == [small]
        dead = cloud.world.dead()
        assert dead["properties"]["headers"]["letrade-reason"] == reason
        shown = cloud.world.dlq("show", dead["properties"]["message_id"])
        assert ("not there any more" if reason == "claim_missing" else "it was altered") in shown


def test_expired_objects_are_deleted(cloud: Cloud) -> None:
    """By the publisher's agent when it starts."""
    prefix = object_prefix(loaded(cloud.world.document), "shop")
    today = time.strftime("%Y-%m-%d", time.gmtime())
    names = [f"{prefix}/{day}/{'0' * 32}" for day in ("2020-01-01", "2020-01-02", today)]
    for name in names:
        cloud.put(name, b"x")

    with cloud.world.agent("shop") as agent:
        until(lambda: agent.metric("claims_expired_total") == 2, "the old ones are deleted")
    assert cloud.objects == [names[2]]


def test_a_server_that_is_gone(cloud: Cloud, tmp_path: Path) -> None:
    """A large body is refused with the reason, a small one is not."""
    nowhere = cloud.s3 | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    world = World(cloud.world.broker, cloud.world.folder, cloud.world.document, nowhere)
    with world.agent("shop") as agent, world.channel(agent) as channel:
        with pytest.raises(pika.exceptions.NackError) as refused:
            channel.basic_publish("orders", "order.placed", order(BIG), mandatory=True)
        (returned,) = refused.value.messages
        assert returned.method.reply_text.endswith(f"the store s3://{BUCKET}/{PREFIX} cannot be used now")
        channel.basic_publish("orders", "order.placed", order())


@contextmanager
def environment(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> Iterator[None]:
    """Of this process."""
    with monkeypatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        yield


def test_a_bucket_that_is_not_there(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is a store that is away, and never an object that is missing: its messages are no dead letters."""
    with environment(monkeypatch, cloud.s3):
        store = ObjectStore(ClaimCheck(store="s3://another/claims"))
        with pytest.raises(StoreUnavailable):
            store.get("a/b/c/2026-01-01/0", 10)
        with pytest.raises(StoreUnavailable):
            store.size_of("a/b/c/2026-01-01/0")
        with pytest.raises(StoreUnavailable, match="bucket does not exist"):
            store.put("a/b/c/2026-01-01/0", b"x")
        assert ObjectStore(ClaimCheck(store=f"s3://{BUCKET}/x")).get("a/b/c/2026-01-01/0", 10) is None
