"""Why a text is no YAML, in words for somebody who writes a topology, and the line as it was probably meant.

A YAML reader tells where it gave up, which is often far behind the slip, and in words that differ by version. So its
place is only where the search begins: repairs of the lines around are tried, and the one that leaves the fewest
problems is the advice. What is advised has been read, therefore, and can be followed to the letter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

import yaml

from letrade_topo.load.diagnostics import Location
from letrade_topo.load.masking import is_secret_key
from letrade_topo.load.repair import Repair
from letrade_topo.load.source_text import SourceText
from letrade_topo.load.yaml_line import Line, LineTable
from letrade_topo.load.yaml_repairs import repairs, suspects

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where it is there: it is six times as fast."""

_MOST_LINES_READ = 200_000
"""By all attempts together, about half a second: more is not worth a better word."""
_MOST_JUDGED = 30
_MOST_LINES_JUDGED = 20_000
_LINES_BACK = 3_000
"""How far behind the slip its consequence is still understood."""
_SHORT_BLOCK_LINES = 80
_LEAST_OF_A_GUESS = 0.2
"""What stands for a name that nobody knows is no better than what is known to be right."""
_LONGEST_ADVICE = 120
_SECTION = re.compile(r"\w+:")

Judge: TypeAlias = Callable[[SourceText], float]
"""How many problems a text has; infinitely many if it cannot be read as YAML."""


def explain(error: yaml.YAMLError, source: SourceText, judge: Judge | None) -> tuple[Location, str, str, str]:
    """Where the slip is, what is wrong, why, and what to do.

    Args:
        error: what the reader said; only its place is used.
        source: the file.
        judge: counts the problems of a repaired text; None: only the place is asked for.
    """
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place = _last_said(source, mark.line if mark else len(source.lines))
    repair = _best(source, place, judge) if judge else None
    if repair is None:
        column = mark.column if mark and mark.line == place else len(source.lines[place].rstrip())
        return _unexplained(source, place, column, str(getattr(error, "problem", None) or error))
    location = Location(source.name, repair.line + 1, repair.column + 1)
    key = Line.of(repair.line, source.lines[repair.line]).key.strip("\"'")
    if is_secret_key(key):
        return location, repair.what, repair.why, f"Write `{key}: {{env: NAME}}` or `{key}: {{file: PATH}}`."
    return location, repair.what, repair.why, repair.fix or f"Write `{_shown(source, repair)}`."


def _last_said(source: SourceText, line: int) -> int:
    """A place behind the last text is moved to its line, where people can see something."""
    line = min(line, len(source.lines) - 1)
    if any(text.strip() for text in source.lines[line:]):
        return line
    return max((number for number in range(line) if source.lines[number].strip()), default=0)


def _best(source: SourceText, place: int, judge: Judge) -> Repair | None:
    """The likeliest of the repairs that make a text readable and leave the fewest problems."""
    best, least = None, float("inf")
    for judged, repair in enumerate(_readable(source.lines, place), start=1):
        problems = judge(_with(source, _applied(source.lines, repair))) if len(source.lines) < _MOST_LINES_JUDGED else 0
        score = max(repair.doubt + problems, _LEAST_OF_A_GUESS) if repair.doubt < 0 else repair.doubt + problems
        if score < least:
            best, least = repair, score
        if least == 0 or judged == _MOST_JUDGED:
            break
    return best


def _readable(lines: Sequence[str], place: int) -> Iterator[Repair]:
    """The repairs after which the lines around the place can be read, the likeliest first."""
    back = max(0, place - _LINES_BACK)
    budget = _MOST_LINES_READ
    table = LineTable(lines[back:])
    for found in suspects(table, place - back):
        number = found + back
        around = _around(lines, min(number, place), max(number, place))
        if _reads("\n".join(lines[at] for at in around)):  # the slip is not in this part
            continue
        seen = {lines[number]}
        for repair in repairs(table, found):
            if repair.text in seen or budget < 0:
                continue
            seen.add(repair.text)
            budget -= len(around)
            if _reads("\n".join(repair.text if at == number else lines[at] for at in around)):
                yield replace(repair, line=number)


def _around(lines: Sequence[str], first: int, last: int) -> list[int]:
    """The lines of the section around some lines; of a long one its header and the entries around, one more beside."""
    header = next((at for at in range(first, -1, -1) if _SECTION.match(lines[at])), 0)
    end = next((at for at in range(last + 2, len(lines)) if _SECTION.match(lines[at])), len(lines))
    if end - header <= _SHORT_BLOCK_LINES:
        return list(range(header, end))
    width = next((_indent(lines[at]) for at in range(header + 1, end) if _indent(lines[at]) is not None), 0)
    before = [at for at in range(first, header, -1) if _indent(lines[at]) == width][:2]
    behind = [at for at in range(last + 2, end) if _indent(lines[at]) == width][:2]
    begin = before[1] if len(before) > 1 else header + 1
    return [header, *range(begin, behind[1] if len(behind) > 1 else end)]


def _indent(line: str) -> int | None:
    """Of a line that says something."""
    text = line.lstrip()
    return len(line) - len(text) if text and not text.startswith("#") else None


def _applied(lines: Sequence[str], repair: Repair) -> list[str]:
    return [*lines[: repair.line], *repair.text.split("\n"), *lines[repair.line + 1 :]]


def _with(source: SourceText, lines: Sequence[str]) -> SourceText:
    return SourceText(source.name, source.directory, "\n".join(lines))


def _reads(text: str) -> bool:
    try:
        for _ in yaml.parse(text, Loader=LOADER):
            pass
    except yaml.YAMLError:
        return False
    return True


def _shown(source: SourceText, repair: Repair) -> str:
    """The repaired line, without literal secrets, and of a long one what surrounds the change."""
    text = _with(source, _applied(source.lines, repair)).excerpt(repair.line + 1)
    shown = text.strip()
    if len(shown) <= _LONGEST_ADVICE:
        return shown
    start = max(0, repair.column - _LONGEST_ADVICE // 3)
    cut = text[start : start + _LONGEST_ADVICE].strip()
    return f"{'… ' if start else ''}{cut}{' …' if start + _LONGEST_ADVICE < len(text) else ''}"


def _unexplained(source: SourceText, place: int, column: int, problem: str) -> tuple[Location, str, str, str]:
    said = " ".join(problem.split())[:_LONGEST_ADVICE]
    return (
        Location(source.name, place + 1, column + 1),
        "this cannot be read as YAML",
        "From here on the text is no `key: value`, no `- item` and no continuation of the value above it, and no "
        f"single change of a line near it makes it so. The YAML reader says: {said}.",
        "Compare this line and those above it with a neighbour that is right: indentation, the colon and the space "
        "behind it, quotes and brackets in pairs.",
    )
