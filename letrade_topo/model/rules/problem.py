"""What a rule is, and what it says when it is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import TypeAlias

from letrade_topo.model.topology import Topology

Path: TypeAlias = tuple[str | int, ...]


class Severity(StrEnum):
    """Whether a topology can be used in spite of a problem."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class RuleText:
    """What people read of a rule.

    Args:
        id: how diagnostics and people name it.
        severity: of its problems.
        title: what is wrong when it is broken, in one line, without names.
        explanation: what it is for, in full sentences.
    """

    id: str
    severity: Severity
    title: str
    explanation: str


@dataclass(frozen=True, slots=True)
class Breach:
    """One place where a rule is broken.

    Args:
        path: the value that is meant; in a list, a text as a step means the item with that value.
        why: what is wrong there and why that is a problem, in full sentences.
        fix: what to do, in full sentences.
        at_key: the key of the value is meant, not the value.
        otherwise: what is meant where the file does not have the value at `path`.
        related: another place that belongs to it, and what is there.
        severity: if it differs from the rule's: what somebody else made is told, where the same in what is ours is an
            error.
    """

    path: Path
    why: str
    fix: str
    at_key: bool = False
    otherwise: Path = ()
    related: tuple[Path, str] | None = None
    severity: Severity | None = None


Check: TypeAlias = Callable[[Topology], Iterator[Breach]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Args:
        text: what people read.
        check: yields where it is broken.
        needs_whole: it judges what is *not* there, so it is silent about a file of which parts were unreadable.
        looks_up: the section in which it looks for names or settings; it is silent when that was unreadable.
    """

    text: RuleText
    check: Check
    needs_whole: bool = False
    looks_up: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """A broken rule at one place; the fields are those of `RuleText` and `Breach`."""

    rule: str
    severity: Severity
    path: Path
    summary: str
    why: str = ""
    fix: str = ""
    at_key: bool = False
    otherwise: Path = ()
    related: tuple[Path, str] | None = None


def rule(
    rule_id: str,
    title: str,
    explanation: str,
    *,
    severity: Severity = Severity.ERROR,
    needs_whole: bool = False,
    looks_up: str = "",
) -> Callable[[Check], Rule]:
    """Make a rule of the function that checks it."""

    def made(check: Check) -> Rule:
        return Rule(RuleText(rule_id, severity, title, explanation), check, needs_whole, looks_up)

    return made


MOST_CANDIDATES = 100


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """A suggestion from `known`, or else another advice."""
    close = closest(name, known)
    return f"Did you mean {close!r}?" if close is not None else otherwise


def closest(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` that may be meant by `name`, whatever its case."""
    candidates = list(known)
    if len(candidates) > MOST_CANDIDATES:  # difflib takes milliseconds for each thousand
        candidates = [one for one in candidates if _is_alike(name, one)][:MOST_CANDIDATES]
    by_lower_case = {one.lower(): one for one in reversed(candidates)}
    close = get_close_matches(name.lower(), by_lower_case, 1, 0.6)
    return by_lower_case[close[0]] if close else None


def _is_alike(name: str, other: str) -> bool:
    """A cheap sign that one may be the other misspelt."""
    return abs(len(name) - len(other)) <= 2 and (name[:4] == other[:4] or name[-4:] == other[-4:])
