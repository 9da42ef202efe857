"""What is recorded of messages that pass: tuples of what is at hand. What becomes of them, a thread finds out.

Theory of operation. The event loop appends, the thread takes; a `deque` needs no lock for that. What waits has a
bound, by bytes, kept by two sums of which each side writes one. Beyond it whatever was recorded is thrown away and
counted: messages wait for nothing here. Without a recorder nothing here is called.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from letrade_agent.limits import TraceLimits
from letrade_agent.measures import Measures
from letrade_agent.tracing.contexts import Sampler, trace_of
from letrade_topo.amqp.basic import parse_deliver
from letrade_topo.keys.replay import Identity

Server: TypeAlias = tuple[str, int]
"""Host and port of the broker's node."""

_ROW_SIZE: Final = 512
"""In bytes, beside the header that it refers to."""

_new: Final = tuple.__new__


class TracedPublish(NamedTuple):
    """A publish that went to the broker, or was refused.

    Attributes:
        context: as of `Sampler.context`.
        method: payload of the publish.
        header: content header payload: as it went, or as the client sent it.
        size: of the body on the wire, in bytes.
        error: the word for why it was refused; empty: it was not.
    """

    context: bytes
    method: bytes
    header: bytes
    size: int
    error: str


class TracedDelivery(NamedTuple):
    """A delivery that a service was shown.

    Attributes:
        context: as of `Sampler.context`.
        began: seconds since the epoch.
        queue: that it was consumed from.
        exchange, routing_key: as the service sees them.
        header: content header payload for the service.
        size: of the body, in bytes.
        identity: which delivery it is; None: it carries no token.
        redelivered: the broker's own mark.
    """

    context: bytes
    began: float
    queue: str
    exchange: bytes
    routing_key: bytes
    header: bytes
    size: int
    identity: Identity | None
    redelivered: bool


class Settled(NamedTuple):
    """A delivery of which the service has said what it makes of it, or cannot any more.

    Attributes:
        opened: the delivery.
        outcome: ack, nack, reject; requeue: it goes back; lost: the channel ended.
    """

    opened: TracedDelivery
    outcome: str


class HandedOver(NamedTuple):
    """A retry's copy, or a dead letter, that the broker has.

    Attributes:
        context: as of `Sampler.context`.
        role: retry or dead_letter.
        began: seconds since the epoch.
        exchange, routing_key: where it was published.
        header: content header payload of the copy.
        size: of the body, in bytes.
        queue: the consumer queue that it was in.
        reason: the word.
    """

    context: bytes
    role: bytes
    began: float
    exchange: bytes
    routing_key: bytes
    header: bytes
    size: int
    queue: str
    reason: str


Row: TypeAlias = TracedPublish | Settled | HandedOver


class Batch(NamedTuple):
    """What one call recorded.

    Attributes:
        began, ended: seconds since the epoch.
        server: the broker's node.
        rows: in order.
        weight: what it counts for, in bytes.
    """

    began: float
    ended: float
    server: Server
    rows: list[Row]
    weight: int


class Recorder:
    """Of one agent.

    Args:
        sampler: what is recorded.
        measures: what is thrown away is counted there.
        now: seconds since the epoch.
        limits: how much may wait.

    Attributes:
        waiting: for the thread, which takes from the left and adds what it took to `taken`.
        taken: bytes.
    """

    def __init__(self, sampler: Sampler, measures: Measures, now: Callable[[], float], limits: TraceLimits) -> None:
        self.sampler: Final = sampler
        self.waiting: Final[deque[Batch]] = deque()
        self.taken = 0
        self._added = 0
        self._spans = measures.spans
        self._now = now
        self._most = limits.waiting_bytes

    def of_connection(self, server: Server) -> Tracer:
        """Records what passes over one connection to that node."""
        return Tracer(self, server)

    def add(self, began: float, server: Server, rows: list[Row], weight: int) -> None:
        """Rows that end now."""
        if self._added - self.taken + weight > self._most:
            self._spans["dropped"] += len(rows)
            return
        self._added += weight
        self.waiting.append(_new(Batch, (began, self._now(), server, rows, weight)))

    def handed_over(
        self,
        role: bytes,
        destination: tuple[bytes, bytes],
        header: bytes,
        size: int,
        queue: str,
        reason: str,
        *,
        seconds: float,
        server: Server,
    ) -> None:
        """The broker has confirmed a copy that the agent published itself.

        Args:
            role: retry or dead_letter.
            destination: exchange and routing key.
            header: content header payload.
            size: of the body, in bytes.
            queue: the consumer queue that it was in.
            reason: the word.
            seconds: since it was decided.
            server: the broker's node.
        """
        context = self.sampler.context(header)
        if context is not None:
            began = self._now() - seconds
            row = HandedOver(context, role, began, *destination, header, size, queue, reason)
            self.add(began, server, [row], len(header) + _ROW_SIZE)


class Tracer:
    """Of one connection. Its calls are the hot path's: each decides, keeps a tuple, and is done.

    Attributes:
        published, shown: a message of this call that is recorded, as context and header; None: none.
    """

    __slots__ = ("_context", "_recorder", "_rows", "_server", "_weight", "published", "shown")

    def __init__(self, recorder: Recorder, server: Server) -> None:
        self._recorder = recorder
        self._server = server
        self._context = recorder.sampler.context
        self._rows: list[Row] = []
        self._weight = 0
        self.published: tuple[bytes, bytes] | None = None
        self.shown: tuple[bytes, bytes] | None = None

    def publish(self, method: bytes, header: bytes, size: int, error: str = "") -> None:
        """A publish goes upstream, or is refused; arguments as in `TracedPublish`."""
        context = self._context(header)
        if context is not None:
            self._rows.append(_new(TracedPublish, (context, method, header, size, error)))
            self._weight += len(header) + _ROW_SIZE
            if not error:
                self.published = (context, header)

    def open(
        self,
        began: float,
        queue: str,
        exchange: bytes,
        routing_key: bytes,
        header: bytes,
        size: int,
        identity: Identity | None,
        redelivered: bool,
    ) -> TracedDelivery | None:
        """A delivery goes to the service: what is to be given to `settle` then. Arguments as in `TracedDelivery`."""
        context = self._context(header)
        if context is None:
            return None
        self.shown = (context, header)
        return _new(TracedDelivery, (context, began, queue, exchange, routing_key, header, size, identity, redelivered))

    def open_plain(
        self, began: float, method: bytes, header: bytes, size: int, remembered: tuple[str, Identity | None, float]
    ) -> TracedDelivery | None:
        """Likewise, one that goes as it came.

        Args:
            began: as in `TracedDelivery`, like `header` and `size`.
            method: payload of the deliver.
            header: see `began`.
            size: see `began`.
            remembered: the queue, the identity, and what is not needed here.
        """
        context = self._context(header)
        if context is None:
            return None
        self.shown = (context, header)
        _, _, redelivered, exchange, routing_key = parse_deliver(method)
        queue, identity, _ = remembered
        return _new(TracedDelivery, (context, began, queue, exchange, routing_key, header, size, identity, redelivered))

    def settle(self, opened: TracedDelivery, outcome: str) -> None:
        """The service has settled a delivery, or cannot any more."""
        self._rows.append(_new(Settled, (opened, outcome)))
        self._weight += len(opened.header) + _ROW_SIZE

    def end(self, began: float) -> None:
        """A call ends, which began at a moment in seconds since the epoch."""
        if self._rows:
            self._recorder.add(began, self._server, self._rows, self._weight)
            self._rows, self._weight = [], 0
        self.published = self.shown = None


def exemplar_of(message: tuple[bytes, bytes]) -> str | None:
    """The trace of a message, as context and header, in hexadecimal digits."""
    trace = trace_of(*message)
    return None if trace is None else trace.hex()
