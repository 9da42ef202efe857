"""Connections to the broker: one of several nodes, as far as its greeting.

In two steps, because the client's greeting needs the broker's properties, and the broker's login the client's:
`Upstream.dial` ends with the broker's connection.start, `Dialled.log_in` with its open-ok.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

from letrade_agent.amqp.negotiation import AGENT_CAPABILITIES
from letrade_agent.limits import Limits
from letrade_agent.log import Log
from letrade_agent.measures import Measures
from letrade_agent.transport.leg import Inbox, Leg
from letrade_agent.upstream.attempts import Attempts
from letrade_agent.upstream.broken import ConnectOutcome, UpstreamBroken, from_error, unreachable, unusable_files
from letrade_agent.upstream.dialled import WIRE_FAULTS, Credentials, Dialled, expect
from letrade_agent.upstream.nodes import Nodes, NodeState
from letrade_agent.upstream.sockets import connect
from letrade_agent.upstream.tls import TlsContexts
from letrade_topo.amqp.connection_commands import Start
from letrade_topo.amqp.frames import PROTOCOL_HEADER
from letrade_topo.amqp.header_table import HeaderTable, boolean_entry, long_string_entry, table_entry
from letrade_topo.reading import CannotRead


class Upstream:
    """Makes connections to the broker.

    Args:
        nodes: which ones there are, and how they did.
        credentials: who the agent is.
        tls: contexts for nodes that speak TLS.
        measures: attempts are counted here.
        log: told about each node that fails, once until it works again.
        monotonic: seconds.
        open_legs: holds the sockets that are open.
        limits: of the agent.

    Attributes:
        server_properties: of the broker that answered last; None before the first.
    """

    def __init__(
        self,
        nodes: Nodes,
        credentials: Credentials,
        tls: TlsContexts,
        measures: Measures,
        log: Log,
        monotonic: Callable[[], float],
        open_legs: set[Leg],
        limits: Limits,
    ) -> None:
        self.limits: Final = limits
        self.credentials: Final = credentials
        self.measures: Final = measures
        self.monotonic: Final = monotonic
        self.server_properties: HeaderTable | None = None
        self._nodes = nodes
        self._attempts = Attempts(nodes, measures, log)
        self._open_legs = open_legs
        self._tls = tls

    async def dial(self) -> Dialled:
        """Reach a node and hear its greeting.

        Raises:
            UpstreamBroken: none answers; at once when all of them failed a moment ago.
        """
        deadline = self.monotonic() + self.limits.upstream.dial_seconds
        last = ConnectOutcome.REFUSED
        for state in self._nodes.to_try():
            began = self.monotonic()
            seconds = min(self.limits.upstream.node_seconds, deadline - began)
            if seconds <= 0:
                break
            try:
                context = await self._context(state)
                async with asyncio.timeout(seconds):
                    leg, inbox, start = await self._greeted(state, context)
            except UpstreamBroken as broken:
                self._attempts.failed(state, broken)
                last = broken.outcome
                continue
            except WIRE_FAULTS as error:
                unusable = from_error(error)
                self._attempts.failed(state, unusable)
                last = unusable.outcome
                continue
            self.server_properties = start.server_properties
            seconds = self.monotonic() - began
            limits = self.limits.upstream
            return Dialled(self.credentials, self._attempts, self.monotonic, limits, state, leg, inbox, start, seconds)
        raise unreachable(self._nodes.problem, last)

    async def check(self) -> None:
        """Log in at a node and leave again.

        Raises:
            UpstreamBroken: it does not work; says why.
        """
        dialled = await self.dial()
        await dialled.log_in(agent_properties(b"letrade-agent check"))
        dialled.leave()

    async def _context(self, state: NodeState) -> ssl.SSLContext | None:
        try:
            return await self._tls.get() if state.node.tls else None
        except (CannotRead, OSError, ValueError) as error:
            raise unusable_files(error) from error

    async def _greeted(self, state: NodeState, context: ssl.SSLContext | None) -> tuple[Leg, Inbox, Start]:
        leg = await connect(state.node, context, self._open_legs, self.limits)
        try:
            inbox = Inbox(leg)
            leg.write(PROTOCOL_HEADER)
            start = await expect(Start, inbox)
        except BaseException:
            leg.abort()
            raise
        return leg, inbox, start


def agent_properties(connection_name: bytes) -> HeaderTable:
    """Who the agent is, on a connection of its own."""
    able = HeaderTable(tuple(boolean_entry(name, truth=True) for name in AGENT_CAPABILITIES))
    return HeaderTable(
        (
            long_string_entry(b"product", b"letrade-agent"),
            long_string_entry(b"connection_name", connection_name),
            table_entry(b"capabilities", able),
        )
    )
