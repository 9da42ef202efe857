"""What to write instead of a value that cannot be used, as it would stand in the file."""

from __future__ import annotations

import re
from collections.abc import Mapping as Values
from typing import Any, Final

from letrade_topo.load.nodes import Mapping, Node, Scalar, Sequence
from letrade_topo.load.scalars import ScalarError, implicit_value
from letrade_topo.model.units import Duration, UnitError

EXAMPLES: Final[Values[str, str]] = {
    "topology": "1",
    "name": "shop",
    "vhost": "shop",
    "variables": "{region: eu-1}",
    "broker": "{management: 'https://rabbit.example.com:15671'}",
    "limits": "{message_size: 128KiB}",
    "retry": "{max_retries: 3, delay: 5s}",
    "dead_letter": "{exchange: NAME}",
    "security": "{tls: {required: true}}",
    "tls": "{required: true}",
    "jwt": "{mode: enforce}",
    "claim_check": "{store: .letrade/claims}",
    "exchanges": "{NAME: {type: topic}}",
    "messages": "{NAME: {exchange: NAME, lifetime: 60s}}",
    "services": "{NAME: {publishes: [TYPE], consumes: [TYPE]}}",
    "queues": "{NAME: {service: NAME, messages: [TYPE]}}",
    "users": "{NAME: {password: {env: VARIABLE}}}",
    "policies": "{NAME: {pattern: ^NAME$, definition: {max-length: 1000}}}",
    "bindings": "[{source: NAME, queue: NAME, routing_key: KEY}]",
    "ignore": "['queue:NAME']",
    "exchange": "NAME",
    "source": "NAME",
    "lifetime": "60s",
    "delay": "5s",
    "leeway": "5s",
    "message_ttl": "5s",
    "expires": "1h",
    "pattern": "^NAME$",
    "definition": "{max-length: 1000}",
    "arguments": "{NAME: VALUE}",
    "schema": "{type: object}",
    "permissions": "{configure: '^$', write: '^$', read: '^NAME$'}",
    "topic_permissions": "[{exchange: NAME, write: '^KEY$', read: '^$'}]",
    "max_retries": "3",
    "multiplier": "2",
    "max_length": "1000",
}
_NUMBERS: Final = re.compile(r"(?P<digits>\d{1,3}(?:[,_. ]\d{3})+|\d+)\s*(?P<scale>[kKmM]?)")
_SCALES: Final = {"": 1, "k": 1_000, "m": 1_000_000}
_YES: Final = frozenset({"yes", "on", "y", "true", "1", "enabled", "enable"})
_NO: Final = frozenset({"no", "off", "n", "false", "0", "disabled", "disable"})
_NEVER: Final = _NO | {"never", "nothing", "null", "~", "nil"}


def example(key: str) -> str:
    """A line that has the right form, or nothing."""
    return f"`{key}: {EXAMPLES[key]}`" if key in EXAMPLES else ""


def of_type(key: str, types: list[str], description: Values[str, Any], node: Node | None) -> str:
    """What to write where a value has the wrong type; empty where nothing better is known than the type.

    Args:
        key: whose value it is.
        types: those that it may have, in cerberus's words.
        description: what else is known of the value.
        node: what stands there.
    """
    if description.get("check_with") == "none":
        return word_none(key, node)
    if types == ["list"]:
        return _list(key, node)
    if "dict" in types and node is not None:
        return _mapping(key, description, node)
    if not isinstance(node, Scalar):
        return ""
    if types == ["boolean"]:
        word = node.text.lower()
        return f"Write `{key}: true`." if word in _YES else f"Write `{key}: false`." if word in _NO else ""
    if "integer" in types or "number" in types:
        return _number(key, node)
    return _text(key, description, node)


def word_none(key: str, node: Node | None) -> str:
    """What to write where only the word none or a mapping may stand: `retry` and `dead_letter` of a queue."""
    text = node.text if isinstance(node, Scalar) else ""
    if node is None or text == "" or text.lower() in _NEVER or text.lower() == "none":
        return f"Write `{key}: none`."
    if text.lower() in _YES - {"1"}:
        return "Remove the line: without it, what is rejected is retried and dead-lettered."
    if key == "retry" and text.isdigit():
        return f"Write `retry: {{max_retries: {text}}}`."
    if key == "retry" and _is_duration(text):
        return f"Write `retry: {{delay: {text}}}`."
    if key == "dead_letter" and isinstance(node, Scalar):
        return f"Write `dead_letter: {{exchange: {quoted(text)}}}`, or `dead_letter: none`."
    return f"Write `{key}: none`, or for example {example(key)}."


def _is_duration(text: str) -> bool:
    try:
        Duration.parse(text)
    except UnitError:
        return False
    return True


def _list(key: str, node: Node | None) -> str:
    match node:
        case Scalar(value=str()) if node.text:
            items = [quoted(item.strip()) for item in node.text.split(",")]
            return f"Write `{key}: [{', '.join(items)}]`."
        case Mapping() if key == "bindings":
            return "Begin the entry with `- `: each binding is an item of a list."
        case Mapping() if node.entries and all(_is_nothing(entry.node) for entry in node.entries.values()):
            return f"Write `{key}: [{', '.join(map(quoted, node.entries))}]`."
        case _:
            return ""


def _mapping(key: str, description: Values[str, Any], node: Node) -> str:
    if isinstance(node, Sequence):
        names = [
            item.entries["name"].node for item in node.items if isinstance(item, Mapping) and "name" in item.entries
        ]
        if names and isinstance(names[0], Scalar):
            return f"Write `{quoted(names[0].text)}:` instead of `- name: {names[0].text}`, and so for each item."
        if node.items and all(isinstance(item, Mapping) for item in node.items):
            return "Remove the dashes: each entry is `NAME:` with its keys below it."
        if node.items and all(isinstance(item, Scalar) for item in node.items) and "schema" not in description:
            first = next(item.text for item in node.items if isinstance(item, Scalar))
            return f"Write `{quoted(first)}: …` instead of `- {first}`, and so for each item."
    return f"Write for example {example(key)}." if key in EXAMPLES else ""


def _number(key: str, node: Scalar) -> str:
    if isinstance(node.value, float) and node.value.is_integer():
        return f"Write `{key}: {int(node.value)}`."
    found = _NUMBERS.fullmatch(node.text.strip())
    if found and isinstance(node.value, str):
        digits = re.sub(r"\D", "", found["digits"])
        return f"Write `{key}: {int(digits) * _SCALES[found['scale'].lower()]}`."
    return f"Write digits, for example {example(key) or '`10`'}."


def _text(key: str, description: Values[str, Any], node: Scalar) -> str:
    allowed = [str(value) for value in description.get("allowed", ())]
    if allowed and node.text not in allowed:
        return f"Write {' or '.join(map(quoted, allowed))}."
    return f'Write `{key}: "{node.text}"`.' if node.plain else ""


def _is_nothing(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def quoted(text: str) -> str:
    """A text as it stands in YAML, with quotes where it needs them."""
    try:
        needs = not isinstance(implicit_value(text), str)
    except ScalarError:
        needs = True
    if needs or not re.fullmatch(r"[A-Za-z0-9_./^$\\-][\w./^$\\{}()|+-]*", text):
        return f"'{text}'" if "\\" in text or '"' in text else f'"{text}"'
    return text
