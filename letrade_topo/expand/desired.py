"""The desired state: every object that the broker should hold, and where the topology says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from letrade_topo.broker.objects import Address, BrokerObject
from letrade_topo.model.cycles import Passage

DocumentPath: TypeAlias = tuple[str | int, ...]
"""Keys and indices that lead to a place in `topology.yaml`, for example ("queues", "orders", "retry")."""


@dataclass(frozen=True, slots=True)
class Desired:
    """One object, and the place in the topology that it follows from.

    Args:
        object: what is desired.
        path: the place.
        as_found: one of this type that is there stays as it is, whatever its immutable attributes are.
    """

    object: BrokerObject
    path: DocumentPath
    as_found: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a person should know before it is applied; not an error.

    Args:
        name: a short name of the kind of notice.
        text: what, and what follows from it.
        path: where the topology says so.
    """

    name: str
    text: str
    path: DocumentPath


@dataclass(frozen=True, slots=True)
class Standby:
    """Policies that are needed only where somebody else's would otherwise be in force.

    Args:
        objects: the policies, by address.
        policies: which of them each queue is under then.
    """

    objects: Mapping[Address, Desired] = field(default_factory=dict)
    policies: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DesiredState:
    """What the broker should hold.

    Args:
        objects: by address.
        policies: the policy that should be in effect, by queue name; None for none.
        dead_letter_exchanges: names of the exchanges through which failed messages travel.
        notices: what a person should know.
        keeping: queues in which messages are that failed; nothing may expire there, or be limited.
        agent_passages: where agents send what fails, by queue, beyond what the broker does.
        standby: what belongs to it where the broker has policies of somebody else.
    """

    objects: Mapping[Address, Desired]
    policies: Mapping[str, str | None] = field(default_factory=dict)
    dead_letter_exchanges: frozenset[str] = frozenset()
    notices: tuple[Notice, ...] = ()
    keeping: frozenset[str] = frozenset()
    agent_passages: Mapping[str, tuple[Passage, ...]] = field(default_factory=dict)
    standby: Standby = Standby()


def by_address(desired: Iterable[Desired]) -> dict[Address, Desired]:
    """Index by address; of two equal objects the first keeps its place in the file."""
    objects: dict[Address, Desired] = {}
    for one in desired:
        objects.setdefault(one.object.address, one)
    return objects
