"""The same with S3: credentials and address come from the environment, nothing of them is in the topology."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

import pika
import pytest

from letrade_topo.claims.store import ObjectStore, StoreUnavailable
from letrade_topo.messages.claim import object_prefix
from letrade_topo.model.claim_check import ClaimCheck
from tests.claims.s3 import BUCKET, PREFIX, Cloud
from tests.claims.world import MIB, ClaimWorld, order, until
from tests.topologies import loaded

BIG = 256 * 1024

pytestmark = pytest.mark.one_version


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

        with cloud.world.deliveries() as deliveries:  # until it is handed over: who leaves before lets it go back
            channel, method, _, got = next(deliveries)
            channel.basic_ack(method.delivery_tag)
            dead = cloud.world.dead()
        assert got == small
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


def test_a_server_that_is_gone(cloud: Cloud) -> None:
    """A large body is refused with the reason, a small one is not."""
    nowhere = cloud.s3 | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    world = ClaimWorld(cloud.world.broker, cloud.world.folder, cloud.world.document, nowhere)
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
