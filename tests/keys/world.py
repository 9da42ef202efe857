"""Keys, policy and messages for tests of tokens: Letrade's own topology, keys in memory, a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from letrade_topo.keys.claims import HopClaims, HopRole
from letrade_topo.keys.headers import TokenHeaders
from letrade_topo.keys.hop import sign_hop
from letrade_topo.keys.jwk import PublicKey, Role, Use, Validity
from letrade_topo.keys.jws import SigningKey
from letrade_topo.keys.keyset import KeySet
from letrade_topo.keys.leaf import SignableMessage, SignedProperties, leaf_hash
from letrade_topo.keys.policy import TopologyPolicy
from letrade_topo.keys.reasons import Reason, Refused
from letrade_topo.keys.signer import Signer
from letrade_topo.keys.token import Accepted, Arrival, Verdict, Verifier
from letrade_topo.load.topology_file import load_topology
from letrade_topo.model.security import JwtAlgorithm
from letrade_topo.model.topology import Topology

NOW = 1_750_000_000
LIFETIME_SECONDS = 60
QUEUE = "exchange_connector.execute_trade"
COMMAND = SignableMessage(
    b"letrade.commands",
    b"commands.execute_trade",
    SignedProperties(b"0b7c1f9e-5b0e-4c57-9d5e-0f0d1c2b3a49", None, b"application/json", None, None),
    b'{"payload": {}}',
)
SERVICES = ("strategy", "core_engine", "capital_manager", "exchange_connector")
JTI = bytes(range(16))


@cache
def topology() -> Topology:
    """Letrade's own."""
    return load_topology(Path(__file__).parents[2] / "topology.yaml").topology


@cache
def policy_of(service: str) -> TopologyPolicy:
    """The policy beside one service."""
    return TopologyPolicy(topology(), service)


def signing_key(issuer: str, algorithm: JwtAlgorithm = JwtAlgorithm.ES256) -> SigningKey:
    """A key of an issuer, the same in every test."""
    return _signing_key(issuer, algorithm)


@cache
def _signing_key(issuer: str, algorithm: JwtAlgorithm) -> SigningKey:
    private = generate_private_key(SECP256R1()) if algorithm is JwtAlgorithm.ES256 else Ed25519PrivateKey.generate()
    return SigningKey(f"{issuer}:1", issuer, algorithm, private)


def public_key(key: SigningKey, role: Role = Role.SERVICE, validity: Validity | None = None) -> PublicKey:
    """Its public half."""
    return PublicKey(
        key.kid, key.issuer, role, Use.SIGNATURE, key.algorithm, key.private.public_key(), validity or Validity(0)
    )


def key_set(*further: PublicKey, algorithm: JwtAlgorithm = JwtAlgorithm.ES256) -> KeySet:
    """The public keys of all services and of `replay`; further ones replace those of the same kid."""
    keys = [public_key(signing_key(service, algorithm)) for service in SERVICES]
    keys.append(public_key(signing_key("replay", algorithm), Role.REPLAY))
    keys.append(public_key(signing_key("move", algorithm), Role.MOVE))
    return KeySet(None, MappingProxyType({key.kid: key for key in (*keys, *further)}))


def audience() -> str:
    """Of Letrade's own topology."""
    return policy_of("exchange_connector").audience


def headers_of(
    *messages: SignableMessage,
    key: SigningKey | None = None,
    of_audience: str | None = None,
    issued_at: int = NOW,
    lifetime_seconds: int = LIFETIME_SECONDS,
    jti: bytes = JTI,
) -> list[TokenHeaders]:
    """Sign a batch as `strategy`, and give the headers as a consumer finds them."""
    signer = Signer(key or signing_key("strategy"), audience() if of_audience is None else of_audience)
    signed = signer.sign(messages, lifetime_seconds=lifetime_seconds, issued_at=issued_at, jti=jti)
    return [TokenHeaders.gather(headers.entries()) for headers in signed]


def arrival_of(message: SignableMessage, headers: TokenHeaders, queue: str = QUEUE) -> Arrival:
    """A delivery straight from the publisher."""
    return Arrival(queue, message.exchange, message.routing_key, headers, message.properties, message.body)


def signed_arrival(message: SignableMessage = COMMAND, queue: str = QUEUE) -> Arrival:
    """A message that is right in every way."""
    return arrival_of(message, headers_of(message)[0], queue)


def verifier(keys: KeySet | None = None, service: str = "exchange_connector") -> Verifier:
    """A verifier beside a service."""
    return Verifier(keys or key_set(), policy_of(service))


def verify(arrival: Arrival, *, now: float = NOW, keys: KeySet | None = None) -> Verdict:
    """The verdict beside `exchange_connector`."""
    return verifier(keys).verify(arrival, now)


def accepted(verdict: Verdict) -> Accepted:
    """The verdict, which has to be good."""
    assert isinstance(verdict, Accepted), verdict
    return verdict


def reason(verdict: Verdict) -> Reason:
    """Why it is refused, which it has to be."""
    assert isinstance(verdict, Refused), verdict
    return verdict.reason


@dataclass(frozen=True)
class HopBuilder:
    """Hop tokens for the command, right in every way but what a test changes."""

    key: SigningKey = field(default_factory=lambda: signing_key("exchange_connector"))
    change: Callable[[HopClaims], HopClaims] = lambda claims: claims
    message: SignableMessage = COMMAND

    def token(self) -> bytes:
        """The value of `letrade-hop`."""
        claims = HopClaims(
            issuer=self.key.issuer,
            audience=audience(),
            issued_at=NOW + 10,
            expires_at=NOW + 10 + 7 * 86_400,
            jti=JTI,
            leaf=leaf_hash(self.message),
            exchange=self.message.exchange.decode(),
            routing_key=self.message.routing_key.decode(),
            queue=QUEUE,
            attempt=1,
            first_failure=NOW + 9,
            reason="rejected",
            role=HopRole.SELF,
        )
        return sign_hop(self.key, self.change(claims))

    def arrival(self) -> Arrival:
        """The delivery of a retry: through the default exchange, with the queue's name as key."""
        headers = headers_of(self.message)[0]._replace(hop=(self.token(),))
        return arrival_of(self.message, headers)._replace(exchange=b"", routing_key=QUEUE.encode())


def hop_arrival(key: SigningKey | None = None, /, **changes: Any) -> Arrival:
    """A retry whose hop claims are changed."""
    return HopBuilder(
        key or signing_key("exchange_connector"),
        lambda claims: replace(claims, **changes),
    ).arrival()
