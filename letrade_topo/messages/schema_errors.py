"""The first few things that are wrong with a payload, found for the price of about one more pass.

jsonschema-rs lists all errors before it gives the first: a body of 50 KB took 13 s and 4 GB. `is_valid` and `validate`
stop at the first, but for `anyOf` and `oneOf`, of which `validate` lists the errors of every branch. So those two are
asked for yes or no here, and a schema is taken apart along `properties`, `items` and their like: one error of each
part, and parts that are valid are not looked into. What an error is called in words is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from jsonschema_rs import Draft202012Validator, FancyRegexOptions, ReferencingError, Registry, ValidationError

from letrade_topo.model.messages import Json

BACKTRACK_LIMIT: Final = 10_000
"""A pattern that takes longer on some text refuses that text, after about 0.1 ms, instead of stopping the agent. Only
patterns that look around or back count: all others take time in proportion to the text."""

_ROOT: Final = "urn:letrade:payload"
_DEEPEST: Final = 200
_ONE: Final = frozenset(
    (
        "additionalProperties",
        "contains",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    )
)
_LISTS: Final = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
_MAPPINGS: Final = frozenset(("$defs", "definitions", "dependentSchemas", "patternProperties", "properties"))
YES_OR_NO: Final = ("anyOf", "oneOf")
"""Keywords whose own errors are not listed: in their place stands a `not` whose schema has their name as `$comment`."""

_UNEVALUATED: Final = ("unevaluatedItems", "unevaluatedProperties")
_ELSEWHERE: Final = frozenset(("$id", "$dynamicRef", "$dynamicAnchor"))
"""What makes a part of a schema mean something else when it is taken out."""

Node = Any
Path = tuple[str | int, ...]


class Found(NamedTuple):
    """Something that is wrong.

    Args:
        path: of the part of the payload that was looked at.
        known: names on that path that the schema declares.
        missing: the name of a member that has to be there; None: see `error`.
        error: the validator's, with a path of its own below `path`.
    """

    path: Path
    known: frozenset[str]
    missing: str | None
    error: ValidationError | None = None


def compile_validator(schema: Node, root: Node = None) -> Draft202012Validator:
    """A validator.

    Args:
        schema: the schema, or a part of one.
        root: the whole, where a part refers to it.

    Raises:
        ValidationError, ValueError, ReferencingError: the schema cannot be used.
    """
    return Draft202012Validator(
        schema,
        validate_formats=True,
        offline=True,
        registry=None if root is None else Registry([(_ROOT, root)]),
        pattern_options=FancyRegexOptions(backtrack_limit=BACKTRACK_LIMIT),
    )


class SchemaErrors:
    """Finds what is wrong with payloads of one schema. Nothing is compiled before it is needed.

    Args:
        schema: a valid one, of draft 2020-12.
    """

    __slots__ = ("_own", "_root", "_takes_apart", "_whole")

    def __init__(self, schema: Mapping[str, Json]) -> None:
        self._takes_apart = not _refers_elsewhere(schema)
        self._root = _prepared(schema, absolute=self._takes_apart)
        self._whole: dict[int, Draft202012Validator | None] = {}
        self._own: dict[int, Draft202012Validator | None] = {}

    def first(self, payload: dict[str, Json], most: int) -> list[Found]:
        """What is wrong with a payload that is not valid, at most so many things; perhaps none that can be said."""
        if not self._takes_apart:
            error = _error_of(self._compiled(self._whole, self._root, self._root), payload)
            return [] if error is None else [Found((), frozenset(), None, error)]
        return list(islice(self._in(self._root, payload, (), frozenset(), _DEEPEST), most))

    def _in(self, node: Node, value: Json, path: Path, known: frozenset[str], depth: int) -> Iterator[Found]:
        """What is wrong with a value: with itself first, then what is in it."""
        if not isinstance(node, dict) or not depth or any(word in node for word in _UNEVALUATED):
            # what was evaluated is known to a level as a whole, so its own errors come after those of what is in it
            below = list(islice(self._below(node, value, path, known, depth - 1), 1)) if depth else []
            error = None if below else _error_of(self._compiled(self._whole, node, node), value)
            yield from below if error is None else [Found(path, known, None, error)]
            return
        if isinstance(value, dict):
            for name in node.get("required", ()):
                if name not in value:
                    yield Found(path, known, name)
        error = _error_of(self._compiled(self._own, node, self._own_of(node)), value)
        if error is not None:
            yield Found(path, known, None, error)
        yield from self._below(node, value, path, known, depth - 1)

    def _below(self, node: Node, value: Json, path: Path, known: frozenset[str], depth: int) -> Iterator[Found]:
        if not isinstance(node, dict):
            return
        for same in self._of_the_same(node):
            if not self._holds(same, value):
                yield from self._in(same, value, path, known, depth)
        if isinstance(value, dict):
            properties = node.get("properties", {})
            others = node.get("additionalProperties") if _takes_others(node) else None
            for name, member in value.items():
                part = properties.get(name, others)
                if part is not None and not self._holds(part, member):
                    names = known | {name} if name in properties else known
                    yield from self._in(part, member, (*path, name), names, depth)
        elif isinstance(value, list):
            first = node.get("prefixItems", ())
            rest = node.get("items")
            for index, item in enumerate(value):
                part = first[index] if index < len(first) else rest
                if part is not None and not self._holds(part, item):
                    yield from self._in(part, item, (*path, index), known, depth)

    def _of_the_same(self, node: dict[str, Node]) -> Iterator[Node]:
        """Schemas for the same value: what a level refers to, and what it takes together."""
        target = self._target(node)
        if target is not None:
            yield target
        yield from (part for part in node.get("allOf", ()) if not _is_marked(part))

    def _own_of(self, node: dict[str, Node]) -> dict[str, Node]:
        """A level without what `_in` and `_below` look at."""
        own = {word: value for word, value in node.items() if word not in ("required", "$defs", "definitions")}
        if self._target(node) is not None:
            del own["$ref"]
        if "allOf" in own:
            own["allOf"] = [part for part in own["allOf"] if _is_marked(part)]
            if not own["allOf"]:
                del own["allOf"]
        if "properties" in own:
            own["properties"] = dict.fromkeys(own["properties"], True)
        if _takes_others(own):
            own["additionalProperties"] = True
        if "items" in own:
            own["items"] = True
        if "prefixItems" in own:
            own["prefixItems"] = [True] * len(own["prefixItems"])
        return own

    def _target(self, node: dict[str, Node]) -> Node:
        """What a level refers to by a pointer from the top; None: by nothing that can be followed here."""
        pointer = node.get("$ref", "")
        if not isinstance(pointer, str) or not pointer.startswith(f"{_ROOT}#/"):
            return None
        found: Node = self._root
        for step in pointer.removeprefix(f"{_ROOT}#/").split("/"):
            token = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and token in found:
                found = found[token]
            elif isinstance(found, list) and token.isascii() and token.isdigit() and int(token) < len(found):
                found = found[int(token)]
            else:
                return None
        return found

    def _holds(self, node: Node, value: Json) -> bool:
        validator = self._compiled(self._whole, node, node)
        return validator is None or validator.is_valid(value)

    def _compiled(self, known: dict[int, Draft202012Validator | None], node: Node, schema: Node) -> Any:
        """The validator of a level, which stays as long as the schema does; None: there is nothing to check."""
        key = id(node)
        if key not in known:
            try:
                known[key] = None if schema in (True, {}) else compile_validator(schema, self._root)
            except (ValidationError, ValueError, ReferencingError):  # a pointer through what `_prepared` has moved
                known[key] = None
        return known[key]


def _error_of(validator: Draft202012Validator | None, value: Json) -> ValidationError | None:
    if validator is None:
        return None
    try:
        validator.validate(value)
    except ValidationError as error:
        return error
    return None


def _prepared(node: Node, *, absolute: bool) -> Node:
    """A schema of the same meaning of which each error is one error.

    Args:
        node: the schema.
        absolute: references name the whole schema, so that they lead there from a part of it, too.
    """
    if not isinstance(node, Mapping):
        return node
    result: dict[str, Node] = {}
    for word, value in node.items():
        if word in _ONE:
            result[word] = _prepared(value, absolute=absolute)
        elif word in _LISTS and isinstance(value, list):
            result[word] = [_prepared(item, absolute=absolute) for item in value]
        elif word in _MAPPINGS and isinstance(value, Mapping):
            result[word] = {name: _prepared(item, absolute=absolute) for name, item in value.items()}
        elif word == "$ref" and absolute and isinstance(value, str):
            result[word] = f"{_ROOT}{value}"
        else:
            result[word] = value
    asked = [
        {"if": {word: result.pop(word)}, "else": {"not": {"$comment": word}}} for word in YES_OR_NO if word in result
    ]
    if asked:  # `if`, and not twice `not`, because what it evaluates counts
        result["allOf"] = [*result.get("allOf", ()), *asked]
    return result


def _is_marked(part: Node) -> bool:
    match part:
        case {"if": {}, "else": {"not": {"$comment": str(word)}}}:
            return word in YES_OR_NO
        case _:
            return False


def _takes_others(node: dict[str, Node]) -> bool:
    return isinstance(node.get("additionalProperties"), dict) and not node.get("patternProperties")


def _refers_elsewhere(node: Node) -> bool:
    """Whether a part of the schema means something else alone, or is referred to by where it is."""
    if isinstance(node, list):
        return any(map(_refers_elsewhere, node))
    if not isinstance(node, Mapping):
        return False
    if not _ELSEWHERE.isdisjoint(node) or not str(node.get("$ref", "#")).startswith("#"):
        return True
    return any(map(_refers_elsewhere, node.values()))
