"""Collects the diagnostics of one load, so that every stage can report and go on."""

from __future__ import annotations

from dataclasses import dataclass, field

from letrade_topo.load.diagnostics import Diagnostic, InvalidTopology, Location, Path
from letrade_topo.load.masking import MASK
from letrade_topo.load.rule_texts import RULE_TEXTS
from letrade_topo.load.source_text import SourceText
from letrade_topo.model.rules import Severity

_ABOUT_SECRETS = frozenset({"secret-literal", "secret-in-url"})

_ABOUT_TEXTS = frozenset({"stray-character", "continued-line"})


@dataclass(slots=True)
class Report:
    """The problems found so far in some files.

    Args:
        texts: the files by name.
        diagnostics: what was found.
        unreadable: where a value has no clear meaning, so that nothing more can be said of it.
        torn: sections of which entries may have been lost.
    """

    texts: dict[str, SourceText] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    unreadable: set[Location] = field(default_factory=set)
    torn: set[object] = field(default_factory=set)

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
        severity: Severity | None = None,
    ) -> None:
        """Record one problem; the arguments are those of `Diagnostic`, the severity by default the rule's."""
        severity = severity or RULE_TEXTS[rule].severity
        text = self.texts.get(location.file)
        excerpt = text.excerpt(location.line) if text else ""
        if rule in _ABOUT_SECRETS and MASK not in excerpt:
            excerpt = ""  # the key stands on another line, so that nothing told that this one is to be masked
        why, fix = self._redacted(why), self._redacted(fix)
        path = tuple(self._redacted(step) if isinstance(step, str) else step for step in path)
        self.diagnostics.append(Diagnostic(rule, severity, location, summary, why, fix, path, related, excerpt))

    def _redacted(self, words: str) -> str:
        """Without what stands where a secret belongs in any of the files, whoever quoted it."""
        for text in self.texts.values():
            words = text.secrets.redacted(words)
        return words

    def forget_slips(self, place: Location) -> None:
        """Take back what was said of single texts on a line that turned out to be broken as a whole."""
        self.diagnostics = [
            item
            for item in self.diagnostics
            if item.rule not in _ABOUT_TEXTS or (item.location.file, item.location.line) != (place.file, place.line)
        ]

    def forget_from(self, place: Location) -> None:
        """Take back what was said of a file from the line on where it is no YAML any more."""
        self.diagnostics = [
            item for item in self.diagnostics if item.location.file != place.file or item.location.line < place.line
        ]

    @property
    def has_errors(self) -> bool:
        """Whether anything worse than a warning was found."""
        return any(item.is_error for item in self.diagnostics)

    def stop(self) -> InvalidTopology:
        """The exception that says all of it."""
        return InvalidTopology(self.diagnostics)
