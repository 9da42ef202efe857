"""How far a login reaches: which kinds of objects it may read and write, by its management tags.

The rules are RabbitMQ's (rabbit_mgmt_util:is_authorized_*), and the same on 3.10.8, 4.0.5 and 4.3.6. What the login's
permissions in a vhost add to them is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final, Self

from letrade_topo.broker.kinds import Kind


class Tag(StrEnum):
    """The management tags that give rights."""

    MANAGEMENT = "management"
    POLICYMAKER = "policymaker"
    MONITORING = "monitoring"
    ADMINISTRATOR = "administrator"


class Width(StrEnum):
    """What `--scope` says: how wide a run looks."""

    CLUSTER = "cluster"
    """All that a topology declares, users and the vhost itself among them."""
    VHOST = "vhost"
    """What lives in a vhost and is no matter of who may do what there."""


class Access(IntEnum):
    """What may be done with the objects of a kind; each includes the one before."""

    NONE = 0
    READ = 1
    WRITE = 2


BEYOND_VHOST: Final = frozenset(
    {
        Kind.VHOST,
        Kind.VHOST_LIMIT,
        Kind.USER,
        Kind.USER_LIMIT,
        Kind.PERMISSION,
        Kind.TOPIC_PERMISSION,
        Kind.GLOBAL_PARAMETER,
    }
)
"""What a run with the scope of a vhost never writes."""

_OF_EVERYBODY: Final[Mapping[Kind, Access]] = {
    Kind.VHOST: Access.READ,
    Kind.VHOST_LIMIT: Access.READ,
    Kind.EXCHANGE: Access.WRITE,
    Kind.QUEUE: Access.WRITE,
    Kind.BINDING: Access.WRITE,
    Kind.POLICY: Access.READ,
    Kind.OPERATOR_POLICY: Access.READ,
}
_OF_TAG: Final[Mapping[Tag, Mapping[Kind, Access]]] = {
    Tag.MANAGEMENT: {},
    Tag.POLICYMAKER: dict.fromkeys((Kind.POLICY, Kind.PARAMETER, Kind.GLOBAL_PARAMETER), Access.WRITE),
    Tag.MONITORING: {},
    Tag.ADMINISTRATOR: dict.fromkeys(Kind, Access.WRITE),
}

NEEDED: Final[Mapping[Kind, Tag]] = {
    kind: Tag.POLICYMAKER if _OF_TAG[Tag.POLICYMAKER].get(kind) is Access.WRITE else Tag.ADMINISTRATOR
    for kind in Kind
    if _OF_EVERYBODY.get(kind) is not Access.WRITE
}
"""The least tag that writes a kind which not everybody may write."""


@dataclass(frozen=True, slots=True)
class LoginReach:
    """How far one login reaches.

    Args:
        width: how wide it looks.
        tags: its management tags.
        access: to each kind; of a kind that is missing, none.
        sees_monitoring: nodes, listeners, and the consumers of all users.
        sees_cluster_record: records that are kept for the whole cluster, as global parameters.
        imports: many objects in one call.
    """

    width: Width
    tags: tuple[str, ...]
    access: Mapping[Kind, Access] = field(hash=False)
    sees_monitoring: bool = True
    sees_cluster_record: bool = True
    imports: bool = True

    @classmethod
    def of(cls, tags: Iterable[str], wanted: Width | None = None) -> Self:
        """The reach of a login.

        Args:
            tags: its management tags; others do not matter.
            wanted: the width that was asked for; None: as wide as the tags let it.
        """
        tags = tuple(tags)
        known = frozenset(Tag(tag) for tag in tags if tag in frozenset(Tag))
        width = wanted or (Width.CLUSTER if Tag.ADMINISTRATOR in known else Width.VHOST)
        access = {
            kind: max([_OF_EVERYBODY.get(kind, Access.NONE), *(_OF_TAG[tag].get(kind, Access.NONE) for tag in known)])
            for kind in Kind
        }
        sees_cluster_record = access[Kind.GLOBAL_PARAMETER] is not Access.NONE
        if width is Width.VHOST:
            access |= {kind: min(access[kind], Access.READ) for kind in BEYOND_VHOST}
        return cls(
            width=width,
            tags=tags,
            access=access,
            sees_monitoring=bool(known & {Tag.MONITORING, Tag.ADMINISTRATOR}),
            sees_cluster_record=sees_cluster_record,
            imports=Tag.ADMINISTRATOR in known,
        )

    def reads(self, kind: Kind) -> bool:
        """Whether objects of a kind are looked at."""
        return self.access.get(kind, Access.NONE) >= Access.READ

    def writes(self, kind: Kind) -> bool:
        """Whether objects of a kind are made, changed and deleted."""
        return self.access.get(kind, Access.NONE) is Access.WRITE

    def writes_address(self, address: str) -> bool:
        """The same of an address, whatever wrote it down."""
        kind = address.partition(":")[0]
        return kind in frozenset(Kind) and self.writes(Kind(kind))

    @property
    def is_everything(self) -> bool:
        """Whether nothing of a topology is out of reach."""
        return self.width is Width.CLUSTER and all(self.writes(kind) for kind in Kind)

    def __str__(self) -> str:
        """What a plan depends on, as one line."""
        kinds = ",".join(f"{kind}={self.access.get(kind, Access.NONE).value}" for kind in Kind)
        return f"{self.width} {kinds}"


EVERYTHING: Final = LoginReach.of((Tag.ADMINISTRATOR,))
"""An administrator's."""
