"""The Merkle tree of a batch, in the shape of RFC 6962 (2.1): a left-over node rises a level unchanged.

Once a leaf has been proven, every node beside its way is proven as well. `ProvenTree` remembers those, so that the next
leaf of the batch needs no hashes of nodes, or one on average, instead of one for each level.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256

NODE_PREFIX = b"\x01"
HASH_BYTES = 32

_INDEX_BITS = 32
"""A node's place in one number: its level above these bits, its index within the level below."""

_MOST_KNOWN_NODES = 256
"""Of one tree. Leaves that arrive in order need one for each level, in any order at most half as many as leaves."""


class Tree:
    """The tree over some leaves.

    Args:
        leaves: at least one hash.
    """

    __slots__ = ("_levels",)

    def __init__(self, leaves: Sequence[bytes]) -> None:
        if not leaves:
            raise ValueError("a tree has at least one leaf")
        level = list(leaves)
        self._levels = [level]
        while len(level) > 1:
            above = [
                sha256(NODE_PREFIX + left + right).digest()
                for left, right in zip(level[::2], level[1::2], strict=False)
            ]
            if len(level) % 2:
                above.append(level[-1])
            level = above
            self._levels.append(level)

    @property
    def root(self) -> bytes:
        """The hash over all leaves."""
        return self._levels[-1][0]

    def paths(self) -> list[bytes]:
        """For each leaf the hashes beside its way to the root, joined, leaf upward (RFC 6962, 2.1.1)."""
        paths = [b""]
        for level in reversed(self._levels[:-1]):
            beside = [level[index ^ 1] for index in range(len(level) & ~1)]
            beside += [b""] * (len(level) - len(beside))
            paths = [sibling + paths[index >> 1] for index, sibling in enumerate(beside)]
        return paths


class ProvenTree:
    """What is proven of a tree of which at first only the root is known.

    Args:
        root: the hash over all leaves, authentic.
        count: how many leaves it has.
    """

    __slots__ = ("_count", "_known", "_lengths", "_root")

    def __init__(self, root: bytes, count: int) -> None:
        self._root = root
        self._count = count
        self._lengths = path_lengths(count)
        self._known: dict[int, bytes] = {}

    def fits(self, index: int, path: bytes) -> bool:
        """Whether a path from that leaf has this length."""
        return 0 <= index < self._count and len(path) == self._lengths[index]

    def holds(self, leaf: bytes, index: int, path: bytes) -> bool:
        """Whether a leaf is in its place in the tree.

        Args:
            leaf: the hash at the bottom.
            index: its place, from 0.
            path: that `fits`: the hashes beside its way to the root, joined, leaf upward (RFC 9162, 2.1.3.2). What
                lies above a node that is known is not looked at.
        """
        known = self._known
        proven = known.get(index)
        if proven is not None:
            if proven == leaf:  # it is needed once: a second delivery finds its own way
                del known[index]
                return True
            return False
        beside: list[tuple[int, bytes]] = []
        node, last, level, offset = leaf, self._count - 1, 0, 0
        while last:
            is_right = index & 1
            if is_right or index < last:  # else it is a left-over node and rises unchanged
                sibling = path[offset : offset + HASH_BYTES]
                offset += HASH_BYTES
                beside.append((level | (index ^ 1), sibling))
                node = sha256(NODE_PREFIX + (sibling + node if is_right else node + sibling)).digest()
            index >>= 1
            last >>= 1
            level += 1 << _INDEX_BITS
            proven = known.get(level | index)
            if proven is not None:
                if proven != node:
                    return False
                del known[level | index]  # both nodes below it are known now, or have been used
                break
        else:
            if node != self._root:
                return False
        if len(known) < _MOST_KNOWN_NODES:
            known.update(beside)
        return True


@lru_cache(maxsize=256)
def path_lengths(count: int) -> tuple[int, ...]:
    """How many bytes the path of each leaf of a tree has."""
    return tuple(_path_length(index, count) for index in range(count))


def _path_length(index: int, count: int) -> int:
    length, last = 0, count - 1
    while last:
        if index & 1 or index < last:
            length += HASH_BYTES
        index >>= 1
        last >>= 1
    return length
