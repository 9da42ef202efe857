"""Signing what a service publishes: a batch of messages in, headers out, one signature over the root of their tree."""

from __future__ import annotations

from collections.abc import Sequence

from letrade_topo.keys.claims import LARGEST_BATCH, MESSAGE_TYP, MessageClaims, write_message_claims
from letrade_topo.keys.headers import SignedHeaders, write_proof, write_to
from letrade_topo.keys.jws import SigningKey, write_compact, write_header
from letrade_topo.keys.leaf import SignableMessage, leaf_hash
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
        self, batch: Sequence[SignableMessage], *, lifetime_seconds: int, issued_at: int, jti: bytes
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
        jws, proofs = self.sign_leaves(
            [leaf_hash(message) for message in batch], lifetime_seconds=lifetime_seconds, issued_at=issued_at, jti=jti
        )
        return tuple(
            SignedHeaders(jws, write_to(message.exchange, message.routing_key), proof)
            for message, proof in zip(batch, proofs, strict=True)
        )

    def sign_leaves(
        self, leaves: Sequence[bytes], *, lifetime_seconds: int, issued_at: int, jti: bytes
    ) -> tuple[bytes, Sequence[bytes | None]]:
        """Sign messages of which the leaves are given; otherwise like `sign`.

        Returns:
            The token, and the proof of each message: None if it is the only one.

        Raises:
            ValueError: no message, or too many.
        """
        if not 1 <= len(leaves) <= LARGEST_BATCH:
            raise ValueError(f"a batch has 1 to {LARGEST_BATCH} messages, not {len(leaves)}")
        if len(leaves) == 1:
            return self._token(1, leaves[0], lifetime_seconds, issued_at, jti), (None,)
        tree = Tree(leaves)
        proofs = [write_proof(index, path) for index, path in enumerate(tree.paths())]
        return self._token(len(leaves), tree.root, lifetime_seconds, issued_at, jti), proofs

    def _token(self, count: int, root: bytes, lifetime_seconds: int, issued_at: int, jti: bytes) -> bytes:
        claims = MessageClaims(
            self._key.issuer, self._audience, issued_at, issued_at + lifetime_seconds, jti, count, root
        )
        return write_compact(self._key, self._header, write_message_claims(claims))
