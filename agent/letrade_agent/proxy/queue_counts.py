"""How many messages wait in some queues: asked of the broker over a connection of the agent's own.

By passive declare, which any consumer of a queue may do. What the broker does not answer is not known, and no reason
to do anything else differently.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from letrade_agent.amqp.channel_commands import ChannelClose, ChannelCloseOk, ChannelOpen, ChannelOpenOk
from letrade_agent.amqp.command import Command
from letrade_agent.amqp.commands import parse_command
from letrade_agent.amqp.connection_commands import ConnectionClose
from letrade_agent.amqp.faults import AmqpFault
from letrade_agent.amqp.frames import METHOD, encode_method
from letrade_agent.amqp.topology_commands import QueueDeclare, QueueDeclareOk
from letrade_agent.proxy.broken import UpstreamBroken, from_close
from letrade_agent.proxy.dialled import Dialled
from letrade_agent.proxy.leg import LegLost
from letrade_agent.proxy.upstream import Upstream, agent_properties

ANSWER_SECONDS: Final = 5.0
_CHANNEL: Final = 1
_FAILURES: Final = (UpstreamBroken, AmqpFault, LegLost, OSError, TimeoutError)


class QueueCounts:
    """Asks, and remembers the last answers.

    Args:
        upstream: where its connection comes from.
        service: for the name of the connection at the broker.

    Attributes:
        ready: messages that are ready, by queue.
        server_certificate: of the broker, in DER; None: not known, or no TLS.
    """

    def __init__(self, upstream: Upstream, service: str) -> None:
        self._upstream = upstream
        self._service = service
        self._dialled: Dialled | None = None
        self.ready: dict[str, int] = {}
        self.server_certificate: bytes | None = None

    async def refresh(self, queues: Iterable[str]) -> str:
        """Ask for each; what was wrong, empty if nothing. Never raises for what a broker or a network can do."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS + (0 if self._dialled else ANSWER_SECONDS)):
                dialled = await self._connected()
                found = {queue: await self._count(dialled, queue) for queue in queues}
        except _FAILURES as error:
            self.close()
            self.ready = {}
            return str(error) or "the broker did not answer in time"
        self.ready = {queue: count for queue, count in found.items() if count is not None}
        return ""

    def close(self) -> None:
        """Close the connection, if there is one; the next question opens another."""
        if self._dialled is not None:
            self._dialled.leave()
            self._dialled = None

    async def _connected(self) -> Dialled:
        if self._dialled is not None and not self._dialled.leg.is_lost:
            return self._dialled
        dialled = await self._upstream.dial()
        await dialled.log_in(agent_properties(f"queue counts via letrade-agent/{self._service}".encode()))
        self._dialled = dialled
        self.server_certificate = dialled.leg.peer_certificate
        await self._open_channel(dialled)
        return dialled

    async def _open_channel(self, dialled: Dialled) -> None:
        self._send(dialled, ChannelOpen())
        while not isinstance(await self._answer(dialled), ChannelOpenOk):
            pass

    async def _count(self, dialled: Dialled, queue: str) -> int | None:
        """Messages ready; None: there is no such queue, or the service may not ask."""
        self._send(dialled, QueueDeclare(queue=queue.encode(), passive=True))
        while True:
            answer = await self._answer(dialled)
            if isinstance(answer, QueueDeclareOk):
                return answer.message_count
            if isinstance(answer, ChannelClose):
                self._send(dialled, ChannelCloseOk())
                await self._open_channel(dialled)
                return None

    async def _answer(self, dialled: Dialled) -> Command | None:
        kind, _, payload = await dialled.inbox.next()
        command = parse_command(payload) if kind == METHOD else None
        if isinstance(command, ConnectionClose):
            raise from_close(command)
        return command

    @staticmethod
    def _send(dialled: Dialled, command: Command) -> None:
        dialled.leg.write(encode_method(_CHANNEL, command.encode()))
