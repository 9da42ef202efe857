"""Checks as values, and the order in which they are made: what rests on something broken is not asked.

Knows nothing of files, networks and brokers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import StrEnum

from letrade_topo.errors import TopoError


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look has shown.

    Args:
        what: what is there.
        verdict: whether that is right.
        fix: what to do where it is not.
        why: more of what is there.
        kind: the class of the error behind it, or a word like one.
        error: that error, where there was one.
    """

    what: str
    verdict: Verdict = Verdict.OK
    fix: str = ""
    why: str = ""
    kind: str = ""
    error: TopoError | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Check:
    """One question and its answer.

    Args:
        name: one word, or a few.
        right: what is right.
        found: what was found.
    """

    name: str
    right: str
    found: Seen


Look = Callable[[], Seen]


@dataclass(slots=True)
class Checkup:
    """The checks that were made, in their order."""

    checks: list[Check] = field(default_factory=list)

    def check(self, name: str, right: str, look: Look, *, needs: Collection[str] = ()) -> bool:
        """Make one check, unless what it needs is broken.

        Args:
            name: of the check.
            right: what is right.
            look: finds out; an error of it is what was seen.
            needs: names of checks that have to be right before.

        Returns:
            Whether something else may rest on it.
        """
        broken = next((one.name for one in self.checks if one.name in needs and not _holds(one)), None)
        found = Seen(f"`{broken}` comes first", Verdict.NOT_ASKED) if broken else _looked(look)
        self.checks.append(Check(name, right, found))
        return _holds(self.checks[-1])

    def holds(self, name: str) -> bool:
        """Whether a check was made, and something may rest on it."""
        return any(one.name == name and _holds(one) for one in self.checks)

    @property
    def cause(self) -> Check | None:
        """The first that failed, or else the first that deserves a look; None where everything is right."""
        by_verdict = [
            one for verdict in (Verdict.FAILED, Verdict.WARNING) for one in self.checks if one.found.verdict is verdict
        ]
        return by_verdict[0] if by_verdict else None


def _looked(look: Look) -> Seen:
    try:
        return look()
    except TopoError as error:
        return Seen(error.what, Verdict.FAILED, error.fix, error.why, type(error).__name__, error)


def _holds(check: Check) -> bool:
    return check.found.verdict in (Verdict.OK, Verdict.WARNING)
