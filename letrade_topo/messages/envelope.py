"""The envelope: what every message's body is, and how it agrees with the AMQP properties beside it.

    {"message_id": UUID, "timestamp": RFC 3339, "source": service, "payload": object}

Further members are left to whoever knows them. Nothing is changed here; what is wrong is a value in words.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, TypeAlias

from letrade_topo.messages.json_text import NotJson, parse_json, quoted
from letrade_topo.messages.timestamps import parse_timestamp
from letrade_topo.model.messages import Json

MESSAGE_ID: Final = "message_id"
TIMESTAMP: Final = "timestamp"
"""Properties that may differ from the envelope; the name of each is the same in both."""

SOURCE: Final = "source"

CLOCK_UNIT_MILLISECONDS = 1000
"""The AMQP timestamp has whole seconds; clients round it either way."""

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


class EnvelopeProperties(NamedTuple):
    """The AMQP properties that repeat something of the envelope, as on the wire; None where absent.

    Args:
        message_id: likewise.
        timestamp: seconds since the epoch.
        app_id: the `source`.
    """

    message_id: bytes | None = None
    timestamp: int | None = None
    app_id: bytes | None = None


class Envelope(NamedTuple):
    """An envelope that is right. A named tuple, as one is made for each message.

    Args:
        message_id: as written.
        timestamp_milliseconds: since the epoch.
        source: the service.
        payload: what it is about.
        document: the whole of it.
        differing: names of the AMQP properties that say something else: they pass as they are, because some libraries
            write ids of their own, and what proves a message is its token.
    """

    message_id: str
    timestamp_milliseconds: int
    source: str
    payload: dict[str, Json]
    document: dict[str, Json]
    differing: tuple[str, ...] = ()

    @property
    def properties(self) -> EnvelopeProperties:
        """What the AMQP properties have to say where they are absent."""
        seconds = self.timestamp_milliseconds // CLOCK_UNIT_MILLISECONDS
        return EnvelopeProperties(self.message_id.encode(), max(seconds, 0), self.source.encode())


class EnvelopeProblem(NamedTuple):
    """A body is not an envelope, or its source is not that of its properties.

    Args:
        why: in words; holds nothing of the payload.
    """

    why: str


Checked: TypeAlias = Envelope | EnvelopeProblem


def is_message_id(text: str) -> bool:
    """Whether a text is a UUID, in any case."""
    return _UUID.fullmatch(text) is not None


def check_envelope(
    body: bytes | bytearray | memoryview, properties: EnvelopeProperties, service: str, *, sent_by: str = "this service"
) -> Checked:
    """Read the envelope of a message.

    Args:
        body: the JSON text.
        properties: those of the AMQP properties that repeat something of it.
        service: whose message it has to be: the own one when publishing, the token's issuer on arrival.
        sent_by: how the service is called in words, for example `this service` or `the token's issuer`.
    """
    parsed = parse_json(body)
    if isinstance(parsed, NotJson):
        return EnvelopeProblem(f"the body is not an envelope: {parsed.why}")
    document = parsed.value
    if not isinstance(document, dict):
        return EnvelopeProblem(f"the body is {_kind(document)}, and an envelope is a JSON object")
    missing = [name for name in ("message_id", "timestamp", "source", "payload") if name not in document]
    if missing:
        return EnvelopeProblem(f"the envelope has no {' and no '.join(missing)}")
    return _check_fields(document, properties, service, sent_by)


def _check_fields(document: dict[str, Json], properties: EnvelopeProperties, service: str, sent_by: str) -> Checked:
    message_id, timestamp = document["message_id"], document["timestamp"]
    source, payload = document["source"], document["payload"]
    if not isinstance(message_id, str) or not is_message_id(message_id):
        return EnvelopeProblem(f"message_id {_shown(message_id)} is not a UUID")
    milliseconds = parse_timestamp(timestamp) if isinstance(timestamp, str) else None
    if milliseconds is None:
        return EnvelopeProblem(f"timestamp {_shown(timestamp)} is not RFC 3339, for example 2025-03-29T12:34:56.789Z")
    if source != service or not isinstance(source, str):
        return EnvelopeProblem(f"source {_shown(source)} is not {quoted(service)}, {sent_by}")
    if not isinstance(payload, dict):
        return EnvelopeProblem(f"payload is {_kind(payload)}, and has to be a JSON object")
    if properties.app_id is not None and properties.app_id != source.encode():
        stated = quoted(properties.app_id.decode(errors="replace"))
        return EnvelopeProblem(f"source is {quoted(source)} in the envelope, and the property app_id is {stated}")
    return Envelope(
        message_id, milliseconds, source, payload, document, _differing(properties, message_id, milliseconds)
    )


def _differing(properties: EnvelopeProperties, message_id: str, milliseconds: int) -> tuple[str, ...]:
    is_other_id = properties.message_id is not None and properties.message_id != message_id.encode()
    if properties.timestamp is None:
        return (MESSAGE_ID,) if is_other_id else ()
    apart = abs(properties.timestamp * CLOCK_UNIT_MILLISECONDS - milliseconds)
    is_other_time = apart > CLOCK_UNIT_MILLISECONDS
    return tuple(name for name, differs in ((MESSAGE_ID, is_other_id), (TIMESTAMP, is_other_time)) if differs)


def _shown(value: Json) -> str:
    return quoted(value) if isinstance(value, str) else f"({_kind(value)})"


def _kind(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case dict():
            return "an object"
