"""The bindings of one topic exchange, as a tree of words: which of them take a key, without trying each.

With ten thousand bindings and as many questions, comparing each with each would take minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from letrade_topo.model.overlap import KeyFamily, is_any_number_of_words, words_overlap
from letrade_topo.model.routing import words_of

Destination = TypeVar("Destination")

ANY_WORDS = "#"


class _Node(Generic[Destination]):
    """What is known after some words of a binding key.

    `repeats`: the last of them was `#`, which takes any further word.
    """

    __slots__ = ("below", "ends", "repeats")

    def __init__(self, *, repeats: bool = False) -> None:
        self.below: dict[str, _Node[Destination]] = {}
        self.ends: list[Destination] = []
        self.repeats = repeats


class BindingTree(Generic[Destination]):
    """Destinations by topic binding key."""

    def __init__(self) -> None:
        self._root: _Node[Destination] = _Node()

    def add(self, binding_key: str, destination: Destination) -> None:
        """Remember one binding."""
        node = self._root
        for word in words_of(binding_key):
            if word not in node.below:
                node.below[word] = _Node(repeats=word == ANY_WORDS)
            node = node.below[word]
        node.ends.append(destination)

    def find(self, family: KeyFamily) -> Iterator[Destination]:
        """The destinations of every binding that takes some key of a family."""
        words = family.words
        todo, seen = [(self._root, 0)], {(id(self._root), 0)}
        while todo:
            node, position = todo.pop()
            if position == len(words):
                yield from node.ends
            for step in _steps(node, position, family):
                if (id(step[0]), step[1]) not in seen:
                    seen.add((id(step[0]), step[1]))
                    todo.append(step)


def _steps(node: _Node[Destination], position: int, family: KeyFamily) -> Iterator[tuple[_Node[Destination], int]]:
    if ANY_WORDS in node.below:  # it may stand for no word at all
        yield node.below[ANY_WORDS], position
    if position == len(family.words):
        return
    word = family.words[position]
    if is_any_number_of_words(word):
        yield node, position + 1
        yield from ((below, position) for below in node.below.values())
        return
    if node.repeats:
        yield node, position + 1
    literal = family.literal(position)
    if literal is not None:
        for text in {literal, "*"} & node.below.keys():
            yield node.below[text], position + 1
    else:
        for text, below in node.below.items():
            if text != ANY_WORDS and words_overlap(word, text):
                yield below, position + 1
