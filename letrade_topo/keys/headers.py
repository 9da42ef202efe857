"""The headers of agents: those that carry tokens are gathered from a message, their texts read and written."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from letrade_topo.keys import base64url
from letrade_topo.keys.jws import Malformed

JWS_HEADER: Final = b"letrade-jws"
PROOF_HEADER: Final = b"letrade-proof"
TO_HEADER: Final = b"letrade-to"
HOP_HEADER: Final = b"letrade-hop"
REASON_HEADER: Final = b"letrade-reason"
"""Why a message did not stay where it was: the word."""
ATTEMPT_HEADER: Final = b"letrade-attempt"
"""Which attempt it is; what the hop says, for whoever reads no token."""
USER_HEADER: Final = b"letrade-orig-user-id"
"""The property `user_id` that it was published with, which a copy cannot have."""
COPY_HEADERS: Final = (b"CC", b"BCC")
"""A copy would reach a queue under the original key, past what the token says."""

_PLACES = {JWS_HEADER: 0, TO_HEADER: 1, PROOF_HEADER: 2, HOP_HEADER: 3} | dict.fromkeys(COPY_HEADERS, 4)

RESERVED_HEADERS: Final = frozenset((b"x-death", b"x-delivery-count", b"x-acquired-count"))
RESERVED_PREFIXES: Final = (b"letrade-", b"x-first-death-", b"x-last-death-")
"""A publisher's own copies of these are stripped: they are the agent's, or the broker's."""

LONGEST_PROOF_BYTES = 1024
_LONGEST_NAME_BYTES = 255
"""An AMQP short string."""

_LONGEST_TO_BYTES = 2 * 340 + 1
"""Two of them in base64url, and the dot."""

_INDEXES: Final = {b"%d" % index: index for index in range(1_024)}
"""How each index of a batch is written: in decimal, without leading zeros."""
_MOST_INDEX_DIGITS = 4


class TokenHeaders(NamedTuple):
    """What a message carries; each header as often as it is there.

    A value is None when its AMQP type is neither long string nor binary (brokers may convert one to the other).

    Args:
        jws: values of `letrade-jws`.
        to: values of `letrade-to`.
        proof: values of `letrade-proof`.
        hop: values of `letrade-hop`.
        has_copies: whether there is a header `CC` or `BCC`.
    """

    jws: tuple[bytes | None, ...] = ()
    to: tuple[bytes | None, ...] = ()
    proof: tuple[bytes | None, ...] = ()
    hop: tuple[bytes | None, ...] = ()
    has_copies: bool = False

    @classmethod
    def gather(cls, entries: Iterable[tuple[bytes, bytes | None]]) -> TokenHeaders:
        """Pick them from all headers of a message, given as name and value (None: of another AMQP type)."""
        found: list[tuple[bytes | None, ...]] = [(), (), (), (), ()]
        for name, value in entries:
            place = _PLACES.get(name)
            if place is not None:
                found[place] += (value,)
        jws, to, proof, hop, copies = found
        return cls(jws, to, proof, hop, bool(copies))


class SignedHeaders(NamedTuple):
    """What is added to a message when it is published; long strings."""

    jws: bytes
    to: bytes
    proof: bytes | None = None

    def entries(self) -> tuple[tuple[bytes, bytes], ...]:
        """As header names and values."""
        if self.proof is None:
            return (JWS_HEADER, self.jws), (TO_HEADER, self.to)
        return (JWS_HEADER, self.jws), (TO_HEADER, self.to), (PROOF_HEADER, self.proof)


class Destination(NamedTuple):
    """Where a message was published to, as its `letrade-to` says."""

    exchange: bytes
    routing_key: bytes


class Proof(NamedTuple):
    """The place of a message in its batch, and the hashes beside its way to the root."""

    leaf_index: int
    path: bytes


def is_reserved(name: bytes) -> bool:
    """Whether a publisher may not set this header."""
    return name in RESERVED_HEADERS or name.startswith(RESERVED_PREFIXES)


@lru_cache(maxsize=4096)
def write_to(exchange: bytes, routing_key: bytes) -> bytes:
    """The text of `letrade-to`. Cached: a service publishes to few destinations."""
    return base64url.encode(exchange) + b"." + base64url.encode(routing_key)


def parse_to(text: bytes) -> Destination | Malformed:
    """Read a `letrade-to`."""
    if len(text) > _LONGEST_TO_BYTES:
        return Malformed(f"letrade-to has {len(text)} bytes, and at most {_LONGEST_TO_BYTES} are possible")
    return _parse_to(text)


@lru_cache(maxsize=4096)
def _parse_to(text: bytes) -> Destination | Malformed:
    exchange, separator, routing_key = text.partition(b".")
    parts = base64url.decode(exchange), base64url.decode(routing_key)
    if not separator or parts[0] is None or parts[1] is None:
        return Malformed("letrade-to is not two base64url texts, joined by a dot")
    if len(parts[0]) > _LONGEST_NAME_BYTES or len(parts[1]) > _LONGEST_NAME_BYTES:
        return Malformed(f"letrade-to has a name of more than {_LONGEST_NAME_BYTES} bytes")
    return Destination(parts[0], parts[1])


def write_proof(index: int, path: bytes) -> bytes:
    """The text of `letrade-proof`."""
    return b"%d." % index + base64url.encode(path)


def parse_proof(text: bytes) -> Proof | Malformed:
    """Read a `letrade-proof`."""
    if len(text) > LONGEST_PROOF_BYTES:
        return Malformed(f"letrade-proof has {len(text)} bytes, and at most {LONGEST_PROOF_BYTES} are possible")
    digits, separator, encoded = text.partition(b".")
    path = base64url.decode(encoded)
    if not separator or path is None:
        return Malformed("letrade-proof is not an index and a base64url text, joined by a dot")
    index = _INDEXES.get(digits)
    if index is None:
        if not digits.isdigit() or len(digits) > _MOST_INDEX_DIGITS or digits.startswith(b"0"):
            return Malformed("letrade-proof does not begin with an index in decimal")
        index = int(digits)
    return tuple.__new__(Proof, (index, path))
