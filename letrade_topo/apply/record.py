"""Writing the record of what a topology owns: into the place where runs of this width keep it, and out of the other.

Under the lock, and so that whoever dies half-way leaves one truth: see `broker/records.py`.
"""

from __future__ import annotations

from dataclasses import replace

from letrade_topo.broker.objects import Kind
from letrade_topo.broker.reach import Width
from letrade_topo.broker.records import (
    ARGUMENT,
    KINDS,
    TAKEN_OVER,
    RecordPlaces,
    VhostCopy,
    body_of,
    kinds_with,
    next_name,
)
from letrade_topo.errors import TopoError
from letrade_topo.management.client import ManagementClient
from letrade_topo.model.messages import Json
from letrade_topo.plan.ownership import OwnershipRecord
from letrade_topo.plan.plan import Plan


class RecordNotKept(TopoError):
    """The record was written, and is not on the broker as it was written."""


class RecordKeeper:
    """Writes the record, as often as it is needed, in place of the one that the plan was made with.

    Args:
        client: to the broker.
        plan: whose record it is.
    """

    def __init__(self, client: ManagementClient, plan: Plan) -> None:
        self._client = client
        self._vhost, self._topology, self._reach = plan.scope.vhost, plan.scope.topology, plan.reach
        nowhere = RecordPlaces(plan.scope.record_name, sees_cluster=plan.reach.sees_cluster_record)
        self._places = plan.record_places or nowhere

    def write(self, record: OwnershipRecord) -> None:
        """Write the record.

        Raises:
            RecordNotKept: another one is there under its name.
            BrokerError: the broker did not answer, or does not allow it.
        """
        value = record.to_json()
        if self._reach.width is Width.CLUSTER:
            self._into_cluster(value)
        else:
            self._into_vhost(value)

    def remove(self) -> None:
        """Delete the record, wherever it is."""
        if self._reach.width is Width.CLUSTER or self._places.in_cluster is not None:
            self._client.delete_global_parameter(self._places.name)
        self._leave_in_vhost(())

    def _into_cluster(self, value: Json) -> None:
        places = self._places
        if places.number and isinstance(value, dict):
            value = value | {TAKEN_OVER: places.number}
        self._client.put_global_parameter(places.name, value)
        self._places = replace(places, in_cluster=value)
        newest = places.newest
        if newest is None:
            return
        if newest.value is not None:
            newest = VhostCopy(next_name(places, self._topology), places.number + 1, None)
            self._client.put_exchange(self._vhost, newest.exchange, body_of(None))
        self._leave_in_vhost((newest,))

    def _into_vhost(self, value: Json) -> None:
        places = self._places
        kinds = list(Kind) if places.in_cluster is not None else [kind for kind in Kind if self._reach.writes(kind)]
        before = places.newest.value if places.newest else None
        if isinstance(value, dict):
            value = value | {KINDS: kinds_with(before, kinds)}
        copy = VhostCopy(next_name(places, self._topology), places.number + 1, value)
        self._put(copy)
        self._leave_in_vhost((copy,))
        if places.in_cluster is not None:
            self._client.delete_global_parameter(places.name)
            self._places = replace(self._places, in_cluster=None)

    def _put(self, copy: VhostCopy) -> None:
        body = body_of(copy.value)
        self._client.put_exchange(self._vhost, copy.exchange, body)
        # Arguments of what is there already are not compared by the broker, which then says yes, too.
        wanted, stored = body["arguments"], self._client.exchange(self._vhost, copy.exchange).get("arguments")
        if not isinstance(wanted, dict) or not isinstance(stored, dict) or stored.get(ARGUMENT) != wanted[ARGUMENT]:
            raise RecordNotKept(
                f"the ownership record {copy.exchange!r} is not on the broker as it was written",
                why="an exchange of this name was there already, or something rewrote it",
                fix="run it again",
            )

    def _leave_in_vhost(self, staying: tuple[VhostCopy, ...]) -> None:
        for copy in self._places.in_vhost:
            if copy not in staying:
                self._client.delete_exchange(self._vhost, copy.exchange)
        self._places = replace(self._places, in_vhost=staying)
