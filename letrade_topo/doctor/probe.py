"""A message that is signed with a service's key and verified as its consumer's agent would, without being sent."""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass
from pathlib import Path

from letrade_topo.doctor.checkup import Seen, Verdict
from letrade_topo.keys.headers import TokenHeaders
from letrade_topo.keys.keyset import load_keyset
from letrade_topo.keys.leaf import SignableMessage, SignedProperties
from letrade_topo.keys.policy import TopologyPolicy, audience_of
from letrade_topo.keys.reasons import Refused
from letrade_topo.keys.signer import Signer
from letrade_topo.keys.token import Arrival, Verifier
from letrade_topo.model.messages import MessageType
from letrade_topo.model.topology import DeclaredQueue, Topology

_WORD = "probe"
_BODY = b"{}"
_JTI_BYTES = 16


@dataclass(frozen=True, slots=True)
class SignedProbe:
    """What is signed and verified.

    Args:
        topology: of both services.
        folder: of their keys.
        service: that signs.
    """

    topology: Topology
    folder: Path
    service: str

    def verify(self, now: float) -> Seen:
        """Sign a message of a type that the service publishes, and verify it for a queue that takes it.

        Args:
            now: seconds since the epoch.

        Raises:
            InvalidKeySet: a key file is missing or not what it should be.
        """
        way = self._way()
        if way is None:
            return Seen(f"no queue takes what {self.service!r} publishes")
        message, queue = way
        keys = load_keyset(self.folder, self.service)
        key = keys.signing_key(now)
        if key is None:
            return Seen(
                f"{self.service!r} has no key in {self.folder} that signs now",
                Verdict.FAILED,
                f"`letrade-topo keys show {self.folder}` tells when each begins and ends; `keys rotate` makes the next",
                kind="InvalidKeySet",
            )
        arrival = self._signed(Signer(key, audience_of(self.topology)), message, queue.name, now)
        jwt = self.topology.security.jwt
        verifier = Verifier(keys, TopologyPolicy(self.topology, queue.service or ""), leeway_seconds=jwt.leeway.seconds)
        found = verifier.verify(arrival, now)
        if isinstance(found, Refused):
            return Seen(
                f"what {self.service!r} signs is refused: {found.reason}",
                Verdict.FAILED,
                "give both services the key files and the topology of here",
                found.detail,
                "InvalidKeySet",
            )
        return Seen(f"{message.name}, signed with {key.kid}, is accepted by {queue.service!r}")

    def _way(self) -> tuple[MessageType, DeclaredQueue] | None:
        """A type that the service publishes, and a queue that another service takes it from."""
        for queue in self.topology.queues.values():
            for name in queue.messages:
                if queue.service and name in self.topology.services[self.service].publishes:
                    return self.topology.messages[name], queue
        return None

    def _signed(self, signer: Signer, message: MessageType, queue: str, now: float) -> Arrival:
        key = ".".join(_WORD if word in ("*", "#") else word for word in message.key.binding_key.split("."))
        exchange, properties = message.exchange.encode(), SignedProperties()
        signable = SignableMessage(exchange, key.encode(), properties, _BODY)
        (headers,) = signer.sign(
            [signable],
            lifetime_seconds=math.ceil(message.lifetime.seconds),
            issued_at=int(now),
            jti=secrets.token_bytes(_JTI_BYTES),
        )
        return Arrival(queue, exchange, key.encode(), TokenHeaders.gather(headers.entries()), properties, _BODY)
