"""With everything enforced: a publisher and a consumer that know of no agent, each beside its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.interop.bus import DEAD, QUEUE, REJECTED, Bus, envelope, number_of
from tests.interop.client import (
    Channel,
    ChannelClosed,
    Client,
    Endpoint,
    LibraryConnection,
    PublishOutcome,
    ShownMessage,
    patiently,
)
from tests.interop.raw import RawClient
from tests.interop.test_headers import HEADER

KEY = "order.placed"
QUIET_SECONDS = 0.15
REPLY_TO = "amq.rabbitmq.reply-to"
LIMIT = 131_072

Beside = Callable[..., LibraryConnection]


@pytest.fixture
def beside(client: Client, bus: Bus) -> Iterator[Beside]:
    """Connect to an agent: `beside("shop")`."""
    opened: list[LibraryConnection] = []

    def connect(service: str, frame_max: int | None = None) -> LibraryConnection:
        agent = {"shop": bus.shop, "clerk": bus.clerk}[service]
        opened.append(patiently(lambda: client.connect(Endpoint(agent.port, bus.vhost), frame_max=frame_max)))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()


@pytest.fixture
def shop(beside: Beside) -> Channel:
    """A channel of the shop, with confirms."""
    return beside("shop").channel(confirms=True)


@pytest.fixture
def clerk(beside: Beside) -> Channel:
    """A channel of the clerk."""
    return beside("clerk").channel()


def publish(channel: Channel, exchange: str, key: str, body: bytes, *, mandatory: bool = True) -> PublishOutcome:
    """With no properties but those that the library sets itself."""
    return channel.publish(exchange, key, body, mandatory=mandatory)


def place(shop: Channel, count: int) -> None:
    """Publish orders 0, 1, …"""
    for number in range(count):
        assert publish(shop, "orders", KEY, envelope("shop", number)) is PublishOutcome.CONFIRMED


def take(channel: Channel, count: int) -> list[ShownMessage]:
    """As many deliveries."""
    found = [one for one in (channel.next() for _ in range(count)) if one is not None]
    assert len(found) == count
    return found


def test_a_message_arrives_as_it_was_sent(client: Client, shop: Channel, clerk: Channel) -> None:
    """Body, own headers and properties; what the agents add for each other is not seen, what the contract adds is."""
    body = envelope("shop", 7)
    headers = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "nested": {"a": [1, "b"]}}
    sent = {"correlation_id": "c-1", "content_type": "application/json", "type": "order", "headers": headers}
    assert shop.publish("orders", KEY, body, sent, mandatory=True) is PublishOutcome.CONFIRMED
    clerk.consume(QUEUE)
    (message,) = take(clerk, 1)
    clerk.ack(message.tag)
    assert (message.body, message.exchange, message.routing_key) == (body, "orders", KEY)
    assert message.headers == headers
    assert {name: message.properties[name] for name in sent} == sent
    assert (message.properties["message_id"] == json.loads(body)["message_id"]) is not client.writes_message_ids
    assert message.properties["app_id"] == "shop"


def test_what_the_broker_returns_is_as_it_was_sent(client: Client, beside: Beside) -> None:
    """A declared type that nobody waits for: 312, then the confirm; without what the agent added."""
    clerk = beside("clerk").channel(confirms=True)
    body = envelope("clerk")
    assert publish(clerk, "orders", "order.answered", body) is PublishOutcome.RETURNED
    returned = clerk.returned()
    assert (returned.code, returned.message.body) == (312, body)
    assert not returned.message.headers
    added = {"app_id", "timestamp", "message_id"}
    assert added & set(returned.message.properties) == ({"message_id"} if client.writes_message_ids else set())


REFUSALS = {
    "undeclared key": ("orders", "order.unknown", envelope("shop"), 403, "order.unknown"),
    "undeclared key, in many frames": ("orders", "order.unknown", envelope("shop", note="x" * 100_000), 403, "unknown"),
    "undeclared exchange": ("nowhere", KEY, envelope("shop"), 404, "nowhere"),
    "default exchange": ("", QUEUE, envelope("shop"), 403, "amq.default"),
    "another's type": ("orders", "order.answered", envelope("shop"), 403, "order.answered"),
    "dead letters": ("letrade.dlq", "order.placed.dead", envelope("shop"), 403, "letrade.dlq"),
    "too big": ("orders", KEY, envelope("shop", note="x" * LIMIT), 406, str(LIMIT)),
    "no envelope": ("orders", KEY, b'{"number": 1}', 406, "message_id"),
    "no JSON": ("orders", KEY, b"\xff\x00", 406, ""),
    "another's name": ("orders", KEY, envelope("clerk"), 406, "clerk"),
    "wrong payload": ("orders", KEY, envelope("shop", "seven"), 406, "number"),
}


@pytest.mark.parametrize("case", list(REFUSALS))
def test_a_refused_publish_disturbs_no_other(case: str, client: Client, shop: Channel, clerk: Channel) -> None:
    """On a confirm channel: a nack for it alone, the reason in basic.return; the channel goes on, in order."""
    exchange, key, body, code, word = REFUSALS[case]
    place(shop, 1)
    assert publish(shop, exchange, key, body, mandatory=False) is PublishOutcome.REFUSED
    assert publish(shop, "orders", KEY, envelope("shop", 1)) is PublishOutcome.CONFIRMED
    assert publish(shop, exchange, key, body) is PublishOutcome.REFUSED
    if client.is_told_why:
        returned = shop.returned()
        assert returned.code == code
        assert word in returned.text
        assert returned.message.body == (body if len(body) <= LIMIT else b"")
    assert publish(shop, "orders", KEY, envelope("shop", 2)) is PublishOutcome.CONFIRMED
    clerk.consume(QUEUE)
    messages = take(clerk, 3)
    assert [number_of(one.body) for one in messages] == [0, 1, 2]
    clerk.ack(messages[-1].tag, multiple=True)
    assert clerk.next(QUIET_SECONDS) is None


@pytest.mark.parametrize("case", ["undeclared key", "too big", "wrong payload"])
def test_without_confirms_a_refusal_closes_the_channel(case: str, beside: Beside) -> None:
    """That channel, with code and sentence; another one of the same connection goes on."""
    exchange, key, body, code, word = REFUSALS[case]
    connection = beside("shop")
    bystander, broken = connection.channel(confirms=True), connection.channel()
    publish(broken, exchange, key, body, mandatory=False)
    closed = broken.closed()
    assert closed.code == code
    assert word in closed.text
    place(bystander, 1)


def test_a_service_may_declare_what_is_there(shop: Channel, clerk: Channel) -> None:
    """Its exchange, its queue with whatever arguments, its binding: answered with true counts, nothing changes."""
    clerk.declare_exchange("orders", "fanout")
    place(shop, 2)
    declared = clerk.declare_queue(QUEUE, durable=False, arguments={"x-max-length": 1})
    assert (declared.name, declared.messages, declared.consumers) == (QUEUE, 2, 0)
    clerk.bind(QUEUE, "orders", KEY)


@pytest.mark.parametrize(
    "act",
    [
        lambda channel: channel.declare_queue("clerk.more", durable=True),
        lambda channel: channel.declare_exchange("more", "topic"),
        lambda channel: channel.consume(DEAD),
        lambda channel: channel.get(DEAD),
        lambda channel: channel.bind(QUEUE, "orders", "order.answered"),
        lambda channel: channel.delete_queue(QUEUE),
    ],
    ids=["declare a queue", "declare an exchange", "consume", "get", "bind", "delete"],
)
def test_what_the_topology_does_not_allow_is_refused(act: Callable[[Channel], object], beside: Beside) -> None:
    """403 for that channel; the connection goes on."""
    connection = beside("clerk")
    with pytest.raises(ChannelClosed) as closed:
        act(connection.channel())
    assert closed.value.code == 403
    assert connection.channel().declare_queue(QUEUE, passive=True).name == QUEUE


def test_a_run_time_queue_receives_answers(beside: Beside) -> None:
    """Named by the broker as far as the service knows, exclusive, bound to what it consumes and to nothing else."""
    connection = beside("shop")
    shop = connection.channel()
    queue = shop.declare_queue(exclusive=True).name
    assert queue.startswith("shop.reply.")
    shop.bind(queue, "orders", "order.answered")
    shop.consume(queue)
    body = envelope("clerk", 3)
    answering = beside("clerk").channel(confirms=True)
    assert publish(answering, "orders", "order.answered", body) is PublishOutcome.CONFIRMED
    (message,) = take(shop, 1)
    assert message.body == body
    shop.ack(message.tag)
    with pytest.raises(ChannelClosed) as closed:
        shop.bind(queue, "orders", KEY)
    assert closed.value.code == 403


def test_direct_reply_to(beside: Beside) -> None:
    """Where the topology allows it: the answer passes, unsigned."""
    asking, serving = beside("shop").channel(confirms=False), beside("clerk").channel()
    serving.consume(QUEUE)
    asking.consume(REPLY_TO, no_ack=True)
    body = envelope("shop")
    asking.publish("orders", KEY, body, {"reply_to": REPLY_TO}, mandatory=False)
    (question,) = take(serving, 1)
    serving.publish("", question.properties["reply_to"], b"answer", mandatory=False)
    serving.ack(question.tag)
    (answer,) = take(asking, 1)
    assert answer.body == b"answer"


def test_acknowledgements_of_every_kind(bus: Bus, shop: Channel, clerk: Channel) -> None:
    """Single, multiple, given back, rejected: each has the same effect as without agents."""
    place(shop, 8)
    clerk.consume(QUEUE)
    messages = take(clerk, 8)
    assert [one.tag for one in messages] == list(range(1, 9))
    clerk.ack(messages[1].tag)
    clerk.ack(messages[3].tag, multiple=True)
    clerk.reject(messages[4].tag, requeue=False)
    clerk.nack(messages[5].tag, requeue=True)
    (again,) = take(clerk, 1)
    assert (number_of(again.body), again.redelivered) == (5, True)
    clerk.nack(messages[7].tag, multiple=True, requeue=False)
    clerk.ack(again.tag)
    rejected = [bus.look(REJECTED) for _ in range(3)]
    assert sorted(number_of(one["payload"].encode()) for one in rejected) == [4, 6, 7]
    assert clerk.declare_queue(QUEUE, passive=True).messages == 0


def test_get_cancel_and_recover(shop: Channel, clerk: Channel) -> None:
    """basic.get verifies as well; recover brings what is unacknowledged; after cancel nothing comes."""
    place(shop, 2)
    got = clerk.get(QUEUE)
    assert got is not None
    assert number_of(got.body) == 0
    clerk.ack(got.tag)
    consumer = clerk.consume(QUEUE)
    (message,) = take(clerk, 1)
    clerk.recover()
    (again,) = take(clerk, 1)
    assert (again.body, again.redelivered) == (message.body, True)
    clerk.cancel(consumer)
    clerk.ack(again.tag)
    place(shop, 1)
    assert clerk.next(QUIET_SECONDS) is None
    last = clerk.get(QUEUE)
    assert last is not None
    clerk.ack(last.tag)
    assert clerk.get(QUEUE) is None


def test_a_client_that_sets_no_prefetch_gets_fifty(shop: Channel, clerk: Channel) -> None:
    """Unacknowledged ones; the next after an acknowledgement."""
    place(shop, 52)
    clerk.consume(QUEUE)
    messages = take(clerk, 50)
    assert clerk.next(QUIET_SECONDS) is None
    clerk.ack(messages[1].tag, multiple=True)
    rest = take(clerk, 2)
    assert [number_of(one.body) for one in rest] == [50, 51]
    clerk.ack(rest[-1].tag, multiple=True)


def test_a_forged_message_is_never_seen(bus: Bus, shop: Channel, clerk: Channel) -> None:
    """It goes to the dead letters with its reason; tags have no gap, and a multiple ack does not touch it."""
    before = bus.clerk.metric("messages_rejected_total", direction="deliver", reason="token_missing")
    forged = envelope("shop", 666)
    place(shop, 1)
    with RawClient(bus.straight) as administrator:
        administrator.publish("orders", KEY, with_size(HEADER, forged), forged)
    assert publish(shop, "orders", KEY, envelope("shop", 1)) is PublishOutcome.CONFIRMED
    clerk.consume(QUEUE)
    messages = take(clerk, 2)
    assert [(number_of(one.body), one.tag) for one in messages] == [(0, 1), (1, 2)]
    clerk.ack(messages[-1].tag, multiple=True)
    dead = bus.look(DEAD)
    assert (dead["exchange"], dead["routing_key"]) == (DEAD, f"{KEY}.dead")
    assert dead["payload"].encode() == forged
    assert dead["properties"]["headers"]["letrade-reason"] == "token_missing"
    assert bus.clerk.metric("messages_rejected_total", direction="deliver", reason="token_missing") == before + 1
    assert clerk.declare_queue(QUEUE, passive=True).messages == 0


def test_bodies_up_to_the_limit_across_small_frames(client: Client, beside: Beside) -> None:
    """Signed and verified whole, cut into each side's own frames."""
    for frame_max in client.frame_sizes:
        shop, clerk = beside("shop", frame_max).channel(confirms=True), beside("clerk", frame_max).channel()
        clerk.consume(QUEUE)
        for size in (0, 4_000, 8_192, LIMIT - len(envelope("shop", note=""))):
            body = envelope("shop", note="x" * size)
            assert publish(shop, "orders", KEY, body) is PublishOutcome.CONFIRMED
            (message,) = take(clerk, 1)
            assert message.body == body
            clerk.ack(message.tag)
        clerk.close()


def test_a_hundred_channels_at_once(beside: Beside) -> None:
    """Each has its own type; what one publishes arrives in its order."""
    connection = beside("shop")
    channels = [connection.channel() for _ in range(100)]
    clerk = beside("clerk").channel()
    clerk.qos(300)
    clerk.consume(QUEUE)
    for turn in range(3):
        for number, channel in enumerate(channels):
            publish(channel, "orders", f"order.{number}.changed", envelope("shop", turn), mandatory=False)
    seen: dict[str, list[int]] = {}
    messages = take(clerk, 300)
    for message in messages:
        seen.setdefault(message.routing_key, []).append(number_of(message.body))
    assert seen == {f"order.{number}.changed": [0, 1, 2] for number in range(100)}
    clerk.ack(messages[-1].tag, multiple=True)


def with_size(header: bytes, body: bytes) -> bytes:
    """A content header payload for this body."""
    return header[:4] + len(body).to_bytes(8, "big") + header[12:]
