"""What a good client notices of its neighbours: how long its confirms take alone, and beside each of them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final

from bench.agents.machinery import AgentProcess, BenchBus, EndProcess, Floor
from bench.agents.messages import NEIGHBOURS, MessageKind
from bench.fairness.neighbours import PREFETCH, Neighbour

RATE: Final = 100
"""Messages a second of the good client."""
_SETTLING_SECONDS: Final = 1.0
_CONNECTING_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 90.0


@dataclass(frozen=True, slots=True)
class Waits:
    """How long confirms took.

    Args:
        median, p99: seconds.
    """

    median: float
    p99: float


@dataclass(frozen=True, slots=True)
class Through:
    """What a good client notices of the neighbours behind the same thing as it.

    Args:
        alone: without any.
        beside: each of them; for a crowd while it logs in.
        beside_idle: a crowd that has logged in and does nothing.
        crowd_seconds: until all of the crowd were in.
    """

    alone: Waits
    beside: Mapping[Neighbour, Waits]
    beside_idle: Waits
    crowd_seconds: float


@dataclass(frozen=True, slots=True)
class Fairness:
    """Through an agent, and through a plain TLS proxy, where the broker and the cores are all that is shared."""

    agent: Through
    floor: Through


def measure_fairness(bus: BenchBus, messages: int, say: Callable[[str], None]) -> Fairness:
    """Everything, first through the plain proxy.

    Args:
        bus: the broker, with its topology.
        messages: of the good client beside each neighbour.
        say: told how far it is.
    """
    seconds = messages / RATE
    floor, agent = Floor(bus), AgentProcess(bus, NEIGHBOURS)
    try:
        answers = []
        for name, between in (("plain TLS proxy", floor), ("agent", agent)):
            say(f"confirms through the {name}:")
            answers.append(_through(between.end, agent.end, seconds, say))
            for kind in (MessageKind.PULSE, MessageKind.NOISE):
                bus.node.ctl("purge_queue", "-p", bus.direct["vhost"], kind.queue)
    finally:
        agent.stop()
        floor.stop()
    return Fairness(answers[1], answers[0])


def _through(end: dict[str, Any], publisher: dict[str, Any], seconds: float, say: Callable[[str], None]) -> Through:
    EndProcess("load", "publish", publisher, count=PREFETCH, window=1_000, kind=MessageKind.NOISE.name).result()
    alone: list[float] = []
    beside: dict[Neighbour, Waits] = {}
    crowd_seconds = 0.0
    idle = Waits(0.0, 0.0)
    for neighbour in Neighbour:
        alone += _Good(end, seconds / 2, after=_CONNECTING_SECONDS).latencies()
        good = _Good(end, seconds, after=_CONNECTING_SECONDS + _SETTLING_SECONDS)
        time.sleep(_CONNECTING_SECONDS)  # it is there before its neighbour
        with_it = _Beside(neighbour, end)
        try:
            beside[neighbour] = _waits(good.latencies())
            if neighbour is Neighbour.CROWD:
                crowd_seconds = with_it.settled()
                idle = _waits(_Good(end, seconds, after=_CONNECTING_SECONDS + _SETTLING_SECONDS).latencies())
                say(f"beside a crowd that does nothing: {_in_words(idle)}")
        finally:
            with_it.leave()
        say(f"beside one that {neighbour.value}: {_in_words(beside[neighbour])}")
        time.sleep(_SETTLING_SECONDS)
    say(f"alone: {_in_words(_waits(alone))}")
    return Through(_waits(alone), beside, idle, crowd_seconds)


class _Good:
    """The good client, which connects now and begins later."""

    def __init__(self, end: dict[str, Any], seconds: float, after: float) -> None:
        self._end = EndProcess("load", "pulse", end, rate=RATE, seconds=seconds, begin=time.monotonic() + after)

    def latencies(self) -> list[float]:
        """How long each confirm took, in seconds."""
        answer = self._end.result()
        if answer["refused"]:
            raise RuntimeError(f"{answer['refused']} publishes of the good client were refused")
        latencies: list[float] = answer["latencies"]
        return latencies


def _waits(latencies: list[float]) -> Waits:
    ordered = sorted(latencies)
    return Waits(ordered[len(ordered) // 2], ordered[math.ceil(len(ordered) * 0.99) - 1])


def _in_words(waits: Waits) -> str:
    return f"{waits.median * 1e3:.2f} ms, 99 % within {waits.p99 * 1e3:.2f} ms"


class _Beside:
    """A neighbour that has begun."""

    def __init__(self, neighbour: Neighbour, end: dict[str, Any]) -> None:
        command = [sys.executable, "-m", "bench.fairness.neighbours", neighbour.name, json.dumps(end)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._hear("ready")

    def settled(self) -> float:
        """The seconds until all of a crowd were in."""
        return float(self._hear("settled")[1])

    def leave(self) -> None:
        """End it."""
        _of(self._process.stdin).close()
        try:
            self._process.wait(_PATIENCE_SECONDS)
        finally:
            self._process.kill()
            _of(self._process.stdout).close()

    def _hear(self, what: str) -> list[str]:
        words = _of(self._process.stdout).readline().split()
        if words[:1] != [what]:
            self._process.kill()
            raise RuntimeError(f"a neighbour did not say that it is {what}, but: {' '.join(words) or 'nothing'}")
        return words


def _of(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe
