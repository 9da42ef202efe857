"""Password hashes: RabbitMQ's own example, and agreement with real brokers."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.broker.passwords import HASHING_ALGORITHM, hash_password, matches
from tests.brokers import RunningBroker

EXAMPLE = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
"""Of `test12`, in RabbitMQ's documentation (passwords.md)."""


def test_the_documentations_example() -> None:
    """The same salt gives the documented hash, and the hash is recognised."""
    assert hash_password("test12", base64.b64decode(EXAMPLE)[:4]) == EXAMPLE
    assert matches("test12", EXAMPLE, HASHING_ALGORITHM)
    assert not matches("test13", EXAMPLE, HASHING_ALGORITHM)


@given(st.text(), st.text(), st.binary(min_size=4, max_size=4))
def test_a_hash_matches_its_password_alone(plain: str, other: str, salt: bytes) -> None:
    """Whatever the password and the salt."""
    stored = hash_password(plain, salt)

    assert matches(plain, stored, HASHING_ALGORITHM)
    assert matches(other, stored, HASHING_ALGORITHM) == (plain == other)


@pytest.mark.parametrize("digest", ["sha256", "sha512", "md5"])
def test_every_algorithm_of_rabbitmq_is_known(digest: str) -> None:
    """sha512 and md5 differ from sha256 in the digest alone; one is not taken for another."""
    stored = base64.b64encode(b"salt" + hashlib.new(digest, b"salt" + "비밀".encode()).digest()).decode()

    for algorithm in ("sha256", "sha512", "md5"):
        assert matches("비밀", stored, f"rabbit_password_hashing_{algorithm}") == (algorithm == digest)


@pytest.mark.parametrize(
    ("stored", "algorithm"),
    [
        (EXAMPLE, "my_own_hashing_module"),
        (EXAMPLE, ""),
        ("", HASHING_ALGORITHM),
        ("not base64!", HASHING_ALGORITHM),
        ("ümlaut", HASHING_ALGORITHM),
        (EXAMPLE[:8], HASHING_ALGORITHM),
    ],
)
def test_what_cannot_be_checked_does_not_match(stored: str, algorithm: str) -> None:
    """An unknown algorithm, no password, a broken hash: the password is then written anew."""
    assert not matches("test12", stored, algorithm)


@pytest.mark.parametrize("salt", [b"", b"abc", b"abcde"])
def test_a_salt_has_four_bytes(salt: bytes) -> None:
    """Another length would give a hash that the broker reads wrongly."""
    with pytest.raises(ValueError, match="4 bytes"):
        hash_password("x", salt)


def test_a_hash_of_the_broker_is_recognised(broker: RunningBroker) -> None:
    """The administrator's stored hash matches the administrator's password and no other."""
    stored = broker.api("GET", f"/api/users/{broker.username}").json()

    assert matches(broker.password, stored["password_hash"], stored["hashing_algorithm"])
    assert not matches(broker.password + "x", stored["password_hash"], stored["hashing_algorithm"])
