"""The rounds: bus and aio-pika alone in turns, through the same two agents."""

from __future__ import annotations

import json
import subprocess
import sys
import timeit
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.agents.machinery import AgentProcess, BenchBus, agents
from bench.agents.messages import VHOST
from bench.bus.ends import READY
from letrade_topo.bus.patterns import Pattern

ROUNDS = 5
PREFETCH = 250
HEALTH_CHECKS = 100
OFFERED_RATES = (500, 1_000, 2_000, 4_000, 6_000, 8_000, 10_000)
OFFERED_SECONDS = 10
BEHIND_SECONDS = 0.5
"""Who has the last message within so long has kept up: the queue did not grow."""

LIMIT_SECONDS = 300
BY = ("bus", "raw")


@dataclass(frozen=True, slots=True)
class BusLeg:
    """One direction, by one way.

    Args:
        per_second: median of the rounds.
        slowest, fastest: of the rounds.
        cpu_microseconds: of the client for each message, median.
    """

    per_second: float
    slowest: float
    fastest: float
    cpu_microseconds: float


@dataclass(frozen=True, slots=True)
class BusFigures:
    """Everything of one run; legs by `bus` and `raw`.

    Args:
        messages: in each round.
        publish, consume: by way.
        health: median and slowest, seconds.
        filter_microseconds: for a key that was seen before, and for a new one.
        offered: at each rate, by way, how many seconds after it was offered the last message had arrived; rates rise
            until aio-pika alone does not keep up.
    """

    messages: int
    publish: dict[str, BusLeg]
    consume: dict[str, BusLeg]
    health: tuple[float, float]
    filter_microseconds: tuple[float, float]
    offered: dict[int, dict[str, float]]


def measure(bus: BenchBus, messages: int, say: Callable[[str], None]) -> BusFigures:
    """Everything, one after the other, on the same broker."""
    ours, theirs = agents(bus)
    taken: dict[tuple[str, str], list[dict[str, Any]]] = {
        (what, by): [] for what in ("publish", "consume") for by in BY
    }
    try:
        for by in BY:  # each once before, so that both meet code that is loaded
            _end("publish", by, bus, ours, count=messages // 10)
            _end("consume", by, bus, theirs, count=messages // 10, prefetch=PREFETCH)
        for number in range(ROUNDS):
            for by in BY if number % 2 else reversed(BY):
                for what, agent in (("publish", ours), ("consume", theirs)):
                    answer = _end(what, by, bus, agent, count=messages, prefetch=PREFETCH)
                    taken[what, by].append(answer)
                    say(f"{what} by {by}: {messages / answer['seconds']:,.0f} a second")
        health = _end("health", "bus", bus, theirs, count=HEALTH_CHECKS)
        say(f"health_check: {health['median'] * 1e3:.1f} ms")
        offered = _offered(bus, ours, theirs, say)
    finally:
        ours.stop()
        theirs.stop()
    legs = {key: _leg(answers, messages) for key, answers in taken.items()}
    return BusFigures(
        messages,
        {by: legs["publish", by] for by in BY},
        {by: legs["consume", by] for by in BY},
        (health["median"], health["slowest"]),
        _filter(),
        offered,
    )


def _leg(answers: list[dict[str, Any]], messages: int) -> BusLeg:
    rates = [messages / answer["seconds"] for answer in answers]
    cpu = [answer["cpu"] / messages * 1e6 for answer in answers]
    return BusLeg(median(rates), min(rates), max(rates), median(cpu))


def _offered(
    bus: BenchBus, ours: AgentProcess, theirs: AgentProcess, say: Callable[[str], None]
) -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = {}
    for rate in OFFERED_RATES:
        count = rate * OFFERED_SECONDS
        found[rate] = behind = {}
        for by in reversed(BY):
            consuming = _start("consume", by, bus, theirs, count=count, prefetch=PREFETCH)
            try:
                _wait_until_ready(consuming)
                published = _end("offer", by, bus, ours, count=count, rate=rate)
                behind[by] = _answer(consuming)["end"] - published["begin"] - OFFERED_SECONDS
            finally:
                consuming.kill()
            say(f"{rate:,} a second by {by}: {behind[by]:.2f} s behind")
        if behind["raw"] > BEHIND_SECONDS:
            break
    return found


def _wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    while process.stdout.readline().strip() != READY:
        if process.poll() is not None:
            raise RuntimeError(f"an end of the load ended with {process.returncode}")


def _filter() -> tuple[float, float]:
    """Microseconds for one key."""
    keys = [f"market_data.binance.{number}" for number in range(5_000)]
    patterns = [Pattern.parse("market_data.*.1*") for _ in range(5)]

    def ask(pattern: Pattern) -> float:
        return timeit.timeit(lambda: [pattern.matches(key) for key in keys], number=1)

    new = [ask(pattern) for pattern in patterns]
    seen = [ask(pattern) for pattern in patterns]
    return min(seen) / len(keys) * 1e6, min(new) / len(keys) * 1e6


def _end(what: str, by: str, bus: BenchBus, agent: AgentProcess, **order: Any) -> dict[str, Any]:
    return _answer(_start(what, by, bus, agent, **order))


def _start(what: str, by: str, bus: BenchBus, agent: AgentProcess, **order: Any) -> subprocess.Popen[str]:
    where = {
        "by": by,
        "url": agent.end["url"],
        "admin": f"127.0.0.1:{agent.admin_port}",
        "vhost": VHOST,
        "topology": str(bus.topology),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "bench.bus.ends", what, json.dumps(where | order)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def _answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    try:
        out, _ = process.communicate(timeout=LIMIT_SECONDS)
    finally:
        process.kill()
    if process.returncode:
        raise RuntimeError(f"an end of the load ended with {process.returncode}")
    answer: dict[str, Any] = json.loads(out.splitlines()[-1])
    return answer
