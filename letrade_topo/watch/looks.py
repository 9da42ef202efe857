"""What a controller finds when it looks: read and planned anew, or known to be as it was at the last look.

From RabbitMQ 4.3.5 on the broker's definitions have a tag that changes with every change of its metadata: of objects,
rights, records, parameters, and of the policy that a queue is under (the index of Khepri's log). Where it is the same,
a few calls take the place of all listings: for the tag, and for what is no metadata, which are listeners, tracing, and
how each queue is. Plug-ins, and whatever else is not known to be covered, are looked at again after `REREAD_SECONDS`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from letrade_topo.broker.capabilities import for_version
from letrade_topo.management.answers import JsonObject
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.endpoint import ManagementEndpoint
from letrade_topo.management.errors import NotFound
from letrade_topo.management.reading import read_queue_counts, read_state
from letrade_topo.plan.plan import Plan
from letrade_topo.plan.prepare import PlanRequest, plan_for
from letrade_topo.watch.source import Watched

REREAD_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class Look:
    """What was found.

    Args:
        plan: what differs.
        totals: messages and states of all queues, by `name`.
    """

    plan: Plan
    totals: Sequence[JsonObject] = ()


@dataclass(frozen=True, slots=True)
class _Facts:
    """What has to be the same for nothing to have changed.

    Args:
        endpoint: which broker's, as whom.
        tag: of its definitions.
        overview: what it says of itself.
        is_traced: the vhost.
        states: of its queues, by name.
    """

    endpoint: ManagementEndpoint
    tag: str
    overview: JsonObject
    is_traced: bool
    states: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Seen:
    """The last look.

    Args:
        watched: at whose topology.
        facts: from before anything else was read; None where they were not asked for.
        plan: what came of it.
        until: monotonic seconds; it is not relied on any longer.
    """

    watched: Watched
    facts: _Facts | None
    plan: Plan
    until: float

    @property
    def tells(self) -> bool:
        """Whether this broker has a tag that this login may ask for, and a vhost to ask about."""
        has_tag = for_version(self.plan.broker.version).definitions_etag
        return self.plan.vhost_exists and has_tag and self.plan.reach.is_everything


class Looks:
    """Looks, and remembers the last one.

    Args:
        timed: who is told how long a part took, in seconds: `read`, `plan`.
        monotonic: seconds.
    """

    def __init__(self, timed: Callable[[str, float], None], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._timed = timed
        self._monotonic = monotonic
        self._last: _Seen | None = None

    def look(self, client: ManagementClient, watched: Watched, request: PlanRequest) -> Look:
        """The plan for the broker as it is.

        Args:
            client: to it.
            watched: the topology.
            request: of this topology, always the same one.
        """
        began = self._monotonic()
        last, self._last = self._last, None  # after an error nothing is known
        facts: _Facts | None = None
        totals: Sequence[JsonObject] = ()
        if last is not None and last.watched is watched and last.tells:
            with contextlib.suppress(NotFound):  # the vhost, which may be gone: what that means is seen by reading all
                totals = client.queue_totals(request.scope.vhost)
                facts = _facts(client, request.scope.vhost, totals, last.facts.tag if last.facts else "")
            if facts is not None and facts.tag and facts == last.facts and began < last.until:
                self._timed("read", self._monotonic() - began)
                self._last = last
                return Look(last.plan, totals)
        live = read_state(client, request.scope.vhost)
        read = self._monotonic()
        plan = plan_for(live, request, lambda: read_queue_counts(client, request.scope.vhost))
        self._timed("read", read - began)
        self._timed("plan", self._monotonic() - read)
        self._last = _Seen(watched, facts, plan, began + REREAD_SECONDS)
        if plan.vhost_exists and not totals:
            totals = client.queue_totals(request.scope.vhost)
        return Look(plan, totals)


def _facts(client: ManagementClient, vhost: str, totals: Sequence[JsonObject], known: str) -> _Facts:
    states = frozenset((str(item["name"]), str(item.get("state"))) for item in totals)
    is_traced = client.vhost(vhost).get("tracing") is True
    return _Facts(client.endpoint, client.definitions_tag(known), client.overview(), is_traced, states)
