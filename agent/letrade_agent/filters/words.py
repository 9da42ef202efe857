"""The words for why the agent refuses a command of its own client: labels of metrics and fields of log lines.

Those for deliveries are `letrade_topo.keys.reasons`, and here `Undelivered` for those with which nothing is wrong.
What both sides know, as `envelope` and `schema`, is the same word. The broker's own words, for what a queue gave up,
are here too.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from letrade_topo.amqp.faults import readable
from letrade_topo.messages.schema import SchemaProblem

_LONGEST_NAME: Final = 80
"""A reply text has 255 bytes, and what was wrong matters more than the end of a long name."""

_MOST_PROBLEMS: Final = 3


class Word(StrEnum):
    """Why a publish or another command does not go upstream."""

    OVERSIZE = "oversize"
    UNDECLARED = "undeclared"
    NOT_ALLOWED = "not_allowed"
    COPIES = "copies"
    ENVELOPE = "envelope"
    SCHEMA = "schema"
    FRAME_SIZE = "frame_size"
    NO_KEY = "no_key"
    ENCRYPT = "encrypt"
    CLAIM_STUB = "claim_stub"
    CLAIM_STORE = "claim_store"
    DRAIN = "drain"
    DECLARE = "declare"
    BIND = "bind"
    DELETE = "delete"
    CONSUME = "consume"


class Undelivered(StrEnum):
    """Why a delivery is not shown although its token and its body are right, or before they are looked at."""

    OVERSIZE = "oversize"
    FRAME_SIZE = "frame_size"
    UNDELIVERABLE = "undeliverable"
    """Its no-ack consumer is gone: the broker does not have it any more."""


class Cause(StrEnum):
    """Why the broker took a message out of a queue (RabbitMQ: dlx.md), in its own words."""

    REJECTED = "rejected"
    EXPIRED = "expired"
    MAXLEN = "maxlen"
    DELIVERY_LIMIT = "delivery_limit"
    UNKNOWN = "unknown"
    """It does not say, or in words that are not known here."""


def shown(name: bytes) -> str:
    """A name off the wire, quoted for a text."""
    text = readable(name)
    return f"'{text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + '…'}'"


def schema_text(message_type: str, problems: Sequence[SchemaProblem]) -> str:
    """What is wrong with a payload, in words; values of sensitive fields are not in it."""
    told = "; ".join(map(str, problems[:_MOST_PROBLEMS]))
    more = len(problems) - _MOST_PROBLEMS
    return f"not a payload of {message_type}: {told}{f' and {more} more' if more > 0 else ''}"
