"""Anchors and aliases of one file: which alias means what, and which of two that do not match is misspelt."""

from __future__ import annotations

from collections import Counter

from letrade_topo.load.diagnostics import Location
from letrade_topo.load.nodes import Node
from letrade_topo.load.report import Report
from letrade_topo.model.rules.problem import closest, did_you_mean

ABOUT_SECRETS = ("What stands here is not shown, because it may be a secret.", "Write {env: NAME} or {file: PATH}.")
"""Why and what to do, where nothing may be quoted."""


class Anchors:
    """What has been named so far.

    Args:
        report: where problems go.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._values: dict[str, tuple[Node, int, int]] = {}
        self._places: dict[str, Location] = {}
        self._unknown: list[tuple[str, Location]] = []
        self._used: set[str] = set()
        self._in_secrets: set[str] = set()
        self._like_keys: Counter[str] = Counter()

    def begin(self, name: str, place: Location, key: object) -> Location | None:
        """An anchor stands here.

        Args:
            name: without the &.
            place: where.
            key: whose value is named.

        Returns:
            Where one of this name stands before.
        """
        before = self._places.get(name)
        self._places[name] = place
        self._like_keys[name] += key == name
        return before

    def finish(self, name: str, node: Node, size: int, height: int) -> None:
        """What it names is known, with the number of its values and how deep it goes."""
        self._values[name] = (node, size, height)

    def is_unfinished(self, name: str) -> bool:
        """Whether an anchor stands around the place that asks for it."""
        return name in self._places and name not in self._values

    def find(self, name: str, place: Location, key: object, *, is_secret: bool) -> tuple[Node, int, int] | None:
        """What an alias stands for; None after remembering that nothing is named so."""
        self._used.add(name)
        if name in self._values:
            return self._values[name]
        self._unknown.append((name, place))
        self._like_keys[name] += key == name
        if is_secret:
            self._in_secrets.add(name)
        return None

    def report_unknown(self) -> None:
        """Report aliases to nothing; of an anchor that is misspelt, and named by none, that one instead of them."""
        for name in dict.fromkeys(name for name, _ in self._unknown):
            places = [place for other, place in self._unknown if other == name]
            if name in self._in_secrets:
                for place in places:
                    self._report.add("unknown-alias", place, "unknown alias", *ABOUT_SECRETS)
            elif (meant := self._misspelt(name, len(places))) is not None:
                self._used.add(meant)
                why = f"No alias names &{meant}, and *{name}, at {places[0]}, names no anchor."
                where, fix = self._places[meant], f"Rename it to &{name}."
                self._report.add("unknown-alias", where, "anchor that no alias names", why, fix)
            else:
                self._report_places(name, places)

    def _misspelt(self, name: str, count: int) -> str | None:
        """The anchor that was to have this name: no alias names it, and more speaks for the alias than for it."""
        meant = closest(name, (other for other in self._values if other not in self._used))
        if meant is None or closest(name, self._values) != meant:
            return None
        return meant if count + self._like_keys[name] > 1 + self._like_keys[meant] else None

    def _report_places(self, name: str, places: list[Location]) -> None:
        why = f"No anchor &{name} stands above it. Text that begins with * needs quotes."
        otherwise = f'Define it before its first use, &{name}, or write "*{name}".'
        fix = did_you_mean(f"*{name}", (f"*{other}" for other in self._values), otherwise)
        for place in places:
            self._report.add("unknown-alias", place, "unknown alias", why, fix)
