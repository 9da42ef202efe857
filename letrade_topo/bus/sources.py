"""The queues of subscriptions: one that the topology declares, or one of this instance's own."""

from __future__ import annotations

from collections.abc import Sequence

from aio_pika.abc import AbstractRobustChannel, AbstractRobustQueue

from letrade_topo.bus.interests import Bound
from letrade_topo.bus.patterns import Pattern

ANSWER_SECONDS = 10.0


class SharedQueue:
    """A queue of the topology; the instances of a service share it.

    It has exactly the keys that were asked for, so everything in it is wanted: also what comes back after a retry.

    Args:
        name: of the queue.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def queue(self) -> str:
        """Its name."""
        return self._name

    async def declare(self, channel: AbstractRobustChannel) -> AbstractRobustQueue:
        """See that it is there."""
        return await channel.declare_queue(self._name, passive=True, timeout=ANSWER_SECONDS)

    def wants(self, topic: str) -> bool:
        """Everything."""
        return True


class EphemeralQueue:
    """A queue of this instance's own, which lives as long as its connection; made again when that comes back.

    Args:
        name: of the queue.
        pattern: what is wanted of what the bindings bring.
        bindings: exchange and binding key.
    """

    def __init__(self, name: str, pattern: Pattern, bindings: Sequence[Bound]) -> None:
        self._name = name
        self._bindings = bindings
        self._matches = pattern.matches

    @property
    def queue(self) -> str:
        """Its name."""
        return self._name

    async def declare(self, channel: AbstractRobustChannel) -> AbstractRobustQueue:
        """Make and bind it."""
        queue = await channel.declare_queue(self._name, exclusive=True, timeout=ANSWER_SECONDS)
        for exchange, key in self._bindings:
            await queue.bind(exchange, key, timeout=ANSWER_SECONDS)
        return queue

    def wants(self, topic: str) -> bool:
        """What the pattern means; the bindings may bring more."""
        return self._matches(topic)
