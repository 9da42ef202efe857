"""What is wrong with a topology file, and where.

A diagnostic is a value: which rule, where, what, why, and what to do. How it is shown is not known
here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from letrade_topo.errors import TopoError
from letrade_topo.model.rules import Severity

Path = tuple[str | int, ...]
"""The way from the top of a document to a value: keys and, in lists, numbers from 0."""


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A position in a file.

    Args:
        file: the name of the file, as the user gave it.
        line: from 1; 0 means the file as a whole.
        column: in characters, from 1; 0 means the line as a whole.
    """

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part)


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem of a topology file.

    Args:
        rule: the id of the rule.
        severity: an error, or a warning.
        location: where.
        summary: what is wrong, in one line.
        why: why that is a problem.
        fix: what to do.
        path: the value in the document, where one is meant.
        related: other places that belong to it, each with what is there.
        excerpt: the text of the line, without literal secrets.
    """

    rule: str
    severity: Severity
    location: Location
    summary: str
    why: str = ""
    fix: str = ""
    path: Path = ()
    related: tuple[tuple[Location, str], ...] = ()
    excerpt: str = field(default="", compare=False)

    def __str__(self) -> str:
        return "\n    ".join(part for part in (f"  {self.location}: {self.summary}", self.why, self.fix) if part)

    @property
    def is_error(self) -> bool:
        """Whether the file cannot be used as it is."""
        return self.severity is Severity.ERROR


class InvalidTopology(TopoError):
    """A topology file has errors; `diagnostics` holds all of them, and the warnings, by position."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = ordered(diagnostics)
        errors = [diagnostic for diagnostic in self.diagnostics if diagnostic.is_error]
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(f"{first.location}: {first.summary}{more}", why=first.why, fix=first.fix)

    def __str__(self) -> str:
        problems = [diagnostic for diagnostic in self.diagnostics if diagnostic.is_error]
        return "\n".join(["the topology cannot be used:", *(str(problem) for problem in problems)])


def ordered(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """By position, each once, although several uses of one YAML anchor may report the same place."""
    unique = {(item.rule, item.location, item.summary, item.why): item for item in reversed(list(diagnostics))}
    return tuple(sorted(unique.values(), key=lambda item: (item.location, item.rule, item.summary)))
