"""Base64url without padding (RFC 7515, 2), one text for each sequence of bytes.

Python's decoder skips characters that it does not know and ignores left-over bits, so that many texts would
mean the same bytes, and a signed token could be altered without harm to its signature.
"""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64

_TO_STANDARD = bytes.maketrans(b"-_+/", b"+/!!")
"""Characters that do not belong there become such that Python's decoder skips, so that the length gives them away."""
_TO_URL = bytes.maketrans(b"+/", b"-_")
_LAST = (None, b"", b"AQgw", b"AEIMQUYcgkosw048")
"""By the length's remainder: how a text may end that leaves no bits over."""


def encode(data: bytes) -> bytes:
    """The text of some bytes, as ASCII."""
    return b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL)


def decode(text: bytes) -> bytes | None:
    """The bytes of a text; None when `encode` would not have written it so."""
    length = len(text)
    last = _LAST[length & 3]
    if last is not None and text[-1] not in last:
        return None
    try:
        data = a2b_base64(text.translate(_TO_STANDARD) + b"==")
    except Error:
        return None
    return data if len(data) == length * 3 >> 2 else None
