"""The controller's life: pass after pass until it is told to stop; the pass that is under way then is its last."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final

from letrade_topo.log import Log
from letrade_topo.watch.metrics import Metrics
from letrade_topo.watch.passes import Passes
from letrade_topo.watch.schedule import Schedule
from letrade_topo.watch.source import TopologySource

LOOK_SECONDS: Final = 1.0
"""Between two looks at the files, and two signs of life."""
LONGEST_PASS_SECONDS: Final = 1_800.0
"""A pass that takes longer is taken for dead: 10,000 objects took a small broker minutes."""
STALLED_SECONDS: Final = 30.0


class Stop:
    """Asked from a signal handler, waited for by the loop; a simple queue is what may be used in both."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[None] = SimpleQueue()
        self.is_asked = False

    def ask(self) -> None:
        """End after the pass that is under way."""
        self.is_asked = True
        self._asked.put(None)

    def wait(self, seconds: float) -> None:
        """Wait, not longer than until somebody asks."""
        if self.is_asked:
            return
        try:
            self._asked.get(timeout=max(seconds, 0.0))
        except Empty:
            return


@dataclass(slots=True)
class ProbeState:
    """What the probes are told.

    Args:
        monotonic: seconds.
    """

    monotonic: Callable[[], float]
    _alive_until: float = 0.0
    stopping: bool = False

    def __post_init__(self) -> None:
        self.sign_of_life(STALLED_SECONDS)

    def sign_of_life(self, seconds: float) -> None:
        """The next one comes within so many seconds."""
        self._alive_until = self.monotonic() + seconds

    def livez(self) -> str:
        """Whether the loop goes on; a broker that is away is no reason to be restarted."""
        silent = self.monotonic() - self._alive_until
        return f"no sign of life, {silent:.0f} s overdue" if silent > 0 else ""

    def readyz(self) -> str:
        """Local matters only: the topology could be read, and it goes on."""
        return "stopping" if self.stopping else ""


class Controller:
    """Runs.

    Args:
        source: the topology.
        passes: what is done.
        schedule: when.
        metrics, log, health: told.
        stop: ends it.
    """

    def __init__(
        self,
        source: TopologySource,
        passes: Passes,
        schedule: Schedule,
        metrics: Metrics,
        log: Log,
        health: ProbeState,
        stop: Stop,
    ) -> None:
        self._source = source
        self._passes = passes
        self._schedule = schedule
        self._metrics = metrics
        self._log = log
        self._health = health
        self._stop = stop

    def run(self) -> None:
        """Until asked to stop; the lead is given back at the end."""
        try:
            while not self._stop.is_asked:
                began = time.monotonic()
                self._health.sign_of_life(LONGEST_PASS_SECONDS)
                outcome = self._passes.run(self._source.current)
                self._wait(self._schedule.after(outcome, time.monotonic() - began))
        finally:
            self._health.stopping = True
            self._passes.leave()

    def _wait(self, seconds: float) -> None:
        """Until the next pass is due; a topology that has changed makes it due at once."""
        until = time.monotonic() + seconds
        while not self._stop.is_asked:
            self._health.sign_of_life(STALLED_SECONDS)
            self._log.tick()
            left = until - time.monotonic()
            if left <= 0:
                return
            self._stop.wait(min(left, LOOK_SECONDS))
            if self._source.look() and self._reloaded():
                return

    def _reloaded(self) -> bool:
        current, problem = self._source.current, self._source.problem
        self._metrics.reloaded(not problem)
        if problem:
            self._log("error", "topology_reload_failed", {"problem": problem, "kept": f"the topology {current.sha}"})
            return False
        self._metrics.in_force(current.sha)
        self._log("info", "topology_reloaded", {"topology_sha": current.sha})
        for warning in current.warnings:
            self._log("warning", "topology_warning", {"warning": warning})
        return True
