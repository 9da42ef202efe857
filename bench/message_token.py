"""What signing and verifying a message costs, beside what PyJWT alone costs in the same run.

    python bench/message_token.py [--algorithm ES256|EdDSA] [--body BYTES]

Signing is everything from a message to its headers; verifying everything from headers and body to the verdict,
repeats included: hash, base64, JSON, signature, topology. Processor time, the best of some rounds and the median.
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from letrade_topo.keys.claims import JTI_BYTES, MESSAGE_TYP
from letrade_topo.keys.headers import TokenHeaders
from letrade_topo.keys.jwk import PublicKey, Role, Use, Validity
from letrade_topo.keys.jws import SigningKey
from letrade_topo.keys.keyset import KeySet
from letrade_topo.keys.leaf import SignableMessage, SignedProperties
from letrade_topo.keys.policy import TopologyPolicy
from letrade_topo.keys.replay import Arrived, Replay, identity_of
from letrade_topo.keys.signer import Signer
from letrade_topo.keys.token import Accepted, Arrival, Verifier
from letrade_topo.load.topology_file import load_topology
from letrade_topo.model.security import JwtAlgorithm

ROUNDS, MESSAGES_A_ROUND = 25, 256
TOPOLOGY = Path(__file__).parent.parent / "topology.yaml"
QUEUE = "exchange_connector.execute_trade"
LIFETIME_SECONDS = 60


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithm", type=JwtAlgorithm, choices=list(JwtAlgorithm), default=JwtAlgorithm.ES256)
    parser.add_argument("--body", type=int, default=340, metavar="BYTES")
    options = parser.parse_args()
    private = (
        generate_private_key(SECP256R1()) if options.algorithm is JwtAlgorithm.ES256 else Ed25519PrivateKey.generate()
    )
    key = SigningKey("strategy:bench", "strategy", options.algorithm, private)
    public = PublicKey(
        key.kid, key.issuer, Role.SERVICE, Use.SIGNATURE, options.algorithm, private.public_key(), Validity(0)
    )
    policy = TopologyPolicy(load_topology(TOPOLOGY).topology, "exchange_connector")
    signer = Signer(key, policy.audience)
    keys = KeySet(None, MappingProxyType({key.kid: public}))

    print(f"{options.algorithm}, bodies of {options.body} bytes, microseconds of processor time a message")
    print(f"{'':<28}{'sign best':>10}{'median':>8}{'verify best':>13}{'median':>8}")
    for batch in (1, 4, 16, 32):
        signing, verifying = measure(signer, Verifier(keys, policy), batch, options.body)
        print(f"{f'letrade, batch of {batch}':<28}{row(signing, verifying)}")
    print(f"{'PyJWT, claims only':<28}{row(*measure_pyjwt(key, policy.audience))}")
    return 0


def measure(signer: Signer, verifier: Verifier, batch: int, body_bytes: int) -> tuple[list[float], list[float]]:
    """Rounds of signing and of verifying, each message of them once."""
    replay = Replay()
    rounds = [one_round(signer, verifier, replay, batch, body_bytes) for _ in range(ROUNDS)]
    return [signing for signing, _ in rounds], [verifying for _, verifying in rounds]


def one_round(signer: Signer, verifier: Verifier, replay: Replay, batch: int, body_bytes: int) -> tuple[float, float]:
    """Microseconds a message for signing and for verifying."""
    now = int(time.time())
    messages = [
        SignableMessage(
            b"letrade.commands",
            b"commands.execute_trade",
            SignedProperties(secrets.token_hex(18).encode(), None, b"application/json", None, None),
            secrets.token_bytes(body_bytes),
        )
        for _ in range(MESSAGES_A_ROUND)
    ]
    headers: list[TokenHeaders] = []

    def sign_all() -> None:
        for start in range(0, MESSAGES_A_ROUND, batch):
            signed = signer.sign(
                messages[start : start + batch],
                lifetime_seconds=LIFETIME_SECONDS,
                issued_at=now,
                jti=secrets.token_bytes(JTI_BYTES),
            )
            headers.extend(TokenHeaders.gather(one.entries()) for one in signed)

    def verify_all() -> None:
        for message, carried in zip(messages, headers, strict=True):
            arrival = Arrival(QUEUE, message.exchange, message.routing_key, carried, message.properties, message.body)
            verdict = verifier.verify(arrival, now)
            assert isinstance(verdict, Accepted), verdict
            identity = identity_of(verdict)
            arrived = replay.arrive(QUEUE, identity, valid_until=verdict.valid_until, now=now)
            assert arrived is Arrived.NEW
            replay.settle(QUEUE, identity, valid_until=verdict.valid_until, now=now)

    return cost(sign_all), cost(verify_all)


def measure_pyjwt(key: SigningKey, audience: str) -> tuple[list[float], list[float]]:
    """The same claims, without hashing any message and without knowing what they mean."""
    claims = {
        "iss": key.issuer,
        "aud": audience,
        "iat": int(time.time()),
        "exp": int(time.time()) + LIFETIME_SECONDS,
        "jti": secrets.token_urlsafe(JTI_BYTES),
        "v": 1,
        "n": 1,
        "mr": secrets.token_urlsafe(32),
    }
    header = {"kid": key.kid, "typ": MESSAGE_TYP}
    public = key.private.public_key()
    tokens: list[str] = []

    def sign_all() -> None:
        tokens[:] = (jwt.encode(claims, key.private, key.algorithm, header) for _ in range(MESSAGES_A_ROUND))

    def verify_all() -> None:
        for token in tokens:
            jwt.decode(token, public, [key.algorithm], audience=audience)

    rounds = [(cost(sign_all), cost(verify_all)) for _ in range(ROUNDS)]
    return [signing for signing, _ in rounds], [verifying for _, verifying in rounds]


def cost(work: Callable[[], object]) -> float:
    """Microseconds of processor time a message."""
    start = time.process_time_ns()
    work()
    return (time.process_time_ns() - start) / MESSAGES_A_ROUND / 1000


def row(signing: list[float], verifying: list[float]) -> str:
    """One line of the table."""
    return (
        f"{min(signing):>10.1f}{statistics.median(signing):>8.1f}"
        f"{min(verifying):>13.1f}{statistics.median(verifying):>8.1f}"
    )


if __name__ == "__main__":
    sys.exit(main())
