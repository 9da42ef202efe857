"""A topology and a broker in memory: what planning sees, and what a plan does to it.

The broker of this model is as strict as the real one: a binding needs both its ends, a permission its user, an
exchange or queue takes its bindings with it, a user its permissions, and nothing that exists is made again in
another shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from letrade_topo.broker.objects import (
    IMMUTABLE_KINDS,
    Address,
    Binding,
    BrokerObject,
    Exchange,
    Kind,
    Permission,
    Queue,
    TopicPermission,
    User,
    UserLimit,
)
from letrade_topo.broker.state import Listener, LiveState, QueueStatus
from letrade_topo.management.reading import QueueCounts
from letrade_topo.model.messages import Json
from letrade_topo.model.security import SecretReference
from letrade_topo.model.topology import Topology
from letrade_topo.plan.change import Action, Change
from letrade_topo.plan.compare import ends_of
from letrade_topo.plan.guards import Allowances
from letrade_topo.plan.ownership import OwnershipRecord
from letrade_topo.plan.plan import Plan
from letrade_topo.plan.prepare import Request, plan_for
from letrade_topo.plan.scope import Scope
from tests.topologies import Document, expanded, loaded, state_of


@dataclass
class World:
    """A topology, and a broker that may hold something else.

    Args:
        topology: what is declared.
        objects: what the broker holds.
        record: what this tool has recorded there; None for nothing.
        status: what the broker says of queues beyond their definition.
        other_records: ownership records of other topologies.
        counts: messages and consumers by queue; none where nothing is said.
        listeners: the broker's.
        operator_policies: the broker's.
    """

    topology: Topology
    objects: dict[Address, BrokerObject] = field(default_factory=dict)
    record: OwnershipRecord | None = None
    status: dict[str, QueueStatus] = field(default_factory=dict)
    other_records: dict[str, Json] = field(default_factory=dict)
    counts: Mapping[str, QueueCounts] = field(default_factory=dict)
    listeners: tuple[Listener, ...] = ()
    operator_policies: tuple[Mapping[str, Json], ...] = ()

    @classmethod
    def in_sync(cls, document: Document) -> World:
        """A broker that is exactly as declared, and recorded so."""
        topology = loaded(document)
        desired = expanded(topology)
        objects = {address: one.object for address, one in desired.objects.items()}
        owned = frozenset(address for address in objects if not address.startswith("vhost:"))
        status = {name: QueueStatus(policy=policy) for name, policy in desired.policies.items()}
        return cls(topology, objects, OwnershipRecord(owned=owned, vhost_created=True), status)

    def declare(self, document: Document) -> World:
        """The same broker under another topology."""
        return replace(self, topology=loaded(document), objects=dict(self.objects))

    def add(self, *things: BrokerObject) -> World:
        """Make objects by hand."""
        self.objects |= {thing.address: thing for thing in things}
        return self

    def remove(self, *addresses: str) -> World:
        """Delete objects by hand, with what goes with them."""
        for address in addresses:
            self._delete(Address(address))
        return self

    def disown(self, *addresses: str) -> World:
        """Forget that these were made by the tool."""
        assert self.record is not None
        self.record = replace(self.record, owned=self.record.owned - frozenset(map(Address, addresses)))
        return self

    @property
    def live(self) -> LiveState:
        """What is read from the broker."""
        scope = Scope.of(self.topology)
        records = dict(self.other_records)
        if self.record is not None:
            records[scope.record_name] = self.record.to_json()
        state = state_of(self.objects.values(), scope.vhost, queues=self.status, records=records)
        broker = replace(state.broker, listeners=self.listeners)
        return replace(state, broker=broker, operator_policies=self.operator_policies)

    def request(
        self,
        *allow: str,
        destroys: bool = False,
        secrets: Mapping[SecretReference, str] | None = None,
        leaves_blocked: bool = False,
    ) -> Request:
        """What the command line asks the planner."""
        return Request(
            scope=Scope.of(self.topology),
            expand=lambda capabilities: expanded(self.topology, f"{capabilities.series}.0"),
            locate=lambda path: "file.yaml:" + "/".join(map(str, path)),
            secrets=secrets or {},
            allowances=Allowances.parse(allow),
            tls_required=self.topology.security.tls.required,
            destroys=destroys,
            leaves_blocked=leaves_blocked,
        )

    def plan(
        self,
        *allow: str,
        destroys: bool = False,
        secrets: Mapping[SecretReference, str] | None = None,
        leaves_blocked: bool = False,
    ) -> Plan:
        """Plan for the broker as it is."""
        live = self.live
        names = [thing.name for thing in live.objects.values() if isinstance(thing, Queue)]
        counts = {name: self.counts.get(name, QueueCounts(0, 0)) for name in names}
        request = self.request(*allow, destroys=destroys, secrets=secrets, leaves_blocked=leaves_blocked)
        return plan_for(live, request, lambda: counts)

    def perform(self, changes: Iterable[Change]) -> None:
        """Do to the broker what a plan says, in its order."""
        for change in changes:
            match change.action:
                case Action.CREATE:
                    self._create(change.object)
                case Action.UPDATE:
                    assert change.kind not in IMMUTABLE_KINDS
                    assert change.address in self.objects
                    self.objects[change.address] = change.object
                case Action.REPLACE:
                    self._delete(change.address)
                    self._create(change.object)
                case Action.DELETE:
                    self._delete(change.address)

    def _create(self, thing: BrokerObject) -> None:
        here = self.objects.get(thing.address)
        assert here is None or here.attributes == thing.attributes, f"{thing.address} is there, and differs"
        if thing.kind not in {Kind.VHOST, Kind.USER, Kind.USER_LIMIT}:
            assert any(address.startswith("vhost:") for address in self.objects), "there is no vhost"
        if isinstance(thing, Binding):
            assert ends_of(thing) <= self.objects.keys(), f"{thing.address} has no end"
        if isinstance(thing, Permission | TopicPermission | UserLimit):
            assert f"user:{thing.user}" in self.objects, f"{thing.address} has no user"
        self.objects[thing.address] = thing

    def _delete(self, address: Address) -> None:
        thing = self.objects.pop(address, None)
        for other in list(self.objects.values()):
            match thing, other:
                case Exchange() | Queue(), Binding() if address in ends_of(other):
                    del self.objects[other.address]
                case User(name=name), Permission(user=user) | TopicPermission(user=user) | UserLimit(user=user):
                    if user == name:
                        del self.objects[other.address]


def summary(changes: Iterable[Change]) -> set[str]:
    """Changes as `create queue:x`."""
    return {f"{change.action} {change.address}" for change in changes}
