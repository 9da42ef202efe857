"""YAML that somebody gave, as nodes or as a value, or one reason why it cannot be read.

PyYAML's parser in Python alone: libyaml's composer takes the process down when somebody nests deeply enough. Depth is
counted before anything recurses, because how deep Python and each PyYAML go, and how they say so, differs.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

import yaml
from yaml.reader import ReaderError

DEEPEST: Final = 100
TOO_DEEP: Final = f"it has more than {DEEPEST} levels; check for a bracket that is not closed"

_UNREADABLE_VALUES: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What PyYAML's constructors raise beside its own errors: `2001-99-99`, `!!bool maybe`, `!!timestamp soon`."""


class NotYaml(Exception):
    """A text is not YAML, or not such that it can be read here.

    Args:
        why: in words, on one line; empty when `is_too_deep` says all.
        place: `:LINE:COLUMN`, or nothing.
        is_too_deep: there are more than `DEEPEST` levels.
    """

    def __init__(self, why: str, place: str = "", *, is_too_deep: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.place = place
        self.is_too_deep = is_too_deep


def compose(text: str) -> list[yaml.Node]:
    """The documents of a stream.

    Raises:
        NotYaml: it is none, or nested too deeply.
    """
    try:
        _check_depth(text)
        return [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if node is not None]
    except yaml.YAMLError as error:
        raise _explained(error, text) from None


def value_of(text: str) -> Any:
    """The value of a text of one document; None for an empty one.

    Raises:
        NotYaml: it is not YAML, nested too deeply, or has values or tags that cannot be read.
    """
    try:
        _check_depth(text)
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _explained(error, text) from None
    except _UNREADABLE_VALUES as error:
        raise NotYaml(f"a value in it cannot be read: {error}") from None


def value_of_node(node: yaml.Node) -> Any:
    """A node's value.

    Raises:
        NotYaml: it has values or tags that cannot be read.
    """
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(deepcopy(node))  # it writes merge keys out in the node
    except yaml.YAMLError as error:
        raise _explained(error) from None
    except _UNREADABLE_VALUES as error:
        raise NotYaml(f"a value in it cannot be read: {error}") from None
    finally:
        loader.dispose()


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise NotYaml("", _place(event.start_mark), is_too_deep=True)


def _explained(error: yaml.YAMLError, text: str = "") -> NotYaml:
    if isinstance(error, ReaderError):
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - before.rfind("\n")
        return NotYaml(
            f"the character U+{ord(text[error.position]):04X}, which YAML does not allow", f":{line}:{column}"
        )
    if isinstance(error, yaml.MarkedYAMLError):
        return NotYaml(" ".join(str(error.problem).split()), _place(error.problem_mark))
    return NotYaml(" ".join(str(error).split()))


def _place(mark: Any) -> str:
    return f":{mark.line + 1}:{mark.column + 1}" if mark else ""
