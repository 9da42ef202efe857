"""What a line has to do with those around it: indentation, dashes, where it begins and ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from letrade_topo.load.repair import COMMENTED_OUT, ONE_LESS, UNUSUAL, Repair, rewritten
from letrade_topo.load.yaml_line import CLOSING, Line, LineTable, pairing

_ANOTHER_KEY: Final = re.compile(r"""["']?[\w.{}-]+["']?:(?: |$)""")
_MOST_LEVELS: Final = 6


def tabs(line: Line, lines: LineTable) -> Iterator[Repair]:
    """Tabs for spaces."""
    if "\t" not in line.indent:
        return
    for width in _neighbours(line.number, lines):
        fix = f"Replace the tab by spaces: {width} in front of this line." if width else "Remove the tab."
        at, why = line.indent.index("\t"), "YAML is indented with spaces only."
        yield Repair(line.number, at, _indented(line, width), "a tab is used for indentation", why, fix)


def dashes(line: Line, lines: LineTable) -> Iterator[Repair]:
    """One that is missing, too many, or glued to what follows."""
    if glued := re.match(r"-(?=[^\s-])", line.content):
        why = "An item of a list begins with a dash and a space."
        yield rewritten(line, 0, glued.end(), "- ", "no space behind a dash", why)
    if line.dashes:
        why = "The lines beside it are no items of a list; `- ` makes an item of this one."
        yield rewritten(line, 0, len(line.dashes), "", "a dash too many", why, "Remove the dash.")
        if line.key == "name" and line.value:
            text, why = f"{line.value.rstrip(':')}:", "The name is the key here."
            yield rewritten(line, 0, len(line.content), text, "a list where a mapping belongs", why)
        return
    for width in _neighbours(line.number, lines, of_lists=True):
        why = "The lines beside it are items of a list, and each begins with a dash."
        text = f"{' ' * width}- {line.content}{line.comment}"
        yield Repair(line.number, len(line.indent), text, "a dash is missing", why)
        if line.key and not line.value:
            why = "The lines beside it are items of a list: each begins with a dash and ends without a colon."
            text = f"{' ' * width}- {line.key}{line.comment}"
            yield Repair(line.number, len(line.indent), text, "a key where an item of a list belongs", why)


def joined(line: Line) -> Iterator[Repair]:
    """Two lines that became one."""
    what = "two keys on one line"
    if line.key and _ANOTHER_KEY.match(line.value):
        below = f"{line.indent}  {' ' * len(line.dashes)}{line.value}{line.comment}"
        text = f"{line.indent}{line.dashes}{line.key}:\n{below}"
        why = "A mapping below a key begins on a line of its own, or in braces."
        fix = f"Begin a new line before `{line.value}`, indented by two spaces; or write {line.key}: {{{line.value}}}."
        yield Repair(line.number, line.column, text, what, why, fix)
    for found in re.finditer(rf"""(?<=\S) +(?={_ANOTHER_KEY.pattern}|- )""", line.value):
        before, rest = line.with_value(line.value[: found.start()]), line.value[found.end() :]
        why, fix = (
            "A value ends with its line, and each key has a line of its own.",
            f"Begin a new line before `{rest}`.",
        )
        for indent in (line.indent, f"{line.indent}  "):
            yield Repair(line.number, line.column + found.start(), f"{before}\n{indent}{rest}", what, why, fix)


def indents(line: Line, lines: LineTable) -> Iterator[Repair]:
    """Another indentation."""
    here, usual = len(line.indent), lines.usual_steps
    most = max((count for step, count in usual.items() if step), default=0)
    for width in _neighbours(line.number, lines):
        if width == here:
            continue
        by, way = abs(width - here), "more" if width > here else "less"
        why = f"It begins at column {here + 1}; the lines that it belongs to begin at column {width + 1}."
        fix = f"Indent it by {by} space{'s' if by > 1 else ''} {way}."
        doubt = UNUSUAL if width and usual[lines.step(line.number, width)] < most else 0.0
        what = "a line does not fit the mapping that it stands in"
        yield Repair(line.number, here, _indented(line, width), what, why, fix, doubt)


def prose(line: Line) -> Iterator[Repair]:
    """A comment that does not say so."""
    words = len(line.content.split())
    if words > 1 or not line.key:
        why = "It is neither `key: value` nor part of the value above it."
        fix = "If it is a comment, begin it with `# `; else write `key: value`."
        doubt = COMMENTED_OUT if not line.key and words > 2 else 1 + COMMENTED_OUT
        yield rewritten(line, 0, 0, "# ", "a line that is no YAML", why, fix, doubt=doubt)


def closings(line: Line, lines: LineTable) -> Iterator[Repair]:
    """The end of something in brackets that began on a line before."""
    begin = next((at for at in range(line.number, -1, -1) if pairing(lines[at].content).unclosed), None)
    if begin is None:
        return
    is_last = all(lines[at].is_blank for at in range(line.number + 1, len(lines)))
    is_long = is_last or lines[begin].content.endswith(("[", "{"))
    for closing, what in (("]", "a list in brackets"), ("}", "a mapping in braces")):
        why = f"What begins on line {begin + 1} with {CLOSING[closing]} has no {closing}."
        end = len(line.content)
        yield rewritten(line, end, end, closing, f"{what} is not closed", why, doubt=0.0 if is_long else UNUSUAL)


def headers(line: Line, lines: LineTable) -> Iterator[Repair]:
    """A key that is missing above its content."""
    before = next((lines[at] for at in range(line.number - 1, -1, -1) if not lines[at].is_blank), None)
    if before is None:
        return
    step = len(line.indent) - len(before.indent)
    is_part = bool(step > 0 and before.value and line.key)
    usual = max(lines.usual_steps, key=lambda one: (bool(one), lines.usual_steps[one]), default=0)
    if step == 2 * usual > 0 and before.key and not before.value and line.key:
        text = f"{before.indent}{' ' * usual}_:\n{_indented(line, len(line.indent))}"
        why = f"It is indented by {step}, twice as far as other lines: what it belongs to is not there."
        fix = f"Write the name that it belongs to, with a colon, above it, indented by {len(before.indent) + usual}."
        yield Repair(line.number, len(line.indent), text, "the line above this one is missing", why, fix, ONE_LESS)
    if is_part or (line.dashes and not line.indent and not before.dashes):
        text = f"{before.indent if is_part else line.indent}_:\n{line.indent}{line.content}{line.comment}"
        why = "It is part of something that the line before it is not."
        fix = "Write the key that it belongs to, with a colon, on a line above it; or align it with the line before."
        yield Repair(line.number, len(line.indent), text, "the line above this one is missing", why, fix, ONE_LESS)


def _indented(line: Line, width: int) -> str:
    return f"{' ' * width}{line.content}{line.comment}"


def _neighbours(number: int, lines: LineTable, *, of_lists: bool = False) -> list[int]:
    """The indentations of the lines around, and of what they are part of, the nearest first."""
    found: list[int] = []
    for direction in (range(number - 1, -1, -1), range(number + 1, len(lines))):
        lowest: int | None = None
        levels = 0
        for other in direction:
            line = lines[other]
            if line.is_blank or "\t" in line.indent:
                continue
            width = len(line.indent)
            if lowest is None or width < lowest:
                lowest, levels = width, levels + 1
                if line.dashes or not of_lists:
                    found.append(width)
                if line.dashes and not of_lists:
                    found.append(width + len(line.dashes))
            if lowest == 0 or levels > _MOST_LEVELS:
                break
    return list(dict.fromkeys(found))
