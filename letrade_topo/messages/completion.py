"""An envelope completed: members of the contract's that a body lacks, put in behind its opening brace.

Every other byte stays as it came, so that the same bytes come back when what was put in is taken out again. Whether
the result is a right envelope is not judged here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from letrade_topo.messages.envelope import MESSAGE_ID, SOURCE, TIMESTAMP, is_message_id
from letrade_topo.messages.json_text import NotJson, parse_json
from letrade_topo.messages.timestamps import format_timestamp

COMPLETED: Final = (MESSAGE_ID, TIMESTAMP, SOURCE)
"""The members that can be put in, in the order in which they then stand."""

_OPENING: Final = rb"[ \t\n\r]*\{"
_TEXT: Final = rb'"(?:[^"\\]|\\.)*"'


class Filling(NamedTuple):
    """What is put in where a body lacks it.

    Args:
        message_id: the AMQP property; taken where it is a UUID.
        new_id: a UUID for a message without one.
        milliseconds: the moment, since the epoch.
        source: the service.
    """

    message_id: bytes | None
    new_id: str
    milliseconds: int
    source: str


class Completion(NamedTuple):
    """A body, and what was put into it.

    Args:
        body: the bytes; the same object where nothing was.
        members: their names, in their order.
    """

    body: bytes
    members: tuple[str, ...] = ()


def complete(body: bytes, filling: Filling) -> Completion:
    """Put in what an envelope lacks; a body that is no JSON object stays as it is.

    Args:
        body: the JSON text.
        filling: what is put in.
    """
    parsed = parse_json(body)
    document = None if isinstance(parsed, NotJson) else parsed.value
    if not isinstance(document, dict):
        return Completion(body)
    members = tuple(name for name in COMPLETED if name not in document)
    if not members:
        return Completion(body)
    values = {
        MESSAGE_ID: _message_id(filling),
        TIMESTAMP: format_timestamp(filling.milliseconds),
        SOURCE: filling.source,
    }
    text = ",".join(f'"{name}":{json.dumps(values[name], ensure_ascii=False)}' for name in members)
    inside = body.index(b"{") + 1
    separator = b"," if document else b""
    return Completion(b"".join((body[:inside], text.encode(), separator, body[inside:])), members)


def incomplete(body: bytes, members: Sequence[str]) -> bytes:
    """Take out again what was put in.

    Args:
        body: as completed; another one stays as it is.
        members: the names that `complete` gave.
    """
    if not members:
        return body
    spliced = rb",".join(b'"' + name.encode() + b'":' + _TEXT for name in members)
    match = re.match(b"(" + _OPENING + b")" + spliced + b",?", body, re.DOTALL)
    return body if match is None else match[1] + body[match.end() :]


def _message_id(filling: Filling) -> str:
    own = "" if filling.message_id is None else filling.message_id.decode("latin-1")
    return own if is_message_id(own) else filling.new_id
