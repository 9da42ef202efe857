"""What mode `enforce` would refuse of what mode `warn` lets through: each place and reason once, how often, an example.

Keeps no content of a message. Does not know what a reason means, nor whose fault it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from letrade_topo.amqp.faults import readable

MOST_PLACES: Final = 500
OTHER: Final = "_other"
"""The message type or key of what came when there were as many places already."""

_LONGEST_TEXT: Final = 300


class Place(NamedTuple):
    """Where something would be refused, and why.

    Attributes:
        direction: publish or deliver.
        exchange: where it was published.
        queue: where it came from; empty for a publish.
        about: its message type; its routing key, where it has none.
        is_typed: `about` is a message type.
        reason: the word.
    """

    direction: str
    exchange: str
    queue: str
    about: str
    is_typed: bool
    reason: str


class Example(NamedTuple):
    """One message of a place: the first.

    Attributes:
        routing_key: as published.
        message_id: the property; empty where it has none.
        text: what was wrong, with which figures.
    """

    routing_key: str
    message_id: str
    text: str


class Rehearsal:
    """Counts by place, an example of each; never more than `most` of them and one rest for each direction and reason.

    Args:
        most: how many places.
    """

    def __init__(self, most: int = MOST_PLACES) -> None:
        self._most = most
        self._counts: dict[Place, int] = {}
        self._examples: dict[Place, Example] = {}

    def note(
        self,
        place: Place,
        routing_key: bytes,
        message_id: bytes | None,
        text: str,
    ) -> None:
        """One more message there."""
        if place not in self._counts and len(self._counts) >= self._most:
            place = Place(place.direction, OTHER, "", OTHER, False, place.reason)
        if place not in self._counts:
            self._examples[place] = Example(readable(routing_key), readable(message_id or b""), text[:_LONGEST_TEXT])
        self._counts[place] = self._counts.get(place, 0) + 1

    def __iter__(self) -> Iterator[tuple[Place, int, Example]]:
        """The most frequent first."""
        for place, count in sorted(self._counts.items(), key=lambda item: (-item[1], item[0])):
            yield place, count, self._examples[place]
