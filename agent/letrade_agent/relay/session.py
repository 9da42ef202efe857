"""What all parts of one relayed connection share: output, effects, filters, counters, the time of this call.

Output is kept as whole contents and whole method frames. That is why nothing ever comes between the frames of one
content, whoever writes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container
from itertools import count
from typing import Final

from letrade_agent.filters.decisions import Refusal
from letrade_agent.filters.in_force import Filters
from letrade_agent.limits import Limits
from letrade_agent.log import Log
from letrade_agent.measures import Exemplar, Measures
from letrade_agent.tracing.recorder import Tracer, exemplar_of
from letrade_topo.amqp.content import Unfinished
from letrade_topo.amqp.faults import BrokerFault, ClientFault, ReplyCode
from letrade_topo.amqp.frames import FRAME_OVERHEAD, Frame, encode_method

from .effects import Effect, Ticket
from .libraries import RefusalForm

WITHHELD_OVERHEAD: Final = 512
"""Bytes that a withheld delivery takes besides its header and body."""


class Session:
    """The shared state of one connection.

    Attributes:
        filters, measures, capabilities (the client's), broker_counts_nacks,
            refusal_form, log: as given to the relay.
        client_frame_max, upstream_frame_max: in bytes, 0 resolved.
        limits: of relayed connections.
        unfinished, broker_unfinished: what is held of contents of the client and of the broker that have not ended.
        to_client, to_upstream: what is to be written.
        effects: what is to be done.
        started: monotonic seconds at the begin of this call.
        epoch: seconds since the epoch at the begin of this call.
        published, shown: messages forwarded in this call.
        openings: how many channels were opened.
        held_bytes: of withheld deliveries.
        storing_bytes: of publishes that are being stored, and of what waits behind them, or for a channel to close.
        storing: how many are being stored, or wait so.
        from_client, from_upstream: frames that waited and are to be taken in now.
        away: names of queues that are away, and come back as far as is known.
        tracer: records what passes; None: nothing is traced.
        refusing: why every publish is refused, once the connection is to end; None before.
    """

    __slots__ = (
        "_handing",
        "_handing_no_ack",
        "_monotonic",
        "_now",
        "away",
        "broker_counts_nacks",
        "broker_unfinished",
        "capabilities",
        "client_frame_max",
        "client_room",
        "effects",
        "epoch",
        "filters",
        "from_client",
        "from_upstream",
        "held_bytes",
        "limits",
        "log",
        "measures",
        "openings",
        "published",
        "refusal_form",
        "refusing",
        "shown",
        "started",
        "storing",
        "storing_bytes",
        "to_client",
        "to_upstream",
        "tracer",
        "unfinished",
        "upstream_frame_max",
        "upstream_room",
    )

    def __init__(
        self,
        filters: Filters,
        measures: Measures,
        *,
        client_frame_max: int,
        upstream_frame_max: int,
        client_capabilities: frozenset[bytes],
        broker_counts_nacks: bool,
        refusal_form: RefusalForm,
        away: Container[str],
        limits: Limits,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        log: Log,
        tracer: Tracer | None,
    ) -> None:
        self.tracer = tracer
        self.filters = filters
        self.measures = measures
        self.client_frame_max = client_frame_max or _NO_LIMIT
        self.upstream_frame_max = upstream_frame_max or _NO_LIMIT
        self.client_room = self.client_frame_max - FRAME_OVERHEAD
        self.upstream_room = self.upstream_frame_max - FRAME_OVERHEAD
        self.capabilities = client_capabilities
        self.broker_counts_nacks = broker_counts_nacks
        self.refusal_form = refusal_form
        self.away = away
        self.limits = limits.relay
        self.unfinished = Unfinished(lambda: limits.unfinished_bytes + filters.outbound.largest_body)
        self.broker_unfinished = Unfinished(lambda: limits.broker_unfinished_bytes)
        self.log = log
        self._now = now
        self._monotonic = monotonic
        self.to_client: list[bytes] = []
        self.to_upstream: list[bytes] = []
        self.effects: list[Effect] = []
        self.published = self.shown = self.openings = self.held_bytes = 0
        self.storing = self.storing_bytes = 0
        self.from_client: deque[list[Frame]] = deque()
        self.from_upstream: deque[list[Frame]] = deque()
        self.refusing: Refusal | None = None
        self._handing: dict[Ticket, int] = {}
        self._handing_no_ack: deque[int] = deque()
        self.started = self.epoch = 0.0
        self.begin()

    def number_delivery(self) -> int:
        """A number for a delivery that is examined: no other of this agent has it."""
        return next(_NUMBERS)

    def begin(self) -> None:
        """A call of the relay begins: what time it is."""
        self.started = self._monotonic()
        self.epoch = self._now()

    def end(self) -> None:
        """It ends: what the agent itself added to each message of it."""
        tracer = self.tracer
        if self.published:
            self._took("publish", self.published, None if tracer is None else tracer.published)
            self.published = 0
        if self.shown:
            self._took("deliver", self.shown, None if tracer is None else tracer.shown)
            self.shown = 0

    def _took(self, direction: str, messages: int, traced: tuple[bytes, bytes] | None) -> None:
        seconds = self._monotonic() - self.started
        latency = self.measures.added_latency[direction]
        latency.observe(seconds, messages)
        trace = None if traced is None else exemplar_of(traced)
        if trace is not None:
            latency.exemplify(Exemplar(trace, seconds, self.epoch))

    def tell_client(self, number: int, payload: bytes) -> None:
        """A method frame to the client.

        Raises:
            BrokerFault: FRAME_ERROR, it came from the broker and does not fit into the client's frames.
        """
        if len(payload) > self.client_room:
            raise BrokerFault(ReplyCode.FRAME_ERROR, _does_not_fit(payload, "the client", self.client_frame_max))
        self.to_client.append(encode_method(number, payload))

    def tell_upstream(self, number: int, payload: bytes) -> None:
        """A method frame to the broker.

        Raises:
            ClientFault: FRAME_ERROR, it came from the client and does not fit into the broker's frames.
        """
        if len(payload) > self.upstream_room:
            raise ClientFault(ReplyCode.FRAME_ERROR, _does_not_fit(payload, "the broker", self.upstream_frame_max))
        self.to_upstream.append(encode_method(number, payload))

    def hand_over_begins(self, ticket: Ticket, size: int) -> None:
        """A delivery is kept until it has been handed over; `size` in bytes."""
        if ticket.upstream_tag is None:
            self._handing_no_ack.append(size)
        else:
            self._handing[ticket] = size
        self.keep(size)

    def hand_over_ends(self, ticket: Ticket) -> None:
        """It was handed over, or nobody waits for that any more."""
        if ticket.upstream_tag is not None:
            size = self._handing.pop(ticket, None)
        else:
            size = self._handing_no_ack.popleft() if self._handing_no_ack else None
        if size is not None:
            self.let_go(size)

    def keep(self, size: int) -> None:
        """A delivery of that size in bytes is withheld."""
        self.held_bytes += size
        self.measures.held += 1

    def let_go(self, size: int) -> None:
        """It is not any more."""
        self.held_bytes -= size
        self.measures.held -= 1

    def forget_hand_overs(self) -> None:
        """The connection is over: nothing is counted as withheld by it any more."""
        for size in (*self._handing.values(), *self._handing_no_ack):
            self.let_go(size)
        self._handing.clear()
        self._handing_no_ack.clear()


_NUMBERS: Final = count(1)
"""Of all connections: the memory against repeats is that of the agent."""

_NO_LIMIT: Final = (1 << 32) - 1


def _does_not_fit(payload: bytes, whose: str, frame_max: int) -> str:
    return f"a method of {len(payload)} bytes does not fit into a frame of {whose}, which has at most {frame_max}"
