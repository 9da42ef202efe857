"""A topology and a broker in memory: what planning sees, and what a plan does to it.

The broker of this model is as strict as the real one: a binding needs both its ends, a permission its user, an
exchange or queue takes its bindings with it, an exchange the topic permissions on it, a user its permissions, and
nothing that exists is made again in another shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from letrade_topo.broker.objects import (
    IMMUTABLE_KINDS,
    Address,
    Binding,
    BrokerObject,
    Kind,
    Permission,
    Queue,
    TopicPermission,
    UserLimit,
)
from letrade_topo.broker.parameters import Parameter
from letrade_topo.broker.state import LiveListener, LiveState, QueueStatus
from letrade_topo.management.reading import QueueCounts
from letrade_topo.model.messages import Json
from letrade_topo.model.security import SecretReference
from letrade_topo.model.topology import Topology
from letrade_topo.plan.change import Action, Change
from letrade_topo.plan.guards import Allowances
from letrade_topo.plan.holders import holders_of
from letrade_topo.plan.ownership import OwnershipRecord
from letrade_topo.plan.plan import Plan
from letrade_topo.plan.prepare import PlanRequest, plan_for
from letrade_topo.plan.scope import Scope
from tests.topologies import Document, expanded, loaded, state_of


@dataclass
class PlanWorld:
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
        version: the broker's.
        exchange_policies: the policy in effect on exchanges.
        matched: the broker's word for patterns that are not judged here.
        parameters: shovels and the like.
        is_traced: somebody may read along.
    """

    topology: Topology
    objects: dict[Address, BrokerObject] = field(default_factory=dict)
    record: OwnershipRecord | None = None
    status: dict[str, QueueStatus] = field(default_factory=dict)
    other_records: dict[str, Json] = field(default_factory=dict)
    counts: Mapping[str, QueueCounts] = field(default_factory=dict)
    listeners: tuple[LiveListener, ...] = ()
    operator_policies: tuple[Mapping[str, Json], ...] = ()
    version: str = "4.0.5"
    exchange_policies: Mapping[str, str] = field(default_factory=dict)
    matched: Mapping[str, frozenset[str]] = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    is_traced: bool = False

    @classmethod
    def in_sync(cls, document: Document) -> PlanWorld:
        """A broker that is exactly as declared, and recorded so."""
        topology = loaded(document)
        desired = expanded(topology)
        objects = {address: one.object for address, one in desired.objects.items()}
        owned = frozenset(address for address in objects if not address.startswith("vhost:"))
        status = {name: QueueStatus(policy=policy) for name, policy in desired.policies.items()}
        return cls(topology, objects, OwnershipRecord(owned=owned, vhost_created=True), status)

    def declare(self, document: Document) -> PlanWorld:
        """The same broker under another topology."""
        return replace(self, topology=loaded(document), objects=dict(self.objects))

    def add(self, *things: BrokerObject) -> PlanWorld:
        """Make objects by hand."""
        self.objects |= {thing.address: thing for thing in things}
        return self

    def remove(self, *addresses: str) -> PlanWorld:
        """Delete objects by hand, with what goes with them."""
        for address in addresses:
            self._delete(Address(address))
        return self

    def disown(self, *addresses: str) -> PlanWorld:
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
        state = state_of(self.objects.values(), scope.vhost, queues=self.status, records=records, version=self.version)
        broker = replace(state.broker, listeners=self.listeners)
        return replace(
            state,
            broker=broker,
            operator_policies=self.operator_policies,
            exchange_policies=self.exchange_policies,
            matched=self.matched,
            parameters=self.parameters,
            is_traced=self.is_traced,
        )

    def request(
        self,
        *allow: str,
        destroys: bool = False,
        secrets: Mapping[SecretReference, str] | None = None,
        leaves_blocked: bool = False,
        leaves_expired: bool = False,
    ) -> PlanRequest:
        """What the command line asks the planner."""
        return PlanRequest(
            scope=Scope.of(self.topology),
            expand=lambda capabilities: expanded(self.topology, f"{capabilities.series}.0"),
            locate=lambda path: "file.yaml:" + "/".join(map(str, path)),
            secrets=secrets or {},
            allowances=Allowances.parse(allow),
            tls_required=self.topology.security.tls.required,
            destroys=destroys,
            leaves_blocked=leaves_blocked,
            leaves_expired=leaves_expired,
        )

    def plan(
        self,
        *allow: str,
        destroys: bool = False,
        secrets: Mapping[SecretReference, str] | None = None,
        leaves_blocked: bool = False,
        leaves_expired: bool = False,
    ) -> Plan:
        """Plan for the broker as it is."""
        live = self.live
        names = [thing.name for thing in live.objects.values() if isinstance(thing, Queue)]
        counts = {name: self.counts.get(name, QueueCounts(0, 0)) for name in names}
        request = self.request(
            *allow, destroys=destroys, secrets=secrets, leaves_blocked=leaves_blocked, leaves_expired=leaves_expired
        )
        return plan_for(live, request, lambda: counts)

    def perform(self, changes: Iterable[Change]) -> None:
        """Do to the broker what a plan says, in its order."""
        for change in changes:
            match change.action:
                case Action.CREATE:
                    self._create(change.object)
                case Action.UPDATE:
                    assert change.kind not in IMMUTABLE_KINDS
                    # A topic permission that went with its exchange is written all the same.
                    assert change.address in self.objects or change.kind is Kind.TOPIC_PERMISSION
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
            assert holders_of(thing) <= self.objects.keys(), f"{thing.address} has no end"
        if isinstance(thing, TopicPermission) and not thing.exchange.startswith("amq."):
            assert holders_of(thing) <= self.objects.keys(), f"{thing.address} has no exchange"
        if isinstance(thing, Permission | TopicPermission | UserLimit):
            assert f"user:{thing.user}" in self.objects, f"{thing.address} has no user"
        self.objects[thing.address] = thing

    def _delete(self, address: Address) -> None:
        if self.objects.pop(address, None) is not None:
            for other in list(self.objects.values()):
                if address in holders_of(other):
                    del self.objects[other.address]


def summary(changes: Iterable[Change]) -> set[str]:
    """Changes as `create queue:x`."""
    return {f"{change.action} {change.address}" for change in changes}
