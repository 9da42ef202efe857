"""Reply codes and faults: what went wrong on the wire, and how far it reaches.

A fault is one side breaking the protocol. A message that the agent merely refuses is a value, never a fault.
Codec functions raise `AmqpFault` ("the sender of these bytes is wrong") because they do not know whose bytes they
read; whoever owns a leg of the connection names the sender with `blame`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, IntEnum

MAX_SHORT_STRING = 255


class FaultScope(Enum):
    """How far a fault reaches: AMQP's soft errors end a channel, the hard ones the connection."""

    CHANNEL = "channel"
    CONNECTION = "connection"


class ReplyCode(IntEnum):
    """The reply codes of AMQP 0-9-1 (1.2, constants) and RabbitMQ's NO_ROUTE."""

    SUCCESS = 200
    CONTENT_TOO_LARGE = 311
    NO_ROUTE = 312
    NO_CONSUMERS = 313
    CONNECTION_FORCED = 320
    INVALID_PATH = 402
    ACCESS_REFUSED = 403
    NOT_FOUND = 404
    RESOURCE_LOCKED = 405
    PRECONDITION_FAILED = 406
    FRAME_ERROR = 501
    SYNTAX_ERROR = 502
    COMMAND_INVALID = 503
    CHANNEL_ERROR = 504
    UNEXPECTED_FRAME = 505
    RESOURCE_ERROR = 506
    NOT_ALLOWED = 530
    NOT_IMPLEMENTED = 540
    INTERNAL_ERROR = 541

    @property
    def scope(self) -> FaultScope:
        """Where the specification has this code close: the channel or the whole connection."""
        return FaultScope.CHANNEL if self in SOFT_CODES else FaultScope.CONNECTION


SOFT_CODES = frozenset(
    {
        ReplyCode.CONTENT_TOO_LARGE,
        ReplyCode.NO_ROUTE,
        ReplyCode.NO_CONSUMERS,
        ReplyCode.ACCESS_REFUSED,
        ReplyCode.NOT_FOUND,
        ReplyCode.RESOURCE_LOCKED,
        ReplyCode.PRECONDITION_FAILED,
    }
)


class AmqpFault(Exception):
    """One side broke the protocol.

    Attributes:
        code: the reply code to close with.
        text: what was wrong, in words, without the code's name.
        class_id: class of the method at fault, 0 if none.
        method_id: number of that method in its class, 0 if none.
        scope: what has to be closed.
    """

    def __init__(
        self, code: ReplyCode, text: str, *, class_id: int = 0, method_id: int = 0, scope: FaultScope | None = None
    ) -> None:
        super().__init__(f"{code.name} - {text}")
        self.code = code
        self.text = text
        self.class_id = class_id
        self.method_id = method_id
        self.scope = code.scope if scope is None else scope

    @property
    def reply_text(self) -> bytes:
        """The text of `connection.close` or `channel.close`, in RabbitMQ's form, at most 255 bytes."""
        return shorten(str(self))


class ClientFault(AmqpFault):
    """The application broke the protocol: it is told so, and its channel or connection is closed."""


class BrokerFault(AmqpFault):
    """The broker broke the protocol, or the agent misread it: going on would be guessing."""


@contextmanager
def blame(side: type[ClientFault] | type[BrokerFault]) -> Iterator[None]:
    """Say whose bytes are read inside: a fault of unknown side becomes one of `side`.

    Raises:
        ClientFault or BrokerFault: in place of an `AmqpFault` that names nobody.
    """
    try:
        yield
    except (ClientFault, BrokerFault):
        raise
    except AmqpFault as fault:
        raise side(
            fault.code, fault.text, class_id=fault.class_id, method_id=fault.method_id, scope=fault.scope
        ) from fault


def shorten(text: str, limit_bytes: int = MAX_SHORT_STRING) -> bytes:
    """Encode a text in at most `limit_bytes` of UTF-8, never cutting a character in two."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit_bytes:
        return encoded
    return encoded[:limit_bytes].decode("utf-8", "ignore").encode()


def readable(name: bytes) -> str:
    """A name off the wire as it may stand in a text: AMQP allows bytes that are no UTF-8."""
    return name.decode("utf-8", "backslashreplace")
