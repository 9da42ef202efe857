"""What a relay wants done that it cannot do: values for the shell that owns sockets and clocks."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from letrade_agent.filters.verdicts import DeadLetter


class Ticket(NamedTuple):
    """Which delivery a hand-over is about.

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


Effect: TypeAlias = HandOver | UpstreamBlocked | Ended
