"""The writer's side of encrypted fields: content keys, who may read them, and taking fields out of a body.

A content key serves one set of readers for ten minutes or a million messages, so that a message costs one pass of
AES and no key agreement.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from letrade_topo.keys.folder import DEAD_LETTER_OWNER
from letrade_topo.keys.jwe import ContentKey, MakeEphemeral, NotDecrypted, Opener, Recipient, make_ephemeral_key
from letrade_topo.keys.jwk import PublicKey, Use
from letrade_topo.keys.keyset import KeySet
from letrade_topo.messages.encrypted import (
    EncryptionContext,
    hide,
    is_encrypted,
    put_back,
    take_apart,
    write_aad,
    write_plaintext,
)
from letrade_topo.messages.spans import FieldNotFound, field_set

CONTENT_KEY_SECONDS: Final = 600
CONTENT_KEY_MESSAGES: Final = 2**20
"""For so long, and for so many messages, a content key is used; random nonces of 96 bits allow 2^32."""

KEPT_SENT_KEYS: Final = 1024


class MissingKey(NamedTuple):
    """Somebody who has to read the fields has no key to encrypt to.

    Args:
        owner: the service; "" when nobody may read them.
    """

    owner: str


class SentKeys:
    """The content keys that an agent made lately, so that it can restore what the broker returns to it.

    Outlives a change of topology and keys. Bounded: the oldest go first.
    """

    __slots__ = ("_openers",)

    def __init__(self) -> None:
        self._openers: OrderedDict[bytes, Opener] = OrderedDict()

    def remember(self, key: ContentKey) -> None:
        """A content key is put to use."""
        self._openers[key.head] = key.opener()
        if len(self._openers) > KEPT_SENT_KEYS:
            self._openers.popitem(last=False)

    def restore(self, body: bytes) -> bytes | None:
        """The body as it was before its fields were encrypted; None: they were not here, or too long ago."""
        if not is_encrypted(body):
            return None
        try:
            parts = take_apart(body)
            opener = self._openers.get(parts.head)
            if opener is None:
                return None
            return put_back(parts.rest, opener.open(parts.nonce, parts.ciphertext, parts.aad))[0]
        except (NotDecrypted, FieldNotFound):
            return None


@dataclass(slots=True)
class _InUse:
    key: ContentKey
    since: float
    until: float
    left: int


class FieldEncryption:
    """Encrypts fields of what one service publishes.

    Args:
        issuer: the service.
        keys: with the public keys of those who read.
        sent: remembers the content keys.
        random_bytes: gives so many random bytes, fit for secrets.
        make_ephemeral: gives a fresh key pair on P-256.
    """

    def __init__(
        self,
        issuer: str,
        keys: KeySet,
        sent: SentKeys,
        random_bytes: Callable[[int], bytes],
        make_ephemeral: MakeEphemeral = make_ephemeral_key,
    ) -> None:
        self._issuer = issuer
        self._keys = keys
        self._sent = sent
        self._random_bytes = random_bytes
        self._make_ephemeral = make_ephemeral
        self._in_use: dict[frozenset[str], _InUse] = {}

    def encrypt(
        self, body: bytes, message_id: str, pointers: tuple[str, ...], consumers: frozenset[str], now: float
    ) -> bytes | MissingKey:
        """The body with its fields encrypted.

        Args:
            body: a valid envelope without a member `encrypted`.
            message_id: in it.
            pointers: fields that its payload has, at least one: see `FieldSet.present`.
            consumers: the services that may read them; the role of dead letters may, too, if it has a key.
            now: seconds since the epoch.
        """
        key = self._content_key(consumers, now)
        if isinstance(key, MissingKey):
            return key
        spans = field_set(pointers).spans(body)
        plaintext = write_plaintext(pointers, [body[start:end] for start, end in spans])
        return hide(body, spans, key.seal(plaintext, write_aad(pointers, EncryptionContext(self._issuer, message_id))))

    def _content_key(self, consumers: frozenset[str], now: float) -> ContentKey | MissingKey:
        used = self._in_use.get(consumers)
        if used is None or used.left <= 0 or not used.since <= now < used.until:
            made = self._make(consumers, now)
            if isinstance(made, MissingKey):
                return made
            self._in_use[consumers] = used = made
            self._sent.remember(used.key)
        used.left -= 1
        return used.key

    def _make(self, consumers: frozenset[str], now: float) -> _InUse | MissingKey:
        recipients: list[Recipient] = []
        for owner in (*sorted(consumers), DEAD_LETTER_OWNER):
            key = self._keys.encryption_key(owner, now)
            if key is not None and isinstance(key.key, EllipticCurvePublicKey):
                recipients.append(Recipient(key.kid, key.key))
            elif owner != DEAD_LETTER_OWNER:
                return MissingKey(owner)
        if not recipients:
            return MissingKey("")
        content_key = ContentKey(recipients, self._random_bytes, self._make_ephemeral)
        until = min([now + CONTENT_KEY_SECONDS, *_changes(self._keys.public.values(), consumers, now)])
        return _InUse(content_key, now, until, CONTENT_KEY_MESSAGES)


def _changes(keys: Iterable[PublicKey], consumers: frozenset[str], now: float) -> Iterator[float]:
    """When another key than now will be the one to encrypt to."""
    for key in keys:
        if key.use is Use.ENCRYPTION and (key.issuer in consumers or key.issuer == DEAD_LETTER_OWNER):
            for moment in (key.validity.active_from, key.validity.retired_at):
                if moment is not None and moment > now:
                    yield moment
