"""The plan: everything that was found and would be done, in one immutable value."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from letrade_topo.broker.objects import Address, BrokerObject, Kind
from letrade_topo.broker.reach import EVERYTHING, LoginReach, Width
from letrade_topo.broker.records import RecordPlaces
from letrade_topo.broker.state import BrokerInfo, LiveState
from letrade_topo.expand.desired import DesiredState, Notice
from letrade_topo.plan.blocked import BlockedChange
from letrade_topo.plan.change import Action, Change
from letrade_topo.plan.closing import NOTHING_CLOSED, Closing
from letrade_topo.plan.compare import Comparison
from letrade_topo.plan.findings import Finding
from letrade_topo.plan.guards import Allowances, GuardRefusal
from letrade_topo.plan.holders import holders_of
from letrade_topo.plan.out_of_reach import NOTHING_UNSEEN, Unseen
from letrade_topo.plan.ownership import OwnershipRecord
from letrade_topo.plan.scope import Scope


@dataclass(frozen=True, slots=True)
class Plan:
    """What differs, what would be done, and what stands against it.

    Args:
        scope: of which topology.
        broker: which broker was read.
        desired: what it should hold, with settled passwords.
        comparison: every difference found.
        changes: what `apply` would do: the comparison's changes and what was allowed beyond them.
        findings: differences that no write repairs.
        refusals: guards that stand against it; a plan with one is never applied.
        record: the ownership record as read.
        allowances: what the caller allowed.
        fingerprint: of the live state that this plan depends on.
        vhost_exists: whether the vhost was there.
        lock_hazards: policies under which the lock would end too early.
        destroys: everything owned goes.
        blocked: changes that were left out, because a guard refuses them; where that was not asked for, a guard
            refuses the whole plan.
        expired: queues that have expired, as declared, and their bindings, where they are to stay away.
        told: what the broker says that concerns services, and users that go.
        closing: who is kept from exchanges that the changes make, until their topic permissions are there.
        reach: how far the login reaches that read the broker.
        unseen: what was not looked at.
        remarks: what a person is told of both, and of where the ownership record is.
        record_places: where the ownership record is; None where there is none.
    """

    scope: Scope
    broker: BrokerInfo
    desired: DesiredState
    comparison: Comparison
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]
    refusals: tuple[GuardRefusal, ...]
    record: OwnershipRecord
    allowances: Allowances
    fingerprint: str
    vhost_exists: bool
    lock_hazards: tuple[str, ...] = ()
    destroys: bool = False
    blocked: tuple[BlockedChange, ...] = ()
    expired: tuple[Change, ...] = ()
    closing: Closing = NOTHING_CLOSED
    told: tuple[Notice, ...] = ()
    reach: LoginReach = EVERYTHING
    unseen: Unseen = NOTHING_UNSEEN
    remarks: tuple[str, ...] = ()
    record_places: RecordPlaces | None = None

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What a person should know: of what is desired, of how it is done, and of this broker."""
        return (*self.desired.notices, *self._as_found, *self.closing.notices, *self.told)

    @property
    def _as_found(self) -> Iterator[Notice]:
        for change in self.comparison.as_found:
            differences = ", ".join(f"{one.attribute} is {one.before!r}" for one in change.differences)
            text = f"{change.address} is taken as it was found, otherwise than declared: {differences}"
            yield Notice("as-found", text, ())

    @property
    def is_empty(self) -> bool:
        """Whether `apply` would change nothing."""
        return not self.changes

    @property
    def unmanaged(self) -> tuple[Change, ...]:
        """Undeclared objects that stay, because nobody allowed to delete them.

        What goes with an undeclared object, as the bindings of a queue, is not listed by itself.
        """
        changed = {change.address for change in self.changes}
        left = [change for change in self.comparison.unmanaged if change.address not in changed]
        gone = {change.address for change in left}
        return tuple(change for change in left if not holders_of(change.object) & gone)

    @property
    def in_sync(self) -> bool:
        """Whether the broker is exactly as declared."""
        return not (self.changes or self.blocked or self.unmanaged or self.findings)

    @property
    def record_is_current(self) -> bool:
        """Whether the ownership record needs no write."""
        if not self.is_empty or not self._record_is_in_place:
            return False
        pending = {address for address in self.record.pending if self.reach.writes_address(address)}
        if self.destroys:
            keeps_vhost = self.record.vhost_created and self.vhost_exists  # somebody's objects are in it
            if keeps_vhost or self.out_of_reach:
                return not pending and self.record.owned == self.out_of_reach
            return self.record == OwnershipRecord()
        # Also nothing beyond: what is gone or was let go of may come back as somebody else's.
        return self.owned_afterwards == self.record.owned and not pending

    @property
    def out_of_reach(self) -> frozenset[Address]:
        """What the record owns and this login cannot write: it stays as it is."""
        return frozenset(address for address in self.record.owned if not self.reach.writes_address(address))

    @property
    def owned_afterwards(self) -> frozenset[Address]:
        """What is ours on the broker as it was read: all declared that is there, and what could not be deleted."""
        record = self.record
        present = set(self.comparison.in_sync)
        for change in self.changes:
            if change.before is not None and (change.after is not None or record.owns(change.address)):
                present.add(change.address)
        present |= {one.change.address for one in self.blocked if record.owns(one.change.address)}
        present |= {change.address for change in self.expired if record.owns(change.address)}
        written = (address for address in present if self.reach.writes_address(address))
        return self.out_of_reach | {address for address in written if not address.startswith(f"{Kind.VHOST}:")}

    @property
    def _record_is_in_place(self) -> bool:
        """Whether the record is where runs of this width keep it."""
        places = self.record_places
        if places is None:
            return True
        return not places.is_in_vhost if self.reach.width is Width.CLUSTER else places.in_cluster is None

    @property
    def counts(self) -> dict[Action, int]:
        """How many changes of each action."""
        counted = Counter(change.action for change in self.changes)
        return {action: counted[action] for action in Action}


def fingerprint(live: LiveState, record_name: str, seen: Iterable[BrokerObject]) -> str:
    """A digest of everything on the broker that a plan depends on; equal digests mean the plan still fits.

    The vhost itself is left out: a run makes it before it takes the lock that lives in it. A login that reaches less
    has a digest of its own: what it does not look at would be missing from its plan.
    """
    digest = hashlib.sha256()
    parts = [live.broker.version, live.broker.cluster, live.vhost, _text(live.records.get(record_name))]
    if not live.reach.is_everything:
        parts.append(str(live.reach))
    for part in parts:
        digest.update(part.encode() + b"\0")
    for thing in sorted(seen, key=lambda thing: thing.address):
        if not thing.address.startswith("vhost:"):
            digest.update(f"{thing.address} {_text(thing.attributes)}".encode() + b"\0")
    return digest.hexdigest()


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
