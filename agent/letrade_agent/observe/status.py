"""The status of an agent as one JSON document: what the status page shows, and more, for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from letrade_agent.measures import Measures
from letrade_agent.observe.metrics import Sidelights, signing_ends
from letrade_agent.observe.rates import Rates
from letrade_agent.observe.recent import RecentRefusals
from letrade_agent.state import AgentState, Reloads, ReloadSource
from letrade_topo.keys.jwk import Use
from letrade_topo.keys.states import states_of

FORMAT_VERSION = 1


class NodeStatus(NamedTuple):
    """A broker node as the agent sees it.

    Attributes:
        node: its URL.
        health: up, down or unknown, by the last attempt.
        connections: open now.
        problem: what was wrong with the last attempt.
    """

    node: str
    health: str
    connections: int
    problem: str


class Observed(NamedTuple):
    """Everything that the status is made of.

    Attributes:
        version: of the distribution.
        state: how the agent is doing.
        measures: its counts.
        recent: the last refusals.
        rates: of the last minutes.
        nodes: the broker's.
        sidelights: what is looked up elsewhere.
        clock: seconds since the epoch.
    """

    version: str
    state: AgentState
    measures: Measures
    recent: RecentRefusals
    rates: Rates
    nodes: Callable[[], Sequence[NodeStatus]]
    sidelights: Callable[[], Sidelights]
    clock: Callable[[], float]


def status_of(observed: Observed) -> dict[str, Any]:
    """The document; times are RFC 3339 in UTC."""
    state, now = observed.state, observed.clock()
    return {
        "format_version": FORMAT_VERSION,
        "service": state.service,
        "version": observed.version,
        "state": state.phase.value,
        "ready": state.is_ready,
        "started_at": moment(state.started_at),
        "uptime_seconds": round(max(now - state.started_at, 0)),
        "listen": str(state.listening) if state.listening else None,
        "topology": _topology(state),
        "keys": _keys(state, now),
        "broker": _broker(observed),
        "clients": _clients(observed.measures),
        "messages": _messages(observed.measures),
        "rehearsal": _rehearsal(state, observed.measures),
        "queues": [
            {"queue": queue, "state": kind, "messages": count}
            for (queue, kind), count in observed.sidelights().queue_messages.items()
        ],
        "certificates": {role: moment(end) for role, end in observed.sidelights().certificates_end.items()},
        "recent_refusals": [
            {
                "time": moment(refused.at),
                "event": refused.event,
                "reason": refused.reason,
                "destination": refused.destination,
                "text": refused.text,
            }
            for refused in observed.recent
        ],
    }


def as_json(document: Mapping[str, Any]) -> bytes:
    """The document as it is served."""
    return (json.dumps(document, indent=2) + "\n").encode()


def moment(seconds: float | None) -> str | None:
    """RFC 3339 in UTC; None for None and for what is beyond the calendar."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None


def _topology(state: AgentState) -> dict[str, Any]:
    topology = state.in_force.topology
    return {
        "name": topology.name,
        "environment": topology.environment,
        "vhost": topology.vhost,
        "mode": topology.security.jwt.mode.value,
        "sha": state.in_force.topology_sha,
        "reloads": _reloads(state.reloads[ReloadSource.CONFIG]),
    }


def _keys(state: AgentState, now: float) -> dict[str, Any] | None:
    keys = state.in_force.keys
    if keys is None:
        return None
    current, end = keys.signing_key(now), signing_ends(state.in_force, now)
    return {
        "signing_kid": current.kid if current else None,
        "signing_ends_at": moment(end) if end else None,
        "loaded_at": moment(state.in_force.loaded_at),
        "warnings": list(keys.warnings),
        "reloads": _reloads(state.reloads[ReloadSource.KEYS]),
        "signature_keys": [
            {
                "kid": found.key.kid,
                "issuer": found.key.issuer,
                "algorithm": str(found.key.algorithm),
                "state": found.state.value,
                "active_from": moment(found.key.validity.active_from),
                "retired_at": moment(found.key.validity.retired_at),
                "warning": found.warning or None,
            }
            for found in states_of(keys.public.values(), now)
            if found.key.use is Use.SIGNATURE
        ],
    }


def _reloads(reloads: Reloads) -> dict[str, Any]:
    return {"ok": reloads.ok, "failed": reloads.failed, "problem": reloads.problem or None}


def _broker(observed: Observed) -> dict[str, Any]:
    measures = observed.measures
    return {
        "up": observed.sidelights().broker_up,
        "connections": measures.upstreams,
        "blocked": measures.blocked,
        "connect_attempts": dict(measures.connect_attempts),
        "nodes": [node._asdict() for node in observed.nodes()],
    }


def _clients(measures: Measures) -> dict[str, Any]:
    return {
        "connections": measures.clients,
        "opened": measures.client_connections,
        "channels": measures.channels,
        "disconnects": dict(measures.disconnects),
        "unsettled_deliveries": measures.unsettled,
        "waiting_consumers": {queue: count for queue, count in sorted(measures.waiting_consumers.items()) if count},
        "buffered_bytes": dict(measures.buffered),
    }


def _messages(measures: Measures) -> dict[str, Any]:
    return {
        "totals": _totals(measures),
        "by_destination": [
            {"direction": direction, "destination": destination, "outcome": outcome, "count": count}
            for (direction, destination, outcome), count in sorted(measures.messages.items())
        ],
        "refused": _by_reason(measures.refused.items()),
        "warned": _by_reason(measures.warned.items()),
        "unverified": [
            {"direction": direction, "cause": cause, "count": count}
            for (direction, cause), count in sorted(measures.unverified.items())
        ],
        "repeats": sum(measures.repeats.values()),
        "confirms": dict(measures.confirms),
        "held": measures.held,
        "retried": sum(measures.retries.values()),
        "dead_lettered": sum(measures.dead_letters.values()),
        "handed_over": sum(measures.hand_over_seconds.counts),
        "hand_overs_in_flight": measures.hand_overs_in_flight,
        "hand_over_failures": measures.hand_over_failures,
    }


def _rehearsal(state: AgentState, measures: Measures) -> dict[str, Any]:
    """What there is to judge of mode `enforce`: the mode of each exchange, and what would be refused in mode `warn`."""
    topology = state.in_force.topology
    return {
        "modes": {name: topology.mode_of(name).value for name in sorted(topology.exchanges)},
        "would_refuse": [
            {
                "direction": place.direction,
                "exchange": place.exchange,
                "queue": place.queue or None,
                "message_type": place.about if place.is_typed else None,
                "routing_key": example.routing_key if place.is_typed else place.about,
                "reason": place.reason,
                "count": count,
                "message_id": example.message_id or None,
                "text": example.text,
            }
            for place, count, example in measures.rehearsal
        ],
    }


def summary_of(measures: Measures) -> dict[str, object]:
    """What an agent has done, in the few figures of its last line."""
    by_direction = _totals(measures)
    refused = sorted(measures.refused.items())
    return {
        "clients": measures.client_connections,
        "published": by_direction["publish"]["forwarded"],
        "delivered": by_direction["deliver"]["forwarded"] + by_direction["get"]["forwarded"],
        "refused": {f"{direction} {reason}": count for (direction, reason), count in refused},
        "retries": sum(measures.retries.values()),
        "dead_letters": sum(measures.dead_letters.values()),
        "repeats": sum(measures.repeats.values()),
        "confirms": dict(measures.confirms),
        "disconnects": dict(measures.disconnects),
    }


def _totals(measures: Measures) -> dict[str, dict[str, int]]:
    """Messages by direction and outcome."""
    result = {direction: {"forwarded": 0, "rejected": 0} for direction in ("publish", "deliver", "get", "return")}
    for (direction, _, outcome), count in measures.messages.items():
        by_outcome = result.setdefault(direction, {})
        by_outcome[outcome] = by_outcome.get(outcome, 0) + count
    return result


def _by_reason(counts: Iterable[tuple[tuple[str, str], int]]) -> list[dict[str, Any]]:
    most_first = sorted(counts, key=lambda item: -item[1])
    return [{"direction": direction, "reason": reason, "count": count} for (direction, reason), count in most_first]
