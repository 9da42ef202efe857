"""Which broker node to try next: random order, failed ones later, and none at all for a moment when all failed.

Knows no socket. The penalty of a node grows with its failures in a row, with full jitter, so that many agents do
not come back to a restarted broker at once.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from letrade_agent.back_off import back_off
from letrade_agent.config import UpstreamNode
from letrade_agent.limits import DEFAULT_LIMITS, UpstreamLimits


class NodeHealth(StrEnum):
    """What the last attempt at a node showed."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


@dataclass(slots=True)
class NodeState:
    """A node and how it did.

    Attributes:
        node: where it is.
        health: by the last attempt.
        connections: open now.
        failures: in a row.
        problem: what was wrong with the last attempt; empty after a good one.
        retry_at: by the monotonic clock; before that it is tried only after all others.
    """

    node: UpstreamNode
    health: NodeHealth = NodeHealth.UNKNOWN
    connections: int = 0
    failures: int = 0
    problem: str = ""
    retry_at: float = 0.0


class Nodes:
    """The broker's nodes.

    Args:
        nodes: as given; at least one.
        monotonic: seconds.
        jitter: a number between its two arguments.
        limits: for how long a node is left out.
    """

    def __init__(
        self,
        nodes: Sequence[UpstreamNode],
        *,
        monotonic: Callable[[], float],
        jitter: Callable[[float, float], float] = random.uniform,
        limits: UpstreamLimits = DEFAULT_LIMITS.upstream,
    ) -> None:
        self._limits = limits
        self.states: Final = tuple(NodeState(node) for node in nodes)
        self._monotonic = monotonic
        self._jitter = jitter

    def to_try(self) -> list[NodeState]:
        """Those that may be tried now, in random order; none while all of them are under their penalty."""
        now = self._monotonic()
        ready = [state for state in self.states if state.retry_at <= now]
        random.shuffle(ready)
        return ready

    @property
    def problem(self) -> str:
        """What was wrong with each node, in one line."""
        return "; ".join(f"{state.node}: {state.problem}" for state in self.states if state.problem)

    def worked(self, state: NodeState) -> None:
        """It took a login."""
        state.health, state.failures, state.problem, state.retry_at = NodeHealth.UP, 0, "", 0.0

    def failed(self, state: NodeState, problem: str) -> None:
        """It could not be reached, or did not speak as a broker should."""
        longest = back_off(self._limits.first_penalty_seconds, state.failures, self._limits.longest_penalty_seconds)
        state.health, state.problem = NodeHealth.DOWN, problem
        state.failures += 1
        state.retry_at = self._monotonic() + self._jitter(0.0, longest)
