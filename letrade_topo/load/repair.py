"""One line of a text that is no YAML, as it may have been meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from letrade_topo.load.yaml_line import Line

UNUSUAL: Final = 0.1
"""The doubt about what is possible, and rarer than others."""
COMMENTED_OUT: Final = 0.5
"""That a line says nothing is believed only where nothing that it may say is as good."""
ONE_LESS: Final = -0.6
"""The name of what is missing is not known here, and what stands for it is one problem."""


@dataclass(frozen=True, slots=True)
class Repair:
    """One line as it may have been meant.

    Args:
        line: its number, from 0.
        column: where the change begins, from 0.
        text: the whole line, or several.
        what: what is wrong, in one line.
        why: why that matters, in a sentence.
        fix: what to do, where the text alone does not say it.
        doubt: how much less likely it is than others that leave as few problems, in problems.
    """

    line: int
    column: int
    text: str
    what: str
    why: str
    fix: str = ""
    doubt: float = 0.0


def rewritten(
    line: Line, start: int, end: int, text: str, what: str, why: str, fix: str = "", *, doubt: float = 0.0
) -> Repair:
    """The line with another text in a part of what stands between indentation and comment.

    Args:
        line: the line.
        start, end: the part, in characters of `line.content`.
        text: what stands there then.
        what, why, fix, doubt: of the repair.
    """
    content = line.content[:start] + text + line.content[end:]
    return Repair(line.number, len(line.indent) + start, line.with_content(content), what, why, fix, doubt)
