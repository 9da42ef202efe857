"""Whether the broker's disks have room for what a migration copies. Pure.

RabbitMQ stops all publishers of the cluster when a node has less free than its limit (disk_free_limit): a migration
that fills the disk would hold up everybody. What is moved is on disk twice until it is acknowledged, and quorum queues
write a log before anything of theirs is given free.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self

from letrade_topo.broker.addresses import Address
from letrade_topo.broker.objects import Queue
from letrade_topo.plan.change import Action, Change, ChangeReason
from letrade_topo.plan.migrating import MIGRATIONS_AT_ONCE

COPIES: Final = 2
"""Of what a queue holds: where it is kept, and the log or the files of before, which are given free later."""

_KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class NodeDisk:
    """The disk of one running node.

    Args:
        node: its name.
        free: bytes.
        limit: bytes, below which the broker blocks publishers.
    """

    node: str
    free: int
    limit: int

    @property
    def room(self) -> int:
        """Bytes that may be written before publishers are blocked."""
        return max(0, self.free - self.limit)

    @classmethod
    def parse(cls, node: Mapping[str, object]) -> Self | None:
        """Of an item of `GET /api/nodes`; None where it does not say, as in the first seconds of a node."""
        match node:
            case {"name": str(name), "running": True, "disk_free": int(free), "disk_free_limit": int(limit)}:
                return cls(name, free, limit)
            case _:
                return None


def without_disk_room(
    changes: Iterable[Change], sizes: Mapping[str, int], disks: Iterable[NodeDisk]
) -> Iterator[tuple[Address, str]]:
    """The disk with the least room, where that is less than the largest migrations at once may need.

    Args:
        changes: of a plan.
        sizes: bytes of bodies by queue name.
        disks: of the nodes that say; any of them may get a member of a queue.
    """
    held = {
        one.address: sizes.get(one.object.name, 0)
        for one in changes
        if one.action is Action.MIGRATE and one.reason is not ChangeReason.UNDER_WAY and isinstance(one.object, Queue)
    }
    least = min(disks, key=lambda disk: disk.room, default=None)
    if least is None or not held:
        return
    largest = sorted(held, key=lambda address: held[address], reverse=True)[:MIGRATIONS_AT_ONCE]
    needed = COPIES * sum(held[address] for address in largest)
    if needed > least.room:
        yield (
            largest[0],
            f"what is moved takes up to {_size(needed)} for a time, and {least.node} has {_size(least.free)} free, of "
            f"which the broker keeps {_size(least.limit)} (disk_free_limit): make room on that disk, or let consumers "
            "take some first",
        )


def _size(count: int) -> str:
    size, units = float(count), ["bytes", "KiB", "MiB", "GiB"]
    while size >= _KIB and len(units) > 1:
        size /= _KIB
        units.pop(0)
    return f"{size:,.0f} {units[0]}"
