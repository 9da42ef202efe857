"""What a rule is, and what it says when it is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from letrade_topo.model.topology import Topology


class Severity(StrEnum):
    """Whether a topology can be used in spite of a problem."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One place where a topology breaks a rule.

    Args:
        rule: the id of the rule.
        severity: an error, or a warning.
        path: the value that is meant; in a list, a text as a step means the item with that value.
        summary: what is wrong, in one line, without a full stop.
        why: why that is a problem, in full sentences.
        fix: what to do, in full sentences.
        at_key: the key of the value is meant, not the value.
    """

    rule: str
    severity: Severity
    path: tuple[str | int, ...]
    summary: str
    why: str = ""
    fix: str = ""
    at_key: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Args:
        id: how diagnostics and people name it.
        severity: of its problems.
        title: what must hold, in one line.
        explanation: why, for the reference page.
        check: yields its problems.
        needs_whole: it judges what is *not* there, so it is silent about a file of which parts were unreadable.
    """

    id: str
    severity: Severity
    title: str
    explanation: str
    check: Callable[[Topology], Iterator[Problem]]
    needs_whole: bool = False


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """A suggestion from `known`, or else another advice."""
    close = get_close_matches(name, list(known), 1, 0.6)
    return f"Did you mean {close[0]!r}?" if close else otherwise
