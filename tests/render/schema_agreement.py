"""What the shape rules of `validate` refuse of a text, and what the schema for editors refuses, place by place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path as FilePath
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from letrade_topo.load.diagnostics import Diagnostic, InvalidTopology, Path
from letrade_topo.load.masking import MASK
from letrade_topo.load.nodes import Mapping, Sources, plain
from letrade_topo.load.report import Report
from letrade_topo.load.shape_check import check_shape
from letrade_topo.load.source_text import SourceText
from letrade_topo.load.topology_file import load_sources
from letrade_topo.load.variables import substitute
from letrade_topo.load.yaml_parser import parse_yaml
from letrade_topo.model.units import ByteSize, Duration, UnitError
from letrade_topo.render.topology_schema import topology_schema

NOT_KNOWN_TO_A_SCHEMA = {
    "whole numbers": "JSON Schema takes 5.0 for the integer 5",
    "wide numbers": "in JavaScript, where editors judge, a number of more than 53 bits is rounded",
    "amounts": "whether 0.0005s is a whole number of milliseconds is arithmetic",
    "variables": "what a variable holds is not known",
}


@dataclass(frozen=True, slots=True)
class Agreement:
    """How the two judge one text.

    Args:
        shape: places that shape rules refuse, each with the rule.
        schema: places that the schema refuses, each with its message.
        raw: the document.
        sources: its places.
    """

    shape: dict[Path, Diagnostic]
    schema: dict[Path, str]
    raw: Any
    sources: Sources

    @property
    def only_in_shape(self) -> dict[Path, str]:
        """What the schema lets pass although it could know."""
        return {
            path: str(item)
            for path, item in self.shape.items()
            if not self._same(item, path) and not _cannot_be_known(self.value(path), item)
        }

    @property
    def only_in_schema(self) -> dict[Path, str]:
        """What the schema refuses and `validate` does not."""
        alone = {
            path: message
            for path, message in self.schema.items()
            if not any(other[: len(path)] == path for other in self.shape)  # it, or a part of it
        }
        lines = {item.location.line for item in _errors(self.sources.texts[0])} if alone else set()
        return {
            path: message
            for path, message in alone.items()
            if not lines & {self.sources.locate_key(path).line, self.sources.locate(path).line}
        }

    def _same(self, item: Diagnostic, path: Path) -> bool:
        if any(MASK in str(step) for step in path):  # what may be a secret is not named
            return any(len(other) == len(path) and _alike(other, path) for other in self.schema)
        return path in self.schema or (item.rule == "duplicate-item" and self._list_of(path) in self.schema)

    def _list_of(self, path: Path) -> Path | None:
        return path[:-1] if path and isinstance(path[-1], int) else None

    def value(self, path: Path) -> Any:
        """What stands at a path of the document, as written."""
        value = self.raw
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value


def _alike(path: Path, masked: Path) -> bool:
    return all(one == other or MASK in str(other) for one, other in zip(path, masked, strict=True))


def agreement(text: str) -> Agreement | None:
    """How both judge a text; None where it is no YAML, or no mapping."""
    source, report = SourceText("topology.yaml", FilePath(), text), Report()
    root = parse_yaml(source, report)
    if not isinstance(root, Mapping) or any(item.is_error for item in report.diagnostics):
        return None
    raw = plain(root)
    substitute(root, {}, {}, report)
    before = len(report.diagnostics)
    document = plain(root)
    assert isinstance(document, dict)
    sources = Sources(root, (source,))
    check_shape(document, sources, report)
    shape = {item.path: item for item in report.diagnostics[before:] if item.is_error}
    return Agreement(shape, schema_errors(raw), raw, sources)


def schema_errors(document: Any) -> dict[Path, str]:
    """The places that the schema refuses."""
    return {path: error.message for error in _validator().iter_errors(document) for path in _places(error)}


@cache
def _validator() -> Draft202012Validator:
    schema = topology_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def _places(error: ValidationError) -> Iterator[Path]:
    """Where an error is: at the key that is too many or missing, in the alternative that was meant."""
    path: Path = tuple(error.absolute_path)
    instance: Any = error.instance
    constraint: Any = error.validator_value
    schema: Any = error.schema
    match error.validator:
        case "required":
            yield from ((*path, name) for name in constraint if name not in instance)
        case "additionalProperties":
            known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
            for name in instance:
                if name not in known and not any(re.search(pattern, name) for pattern in patterns):
                    yield (*path, name)
        case "anyOf":
            branches: dict[int, list[ValidationError]] = {}
            for below in error.context or ():
                branches.setdefault(int(below.schema_path[0]), []).append(below)
            meant = [one for one in branches.values() if not any(_is_of_other_kind(below) for below in one)]
            if len(meant) == 1:
                for below in meant[0]:
                    yield from _places(below)
            else:
                yield path
        case _:
            yield path


def _is_of_other_kind(error: ValidationError) -> bool:
    return not error.relative_path and error.validator in ("type", "enum", "pattern")


def _errors(source: SourceText) -> tuple[Diagnostic, ...]:
    try:
        load_sources([source])
    except InvalidTopology as error:
        return tuple(item for item in error.diagnostics if item.is_error)
    return ()


def _cannot_be_known(value: Any, item: Diagnostic) -> bool:
    match value:
        case str() if "${" in value:
            return True
        case str() if item.rule in ("duration", "size"):
            return _is_amount(value)
        case str() if item.rule == "out-of-range":
            return True
        case float():
            return value.is_integer()
        case int():
            return abs(value) >= 2**53
        case _:
            return False


def _is_amount(text: str) -> bool:
    """Whether a text is refused for its amount alone."""
    for kind in (Duration, ByteSize):
        try:
            kind.parse(text)
        except UnitError as error:
            if "whole number" in str(error):
                return True
    return False
