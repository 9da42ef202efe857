"""The first kind of pattern that is short enough, or why there is none."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TypeAlias

from letrade_topo.model.name_patterns.expressions import any_of, size_of
from letrade_topo.model.name_patterns.others import Others
from letrade_topo.model.name_patterns.search import Search, Solution, exact_expression
from letrade_topo.model.routing import spell

LONGEST_PATTERN_BYTES = 1_024
"""What RabbitMQ takes from 4.2.8 and 4.3.2 on (rabbit_re: "pattern must not exceed 1024 bytes"); the bound on every
version, so that an upgrade of the broker changes no pattern."""

HIGHEST_PRICE = 56
"""Binary logarithm of the highest price of openness: the least open beginning then costs more than all bytes."""


class Precision(StrEnum):
    """How closely a pattern keeps to its names."""

    LISTED = "listed"
    EXACT = "exact"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class NamePattern:
    """An anchored expression.

    Args:
        expression: its text.
        precision: whether it matches names that nobody has yet.
    """

    expression: str
    precision: Precision


@dataclass(frozen=True, slots=True)
class NoPattern:
    """No expression is short enough.

    Args:
        shortest_bytes: of the shortest that was found.
        in_the_way: some names of others that lie between the own ones.
    """

    shortest_bytes: int
    in_the_way: tuple[str, ...]


Found: TypeAlias = NamePattern | NoPattern


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a pattern is to match.

    Args:
        names: in the order in which they are listed; a symbol in one stands for its expression.
        others: what it must not match; asked for only when it matters.
        namespaces: beginnings that are the owner's by convention.
        suffix: a text that may follow names (of which `names` has both forms).
        tail: an expression that follows every name.
        derived: the expression of names that are nobody's own and are to be left out wherever names are not told apart.
        anything: the expression of what may follow a beginning.
        further: finished expressions that are matched besides.
        longest: the expression, in bytes.
    """

    names: Sequence[str]
    others: Callable[[], Others]
    namespaces: Sequence[str] = ()
    suffix: str = ""
    tail: str = ""
    derived: str = ""
    anything: str = ".*"
    further: Sequence[str] = ()
    longest: int = LONGEST_PATTERN_BYTES

    def expression(self, parts: Iterable[str]) -> str:
        """The whole expression of the parts that match the names."""
        named = list(dict.fromkeys(parts))
        if named and self.tail:
            named = [f"(?:{'|'.join(named)}){self.tail}"]
        return f"^(?:{'|'.join(dict.fromkeys([*named, *self.further]))})$"


def find_pattern(wanted: Wanted) -> Found:
    """The most precise pattern that is short enough.

    Args:
        wanted: at least one name, or something further.
    """
    listed = wanted.expression(map(spell, wanted.names))
    if fits(listed, wanted.longest):
        return NamePattern(listed, Precision.LISTED)
    exact = wanted.expression(_exact_parts(wanted.names, wanted.suffix))
    if fits(exact, wanted.longest):
        return NamePattern(exact, Precision.EXACT)
    found = _Opening(wanted, wanted.namespaces).find()
    if isinstance(found, NoPattern) and len(wanted.namespaces) > 1:
        return _Opening(wanted, ()).find()  # so many owners that naming them is too long
    return found


def list_names(names: Iterable[str]) -> NamePattern | None:
    """The pattern with one alternative for each name, if it is short enough."""
    listed = f"^(?:{'|'.join(map(spell, names))})$"
    return NamePattern(listed, Precision.LISTED) if fits(listed) else None


def fits(expression: str, longest: int = LONGEST_PATTERN_BYTES) -> bool:
    """Whether an expression is short enough, for every broker where nothing else is said."""
    return size_of(expression) <= longest


def find_patterns(wanted: Wanted) -> Iterator[tuple[NamePattern, Sequence[str]]]:
    """One pattern; where there is none, as few exact ones as a walk over the sorted names gives.

    Returns:
        Each pattern with its names; what is wanted further is in all of them.
    """
    found = find_pattern(wanted)
    if isinstance(found, NamePattern):
        yield found, wanted.names
        return
    rest: Sequence[str] = sorted(set(wanted.names))
    while rest:
        # One name always fits: 255 bytes, escaped, and the tail.
        count = max(1, bisect_left(range(len(rest)), True, key=lambda last: _is_too_long(wanted, rest[: last + 1])))
        yield NamePattern(wanted.expression([exact_expression(rest[:count])]), Precision.EXACT), rest[:count]
        rest = rest[count:]


def _is_too_long(wanted: Wanted, names: Sequence[str]) -> bool:
    return not fits(wanted.expression([exact_expression(names)]), wanted.longest)


def _exact_parts(names: Iterable[str], suffix: str) -> Iterator[str]:
    """Names that are there with and without the suffix, and the others."""
    own = set(names)
    stems = {name for name in own if suffix and name + suffix in own}
    rest = own - stems - {stem + suffix for stem in stems}
    if stems:
        yield f"{any_of([exact_expression(sorted(stems))])}(?:{spell(suffix)})?"
    if rest:
        yield exact_expression(sorted(rest))


class _Opening:
    """The search for the least open pattern that is short enough."""

    def __init__(self, wanted: Wanted, namespaces: Sequence[str]) -> None:
        others, suffix = wanted.others(), wanted.suffix
        own, foreign = set(wanted.names), frozenset(others.names)
        derived = re.compile(wanted.derived) if wanted.derived else None
        # What looks like a derived name, or would bring somebody else's with it, is told apart in any case.
        apart = {
            name
            for name in own
            if (derived and derived.fullmatch(name))
            or (suffix and (name + suffix in foreign or others.claim(name + suffix)))
        }
        told = own - apart
        stems = {stem if (stem := name.removesuffix(suffix)) in told else name for name in told}
        free = tuple(one for one in namespaces if not others.have(one))
        elsewhere = sorted(stem for stem in stems if not stem.startswith(free))
        self._wanted = wanted
        self._others = others
        self._apart = list(_exact_parts(apart, suffix))
        self._inside = [spell(one) for one in free if any(stem.startswith(one) for stem in stems)]
        self._search = Search(elsewhere, others, spell(suffix)) if elsewhere else None

    def find(self) -> Found:
        """The pattern, or why there is none."""
        best = self._expression(0.0)
        if not fits(best, self._wanted.longest):
            return NoPattern(size_of(best), self._in_the_way())
        low, high = 0, HIGHEST_PRICE
        while high - low > 1:
            middle = (low + high) // 2
            expression = self._expression(2.0**middle)
            if fits(expression, self._wanted.longest):
                low, best = middle, expression
            else:
                high = middle
        return NamePattern(best, Precision.OPEN)

    def _expression(self, price: float) -> str:
        solution = self._search.solve(price) if self._search else Solution(None, None)
        return self._wanted.expression([*self._apart, *self._opened(solution)])

    def _opened(self, solution: Solution) -> Iterator[str]:
        wanted, parts = self._wanted, list[str]()
        beginnings = [*self._inside, *([] if solution.begun is None else [solution.begun])]
        if solution.whole is not None:
            suffix = f"(?:{spell(wanted.suffix)})?" if wanted.suffix else ""
            parts.append(f"{solution.whole}{suffix}")
        if beginnings:
            parts.append(f"{any_of(beginnings)}{wanted.anything}")
        if parts:
            yield f"(?!{wanted.derived}$){any_of(parts)}" if wanted.derived else any_of(parts)

    def _in_the_way(self) -> tuple[str, ...]:
        """Of each gap between two own names, the name of somebody else that is in it."""
        names, own = self._others.names, sorted(set(self._wanted.names))
        found: dict[str, None] = {}
        for before, after in pairwise(own):
            at = bisect_left(names, after) - 1
            if at >= 0 and names[at] > before:
                found[names[at]] = None
        return tuple(found)
