"""Objects past their retention are deleted by the agents of the service that wrote them, a day's objects at a time.

Low-rate, and harmless when several instances do it at once. A service that is gone leaves its objects to a lifecycle
rule of the store.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial

from letrade_agent.limits import DEFAULT_LIMITS
from letrade_agent.log import Log
from letrade_agent.measures import Measures
from letrade_agent.object_store.objects import Objects
from letrade_topo.claims.store import ObjectStore, StoreUnavailable, first_kept_day
from letrade_topo.messages.claim import object_prefix
from letrade_topo.model.topology import Topology


class Expiry:
    """Deletes what one service need not keep any more.

    Args:
        objects: the store.
        topology_now: the topology in force.
        service: whose objects.
        measures: what is counted.
        log: told what was deleted.
        now: seconds since the epoch.
        sweep_seconds: about so long between two looks.
    """

    def __init__(
        self,
        objects: Objects,
        topology_now: Callable[[], Topology],
        service: str,
        measures: Measures,
        log: Log,
        now: Callable[[], float],
        sweep_seconds: float = DEFAULT_LIMITS.object_store.sweep_seconds,
    ) -> None:
        self._sweep_seconds = sweep_seconds
        self._objects = objects
        self._topology_now = topology_now
        self._service = service
        self._measures = measures
        self._log = log
        self._now = now

    async def run(self) -> None:
        """Now, and then again and again."""
        while True:
            await self.sweep()
            await asyncio.sleep(self._sweep_seconds * random.uniform(0.8, 1.2))  # noqa: S311  # instances spread out

    async def sweep(self) -> None:
        """Delete what is past its retention."""
        topology = self._topology_now()
        claim_check = topology.claim_check
        if claim_check is None:
            return
        prefix = object_prefix(topology, self._service)
        first_kept = first_kept_day(self._now(), claim_check.retention.seconds)
        try:
            deleted = await self._objects.call(partial(ObjectStore.delete_before, prefix=prefix, first_kept=first_kept))
        except StoreUnavailable as error:
            self._log("warning", "claims_not_expired", {"problem": str(error)})
            return
        if deleted:
            self._measures.claims_expired += deleted
            self._log("info", "claims_expired", {"objects": deleted, "before": first_kept.isoformat()})
