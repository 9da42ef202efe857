"""The measurements: CPU of each agent per message, added latency, memory, and the rival."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from bench.agents.machinery import Agent, Bus, End, agents
from bench.agents.messages import CONSUMER, ENVELOPE_BYTES, QUEUE

PREFETCH = 500
WINDOW = 1_000
LARGEST_BODY_BYTES = 131_072
LATENCY_RATE = 1_000
OFFERED_RATE = 10_000
LIMIT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Leg:
    """What an agent did.

    Args:
        messages_per_second: as its end saw it.
        agent_microseconds: CPU of the agent for each message; 0 without an agent.
    """

    messages_per_second: float
    agent_microseconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything of one run."""

    messages: int
    publish_direct: Leg
    publish_agent: Leg
    publish_agent_single: Leg
    deliver_direct: Leg
    deliver_agent: Leg
    deliver_agent_single: Leg
    latency_direct: tuple[float, float]
    latency_agents: tuple[float, float]
    idle_megabytes: float
    backlog_megabytes: float
    rival_publish: tuple[float, float]
    """Microseconds of CPU in the service: pika alone, and with jsonschema and PyJWT."""
    rival_deliver: tuple[float, float]
    at_rate: dict[str, float] | None
    bare_signature: tuple[float, float]
    """Microseconds of CPU for one ES256 signature and its verification, by themselves."""


def measure(bus: Bus, messages: int, say: Callable[[str], None], *, at_rate: bool) -> Figures:
    """Everything, one after the other, on the same broker."""
    direct = bus.direct
    publish_direct = _publish(direct, messages)
    say(f"publish, direct: {publish_direct.messages_per_second:,.0f} a second")
    deliver_direct = _consume(direct, messages)
    say(f"deliver, direct: {deliver_direct.messages_per_second:,.0f} a second")
    latency_direct = _latency(direct, direct)
    say(f"latency, direct: {latency_direct[0] * 1e3:.2f} ms")
    ours, theirs = agents(bus)
    try:
        idle = max(ours.megabytes(), theirs.megabytes())
        say(f"idle: {idle:.0f} MB")
        publish_agent = _publish(ours.end, messages, agent=ours)
        say(_said("publish, agent", publish_agent))
        deliver_agent = _consume(theirs.end, messages, agent=theirs)
        say(_said("deliver, agent", deliver_agent))
        # One message at a time: each has a signature of its own, as at a low rate.
        publish_single = _publish(ours.end, messages // 5, agent=ours, window=1)
        say(_said("publish, one at a time", publish_single))
        deliver_single = _consume(theirs.end, messages // 5, agent=theirs)
        say(_said("deliver, signed one by one", deliver_single))
        latency_agents = _latency(ours.end, theirs.end)
        say(f"latency, two agents: {latency_agents[0] * 1e3:.2f} ms")
        rate = _at_rate(ours, theirs) if at_rate else None
        backlog = _backlog(bus, ours)
        say(f"with 1,000 messages of 128 KiB and a client that does not read: {backlog:.0f} MB")
    finally:
        ours.stop()
        theirs.stop()
    rival = _rival(bus, messages // 5)
    return Figures(
        messages,
        publish_direct,
        publish_agent,
        publish_single,
        deliver_direct,
        deliver_agent,
        deliver_single,
        latency_direct,
        latency_agents,
        idle,
        backlog,
        *rival,
        rate,
        _bare_signature(),
    )


def _said(what: str, leg: Leg) -> str:
    return f"{what}: {leg.messages_per_second:,.0f} a second, {leg.agent_microseconds:.1f} µs of the agent's CPU each"


def _publish(where: dict[str, Any], count: int, *, agent: Agent | None = None, window: int = WINDOW) -> Leg:
    return _leg("publish", where, count, agent, window=window, size=ENVELOPE_BYTES)


def _consume(where: dict[str, Any], count: int, *, agent: Agent | None = None) -> Leg:
    return _leg("consume", where, count, agent, prefetch=PREFETCH)


def _leg(what: str, where: dict[str, Any], count: int, agent: Agent | None, **order: Any) -> Leg:
    before = agent.cpu_seconds if agent else 0.0
    answer = End("load", what, where, count=count, **order).result()
    if answer.get("refused"):
        raise RuntimeError(f"{answer['refused']} of {count} publishes were refused")
    cpu = agent.cpu_seconds - before if agent else 0.0
    return Leg(count / answer["seconds"], cpu / count * 1e6)


def _latency(publisher: dict[str, Any], consumer: dict[str, Any], seconds: int = 10) -> tuple[float, float]:
    """Mean and 99th percentile from publish to delivery, in seconds, at LATENCY_RATE."""
    count = LATENCY_RATE * seconds
    consuming = End("load", "consume", consumer, count=count, prefetch=PREFETCH, latency=True)
    time.sleep(1)  # so that it consumes when the first message is sent
    End("load", "publish", publisher, count=count, window=WINDOW, rate=LATENCY_RATE, size=ENVELOPE_BYTES).result()
    answer = consuming.result()
    return answer["mean_latency"], answer["p99_latency"]


def _at_rate(ours: Agent, theirs: Agent, seconds: int = 20) -> dict[str, float]:
    """OFFERED_RATE messages a second through both agents; needs cores enough for six processes."""
    count = OFFERED_RATE * seconds
    before = ours.cpu_seconds, theirs.cpu_seconds
    consuming = End("load", "consume", theirs.end, count=count, prefetch=PREFETCH, latency=True)
    time.sleep(1)
    order = {"count": count, "window": 10 * WINDOW, "rate": OFFERED_RATE, "size": ENVELOPE_BYTES}
    published = End("load", "publish", ours.end, **order).result()
    answer = consuming.result()
    return {
        "rate": count / published["seconds"],
        "mean_latency": answer["mean_latency"],
        "publisher_cores": (ours.cpu_seconds - before[0]) / published["seconds"],
        "consumer_cores": (theirs.cpu_seconds - before[1]) / published["seconds"],
    }


def _backlog(bus: Bus, ours: Agent) -> float:
    """The most memory of an agent whose client subscribes to 1,000 large messages and never reads."""
    End("load", "publish", ours.end, count=1_000, window=50, size=LARGEST_BODY_BYTES).result()
    agent = Agent(bus, CONSUMER)
    try:
        stuck = End("load", "stall", agent.end, prefetch=1_000, seconds=10)
        stuck.result()
        most = agent.megabytes(peak=True)
    finally:
        agent.stop()
    bus.node.ctl("purge_queue", "-p", bus.direct["vhost"], QUEUE)
    return most


def _bare_signature(count: int = 5_000) -> tuple[float, float]:
    """What the cryptography alone takes on this machine, at this moment."""
    key, algorithm, data = ec.generate_private_key(ec.SECP256R1()), ec.ECDSA(hashes.SHA256()), b"x" * ENVELOPE_BYTES
    public = key.public_key()
    begin = time.process_time()
    signatures = [key.sign(data, algorithm) for _ in range(count)]
    between = time.process_time()
    for signature in signatures:
        public.verify(signature, data, algorithm)
    return (between - begin) / count * 1e6, (time.process_time() - between) / count * 1e6


def _rival(bus: Bus, count: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """CPU in the service per message, in microseconds: pika alone, and signing or verifying in the service."""
    private, public = bus.folder / "rival.pem", bus.folder / "rival.pub"
    key = ec.generate_private_key(ec.SECP256R1())
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    order = {"count": count, "prefetch": PREFETCH, "key": str(private), "public": str(public)}
    figures: list[float] = []
    for what in ("publish-plain", "consume-plain", "publish", "consume"):
        answer = End("rival", what, bus.direct, **order).result()
        figures.append(answer["cpu"] / count * 1e6)
    return (figures[0], figures[2]), (figures[1], figures[3])
