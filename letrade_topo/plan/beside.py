"""Several topologies on one broker: what one leaves to the others, and what it finds when its turn comes. Pure.

A user, a global parameter and a vhost may be named by more than one topology, and so may any object of a vhost that
two share. Each of them records it as its own. It is made by the first one and found by the next; it goes with the
last one that lets go of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Self

from letrade_topo.broker.kinds import CLUSTER_KINDS, Kind
from letrade_topo.broker.objects import Address, BrokerObject
from letrade_topo.broker.state import LiveState
from letrade_topo.expand.desired import Notice
from letrade_topo.model import names
from letrade_topo.plan.change import Action, Change
from letrade_topo.plan.ownership import OwnershipRecord
from letrade_topo.plan.plan import Plan

MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class RecordsBeside:
    """The ownership records of the other topologies of a broker.

    Args:
        of_vhost: by topology, of those in the same vhost.
        elsewhere: by topology and vhost, of the others.
    """

    of_vhost: Mapping[str, OwnershipRecord]
    elsewhere: Mapping[str, OwnershipRecord]

    @classmethod
    def of(cls, live: LiveState, record_name: str) -> Self:
        """As read.

        Args:
            live: with the records of all topologies.
            record_name: of the topology that is planned.
        """
        here: dict[str, OwnershipRecord] = {}
        elsewhere: dict[str, OwnershipRecord] = {}
        for name, value in live.records.items():
            if name == record_name or not _is_record(value):
                continue
            topology, vhost = names.parts_of_record(name)
            if vhost == live.vhost:
                here[repr(topology)] = OwnershipRecord.parse(name, value)
            else:
                elsewhere[f"{topology!r} of vhost {vhost!r}"] = OwnershipRecord.parse(name, value)
        return cls(here, elsewhere)

    def owners(self, thing: BrokerObject) -> list[str]:
        """Who owns an object as well; the last one to let go of it deletes it."""
        records = {**self.of_vhost, **(self.elsewhere if thing.kind in CLUSTER_KINDS else {})}
        return [name for name, record in records.items() if record.respelled([thing], ()).owns(thing.address)]


NOBODY_BESIDE = RecordsBeside({}, {})


def shared_notices(changes: Iterable[Change], beside: RecordsBeside) -> Iterator[Notice]:
    """What a topology lets go of, and what stays all the same.

    Args:
        changes: deletions that are left out, because another topology has the object.
        beside: the others.
    """
    owners: dict[str, list[str]] = {}
    for change in changes:
        for owner in beside.owners(change.object):
            owners.setdefault(owner, []).append(change.address)
    for owner, addresses in owners.items():
        shown = ", ".join(addresses[:MOST_SHOWN]) + (", …" if len(addresses) > MOST_SHOWN else "")
        yield Notice("owned-by-another", f"topology {owner} owns these as well, so they stay: {shown}", ())


def after(live: LiveState, plans: Iterable[Plan]) -> LiveState:
    """The state of a vhost once plans of other topologies are done, so far as plans depend on it.

    Args:
        live: as read.
        plans: in the order in which they are performed.
    """
    return reduce(_after, plans, live)


def changed_by(plans: Iterable[Plan], vhost: str) -> frozenset[Address]:
    """What plans change of a vhost, and of the whole cluster."""
    return frozenset(change.address for plan in plans for change in plan.changes if _is_of(change, plan, vhost))


def _is_of(change: Change, plan: Plan, vhost: str) -> bool:
    return change.kind in CLUSTER_KINDS or plan.scope.vhost == vhost


def _after(live: LiveState, plan: Plan) -> LiveState:
    objects = dict(live.objects)
    gone: set[Address] = set()
    for change in plan.changes:
        if not _is_of(change, plan, live.vhost):
            continue
        if change.action is Action.DELETE:
            gone.add(change.address)
            objects.pop(change.address, None)
        else:
            objects[change.address] = change.object
    records = dict(live.records)
    records.pop(plan.scope.record_name, None)
    if not plan.destroys:
        owned = (address for address in plan.desired.objects if not address.startswith(f"{Kind.VHOST}:"))
        records[plan.scope.record_name] = plan.record.settled(owned).to_json()
    return replace(
        live,
        objects=objects,
        records=records,
        parameters=tuple(one for one in live.parameters if one.address not in gone),
        operator_policies=tuple(
            one for one in live.operator_policies if f"{Kind.OPERATOR_POLICY}:{one.get('name')}" not in gone
        ),
    )


def _is_record(value: object) -> bool:
    return isinstance(value, dict) and value.get("format") == 1
