"""The payload's JSON Schema (2020-12), compiled once for each message type.

The validator is jsonschema-rs. Measured in one run on a payload of thirteen fields (CPython 3.11): jsonschema
73 µs a message, fastjsonschema 6 µs, jsonschema-rs 1.4 µs. fastjsonschema knows no draft after 7; jsonschema
leaves `format: date-time` unchecked without further packages; jsonschema-rs implements 2020-12 with formats, is
released often, and has wheels for CPython 3.10 and newer on glibc 2.17 and newer, so for Debian 12 and 13. It
takes 8 MB of memory.

Its own error texts quote the payload, so they are not used: what goes wrong is said here, from the schema, and
quotes a value only where the topology does not call it sensitive. What goes wrong is found by
`letrade_topo.messages.schema_errors`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence, Set
from itertools import pairwise
from typing import NamedTuple

from jsonschema_rs import Draft202012Validator, ReferencingError, ValidationError, ValidationErrorKind

from letrade_topo.errors import TopoError
from letrade_topo.messages.json_text import quoted
from letrade_topo.messages.schema_errors import YES_OR_NO, Found, SchemaErrors, compile_validator
from letrade_topo.model.messages import Json, MessageType

MOST_PROBLEMS = 10
"""Reported for one message; a list of thousands says no more."""

_NUMBER = re.compile(r"\+?[0-9]+")
_LONGEST_LIST = 10
_NO_FURTHER_MEMBERS = "may not have further members"
_NAMING_MEMBERS = (ValidationErrorKind.AdditionalProperties, ValidationErrorKind.UnevaluatedProperties)


class InvalidSchema(TopoError):
    """A schema in the topology is not JSON Schema 2020-12, or refers to something outside itself."""


class SchemaProblem(NamedTuple):
    """One thing that is wrong with a payload.

    Args:
        pointer: JSON Pointer (RFC 6901) into the payload; empty for the payload itself.
        why: what was expected, in words.
    """

    pointer: str
    why: str

    def __str__(self) -> str:
        return f"{self.pointer or 'the payload'} {self.why}"


class PayloadSchema:
    """The schema of one message type.

    Args:
        message: the type; one without a schema accepts every payload.

    Raises:
        InvalidSchema: the schema cannot be compiled.
    """

    __slots__ = ("_errors", "_sensitive", "_validator")

    def __init__(self, message: MessageType) -> None:
        self._sensitive = tuple(_tokens(pointer) for pointer in message.sensitive)
        self._validator = None if message.schema is None else _compile(message.name, message.schema)
        self._errors = SchemaErrors(message.schema or {})

    @property
    def is_valid(self) -> Callable[[Json], bool]:
        """Tells whether a payload is right, and not what is wrong."""
        return _anything if self._validator is None else self._validator.is_valid

    def check(self, payload: dict[str, Json]) -> tuple[SchemaProblem, ...]:
        """What is wrong with a payload, at most ten things; empty when nothing is.

        A payload that is refused takes about as long as one that passes, whatever is wrong with it.
        """
        if self._validator is None or self._validator.is_valid(payload):
            return ()
        found = self._errors.first(payload, MOST_PROBLEMS)
        return tuple(dict.fromkeys(self._problem(one, payload) for one in found)) or (
            SchemaProblem("", "does not match its schema"),
        )

    def _problem(self, found: Found, payload: dict[str, Json]) -> SchemaProblem:
        error = found.error
        path = [_as_reported(str(token)) for token in found.path]
        known = set(map(_as_reported, found.known))
        if error is not None:
            path += [str(token) for token in error.instance_path]
            known |= _declared(error)
        hidden = next((len(pointer) for pointer in self._sensitive if tuple(path[: len(pointer)]) == pointer), None)
        expected = f"has to have {quoted(found.missing or '')}" if error is None else _expected(error)
        if hidden is not None:
            if error is not None and isinstance(error.kind, _NAMING_MEMBERS):
                expected = _NO_FURTHER_MEMBERS
            path = _without_names(path, hidden, payload, known=known)
            return SchemaProblem(_pointer(path), f"{expected} (its value is sensitive)")
        if error is None or isinstance(error.instance, (dict, list)):
            return SchemaProblem(_pointer(path), expected)
        return SchemaProblem(_pointer(path), f"{expected}, and is {_scalar(error.instance)}")


def _anything(_: Json) -> bool:
    return True


def compile_schemas(messages: Mapping[str, MessageType]) -> dict[str, PayloadSchema]:
    """The schema of every message type, by its name.

    Raises:
        InvalidSchema: one cannot be compiled.
    """
    return {name: PayloadSchema(message) for name, message in messages.items()}


def _compile(name: str, schema: Mapping[str, Json]) -> Draft202012Validator:
    try:
        return compile_validator(dict(schema))
    except (
        ValidationError,
        ValueError,
        ReferencingError,
    ) as error:  # its error for a reference is the same as for a wrong keyword
        message = str(error) if isinstance(error, ValueError) else error.message
        raise InvalidSchema(
            f"the schema of the message type {name!r} cannot be used",
            why=message,
            fix="write JSON Schema 2020-12 that refers to nothing outside itself",
        ) from None


def _expected(error: ValidationError) -> str:
    """What the schema wants, from the schema's own words alone, but for the names of members that it does not want."""
    kinds = ValidationErrorKind
    match error.kind:
        case kinds.Required(property=name):
            return f"has to have {quoted(name)}"
        case kinds.Type(types=types):
            return f"has to be of type {' or '.join(sorted(types))}"
        case kinds.Enum(options=options):
            return f"has to be one of {_list(options)}"
        case kinds.Constant(expected_value=value):
            return f"has to be {_scalar(value)}"
        case kinds.Format(format=name):
            return f"has to be of the format {name}"
        case kinds.Pattern(pattern=pattern):
            return f"has to match the pattern {quoted(pattern)}"
        case kinds.Minimum(limit=limit):
            return f"has to be at least {limit}"
        case kinds.Maximum(limit=limit):
            return f"has to be at most {limit}"
        case kinds.ExclusiveMinimum(limit=limit):
            return f"has to be greater than {limit}"
        case kinds.ExclusiveMaximum(limit=limit):
            return f"has to be less than {limit}"
        case kinds.MultipleOf(multiple_of=step):
            return f"has to be a multiple of {step}"
        case kinds.MinLength(limit=limit):
            return f"has to have at least {limit} characters"
        case kinds.MaxLength(limit=limit):
            return f"has to have at most {limit} characters"
        case kinds.MinItems(limit=limit):
            return f"has to have at least {limit} items"
        case kinds.MaxItems(limit=limit):
            return f"has to have at most {limit} items"
        case kinds.MinProperties(limit=limit):
            return f"has to have at least {limit} members"
        case kinds.MaxProperties(limit=limit):
            return f"has to have at most {limit} members"
        case kinds.UniqueItems():
            return "has to have no item twice"
        case kinds.AdditionalProperties(unexpected=names) | kinds.UnevaluatedProperties(unexpected=names):
            return f"may not have {_list(names)}"
        case kinds.FalseSchema():
            is_about_members = error.schema_path[-1:] in (["additionalProperties"], ["unevaluatedProperties"])
            return _NO_FURTHER_MEMBERS if is_about_members else "is not allowed"
        case kinds.Not(schema={"$comment": str(word)}) if word in YES_OR_NO:
            return f"does not satisfy `{word}` of its schema"
        case kinds.BacktrackLimitExceeded() | kinds.RegexEngineFailure():
            return "is a text on which the schema's pattern takes too long"
        case kind:
            return f"does not satisfy `{kind.name}` of its schema"


def _declared(error: ValidationError) -> set[str]:
    """Names that stand in the schema on the way to an error."""
    steps = [str(token) for token in error.schema_path]
    return {name for before, name in pairwise(steps) if before == "properties"}


def _without_names(path: list[str], shown: int, payload: Mapping[str, Json], *, known: Set[str]) -> list[str]:
    """A path of which, behind its first tokens, only indexes and names that the schema knows are left.

    Names that the schema does not know belong to the value. The validator gives a name of digits as an index.
    """
    result = []
    value: object = payload
    for place, token in enumerate(path):
        is_name = not isinstance(value, list)
        result.append(token if place < shown or not is_name or token in known else "…")
        value = value.get(token) if isinstance(value, dict) else value[int(token)] if isinstance(value, list) else None
    return result


def _list(values: Sequence[object]) -> str:
    shown = ", ".join(_scalar(value) for value in values[:_LONGEST_LIST])
    return shown if len(values) <= _LONGEST_LIST else f"{shown} and {len(values) - _LONGEST_LIST} more"


def _scalar(value: object) -> str:
    return quoted(value) if isinstance(value, str) else _short(json.dumps(value, default=str))


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"


def _pointer(path: Sequence[str]) -> str:
    """RFC 6901, 3; names are the sender's, so long ones are cut and what cannot be printed is not."""
    return "".join("/" + quoted(token)[1:-1].replace("~", "~0").replace("/", "~1") for token in path)


def _tokens(pointer: str) -> tuple[str, ...]:
    return tuple(_as_reported(token.replace("~1", "/").replace("~0", "~")) for token in pointer.split("/")[1:])


def _as_reported(token: str) -> str:
    """The validator reports a name that looks like a number as that number: `007` as 7."""
    return str(int(token)) if _NUMBER.fullmatch(token) else token
