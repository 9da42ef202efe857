"""A proxy that runs in a thread of its own, so that blocking clients can be used; filters that let everything pass."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pika
from letrade_agent.config import Address, Settings, UpstreamNode
from letrade_agent.filters.copies import DeadLetter
from letrade_agent.filters.decisions import Approved, Decision, Refusal, Sealable, ToStore, Whole
from letrade_agent.filters.in_force import Filters
from letrade_agent.filters.rulings import Pass, Ruling
from letrade_agent.filters.verdicts import Arrived, Delivery, Examined, Failed, Fetched, Proven, Remembered, Shown
from letrade_agent.limits import DoorLimits, Limits, RelayLimits, StopLimits, UpstreamLimits
from letrade_agent.measures import Measures
from letrade_agent.proxy.server import Proxy
from letrade_agent.proxy.shell import Snapshot

from letrade_topo.amqp.basic import Publish, parse_publish
from letrade_topo.amqp.command import Command
from letrade_topo.amqp.faults import ReplyCode
from letrade_topo.amqp.frames import PROTOCOL_HEADER, FrameDecoder, encode_method
from letrade_topo.amqp.properties import ContentHeader
from tests.brokers import RunningBroker
from tests.loops import end_all
from tests.ports import LOOPBACK

LIMIT_SECONDS = 60.0

PATIENT = Limits(
    door=DoorLimits(handshake_seconds=LIMIT_SECONDS),
    relay=RelayLimits(drain_seconds=LIMIT_SECONDS),
    upstream=UpstreamLimits(node_seconds=LIMIT_SECONDS, dial_seconds=LIMIT_SECONDS, login_seconds=LIMIT_SECONDS),
    stop=StopLimits(closing_seconds=LIMIT_SECONDS),
)
"""A busy machine is not what fails: a test of a limit sets its own."""

DEAD = b"dead"

Result = TypeVar("Result")


def wait_until(what: str, condition: Callable[[], object], limit_seconds: float = LIMIT_SECONDS) -> None:
    """Wait for a condition, and fail with its name when it does not come."""
    deadline = time.monotonic() + limit_seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_seconds} s: {what}"
        time.sleep(0.02)


class Passing:
    """Outbound, inbound and declares that let everything pass, unsigned; bodies that begin with `bad` fail."""

    def __init__(self, dead_letter_exchange: bytes = DEAD) -> None:
        self.dead_letter_exchange = dead_letter_exchange
        self.message_size, self.largest_body = 131_072, 1 << 24

    def may_come_back(self, queue: str) -> bool:
        """No queue is migrated."""
        return False

    def admit(self, publish: Publish, header: ContentHeader) -> Refusal | None:
        """Refuse what is routed to `refused`."""
        if publish.routing_key == b"refused":
            return Refusal(ReplyCode.PRECONDITION_FAILED, "schema", "refused by the test")
        return None

    def decide(self, batch: Sequence[Whole], now: float) -> Sequence[Decision]:
        """Everything else."""
        return [self._decide(*whole) for whole in batch]

    def _decide(self, method: bytes, payload: bytes, body: bytes) -> Decision:
        publish, header = parse_publish(method), ContentHeader.parse(payload)
        return self.admit(publish, header) or Approved(publish, header, body, "_other", None)

    def stub(self, stored: ToStore, sha256: str) -> Approved:
        """Nothing is stored."""
        raise AssertionError("nothing is stored")

    def seal(self, batch: Sequence[Sealable], now: float) -> Sequence[bytes | Refusal]:
        """As it came."""
        return [approved.header.payload for approved in batch if isinstance(approved, Approved)]

    def restore(self, header: ContentHeader, body: bytes) -> tuple[bytes, bytes]:
        """As it came."""
        return header.payload, body

    def prove(self, batch: Sequence[Arrived], now: float) -> Sequence[Proven | None]:
        """Nothing is ordinary."""
        return [None] * len(batch)

    def accept(self, proven: Proven, now: float) -> Shown | None:
        """Nothing is proven."""
        raise AssertionError("nothing is proven")

    def examine(self, delivery: Delivery, now: float, fetched: Fetched | None = None) -> Examined:
        """By the first bytes of the body."""
        if delivery.body.startswith(b"bad"):
            return Failed("signature_invalid", "it is bad", "", "_other")
        return Shown(delivery.header.payload, Remembered(delivery.queue, None, 0.0), "_other")

    def settled(self, remembered: Remembered, now: float) -> None:
        """Nothing is remembered."""

    def rejected(self, remembered: Remembered, now: float) -> None:
        """Nothing is remembered."""

    def given_back(self, remembered: Remembered, now: float) -> None:
        """Nothing is remembered."""

    def let_go(self, number: int, now: float) -> None:
        """Nothing is remembered."""

    def handed_over(self, number: int, now: float) -> None:
        """Nothing is remembered."""

    def keeps_up(self, queue: str, now: float, *, was_active: bool) -> None:
        """Nothing is remembered."""

    def dead_letter(self, delivery: Delivery, failed: Failed, now: float) -> DeadLetter:
        """As it came, under its key with `.dead`."""
        return DeadLetter(
            exchange=self.dead_letter_exchange,
            routing_key=delivery.routing_key + b".dead",
            header=delivery.header.payload,
            body=delivery.body,
            queue=delivery.queue,
            reason=failed.reason,
            detail=failed.detail,
        )

    def rule(self, command: Command) -> Ruling:
        """Everything."""
        return Pass()


@dataclass
class LogLines:
    """Log lines."""

    lines: list[tuple[str, str, Mapping[str, object]]] = field(default_factory=list)

    def __call__(self, level: str, event: str, particulars: Mapping[str, object]) -> None:
        """Keep one."""
        self.lines.append((level, event, particulars))

    def of(self, event: str) -> list[Mapping[str, object]]:
        """The particulars of one event."""
        return [particulars for _, found, particulars in self.lines if found == event]

    def problem(self, event: str) -> str:
        """What the last line of an event says."""
        return str(self.of(event)[-1]["problem"])


class RunningProxy:
    """A proxy in a thread."""

    def __init__(self, settings: Settings, *, username: str, vhost: str, **options: Any) -> None:
        self.measures = Measures()
        self.log = LogLines()
        self.passing = passing = Passing()
        self.filters = Filters(passing, passing, passing)
        self._settings = settings
        self._options = {"username": username, "vhost": vhost, "limits": PATIENT, **options}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        """Start the thread, then listen."""
        self._thread.start()
        self.proxy = self.call(self._made())
        self.address = self.call(self.proxy.start())

    async def _made(self) -> Proxy:
        return Proxy(self._settings, self.filters, self.measures, log=self.log, **self._options)

    def call(self, work: Coroutine[Any, Any, Result], limit_seconds: float = LIMIT_SECONDS) -> Result:
        """Run something in the loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(limit_seconds)

    def begin(self, work: Coroutine[Any, Any, Result]) -> Callable[[float], Result]:
        """Run something in the loop; the result is waited for later."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result

    def stop(self) -> None:
        """Close, and end the thread."""
        self.call(self.proxy.close())
        # A loop that stands still leaves sockets whose end it has not heard of yet.
        wait_until("every socket is closed", lambda: not self.measures.clients and not self.measures.upstreams)
        self.call(end_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT_SECONDS)
        self._loop.close()

    @property
    def connections(self) -> tuple[Snapshot, ...]:
        """The open ones, looked at in the loop, where they come and go."""

        async def look() -> tuple[Snapshot, ...]:
            return self.proxy.connections

        return self.call(look())

    @property
    def unconfirmed(self) -> int:
        """Publishes of all clients that the broker has not answered, looked at likewise."""

        async def look() -> int:
            return sum(one._relay.snapshot().unconfirmed for one in self.proxy._connections)

        return self.call(look())

    @property
    def port(self) -> int:
        """Where it listens."""
        assert isinstance(self.address, Address)
        return self.address.port

    def parameters(self, **options: Any) -> pika.ConnectionParameters:
        """For a pika client of it."""
        options = {"credentials": pika.PlainCredentials("any", "thing"), "heartbeat": 30} | options
        return pika.ConnectionParameters(LOOPBACK, self.port, **options)

    @contextmanager
    def pika(self, **options: Any) -> Iterator[Any]:
        """A blocking pika connection."""
        connection = pika.BlockingConnection(self.parameters(**options))
        try:
            yield connection
        finally:
            if connection.is_open:
                connection.close()


@contextmanager
def running(settings: Settings, *, username: str, vhost: str = "/", **options: Any) -> Iterator[RunningProxy]:
    """A proxy for the time of a test; in the end everything it counted as open is closed."""
    proxy = RunningProxy(settings, username=username, vhost=vhost, **options)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
    measures = proxy.measures
    assert measures.clients == 0
    assert measures.client_connections == sum(measures.disconnects.values())
    assert measures.upstreams == 0
    assert measures.blocked == 0
    assert not proxy.log.of("internal_error")


def settings_for(*nodes: UpstreamNode, **options: Any) -> Settings:
    """Settings with these nodes, on any free port."""
    return Settings("strategy", Path("topology.yaml"), nodes, listen=Address(LOOPBACK, 0), **options)


def broker_settings(broker: RunningBroker, **options: Any) -> Settings:
    """Settings for a broker's TLS listener, as its administrator."""
    node = UpstreamNode(Address(LOOPBACK, broker.amqps_port))
    options = {"ca_file": broker.ca_file, "password": broker.password} | options
    return settings_for(node, **options)


def with_node(settings: Settings, *nodes: UpstreamNode) -> Settings:
    """The same with other nodes."""
    return replace(settings, upstream=nodes)


class ProxyClient:
    """A client that says what it is told to, byte by byte."""

    def __init__(self, port: int, limit_seconds: float = LIMIT_SECONDS) -> None:
        self.socket = socket.create_connection((LOOPBACK, port), timeout=limit_seconds)
        self._decoder = FrameDecoder(1 << 20)
        self._frames: list[tuple[int, int, bytes]] = []

    def __enter__(self) -> ProxyClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self.socket.sendall(data)

    def say(self, command: Command, channel: int = 0) -> None:
        """A method."""
        self.send(encode_method(channel, command.encode()))

    def header(self) -> None:
        """AMQP 0-9-1."""
        self.send(PROTOCOL_HEADER)

    def rest(self) -> bytes:
        """Everything until the other side closes."""
        data = b""
        while chunk := self.socket.recv(65536):
            data += chunk
        return data

    def frame(self) -> tuple[int, int, bytes]:
        """The next frame."""
        while not self._frames:
            data = self.socket.recv(65536)
            assert data, "the connection was closed"
            self._frames += self._decoder.feed(data)
        return self._frames.pop(0)

    def hear(self, kind: type[Command]) -> Any:
        """The next frame, which is this method."""
        while (frame := self.frame())[0] == 8:
            pass
        assert frame[2][:4] == kind.method.index, frame
        return kind.parse(frame[2])

    def is_closed(self) -> bool:
        """Whether the other side has closed; waits for it."""
        try:
            return self.rest() == b""
        except ConnectionResetError:
            return True
