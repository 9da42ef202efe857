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
    """How urgent a message is; `high` sets the AMQP priority property."""

    NORMAL = "normal"
    HIGH = "high"


HIGH_PRIORITY: Final = 5
"""Of AMQP. Above 4, the default: the higher one of two levels in RabbitMQ 4.0; before, quorum queues know none."""


@dataclass(frozen=True, slots=True)
class MessageType:
    """One type of message.

    Args:
        name: the name by which services and queues refer to it.
        exchange: the exchange it is published to.
        key: the routing-key template; by default the name.
        lifetime: how long after signing it may be accepted.
        priority: high for trading messages.
        sensitive: JSON Pointers (RFC 6901) into the payload: fields that travel encrypted.
        schema: JSON Schema (2020-12) of the payload, without it any payload is accepted.
        description: for people.
    """

    name: str
    exchange: str
    key: KeyTemplate
    lifetime: Duration
    priority: Priority = Priority.NORMAL
    sensitive: tuple[str, ...] = ()
    schema: Mapping[str, Json] | None = field(default=None, hash=False)
    description: str = ""
