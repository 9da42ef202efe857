"""An agent to look at, without its relays: state, counts, and everything that the admin port shows of them."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from letrade_agent.config import Address
from letrade_agent.measures import Measures
from letrade_agent.observe.metrics import AgentCollector, Exposition, Sidelights
from letrade_agent.observe.rates import Rates
from letrade_agent.observe.recent import RecentRefusals
from letrade_agent.observe.status import NodeStatus, Observed
from letrade_agent.state import AgentState, InForce, Phase

from letrade_topo.keys.keyset import KeySet, load_keyset
from letrade_topo.keys.making import make_keys
from letrade_topo.log import Log, LogFormat
from letrade_topo.model.security import JwtAlgorithm
from letrade_topo.model.topology import Topology
from tests.topologies import shipped

NOW = 1_800_000_000.0
SERVICE = "strategy"


@cache
def keys() -> KeySet:
    """Letrade's, as `strategy` has them; they end after a year."""
    with TemporaryDirectory() as folder:
        path = Path(folder)
        services = list(shipped().services)
        make_keys(path, services, [], algorithm=JwtAlgorithm.ES256, now=int(NOW), valid_for_seconds=365 * 86_400)
        return load_keyset(path, SERVICE)


@dataclass
class ObservedAgent:
    """What there is to be seen."""

    topology: Topology = field(default_factory=shipped)
    service: str = SERVICE
    now: float = NOW
    keys: KeySet | None = field(default_factory=keys)
    measures: Measures = field(default_factory=Measures)
    sidelights: Sidelights = field(default_factory=lambda: Sidelights(broker_up=True))
    recent: RecentRefusals = field(default_factory=RecentRefusals)

    def __post_init__(self) -> None:
        in_force = InForce(self.topology, "0123456789ab", self.keys, self.now)
        self.state = AgentState(self.service, self.now, in_force, Phase.READY, Address("127.0.0.1", 5672))
        self.state.ticked_at = time.monotonic()
        self.rates = Rates(self.measures, 0.0)
        self.exposition = Exposition(
            AgentCollector(self.measures, self.state, "0.1.0", lambda: self.sidelights, lambda: self.now)
        )

    @property
    def observed(self) -> Observed:
        """For the status."""
        nodes = [NodeStatus("amqps://broker:5671", "up", 1, "")]
        return Observed(
            "0.1.0",
            self.state,
            self.measures,
            self.recent,
            self.rates,
            lambda: nodes,
            lambda: self.sidelights,
            lambda: self.now,
        )

    def scrape(self, accept: str = "") -> str:
        """What Prometheus gets."""
        return self.exposition.scrape(accept).body.decode()

    def own_series(self) -> dict[str, float]:
        """Its own samples by name and labels, as text."""
        lines = [line for line in self.scrape().splitlines() if line.startswith("letrade_agent_")]
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


@dataclass
class StandingClock:
    """Stands still until it is told."""

    now: float = NOW

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self.now


@dataclass
class WrittenLog:
    """A log and what it wrote."""

    log_format: LogFormat = LogFormat.JSON

    def __post_init__(self) -> None:
        self.clock = StandingClock()
        self.stream = io.StringIO()
        self.log = Log(self.stream, self.log_format, self.clock, {"service": SERVICE})

    @property
    def lines(self) -> list[str]:
        """So far."""
        return self.stream.getvalue().splitlines()
