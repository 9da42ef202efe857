"""What the entries of a definitions file have to be before anything is made of them: members and their kinds. Pure.

A broker's own export is always right. Files are also written by hand and by other programs, and whatever is in them
ends as a message that names the entry, not as a fault of this program. What a member is worth is not judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from letrade_topo.management.answers import JsonObject


class _Kind(NamedTuple):
    """Of a member: how it is told, and in words."""

    accepts: Callable[[Any], bool]
    words: str


class _Member(NamedTuple):
    """One that an entry has, or may have."""

    name: str
    kind: _Kind
    is_required: bool = False


def _is_text(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _is_mapping(value: Any) -> bool:
    """Erlang writes an empty mapping as an empty list here and there."""
    return isinstance(value, dict) or value == []


def _is_tags(value: Any) -> bool:
    """One text, with commas, before 3.9."""
    return _is_text(value) or (isinstance(value, list) and all(map(_is_text, value)))


_TEXT: Final = _Kind(_is_text, "a text")
_MAPPING: Final = _Kind(_is_mapping, "an object")
_TAGS: Final = _Kind(_is_tags, "a text or a list of texts")
_WHOLE: Final = _Kind(lambda value: isinstance(value, int), "a whole number")
_DESTINATION: Final = _Kind(lambda value: value in ("queue", "exchange"), "'queue' or 'exchange'")
_VHOST: Final = _Member("vhost", _TEXT)
_NAME: Final = _Member("name", _TEXT, is_required=True)
_ARGUMENTS: Final = _Member("arguments", _MAPPING)


def _required(*names: str) -> tuple[_Member, ...]:
    return tuple(_Member(name, _TEXT, is_required=True) for name in names)


_MEMBERS: Final[Mapping[str, tuple[_Member, ...]]] = MappingProxyType(
    {
        "vhosts": (
            _NAME,
            _Member("metadata", _MAPPING),
            _Member("description", _TEXT),
            _Member("tags", _TAGS),
            _Member("default_queue_type", _TEXT),
        ),
        "users": (
            _NAME,
            _Member("tags", _TAGS),
            _Member("password_hash", _TEXT),
            _Member("password", _TEXT),
            _Member("hashing_algorithm", _TEXT),
            _Member("limits", _MAPPING),
        ),
        "permissions": (*_required("user", "configure", "write", "read"), _VHOST),
        "topic_permissions": (*_required("user", "exchange", "write", "read"), _VHOST),
        "exchanges": (*_required("name", "type"), _VHOST, _ARGUMENTS),
        "queues": (_NAME, _VHOST, _ARGUMENTS, _Member("type", _TEXT)),
        "bindings": (
            *_required("source", "destination"),
            _Member("destination_type", _DESTINATION, is_required=True),
            _Member("routing_key", _TEXT),
            _VHOST,
            _ARGUMENTS,
        ),
        "policies": (
            *_required("name", "pattern"),
            _VHOST,
            _Member("apply-to", _TEXT),
            _Member("definition", _MAPPING),
            _Member("priority", _WHOLE),
        ),
        "parameters": (*_required("component", "name"), _VHOST),
        "global_parameters": (_NAME,),
    }
)
_OF_PARAMETERS: Final[Mapping[str, tuple[_Member, ...]]] = MappingProxyType(
    {
        "operator_policy": (_Member("value", _MAPPING, is_required=True),),
        "vhost-limits": (_Member("value", _MAPPING),),
    }
)


def flaw(category: str, item: JsonObject) -> str | None:
    """What is wrong with an entry, in words without its values, or None.

    Args:
        category: the list that it is in, for example `queues`.
        item: the entry.
    """
    members = _MEMBERS[category]
    if category == "vhosts" and isinstance(item.get("metadata"), dict):  # the same once more, before 3.8 only there
        item = {**item["metadata"], **item}
    if category == "parameters":
        members += _OF_PARAMETERS.get(str(item.get("component")), ())
    for name, kind, is_required in members:
        value = item.get(name)
        if value is None:  # which a member that is not required may be
            if is_required:
                return f"{name!r} is missing"
        elif not kind.accepts(value):
            return f"{name!r} is not {kind.words}"
    return None
