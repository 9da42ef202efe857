"""Labels that stay few, whatever travels: declared names up to a bound, and one word for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from letrade_topo.model.topology import Topology

OTHER: Final = "_other"
MOST_DESTINATIONS: Final = 50
MOST_REASONS: Final = 50

Key = TypeVar("Key", bound=tuple[str, ...])


class Bounded:
    """Gives each name its label. A name keeps the label that it first got, so that no counter ever goes back.

    Args:
        most: names that get a label of their own.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._allowed: set[str] = set()
        self._own: dict[str, bool] = {}
        self._given = 0

    def allow(self, names: Iterable[str]) -> None:
        """Only such names get a label of their own, from now on; those that have one keep it."""
        self._allowed = set(names)

    def label(self, name: str) -> str:
        """The label of a name."""
        own = self._own.get(name)
        if own is None:
            own = name in self._allowed and self._given < self._most
            self._own[name] = own
            self._given += own
        return name if own else OTHER


def own_destinations(topology: Topology, service: str) -> tuple[list[str], list[str]]:
    """Exchanges that a service publishes to, and queues that it consumes from, as declared."""
    publishes = topology.services[service].publishes if service in topology.services else ()
    exchanges = dict.fromkeys(topology.messages[name].exchange for name in publishes if name in topology.messages)
    queues = [queue.name for queue in topology.queues.values() if queue.service == service]
    return list(exchanges), queues


def declared_destinations(topology: Topology) -> list[str]:
    """Every name that may become a label."""
    dead_letter = topology.dead_letter
    return [*topology.exchanges, *topology.queues, dead_letter.exchange, dead_letter.queue, dead_letter.retry_exchange]


def summed(counts: Mapping[Key, int], relabel: Mapping[int, Bounded]) -> dict[tuple[str, ...], int]:
    """Counts by bounded labels.

    Args:
        counts: by tuples of labels.
        relabel: which places of the tuples are bounded, and by what.
    """
    result: dict[tuple[str, ...], int] = {}
    for key, count in list(counts.items()):
        bounded = tuple(relabel[place].label(name) if place in relabel else name for place, name in enumerate(key))
        result[bounded] = result.get(bounded, 0) + count
    return result
