"""The reader's side of encrypted fields: putting them back where they were, or saying why that cannot be done."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from letrade_topo.keys.jwe import NotDecrypted, Opener, parse_head, unwrap
from letrade_topo.keys.keyset import KeySet
from letrade_topo.messages.encrypted import (
    ENCRYPTED_MEMBER,
    EncryptionContext,
    is_bound,
    is_encrypted,
    named,
    put_back,
    stated_aad,
    stated_fields,
    take_apart,
)
from letrade_topo.messages.json_text import NotJson, parse_json
from letrade_topo.messages.spans import FieldNotFound

KEPT_CONTENT_KEYS: Final = 1024
"""Content keys that a reader remembers."""

_MOST_KIDS: Final = 6


class Unbound(NamedTuple):
    """A body with its fields put back, of which it is not known yet whether it is the message that they belong to.

    Args:
        body: as it was published.
        pointers: the fields that were encrypted.
        aad: the additional data, encoded: see `is_bound`.
    """

    body: bytes
    pointers: tuple[str, ...]
    aad: bytes


class Opened(NamedTuple):
    """A body with its fields put back.

    Args:
        body: as it was published.
        pointers: the fields that were encrypted.
    """

    body: bytes
    pointers: tuple[str, ...]


class Unreadable(NamedTuple):
    """Encrypted fields that cannot be put back.

    Args:
        why: in words, with the names of the fields and nothing of their values.
        pointers: the fields, as far as they could be told.
    """

    why: str
    pointers: tuple[str, ...] = ()


Decrypted: TypeAlias = Opened | Unreadable | None
"""None: nothing in the body is encrypted."""


class FieldDecryption:
    """Puts fields back that are encrypted to one reader.

    Args:
        keys: with the reader's private keys; without any, nothing can be read.
    """

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys
        self._opener = lru_cache(maxsize=KEPT_CONTENT_KEYS)(self._find_opener)

    def decrypt(self, body: bytes, binding: EncryptionContext, now: float) -> Decrypted:
        """Put the fields of a body back.

        Args:
            body: the bytes on the wire.
            binding: what message it is, as its token proves it.
            now: seconds since the epoch.
        """
        if not is_encrypted(body):
            return None
        try:
            restored, pointers, aad = self.open(body, now)
            if not is_bound(aad, pointers, binding):
                raise NotDecrypted("it is bound to another message")
            return Opened(restored, pointers)
        except (NotDecrypted, FieldNotFound) as error:
            pointers = stated_fields(stated_aad(body))
            return Unreadable(f"{named(pointers)} cannot be decrypted: {error}", pointers)

    def open(self, body: bytes, now: float) -> Unbound:
        """Put the fields back; whoever asks for that has to ask `is_bound`, too.

        Args:
            body: that `is_encrypted`.
            now: seconds since the epoch.

        Raises:
            NotDecrypted: its JWE cannot be read.
            NotFound: a field has no place there.
        """
        parts = take_apart(body)
        kid, opener = self._opener(parts.head)
        public = self._keys.public.get(kid)
        if public is None or public.validity.is_forgotten(now):
            raise NotDecrypted(f"the key {kid} is forgotten")
        plaintext = opener.open(parts.nonce, parts.ciphertext, parts.aad)
        return Unbound(*put_back(parts.rest, plaintext), parts.aad)

    def _find_opener(self, head: bytes) -> tuple[str, Opener]:
        protected, wrapped = parse_head(head)
        for kid, key in wrapped.items():
            private = self._keys.decrypting.get(kid)
            if private is not None and isinstance(private.key, EllipticCurvePrivateKey):
                return kid, unwrap(protected, key, private.key)
        owner = self._keys.owner
        missing = "there is no private key here" if owner is None else f"{owner} has no key among these"
        shown = [*list(wrapped)[:_MOST_KIDS], *(["…"] if len(wrapped) > _MOST_KIDS else [])]
        raise NotDecrypted(f"it is encrypted to {', '.join(shown) or 'nobody'}, and {missing}")


def reveal(body: bytes, keys: KeySet, now: float) -> Decrypted:
    """Put the fields of a body back that nobody has verified: issuer and id are what its envelope says.

    For people who look at dead letters.

    Args:
        body: the bytes on the wire.
        keys: with the private keys of a reader, for example those of the role of dead letters.
        now: seconds since the epoch.
    """
    parsed = parse_json(body)
    document = None if isinstance(parsed, NotJson) else parsed.value
    if not isinstance(document, dict) or ENCRYPTED_MEMBER not in document:
        return None
    binding = EncryptionContext(str(document.get("source", "")), str(document.get("message_id", "")))
    found = FieldDecryption(keys).decrypt(body, binding, now)
    if found is None:
        return Unreadable(f"{named(())} cannot be decrypted: `{ENCRYPTED_MEMBER}` is not where agents put it")
    return found
