"""What filters answer about a delivery, and what they are to those who ask: values and a protocol, no decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeAlias

from letrade_agent.filters.copies import DeadLetter
from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.keys.replay import Identity
from letrade_topo.messages.claim import Claim


class Fetched(NamedTuple):
    """What the object store holds in place of a delivery's body.

    Attributes:
        body: the object, as large as the stub says and with that digest; empty where there is none such.
        reason: the word for why there is none; "" if there is.
        why: in words.
    """

    body: bytes = b""
    reason: str = ""
    why: str = ""


class Delivery(NamedTuple):
    """What the broker hands to the client, by deliver or get-ok.

    Attributes:
        queue: what was consumed from.
        exchange, routing_key: as delivered.
        redelivered: the broker's own mark.
        header: of the content.
        body: of the content.
        number: by which this agent knows it when it asks about it again.
    """

    queue: str
    exchange: bytes
    routing_key: bytes
    redelivered: bool
    header: ContentHeader
    body: bytes
    number: int = 0


Arrived: TypeAlias = tuple[str, bytes, bytes, bytes]
"""A delivery as it came: the queue that was consumed from, exchange and routing key as two short strings on the wire,
payload of the content header, body."""


class Remembered(NamedTuple):
    """What is to be told to `Inbound.settled` when the service has settled a delivery.

    Attributes:
        queue: what was consumed from.
        identity: of the delivery; None: it has none (an unsigned one that may pass).
        valid_until: seconds since the epoch; nothing needs to be remembered for longer.
    """

    queue: str
    identity: Identity | None
    valid_until: float


class Shown(NamedTuple):
    """It goes to the client.

    Attributes:
        header: the content header payload for the client: tokens stripped, the attempt readable.
        remembered: to be given back when it is settled.
        queue_label: the declared queue, or "_other".
        exchange, routing_key: where it was first published, for the deliver or get-ok that the client gets, when it
            arrived by another way (a retry, a replay); None: as delivered.
        body: with its sensitive fields put back; None: as delivered.
    """

    header: bytes
    remembered: Remembered
    queue_label: str
    exchange: bytes | None = None
    routing_key: bytes | None = None
    body: bytes | None = None


class Proven(NamedTuple):
    """A delivery that goes to the client unless it is a repeat.

    Attributes:
        identity: which delivery it is.
        valid_until: seconds since the epoch.
        shown: how it goes.
    """

    identity: Identity
    valid_until: float
    shown: Shown


class Failed(NamedTuple):
    """It goes to the dead letters.

    Attributes:
        reason: the word (token.md), for metrics, logs and the dead letter.
        detail: what was wrong, with which figures.
        issuer: whose it is, if that is proven; "" otherwise.
        queue_label: the declared queue, or "_other".
    """

    reason: str
    detail: str
    issuer: str
    queue_label: str


class Held(NamedTuple):
    """It may yet become good (a rotation, a roll-out, a full memory), or the service has another delivery of the same
    and has not settled it: keep it unacknowledged and ask again.

    Attributes:
        over: what it is when the time is over.
        until_over: how long it may be held, in seconds; infinite for a full memory.
    """

    over: Failed | Repeated
    until_over: float


class Repeated(NamedTuple):
    """The service has settled this very delivery before: settle it in the same way, and count it.

    Attributes:
        queue_label: the declared queue, or "_other".
        is_rejected: it rejected it, so that it has to be rejected again: the broker may not have heard it.
    """

    queue_label: str
    is_rejected: bool = False


class ToFetch(NamedTuple):
    """Its body lies in the object store: fetch it, and ask again with it.

    Attributes:
        claim: what the stub says.
        queue_label: the declared queue, or "_other".
    """

    claim: Claim
    queue_label: str


Examined: TypeAlias = Shown | Failed | Held | Repeated | ToFetch


class Inbound(Protocol):
    """Filters of what the broker delivers."""

    @property
    def largest_body(self) -> int:
        """In bytes; a delivery with a larger one is not taken into memory: the broker moves it to its dead letters."""

    def prove(self, batch: Sequence[Arrived], now: float) -> Sequence[Proven | None]:
        """Which of some deliveries are ordinary: all is right with them, unless they are repeats.

        Args:
            batch: what one read of the broker held, whichever channels it came on.
            now: seconds since the epoch.

        Returns:
            None for a delivery that has to be examined.
        """

    def accept(self, proven: Proven, now: float) -> Shown | None:
        """Remember that a proven delivery has come; None: it may be a repeat, and has to be examined."""

    def examine(self, delivery: Delivery, now: float, fetched: Fetched | None = None) -> Examined:
        """Decide on one delivery: verify, repeat, claim, envelope, schema.

        Args:
            delivery: as the broker made it.
            now: seconds since the epoch.
            fetched: what the store answered, after a first verdict `ToFetch`.
        """

    def settled(self, remembered: Remembered, now: float) -> None:
        """The service acknowledged it."""

    def given_back(self, remembered: Remembered, now: float) -> None:
        """The service gave it back, or its channel is over: it goes to the queue and comes again."""

    def let_go(self, number: int, now: float) -> None:
        """A delivery that was examined and not shown goes back to the queue and comes again."""

    def handed_over(self, number: int, now: float) -> None:
        """A delivery that was examined and not shown is among the dead letters."""

    def keeps_up(self, queue: str, now: float, *, was_active: bool) -> None:
        """A consumer that could take more has got nothing for a while.

        Args:
            queue: what it consumes.
            now: seconds since the epoch.
            was_active: whether it ever got something: of several, only one may.
        """

    def rejected(self, remembered: Remembered, now: float) -> None:
        """The service rejected it (not: gave it back to the queue)."""

    def dead_letter(self, delivery: Delivery, failed: Failed, now: float) -> DeadLetter:
        """What to hand over of a delivery that failed."""
