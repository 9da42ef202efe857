"""The broker's own record of why and from where it dead-lettered a message: the header `x-death`.

Its newest entry, which stands first, is the broker's; before RabbitMQ 4.0 a publisher past the agents could have
written the others, and even the newest one's exchange and key, if he guessed queue and cause. So it decides nothing
but the cause, and says where a message was published whose token does not.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from letrade_agent.filters.words import Cause
from letrade_topo.amqp.faults import AmqpFault
from letrade_topo.amqp.header_table import table_value
from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.amqp.wire import array_values, long_string_value

_DEATHS: Final = b"x-death"


class Death(NamedTuple):
    """A death.

    Attributes:
        cause: why.
        exchange, routing_key: that the message came into the queue with; None: the record does not say.
    """

    cause: Cause
    exchange: bytes | None = None
    routing_key: bytes | None = None


UNRECORDED: Final = Death(Cause.UNKNOWN)


def newest_death(header: ContentHeader, queue: str) -> Death:
    """The last death of a message, if it was in this queue; any header is read, whatever is wrong with it."""
    try:
        table = header.headers
        recorded = None if table is None else table.get(_DEATHS)
        deaths = array_values(recorded) if recorded else None
        newest = table_value(deaths[0]) if deaths else None
        if newest is None or _text(newest.get(b"queue")) != queue.encode():
            return UNRECORDED
        keys = newest.get(b"routing-keys")
        first = (array_values(keys) or (None,))[0] if keys else None
        return Death(_cause(_text(newest.get(b"reason"))), _text(newest.get(b"exchange")), _text(first))
    except AmqpFault:
        return UNRECORDED


def _text(value: bytes | None) -> bytes | None:
    return long_string_value(value) if value else None


def _cause(word: bytes | None) -> Cause:
    try:
        return Cause((word or b"").decode())
    except ValueError:  # unknown, or no text
        return Cause.UNKNOWN
