"""What of a topology a login cannot see, or sees and cannot change: named, and never half done. Pure.

A kind that is not looked at is neither planned nor compared, and what the record says of it stays as it is. A kind that
can only be read is compared, and a difference is a finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from letrade_topo.broker.capabilities import for_version
from letrade_topo.broker.objects import Exchange, Kind
from letrade_topo.broker.reach import BEYOND_VHOST, NEEDED, LoginReach, Tag, Width
from letrade_topo.broker.state import LiveState
from letrade_topo.expand.desired import DesiredState
from letrade_topo.model.topology import ExchangeType
from letrade_topo.plan.change import Action, Change
from letrade_topo.plan.finding import Finding
from letrade_topo.plan.guards import TOPOLOGY, GuardRefusal


def _plural(kind: Kind) -> str:
    words = kind.replace("-", " ")
    return words.removesuffix("y") + "ies" if words.endswith("y") else f"{words}s"


PLURALS: Mapping[Kind, str] = {kind: _plural(kind) for kind in Kind}
LISTENERS = "listeners"
"""What is looked at although it is no object."""

_DONE = {
    Action.CREATE: "it is declared, and not on the broker",
    Action.UPDATE: "it differs from what is declared",
    Action.REPLACE: "it differs from what is declared",
    Action.DELETE: "this tool made it, and it is no longer declared",
}


@dataclass(frozen=True, slots=True)
class Unseen:
    """What was not looked at.

    Args:
        declared: how many objects the topology declares of each kind that was not looked at; 0 for those without.
        listeners: the topology requires TLS, and nobody could see what listens without.
    """

    declared: Mapping[Kind, int]
    listeners: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Each in the plural, those that are declared first: `users (3 declared)`."""
        in_order = sorted(self.declared.items(), key=lambda item: (not item[1], item[0]))
        kinds = (f"{PLURALS[kind]} ({count:,} declared)" if count else PLURALS[kind] for kind, count in in_order)
        return (*kinds, LISTENERS) if self.listeners else tuple(kinds)

    @property
    def line(self) -> str:
        """All of it as one sentence; empty where everything was looked at."""
        return f"Not looked at: {', '.join(self.names)}." if self.names else ""


NOTHING_UNSEEN = Unseen({})


def within(desired: DesiredState, reach: LoginReach) -> tuple[DesiredState, Mapping[Kind, int]]:
    """The desired state without the kinds that cannot be looked at, and how many objects of each were left out."""
    left_out = Counter(one.object.kind for one in desired.objects.values() if not reach.reads(one.object.kind))
    counted = {kind: left_out[kind] for kind in Kind if not reach.reads(kind)}
    if not left_out:
        return desired, counted
    objects = {address: one for address, one in desired.objects.items() if reach.reads(one.object.kind)}
    return replace(desired, objects=objects), counted


def divided(changes: Iterable[Change], reach: LoginReach) -> tuple[list[Change], list[Change]]:
    """The changes that this login can make, and those that it cannot."""
    can: list[Change] = []
    cannot: list[Change] = []
    for change in changes:
        (can if reach.writes(change.kind) else cannot).append(change)
    return can, cannot


def findings(changes: Iterable[Change], reach: LoginReach) -> Iterator[Finding]:
    """Differences of what can only be read.

    Args:
        changes: that somebody else has to make.
        reach: of the login.
    """
    for change in changes:
        names = ", ".join(one.attribute for one in change.differences)
        is_left_out = reach.width is Width.VHOST and Tag.ADMINISTRATOR in reach.tags
        tag = Tag.ADMINISTRATOR if change.kind in BEYOND_VHOST else NEEDED[change.kind]
        who = "a run without `--scope vhost`" if is_left_out else f"a login with the tag `{tag}`"
        yield Finding(
            "out-of-reach",
            change.address,
            f"{_DONE[change.action]}{f' ({names})' if names else ''}; this login may only read {PLURALS[change.kind]}",
            f"{who} can change it",
        )


def open_exchanges(changes: Iterable[Change], live: LiveState) -> Iterator[GuardRefusal]:
    """Refuse to make topic exchanges again whose topic permissions go with them, and cannot be made again.

    Args:
        changes: of a plan.
        live: as read.
    """
    if live.reach.writes(Kind.TOPIC_PERMISSION) or not for_version(live.broker.version).topic_permissions_may_go:
        return
    for change in changes:
        before = change.before
        if change.action is Action.REPLACE and isinstance(before, Exchange) and before.type == ExchangeType.TOPIC:
            why = (
                "it would be made again, and RabbitMQ deletes the topic permissions on it, which this login can "
                "neither see nor make again: its users might then use every key; an administrator can replace it"
            )
            yield GuardRefusal(change.address, why, "")


def record_refusals(live: LiveState, name: str) -> tuple[GuardRefusal, ...]:
    """Refuse to write where the record is kept out of sight: what is ours is not known.

    Args:
        live: as read.
        name: the record's.
    """
    places = live.record_places.get(name)
    if places is None or not places.is_out_of_sight:
        return ()
    why = (
        "an administrator has run this topology, and its ownership record is a global parameter since, which this "
        "login can neither read nor write; run it as an administrator, or have one give the record back: "
        "`letrade-topo apply --scope vhost`"
    )
    return (GuardRefusal(TOPOLOGY, why, ""),)


def remarks(live: LiveState, name: str) -> Iterator[str]:
    """What a person is told of how far the login reaches, and of where the record is; nothing where that is as ever.

    Args:
        live: as read.
        name: the record's.
    """
    reach, places = live.reach, live.record_places.get(name)
    if reach.width is Width.VHOST:
        tags = f"tag{'' if len(reach.tags) == 1 else 's'} {', '.join(reach.tags)}"
        read_only = [PLURALS[kind] for kind in Kind if reach.reads(kind) and not reach.writes(kind)]
        only = f"; only read are {', '.join(read_only)}" if read_only else ""
        why = "as asked for" if Tag.ADMINISTRATOR in reach.tags else f"as the login has the {tags}"
        yield f"Scope: the vhost alone, {why}{only}."
    if places is not None and places.is_in_vhost and reach.width is Width.CLUSTER:
        yield "The ownership record lies in the vhost, written by a login without this right: `apply` takes it over."
    if places is not None and places.in_cluster is not None and reach.width is Width.VHOST:
        yield "The ownership record is a global parameter: `apply` moves it into the vhost."
    if not reach.sees_cluster_record and places is None:
        yield (
            "There is no ownership record in the vhost. If an administrator has run this topology, what was made then "
            "is taken for somebody else's: this login cannot see global parameters."
        )
