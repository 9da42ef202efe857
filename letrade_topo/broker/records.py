"""Where the record of what a topology owns is kept, and which of two copies is the truth. Pure.

An administrator's runs keep it for the whole cluster, as a global parameter. Logins without that right keep it in the
vhost: as the argument of an exchange that nothing is bound to, because declaring an exchange is the one write that is
atomic, takes a text of a million bytes and needs no management tag beyond the least. Arguments cannot change, so a new
record is a new exchange, numbered, made before the older ones go: whenever a run dies, the highest number is true.

    letrade-topo.record.TOPOLOGY.NUMBER   type fanout, argument `x-letrade-topo-record`: the record as JSON

An administrator's run takes the record over: it writes the global parameter, with the number that it has read, and
leaves in the vhost an exchange without a record, one number higher. Whoever cannot read the global parameter learns
from it that there is one, and stops. A number in the vhost that is higher than the one taken over was written later, by
a login that could not see the global parameter: then both together are the truth.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from letrade_topo.broker.kinds import Kind
from letrade_topo.model.messages import Json
from letrade_topo.model.names import VHOST_RECORD_PREFIX, ownership_record, vhost_record

ARGUMENT: Final = "x-letrade-topo-record"
KINDS: Final = "kinds"
"""In a record of the vhost: the kinds that its writers could write; of others it may know nothing."""
TAKEN_OVER: Final = "taken_over"
"""In a record of the cluster: the number of the vhost's record that is in it."""

_NAME = re.compile(re.escape(VHOST_RECORD_PREFIX) + r"(?P<topology>[^.]+)\.(?P<number>[0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class VhostCopy:
    """One exchange that holds a record, or says that it is held elsewhere.

    Args:
        exchange: its name.
        number: which of them is the newest.
        value: the record; None: it was taken over.
    """

    exchange: str
    number: int
    value: Json


@dataclass(frozen=True, slots=True)
class RecordPlaces:
    """Where one topology's record was found.

    Args:
        name: as global parameter.
        in_cluster: the global parameter's value; None where there is none, or none to be seen.
        in_vhost: the exchanges, oldest first.
        sees_cluster: whether a global parameter would be seen.
    """

    name: str
    in_cluster: Json = None
    in_vhost: tuple[VhostCopy, ...] = ()
    sees_cluster: bool = True

    @property
    def newest(self) -> VhostCopy | None:
        """The vhost's copy that counts."""
        return self.in_vhost[-1] if self.in_vhost else None

    @property
    def number(self) -> int:
        """The highest number that was ever used, as far as known."""
        return max(self.newest.number if self.newest else 0, self._taken_over)

    @property
    def is_out_of_sight(self) -> bool:
        """Whether somebody has taken it over to where this login cannot look."""
        return self.newest is not None and self.newest.value is None and not self.sees_cluster

    @property
    def is_in_vhost(self) -> bool:
        """Whether the vhost has what the cluster's record does not know."""
        newest = self.newest
        if newest is None or newest.value is None:
            return False
        return self.in_cluster is None or newest.number > self._taken_over

    @property
    def value(self) -> Json:
        """The record, whichever place it is from; None where there is none."""
        newest = self.newest
        if newest is None or not self.is_in_vhost:
            return self.in_cluster
        return merged(newest.value, self.in_cluster)

    @property
    def _taken_over(self) -> int:
        number = self.in_cluster.get(TAKEN_OVER) if isinstance(self.in_cluster, dict) else None
        return number if isinstance(number, int) else 0


def merged(vhost: Json, cluster: Json) -> Json:
    """The vhost's record, written later, with what only the cluster's can know: kinds that its writers never wrote."""
    if not isinstance(vhost, dict) or not isinstance(cluster, dict) or cluster.get("spelling") != vhost.get("spelling"):
        return vhost
    kinds = vhost.get(KINDS)
    known = frozenset(kinds) if isinstance(kinds, list) else frozenset()

    def both(part: str) -> Json:
        ours, theirs = vhost.get(part), cluster.get(part)
        ours, theirs = (one if isinstance(one, list) else [] for one in (ours, theirs))
        kept = (one for one in theirs if part == "operators" or str(one).partition(":")[0] not in known)
        return list[Json](sorted({str(one) for one in (*ours, *kept)}))

    return vhost | {
        "owned": both("owned"),
        "pending": both("pending"),
        "operators": both("operators"),
        "vhost_created": cluster.get("vhost_created") is True or vhost.get("vhost_created") is True,
        "migrations": _mapping(cluster.get("migrations")) | _mapping(vhost.get("migrations")),
    }


def places_of(
    vhost: str, exchanges: Iterable[Mapping[str, Json]], parameters: Mapping[str, Json] | None
) -> dict[str, RecordPlaces]:
    """Every topology's record, by the name that it has as global parameter.

    Args:
        vhost: which was read.
        exchanges: as the management API lists those of the vhost.
        parameters: the values of the global parameters that are records, by name; None where they cannot be seen.
    """
    copies: dict[str, list[VhostCopy]] = {}
    for item in exchanges:
        found = _NAME.fullmatch(str(item.get("name")))
        if found is None:
            continue
        copy = VhostCopy(found[0], int(found["number"]), _value(item.get("arguments")))
        copies.setdefault(found["topology"], []).append(copy)
    sees_cluster, held = parameters is not None, parameters or {}
    places = {name: RecordPlaces(name, value) for name, value in held.items()}
    for topology, found_copies in copies.items():
        name = ownership_record(topology, vhost)
        in_order = tuple(sorted(found_copies, key=lambda copy: copy.number))
        places[name] = RecordPlaces(name, held.get(name), in_order, sees_cluster)
    return places


def body_of(value: Json) -> dict[str, Json]:
    """The exchange that holds a record, as the management API takes it; None for one that says it is taken over."""
    text = None if value is None else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    arguments: dict[str, Json] = {} if text is None else {ARGUMENT: text}
    return {"type": "fanout", "durable": True, "auto_delete": False, "internal": False, "arguments": arguments}


def next_name(places: RecordPlaces, topology: str) -> str:
    """The name of the exchange for the next record."""
    return vhost_record(topology, places.number + 1)


def kinds_with(value: Json, kinds: Iterable[Kind]) -> list[Json]:
    """The kinds that a record's writers could write, with those of one more."""
    before = value.get(KINDS) if isinstance(value, dict) else None
    known = {str(one) for one in before} if isinstance(before, list) else set()
    return list[Json](sorted(known | {str(kind) for kind in kinds}))


def _mapping(value: Json) -> dict[str, Json]:
    return dict(value) if isinstance(value, dict) else {}


def _value(arguments: Json) -> Json:
    text = arguments.get(ARGUMENT) if isinstance(arguments, Mapping) else None
    if not isinstance(text, str):
        return None
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError):
        return text  # no record: whoever reads it says so
    return value
