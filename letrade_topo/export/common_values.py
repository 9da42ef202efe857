"""What most entries of a section say alike, said once: the `defaults` of a topology file. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from letrade_topo.load.shape import DEFAULTS
from letrade_topo.model.topology import ExchangeType, QueueType

FEWEST: Final = 3
"""Entries that say the same, before it is worth a line of its own."""
_BY_ITSELF: Final[Mapping[tuple[str, str], str]] = {
    ("exchanges", "type"): ExchangeType.TOPIC.value,
    ("queues", "type"): QueueType.QUORUM.value,
}
"""What an entry that does not say it is: the only values that can be written or left out and mean the same."""


class Lifted(NamedTuple):
    """A section.

    Args:
        common: what most of its entries say.
        entries: by name; what is common is left out, and what is not said, said where it is otherwise.
    """

    common: Mapping[str, Any]
    entries: Mapping[str, dict[str, Any]]


def lifted(section: str, entries: Mapping[str, dict[str, Any]]) -> Lifted:
    """Lift what most entries have in common.

    Args:
        section: `exchanges` or `queues`; of any other nothing is lifted.
        entries: as they would be written without defaults.
    """
    common: dict[str, Any] = {}
    for key in DEFAULTS.get(section, {}):
        by_itself = _BY_ITSELF.get((section, key))
        values = [json.dumps(entry.get(key, by_itself)) for entry in entries.values()]
        if not values or "null" in values:
            continue  # some do not say it, and cannot take it back
        (value, count), *_ = Counter(values).most_common(1)
        if count >= FEWEST and count * 2 > len(values) and json.loads(value) != by_itself:
            common[key] = json.loads(value)
    return Lifted(common, {name: _without(section, entry, common) for name, entry in entries.items()})


def _without(section: str, entry: dict[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    own = {key: _BY_ITSELF[section, key] for key in common if key not in entry}
    return own | {key: value for key, value in entry.items() if key not in common or value != common[key]}
