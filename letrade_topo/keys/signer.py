"""Signing what a service publishes: a batch of messages in, headers out, one signature over the root of their tree."""

from __future__ import annotations

from collections.abc import Sequence

from letrade_topo.keys.claims import LARGEST_BATCH, MESSAGE_TYP, MessageClaims, write_message_claims
from letrade_topo.keys.headers import SignedHeaders, write_proof, write_to
from letrade_topo.keys.jws import SigningKey, write_compact, write_header
from letrade_topo.keys.leaf import Message, leaf_hash
from letrade_topo.keys.merkle import Tree


class Signer:
    """Signs what one service publishes.

    Args:
        key: the key, for example `KeySet.signing_key`.
        audience: `letrade_topo.keys.policy.audience_of`.
    """

    __slots__ = ("_audience", "_header", "_key")

    def __init__(self, key: SigningKey, audience: str) -> None:
        self._key = key
        self._audience = audience
        self._header = write_header(key.algorithm, key.kid, MESSAGE_TYP)

    @property
    def kid(self) -> str:
        """The key that it signs with."""
        return self._key.kid

    def sign(
        self, batch: Sequence[Message], *, lifetime_seconds: int, issued_at: int, jti: bytes
    ) -> tuple[SignedHeaders, ...]:
        """Sign messages with one signature.

        Args:
            batch: 1 to 1024 messages.
            lifetime_seconds: the longest lifetime among them, rounded up.
            issued_at: now, in whole seconds since the epoch.
            jti: 16 random bytes, never used before.

        Returns:
            The headers of each message, in the same order.

        Raises:
            ValueError: no message, or too many.
        """
        if not 1 <= len(batch) <= LARGEST_BATCH:
            raise ValueError(f"a batch has 1 to {LARGEST_BATCH} messages, not {len(batch)}")
        if len(batch) == 1:
            message = batch[0]
            jws = self._token(1, leaf_hash(message), lifetime_seconds, issued_at, jti)
            return (SignedHeaders(jws, write_to(message.exchange, message.routing_key)),)
        tree = Tree([leaf_hash(message) for message in batch])
        jws = self._token(len(batch), tree.root, lifetime_seconds, issued_at, jti)
        return tuple(
            SignedHeaders(jws, write_to(message.exchange, message.routing_key), write_proof(index, tree.path(index)))
            for index, message in enumerate(batch)
        )

    def _token(self, count: int, root: bytes, lifetime_seconds: int, issued_at: int, jti: bytes) -> bytes:
        claims = MessageClaims(
            self._key.issuer, self._audience, issued_at, issued_at + lifetime_seconds, jti, count, root
        )
        return write_compact(self._key, self._header, write_message_claims(claims))
