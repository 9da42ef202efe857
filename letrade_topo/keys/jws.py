"""JWS in compact form, only as far as message tokens need it (RFC 7515, 3.1).

Own code rather than a JOSE library: general libraries have let the token choose its algorithm and ignored
critical members. Here the key decides the algorithm, and a header holds `alg`, `kid` and `typ` and nothing
else. Which claims are in the payload is not known here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from letrade_topo.keys import base64url
from letrade_topo.keys.strict_json import NotAnObject, parse_object
from letrade_topo.model.security import JwtAlgorithm

SigningPrivateKey: TypeAlias = EllipticCurvePrivateKey | Ed25519PrivateKey
SigningPublicKey: TypeAlias = EllipticCurvePublicKey | Ed25519PublicKey

LONGEST_TOKEN_BYTES = 4096
LONGEST_KID = 128
KID = re.compile(r"(?P<issuer>[A-Za-z0-9_][A-Za-z0-9_.-]*):(?P<id>[A-Za-z0-9_-]+)")

_MEMBERS = frozenset(("alg", "kid", "typ"))
_HALF_SIGNATURE_BYTES = 32
_ES256 = ECDSA(Prehashed(SHA256()))
"""The digest comes from `hashlib`: OpenSSL looks its own up for each signature, which takes longer than to make it."""


class Malformed(NamedTuple):
    """A text is not what it should be.

    Args:
        why: in words; never holds the text itself.
    """

    why: str


@dataclass(frozen=True, slots=True)
class Header:
    """The JOSE header of a token."""

    alg: str
    kid: str
    typ: str


class Compact(NamedTuple):
    """A token, taken apart and not yet verified. A named tuple, as one is made for each message.

    Args:
        header: the JOSE header.
        payload: the claims, as bytes.
        signature: the raw signature; may be empty.
        signing_input: the bytes that the signature covers.
    """

    header: Header
    payload: bytes
    signature: bytes
    signing_input: bytes


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key that signs tokens.

    Args:
        kid: `<issuer>:<id>`.
        issuer: who signs with it.
        algorithm: the one algorithm it signs with.
        private: the key itself.
    """

    kid: str
    issuer: str
    algorithm: JwtAlgorithm
    private: SigningPrivateKey = field(repr=False, compare=False)

    def sign(self, data: bytes) -> bytes:
        """The raw signature: for ES256 r and s, 32 bytes each (RFC 7518, 3.4)."""
        if isinstance(self.private, Ed25519PrivateKey):
            return self.private.sign(data)
        return raw_signature(self.private.sign(sha256(data).digest(), _ES256))


def raw_signature(der: bytes) -> bytes:
    """An ECDSA signature as JOSE wants it, from the form that OpenSSL gives."""
    r, s = decode_dss_signature(der)
    return r.to_bytes(_HALF_SIGNATURE_BYTES, "big") + s.to_bytes(_HALF_SIGNATURE_BYTES, "big")


def signature_holds(key: SigningPublicKey, signature: bytes, data: bytes) -> bool:
    """Whether a raw signature of `data` was made with the private half of `key`."""
    if len(signature) != 2 * _HALF_SIGNATURE_BYTES:
        return False
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, data)
        else:
            r = int.from_bytes(signature[:_HALF_SIGNATURE_BYTES], "big")
            s = int.from_bytes(signature[_HALF_SIGNATURE_BYTES:], "big")
            key.verify(encode_dss_signature(r, s), sha256(data).digest(), _ES256)
    except InvalidSignature:
        return False
    return True


def write_header(algorithm: JwtAlgorithm, kid: str, typ: str) -> bytes:
    """The first segment of a token."""
    return base64url.encode(
        json.dumps({"alg": algorithm.value, "kid": kid, "typ": typ}, separators=(",", ":")).encode()
    )


def write_compact(key: SigningKey, header: bytes, payload: bytes) -> bytes:
    """Sign a payload.

    Args:
        key: the key that `header` names.
        header: from `write_header`.
        payload: the claims.
    """
    signing_input = header + b"." + base64url.encode(payload)
    return signing_input + b"." + base64url.encode(key.sign(signing_input))


def parse_compact(token: bytes) -> Compact | Malformed:
    """Take a token apart; nothing is verified."""
    if len(token) > LONGEST_TOKEN_BYTES:
        return Malformed(f"it has {len(token)} bytes, and at most {LONGEST_TOKEN_BYTES} are possible")
    segments = token.split(b".")
    if len(segments) != 3:
        return Malformed(f"it has {len(segments)} segments instead of three")
    header = _parse_header(segments[0])
    if isinstance(header, Malformed):
        return header
    payload, signature = base64url.decode(segments[1]), base64url.decode(segments[2])
    if payload is None or signature is None:
        return Malformed("its payload or its signature is not base64url")
    return Compact(header, payload, signature, token[: -len(segments[2]) - 1])


@lru_cache(maxsize=1024)
def _parse_header(segment: bytes) -> Header | Malformed:
    """Cached: all tokens of one key have the same."""
    text = base64url.decode(segment)
    if text is None:
        return Malformed("its header is not base64url")
    try:
        members = parse_object(text)
    except NotAnObject as error:
        return Malformed(f"its header is refused: {error}")
    if members.keys() != _MEMBERS:
        return Malformed("its header has to hold alg, kid and typ and nothing else")
    alg, kid, typ = members["alg"], members["kid"], members["typ"]
    if not (isinstance(alg, str) and isinstance(kid, str) and isinstance(typ, str)):
        return Malformed("a member of its header is not a text")
    if len(kid) > LONGEST_KID or KID.fullmatch(kid) is None:
        return Malformed("its kid is not of the form <issuer>:<id>")
    return Header(alg, kid, typ)
