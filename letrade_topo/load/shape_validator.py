"""cerberus, taught durations, sizes, names and secrets.

What these checks find leaves cerberus as a `Flaw`, an error that already has its words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import cerberus
from cerberus.errors import ErrorDefinition

from letrade_topo.load.diagnostics import Path
from letrade_topo.model.security import SecretSource
from letrade_topo.model.units import ByteSize, Duration, UnitError

FLAW = ErrorDefinition(0x1000, None)
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


class ShapeValidator(cerberus.Validator):  # type: ignore[misc]  # cerberus has no type information
    """The checks that the schemas of `shape` name by `check_with`."""

    def _flaw(self, field: str, flaw: Flaw) -> None:
        self._error(field, FLAW, flaw)

    def _check_with_duration(self, field: str, value: object) -> None:
        try:
            duration = Duration.parse(value)
        except UnitError as error:
            self._flaw(field, _unit("duration", "unusable duration", error))
        else:
            if duration.milliseconds > 2**53:
                why = f"{value} is longer than any system counts."
                self._flaw(field, Flaw("out-of-range", "value out of range", why, "Write a shorter one."))

    def _check_with_size(self, field: str, value: object) -> None:
        try:
            size = ByteSize.parse(value)
        except UnitError as error:
            self._flaw(field, _unit("size", "unusable size", error))
        else:
            if size.bytes > 2**53:
                why = f"{value} is larger than any system holds."
                self._flaw(field, Flaw("out-of-range", "value out of range", why, "Write a smaller one."))

    def _check_with_topology_name(self, field: str, value: object) -> None:
        if isinstance(value, str) and not TOPOLOGY_NAME.fullmatch(value):
            why = (
                f"{value[:80]!r} cannot be one: a lower-case letter first, then lower-case letters, digits, _ and -, "
                "63 at most. It is part of the names of policies and of the ownership record, which a dot would break."
            )
            self._flaw(field, Flaw("topology-name", "unusable name of the topology", why, "Choose another name."))

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
            why = f"{value!r} is not known here; the word none, or a mapping."
            self._flaw(
                field, Flaw("not-allowed-value", "value not allowed", why, f"Write `{field}: none`, or a mapping.")
            )

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

    def _check_with_secret(self, field: str, value: object) -> None:
        """A reference; the value itself never stands in a topology, nor in what is said about it."""
        forms = "{env: NAME} or {file: PATH}"
        if not isinstance(value, dict):
            why = "A topology is kept in version control and shown in plans; a password in it is a password lost."
            fix = f"Put it into a file or an environment variable, change it on the broker, and write {forms}."
            self._flaw(field, Flaw("secret-literal", "secret in the file", why, fix))
            return
        for key in value:
            if key not in list(SecretSource):
                why = f"{key!r} is not known in a secret's reference; it is {forms}."
                self._flaw(field, Flaw("unknown-key", "unknown key", why, f"Write {forms}.", (key,), at_key=True))
        given = [source for source in SecretSource if source in value]
        if len(given) != 1:
            why = f"A secret is read from one place, an environment variable or a file; {len(given)} are named."
            self._flaw(field, Flaw("secret-reference", "unusable reference of a secret", why, f"Write {forms}."))
        elif not isinstance(value[given[0]], str) or not value[given[0]]:
            why = f"What follows `{given[0]}` is a name, as text."
            self._flaw(
                field, Flaw("secret-reference", "unusable reference of a secret", why, f"Write {forms}.", (given[0],))
            )


def _unit(rule: str, summary: str, error: UnitError) -> Flaw:
    what, _, fix = str(error).partition("; ")
    return Flaw(rule, summary, _sentence(what), _sentence(fix) if fix else "Write a number and a unit, for example 5s.")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _item_not_text(item: Any, index: int) -> Flaw:
    kind = "a mapping" if isinstance(item, dict) else "a list" if isinstance(item, list) else "not a text"
    why = f"Every item of this list is a name; this one is {kind}."
    return Flaw("wrong-type", "wrong type", why, "Write a text; one that YAML reads otherwise needs quotes.", (index,))
