"""The tree of a batch, against the recursive definition of RFC 6962."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.keys.merkle import Tree, root_of_path


def rfc_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1, from leaf hashes on."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + rfc_root(leaves[:k]) + rfc_root(leaves[k:])).digest()


def rfc_path(index: int, leaves: list[bytes]) -> bytes:
    """PATH of RFC 6962, 2.1.1."""
    if len(leaves) == 1:
        return b""
    k = 1 << (len(leaves) - 1).bit_length() - 1
    if index < k:
        return rfc_path(index, leaves[:k]) + rfc_root(leaves[k:])
    return rfc_path(index - k, leaves[k:]) + rfc_root(leaves[:k])


def leaves_of(count: int) -> list[bytes]:
    """Different leaves."""
    return [sha256(b"%d" % index).digest() for index in range(count)]


@pytest.mark.parametrize("count", [*range(1, 70), 127, 128, 129, 1023, 1024])
def test_shape_is_that_of_the_rfc(count: int) -> None:
    """Root and every path are those of RFC 6962, and each path leads to the root."""
    leaves = leaves_of(count)
    tree = Tree(leaves)

    assert tree.root == rfc_root(leaves)
    for index in range(0, count, 1 + count // 40):
        path = tree.path(index)
        assert path == rfc_path(index, leaves)
        assert root_of_path(leaves[index], index, count, path) == tree.root


@given(st.data())
def test_path_leads_to_the_root_from_its_own_place_only(data: st.DataObject) -> None:
    """A path for another place, of another length or with an altered hash does not lead to the root."""
    count = data.draw(st.integers(2, 80))
    index = data.draw(st.integers(0, count - 1))
    leaves = leaves_of(count)
    tree = Tree(leaves)
    path = tree.path(index)
    other = data.draw(st.integers(-1, count + 3).filter(lambda place: place != index))
    flipped = data.draw(st.integers(0, len(path) - 1)) if path else 0
    altered = bytes(byte ^ (place == flipped) for place, byte in enumerate(path))

    assert root_of_path(leaves[index], other, count, path) != tree.root
    assert root_of_path(leaves[index], index, count, path[:-32]) is None
    assert root_of_path(leaves[index], index, count, path + bytes(32)) is None
    assert root_of_path(leaves[index], index, count, path[:-1]) is None
    assert root_of_path(leaves[index], index, count, altered) != tree.root


def test_tree_without_leaves() -> None:
    """There is no tree of nothing."""
    with pytest.raises(ValueError, match="at least one leaf"):
        Tree([])
