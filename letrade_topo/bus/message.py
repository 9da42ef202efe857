"""Messages as a service has them: the payload, and what came around it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from letrade_topo.bus.errors import PayloadError
from letrade_topo.messages.json_text import NotJson, parse_json
from letrade_topo.messages.timestamps import format_timestamp, parse_timestamp

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class Message(dict[str, Any]):
    """The payload of a message that arrived; a dict, with the rest as attributes.

    Attributes:
        topic: the routing key that it was published under.
        exchange: that it was published to.
        envelope: the whole body: `message_id`, `timestamp`, `source`, `payload`.
        message_id: the UUID of the message.
        source: the service that published it.
        timestamp: when, in UTC.
        headers: AMQP headers; those of the agents are not among them.
        correlation_id: which request a response belongs to; "" if it is none.
        redelivered: whether somebody may have seen it before.
        attempt: 0, or which retry this is.
    """

    __slots__ = (
        "_settle",
        "attempt",
        "correlation_id",
        "envelope",
        "exchange",
        "headers",
        "message_id",
        "redelivered",
        "source",
        "topic",
    )

    topic: str
    exchange: str
    envelope: Mapping[str, Any]
    message_id: str
    source: str
    headers: Mapping[str, Any]
    correlation_id: str
    redelivered: bool
    attempt: int
    _settle: Callable[[bool], Awaitable[None]]

    @property
    def timestamp(self) -> datetime:
        """When it was published, in UTC."""
        milliseconds = parse_timestamp(str(self.envelope.get("timestamp", "")))
        return _EPOCH + timedelta(milliseconds=milliseconds or 0)

    async def ack(self) -> None:
        """Done with it: it does not come again. Whoever iterates over a subscription may say so early."""
        await self._settle(True)

    async def reject(self) -> None:
        """It failed: from a declared queue it comes back after the retry delays, and then lies among the dead."""
        await self._settle(False)


class Written(NamedTuple):
    """A message that is ready to go.

    Args:
        message_id: in the envelope, and to be the property.
        milliseconds: the envelope's timestamp, since the epoch.
        body: the envelope.
    """

    message_id: str
    milliseconds: int
    body: bytes


def write(source: str, payload: Mapping[str, Any]) -> Written:
    """Put a payload into a new envelope.

    Args:
        source: the service.
        payload: what the message is about.

    Raises:
        PayloadError: it is no JSON object.
    """
    if not isinstance(payload, Mapping):
        raise PayloadError(
            f"the payload is of type {type(payload).__name__}, and has to be a JSON object", fix="pass a dict"
        )
    message_id, milliseconds = str(uuid.uuid4()), time.time_ns() // 1_000_000
    envelope = {
        "message_id": message_id,
        "timestamp": format_timestamp(milliseconds),
        "source": source,
        "payload": payload if isinstance(payload, dict) else dict(payload),
    }
    try:
        return Written(message_id, milliseconds, _encode(envelope).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise PayloadError(
            "the payload cannot be written as JSON",
            why=str(error) or type(error).__name__,
            fix="use text, numbers, booleans, lists and dicts; a datetime as RFC 3339 text, a Decimal as a number",
        ) from error


class NoEnvelope(NamedTuple):
    """A body that cannot be shown to a service.

    Args:
        why: in words; holds nothing of the payload.
    """

    why: str


def read(body: bytes) -> Message | NoEnvelope:
    """The message in a body; what came around it is still missing.

    An agent has checked the envelope before. Without one (`mode: off`) anything may come.
    """
    parsed = parse_json(body)
    if isinstance(parsed, NotJson):
        return NoEnvelope(parsed.why)
    document = parsed.value
    if not isinstance(document, dict) or not isinstance(document.get("payload"), dict):
        return NoEnvelope("it is no envelope with a payload")
    message = Message(document["payload"])  # type: ignore[arg-type]  # just checked
    message.envelope = document
    message.message_id = str(document.get("message_id", ""))
    message.source = str(document.get("source", ""))
    return message
