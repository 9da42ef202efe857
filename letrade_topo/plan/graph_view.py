"""What a broker adds to the graph: which objects are not as declared, and those that nobody declared. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from letrade_topo.broker.capabilities import for_version
from letrade_topo.broker.objects import Address, Binding, Exchange, GlobalParameter, Parameter, Queue, User
from letrade_topo.broker.state import LiveState
from letrade_topo.expand.desired import Desired, DesiredState
from letrade_topo.graph.building import LiveView
from letrade_topo.graph.graph import NodeDrift, QueueLoad
from letrade_topo.graph.wiring import declared_wiring, live_wiring
from letrade_topo.plan.change import Change, ChangeReason
from letrade_topo.plan.compare import compare
from letrade_topo.plan.ownership import OwnershipRecord
from letrade_topo.plan.plan import Plan
from letrade_topo.plan.scope import Scope

_SECRET_KINDS = (User, Parameter, GlobalParameter)
"""Objects that cannot be compared without secrets, and stand in no drawing."""

_BY_REASON: Final = {
    ChangeReason.MISSING: NodeDrift.MISSING,
    ChangeReason.DIFFERS: NodeDrift.DIFFERENT,
    ChangeReason.IMMUTABLE: NodeDrift.DIFFERENT,
    ChangeReason.REMOVED: NodeDrift.EXTRA,
    ChangeReason.UNMANAGED: NodeDrift.EXTRA,
}


def live_view(desired: DesiredState, live: LiveState, scope: Scope, loads: Mapping[str, QueueLoad]) -> LiveView:
    """What the graph shows of a broker: declared objects and those that count as drift.

    Args:
        desired: what it should hold.
        live: as read.
        scope: which live objects count.
        loads: what its queues hold and do, by name.
    """
    record = OwnershipRecord.parse(scope.record_name, live.records.get(scope.record_name))
    objects = {address: one for address, one in desired.objects.items() if not isinstance(one.object, _SECRET_KINDS)}
    comparison = compare(replace(desired, objects=objects), live, record, scope, lambda _: "")
    drift = drift_by_address((*comparison.changes, *comparison.unmanaged))
    shown = {
        address: thing
        for address, thing in live.objects.items()
        if address in drift or address in objects or not isinstance(thing, (Queue, Exchange, Binding))
    }
    return LiveView(live_wiring(replace(live, objects=shown)), drift, loads)


def drift_by_address(changes: Iterable[Change]) -> dict[Address, NodeDrift]:
    """How objects differ; what only follows from another's change is no difference of its own."""
    return {one.address: _BY_REASON[one.reason] for one in changes if one.reason in _BY_REASON}


def planned_view(plan: Plan, loads: Mapping[str, QueueLoad]) -> LiveView:
    """The same of a plan, which remembers of live objects only those that differ.

    Args:
        plan: what was found.
        loads: what its queues hold, by name.
    """
    found = (*plan.comparison.changes, *plan.comparison.unmanaged)
    drift = drift_by_address(found)
    extra = {one.address: Desired(one.object, ()) for one in found if drift.get(one.address) is NodeDrift.EXTRA}
    held = replace(plan.desired, objects={**plan.desired.objects, **extra})
    return LiveView(declared_wiring(held, for_version(plan.broker.version)), drift, loads)
