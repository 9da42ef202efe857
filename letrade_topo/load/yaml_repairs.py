"""What one line of a text that is no YAML may have been meant to be: candidates, the likeliest first.

Each changes one line. Which of them makes the text readable is for somebody else to try; nothing of a YAML library,
whose words and opinions differ from version to version, is needed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from letrade_topo.load import line_repairs, mark_repairs
from letrade_topo.load.repair import Repair, rewritten
from letrade_topo.load.slips import TYPOGRAPHIC
from letrade_topo.load.yaml_line import Line, LineTable, pairing

_MOST_LINES_BACK: Final = 12
"""Of each sort of suspects; a slip that shows later than that is told by its place alone."""


def suspects(lines: LineTable, place: int) -> list[int]:
    """The lines that may have made the text unreadable at a place, the likeliest first.

    Args:
        lines: the text.
        place: the number of the line, from 0, at which it could not be read further.
    """
    said = [number for number in range(min(place + 2, len(lines)) - 1, -1, -1) if not lines[number].is_blank]
    near = [number for number in said if number <= place][:4]
    blank = [number for number in range(max(0, place - 3), place) if lines[number].is_blank][:1]
    after = [number for number in said if number > place]
    quotes = [number for number in said if _has_half_quotes(lines[number])][:_MOST_LINES_BACK]
    broken = [number for number in said if _has_half_brackets(lines[number])][:_MOST_LINES_BACK]
    strange = [number for number in said if _has_strange_characters(lines[number])][:_MOST_LINES_BACK]
    blocks = _open_blocks(said, lines, place)
    if blank and near[1:] and not pairing(lines[near[1]].content).unclosed:  # something may have stood there
        near[1:1] = blank
    return list(dict.fromkeys([*near[:2], *blocks, *near, *quotes, *broken, *strange, *blank, *after]))


def _has_half_quotes(line: Line) -> bool:
    return pairing(line.content).quote is not None or mark_repairs.ENDS_QUOTED.search(line.content) is not None


def _has_half_brackets(line: Line) -> bool:
    found = pairing(line.content)
    return bool(found.unclosed or found.unopened)


def _has_strange_characters(line: Line) -> bool:
    return any(char in TYPOGRAPHIC or char == "\t" for char in f"{line.indent}{line.content}")


def _open_blocks(said: Iterable[int], lines: LineTable, place: int) -> Iterator[int]:
    """The first and the last line of each block that the line at `place` may have ended, the innermost first."""
    stack: list[tuple[int, int, int]] = []
    for number in sorted(number for number in said if number <= place):
        indent = len(lines[number].indent)
        closed = [ends for depth, *ends in stack if depth > indent]
        stack = [one for one in stack if one[0] <= indent]
        if number == place:
            for ends in (*reversed(closed), *(ends for _, *ends in reversed(stack))):
                yield from reversed(ends)
        elif stack and stack[-1][0] == indent:
            stack[-1] = (indent, stack[-1][1], number)
        else:
            stack.append((indent, number, number))


def repairs(lines: LineTable, number: int) -> Iterator[Repair]:
    """What the line of this number may have been meant to be."""
    line = lines[number]
    if line.is_blank:
        yield from line_repairs.closings(line, lines)
        return
    if line.content.startswith("%") and not line.indent:
        why = "A line that begins with % asks for another YAML version, or for something that is not for topologies."
        whole = len(line.content)
        yield rewritten(line, 0, whole, "", "a YAML version or directive", why, "Remove the line.")
    yield from mark_repairs.typographic(line)
    yield from line_repairs.tabs(line, lines)
    yield from mark_repairs.quotes(line)
    yield from mark_repairs.brackets(line)
    yield from mark_repairs.colons(line)
    yield from mark_repairs.comments(line)
    yield from line_repairs.joined(line)
    yield from mark_repairs.texts(line)
    yield from line_repairs.dashes(line, lines)
    yield from mark_repairs.commas(line)
    yield from line_repairs.indents(line, lines)
    yield from line_repairs.closings(line, lines)
    yield from line_repairs.prose(line)
    yield from line_repairs.headers(line, lines)
