"""The tree of a batch, against the recursive definition of RFC 6962."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.keys.merkle import ProvenTree, Tree


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
    paths = tree.paths()
    for index in range(0, count, 1 + count // 40):
        assert paths[index] == rfc_path(index, leaves)
        fresh = ProvenTree(tree.root, count)
        assert fresh.fits(index, paths[index])
        assert fresh.holds(leaves[index], index, paths[index])


@given(st.data())
def test_path_leads_to_the_root_from_its_own_place_only(data: st.DataObject) -> None:
    """A path for another place, of another length or with an altered hash does not lead to the root."""
    count = data.draw(st.integers(2, 80))
    index = data.draw(st.integers(0, count - 1))
    leaves = leaves_of(count)
    tree = Tree(leaves)
    path = tree.paths()[index]
    other = data.draw(st.integers(-1, count + 3).filter(lambda place: place != index))
    flipped = data.draw(st.integers(0, len(path) - 1))
    altered = bytes(byte ^ (place == flipped) for place, byte in enumerate(path))
    proven = ProvenTree(tree.root, count)

    assert not (proven.fits(other, path) and proven.holds(leaves[index], other, path))
    assert not proven.fits(index, path[:-32])
    assert not proven.fits(index, path + bytes(32))
    assert not proven.fits(index, path[:-1])
    assert not proven.holds(leaves[index], index, altered)


@given(st.data())
def test_what_is_known_changes_no_verdict(data: st.DataObject) -> None:
    """In any order, with forged leaves and altered paths in between: a leaf holds if and only if it is the tree's.

    A path may be altered above what is known already, and then is not looked at.
    """
    count = data.draw(st.integers(2, 70))
    leaves = leaves_of(count)
    tree = Tree(leaves)
    paths = tree.paths()
    proven = ProvenTree(tree.root, count)

    for index in data.draw(st.lists(st.integers(0, count - 1), max_size=2 * count)):
        match data.draw(st.sampled_from(["right", "right", "forged leaf", "altered path", "another's leaf"])):
            case "right":
                assert proven.holds(leaves[index], index, paths[index])
            case "forged leaf":
                assert not proven.holds(sha256(b"forged").digest(), index, paths[index])
            case "another's leaf":
                other = data.draw(st.integers(0, count - 1))
                assert proven.holds(leaves[other], index, paths[index]) == (other == index)
            case _:
                altered = bytes(len(paths[index]))
                if proven.holds(leaves[index], index, altered):  # the genuine leaf, and it poisons nothing
                    assert proven.holds(leaves[index], index, paths[index])
                assert not proven.holds(sha256(b"forged").digest(), index, altered)


def test_leaves_in_order_need_little_memory_and_few_hashes() -> None:
    """One node for each level at most, not one for each leaf."""
    leaves = leaves_of(1024)
    tree = Tree(leaves)
    proven = ProvenTree(tree.root, 1024)
    most = 0
    for index, path in enumerate(tree.paths()):
        assert proven.holds(leaves[index], index, path)
        most = max(most, len(proven._known))

    assert most <= 10
    assert not proven._known


def test_tree_without_leaves() -> None:
    """There is no tree of nothing."""
    with pytest.raises(ValueError, match="at least one leaf"):
        Tree([])
