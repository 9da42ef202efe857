"""Base64url: one text for each sequence of bytes."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.keys import base64url


@given(st.binary(max_size=200))
def test_round_trip(data: bytes) -> None:
    """What is written is read, and is what Python's own encoder writes, without padding."""
    text = base64url.encode(data)

    assert text == base64.urlsafe_b64encode(data).rstrip(b"=")
    assert base64url.decode(text) == data


@given(st.binary(max_size=40))
def test_any_text_is_canonical_or_refused(text: bytes) -> None:
    """No two texts mean the same bytes."""
    data = base64url.decode(text)

    assert data is None or base64url.encode(data) == text


@pytest.mark.parametrize("text", [b"YQ==", b"YR", b"+w", b"/w", b"Y", b"YQ\n", b" YQ", b"Y\xc3\xa4", b"YQ.YQ", b"="])
def test_lenient_forms_are_refused(text: bytes) -> None:
    """Padding, left-over bits, the other alphabet, white space and half a byte are refused."""
    assert base64url.decode(text) is None
