"""cerberus, taught durations, sizes, names and secrets.

What these checks find leaves cerberus as a `Flaw`, an error that already has its words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import cerberus
from cerberus.errors import BaseErrorHandler, ErrorDefinition

from letrade_topo.load import value_advice
from letrade_topo.load.diagnostics import Path
from letrade_topo.load.nodes import Scalar
from letrade_topo.load.source_text import SourceText
from letrade_topo.model.exchange_types import PLUGIN_EXCHANGES
from letrade_topo.model.messages import MOST_URGENT, Priority
from letrade_topo.model.rules.problem import closest
from letrade_topo.model.security import HashingAlgorithm, SecretSource
from letrade_topo.model.topology import ExchangeType
from letrade_topo.model.units import ByteSize, Duration, UnitError

FLAW = ErrorDefinition(0x1000, None)
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHELL = re.compile(r"\$\{?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}?|%(?P<other>\w+)%")
_PLUGIN_TYPE = re.compile(r"x-[!-~]{1,250}")
_NOWHERE = SourceText("", FilePath(), "")
UNMANAGED = "unmanaged"
"""In place of a password's reference."""
TOPOLOGY_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class Flaw:
    """One problem of a value.

    Args:
        rule: the id of the rule.
        summary: what is wrong, in one line.
        why: why, in full sentences.
        fix: what to do.
        below: the way from the field that was checked to the value that is meant.
        at_key: its key is meant.
    """

    rule: str
    summary: str
    why: str
    fix: str
    below: Path = ()
    at_key: bool = False


class _AsFound(BaseErrorHandler):  # type: ignore[misc]  # cerberus has no type information
    """Leaves cerberus's errors as they are: `report_shape` has the words."""

    def __call__(self, errors: list[Any]) -> list[Any]:
        return errors


class ShapeValidator(cerberus.Validator):  # type: ignore[misc]  # cerberus has no type information
    """The checks that the schemas of `shape` name by `check_with`."""

    types_mapping = cerberus.Validator.types_mapping | {
        "integer": cerberus.TypeDefinition("integer", (int,), (bool,)),  # in Python a bool is an int
    }

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"error_handler": _AsFound, **options})

    def _flaw(self, field: str, flaw: Flaw) -> None:
        self._error(field, FLAW, flaw)

    def _check_with_duration(self, field: str, value: object) -> None:
        if value is None:  # which is reported as such
            return
        try:
            duration = Duration.parse(value)
        except UnitError as error:
            self._flaw(field, _unit("duration", "unusable duration", error))
        else:
            if duration.milliseconds > 2**53:
                why = f"{value} is longer than any system counts."
                self._flaw(field, Flaw("out-of-range", "value out of range", why, "Write a shorter one."))

    def _check_with_size(self, field: str, value: object) -> None:
        if value is None:  # which is reported as such
            return
        try:
            size = ByteSize.parse(value)
        except UnitError as error:
            self._flaw(field, _unit("size", "unusable size", error))
        else:
            if size.bytes > 2**53:
                why = f"{value} is larger than any system holds."
                self._flaw(field, Flaw("out-of-range", "value out of range", why, "Write a smaller one."))

    def _check_with_priority(self, field: str, value: object) -> None:
        if value is None:  # which is reported as such
            return
        if isinstance(value, int) and not isinstance(value, bool):
            if not 0 <= value <= MOST_URGENT:
                why = f"{value} is none of the {MOST_URGENT + 1} priorities that a quorum queue can tell apart."
                self._flaw(field, Flaw("out-of-range", "value out of range", why, f"Write 0 to {MOST_URGENT}."))
        elif value not in list(Priority):
            why = f"{value!r} is not known here; {' or '.join(Priority)}, or a number."
            fix = f"Write `{field}: high`, or a number from 0 to {MOST_URGENT}; without one a message has 4."
            self._flaw(field, Flaw("not-allowed-value", "value not allowed", why, fix))

    def _check_with_exchange_type(self, field: str, value: object) -> None:
        if isinstance(value, str) and value not in list(ExchangeType) and not _PLUGIN_TYPE.fullmatch(value):
            known = [*ExchangeType, *PLUGIN_EXCHANGES]
            meant = closest(value, known)
            fix = f"Write {meant}." if meant else f"Write {', '.join(ExchangeType)}, or the name of a plug-in's type."
            why = f"{field!r} cannot be {value!r}; it is one of {', '.join(ExchangeType)}, or of a plug-in's `x-…`."
            self._flaw(field, Flaw("not-allowed-value", "value not allowed", why, fix))

    def _check_with_topology_name(self, field: str, value: object) -> None:
        if isinstance(value, str) and not TOPOLOGY_NAME.fullmatch(value):
            why = (
                f"{value[:80]!r} cannot be one: a lower-case letter first, then lower-case letters, digits, _ and -, "
                "63 at most. It is part of the names of policies and of the ownership record, which a dot would break."
            )
            similar = re.sub(r"[^a-z0-9_]+", "-", value.lower()).strip("-_0123456789")[:63] or "shop"
            fix = f"Choose another name, for example `name: {similar}`."
            self._flaw(field, Flaw("topology-name", "unusable name of the topology", why, fix))

    def _check_with_names(self, field: str, value: object) -> None:
        """A list of texts, each once: much faster than cerberus's own way with lists."""
        if not isinstance(value, list):
            return
        seen: set[str] = set()
        for index, item in enumerate(value):
            if not isinstance(item, str):
                self._flaw(field, _item_not_text(item, index))
            elif not item:
                why = "Every item of this list is a name, and a name has at least one character."
                self._flaw(field, Flaw("empty-text", "empty text", why, "Write a name or remove the item.", (index,)))
            elif item in seen:
                why = f"{item!r} stands in this list before."
                self._flaw(field, Flaw("duplicate-item", "duplicate item", why, "Remove one of them.", (index,)))
            else:
                seen.add(item)

    def _check_with_none(self, field: str, value: object) -> None:
        if isinstance(value, str) and value != "none":
            why = f"{value!r} is not known here; {field!r} takes the word none, or a mapping."
            fix = value_advice.word_none(field, Scalar(_NOWHERE, 0, 0, value, value, True))
            self._flaw(field, Flaw("not-allowed-value", "value not allowed", why, fix))

    def _check_with_arguments(self, field: str, value: object) -> None:
        """AMQP argument tables and policy definitions have no null that a broker would keep."""
        if not isinstance(value, dict):
            return
        for key, item in value.items():
            if item is None:
                why = f"{key!r} has no value, and the broker stores none."
                self._flaw(
                    field, Flaw("missing-value", "missing value", why, "Write a value, or remove the line.", (key,))
                )
            elif isinstance(item, int) and not -(2**63) <= item < 2**63:
                why = f"{key!r} does not fit into 64 bits, the widest integer of AMQP."
                self._flaw(field, Flaw("out-of-range", "value out of range", why, "Write a smaller number.", (key,)))

    def _check_with_password(self, field: str, value: object) -> None:
        """A reference, or the word for a password that is somebody else's business."""
        if value != UNMANAGED:
            self._check_with_secret(field, value)

    def _check_with_password_hash(self, field: str, value: object) -> None:
        """A reference, and how it was hashed where the text behind it does not say."""
        if not isinstance(value, dict) or "algorithm" not in value:
            self._check_with_secret(field, value)
            return
        rest = dict(value)
        algorithm = rest.pop("algorithm")
        self._check_with_secret(field, rest)
        if algorithm not in list(HashingAlgorithm):
            why = f"The hashes that RabbitMQ knows are {', '.join(HashingAlgorithm)}."
            fix = f"Write {' or '.join(HashingAlgorithm)}, or remove it: without it, it is sha256."
            self._flaw(field, Flaw("not-allowed-value", "value not allowed", why, fix, ("algorithm",)))

    def _check_with_secret(self, field: str, value: object) -> None:
        """A reference; the value itself never stands in a topology, nor in what is said about it."""
        if value is None:
            return
        forms = "{env: NAME} or {file: PATH}"
        if not isinstance(value, dict):
            why = "A topology is kept in version control and shown in plans; a password in it is a password lost."
            fix = f"Put it into a file or an environment variable, change it on the broker, and write {forms}."
            self._flaw(field, Flaw("secret-literal", "secret in the file", why, fix))
            return
        foreign = [key for key in value if key not in list(SecretSource)]
        for key in foreign:
            why = f"{key!r} is not known in a secret's reference; it is {forms}."
            self._flaw(field, Flaw("unknown-key", "unknown key", why, f"Write {forms}.", (key,), at_key=True))
        if foreign:
            return
        given = [source for source in SecretSource if source in value]
        if len(given) != 1:
            why = f"A secret is read from one place, an environment variable or a file; {len(given)} are named."
            self._flaw(field, Flaw("secret-reference", "unusable reference of a secret", why, f"Write {forms}."))
        elif (reason := _why_no_reference(given[0], value[given[0]])) is not None:
            why, fix = reason
            self._flaw(field, Flaw("secret-reference", "unusable reference of a secret", why, fix, (given[0],)))


def _why_no_reference(source: SecretSource, value: object) -> tuple[str, str] | None:
    """Why the name behind `env` or `file` is none, and what to do; the name is shown only where it can be no secret."""
    if source is SecretSource.FILE:
        if isinstance(value, str) and value and not _SHELL.fullmatch(value):
            return None
        return "What follows `file` is a path, as text.", "Write {file: PATH}."
    if isinstance(value, str) and _ENVIRONMENT_NAME.fullmatch(value):
        return None
    if isinstance(value, str) and (shell := _SHELL.fullmatch(value)):
        return (
            "What follows `env` is the name of a variable, without the $ of a shell.",
            f"Write {{env: {shell['name'] or shell['other']}}}.",
        )
    why = "What follows `env` is the name of an environment variable: letters, digits and underscores, no digit first."
    return why, "Write {env: NAME}, or {file: PATH} for a file."


def _unit(rule: str, summary: str, error: UnitError) -> Flaw:
    what, _, fix = str(error).partition("; ")
    return Flaw(rule, summary, _sentence(what), _sentence(fix) if fix else "Write a number and a unit, for example 5s.")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _item_not_text(item: Any, index: int) -> Flaw:
    kind = "a mapping" if isinstance(item, dict) else "a list" if isinstance(item, list) else "not a text"
    why = f"Every item of this list is a name; this one is {kind}."
    fix = "Write a text; one that YAML reads otherwise needs quotes."
    match item:
        case None:
            why = "Nothing follows the dash, or what follows is a comment, because it begins with #."
            fix = 'Write a name, or remove the line; a text that begins with # needs quotes: `- "#"`.'
        case bool() | int() | float():
            fix = f'Quote it: "{str(item).lower()}".'
        case dict() if len(item) == 1:
            name, value = next(iter(item.items()))
            fix = f"Write `- {name}`." if value is None else f'Write one name, `- {value}` or `- "{name}:{value}"`.'
    return Flaw("wrong-type", "wrong type", why, fix, (index,))
