"""RabbitMQ's password hashes: making one, and telling whether a password is the stored one. Pure.

A hash is base64(salt ‖ digest(salt ‖ UTF-8 of the password)) with a salt of four bytes (RabbitMQ:
passwords.md, "This is the Algorithm"). Fast hashes, no key stretching: that is the broker's choice.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

SALT_BYTES = 4
HASHING_ALGORITHM = "rabbit_password_hashing_sha256"
"""Of the hashes made here: the default of every version from 3.6."""

_DIGESTS: Mapping[str, str] = {
    HASHING_ALGORITHM: "sha256",
    "rabbit_password_hashing_sha512": "sha512",
    "rabbit_password_hashing_md5": "md5",  # users of before 3.6
}


_MODULE_PREFIX = "rabbit_password_hashing_"


def parse_hash(text: str, algorithm: str) -> tuple[str, str]:
    """A hash and RabbitMQ's name of its algorithm, of a text as people keep it.

    Args:
        text: `rabbit_password_hashing_sha256:BASE64`, or the base64 alone.
        algorithm: of the latter, for example `sha256`.

    Raises:
        ValueError: it is none; says why without quoting it.
    """
    module, colon, encoded = text.strip().rpartition(":")
    if not colon:
        module = f"{_MODULE_PREFIX}{algorithm}"
    if module not in _DIGESTS:
        raise ValueError(f"what stands before its colon is none of {', '.join(_DIGESTS)}")
    if not is_base64(encoded):
        raise ValueError("it is not base64, as RabbitMQ exports hashes")
    return encoded, module


def can_match(password_hash: str, algorithm: str) -> bool:
    """Whether any password has this hash: it is as long as a salt and a digest of that algorithm.

    Args:
        password_hash: as a broker or a file has it; what is not base64 is none.
        algorithm: RabbitMQ's module name; the default one if empty.
    """
    if not is_base64(password_hash):
        return False
    name = _DIGESTS.get(algorithm or HASHING_ALGORITHM)
    if name is None:
        return True  # of a plug-in
    size = hashlib.new(name, usedforsecurity=False).digest_size
    return len(base64.b64decode(password_hash)) == SALT_BYTES + size


def is_base64(text: str) -> bool:
    """Whether a broker could store a text as a hash."""
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def hash_password(plain: str, salt: bytes) -> str:
    """The hash that RabbitMQ stores, to be sent along with `HASHING_ALGORITHM`.

    Args:
        plain: the password.
        salt: four bytes, random and new for each password.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
    return base64.b64encode(salt + _digest("sha256", salt, plain)).decode("ascii")


def matches(plain: str, password_hash: str, algorithm: str) -> bool:
    """Whether a stored hash is of this password.

    Args:
        plain: the password.
        password_hash: as the broker lists it; empty for a user without a password.
        algorithm: RabbitMQ's module name; one that is not known here matches nothing.
    """
    name = _DIGESTS.get(algorithm)
    if name is None:
        return False
    try:
        stored = base64.b64decode(password_hash, validate=True)
    except (binascii.Error, ValueError):
        return False
    salt, digest = stored[:SALT_BYTES], stored[SALT_BYTES:]
    return hmac.compare_digest(digest, _digest(name, salt, plain))


def _digest(name: str, salt: bytes, plain: str) -> bytes:
    return hashlib.new(name, salt + plain.encode(), usedforsecurity=False).digest()
