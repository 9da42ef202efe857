"""How the agent as a whole is doing: which topology and keys are in force, and how reloads went.

Written by whoever starts, stops and reloads; read by the admin port. No decision is made here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from letrade_agent.config import Listening
from letrade_topo.keys.keyset import KeySet
from letrade_topo.model.topology import Topology


class Phase(StrEnum):
    """Where in its life the agent is."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class ReloadSource(StrEnum):
    """What can be reloaded."""

    CONFIG = "config"
    KEYS = "keys"


@dataclass(frozen=True, slots=True)
class InForce:
    """What the filters are made of.

    Args:
        topology: as loaded.
        topology_sha: the first 12 hexadecimal digits of the SHA-256 of its files.
        keys: None: the topology signs nothing.
        loaded_at: when these keys were read, in seconds since the epoch.
    """

    topology: Topology
    topology_sha: str
    keys: KeySet | None
    loaded_at: float


@dataclass(slots=True)
class Reloads:
    """How reloads of one source went.

    Args:
        ok: that brought something new.
        failed: after which the old one stayed.
        problem: why the last one failed; empty when it did not.
    """

    ok: int = 0
    failed: int = 0
    problem: str = ""


@dataclass(slots=True)
class AgentState:
    """How the agent is doing.

    Args:
        service: the service beside which it runs.
        started_at: seconds since the epoch.
        in_force: topology and keys.
        phase: where in its life it is.
        listening: where clients connect, once they can.
        ticked_at: when the event loop was last seen running, by the monotonic clock.
        reloads: by source.
    """

    service: str
    started_at: float
    in_force: InForce
    phase: Phase = Phase.STARTING
    listening: Listening | None = None
    ticked_at: float = 0.0
    reloads: dict[ReloadSource, Reloads] = field(default_factory=lambda: {source: Reloads() for source in ReloadSource})

    @property
    def is_ready(self) -> bool:
        """Whether it does its work: listener (if it has one), topology and keys are there, and it is not draining."""
        return self.phase is Phase.READY
