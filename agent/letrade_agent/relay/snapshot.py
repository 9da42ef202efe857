"""What a relayed connection looks like at one moment, for the status page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConsumerSnapshot:
    """A subscription.

    Attributes:
        channel: its number.
        tag: as it may stand in a text.
        queue: what it consumes.
        no_ack: whether deliveries are settled by being sent.
    """

    channel: int
    tag: str
    queue: str
    no_ack: bool


@dataclass(frozen=True, slots=True)
class ConnectionSnapshot:
    """A connection.

    Attributes:
        channels: how many are open, or being opened or closed.
        consumers: all subscriptions.
        unsettled: deliveries that the client sees and has not settled.
        unconfirmed: publishes that the broker has not answered.
        held: deliveries that are withheld.
        held_bytes: what these take.
        closing: whether the connection is on its way to its end.
    """

    channels: int
    consumers: tuple[ConsumerSnapshot, ...]
    unsettled: int
    unconfirmed: int
    held: int
    held_bytes: int
    closing: bool
