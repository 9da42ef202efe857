"""What encrypting and decrypting the sensitive fields of a message costs, beside joserfc in the same run.

    python -m bench.field_encryption

Five fields of an envelope of Letrade's, two readers, content keys cached as they are in an agent. Everything that
encryption adds to a message is in it: finding the fields, AES, base64, the new body; and back. joserfc makes a key
agreement for each reader of each message. Processor time, the best of some rounds and the median.
"""

from __future__ import annotations

import json
import secrets
import sys
import uuid
from types import MappingProxyType
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from joserfc import jwe
from joserfc.jwk import ECKey

from bench.message_token import MESSAGES_A_ROUND, ROUNDS, cost, row
from letrade_topo.keys.jwk import ENCRYPTION_ALGORITHM, PrivateKey, PublicKey, Role, Use, Validity
from letrade_topo.keys.keyset import KeySet
from letrade_topo.messages.decryption import FieldDecryption, Opened
from letrade_topo.messages.encrypted import EncryptionContext
from letrade_topo.messages.encryption import FieldEncryption, SentKeys
from letrade_topo.messages.spans import field_set

WRITER, READER = "strategy", "exchange_connector"
SENSITIVE = ("/amount", "/price", "/stop_loss", "/take_profit", "/client_order_id")
NOW = 1_750_000_000.0


def main() -> int:
    """Print the table."""
    private = {owner: key_of(owner) for owner in (READER, "dead-letter")}
    public = MappingProxyType({key.kid: public_half(key) for key in private.values()})
    own = private[READER]
    writer = FieldEncryption(WRITER, KeySet(WRITER, public), SentKeys(), secrets.token_bytes)
    reader = FieldDecryption(KeySet(READER, public, (), {own.kid: own}))
    rounds = [one_round(writer, reader) for _ in range(ROUNDS)]
    encrypting, decrypting = [one.encrypting for one in rounds], [one.decrypting for one in rounds]
    plain, wire = rounds[-1].plain_bytes, rounds[-1].wire_bytes
    print(f"bodies of {plain} bytes, {wire} on the wire; microseconds of processor time a message")
    print(f"{'':<28}{'enc. best':>10}{'median':>8}{'dec. best':>13}{'median':>8}")
    print(f"{'letrade, whole bodies':<28}{row(encrypting, decrypting)}")
    print(f"{'joserfc, the JWE alone':<28}{row(*measure_joserfc(private))}")
    return 0


class Round(NamedTuple):
    """What one round cost, in microseconds a message, and the size of its first message."""

    encrypting: float
    decrypting: float
    plain_bytes: int
    wire_bytes: int


def one_round(writer: FieldEncryption, reader: FieldDecryption) -> Round:
    """Encrypt many messages, then decrypt them."""
    documents = [trade() for _ in range(MESSAGES_A_ROUND)]
    bodies = [json.dumps(document).encode() for document in documents]
    wires: list[bytes] = []

    def encrypt_all() -> None:
        fields = field_set(SENSITIVE)
        for document, body in zip(documents, bodies, strict=True):
            pointers = fields.present(document["payload"])
            made = writer.encrypt(body, document["message_id"], pointers, frozenset((READER,)), NOW)
            assert isinstance(made, bytes)
            wires.append(made)

    def decrypt_all() -> None:
        for document, body, made in zip(documents, bodies, wires, strict=True):
            found = reader.decrypt(made, EncryptionContext(WRITER, document["message_id"]), NOW)
            assert isinstance(found, Opened)
            assert found.body == body

    return Round(cost(encrypt_all), cost(decrypt_all), len(bodies[0]), len(wires[0]))


def measure_joserfc(private: dict[str, PrivateKey]) -> tuple[list[float], list[float]]:
    """The same plaintext and additional data in a JWE of their own each time."""
    keys = {key.kid: ECKey.import_key(elliptic(key).public_key()) for key in private.values()}
    own = ECKey.import_key(elliptic(private[READER]))
    rounds = [joserfc_round(keys, own) for _ in range(ROUNDS)]
    return [encrypting for encrypting, _ in rounds], [decrypting for _, decrypting in rounds]


def joserfc_round(keys: dict[str, ECKey], own: ECKey) -> tuple[float, float]:
    """Microseconds a message for encrypting and for decrypting."""
    registry = jwe.JWERegistry(algorithms=[ENCRYPTION_ALGORITHM, "A256GCM"], verify_all_recipients=False)
    messages = 16
    made: list[jwe.GeneralJSONSerialization] = []

    def encrypt_all() -> None:
        for _ in range(messages):
            one = jwe.GeneralJSONEncryption({"alg": ENCRYPTION_ALGORITHM, "enc": "A256GCM"}, b"x" * 110, aad=b"y" * 150)
            for kid, key in keys.items():
                one.add_recipient({"kid": kid}, key)
            made.append(jwe.encrypt_json(one, None, registry=registry))

    def decrypt_all() -> None:
        for one in made:
            jwe.decrypt_json(one, own, registry=registry)

    share = MESSAGES_A_ROUND / messages
    return cost(encrypt_all) * share, cost(decrypt_all) * share


def trade() -> dict[str, Any]:
    """A command of the contract's."""
    return {
        "message_id": str(uuid.uuid4()),
        "timestamp": "2025-06-15T15:06:40.250Z",
        "source": WRITER,
        "payload": {
            "strategy_id": 123,
            "exchange": "binance",
            "symbol": "BTC/USDT",
            "side": "buy",
            "type": "limit",
            "amount": 0.01,
            "price": 65000.5,
            "stop_loss": 64000,
            "take_profit": 67000.25,
            "client_order_id": secrets.token_hex(5),
        },
    }


def key_of(owner: str) -> PrivateKey:
    """An encryption key."""
    kid = f"{owner}:20250615-{secrets.token_hex(4)}"
    return PrivateKey(kid, Use.ENCRYPTION, ENCRYPTION_ALGORITHM, generate_private_key(SECP256R1()))


def elliptic(private: PrivateKey) -> EllipticCurvePrivateKey:
    """The key itself, which is of this kind here."""
    assert isinstance(private.key, EllipticCurvePrivateKey)
    return private.key


def public_half(private: PrivateKey) -> PublicKey:
    """Its public half."""
    owner = private.kid.partition(":")[0]
    return PublicKey(
        private.kid, owner, Role.SERVICE, private.use, private.algorithm, private.key.public_key(), Validity(0)
    )


if __name__ == "__main__":
    sys.exit(main())
