"""A body for people: JSON with indents, what the topology calls sensitive hidden, of bounded length."""

from __future__ import annotations

import json
from typing import Final

from letrade_topo.messages.json_text import NotJson, parse_json
from letrade_topo.model.messages import Json, MessageType

HIDDEN: Final = "(hidden: sensitive)"
MOST_CHARACTERS: Final = 16_384


def readable(body: bytes, message_type: MessageType | None, *, reveal: bool) -> str:
    """The text to show.

    A field of the name of a sensitive one is hidden wherever it stands: what lies among the dead letters may be
    there because its fields are not where they should be. Where it is not known what is sensitive, nothing is shown.

    Args:
        body: the bytes on the wire.
        message_type: None: unknown, so nothing is known of what is sensitive.
        reveal: show all of it.
    """
    if not body:
        return "(empty)"
    if message_type is None and not reveal:
        return f"(hidden: {len(body):,} bytes of a message type that the topology does not know; --reveal shows them)"
    parsed = parse_json(body)
    if isinstance(parsed, NotJson):
        if message_type is not None and message_type.sensitive and not reveal:
            return f"(hidden: {len(body):,} bytes that are no JSON ({parsed.why}); --reveal shows them)"
        return _bounded(body.decode(errors="replace"))
    names = frozenset() if reveal or message_type is None else frozenset(_name(each) for each in message_type.sensitive)
    return _bounded(json.dumps(_hide(parsed.value, names), indent=2, ensure_ascii=False))


def _hide(value: Json, names: frozenset[str]) -> Json:
    if isinstance(value, dict):
        return {name: HIDDEN if name.casefold() in names else _hide(member, names) for name, member in value.items()}
    if isinstance(value, list):
        return [_hide(member, names) for member in value]
    return value


def _name(pointer: str) -> str:
    """The name of the field at the end of a JSON Pointer (RFC 6901)."""
    return pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~").casefold()


def _bounded(text: str) -> str:
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[:MOST_CHARACTERS]}\n… {len(text) - MOST_CHARACTERS:,} more characters; --raw FILE saves all"
