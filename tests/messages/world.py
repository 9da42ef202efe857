"""Keys in memory, writers and readers of encrypted fields, a trade with five of them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable
from functools import cache
from types import MappingProxyType
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from letrade_topo.keys.folder import DEAD_LETTER_OWNER
from letrade_topo.keys.jwk import ENCRYPTION_ALGORITHM, PrivateKey, PublicKey, Role, Use, Validity
from letrade_topo.keys.keyset import KeySet
from letrade_topo.messages.decryption import FieldDecryption, Opened, Unreadable
from letrade_topo.messages.encrypted import EncryptionContext
from letrade_topo.messages.encryption import FieldEncryption, MissingKey, SentKeys

NOW = 1_750_000_000
WRITER, READER = "strategy", "exchange_connector"
MESSAGE_ID = "0b7c1f9e-5b0e-4c57-9d5e-0f0d1c2b3a49"
BINDING = EncryptionContext(WRITER, MESSAGE_ID)
READERS = frozenset((READER,))
SENSITIVE = ("/amount", "/price", "/stop_loss", "/take_profit", "/client_order_id")
TRADE = {"strategy_id": 123, "symbol": "BTC/USDT", "side": "buy", "amount": 0.0123, "price": 65432.5}
PRESENT = ("/amount", "/price")


@cache
def encryption_key(owner: str, number: str = "1") -> PrivateKey:
    """An encryption key of an owner, the same in every test."""
    return PrivateKey(f"{owner}:{number}", Use.ENCRYPTION, ENCRYPTION_ALGORITHM, generate_private_key(SECP256R1()))


def public_half(private: PrivateKey, validity: Validity | None = None) -> PublicKey:
    """Its public half."""
    owner = private.kid.partition(":")[0]
    role = Role.DEAD_LETTER if owner == DEAD_LETTER_OWNER else Role.SERVICE
    return PublicKey(
        private.kid, owner, role, private.use, private.algorithm, private.key.public_key(), validity or Validity(0)
    )


def key_set(owner: str | None, public: Iterable[PublicKey] | None = None, *own: PrivateKey) -> KeySet:
    """The key set of an owner, with one private key unless others are given."""
    if public is None:
        public = [public_half(encryption_key(each)) for each in (WRITER, READER, "core_engine", DEAD_LETTER_OWNER)]
    if owner is not None and not own:
        own = (encryption_key(owner),)
    return KeySet(owner, MappingProxyType({key.kid: key for key in public}), (), {key.kid: key for key in own})


def writer(
    keys: KeySet | None = None,
    sent: SentKeys | None = None,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> FieldEncryption:
    """Encrypts what the strategy publishes."""
    return FieldEncryption(WRITER, keys or key_set(WRITER), sent or SentKeys(), random_bytes)


def reader(keys: KeySet | None = None) -> FieldDecryption:
    """Decrypts for the connector."""
    return FieldDecryption(keys or key_set(READER))


def envelope(payload: object = None, **dumps: Any) -> bytes:
    """An envelope of the strategy."""
    document = {
        "message_id": MESSAGE_ID,
        "timestamp": "2025-06-15T15:06:40.250Z",
        "source": WRITER,
        "payload": TRADE if payload is None else payload,
    }
    return json.dumps(document, **dumps).encode()


def encrypted(
    body: bytes,
    pointers: tuple[str, ...] = PRESENT,
    readers: frozenset[str] = READERS,
    *,
    by: FieldEncryption | None = None,
    now: float = NOW,
) -> bytes:
    """The body with its fields encrypted, which has to work."""
    found = (by or writer()).encrypt(body, MESSAGE_ID, pointers, readers, now)
    assert not isinstance(found, MissingKey), found
    return found


def opened(
    body: bytes, by: FieldDecryption | None = None, binding: EncryptionContext = BINDING, now: float = NOW
) -> Opened:
    """The body with its fields put back, which has to work."""
    found = (by or reader()).decrypt(body, binding, now)
    assert isinstance(found, Opened), found
    return found


def unreadable(
    body: bytes, by: FieldDecryption | None = None, binding: EncryptionContext = BINDING, now: float = NOW
) -> Unreadable:
    """Why its fields cannot be put back, which must not work."""
    found = (by or reader()).decrypt(body, binding, now)
    assert isinstance(found, Unreadable), found
    return found
