"""How many messages wait in some queues, as last asked. What the broker does not answer is not known, and no reason to
do anything else differently.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from letrade_agent.upstream.passive_declares import QUESTION_FAULTS, PassiveDeclares, Presence
from letrade_agent.upstream.upstream import Upstream


class QueueDepths:
    """Asks, and remembers the last answers.

    Args:
        upstream: where its connection comes from.
        service: for the name of the connection at the broker.

    Attributes:
        ready: messages that are ready, by queue.
        absent: queues that are not there.
    """

    def __init__(self, upstream: Upstream, service: str) -> None:
        self._limits = upstream.limits.upstream
        self._declares = PassiveDeclares(upstream, f"queue counts via letrade-agent/{service}")
        self.ready: dict[str, int] = {}
        self.absent: frozenset[str] = frozenset()

    @property
    def server_certificate(self) -> bytes | None:
        """Of the broker, in DER; None: not known, or no TLS."""
        return self._declares.server_certificate

    async def refresh(self, queues: Iterable[str]) -> str:
        """Ask for each; what was wrong, empty if nothing. Never raises for what a broker or a network can do."""
        try:
            seconds = self._limits.count_seconds
            async with asyncio.timeout(seconds if self._declares.is_open else 2 * seconds):
                found = {queue: await self._declares.ask(queue) for queue in queues}
        except QUESTION_FAULTS as error:
            self.close()
            self.ready, self.absent = {}, frozenset()
            return str(error) or "the broker did not answer in time"
        self.ready = {queue: answer.ready for queue, answer in found.items() if answer.presence is Presence.THERE}
        self.absent = frozenset(queue for queue, answer in found.items() if answer.presence is Presence.ABSENT)
        return ""

    def close(self) -> None:
        """Close the connection, if there is one; the next question opens another."""
        self._declares.close()
