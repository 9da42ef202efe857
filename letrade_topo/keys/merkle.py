"""The Merkle tree of a batch, in the shape of RFC 6962 (2.1): a left-over node rises a level unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

NODE_PREFIX = b"\x01"
HASH_BYTES = 32


def node_hash(left: bytes, right: bytes) -> bytes:
    """The node above two."""
    return sha256(NODE_PREFIX + left + right).digest()


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
            above = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
            if len(level) % 2:
                above.append(level[-1])
            level = above
            self._levels.append(level)

    @property
    def root(self) -> bytes:
        """The hash over all leaves."""
        return self._levels[-1][0]

    def path(self, index: int) -> bytes:
        """The hashes beside the way from a leaf to the root, joined, leaf upward (RFC 6962, 2.1.1)."""
        siblings = []
        for level in self._levels[:-1]:
            sibling = index ^ 1
            if sibling < len(level):
                siblings.append(level[sibling])
            index >>= 1
        return b"".join(siblings)


def root_of_path(leaf: bytes, index: int, count: int, path: bytes) -> bytes | None:
    """The root that a leaf and its path lead to (RFC 9162, 2.1.3.2).

    Args:
        leaf: the hash at the bottom.
        index: its place, from 0.
        count: how many leaves the tree has.
        path: as from `Tree.path`.

    Returns:
        The root, or None when a path from this place has another length.
    """
    if not 0 <= index < count or len(path) % HASH_BYTES:
        return None
    result, last, offset = leaf, count - 1, 0
    while last:
        is_right = index & 1
        if is_right or index < last:  # else it is a left-over node and rises unchanged
            sibling = path[offset : offset + HASH_BYTES]
            offset += HASH_BYTES
            result = sha256(NODE_PREFIX + (sibling + result if is_right else result + sibling)).digest()
        index >>= 1
        last >>= 1
    return result if offset == len(path) else None  # a path that ended too early went on with nothing
