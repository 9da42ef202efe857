"""What several agents have counted, as one answer: what `enforce` would refuse, and what was not rehearsed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from letrade_topo.errors import TopoError

PUBLISH, DELIVER = "publish", "deliver"
_WARN, _OFF, _ENFORCE = "warn", "off", "enforce"

_UNSIGNED_BY = frozenset({"undeclared", "not_allowed", "no_key"})
"""For these reasons a publish passes unsigned, and the consumer's agent finds no token."""

_MET_AGAIN_AS = {"copies": "not_allowed", "encrypt": "decrypt"}
"""The consumer's agent calls it otherwise."""


class CannotRehearse(TopoError):
    """An agent does not count what a rehearsal needs."""


@dataclass(frozen=True, slots=True)
class RehearsalFinding:
    """Something that would be refused.

    Args:
        service: whose agent says so.
        direction: publish or deliver.
        exchange: where it was published.
        queue: where it came from; empty for a publish.
        message_type: if it has one.
        routing_key: of the example.
        reason: the word.
        count: how many messages.
        message_id: of the example; empty where it has none.
        text: what was wrong with the example.
        met_again_by: services whose agents met the same messages again, when they came to them.
    """

    service: str
    direction: str
    exchange: str
    queue: str
    message_type: str
    routing_key: str
    reason: str
    count: int
    message_id: str
    text: str
    met_again_by: tuple[str, ...] = ()

    @property
    def _key(self) -> tuple[str, ...]:
        about = (self.message_type, "") if self.message_type else ("", self.routing_key)
        return (self.service, self.direction, self.exchange, self.queue, *about, self.reason)


@dataclass(frozen=True, slots=True)
class ServiceRehearsal:
    """What was rehearsed of one service.

    Args:
        service: its name.
        agents: how many agents of it were asked.
        published: messages that it published, by exchange.
        delivered: messages that came to it.
        modes: of the exchanges.
        restarted: an agent was restarted meanwhile: what it had counted before is lost.
    """

    service: str
    agents: int
    published: Mapping[str, int]
    delivered: int
    modes: Mapping[str, str]
    restarted: bool = False

    @property
    def not_judged(self) -> Mapping[str, int]:
        """Messages that were published in mode `off`, by exchange: nobody looked at them."""
        return {name: count for name, count in self.published.items() if count and self.modes.get(name) == _OFF}

    @property
    def judged(self) -> int:
        """Messages that somebody looked at; of what came in all are counted, whatever their exchange."""
        judged = (count for name, count in self.published.items() if self.modes.get(name) in (_WARN, _ENFORCE))
        return sum(judged) + self.delivered


@dataclass(frozen=True, slots=True)
class RehearsalReport:
    """The answer.

    Args:
        seconds: over how long; None: since each agent was started.
        services: that were asked.
        findings: what would be refused, by service and the most frequent first.
    """

    seconds: float | None
    services: tuple[ServiceRehearsal, ...]
    findings: tuple[RehearsalFinding, ...]

    @property
    def judged(self) -> int:
        """How many messages were looked at."""
        return sum(one.judged for one in self.services)


def counted_of(status: dict[str, Any], url: str) -> dict[str, Any]:
    """The status of an agent that counts for a rehearsal.

    Args:
        status: as its page has it.
        url: of the agent.

    Raises:
        CannotRehearse: it is of a version that does not.
    """
    if not {"rehearsal", "messages", "started_at"} <= status.keys():
        why = f"it is letrade-agent {status.get('version')}, which counts by reason alone"
        raise CannotRehearse(f"the agent at {url} cannot say what would be refused", why=why, fix="update it")
    return status


def report_of(
    before: Sequence[Mapping[str, Any]] | None, after: Sequence[Mapping[str, Any]], seconds: float | None
) -> RehearsalReport:
    """Put together what agents say.

    Args:
        before: the status of each agent at the start of the period; None: since each was started.
        after: of the same ones in the same order, at its end.
        seconds: the length of the period.
    """
    begun = [None] * len(after) if before is None else before
    changes = [_Change.between(first, last) for first, last in zip(begun, after, strict=True)]
    services = []
    findings: list[RehearsalFinding] = []
    for service in sorted({change.service for change in changes}):
        own = [change for change in changes if change.service == service]
        published: Counter[str] = Counter()
        for change in own:
            published.update(change.published)
        delivered = sum(change.delivered for change in own)
        restarted = any(change.restarted for change in own)
        services.append(ServiceRehearsal(service, len(own), published, delivered, own[-1].modes, restarted))
        findings += sorted(_summed(one for change in own for one in change.findings), key=lambda one: -one.count)
    return RehearsalReport(seconds, tuple(services), tuple(_folded(findings)))


@dataclass(frozen=True, slots=True)
class _Change:
    """What one agent has counted in the period."""

    service: str
    published: Mapping[str, int]
    delivered: int
    modes: Mapping[str, str]
    findings: Sequence[RehearsalFinding]
    restarted: bool

    @classmethod
    def between(cls, first: Mapping[str, Any] | None, last: Mapping[str, Any]) -> _Change:
        restarted = first is not None and first["started_at"] != last["started_at"]
        start = None if restarted else first
        published = _by_destination(last, {PUBLISH})
        delivered = sum(_by_destination(last, {DELIVER, "get"}).values())
        found = {one._key: one for one in _findings(last)}
        if start is not None:
            published.subtract(_by_destination(start, {PUBLISH}))
            delivered -= sum(_by_destination(start, {DELIVER, "get"}).values())
            for earlier in _findings(start):
                one = found.get(earlier._key)
                if one is not None:
                    found[one._key] = replace(one, count=one.count - earlier.count)
        findings = [one for one in found.values() if one.count > 0]
        return cls(last["service"], published, delivered, last["rehearsal"]["modes"], findings, restarted)


def _by_destination(status: Mapping[str, Any], directions: set[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for row in status["messages"]["by_destination"]:
        if row["direction"] in directions:
            counts[row["destination"]] += row["count"]
    return counts


def _findings(status: Mapping[str, Any]) -> list[RehearsalFinding]:
    return [
        RehearsalFinding(
            status["service"],
            row["direction"],
            row["exchange"],
            row["queue"] or "",
            row["message_type"] or "",
            row["routing_key"],
            row["reason"],
            row["count"],
            row["message_id"] or "",
            row["text"],
        )
        for row in status["rehearsal"]["would_refuse"]
    ]


def _summed(findings: Iterable[RehearsalFinding]) -> list[RehearsalFinding]:
    """Those of the agents of one service, each once."""
    summed: dict[tuple[str, ...], RehearsalFinding] = {}
    for one in findings:
        earlier = summed.get(one._key)
        summed[one._key] = one if earlier is None else replace(earlier, count=earlier.count + one.count)
    return list(summed.values())


def _folded(findings: Sequence[RehearsalFinding]) -> list[RehearsalFinding]:
    """What a consumer's agent met of what the publisher's had let through is said once, at the publisher."""
    published = [one for one in findings if one.direction == PUBLISH]
    met_again: dict[RehearsalFinding, dict[str, None]] = {one: {} for one in published}
    kept = []
    for one in findings:
        causes = [cause for cause in published if one.direction == DELIVER and _is_met_again(cause, one)]
        for cause in causes:
            met_again[cause][one.service] = None
        if not causes:
            kept.append(one)
    return [replace(one, met_again_by=tuple(met_again.get(one, ()))) for one in kept]


def _is_met_again(cause: RehearsalFinding, met: RehearsalFinding) -> bool:
    if cause.exchange != met.exchange:
        return False
    same_type = cause.message_type == met.message_type if met.message_type else cause.routing_key == met.routing_key
    if met.reason == "token_missing":
        return same_type and cause.reason in _UNSIGNED_BY
    return same_type and met.reason == _MET_AGAIN_AS.get(cause.reason, cause.reason)
