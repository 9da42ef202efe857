"""The plan: everything that was found and would be done, in one immutable value."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from letrade_topo.broker.objects import Binding, BrokerObject
from letrade_topo.broker.state import BrokerInfo, LiveState
from letrade_topo.expand.desired import DesiredState
from letrade_topo.plan.blocked import Blocked
from letrade_topo.plan.change import Action, Change
from letrade_topo.plan.compare import Comparison, ends_of
from letrade_topo.plan.findings import Finding
from letrade_topo.plan.guards import Allowances, Refusal
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
    """

    scope: Scope
    broker: BrokerInfo
    desired: DesiredState
    comparison: Comparison
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]
    refusals: tuple[Refusal, ...]
    record: OwnershipRecord
    allowances: Allowances
    fingerprint: str
    vhost_exists: bool
    lock_hazards: tuple[str, ...] = ()
    destroys: bool = False
    blocked: tuple[Blocked, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether `apply` would change nothing."""
        return not self.changes

    @property
    def unmanaged(self) -> tuple[Change, ...]:
        """Undeclared objects that stay, because nobody allowed to delete them.

        A binding of an undeclared queue or exchange goes with it, so it is not listed by itself.
        """
        changed = {change.address for change in self.changes}
        left = [change for change in self.comparison.unmanaged if change.address not in changed]
        gone = {change.address for change in left}
        return tuple(
            change for change in left if not (isinstance(change.object, Binding) and ends_of(change.object) & gone)
        )

    @property
    def in_sync(self) -> bool:
        """Whether the broker is exactly as declared."""
        return not (self.changes or self.blocked or self.unmanaged or self.findings)

    @property
    def record_is_current(self) -> bool:
        """Whether the ownership record needs no write."""
        if self.destroys:
            keeps_vhost = self.record.vhost_created and self.vhost_exists  # somebody's objects are in it
            if keeps_vhost:
                return self.is_empty and not (self.record.owned or self.record.pending)
            return self.record == OwnershipRecord()
        owned = {address for address in self.comparison.in_sync if not address.startswith("vhost:")}
        owned |= {one.change.address for one in self.blocked if self.record.owns(one.change.address)}
        # Also nothing beyond: what is gone or was let go of may come back as somebody else's.
        return self.is_empty and owned == self.record.owned and not self.record.pending

    @property
    def counts(self) -> dict[Action, int]:
        """How many changes of each action."""
        counted = Counter(change.action for change in self.changes)
        return {action: counted[action] for action in Action}


def fingerprint(live: LiveState, record_name: str, seen: Iterable[BrokerObject]) -> str:
    """A digest of everything on the broker that a plan depends on; equal digests mean the plan still fits.

    The vhost itself is left out: a run makes it before it takes the lock that lives in it.
    """
    digest = hashlib.sha256()
    for part in (live.broker.version, live.broker.cluster, live.vhost, _text(live.records.get(record_name))):
        digest.update(part.encode() + b"\0")
    for thing in sorted(seen, key=lambda thing: thing.address):
        if not thing.address.startswith("vhost:"):
            digest.update(f"{thing.address} {_text(thing.attributes)}".encode() + b"\0")
    return digest.hexdigest()


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
