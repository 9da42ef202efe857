"""What a relay wants done that it cannot do: values for the shell that owns sockets and clocks."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from letrade_agent.filters.copies import DeadLetter
from letrade_topo.messages.claim import Claim


class Ticket(NamedTuple):
    """Which delivery a hand-over or an object is about.

    Attributes:
        channel: its number.
        opening: the how-many-th opening of that number on this connection: a later channel is another one.
        upstream_tag: at the broker; None for a no-ack consumer, where nothing is left to acknowledge.
    """

    channel: int
    opening: int
    upstream_tag: int | None


class HandOver(NamedTuple):
    """Publish this to the dead letters, wait for the confirm, then call `Relay.handed_over(ticket)`."""

    ticket: Ticket
    dead_letter: DeadLetter


class Opening(NamedTuple):
    """Which channel a body is stored for.

    Attributes:
        channel: its number.
        opening: as in `Ticket`.
    """

    channel: int
    opening: int


class StoreObject(NamedTuple):
    """Write this to the object store, then call `Relay.stored(opening, sha256)` or `Relay.not_stored(opening, why)`.

    Attributes:
        opening: the channel, which waits.
        object: its name.
        body: its content.
    """

    opening: Opening
    object: str
    body: bytes


class FetchObject(NamedTuple):
    """Read this from the object store and compare it, then call `Relay.fetched(ticket, …)`.

    Attributes:
        ticket: the delivery, which waits.
        claim: the object.
        may_wait: a store that is away is asked again, as long as `Relay.awaits(ticket)`; otherwise call
            `Relay.not_fetched(ticket)`.
    """

    ticket: Ticket
    claim: Claim
    may_wait: bool


class AwaitQueue(NamedTuple):
    """Find out whether a queue that is away comes back, then call `Relay.queue_is_back` or `Relay.queue_is_gone`.

    Attributes:
        queue: its name.
        needs_sign: only if it is being migrated.
    """

    queue: str
    needs_sign: bool


class UpstreamBlocked(NamedTuple):
    """The broker blocked (or unblocked) this connection."""

    blocked: bool
    reason: str


class Ended(NamedTuple):
    """The connection is over: flush both sides, then close both sockets.

    Attributes:
        cause: the label of `client_disconnects_total`: client_closed, broker_closed, protocol_error, drain, ….
        text: for the log.
    """

    cause: str
    text: str


Effect: TypeAlias = HandOver | StoreObject | FetchObject | AwaitQueue | UpstreamBlocked | Ended
