"""The measurements: CPU of each agent for a message, beside a plain TLS proxy; latency over rate; memory; the rival."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from bench import data_path
from bench.agents.client import BenchClient, Target
from bench.agents.machinery import AgentProcess, BenchBus, EndProcess, Floor, agents
from bench.agents.messages import CONSUMER, MessageKind
from bench.data_path import InProcess

PREFETCH = 500
WINDOW = 1_000
LARGEST_BODY_BYTES = 131_072
RATES = (500, 1_000, 2_000, 4_000)
RATE_SECONDS = 8
CONNECTIONS = 200
THROUGH_ROUNDS = 3
IN_PROCESS_BATCH, IN_PROCESS_ROUNDS = 100, 200


class Between(Protocol):
    """What stands between an end and the broker."""

    @property
    def cpu_seconds(self) -> float:
        """User and system time so far."""

    @property
    def end(self) -> dict[str, Any]:
        """Where and as whom an end connects to it."""


@dataclass(frozen=True, slots=True)
class LegFigures:
    """What one leg did.

    Args:
        messages_per_second: as its end saw it.
        microseconds: CPU for each message of what stands between; 0 if nothing does.
    """

    messages_per_second: float
    microseconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Legs:
    """Both legs, as fast as they go and one at a time."""

    publish: LegFigures
    deliver: LegFigures
    publish_single: LegFigures
    deliver_single: LegFigures


@dataclass(frozen=True, slots=True)
class AtRate:
    """A rate that was offered.

    Args:
        rate: messages a second.
        mean, p99: seconds from publish to delivery.
        publisher, consumer: microseconds of CPU for each message of what stands before them; 0 if nothing does.
    """

    rate: int
    mean: float
    p99: float
    publisher: float = 0.0
    consumer: float = 0.0


@dataclass(frozen=True, slots=True)
class OfKind:
    """What was measured with one kind of message.

    Args:
        direct, floor, agents: the legs without anything between, with a plain TLS proxy, with an agent.
        through_direct, through_agents: messages a second, published and consumed at once.
    """

    direct: Legs
    floor: Legs
    agents: Legs
    through_direct: float
    through_agents: float


@dataclass(frozen=True, slots=True)
class AgentFigures:
    """Everything of one run."""

    messages: int
    in_process: dict[str, InProcess]
    """Without sockets, by what was measured."""
    tick: OfKind
    trade: OfKind
    rates_direct: tuple[AtRate, ...]
    rates_floor: tuple[AtRate, ...]
    rates_agents: tuple[AtRate, ...]
    idle_megabytes: float
    connected_megabytes: float
    backlog_megabytes: float
    rival_publish: tuple[float, float]
    """Microseconds of CPU in the service: pika alone, and with jsonschema and PyJWT."""
    rival_deliver: tuple[float, float]
    bare_signature: tuple[float, float]
    """Microseconds of CPU for one ES256 signature and its verification, by themselves."""


def measure(bus: BenchBus, messages: int, say: Callable[[str], None]) -> AgentFigures:
    """Everything, one after the other, on the same broker."""
    floors = Floor(bus), Floor(bus)
    ours, theirs = agents(bus)
    try:
        time.sleep(2)  # what starting leaves behind is over
        idle = max(ours.megabytes(), theirs.megabytes())
        say(f"idle: {idle:.0f} MB")
        tick, trade = (
            _of_kind(bus, kind, messages, floors, (ours, theirs), say) for kind in (MessageKind.TICK, MessageKind.TRADE)
        )
        rates_direct = tuple(_at_rate(rate, bus.direct, bus.direct, (), say) for rate in RATES)
        rates_floor = tuple(_at_rate(rate, floors[0].end, floors[1].end, floors, say) for rate in RATES)
        rates_agents = tuple(_at_rate(rate, ours.end, theirs.end, (ours, theirs), say) for rate in RATES)
        connected = _connected(bus)
        say(f"with {CONNECTIONS} connections: {connected:.0f} MB")
        backlog = _backlog(bus, ours)
        say(f"with 1,000 messages of 128 KiB and a client that does not read: {backlog:.0f} MB")
    finally:
        for one in (ours, theirs, *floors):
            one.stop()
    rival = _rival(bus, messages // 5)
    in_process = data_path.measure(MessageKind.TICK, IN_PROCESS_BATCH, IN_PROCESS_ROUNDS)
    trades = data_path.measure(MessageKind.TRADE, IN_PROCESS_BATCH, IN_PROCESS_ROUNDS)
    in_process |= {f"{name}, execute_trade": figures for name, figures in trades.items()}
    return AgentFigures(
        messages,
        in_process,
        tick,
        trade,
        rates_direct,
        rates_floor,
        rates_agents,
        idle,
        connected,
        backlog,
        *rival,
        _bare_signature(),
    )


def _of_kind(
    bus: BenchBus,
    kind: MessageKind,
    count: int,
    floors: tuple[Floor, Floor],
    pair: tuple[AgentProcess, AgentProcess],
    say: Callable[[str], None],
) -> OfKind:
    name = kind.name.lower()
    direct = _legs(f"{name}, direct", kind, count, bus.direct, bus.direct, None, say)
    floor = _legs(f"{name}, plain TLS proxy", kind, count, floors[0].end, floors[1].end, floors, say)
    between = _legs(f"{name}, agent", kind, count, pair[0].end, pair[1].end, pair, say)
    rounds = [
        (_through(kind, count, bus.direct, bus.direct), _through(kind, count, pair[0].end, pair[1].end))
        for _ in range(THROUGH_ROUNDS)
    ]
    through_direct, through_agents = (median(each) for each in zip(*rounds, strict=True))
    say(f"{name}, end to end: {through_direct:,.0f} a second direct, {through_agents:,.0f} through two agents")
    return OfKind(direct, floor, between, through_direct, through_agents)


def _legs(
    what: str,
    kind: MessageKind,
    count: int,
    publisher: dict[str, Any],
    consumer: dict[str, Any],
    between: tuple[Between, Between] | None,
    say: Callable[[str], None],
) -> Legs:
    ours, theirs = between or (None, None)
    few = count // 10
    legs = Legs(
        _leg("publish", publisher, count, ours, window=WINDOW, kind=kind.name),
        _leg("consume", consumer, count, theirs, prefetch=PREFETCH, kind=kind.name),
        # One message at a time: each has a signature of its own, as at a low rate.
        _leg("publish", publisher, few, ours, window=1, kind=kind.name),
        _leg("consume", consumer, few, theirs, prefetch=PREFETCH, kind=kind.name),
    )
    say(
        f"{what}: publish {legs.publish.messages_per_second:,.0f} a second, {legs.publish.microseconds:.1f} µs; deliver"
        f" {legs.deliver.messages_per_second:,.0f} a second, {legs.deliver.microseconds:.1f} µs; one at a time"
        f" {legs.publish_single.microseconds:.0f} and {legs.deliver_single.microseconds:.0f} µs"
    )
    return legs


def _leg(what: str, where: dict[str, Any], count: int, between: Between | None, **order: Any) -> LegFigures:
    before = between.cpu_seconds if between else 0.0
    answer = EndProcess("load", what, where, count=count, **order).result()
    if answer.get("refused"):
        raise RuntimeError(f"{answer['refused']} of {count} publishes were refused")
    cpu = between.cpu_seconds - before if between else 0.0
    return LegFigures(count / answer["seconds"], cpu / count * 1e6)


def _through(kind: MessageKind, count: int, publisher: dict[str, Any], consumer: dict[str, Any]) -> float:
    """Messages a second, published and consumed at once."""
    consuming = EndProcess("load", "consume", consumer, count=count, prefetch=PREFETCH, kind=kind.name)
    time.sleep(1)  # so that it consumes when the first message is sent
    EndProcess("load", "publish", publisher, count=count, window=WINDOW, kind=kind.name).result()
    return float(count / consuming.result()["seconds"])


def _at_rate(
    rate: int,
    publisher: dict[str, Any],
    consumer: dict[str, Any],
    between: Sequence[Between],
    say: Callable[[str], None],
) -> AtRate:
    """Latency and CPU while that many messages a second are on offer."""
    count = rate * RATE_SECONDS
    before = [one.cpu_seconds for one in between]
    consuming = EndProcess("load", "consume", consumer, count=count, prefetch=PREFETCH, latency=True)
    time.sleep(1)
    EndProcess("load", "publish", publisher, count=count, window=10 * WINDOW, rate=rate).result()
    answer = consuming.result()
    cpu = [(one.cpu_seconds - start) / count * 1e6 for one, start in zip(between, before, strict=True)] or [0.0, 0.0]
    say(f"{rate:,} a second: mean {answer['mean_latency'] * 1e3:.2f} ms, CPU {cpu[0]:.0f} and {cpu[1]:.0f} µs")
    return AtRate(rate, answer["mean_latency"], answer["p99_latency"], *cpu)


def _connected(bus: BenchBus) -> float:
    """The memory of an agent with many connections that have done nothing yet."""
    agent = AgentProcess(bus, CONSUMER)
    end = agent.end
    target = Target(end["url"], end["vhost"], end["username"], end["password"])
    try:
        clients = [BenchClient(target) for _ in range(CONNECTIONS)]
        used = agent.megabytes()
        for client in clients:
            client.close()
    finally:
        agent.stop()
    return used


def _backlog(bus: BenchBus, ours: AgentProcess) -> float:
    """The most memory of an agent whose client subscribes to 1,000 large messages and never reads."""
    EndProcess("load", "publish", ours.end, count=1_000, window=50, size=LARGEST_BODY_BYTES).result()
    agent = AgentProcess(bus, CONSUMER)
    try:
        stuck = EndProcess("load", "stall", agent.end, prefetch=1_000, seconds=10)
        stuck.result()
        most = agent.megabytes(peak=True)
    finally:
        agent.stop()
    bus.node.ctl("purge_queue", "-p", bus.direct["vhost"], MessageKind.TICK.queue)
    return most


def _bare_signature(count: int = 5_000) -> tuple[float, float]:
    """What the cryptography alone takes on this machine, at this moment."""
    key, algorithm, data = ec.generate_private_key(ec.SECP256R1()), ec.ECDSA(hashes.SHA256()), b"x" * 500
    public = key.public_key()
    begin = time.process_time()
    signatures = [key.sign(data, algorithm) for _ in range(count)]
    between = time.process_time()
    for signature in signatures:
        public.verify(signature, data, algorithm)
    return (between - begin) / count * 1e6, (time.process_time() - between) / count * 1e6


def _rival(bus: BenchBus, count: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """CPU in the service per message, in microseconds: pika alone, and signing or verifying in the service."""
    private, public = bus.folder / "rival.pem", bus.folder / "rival.pub"
    key = ec.generate_private_key(ec.SECP256R1())
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    order = {"count": count, "prefetch": PREFETCH, "key": str(private), "public": str(public)}
    figures: list[float] = []
    for what in ("publish-plain", "consume-plain", "publish", "consume"):
        answer = EndProcess("rival", what, bus.direct, **order).result()
        figures.append(answer["cpu"] / count * 1e6)
    return (figures[0], figures[2]), (figures[1], figures[3])
