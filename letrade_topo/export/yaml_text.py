"""How YAML writes plain values: what is short in one line, the rest one key a line. Pure; knows nothing of topologies.

Whatever could be taken for something else, by a reader of YAML 1.1 or 1.2 or by a person, stands in quotes. The common
case is written here, because PyYAML takes a tenth of a millisecond for each; what is rare, or takes several lines, is
PyYAML's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import yaml

INDENT: Final = "  "
LONGEST_LINE: Final = 110
_LONGEST_PART: Final = 80
"""Of a value in one line within one that takes several."""
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*|[0-9]+(?:ms|[smhd]|B|[KMG]iB|[kMG]B)")
_TAKEN_FOR_ANOTHER: Final = frozenset({"false", "n", "no", "null", "off", "on", "true", "y", "yes"})


def indented(lines: Iterable[str]) -> Iterator[str]:
    """Lines one level deeper; an empty one stays empty."""
    return (f"{INDENT}{line}" if line else "" for line in lines)


def entry_of_mapping(name: str, value: Any) -> list[str]:
    """An entry: in one line if that is short."""
    line = f"{in_one_line(name)}: {in_one_line(value)}"
    return [line] if len(line) + len(INDENT) <= LONGEST_LINE else _dump(_Lines({name: value}))


def item_of_list(value: Mapping[str, Any]) -> list[str]:
    """An item: likewise."""
    line = f"- {in_one_line(value)}"
    return [line] if len(line) + len(INDENT) <= LONGEST_LINE else _dump([_Lines(value)])


def in_one_line(value: Any) -> str:
    """A value as JSON would write it, without quotes that nobody needs."""
    match value:
        case str():
            return _text(value)
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case None:
            return "null"
        case Mapping():
            return f"{{{', '.join(f'{_text(key)}: {in_one_line(one)}' for key, one in value.items())}}}"
        case list():
            return f"[{', '.join(map(in_one_line, value))}]"
        case _:
            return _dump(value)[0]  # behind a single value stands `...`


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _TAKEN_FOR_ANOTHER:
        return text
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return _dump(text)[0]


class _OneLine(dict[str, Any]):
    """A mapping that is written as `{key: value}`."""


class _ShortList(list[Any]):
    """A list that is written as `[item]`."""


class _Lines(dict[str, Any]):
    """A mapping that is written one key a line; what is short in it, `{key: value}` again."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__((key, _shortened(value)) for key, value in values.items())


def _shortened(value: Any) -> Any:
    match value:
        case list():
            is_short = len(in_one_line(value)) <= _LONGEST_PART
            return _ShortList(value) if is_short else [_shortened(one) for one in value]
        case Mapping():
            is_short = len(in_one_line(value)) <= _LONGEST_PART
            return _OneLine(value) if is_short else _Lines(value)
        case _:
            return value


class _Dumper(yaml.SafeDumper):
    """PyYAML's, without anchors: a value that occurs twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in _TAKEN_FOR_ANOTHER
    style = None if is_plain else "'" if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(_OneLine, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data, True))
_Dumper.add_representer(_ShortList, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, True))
_Dumper.add_representer(_Lines, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data, False))


def _dump(value: Any) -> list[str]:
    text: str = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=None, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return text.rstrip("\n").split("\n")
