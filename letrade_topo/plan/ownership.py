"""Whose an object is: the record that the tool keeps on the broker, and what it means.

Where it lies is the business of `broker/records.py`. Before the first write it lists under `pending` what is about to
be made, so that a run which dies leaves nothing that looks like somebody else's; after the last write everything is
under `owned`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Self

from letrade_topo.broker.objects import Address, BrokerObject, old_address
from letrade_topo.errors import TopoError
from letrade_topo.migration.intent import MigrationIntent
from letrade_topo.model.messages import Json

RECORD_FORMAT = 1

SPELLING = 2
"""Of addresses (`broker/addresses.py`); 0.1.0, which did not write it, had another one."""
OLD_SPELLING = 1


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
        spelling: of the addresses.
        migrations: that have begun and have not ended, by queue name.
    """

    owned: frozenset[Address] = frozenset()
    pending: frozenset[Address] = frozenset()
    operators: frozenset[str] = frozenset()
    vhost_created: bool = False
    generation: int = 0
    spelling: int = SPELLING
    migrations: Mapping[str, MigrationIntent] = field(default_factory=dict, hash=False)

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
                **rest,
            }:
                return cls(
                    frozenset(Address(str(one)) for one in owned),
                    frozenset(Address(str(one)) for one in pending),
                    frozenset(str(one) for one in operators),
                    vhost_created,
                    generation,
                    SPELLING if rest.get("spelling") == SPELLING else OLD_SPELLING,
                    _migrations(name, rest.get("migrations")),
                )
            case _:
                raise _unreadable(name)

    def to_json(self) -> Json:
        """The value to store."""
        migrations: dict[str, Json] = {queue: self.migrations[queue].to_json() for queue in sorted(self.migrations)}
        return {
            "format": RECORD_FORMAT,
            "owned": list[Json](sorted(self.owned)),
            "pending": list[Json](sorted(self.pending)),
            "operators": list[Json](sorted(self.operators)),
            "vhost_created": self.vhost_created,
            "generation": self.generation,
            "spelling": self.spelling,
            **({"migrations": migrations} if migrations else {}),
        }

    def owns(self, address: Address) -> bool:
        """Whether this tool made the object, or was about to."""
        return address in self.owned or address in self.pending

    def respelled(self, live: Iterable[BrokerObject], declared: Iterable[BrokerObject]) -> Self:
        """The same record with today's addresses, where 0.1.0 spelled some of them in another way.

        An old address may mean several objects. Then it means what is declared: what is not could be somebody
        else's, and is not taken for ours.

        Args:
            live: every object on the broker.
            declared: every object that the topology wants.
        """
        if self.spelling == SPELLING:
            return self
        declared = tuple(declared)
        meanings: dict[Address, set[Address]] = {}
        for thing in (*live, *declared):
            meanings.setdefault(old_address(thing), set()).add(thing.address)
        wanted = {thing.address for thing in declared}

        def today(addresses: frozenset[Address]) -> frozenset[Address]:
            found = (_meant(meanings.get(old, {old}), wanted) for old in addresses)
            return frozenset(chain.from_iterable(found))

        return replace(self, owned=today(self.owned), pending=today(self.pending), spelling=SPELLING)

    def intending(self, addresses: Iterable[Address], operator: str) -> Self:
        """The record to write before the first change."""
        return replace(
            self,
            pending=self.pending | frozenset(addresses),
            operators=self.operators | {operator},
            generation=self.generation + 1,
        )

    def migrating(self, intents: Iterable[MigrationIntent]) -> Self:
        """The record with migrations that are about to begin, or go on with what is declared by now."""
        begun = {intent.after.name: intent for intent in intents}
        first = {queue: self.migrations.get(queue, intent).before for queue, intent in begun.items()}
        added = {queue: MigrationIntent(first[queue], intent.after) for queue, intent in begun.items()}
        return replace(self, migrations={**self.migrations, **added})

    def migrated(self, queue: str) -> Self:
        """The record without a migration that has ended."""
        return replace(self, migrations={name: one for name, one in self.migrations.items() if name != queue})

    def settled(self, owned: Iterable[Address], pending: Iterable[Address] = ()) -> Self:
        """The record to write after the last change.

        Args:
            owned: what is ours now.
            pending: what an earlier run was about to make, and this login cannot look at.
        """
        return replace(self, owned=frozenset(owned), pending=frozenset(pending))


def _unreadable(name: str) -> UnreadableRecord:
    return UnreadableRecord(
        f"the ownership record {name!r} on the broker cannot be read",
        why=f"it is not of format {RECORD_FORMAT}; a newer version of this tool or something else wrote it",
        fix="use the version that wrote it; `rabbitmqctl list_global_parameters` shows it",
    )


def _migrations(name: str, value: object) -> dict[str, MigrationIntent]:
    if not isinstance(value, dict):
        return {}
    try:
        return {queue: MigrationIntent.parse(queue, one) for queue, one in value.items()}
    except ValueError:
        raise _unreadable(name) from None


def _meant(candidates: set[Address], wanted: set[Address]) -> set[Address]:
    return candidates if len(candidates) == 1 else candidates & wanted
