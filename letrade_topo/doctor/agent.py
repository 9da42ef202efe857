"""An agent, by what its admin port says of it: whether it is ready, reaches the broker, has the topology and keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from letrade_topo.agent_status import agent_status
from letrade_topo.doctor.checkup import Checkup, Seen, Verdict
from letrade_topo.doctor.probe import SignedProbe
from letrade_topo.doctor.through_agent import ServiceView
from letrade_topo.doctor.way import SOON_DAYS
from letrade_topo.model.topology import Topology


@dataclass(slots=True)
class AgentChecks:
    """Checks of one agent.

    Args:
        url: of its admin port.
        sha: of the topology's files here; None where there are none.
        now: the time, with its zone.
        topology: the topology of here; None where there is none.
        keys: a folder of keys, to sign a probe with.
    """

    url: str
    sha: str | None
    now: datetime
    topology: Topology | None = None
    keys: Path | None = None
    _status: Mapping[str, Any] = field(default_factory=dict, init=False)

    def make(self, checkup: Checkup) -> None:
        """Make all of them."""
        checkup.check("agent", "its admin port answers", self._answers)
        checkup.check("agent ready", "it takes clients", self._ready, needs=("agent",))
        checkup.check("agent topology", "it has the file of here", self._topology, needs=("agent",))
        checkup.check("agent keys", "a key to sign with, that lasts", self._keys, needs=("agent",))
        checkup.check("agent certificates", "they last", self._certificates, needs=("agent",))
        checkup.check("agent broker", "it is connected", self._broker, needs=("agent",))
        checkup.check(
            "agent view",
            "what its service needs is there",
            self._view,
            needs=("agent ready", "agent topology", "agent broker"),
        )
        if self.keys is not None:
            checkup.check("agent probe", "what it signs is accepted", self._probe, needs=("file", "agent"))

    def _answers(self) -> Seen:
        self._status = found = agent_status(self.url)
        return Seen(f"letrade-agent {found['version']} of {found['service']!r}, {found['state']}")

    def _ready(self) -> Seen:
        if self._status.get("ready"):
            return Seen(f"listens on {self._status.get('listen')}")
        return Seen(
            f"the agent takes no clients: it is {self._status.get('state')}",
            Verdict.FAILED,
            "its log says what it waits for",
            kind="AgentNotReady",
        )

    def _topology(self) -> Seen:
        topology = self._status.get("topology") or {}
        there, problem = topology.get("sha"), (topology.get("reloads") or {}).get("problem")
        if problem:
            return Seen(
                "the agent keeps an old topology", Verdict.FAILED, "correct the file that it reads", problem, "Stale"
            )
        if self.sha is not None and there != self.sha:
            return Seen(
                f"the agent has another topology than this file: {there}, here {self.sha}",
                Verdict.FAILED,
                "give the agent this file; it reads it again by itself",
                kind="Stale",
            )
        return Seen(f"{topology.get('name')}, {there}")

    def _keys(self) -> Seen:
        keys = self._status.get("keys")
        if keys is None:
            return Seen("none: the topology signs nothing")
        problem = (keys.get("reloads") or {}).get("problem")
        if problem:
            return Seen("the agent cannot read its new keys", Verdict.FAILED, "correct them", problem, "InvalidKeySet")
        if not keys.get("signing_kid"):
            return Seen(
                "the agent has no key to sign with",
                Verdict.FAILED,
                "make one: `letrade-topo keys init DIR`, or `keys rotate DIR` where the last one has expired",
                "; ".join(keys.get("warnings") or ()),
                "InvalidKeySet",
            )
        left = self._days_until(keys.get("signing_ends_at"))
        seen = f"signs with {keys['signing_kid']}" + ("" if left is None else f", for {left} days")
        if left is not None and left < SOON_DAYS:
            return Seen(seen, Verdict.WARNING, "`letrade-topo keys rotate DIR`, and give the agents the files")
        return Seen(seen)

    def _certificates(self) -> Seen:
        ends = {
            role: left
            for role, end in (self._status.get("certificates") or {}).items()
            if (left := self._days_until(end)) is not None
        }
        if not ends:
            return Seen("none are shown")
        role, left = min(ends.items(), key=lambda item: item[1])
        seen = f"the first to end is that of `{role}`, in {left} days"
        if left < 0:
            return Seen(
                f"the certificate of `{role}` has expired", Verdict.FAILED, "renew it", seen, "InvalidCertificate"
            )
        return Seen(seen, Verdict.WARNING, "renew it") if left < SOON_DAYS else Seen(seen)

    def _broker(self) -> Seen:
        broker = self._status.get("broker") or {}
        nodes = broker.get("nodes") or ()
        problems = [f"{one.get('node')}: {one['problem']}" for one in nodes if one.get("problem")]
        shown = ", ".join(f"{one.get('node')} {one.get('health')}" for one in nodes)
        if broker.get("up"):
            return Seen(shown or "connected")
        return Seen(
            "the agent does not reach the broker",
            Verdict.FAILED,
            "what the broker says to its login stands above; check the agent's --upstream, certificate and CA file",
            "; ".join(problems) or shown,
            "BrokerUnreachable",
        )

    def _view(self) -> Seen:
        service, listen = str(self._status["service"]), str(self._status.get("listen") or "")
        host, _, port = listen.rpartition(":")
        if self.topology is None or service not in self.topology.services:
            return Seen("not asked for: the file of here does not know its service", Verdict.NOT_ASKED)
        if not port.isdigit():
            return Seen(f"not asked for: it listens on {listen or 'nothing'}", Verdict.NOT_ASKED)
        return ServiceView(host.strip("[]"), int(port), self.topology, service).ask()

    def _probe(self) -> Seen:
        service = str(self._status["service"])
        if self.topology is None or self.keys is None or service not in self.topology.services:
            return Seen("not asked for: the file of here does not know its service", Verdict.NOT_ASKED)
        return SignedProbe(self.topology, self.keys, service).verify(self.now.timestamp())

    def _days_until(self, moment: object) -> int | None:
        try:
            end = datetime.fromisoformat(str(moment))
        except ValueError:
            return None
        return (end.astimezone(UTC) - self.now).days
