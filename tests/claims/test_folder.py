"""Bodies that are too large for the broker, through two agents, with a folder as the object store."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pika
import pytest

from letrade_topo.keys.folder import DEAD_LETTER_OWNER
from letrade_topo.keys.keyset import load_keyset
from letrade_topo.messages.claim import CONTENT_TYPE, object_prefix
from letrade_topo.messages.decryption import Opened, reveal
from tests.agents import RunningAgent
from tests.claims.world import CARD, MIB, QUEUE, ClaimWorld, order, until
from tests.topologies import loaded

pytestmark = pytest.mark.one_version

WIRE_LIMIT = 128 * 1024
BIG = 256 * 1024


def digest(body: bytes) -> str:
    """For comparing what is too long to be shown."""
    return sha256(body).hexdigest()


def most_memory(agent: RunningAgent) -> int:
    """The most bytes that the process has had in memory."""
    lines = Path(f"/proc/{agent.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


def test_ten_megabytes(world: ClaimWorld) -> None:
    """They arrive as they were published, properties included; on the broker lies a stub that says where."""
    body = order(10 * MIB)
    assert len(body) > 10 * MIB

    world.publish(body, content_type="application/json", correlation_id="c-1", headers={"own": 15})
    (seen,) = world.messages(QUEUE)
    stub = json.loads(seen["payload"])
    assert seen["properties"]["content_type"] == CONTENT_TYPE.decode()
    assert len(seen["payload"]) < 400
    (stored,) = world.objects
    assert stub["object"] == str(stored.relative_to(world.store))
    assert (stub["size"], stub["sha256"]) == (stored.stat().st_size, digest(stored.read_bytes()))
    assert stub["content_type"] == "application/json"
    today = time.strftime("%Y-%m-", time.gmtime())
    assert stub["object"].startswith(f"{object_prefix(loaded(world.document), 'shop')}/{today}")

    ((properties, got),) = world.receive()
    assert digest(got) == digest(body)
    assert (properties.content_type, properties.correlation_id) == ("application/json", "c-1")
    assert properties.headers["own"] == 15
    assert not [name for name in properties.headers if name.startswith("letrade-")]
    assert world.shop.metric("claims_total", operation="store", outcome="ok") > 0
    assert world.clerk.metric("claim_bytes_total", operation="fetch") >= len(body)


def test_memory_is_bounded(world: ClaimWorld) -> None:
    """Twelve bodies of 10 MiB, prefetched together by a client that reads none: an agent holds a few at a time."""
    before = most_memory(world.shop), most_memory(world.clerk)
    bodies = [order(10 * MIB) for _ in range(3)]
    world.publish(*bodies * 4)
    with world.channel(world.clerk) as channel:
        channel.basic_consume(QUEUE, lambda *_: None)
        until(lambda: world.clerk.metric("unsettled_deliveries"), "the first is shown")
        until(lambda: world.clerk.metric("held_deliveries") > 5, "others wait")
    got = world.receive(12)

    assert {digest(body) for _, body in got} == {digest(body) for body in bodies}
    grown = most_memory(world.shop) - before[0], most_memory(world.clerk) - before[1]
    assert max(grown) < 100 * MIB, f"{[size // MIB for size in grown]} MiB"


def test_the_wire_limit_decides(world: ClaimWorld) -> None:
    """What fits travels as ever; a byte more of what is on the wire goes to the store, and every body arrives."""
    small, large = order(WIRE_LIMIT - 40_000), order(WIRE_LIMIT)
    world.publish(small, large)

    assert len(world.objects) == 1
    assert [digest(body) for _, body in world.receive(2)] == [digest(small), digest(large)]


def test_too_large_for_the_claim_check(world: ClaimWorld) -> None:
    """Refused with both figures before a byte of it is taken in; the channel stays."""
    body = order(17 * MIB)
    with world.channel(world.shop) as channel:
        with pytest.raises(pika.exceptions.NackError) as refused:
            channel.basic_publish("orders", "order.placed", body, mandatory=True)
        (returned,) = refused.value.messages
        assert returned.method.reply_text == (
            f"PRECONDITION_FAILED - message size {len(body)} is larger than configured max size {16 * MIB}"
        )
        channel.basic_publish("orders", "order.placed", order())
    assert not world.objects


def test_a_stub_of_a_client(world: ClaimWorld) -> None:
    """Is refused: whoever could make one could have any object read to a consumer."""
    for content_type in (CONTENT_TYPE.decode(), f" {CONTENT_TYPE.decode().title()} ; x=1"):
        with pytest.raises(pika.exceptions.NackError):
            world.publish(order(), content_type=content_type)
    assert world.shop.metric("messages_rejected_total", reason="claim_stub") == 2


def test_order_and_other_channels(world: ClaimWorld) -> None:
    """Large and small ones of a channel arrive in their order; confirms come for all of them."""
    bodies = [order(BIG if number % 3 == 0 else 0, place=number) for number in range(12)]
    world.publish(*bodies)

    assert [json.loads(body)["payload"]["place"] for _, body in world.receive(12)] == list(range(12))


def test_a_missing_object(world: ClaimWorld) -> None:
    """The message goes to the dead letters with the reason, and later ones arrive."""
    world.publish(order(BIG))
    (stored,) = world.objects
    stored.unlink()
    world.publish(small := order())

    with world.deliveries() as deliveries:  # until it is handed over: who leaves before lets it go back
        channel, method, _, got = next(deliveries)
        channel.basic_ack(method.delivery_tag)
        dead = world.dead()
    assert got == small
    assert dead["properties"]["headers"]["letrade-reason"] == "claim_missing"
    assert dead["routing_key"] == "order.placed.dead"
    assert json.loads(dead["payload"])["object"].endswith(stored.name)
    assert world.clerk.metric("claims_total", outcome="claim_missing") == 1


@pytest.mark.parametrize("how", ["one bit", "shorter", "longer", "empty"])
def test_an_altered_object(world: ClaimWorld, how: str) -> None:
    """The same, by size or by digest."""
    world.publish(order(BIG))
    (stored,) = world.objects
    content = stored.read_bytes()
    middle = len(content) // 2
    altered = {
        "one bit": content[:middle] + bytes((content[middle] ^ 1,)) + content[middle + 1 :],
        "shorter": content[:-1],
        "longer": content + b" ",
        "empty": b"",
    }
    stored.write_bytes(altered[how])

    with world.channel(world.clerk) as channel:
        channel.basic_consume(QUEUE, lambda *_: pytest.fail("the service sees it"))
        dead = world.dead()
        channel.connection.process_data_events(0)
    assert dead["properties"]["headers"]["letrade-reason"] == "claim_altered"


def test_rejected_then_dead_then_replayed(world: ClaimWorld) -> None:
    """The stub travels, the object stays where it is: on the ladder, among the dead letters, and back again."""
    body = order(BIG)
    world.publish(body)
    with world.deliveries() as deliveries:
        for attempt in (None, 1):
            channel, method, properties, got = next(deliveries)
            assert digest(got) == digest(body)
            assert (properties.headers or {}).get("letrade-attempt") == attempt
            channel.basic_reject(method.delivery_tag, requeue=False)
    dead = world.dead()
    assert dead["properties"]["headers"]["letrade-reason"] == "rejected"
    assert json.loads(dead["payload"])["size"] == world.objects[0].stat().st_size

    world.dlq("replay", "--yes")
    ((_, replayed),) = world.receive()
    assert digest(replayed) == digest(body)


def test_what_dlq_says_of_it(world: ClaimWorld) -> None:
    """Reference, size, whether the object is there; and that it is near its end."""
    world.publish(order(BIG))
    with world.deliveries() as deliveries:
        for _ in range(2):
            channel, method, *_ = next(deliveries)
            channel.basic_reject(method.delivery_tag, requeue=False)
    dead = world.dead()
    stub = json.loads(dead["payload"])
    message_id = dead["properties"]["message_id"]

    listed = json.loads(world.dlq("ls", "--format", "json"))
    (letter,) = listed["messages"]
    assert (letter["claim"]["object"], letter["claim"]["bytes"]) == (stub["object"], stub["size"])
    assert (letter["claim"]["near_end"], listed["claims_near_end"]) == (False, 0)
    shown = world.dlq("show", message_id)
    assert stub["object"] in shown
    assert f"{stub['size']:,} bytes, still there" in shown
    assert CARD not in shown
    revealed = world.dlq("show", message_id, "--reveal")
    assert CARD in revealed
    assert "more characters" in revealed
    world.objects[0].unlink()
    assert "not there any more" in world.dlq("show", message_id)


def test_sensitive_fields(world: ClaimWorld) -> None:
    """The stored object holds them encrypted and nothing says them; the reader of dead letters can decrypt it."""
    body = order(BIG)
    world.publish(body)
    (stored,) = world.objects
    content = stored.read_bytes()
    said = [world.shop.log_file.read_bytes(), world.clerk.log_file.read_bytes(), content, stored.name.encode()]
    said += [agent.admin(path).content for agent in (world.shop, world.clerk) for path in ("/metrics", "/status", "/")]
    said.append(json.dumps(world.messages(QUEUE)).encode())
    for value in (CARD.encode(), base64.b64encode(CARD.encode())[:16]):
        assert not [place for place in said if value in place]
    assert json.loads(content)["payload"]["card"] is None
    keys = load_keyset(world.folder / "keys", DEAD_LETTER_OWNER)
    assert reveal(content, keys, time.time()) == Opened(body, ("/card",))
    assert [got for _, got in world.receive()] == [body]


@contextmanager
def store_away(world: ClaimWorld) -> Iterator[None]:
    """The folder is gone for a while, as a volume that is not mounted."""
    away = world.store.with_name("away")
    world.store.rename(away)
    try:
        yield
    finally:
        away.rename(world.store)


def test_a_store_that_is_away_while_publishing(world: ClaimWorld) -> None:
    """A large body is refused with the reason; small ones go on, and large ones when it is back."""
    with world.channel(world.shop) as channel:
        with store_away(world):
            with pytest.raises(pika.exceptions.NackError) as refused:
                channel.basic_publish("orders", "order.placed", order(BIG), mandatory=True)
            (returned,) = refused.value.messages
            assert "needs the claim check's store" in returned.method.reply_text
            assert "is not there" in returned.method.reply_text
            channel.basic_publish("orders", "order.placed", order(place=1))
            assert world.shop.metric("claims_total", operation="store", outcome="unavailable") == 1
        channel.basic_publish("orders", "order.placed", order(BIG, place=2))

    assert [json.loads(body)["payload"]["place"] for _, body in world.receive(2)] == [1, 2]


def test_a_store_that_is_away_while_consuming(world: ClaimWorld) -> None:
    """The delivery stays unacknowledged and is tried again; it is no dead letter, and comes when the store is back."""
    world.publish(order(BIG, place=1), order(place=2))
    with store_away(world), world.channel(world.clerk) as channel:
        channel.basic_consume(QUEUE, lambda *_: pytest.fail("overtaken"))
        failures = world.clerk.metric("claims_total", operation="fetch", outcome="unavailable")
        until(
            lambda: world.clerk.metric("claims_total", operation="fetch", outcome="unavailable") > failures + 1,
            "it was tried twice",
        )
        until(lambda: world.clerk.metric("held_deliveries") == 2, "both wait")
        channel.connection.process_data_events(0)
    assert not world.messages("letrade.dlq")

    assert [json.loads(body)["payload"]["place"] for _, body in world.receive(2)] == [1, 2]


def test_no_file_in_the_place_of_an_object_holds_anybody_up(world: ClaimWorld) -> None:
    """A named pipe, which would wait for a writer, or a link to a device without an end: altered, like any other."""
    world.publish(order(BIG, place=1), order(BIG, place=2), order(place=3))
    pipe, link = world.objects
    for path in (pipe, link):
        path.unlink()
    os.mkfifo(pipe)
    link.symlink_to("/dev/zero")
    altered = world.clerk.metric("claims_total", outcome="claim_altered")
    assert [json.loads(body)["payload"]["place"] for _, body in world.receive()] == [3]
    until(lambda: world.clerk.metric("claims_total", outcome="claim_altered") == altered + 2, "both are dead letters")
    for path in (pipe, link):
        path.unlink()


def test_a_folder_that_everybody_may_change(world: ClaimWorld) -> None:
    """It is used, and the agent says at its start what can become of it, and what to do."""
    world.store.chmod(0o777)
    try:
        with world.agent("shop") as agent:
            (told,) = (line for line in agent.log() if line["event"] == "claim_store_open_to_everybody")
            assert (told["level"], told["folder"]) == ("warning", str(world.store))
            assert told["fix"].startswith(f"chmod o-w {world.store};")
        world.store.chmod(0o775)
        with world.agent("shop") as agent:
            assert "claim_store_open_to_everybody" not in {line["event"] for line in agent.log()}
    finally:
        world.store.chmod(0o755)


def test_expired_objects_are_deleted(world: ClaimWorld) -> None:
    """By the agent of the service that wrote them, day by day; what is within its retention stays, and others' stay."""
    topology = loaded(world.document)
    own, other = (world.store / object_prefix(topology, service) for service in ("shop", "clerk"))
    kept_days = topology.claim_check.retention.seconds / 86_400 if topology.claim_check else 0
    now = time.time() + 600  # where midnight comes before the agent looks, these days are what is said of them, too
    days = {age: time.strftime("%Y-%m-%d", time.gmtime(now - age * 86_400)) for age in (0, kept_days, kept_days + 2)}
    for day in days.values():
        for prefix in (own, other):
            (prefix / day).mkdir(parents=True, exist_ok=True)
            (prefix / day / ("0" * 32)).write_bytes(b"x")
    with world.agent("shop") as agent:
        until(lambda: agent.metric("claims_expired_total"), "the old ones are deleted")
        assert agent.metric("claims_expired_total") == 1
    left = {path.name for path in own.iterdir()}  # beside those of other tests, which are of this day
    assert days[kept_days + 2] not in left
    assert {days[0], days[kept_days]} <= left
    assert {path.name for path in other.iterdir()} >= set(days.values())
