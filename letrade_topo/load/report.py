"""Collects the diagnostics of one load, so that every stage can report and go on."""

from __future__ import annotations

from dataclasses import dataclass, field

from letrade_topo.load.diagnostics import Diagnostic, InvalidTopology, Location, Path
from letrade_topo.load.rule_texts import RULE_TEXTS
from letrade_topo.load.source_text import MASK, SourceText

_ABOUT_SECRETS = frozenset({"secret-literal", "secret-in-url"})


@dataclass(slots=True)
class Report:
    """The problems found so far in some files.

    Args:
        texts: the files by name.
        diagnostics: what was found.
        unreadable: where a value has no clear meaning, so that nothing more can be said of it.
    """

    texts: dict[str, SourceText] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    unreadable: set[Location] = field(default_factory=set)

    def add(
        self,
        rule: str,
        location: Location,
        summary: str,
        why: str = "",
        fix: str = "",
        *,
        path: Path = (),
        related: tuple[tuple[Location, str], ...] = (),
    ) -> None:
        """Record one problem; the arguments are those of `Diagnostic`, the severity is the rule's."""
        severity = RULE_TEXTS[rule].severity
        text = self.texts.get(location.file)
        excerpt = text.excerpt(location.line) if text else ""
        if rule in _ABOUT_SECRETS and MASK not in excerpt:
            excerpt = ""  # the key stands on another line, so that nothing told that this one is to be masked
        self.diagnostics.append(Diagnostic(rule, severity, location, summary, why, fix, path, related, excerpt))

    @property
    def has_errors(self) -> bool:
        """Whether anything worse than a warning was found."""
        return any(item.is_error for item in self.diagnostics)

    def stop(self) -> InvalidTopology:
        """The exception that says all of it."""
        return InvalidTopology(self.diagnostics)
