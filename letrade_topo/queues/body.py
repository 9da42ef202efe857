"""A body for people: JSON with indents, what the topology calls sensitive hidden, of bounded length."""

from __future__ import annotations

import json
from typing import Final

from letrade_topo.keys.keyset import KeySet
from letrade_topo.messages.decryption import Opened, Unreadable
from letrade_topo.messages.decryption import reveal as reveal_fields
from letrade_topo.messages.encrypted import ENCRYPTED_MEMBER
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
    shown = _hide(parsed.value, names)
    if isinstance(shown, dict) and ENCRYPTED_MEMBER in shown:
        shown[ENCRYPTED_MEMBER] = (
            f"({len(json.dumps(shown[ENCRYPTED_MEMBER])):,} characters that say nothing to people)"
        )
    return _bounded(json.dumps(shown, indent=2, ensure_ascii=False))


def opened(body: bytes, keys: KeySet | None, now: float) -> tuple[bytes, str]:
    """A body with its encrypted fields put back, and what there is to say about them.

    Args:
        body: the bytes on the wire.
        keys: with the private key of the role of dead letters; None: there is none.
        now: seconds since the epoch.
    """
    found = reveal_fields(body, KeySet(None, {}) if keys is None else keys, now)
    match found:
        case None:
            return body, ""
        case Opened(restored, pointers):
            return restored, f"decrypted: {', '.join(pointers)}"
        case Unreadable(why):
            return body, why


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
