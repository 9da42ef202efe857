"""Message types: what may be published where, how long it lives, how urgent it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from letrade_topo.model.routing import KeyTemplate
from letrade_topo.model.units import Duration

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


class Priority(StrEnum):
    """How urgent a message is, in a word."""

    NORMAL = "normal"
    HIGH = "high"


HIGH_PRIORITY: Final = 5
"""Of AMQP. Quorum queues take a message without a priority for one of 4: from RabbitMQ 4.3 on they deliver strictly by
priority, 4.0 has two levels, up to 4 and above, and 3.x none."""

MOST_URGENT: Final = 31
"""The highest priority that a quorum queue of RabbitMQ 4.3 tells from the one below it."""


class EnvelopeMode(StrEnum):
    """What becomes of a body that lacks `message_id`, `timestamp` or `source` of the envelope."""

    REQUIRE = "require"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class MessageType:
    """One type of message.

    Args:
        name: the name by which services and queues refer to it.
        exchange: the exchange it is published to.
        key: the routing-key template; by default the name.
        lifetime: how long after signing it may be accepted.
        priority: high for trading messages; a number is the AMQP priority, of which a message without one has 4.
        sensitive: JSON Pointers (RFC 6901) into the payload: fields that travel encrypted.
        schema: JSON Schema (2020-12) of the payload, without it any payload is accepted.
        description: for people.
    """

    name: str
    exchange: str
    key: KeyTemplate
    lifetime: Duration
    priority: Priority | int = Priority.NORMAL
    sensitive: tuple[str, ...] = ()
    schema: Mapping[str, Json] | None = field(default=None, hash=False)
    description: str = ""

    @property
    def amqp_priority(self) -> int | None:
        """The AMQP property that its messages get where the publisher sets none; None for no property."""
        match self.priority:
            case Priority.NORMAL:
                return None
            case Priority.HIGH:
                return HIGH_PRIORITY
            case number:
                return int(number)
