"""Whose an object is: the record that the tool keeps on the broker, and what it means.

The record is a global parameter. Before the first write it lists under `pending` what is about to be made,
so that a run which dies leaves nothing that looks like somebody else's; after the last write everything is
under `owned`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from letrade_topo.broker.objects import Address
from letrade_topo.errors import TopoError
from letrade_topo.model.messages import Json

RECORD_FORMAT = 1


class UnreadableRecord(TopoError):
    """The record on the broker was not written by a version of this tool that we understand."""


@dataclass(frozen=True, slots=True)
class OwnershipRecord:
    """What one topology owns.

    Args:
        owned: addresses of objects that this tool made or adopted.
        pending: addresses that a run is about to make.
        operators: users that ran the tool; the broker grants whoever creates a vhost all rights in it.
        vhost_created: the vhost was made by this tool, so `destroy` may remove it.
        generation: counts the runs that changed something.
    """

    owned: frozenset[Address] = frozenset()
    pending: frozenset[Address] = frozenset()
    operators: frozenset[str] = frozenset()
    vhost_created: bool = False
    generation: int = 0

    @classmethod
    def parse(cls, name: str, value: Json) -> Self:
        """Read a stored record.

        Args:
            name: the global parameter's name, for the error.
            value: its value; None when there is none.

        Raises:
            UnreadableRecord: another format, or something else under this name.
        """
        if value is None:
            return cls()
        match value:
            case {
                "format": 1,
                "owned": list(owned),
                "pending": list(pending),
                "operators": list(operators),
                "vhost_created": bool(vhost_created),
                "generation": int(generation),
            }:
                return cls(
                    frozenset(Address(str(one)) for one in owned),
                    frozenset(Address(str(one)) for one in pending),
                    frozenset(str(one) for one in operators),
                    vhost_created,
                    generation,
                )
            case _:
                raise UnreadableRecord(
                    f"the ownership record {name!r} on the broker cannot be read",
                    why=f"it is not of format {RECORD_FORMAT}; a newer version of this tool or something else wrote it",
                    fix="use the version that wrote it; `rabbitmqctl list_global_parameters` shows it",
                )

    def to_json(self) -> Json:
        """The value to store."""
        return {
            "format": RECORD_FORMAT,
            "owned": list[Json](sorted(self.owned)),
            "pending": list[Json](sorted(self.pending)),
            "operators": list[Json](sorted(self.operators)),
            "vhost_created": self.vhost_created,
            "generation": self.generation,
        }

    def owns(self, address: Address) -> bool:
        """Whether this tool made the object, or was about to."""
        return address in self.owned or address in self.pending

    def intending(self, addresses: Iterable[Address], operator: str) -> Self:
        """The record to write before the first change."""
        return replace(
            self,
            pending=self.pending | frozenset(addresses),
            operators=self.operators | {operator},
            generation=self.generation + 1,
        )

    def settled(self, owned: Iterable[Address]) -> Self:
        """The record to write after the last change."""
        return replace(self, owned=frozenset(owned), pending=frozenset())
