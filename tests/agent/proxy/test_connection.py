"""Proxied connections with a real broker: heartbeats, back-pressure, loss of either side, limits, drain."""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pika
import pika.exceptions
import pytest
from letrade_agent.limits import DEFAULT_LIMITS

from letrade_topo.amqp.basic import PUBLISH
from letrade_topo.amqp.channel_commands import ChannelOpen, ChannelOpenOk, Consume
from letrade_topo.amqp.connection_commands import (
    ConnectionClose,
    ConnectionCloseOk,
    Open,
    OpenOk,
    Start,
    StartOk,
    Tune,
    TuneOk,
)
from letrade_topo.amqp.frames import HEARTBEAT_FRAME, METHOD, encode_content, encode_frame, encode_method
from letrade_topo.amqp.header_table import EMPTY_TABLE
from letrade_topo.amqp.wire import short_string
from tests.agent.proxy.world import (
    LIMIT_SECONDS,
    PATIENT,
    ProxyClient,
    RunningProxy,
    broker_settings,
    running,
    wait_until,
)
from tests.brokers import BrokerFactory, RunningBroker

pytestmark = pytest.mark.one_version

PLAIN = b"\0any\0thing"


@pytest.fixture
def proxy(broker: RunningBroker) -> Iterator[RunningProxy]:
    """A proxy of the shared broker."""
    with running(broker_settings(broker), username=broker.username) as one:
        yield one


@pytest.fixture
def queue(broker: RunningBroker) -> Iterator[str]:
    """A queue of the test's own, in the vhost "/"."""
    name = f"proxy-{uuid.uuid4().hex[:10]}"
    assert broker.api("PUT", f"/api/queues/%2F/{name}", json={"durable": True}).status_code == 201
    yield name
    broker.api("DELETE", f"/api/queues/%2F/{name}")


def fill(proxy: RunningProxy, queue: str, count: int, body: bytes) -> None:
    """Put messages into a queue, confirmed."""
    with proxy.pika() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for _ in range(count):
            channel.basic_publish("", queue, body)


def logged_in(port: int, heartbeat: int = 0, frame_max: int = 131072, **options: Any) -> ProxyClient:
    """A raw client whose connection is open."""
    client = greeted(port, heartbeat, frame_max, **options)
    client.say(Open(virtual_host=b"/"))
    client.hear(OpenOk)
    return client


def greeted(port: int, heartbeat: int = 0, frame_max: int = 131072, **options: Any) -> ProxyClient:
    """A raw client that has only its vhost to ask for."""
    client = ProxyClient(port, **options)
    client.header()
    client.hear(Start)
    client.say(StartOk(client_properties=EMPTY_TABLE, mechanism=b"PLAIN", response=PLAIN))
    tune = client.hear(Tune)
    client.say(TuneOk(channel_max=tune.channel_max, frame_max=frame_max, heartbeat=heartbeat))
    return client


def content(queue: str, body: bytes, channel: int = 1) -> bytes:
    """A publish to the default exchange."""
    method = PUBLISH + b"\0\0" + short_string(b"") + short_string(queue.encode()) + b"\0"
    header = b"\x00\x3c\x00\x00" + len(body).to_bytes(8, "big") + b"\x00\x00"
    return encode_content(channel, method, header, body, 131072)


class Canary:
    """A neighbour: another client that must not notice what happens to the first."""

    def __init__(self, proxy: RunningProxy) -> None:
        self._connection = pika.BlockingConnection(proxy.parameters())
        self._channel = self._connection.channel()
        self._queue = self._channel.queue_declare("", exclusive=True).method.queue

    def sings(self) -> bool:
        """Whether a message goes round."""
        self._channel.basic_publish("", self._queue, b"tweet")
        return bool(self._channel.basic_get(self._queue, auto_ack=True)[2] == b"tweet")

    def close(self) -> None:
        """Close it."""
        self._connection.close()


@pytest.fixture
def canary(proxy: RunningProxy) -> Iterator[Canary]:
    """A neighbour."""
    one = Canary(proxy)
    yield one
    assert one.sings()
    one.close()


# Heartbeats


HIGH_WATER_BYTES = DEFAULT_LIMITS.transport.high_water_bytes
USER_TIMEOUT_MS = int(DEFAULT_LIMITS.upstream.unacknowledged_seconds * 1000)


def test_the_quiet_stay_connected(broker: RunningBroker) -> None:
    """row 35: nothing is lost by silence: each leg beats by itself, or not, as was agreed with its other side.

    One client has heartbeats. The other agreed to none and says nothing, while the broker gets one each half interval.
    """
    # two of them are more than a busy machine stands still
    limits = replace(PATIENT, upstream=replace(PATIENT.upstream, heartbeat_seconds=6))
    with (
        running(broker_settings(broker), username=broker.username, limits=limits) as proxy,
        logged_in(proxy.port, heartbeat=0) as silent,
        proxy.pika(heartbeat=6) as connection,
    ):
        channel = connection.channel()
        before = proxy.measures.upstreams
        began = time.monotonic()
        while time.monotonic() - began < 20:  # a broker takes three silent intervals for death, an agent two
            connection.process_data_events(0.2)

        assert channel.is_open
        assert channel.queue_declare("", exclusive=True).method.queue
        assert proxy.measures.upstreams == before == 2
        silent.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.socket.recv(1)  # nothing: neither a heartbeat nor a close
        silent.socket.settimeout(LIMIT_SECONDS)
        silent.say(ChannelOpen(), 1)
        silent.hear(ChannelOpenOk)


def test_a_client_that_is_dead_is_let_go(proxy: RunningProxy) -> None:
    """row 35: a client that agreed to heartbeats and is silent for two is closed, and heard the agent's meanwhile."""
    began = time.monotonic()
    with logged_in(proxy.port, heartbeat=3) as client:
        heard = []
        try:
            while data := client.socket.recv(65536):
                heard.append(data)
        except ConnectionResetError:
            pass

        assert 6 < time.monotonic() - began < 30
        assert b"".join(heard).startswith(HEARTBEAT_FRAME)
    wait_until("it is counted", lambda: proxy.measures.disconnects["idle_timeout"] == 1)
    wait_until("the broker's side is closed", lambda: proxy.measures.upstreams == 0)


def test_a_broker_that_is_dead_is_noticed(start_broker: BrokerFactory) -> None:
    """rows 35 and 36: a broker that is frozen, with nobody publishing, is noticed by two missed heartbeats."""
    limits = replace(PATIENT, upstream=replace(PATIENT.upstream, heartbeat_seconds=1))
    broker = start_broker("3.10")
    with running(broker_settings(broker), username=broker.username, limits=limits) as proxy, proxy.pika() as connection:
        processes = broker.node.processes
        assert processes is not None
        assert processes.broker is not None
        os.kill(processes.broker.pid, signal.SIGSTOP)
        try:
            with pytest.raises(pika.exceptions.ConnectionClosed) as caught:
                connection.process_data_events(LIMIT_SECONDS)
            assert caught.value.reply_code == 320
            assert "silent" in caught.value.reply_text
        finally:
            os.kill(processes.broker.pid, signal.SIGCONT)


# Back-pressure


def test_a_client_that_never_reads_costs_bounded_memory(proxy: RunningProxy, queue: str, canary: Canary) -> None:
    """row 45: messages on offer to a client that does not read stay with the broker; the neighbour goes on."""
    fill(proxy, queue, 300, b"x" * 100_000)
    with logged_in(proxy.port) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        client.say(ChannelOpen(), 1)
        client.hear(ChannelOpenOk)
        client.say(Consume(queue=queue.encode(), no_ack=True), 1)
        wait_until("the agent stops reading the broker", lambda: proxy.measures.backpressure_seconds["to_client"] > 1)
        unsent = [each.unsent_to_client for each in proxy.connections]

        assert HIGH_WATER_BYTES < max(unsent) < HIGH_WATER_BYTES + 512 * 1024
        assert canary.sings()
        wait_until("it is measured", lambda: proxy.measures.buffered["to_client"] > HIGH_WATER_BYTES)


def test_a_client_that_reads_again_gets_everything(proxy: RunningProxy, queue: str) -> None:
    """row 45: after a long pause every message comes, in order and whole."""
    bodies = [number.to_bytes(2, "big") * 100_000 for number in range(100)]
    with proxy.pika() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for body in bodies:
            channel.basic_publish("", queue, body)
    with proxy.pika() as connection:
        channel = connection.channel()
        got: list[bytes] = []
        channel.basic_consume(queue, lambda *arguments: got.append(arguments[3]), auto_ack=True)
        wait_until("the agent stops reading the broker", lambda: proxy.measures.backpressure_seconds["to_client"] > 0)
        while len(got) < len(bodies):
            connection.process_data_events(1)

        assert got == bodies


def test_a_broker_that_takes_nothing_stops_the_client(start_broker: BrokerFactory) -> None:
    """rows 32 and 45: while the broker blocks publishers the client is not read, so it stops; then all arrives."""
    broker = start_broker("4.0")
    with running(broker_settings(broker), username=broker.username) as proxy, proxy.pika(heartbeat=0) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("proxy-blocked", durable=True).method.queue
        with logged_in(proxy.port, limit_seconds=60) as client:
            client.say(ChannelOpen(), 1)
            client.hear(ChannelOpenOk)
            broker.ctl("set_vm_memory_high_watermark", "0")
            wait_until("the alarm", lambda: "memory" in broker.ctl("eval", "rabbit_alarm:get_alarms()."))
            sent = 0
            body = b"x" * 100_000
            client.socket.settimeout(6)  # longer than a busy machine stands still
            try:
                while sent < 2000:
                    client.socket.sendall(content(queue, body))
                    sent += 1
            except TimeoutError:
                pass  # stopped in the middle of one: by the agent, not by us
            assert 0 < sent < 1000
            wait_until("the block is measured", lambda: proxy.measures.blocked == 1)
            assert proxy.measures.backpressure_seconds["to_broker"] >= 0
            assert proxy.call(_user_timeout(proxy)) == {0, USER_TIMEOUT_MS}
            (snapshot,) = [each for each in proxy.connections if each.is_blocked]
            assert snapshot.unsent_to_broker < HIGH_WATER_BYTES + 512 * 1024
            broker.ctl("set_vm_memory_high_watermark", "0.6")
            wait_until("the block is over", lambda: proxy.measures.blocked == 0 and proxy.measures.blocked_seconds)
            wait_until(
                "what was sent whole is there",
                lambda: channel.queue_declare(queue, passive=True).method.message_count >= sent,
            )


async def _user_timeout(proxy: RunningProxy) -> set[int]:
    """TCP_USER_TIMEOUT of the broker's legs: off where a window that stays closed means no harm."""
    legs = [connection._upstream.socket for connection in proxy.proxy._connections]
    return {leg.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) for leg in legs if leg is not None}


def test_a_client_that_takes_nothing_for_long_is_let_go(broker: RunningBroker, queue: str) -> None:
    """row 36: unsent bytes of which nothing goes out for the write-stall time end the connection."""
    limits = replace(PATIENT, write_stall_seconds=2.0)
    with running(broker_settings(broker), username=broker.username, limits=limits) as proxy:
        fill(proxy, queue, 50, b"x" * 100_000)
        with logged_in(proxy.port) as client:
            client.say(ChannelOpen(), 1)
            client.hear(ChannelOpenOk)
            client.say(Consume(queue=queue.encode()), 1)
            wait_until("it is let go", lambda: proxy.measures.disconnects["idle_timeout"] == 1)
            wait_until("it is said why", lambda: "has read nothing" in str(proxy.log.lines))
        # Deliveries were never acknowledged: all are there again.
        wait_until("the broker has them all", lambda: _ready(broker, queue) == 50)


def _ready(broker: RunningBroker, queue: str) -> int:
    answer = broker.api("GET", f"/api/queues/%2F/{queue}").json()
    return int(answer.get("messages_ready", -1))


# Faults of the client


def test_a_frame_larger_than_agreed(proxy: RunningProxy, canary: Canary) -> None:
    """row 7: a frame above the agreed size ends the connection with 501; the neighbour goes on."""
    with logged_in(proxy.port, frame_max=4096) as client:
        client.say(ChannelOpen(), 1)
        client.hear(ChannelOpenOk)
        client.send(encode_frame(METHOD, 1, b"x" * 5000))
        close = client.hear(ConnectionClose)

        assert close.reply_code == 501
        assert b"more than the 4096 agreed" in close.reply_text
    wait_until("it is counted", lambda: proxy.measures.disconnects["protocol_error"] == 1)
    wait_until("the broker's side is closed", lambda: proxy.measures.upstreams == 1)


def test_garbage_in_the_middle(proxy: RunningProxy, canary: Canary) -> None:
    """row 7: bytes that are no frame end the connection with 501, however much comes behind them."""
    with logged_in(proxy.port) as client:
        client.say(ChannelOpen(), 1)
        client.hear(ChannelOpenOk)
        client.send(b"\xff" * 50 + b"more" * 10_000)

        assert client.hear(ConnectionClose).reply_code == 501


def test_garbage_right_behind_the_login(proxy: RunningProxy, canary: Canary) -> None:
    """row 7: bytes that are no frame end the connection although they came with its last frame of the login."""
    client = greeted(proxy.port)
    with client:
        client.send(encode_method(0, Open(virtual_host=b"/").encode()) + b"\xff" * 50)
        client.hear(OpenOk)

        assert client.hear(ConnectionClose).reply_code == 501
    wait_until("the broker's side is closed", lambda: proxy.measures.upstreams == 1)


def test_a_publish_that_dies_half_way(proxy: RunningProxy, queue: str, broker: RunningBroker, canary: Canary) -> None:
    """row 10: a client that dies between header and body leaves nothing behind; what it sent whole is there."""
    with logged_in(proxy.port) as client:
        client.say(ChannelOpen(), 1)
        client.hear(ChannelOpenOk)
        client.send(content(queue, b"whole") + content(queue, b"x" * 1000)[:-500])
    wait_until("the client is gone", lambda: proxy.measures.disconnects["client_closed"] == 1)
    with proxy.pika() as connection:
        channel = connection.channel()
        wait_until("the whole one is there", lambda: channel.queue_declare(queue, passive=True).method.message_count)
        assert channel.basic_get(queue, auto_ack=True)[2] == b"whole"
        assert channel.basic_get(queue, auto_ack=True)[2] is None


def test_many_channels(proxy: RunningProxy, canary: Canary) -> None:
    """row 38: 2,000 channels on one connection keep their numbers; all are freed in the end."""
    with logged_in(proxy.port) as client:
        for number in range(1, 2001):
            client.say(ChannelOpen(), number)
        opened = {client.frame()[1] for _ in range(2000)}

        assert opened == set(range(1, 2001))
        assert proxy.measures.channels == 2001
        client.say(ConnectionClose(reply_code=200, reply_text=b"bye"))
        client.hear(ConnectionCloseOk)
    wait_until("they are free", lambda: proxy.measures.channels == 1)


def test_the_close_handshake(proxy: RunningProxy) -> None:
    """row 37: the client's close is answered when the broker's leg is closed, then the socket ends."""
    with logged_in(proxy.port) as client:
        client.say(ConnectionClose(reply_code=200, reply_text=b"bye"))
        client.hear(ConnectionCloseOk)

        assert client.is_closed()
    wait_until("both are closed", lambda: proxy.measures.upstreams == 0)
    assert proxy.measures.disconnects == {"client_closed": 1}


def test_small_writes_are_not_delayed(proxy: RunningProxy, broker: RunningBroker) -> None:
    """row 50: TCP_NODELAY is set on both sides, and keep-alive and user time-out towards the broker."""
    with proxy.pika():

        async def options() -> list[tuple[int, ...]]:
            (connection,) = proxy.proxy._connections
            found: list[tuple[int, ...]] = []
            for leg in (connection._client, connection._upstream):
                assert leg.socket is not None
                found.append(
                    (
                        leg.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY),
                        leg.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                        leg.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
                    )
                )
            return found

        client, server = proxy.call(options())

        assert client[0] == server[0] == 1
        assert server[1:] == (1, USER_TIMEOUT_MS)


# Loss of the broker


def test_a_client_that_resets_with_its_last_word(proxy: RunningProxy) -> None:
    """Both sockets are closed at once: nothing is left for a drain to wait for, and it is no error of the agent's."""
    broken = []
    for _ in range(20):
        broken.append(logged_in(proxy.port))
        broken[-1].say(ChannelOpen(), 0)  # has no place there: the agent closes the connection
        broken[-1].hear(ConnectionClose)
    with proxy.pika():  # which takes longer than the broker's answers to the closes
        for client in broken:
            # linger 0 makes close a reset: answer and reset are both there when the agent looks
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.say(ConnectionCloseOk())
            client.socket.close()
    wait_until("nobody is left", lambda: not proxy.connections, limit_seconds=3.0)
    assert not proxy.measures.upstreams
    assert not proxy.measures.internal_errors


def test_the_broker_is_killed_while_clients_publish(start_broker: BrokerFactory) -> None:
    """row 33: every client gets connection.close 320 with a sentence, quickly; none hangs; a new one gets in later."""
    broker = start_broker("3.10")
    with running(broker_settings(broker), username=broker.username) as proxy:
        outcomes: list[tuple[int, str, float]] = []
        started = threading.Barrier(4)
        killed_at = [0.0]

        def publish() -> None:
            connection = pika.BlockingConnection(proxy.parameters())
            channel = connection.channel()
            channel.confirm_delivery()
            queue = channel.queue_declare("", exclusive=True).method.queue
            started.wait(LIMIT_SECONDS)
            try:
                while True:
                    channel.basic_publish("", queue, b"x" * 1000)
            except pika.exceptions.ConnectionClosed as closed:
                outcomes.append((closed.reply_code, closed.reply_text, time.monotonic() - killed_at[0]))

        with ThreadPoolExecutor(3) as pool:
            running_ones = [pool.submit(publish) for _ in range(3)]
            started.wait(LIMIT_SECONDS)
            wait_until("they publish", lambda: sum(proxy.measures.confirms.values()) > 50)
            processes = broker.node.processes
            assert processes is not None
            assert processes.broker is not None
            os.kill(processes.broker.pid, signal.SIGSTOP)  # so that something is lost, wherever it is at that moment
            wait_until("each waits for a confirm", lambda: proxy.unconfirmed == 3)
            killed_at[0] = time.monotonic()
            broker.node.crash()
            for each in running_ones:
                each.result(60)

        assert len(outcomes) == 3
        assert {code for code, _, _ in outcomes} == {320}
        assert all("the agent lost the broker" in text for _, text, _ in outcomes)
        assert max(seconds for _, _, seconds in outcomes) < 20
        assert proxy.measures.confirms["lost"] == 3
        wait_until("they are counted", lambda: proxy.measures.disconnects["broker_closed"] == 3)
        broker.node.start()
        wait_until("a new client gets in", lambda: _gets_in(proxy), limit_seconds=60)


def _gets_in(proxy: RunningProxy) -> bool:
    try:
        with proxy.pika():
            return True
    except pika.exceptions.AMQPConnectionError:
        time.sleep(0.1)  # a client's own pause between attempts
        return False


def test_the_broker_closes_with_a_reason(broker: RunningBroker, proxy: RunningProxy) -> None:
    """row 33: what an administrator says when closing a connection reaches the client word for word."""
    name = f"closing-{uuid.uuid4().hex[:8]}"
    with proxy.pika(client_properties={"connection_name": name}) as connection:
        found: list[str] = []

        def is_listed() -> bool:
            listed = broker.api("GET", "/api/connections").json()
            found.extend(each["name"] for each in listed if name in str(each.get("client_properties")))
            return bool(found)

        wait_until("the broker lists it", is_listed)
        broker.api("DELETE", f"/api/connections/{found[0]}", headers={"X-Reason": "maintenance at noon"})
        with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as caught:
            connection.process_data_events(LIMIT_SECONDS)

    assert caught.value.reply_code == 320
    assert "maintenance at noon" in caught.value.reply_text


# Drain


def publisher(proxy: RunningProxy, queue: str, until: Callable[[], bool]) -> tuple[int, int, int]:
    """Publish with confirms until something; how many were sent, answered, and how it ended: reply code or 0."""
    connection = pika.BlockingConnection(proxy.parameters())
    channel = connection.channel()
    channel.confirm_delivery()
    sent = answered = 0
    try:
        while not until():
            sent += 1
            with suppress(pika.exceptions.NackError):
                channel.basic_publish("", queue, b"x")
            answered += 1
        connection.close()
    except pika.exceptions.ConnectionClosed as closed:
        return sent, answered, closed.reply_code
    return sent, answered, 0


def test_drain_waits_for_the_clients(proxy: RunningProxy, queue: str) -> None:
    """row 46: after SIGTERM nobody new gets in, who is in goes on until they close, and then the drain is over."""
    done = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(publisher, proxy, queue, done.is_set)
        wait_until("it publishes", lambda: proxy.measures.confirms["ack"] > 10)
        drained = proxy.begin(proxy.proxy.drain(2 * LIMIT_SECONDS))
        wait_until("it drains", lambda: proxy.proxy.draining and not proxy.proxy.listening)
        with pytest.raises(OSError, match="refused"):
            ProxyClient(proxy.port)
        before = proxy.measures.confirms["ack"]
        wait_until("it goes on publishing", lambda: proxy.measures.confirms["ack"] > before + 10)
        done.set()

        sent, answered, code = working.result(60)

    assert (sent, code) == (answered, 0)
    drained(60)
    assert proxy.measures.disconnects == {"client_closed": 1}


def test_drain_ends_those_who_stay(proxy: RunningProxy, queue: str, broker: RunningBroker) -> None:
    """row 46: when the time is over the client gets 320; every publish before has its answer, none is lost."""
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(publisher, proxy, queue, lambda: False)
        wait_until("it publishes", lambda: proxy.measures.confirms["ack"] > 10)
        began = time.monotonic()
        proxy.call(proxy.proxy.drain(0.5))
        took = time.monotonic() - began

        sent, answered, code = working.result(60)

    assert code == 320
    assert sent - answered <= 1  # pika publishes one at a time: the one that met the close
    assert proxy.measures.confirms["lost"] == 0
    assert took < 20
    assert proxy.measures.disconnects == {"drain": 1}


def test_a_client_at_the_door_when_the_drain_begins(proxy: RunningProxy) -> None:
    """row 46: who is in the middle of the login is told 320."""
    stay = logged_in(proxy.port)
    with ProxyClient(proxy.port) as client, stay:
        client.header()
        client.hear(Start)
        client.say(StartOk(client_properties=EMPTY_TABLE, mechanism=b"PLAIN", response=PLAIN))
        tune = client.hear(Tune)
        drained = proxy.begin(proxy.proxy.drain(2 * LIMIT_SECONDS))
        wait_until("it drains", lambda: proxy.proxy.draining)
        client.say(TuneOk(channel_max=tune.channel_max, frame_max=131072, heartbeat=0))
        client.say(Open(virtual_host=b"/"))
        close = client.hear(ConnectionClose)

        assert close.reply_code == 320
        assert b"shutting down" in close.reply_text
        stay.say(ConnectionClose(reply_code=200, reply_text=b"bye"))
        stay.hear(ConnectionCloseOk)
    drained(60)
