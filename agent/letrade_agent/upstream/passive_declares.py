"""Whether a queue is there, and how much is ready in it: asked of the broker over a connection of the agent's own.

By passive declare, which any consumer of a queue may do. Where a broker refuses to say (403), nothing is known: from
4.2.7 and 4.3.1 on RabbitMQ wants some permission on that name before it says whether there is such a queue. While a
queue is migrated, `apply` gives its services one on the queue beside it (`letrade_topo.plan.migration_rights`).
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import Final, NamedTuple

from letrade_agent.transport.leg import LegLost
from letrade_agent.upstream.broken import UpstreamBroken, from_close
from letrade_agent.upstream.dialled import Dialled
from letrade_agent.upstream.upstream import Upstream, agent_properties
from letrade_topo.amqp.channel_commands import ChannelClose, ChannelCloseOk, ChannelOpen, ChannelOpenOk
from letrade_topo.amqp.command import Command
from letrade_topo.amqp.commands import parse_command
from letrade_topo.amqp.connection_commands import ConnectionClose
from letrade_topo.amqp.faults import AmqpFault, ReplyCode
from letrade_topo.amqp.frames import METHOD, encode_method
from letrade_topo.amqp.topology_commands import QueueDeclare, QueueDeclareOk

QUESTION_FAULTS: Final = (UpstreamBroken, AmqpFault, LegLost, OSError, TimeoutError)
"""What asking may end with. The connection is of no use then."""

_CHANNEL: Final = 1


class Presence(Enum):
    """Whether a queue is there."""

    THERE = auto()
    ABSENT = auto()
    UNKNOWN = auto()
    """The broker does not say."""


class QueueAnswer(NamedTuple):
    """What the broker says of a queue.

    Attributes:
        presence: whether it is there.
        ready: messages that are ready.
    """

    presence: Presence
    ready: int = 0


class PassiveDeclares:
    """Asks, one question after the other.

    Args:
        upstream: where its connection comes from.
        name: of the connection at the broker.

    Attributes:
        server_certificate: of the broker, in DER; None: not known, or no TLS.
    """

    def __init__(self, upstream: Upstream, name: str) -> None:
        self._upstream = upstream
        self._name = name
        self._dialled: Dialled | None = None
        self._turn = asyncio.Lock()
        self.server_certificate: bytes | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._dialled is not None

    async def ask(self, queue: str) -> QueueAnswer:
        """Ask for one queue.

        Raises:
            QUESTION_FAULTS: there is no answer; `close` is to be called then.
        """
        async with self._turn:
            dialled = await self._connected()
            self._send(dialled, QueueDeclare(queue=queue.encode(), passive=True))
            while True:
                answer = await self._answer(dialled)
                if isinstance(answer, QueueDeclareOk):
                    return QueueAnswer(Presence.THERE, answer.message_count)
                if isinstance(answer, ChannelClose):
                    self._send(dialled, ChannelCloseOk())
                    await self._open_channel(dialled)
                    is_absent = answer.reply_code == ReplyCode.NOT_FOUND
                    return QueueAnswer(Presence.ABSENT if is_absent else Presence.UNKNOWN)

    def close(self) -> None:
        """Close the connection, if there is one; the next question opens another."""
        if self._dialled is not None:
            self._dialled.leave()
            self._dialled = None

    async def _connected(self) -> Dialled:
        if self._dialled is not None and not self._dialled.leg.is_lost:
            return self._dialled
        dialled = await self._upstream.dial()
        await dialled.log_in(agent_properties(self._name.encode()))
        self._dialled = dialled
        self.server_certificate = dialled.leg.peer_certificate
        await self._open_channel(dialled)
        return dialled

    async def _open_channel(self, dialled: Dialled) -> None:
        self._send(dialled, ChannelOpen())
        while not isinstance(await self._answer(dialled), ChannelOpenOk):
            pass

    async def _answer(self, dialled: Dialled) -> Command | None:
        kind, _, payload = await dialled.inbox.next()
        command = parse_command(payload) if kind == METHOD else None
        if isinstance(command, ConnectionClose):
            raise from_close(command)
        return command

    @staticmethod
    def _send(dialled: Dialled, command: Command) -> None:
        dialled.leg.write(encode_method(_CHANNEL, command.encode()))
