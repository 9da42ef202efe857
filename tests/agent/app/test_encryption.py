"""Sensitive fields through two real agents and a real broker: readable at both ends, and nowhere between."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from letrade_topo.keys.folder import DEAD_LETTER_OWNER
from letrade_topo.keys.keyset import load_keyset
from letrade_topo.keys.rotation import Rotated, Timing, rotate_keys
from letrade_topo.messages.decryption import Opened, reveal
from tests.agent.app.world import LIMIT_SECONDS, QUEUE, SmallBus, applied, order, until
from tests.agents import AgentFactory, RunningAgent
from tests.brokers import RunningBroker
from tests.topologies import orders, write

pytestmark = pytest.mark.one_version

CARD, TOTAL = "4111-7770-0420-9993", 918273.645
VALUES = (CARD, str(TOTAL), base64.b64encode(CARD.encode()).decode()[:16])
FIELDS = ("/card", "/total")
DEAD, REJECTED = "letrade.dlq", f"{QUEUE}.rejected"


@pytest.fixture
def place(broker: RunningBroker, vhost_name: str, tmp_path: Path, start_agent: AgentFactory) -> Iterator[SmallBus]:
    """Orders with two sensitive fields; orders that are lost have a consumer and no queue."""
    document = orders(name=vhost_name, vhost=vhost_name)
    document["messages"]["order.lost"] = {"exchange": "orders", "lifetime": "60s"}
    for name in ("order.placed", "order.lost"):
        document["messages"][name] = document["messages"][name] | {"sensitive": list(FIELDS)}
    document["services"]["shop"]["publishes"].append("order.lost")
    document["services"]["clerk"]["consumes"].append("order.lost")
    with applied(broker, tmp_path, document, start_agent) as made:
        yield made


def sensitive_order(number: int = 1) -> bytes:
    """A body in a formatting of its own."""
    body = order(number=number, card=CARD, total=TOTAL)
    return body.replace(b": ", b" :\t").replace(b"918273.645", b"918273.6450")


def seen_on_the_broker(place: SmallBus, queue: str) -> dict[str, Any]:
    """The message at a queue's head, waited for and left there, as the management API shows it to a person."""
    path = f"/api/queues/{quote(place.document['vhost'], safe='')}/{queue}/get"
    question = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}
    deadline = time.monotonic() + LIMIT_SECONDS
    while True:
        found: list[dict[str, Any]] = place.broker.api("POST", path, json=question).json()
        if found:
            return found[0]
        assert time.monotonic() < deadline, f"nothing in {queue}"
        time.sleep(0.05)


def received(channel: BlockingChannel) -> tuple[int, bytes]:
    """The next delivery's tag and body."""
    for method, _, body in channel.consume(QUEUE, inactivity_timeout=LIMIT_SECONDS):
        assert method is not None, "nothing came"
        return method.delivery_tag, body
    raise AssertionError("cancelled")


def told(*agents: RunningAgent) -> str:
    """Everything that agents say: log, metrics, status, its page."""
    return "".join(
        one.log_file.read_text() + "".join(one.admin(path).text for path in ("/metrics", "/status", "/"))
        for one in agents
    )


def assert_hidden(text: str) -> None:
    """No sensitive value, however it is encoded."""
    for value in VALUES:
        assert value not in text


def test_readable_at_both_ends_only(place: SmallBus) -> None:
    """On the broker, on the retry ladder, among the dead letters, in logs, metrics and pages: searched for by value."""
    shop, clerk = place.agent("shop"), place.agent("clerk")
    body = sensitive_order()
    place.channel(shop).basic_publish("orders", "order.placed", body)

    shown = seen_on_the_broker(place, QUEUE)
    assert_hidden(json.dumps(shown))
    assert shown["payload"].startswith('{"encrypted":')
    assert json.loads(shown["payload"])["payload"] == {"number": 1, "card": None, "total": None}

    consuming = place.channel(clerk)
    for _ in range(2):  # as published, and again from the ladder
        tag, got = received(consuming)
        assert got == body
        consuming.basic_reject(tag, requeue=False)
    dead = seen_on_the_broker(place, DEAD)
    assert_hidden(json.dumps(dead))
    assert dead["payload"] == shown["payload"]
    assert_hidden(told(shop, clerk))
    keys = load_keyset(place.keys, DEAD_LETTER_OWNER)
    assert reveal(dead["payload"].encode(), keys, time.time()) == Opened(body, FIELDS)


def test_what_the_schema_refuses(place: SmallBus) -> None:
    """Neither the refusal's text nor the log of either side has the value."""
    schema = {"type": "object", "properties": {"card": {"type": "integer"}, "total": {}}}
    document = {**place.document, "messages": {**place.document["messages"]}}
    document["messages"]["order.placed"] = document["messages"]["order.placed"] | {"schema": schema}
    lax = place.agent("shop")
    place.channel(lax).basic_publish("orders", "order.placed", sensitive_order())
    write(place.topology, document)
    shop, clerk = place.agent("shop"), place.agent("clerk")

    with pytest.raises(pika.exceptions.NackError):
        place.channel(shop).basic_publish("orders", "order.placed", sensitive_order())
    consuming = place.channel(clerk)
    consuming.basic_consume(QUEUE, lambda *_: None)
    until(lambda: clerk.metric("dead_letters_total", reason="schema"), "the clerk's agent refuses it")
    assert_hidden(json.dumps(seen_on_the_broker(place, DEAD)) + told(shop, clerk))


def test_returned(place: SmallBus) -> None:
    """What the broker cannot route comes back to its publisher, who could not read it otherwise, as it was sent."""
    publishing, body = place.channel(place.agent("shop")), sensitive_order()

    with pytest.raises(pika.exceptions.UnroutableError) as returned:
        publishing.basic_publish("orders", "order.lost", body, mandatory=True)

    (message,) = returned.value.messages
    assert (message.body, message.method.reply_code) == (body, 312)
    assert message.properties.message_id is None


def test_rotation_under_load(place: SmallBus) -> None:
    """While keys rotate every message arrives; then the new key is in use, and what the old one hid is still read."""
    shop, clerk = place.agent("shop"), place.agent("clerk")
    publishing, first = place.channel(shop), sensitive_order(0)
    publishing.basic_publish("orders", "order.placed", first)
    before = recipients_of(seen_on_the_broker(place, QUEUE))
    kid = shop.status()["keys"]["signing_kid"]

    rotated = rotate_keys(place.keys, [], algorithm=None, now=int(time.time()), timing=Timing(3, 600, None))
    for agent in (shop, clerk):
        until(lambda: has_keys(agent, rotated), f"the {agent.service} has all new keys")  # noqa: B023  # asked at once
    bodies = [first]
    while shop.status()["keys"]["signing_kid"] == kid:
        bodies.append(sensitive_order(len(bodies)))
        publishing.basic_publish("orders", "order.placed", bodies[-1])
    bodies.append(sensitive_order(len(bodies)))
    publishing.basic_publish("orders", "order.placed", bodies[-1])

    consuming = place.channel(clerk)
    for expected in bodies:
        tag, got = received(consuming)
        assert got == expected
        consuming.basic_ack(tag)
    consuming.cancel()
    publishing.basic_publish("orders", "order.placed", sensitive_order())
    assert set(recipients_of(seen_on_the_broker(place, QUEUE))).isdisjoint(before)
    assert clerk.status()["messages"]["refused"] == []


def has_keys(agent: RunningAgent, rotated: Rotated) -> bool:
    """Whether an agent has read everything that a rotation wrote."""
    known = {key["kid"] for key in agent.status()["keys"]["signature_keys"]}
    return known >= {key.kid for key in rotated.successors if key.use.value == "sig"}


def recipients_of(shown: dict[str, Any]) -> list[str]:
    """The kids in a message's JWE."""
    return [each["header"]["kid"] for each in json.loads(shown["payload"])["encrypted"]["recipients"]]


def test_a_missing_key(place: SmallBus) -> None:
    """Without its private key the consumer's agent gives it up, naming the fields; with it, later ones arrive."""
    private = place.keys / "clerk" / "encryption.jwk"
    content = private.read_text()
    private.unlink()
    shop, clerk = place.agent("shop"), place.agent("clerk")
    publishing, body = place.channel(shop), sensitive_order()
    publishing.basic_publish("orders", "order.placed", body)
    consuming = place.channel(clerk)
    consuming.basic_qos(prefetch_count=1)
    generator = consuming.consume(QUEUE, inactivity_timeout=0.2)
    next(generator)

    until(lambda: clerk.metric("dead_letters_total", reason="decrypt"), "it is among the dead letters")
    dead = seen_on_the_broker(place, DEAD)
    assert dead["properties"]["headers"]["letrade-reason"] == "decrypt"
    assert_hidden(json.dumps(dead) + told(shop, clerk))
    (line,) = [one for one in clerk.log() if one.get("event") == "delivery_failed"]
    assert line["text"].startswith("/card, /total cannot be decrypted: it is encrypted to clerk:")

    private.touch(mode=0o600)
    private.write_text(content)
    until(lambda: clerk.status()["keys"]["reloads"]["ok"], "the key is there")
    publishing.basic_publish("orders", "order.placed", body)
    consuming.cancel()
    assert received(consuming)[1] == body


def test_a_consumer_without_a_public_key(place: SmallBus) -> None:
    """The publish is refused with the name of who could not read it; the channel stays."""
    file = place.keys / "public" / "jwks.json"
    published = json.loads(file.read_text())
    published["keys"] = [key for key in published["keys"] if (key["iss"], key["use"]) != ("clerk", "enc")]
    file.write_text(json.dumps(published))
    shop = place.agent("shop")
    publishing = place.channel(shop)

    with pytest.raises(pika.exceptions.NackError) as refused:
        publishing.basic_publish("orders", "order.placed", sensitive_order(), mandatory=True)
    (message,) = refused.value.messages
    assert "clerk, which consumes order.placed, has no key to encrypt /card, /total to" in message.method.reply_text
    assert shop.metric("messages_rejected_total", reason="encrypt") == 1
    publishing.basic_publish("orders", "order.placed", order(number=1))
    assert_hidden(told(shop))
