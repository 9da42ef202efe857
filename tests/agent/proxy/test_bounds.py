"""What one client may take of an agent: unfinished messages, answers that it does not read; its neighbours go on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pika
import pika.exceptions
import pytest
from letrade_agent.limits import DEFAULT_LIMITS, Limits
from letrade_agent.proxy.memory import Spare

from letrade_topo.amqp.basic import PUBLISH
from letrade_topo.amqp.channel_commands import ChannelOpen, ChannelOpenOk, ConfirmSelect, ConfirmSelectOk
from letrade_topo.amqp.connection_commands import ConnectionClose
from letrade_topo.amqp.frames import BODY, HEADER, METHOD, encode_frame
from letrade_topo.amqp.wire import short_string
from tests.agent.proxy.test_connection import Canary, content, logged_in
from tests.agent.proxy.world import PATIENT, ProxyClient, RunningProxy, broker_settings, running, wait_until
from tests.brokers import RunningBroker

pytestmark = pytest.mark.one_version

MEBIBYTE = 1024 * 1024


@contextmanager
def proxy_with(broker: RunningBroker, limits: Limits) -> Iterator[RunningProxy]:
    """A proxy with small limits."""
    with running(broker_settings(broker), username=broker.username, limits=limits) as proxy:
        proxy.passing.largest_body = MEBIBYTE
        yield proxy


def begun(channel: int, announced: int, header_bytes: int = 0) -> bytes:
    """Method and header of a publish, the header made longer by headers."""
    method = PUBLISH + b"\0\0" + short_string(b"") + short_string(b"nowhere") + b"\0"
    start = b"\x00\x3c\x00\x00" + announced.to_bytes(8, "big")
    if not header_bytes:
        return encode_frame(METHOD, channel, method) + encode_frame(HEADER, channel, start + b"\x00\x00")
    table = b"\x01hS" + header_bytes.to_bytes(4, "big") + bytes(header_bytes)
    properties = b"\x20\x00" + len(table).to_bytes(4, "big") + table
    return encode_frame(METHOD, channel, method) + encode_frame(HEADER, channel, start + properties)


def open_channels(client: ProxyClient, count: int) -> None:
    """The first so many."""
    for number in range(1, count + 1):
        client.say(ChannelOpen(), number)
    for _ in range(count):
        client.hear(ChannelOpenOk)


BODIES: dict[str, Callable[[int], bytes]] = {
    "all of it but a byte": lambda channel: begun(channel, 130_001) + encode_frame(BODY, channel, bytes(65_000)) * 2,
    "headers alone": lambda channel: begun(channel, 1, header_bytes=120_000),
}


@pytest.mark.parametrize("what", BODIES)
def test_unfinished_messages_of_one_connection(broker: RunningBroker, what: str) -> None:
    """Above the bound it is told so (506) and ends, and all that it held is given back."""
    limits = replace(PATIENT, unfinished_bytes=2 * MEBIBYTE)
    with proxy_with(broker, limits) as proxy:
        canary = Canary(proxy)
        with logged_in(proxy.port) as client:
            open_channels(client, 23)
            for channel in range(1, 23):
                client.send(BODIES[what](channel))
            wait_until("they are there", lambda: proxy.measures.unfinished > 2.5 * MEBIBYTE)
            assert canary.sings()
            client.send(encode_frame(BODY, 1, b"x"))  # what is whole takes no room
            wait_until("one is whole", lambda: proxy.measures.unfinished < 2.7 * MEBIBYTE)
            for channel in range(24, 31):
                client.say(ChannelOpen(), channel)
                client.send(BODIES[what](channel))
            while (frame := client.frame())[2][:4] != ConnectionClose.method.index:
                pass
            close = ConnectionClose.parse(frame[2])
        assert close.reply_code == 506
        assert b"the unfinished messages of this connection have" in close.reply_text
        wait_until("it is given back", lambda: proxy.measures.unfinished == 0)
        assert canary.sings()
        canary.close()


def test_unfinished_messages_of_all_connections(broker: RunningBroker) -> None:
    """Of many, the one that holds most goes; parts of a frame count, too."""
    with proxy_with(broker, replace(PATIENT, all_unfinished_bytes=MEBIBYTE)) as proxy, ExitStack() as stack:
        small, greedy, last = (stack.enter_context(logged_in(proxy.port)) for _ in range(3))
        for client, size in ((small, 200_000), (greedy, 600_000)):
            open_channels(client, 1)
            client.send(begun(1, 900_000) + encode_frame(BODY, 1, bytes(100_000)) * (size // 100_000))
        wait_until("they are there", lambda: proxy.measures.unfinished >= 800_000)
        others = [stack.enter_context(logged_in(proxy.port)) for _ in range(2)]
        for client in (last, *others):
            client.send(b"\x03\x00\x01" + (120_000).to_bytes(4, "big") + bytes(110_000))
        close = greedy.hear(ConnectionClose)
        assert close.reply_code == 506
        assert b"of all connections have" in close.reply_text
        wait_until("it is given back", lambda: 500_000 < proxy.measures.unfinished < 600_000)
        small.send(encode_frame(BODY, 1, bytes(100_000)) * 7)
        wait_until("that one is finished", lambda: proxy.measures.unfinished < 400_000)


def test_a_method_too_long_for_what_it_is(broker: RunningBroker) -> None:
    """What waits for a header is bounded, too: no basic.publish is longer than its names can be."""
    with proxy_with(broker, PATIENT) as proxy, logged_in(proxy.port) as client:
        open_channels(client, 1)
        client.send(encode_frame(METHOD, 1, PUBLISH + bytes(100_000)))
        assert client.hear(ConnectionClose).reply_code == 502


def test_answers_that_nobody_reads(broker: RunningBroker) -> None:
    """A client that sends and never reads is not read above a bound; when it reads it gets every answer."""
    count, body = 400, bytes(60_000)
    with proxy_with(broker, replace(PATIENT, unread_bytes=4 * MEBIBYTE)) as proxy, logged_in(proxy.port) as client:
        canary = Canary(proxy)
        open_channels(client, 1)
        client.say(ConfirmSelect(), 1)
        client.hear(ConfirmSelectOk)
        refused = content("refused", body).replace(b"refused\x00", b"refused\x01")  # mandatory: it comes back
        sending = threading.Thread(target=client.send, args=(refused * count,))
        sending.start()
        wait_until("it is not read", lambda: proxy.measures.backpressure_seconds["to_broker"] > 1)
        assert 4 * MEBIBYTE < max(each.unsent_to_client for each in proxy.connections) < 5 * MEBIBYTE
        assert canary.sings()
        returned = 0
        while returned < count:
            returned += client.frame()[2][:4] == b"\x00\x3c\x00\x32"
        sending.join()
        canary.close()


WORTH_BYTES = DEFAULT_LIMITS.spare_bytes


def test_memory_is_given_back_when_much_of_it_is_free() -> None:
    """Not for a little, and not again and again."""
    trims: list[int] = []
    spare = Spare(WORTH_BYTES, trims.append)
    for used in (0, WORTH_BYTES - 1, 0, 3 * WORTH_BYTES, 2 * WORTH_BYTES + 1):
        spare.look(used)
    assert trims == []
    spare.look(2 * WORTH_BYTES)
    assert trims == [0]
    spare.look(2 * WORTH_BYTES)
    spare.look(WORTH_BYTES + 1)
    assert trims == [0]
    spare.look(0)
    assert trims == [0, 0]


def test_one_client_too_many(broker: RunningBroker) -> None:
    """It is told in the place of open-ok what a broker tells beyond its connection_max, and costs the broker nothing;
    when another one goes, there is room."""
    with proxy_with(broker, Limits(connections=2)) as proxy, logged_in(proxy.port):
        with logged_in(proxy.port):
            dialled = proxy.measures.connect_attempts.total()
            with pytest.raises(
                pika.exceptions.ProbableAccessDeniedError, match=r"530.*connection limit \(2\) is reached"
            ):
                pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", proxy.port))
            assert proxy.measures.connect_attempts.total() == dialled
            wait_until("it is counted", lambda: proxy.measures.disconnects == {"connection_limit": 1})
            assert "(2) is reached" in proxy.log.problem("client_not_let_in")
        wait_until("another one has gone", lambda: len(proxy.proxy.connections) == 1)
        with logged_in(proxy.port) as client:
            open_channels(client, 1)
