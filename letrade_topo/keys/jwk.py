"""One key as a JSON Web Key (RFC 7517, 8037), public or private, checked member by member.

Beside the registered members, a public key here says whose it is and for how long; see `PublicKey`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePrivateNumbers,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from letrade_topo.keys import base64url
from letrade_topo.keys.jws import KID, LONGEST_KID, SigningPrivateKey, SigningPublicKey
from letrade_topo.model.messages import Json
from letrade_topo.model.security import JwtAlgorithm

ENCRYPTION_ALGORITHM: Final = "ECDH-ES+A256KW"
PRIVATE_MEMBERS: Final = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
"""Members that only a private or a symmetric key has (RFC 7518, 6)."""

_COORDINATE_BYTES = 32
_LATEST_SECONDS = 2**53 - 1


class Use(StrEnum):
    """What a key is for (RFC 7517, 4.2)."""

    SIGNATURE = "sig"
    ENCRYPTION = "enc"


class Role(StrEnum):
    """As what the owner of a key acts."""

    SERVICE = "service"
    REPLAY = "replay"
    MOVE = "move"
    DEAD_LETTER = "dead-letter"


class InvalidKey(ValueError):
    """A JWK is not one; the message says why and holds nothing of the key."""


@dataclass(frozen=True, slots=True)
class Validity:
    """For how long a key is what; all in seconds since the epoch, None: no such moment.

    Args:
        created_at: for people.
        active_from: the owner signs with it, others encrypt to it, from then on. Before, it is published only.
        retired_at: what it signs from then on is refused, and nobody encrypts to it any more.
        forgotten_at: it verifies and decrypts nothing from then on, and may be deleted.
    """

    created_at: int
    active_from: int | None = None
    retired_at: int | None = None
    forgotten_at: int | None = None

    def is_active(self, now: float) -> bool:
        """Whether new things may be made with it."""
        return (self.active_from or 0) <= now and not self.is_retired(now)

    def is_retired(self, now: float) -> bool:
        """Whether what is made with it now is refused."""
        return self.retired_at is not None and now >= self.retired_at

    def is_forgotten(self, now: float) -> bool:
        """Whether it is as if it had never been."""
        return self.forgotten_at is not None and now >= self.forgotten_at


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key of the key set.

    Args:
        kid: `<issuer>:<id>`.
        issuer: whose key it is, member `iss`.
        role: as what the issuer acts.
        use: signatures or encryption.
        algorithm: the only one that it is used with.
        key: the key itself.
        validity: for how long it is what.
    """

    kid: str
    issuer: str
    role: Role
    use: Use
    algorithm: str
    key: SigningPublicKey
    validity: Validity


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A private key of its own file.

    Args:
        kid: of its public half.
        use: signatures or encryption.
        algorithm: the only one that it is used with.
        key: the key itself.
    """

    kid: str
    use: Use
    algorithm: str
    key: SigningPrivateKey = field(repr=False, compare=False)


_Curve: TypeAlias = tuple[str, str]
_CURVES: Mapping[tuple[str, str], _Curve] = {
    (Use.SIGNATURE, JwtAlgorithm.ES256): ("EC", "P-256"),
    (Use.SIGNATURE, JwtAlgorithm.EDDSA): ("OKP", "Ed25519"),
    (Use.ENCRYPTION, ENCRYPTION_ALGORITHM): ("EC", "P-256"),
}
"""Which key an algorithm takes; no other algorithm exists here."""


def parse_public(members: Mapping[str, Json]) -> PublicKey:
    """Read a public JWK. Members that mean nothing here are ignored (RFC 7517, 4).

    Raises:
        InvalidKey: a member is missing or wrong, or the key is private.
    """
    secret = sorted(PRIVATE_MEMBERS & members.keys())
    if secret:
        raise InvalidKey(f"it has the private member {secret[0]!r}; private keys do not belong into the public file")
    kid, use, algorithm = _kid(members), _use(members), _text(members, "alg")
    issuer = _text(members, "iss")
    if kid.rpartition(":")[0] != issuer:
        raise InvalidKey(f"its `kid` belongs to another issuer than its `iss`, {issuer!r}")
    return PublicKey(kid, issuer, _role(members), use, algorithm, _public(members, use, algorithm), _validity(members))


def parse_private(members: Mapping[str, Json]) -> PrivateKey:
    """Read a private JWK.

    Raises:
        InvalidKey: a member is missing or wrong, or its two halves do not belong together.
    """
    kid, use, algorithm = _kid(members), _use(members), _text(members, "alg")
    public = _public(members, use, algorithm)
    secret = _coordinate(members, "d")
    try:
        private = _private(public, secret)
    except ValueError:
        raise InvalidKey("its private half is not a key of its curve") from None
    if private.public_key() != public:
        raise InvalidKey("its private and its public half do not belong together")
    return PrivateKey(kid, use, algorithm, private)


def write_public(public: PublicKey) -> dict[str, Json]:
    """The JWK of a public key."""
    members: dict[str, Json] = {
        "kid": public.kid,
        "iss": public.issuer,
        "role": public.role.value,
        "use": public.use.value,
        "alg": str(public.algorithm),
        **_point(public.key),
    }
    for name in ("created_at", "active_from", "retired_at", "forgotten_at"):
        moment: int | None = getattr(public.validity, name)
        if moment is not None:
            members[name] = moment
    return members


def write_private(private: PrivateKey) -> dict[str, Json]:
    """The JWK of a private key: a secret."""
    if isinstance(private.key, Ed25519PrivateKey):
        secret = private.key.private_bytes_raw()
    else:
        secret = private.key.private_numbers().private_value.to_bytes(_COORDINATE_BYTES, "big")
    return {
        "kid": private.kid,
        "use": private.use.value,
        "alg": str(private.algorithm),
        **_point(private.key.public_key()),
        "d": base64url.encode(secret).decode(),
    }


def thumbprint(key: SigningPublicKey) -> str:
    """The SHA-256 thumbprint of a key (RFC 7638, 3)."""
    text = json.dumps(_point(key), sort_keys=True, separators=(",", ":"))
    return base64url.encode(sha256(text.encode()).digest()).decode()


def write_point(key: EllipticCurvePublicKey) -> dict[str, Json]:
    """The members of a JWK that make a public key on P-256 (RFC 7518, 6.2.1)."""
    numbers = key.public_numbers()
    x, y = (base64url.encode(part.to_bytes(_COORDINATE_BYTES, "big")).decode() for part in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def parse_point(members: Mapping[str, Json]) -> EllipticCurvePublicKey:
    """The public key on P-256 of these members; others are not looked at.

    Raises:
        InvalidKey: it is none.
    """
    if (members.get("kty"), members.get("crv")) != ("EC", "P-256"):
        raise InvalidKey("its curve is not P-256")
    x, y = (int.from_bytes(_coordinate(members, name), "big") for name in ("x", "y"))
    try:
        return EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key()
    except ValueError:
        raise InvalidKey("its point is not on the curve") from None


def _point(key: SigningPublicKey) -> dict[str, Json]:
    if isinstance(key, Ed25519PublicKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(key.public_bytes_raw()).decode()}
    return write_point(key)


def _public(members: Mapping[str, Json], use: Use, algorithm: str) -> SigningPublicKey:
    curve = _CURVES.get((use, algorithm))
    if curve is None:
        possible = ", ".join(known for purpose, known in _CURVES if purpose == use)
        raise InvalidKey(f"its `alg` is {algorithm!r}; possible for use {use.value!r}: {possible}")
    found = (_text(members, "kty"), _text(members, "crv"))
    if found != curve:
        raise InvalidKey(f"its curve is {found[0]} {found[1]}, and {algorithm} takes {curve[0]} {curve[1]}")
    if curve[0] == "OKP":
        return Ed25519PublicKey.from_public_bytes(_coordinate(members, "x"))
    return parse_point(members)


def _private(public: SigningPublicKey, secret: bytes) -> SigningPrivateKey:
    if isinstance(public, EllipticCurvePublicKey):
        numbers = EllipticCurvePrivateNumbers(int.from_bytes(secret, "big"), public.public_numbers())
        key: EllipticCurvePrivateKey = numbers.private_key()
        return key
    return Ed25519PrivateKey.from_private_bytes(secret)


def _kid(members: Mapping[str, Json]) -> str:
    kid = _text(members, "kid")
    if len(kid) > LONGEST_KID or KID.fullmatch(kid) is None:
        raise InvalidKey("its `kid` is not of the form <issuer>:<id>")
    return kid


def _use(members: Mapping[str, Json]) -> Use:
    use = _text(members, "use")
    if use not in Use.__members__.values():
        raise InvalidKey("its `use` is neither sig nor enc")
    return Use(use)


def _role(members: Mapping[str, Json]) -> Role:
    role = _text(members, "role")
    if role not in Role.__members__.values():
        raise InvalidKey(f"its `role` is none of {', '.join(Role)}")
    return Role(role)


def _validity(members: Mapping[str, Json]) -> Validity:
    moments = [_moment(members, name) for name in ("created_at", "active_from", "retired_at", "forgotten_at")]
    return Validity(moments[0] or 0, *moments[1:])


def _moment(members: Mapping[str, Json], name: str) -> int | None:
    value = members.get(name)
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= _LATEST_SECONDS:
        raise InvalidKey(f"its `{name}` is not a number of seconds since the epoch")
    return value


def _text(members: Mapping[str, Json], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str):
        raise InvalidKey(f"its `{name}` is missing or is not a text")
    return value


def _coordinate(members: Mapping[str, Json], name: str) -> bytes:
    """Of 32 bytes for each of our curves; a shorter text is refused (RFC 7518, 6.2.1.2)."""
    text = _text(members, name)
    data = base64url.decode(text.encode()) if text.isascii() else None
    if data is None or len(data) != _COORDINATE_BYTES:
        raise InvalidKey(f"its `{name}` is not base64url of {_COORDINATE_BYTES} bytes")
    return data
