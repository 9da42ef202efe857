"""Base64url without padding (RFC 7515, 2), one text for each sequence of bytes.

Python's decoder skips characters that it does not know and ignores left-over bits, so that many texts would
mean the same bytes, and a signed token could be altered without harm to its signature.
"""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64

_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_TO_URL = bytes.maketrans(b"+/", b"-_")


def encode(data: bytes) -> bytes:
    """The text of some bytes, as ASCII."""
    return b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL)


def decode(text: bytes) -> bytes | None:
    """The bytes of a text; None when `encode` would not have written it so."""
    try:
        data = a2b_base64(text.translate(_TO_STANDARD) + b"==")
    except Error:
        return None
    return data if encode(data) == text else None
