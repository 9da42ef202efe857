"""Which of many topic binding keys match a routing key: a tree of words, as topic exchanges have it themselves.

The meaning of a binding key is `letrade_topo.model.routing.binding_matches`; this gives the same answer without
trying each.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from letrade_topo.model.routing import words_of

Value = TypeVar("Value")


class _Node(Generic[Value]):
    __slots__ = ("any_number", "below", "is_any_number", "one_word", "values")

    def __init__(self, *, is_any_number: bool = False) -> None:
        self.below: dict[str, _Node[Value]] = {}
        self.one_word: _Node[Value] | None = None
        self.any_number: _Node[Value] | None = None
        self.is_any_number = is_any_number
        self.values: list[Value] = []

    def child(self, word: str) -> _Node[Value]:
        """The node below, made if missing."""
        if word == "*":
            self.one_word = self.one_word or _Node()
            return self.one_word
        if word == "#":
            if self.is_any_number:
                return self  # `#.#` is `#`
            self.any_number = self.any_number or _Node(is_any_number=True)
            return self.any_number
        return self.below.setdefault(word, _Node())


class TopicIndex(Generic[Value]):
    """Values under topic binding keys."""

    __slots__ = ("_root",)

    def __init__(self) -> None:
        self._root: _Node[Value] = _Node()

    def add(self, binding_key: str, value: Value) -> None:
        """Put a value under a binding key."""
        node = self._root
        for word in words_of(binding_key):
            node = node.child(word)
        node.values.append(value)

    def matches(self, routing_key: str) -> list[Value]:
        """The values of every binding key that matches, each as often as it was added."""
        active = _with_none(self._root)
        for word in words_of(routing_key):
            following: list[_Node[Value]] = []
            for node in active:
                if node.is_any_number:
                    following.append(node)
                if (exact := node.below.get(word)) is not None:
                    following += _with_none(exact)
                if node.one_word is not None:
                    following += _with_none(node.one_word)
            active = list(dict.fromkeys(following))
        return [value for node in active for value in node.values]


def _with_none(node: _Node[Value]) -> list[_Node[Value]]:
    """A node, and the one for `#` below it, which may stand for no word."""
    return [node] if node.any_number is None else [node, node.any_number]
