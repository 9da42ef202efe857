"""Expressions of a trie of names: the exact one, and the least open one for a price of a byte."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from letrade_topo.model.name_patterns.expressions import branches, size_of
from letrade_topo.model.name_patterns.others import Others
from letrade_topo.model.name_patterns.shapes import NameShape, shape_of
from letrade_topo.model.name_patterns.trie import TrieNode, build
from letrade_topo.model.routing import SYMBOLS, spell

ALPHABET = 36
"""A name goes on with one of about so many characters."""

LEAST_OPENNESS = float(ALPHABET**-8)
"""More characters that only the owner's names have make nothing safer."""

SHAPE_SHARE = 0.1
"""A shape matches fewer names than the beginning before it alone; where that is as safe as can be, it is no safer, and
would change with the owner's next name."""

_SEPARATOR = re.compile(r"[^A-Za-z0-9]")
_SYMBOL = re.compile(f"[{''.join(SYMBOLS)}]")


@dataclass(frozen=True, slots=True)
class Solution:
    """What the names below a node are matched by, their common beginning left out.

    Args:
        whole: the expression of what is matched to its end; None for nothing.
        begun: the expression of beginnings that anything may follow; None for nothing.
        openness: the chance that a later name of somebody else is matched.
    """

    whole: str | None
    begun: str | None
    openness: float = 0.0

    def cost(self, price: float) -> float:
        """Bytes, and openness at a price in bytes."""
        return size_of(self.whole or "") + size_of(self.begun or "") + price * self.openness


@dataclass(frozen=True, slots=True)
class _Cut:
    """A beginning that nobody else has, and that ends within what leads to a node.

    Args:
        rest: the expression of it behind its first character.
        openness: of the beginning.
    """

    rest: str
    openness: float


@dataclass(slots=True)
class _Shaped:
    """What the names below a node look like; whether somebody else's do is asked when it matters."""

    node: TrieNode
    shape: NameShape
    is_asked: bool = False
    solution: Solution | None = None

    @property
    def expression(self) -> str:
        """The expression of what is below the node, its own end included."""
        return f"(?:{self.shape.expression})?" if self.node.is_name else self.shape.expression


@dataclass(slots=True)
class _Options:
    """In what ways a node may give up telling its names apart."""

    cuts: list[_Cut] = field(default_factory=list)
    shape: _Shaped | None = None


def exact_expression(names: Sequence[str]) -> str:
    """The expression of exactly these names.

    Args:
        names: sorted, each once, at least one.
    """

    def walk(node: TrieNode) -> str:
        tails: dict[str, list[str]] = {}
        for child in node.children:
            label = names[child.start][child.parent_depth : child.depth]
            tails.setdefault(spell(label[1:]) + walk(child), []).append(label[0])
        return branches(tails, optional=node.is_name) if tails else ""

    return walk(build(names))


class Search:
    """Everything about a set of names that does not depend on the price.

    Args:
        names: sorted, each once, at least one.
        others: what must not be matched.
        suffix: an expression that may follow every name; empty for none.
    """

    def __init__(self, names: Sequence[str], others: Others, suffix: str) -> None:
        self._names = names
        self._others = others
        self._suffix = f"(?:{suffix})?" if suffix else ""
        self._root = build(names)
        self._options: dict[int, _Options] = {}
        self._prepare(self._root, is_literal=True)

    def solve(self, price: float) -> Solution:
        """The cheapest solution.

        Args:
            price: what an openness of 1 costs, in bytes.
        """
        return self._solve(self._root, price)

    def _solve(self, node: TrieNode, price: float) -> Solution:
        whole: dict[str, list[str]] = {}
        begun: dict[str, list[str]] = {}
        openness = 0.0
        for child in node.children:
            label = self._label(child)
            inner = self._solve(child, price)
            rest = spell(label[1:])
            limit = inner.cost(price) + size_of(rest) * ((inner.whole is not None) + (inner.begun is not None))
            cut = min(self._options[id(child)].cuts, key=lambda one: _cost(one, price), default=None)
            if cut is not None and _cost(cut, price) < limit:
                begun.setdefault(cut.rest, []).append(label[0])
                openness += cut.openness
                continue
            openness += inner.openness
            if inner.whole is not None:
                whole.setdefault(rest + inner.whole, []).append(label[0])
            if inner.begun is not None:
                begun.setdefault(rest + inner.begun, []).append(label[0])
        best = Solution(
            branches(whole, optional=node.is_name) if whole else "" if node.is_name else None,
            branches(begun, optional=False) if begun else None,
            openness,
        )
        shape = self._shape_below(node, best.cost(price))
        return shape if shape is not None and shape.cost(price) < best.cost(price) else best

    def _shape_below(self, node: TrieNode, cost: float) -> Solution | None:
        """The shape of what is below a node, if nobody else has it and it has fewer bytes than `cost`."""
        shaped = self._options[id(node)].shape
        if shaped is None or size_of(shaped.expression) >= cost:
            return None
        if not shaped.is_asked:
            openness = self._openness_of(shaped)
            shaped.is_asked = True
            shaped.solution = None if openness is None else Solution(shaped.expression, None, openness)
        return shaped.solution

    def _prepare(self, node: TrieNode, *, is_literal: bool) -> None:
        label = self._label(node)
        options = self._options[id(node)] = _Options()
        if is_literal:
            options.cuts += self._cuts(node)
        is_literal = is_literal and not _SYMBOL.search(label)
        if is_literal and node.end - node.start > 1:
            options.shape = self._shape(node)
        for child in node.children:
            self._prepare(child, is_literal=is_literal)

    def _cuts(self, node: TrieNode) -> Iterator[_Cut]:
        """The shortest beginning that nobody else has, a few longer ones, and those that end with a separator."""
        label = self._label(node)
        symbol = _SYMBOL.search(label)
        longest = symbol.start() if symbol else len(label)
        beginning = self._beginning(node, node.parent_depth + longest)
        if longest == 0 or self._others.have(beginning):
            return
        shared = self._others.shared_length(beginning) - node.parent_depth
        shortest = max(shared, 0) + 1
        ends = [found.end() for found in _SEPARATOR.finditer(label, 0, longest)]
        for kept in sorted({shortest, shortest + 1, shortest + 2, shortest + 4, longest, *ends}):
            if shortest <= kept <= longest:
                yield _Cut(spell(label[1:kept]), _openness(kept - shared))

    def _shape(self, node: TrieNode) -> _Shaped | None:
        """The shape of what is below a node, if it is worth to ask whether somebody else's names have it."""
        rests = [name[node.depth :] for name in self._names[node.start + node.is_name : node.end]]
        shape = shape_of(rests) if len(rests) > 1 else None
        return None if shape is None else _Shaped(node, shape)

    def _openness_of(self, shaped: _Shaped) -> float | None:
        """The openness of a shape; None if somebody else's names have it."""
        node, shape = shaped.node, shaped.shape
        beginning = self._beginning(node, node.depth)
        strangers, claims = self._others.below(beginning), self._others.claims_below(beginning)
        if self._others.claim(beginning):
            return None
        if not strangers and not claims:
            distinctive = len(beginning) - self._others.shared_length(beginning)
            return max(LEAST_OPENNESS, SHAPE_SHARE * _openness(distinctive))
        own = re.compile(f"{spell(beginning)}{shaped.expression}{self._suffix}", re.DOTALL)
        may_begin = re.compile(f"{spell(beginning)}(?:{shape.beginnings}|{shape.expression}{self._suffix})", re.DOTALL)
        if any(map(own.fullmatch, strangers)) or any(map(may_begin.fullmatch, claims)):
            return None
        return _openness(1 + shape.literal_characters)

    def _label(self, node: TrieNode) -> str:
        return self._names[node.start][node.parent_depth : node.depth]

    def _beginning(self, node: TrieNode, length: int) -> str:
        return self._names[node.start][:length]


def _openness(distinctive: int) -> float:
    """The chance that a later name of somebody else has so many characters in common that only the owner's have now."""
    return max(LEAST_OPENNESS, float(ALPHABET ** -max(distinctive, 1)))


def _cost(cut: _Cut, price: float) -> float:
    return size_of(cut.rest) + price * cut.openness
