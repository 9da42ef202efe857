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
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from joserfc import jwe
from joserfc.jwk import ECKey

from bench.message_token import MESSAGES_A_ROUND, ROUNDS, cost, row
from letrade_topo.keys.jwk import ENCRYPTION_ALGORITHM, PrivateKey, PublicKey, Role, Use, Validity, write_public
from letrade_topo.keys.keyset import KeySet
from letrade_topo.messages.decryption import FieldDecryption, Opened
from letrade_topo.messages.encrypted import Binding
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
    encrypting, decrypting = [], []
    plain = wire = 0
    for _ in range(ROUNDS):
        documents = [trade() for _ in range(MESSAGES_A_ROUND)]
        bodies = [json.dumps(document).encode() for document in documents]
        wires: list[bytes] = []

        def encrypt_all() -> None:
            fields = field_set(SENSITIVE)
            for document, body in zip(documents, bodies, strict=True):  # noqa: B023  # called at once
                pointers = fields.present(document["payload"])
                made = writer.encrypt(body, document["message_id"], pointers, frozenset((READER,)), NOW)
                assert isinstance(made, bytes)
                wires.append(made)  # noqa: B023

        def decrypt_all() -> None:
            for document, body, made in zip(documents, bodies, wires, strict=True):  # noqa: B023
                found = reader.decrypt(made, Binding(WRITER, document["message_id"]), NOW)
                assert isinstance(found, Opened)
                assert found.body == body

        encrypting.append(cost(encrypt_all))
        decrypting.append(cost(decrypt_all))
        plain, wire = len(bodies[0]), len(wires[0])
    print(f"bodies of {plain} bytes, {wire} on the wire; microseconds of processor time a message")
    print(f"{'':<28}{'enc. best':>10}{'median':>8}{'dec. best':>13}{'median':>8}")
    print(f"{'letrade, whole bodies':<28}{row(encrypting, decrypting)}")
    print(f"{'joserfc, the JWE alone':<28}{row(*measure_joserfc(private))}")
    return 0


def measure_joserfc(private: dict[str, PrivateKey]) -> tuple[list[float], list[float]]:
    """The same plaintext and additional data in a JWE of their own each time."""
    keys = {key.kid: ECKey.import_key(write_public(public_half(key))) for key in private.values()}  # type: ignore[arg-type]
    registry = jwe.JWERegistry(algorithms=[ENCRYPTION_ALGORITHM, "A256GCM"], verify_all_recipients=False)
    reader = ECKey.import_key(private[READER].key)  # type: ignore[arg-type]
    messages = 16
    encrypting, decrypting = [], []
    for _ in range(ROUNDS):
        made: list[dict[str, object]] = []

        def encrypt_all() -> None:
            for _ in range(messages):
                one = jwe.GeneralJSONEncryption(
                    {"alg": ENCRYPTION_ALGORITHM, "enc": "A256GCM"}, b"x" * 110, aad=b"y" * 150
                )
                for kid, key in keys.items():
                    one.add_recipient({"kid": kid}, key)
                made.append(dict(jwe.encrypt_json(one, None, registry=registry)))  # noqa: B023

        def decrypt_all() -> None:
            for one in made:  # noqa: B023
                jwe.decrypt_json(one, reader, registry=registry)  # type: ignore[arg-type]

        encrypting.append(cost(encrypt_all) * MESSAGES_A_ROUND / messages)
        decrypting.append(cost(decrypt_all) * MESSAGES_A_ROUND / messages)
    return encrypting, decrypting


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


def public_half(private: PrivateKey) -> PublicKey:
    """Its public half."""
    owner = private.kid.partition(":")[0]
    return PublicKey(
        private.kid, owner, Role.SERVICE, private.use, private.algorithm, private.key.public_key(), Validity(0)
    )


if __name__ == "__main__":
    sys.exit(main())
