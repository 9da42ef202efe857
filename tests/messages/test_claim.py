"""Claim stubs: read strictly, written so that they are read again; names of objects that nobody can choose."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.keys.reasons import Reason
from letrade_topo.messages.claim import (
    RANDOM_BYTES,
    Claim,
    NoClaim,
    check_object,
    object_name,
    object_prefix,
    parse_claim,
)
from tests.keys.world import NOW, topology

NAME = f"test/t/shop/2026-11-23/{'0123456789abcdef' * 2}"
GOOD = {"object": NAME, "sha256": "a" * 64, "size": 5, "expires": 1_800_000_000}


@given(
    size=st.integers(1, 2**40),
    expires=st.integers(1, 2**40),
    random=st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES),
    content_type=st.none() | st.binary(max_size=255),
    parts=st.tuples(*[st.text(max_size=20)] * 3),
)
def test_what_is_written_is_read(
    size: int, expires: int, random: bytes, content_type: bytes | None, parts: tuple[str, str, str]
) -> None:
    """Whatever environment, topology and service are called: three steps, a day, a number, and no way out of them."""
    environment, name, service = parts
    prefix = object_prefix(replace(topology(), environment=environment, name=name), service)
    claim = Claim(object_name(prefix, NOW, random), "0f" * 32, size, expires, content_type)

    assert parse_claim(claim.encode()) == claim
    assert claim.object.count("/") == 4
    assert not {".", ".."} & set(claim.object.split("/"))


@given(st.binary(max_size=300))
def test_any_bytes(body: bytes) -> None:
    """Are a stub, or said not to be."""
    assert isinstance(parse_claim(body), (Claim, NoClaim))


@pytest.mark.parametrize(
    "change",
    [
        {"object": "/etc/passwd"},
        {"object": f"../{NAME}"},
        {"object": NAME.replace("shop", "..")},
        {"object": NAME.replace("shop", "a/b")},
        {"object": NAME.upper()},
        {"object": NAME[:-1]},
        {"object": NAME.replace("2026-11-23", "2026-11")},
        {"object": NAME + "\n"},
        {"object": NAME.replace("2026-11-23", "２０２６-11-23")},
        {"sha256": "A" * 64},
        {"sha256": "a" * 63},
        {"size": 0},
        {"size": -1},
        {"size": 1.5},
        {"size": "5"},
        {"size": True},
        {"expires": 0},
        {"content_type": "한"},
        {"more": 1},
        {"object": None},
    ],
    ids=str,
)
def test_what_no_agent_writes(change: dict[str, object]) -> None:
    """Names that lead elsewhere, digests and sizes that cannot be, members that nobody knows."""
    assert isinstance(parse_claim(json.dumps(GOOD).encode()), Claim)
    assert isinstance(parse_claim(json.dumps(GOOD | change).encode()), NoClaim)


def test_missing_members_and_length() -> None:
    """All but the content type have to be there; no stub is long."""
    for name in GOOD:
        assert isinstance(parse_claim(json.dumps({k: v for k, v in GOOD.items() if k != name}).encode()), NoClaim)
    assert isinstance(parse_claim(json.dumps(GOOD).encode() + b" " * 5000), NoClaim)


def test_names_do_not_repeat_and_do_not_say_who() -> None:
    """The day it was written, and a number; of the message nothing."""
    name = object_name("test/t/shop", 1_795_000_000.0, b"\xff" * RANDOM_BYTES)
    assert name == f"test/t/shop/2026-11-18/{'f' * 32}"


def test_objects_are_compared() -> None:
    """Size, then digest."""
    body = b"hello"
    claim = Claim(NAME, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", 5, 1)
    assert check_object(claim, body) is None
    found = [check_object(claim, other) for other in (None, b"hell", b"hello!", b"hellO", b"")]
    assert [one and one.reason for one in found] == [Reason.CLAIM_MISSING, *[Reason.CLAIM_ALTERED] * 4]
    assert found[2] is not None
    assert found[2].why.endswith("has more than 5 bytes instead of 5")
