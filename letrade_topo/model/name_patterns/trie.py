"""A radix trie of names: each node is a beginning that several names share, or one name."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class TrieNode:
    """One node.

    Args:
        start: of `names[start:end]`, the names below it.
        end: likewise.
        parent_depth: characters of the beginning that its parent stands for.
        depth: characters of its own.
        is_name: the beginning is a name itself.
        children: by their next character, in order.
    """

    start: int
    end: int
    parent_depth: int
    depth: int
    is_name: bool
    children: list[TrieNode] = field(default_factory=list)


def build(names: Sequence[str]) -> TrieNode:
    """The root, which stands for the empty beginning.

    Args:
        names: sorted, each once, at least one; as deep as the longest of them goes the recursion of who walks it.
    """

    def node(start: int, end: int, parent_depth: int, depth: int) -> TrieNode:
        made = TrieNode(start, end, parent_depth, depth, is_name=len(names[start]) == depth)
        at = start + made.is_name
        while at < end:
            first = names[at][depth]
            beyond = (
                bisect_left(names, names[at][:depth] + chr(ord(first) + 1), at, end) if first < "\U0010ffff" else end
            )
            common = common_length(names[at], names[beyond - 1])
            made.children.append(node(at, beyond, depth, common))
            at = beyond
        return made

    return node(0, len(names), 0, 0)


def common_length(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
