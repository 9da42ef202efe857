"""The hop token of a message that is moved with its queue: what somebody who migrates a queue writes on it.

A move is no delivery and no failure: attempt, first failure and reason stay what they were, so that the memory against
repeats knows the message by either copy. Nothing that was over comes alive by it: a hop that had ended before ends when
it did, and the lifetime of the message's type is judged as if the time of the move had not been.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from letrade_topo.keys.claims import HopClaims, HopRole
from letrade_topo.keys.headers import TokenHeaders
from letrade_topo.keys.hop import HopRules, hop_tolerance, sign_hop, verify_hop
from letrade_topo.keys.jws import SigningKey
from letrade_topo.keys.keyset import KeySet
from letrade_topo.keys.leaf import SignedProperties
from letrade_topo.keys.policy import TopologyPolicy
from letrade_topo.keys.reasons import Refused
from letrade_topo.keys.token import Origin, Verifier, is_about
from letrade_topo.model.topology import Topology

MOVED: Final = "moved"
"""The reason in the hop of what never failed."""


class MoveSigner:
    """Writes the hops of one topology's moved messages.

    Args:
        topology: a valid one.
        keys: the public keys.
        key: of a mover that the topology names (`security.jwt.movers`).
        random_bytes: gives so many random bytes.
    """

    def __init__(self, topology: Topology, keys: KeySet, key: SigningKey, random_bytes: Callable[[int], bytes]) -> None:
        self._policy = TopologyPolicy(topology, "")
        self._verifier = Verifier(keys, self._policy)
        self._keys = keys
        self._key = key
        self._random_bytes = random_bytes
        self._leeway = topology.security.jwt.leeway.seconds
        self._tolerance = hop_tolerance(topology.security.jwt.outage_tolerance.seconds)

    def hop(
        self,
        tokens: TokenHeaders,
        properties: SignedProperties,
        body: bytes,
        *,
        queue: str,
        service: str,
        now: float,
    ) -> bytes | None:
        """The value of `letrade-hop` that takes the place of the one that a message has, if it has one.

        Args:
            tokens, properties, body: of the message, as it is in the queue that it is taken from.
            queue: the queue that it is for, whatever the one that it is in meanwhile is called.
            service: that consumes from this queue.
            now: seconds since the epoch.

        Returns:
            None: nothing is proven of the message, and it moves as it is; its consumer's agent says of it what it
            would have said before.
        """
        origin = self._verifier.authenticate(tokens, properties, body, now)
        if isinstance(origin, Refused):
            return None
        if not tokens.hop:
            return sign_hop(self._key, self._claims(origin, None, queue, int(now)))
        rules = HopRules(self._keys, self._policy.audience, service, queue, self._policy.movers)
        carried = verify_hop(tokens.hop, rules, now)
        if isinstance(carried, Refused) or not is_about(carried, origin) or _is_dead(carried):
            return None
        return sign_hop(self._key, self._claims(origin, carried, queue, int(now)))

    def _claims(self, origin: Origin, carried: HopClaims | None, queue: str, now: int) -> HopClaims:
        exchange, routing_key = origin.destination
        ends = now + int(self._tolerance)
        if carried is not None and now > carried.expires_at + self._leeway:
            ends = carried.expires_at
        judged_at = now if carried is None else _judged_at(carried)
        return HopClaims(
            issuer=self._key.issuer,
            audience=self._policy.audience,
            issued_at=judged_at,
            expires_at=max(ends, judged_at),
            jti=self._random_bytes(16),
            leaf=origin.leaf,
            exchange=exchange.decode(),
            routing_key=routing_key.decode(),
            queue=queue,
            attempt=0 if carried is None else carried.attempt,
            first_failure=now if carried is None else carried.first_failure,
            reason=MOVED if carried is None else carried.reason,
            role=HopRole.MOVE,
        )


def _judged_at(carried: HopClaims) -> int:
    return carried.first_failure if carried.role is HopRole.SELF else carried.issued_at


def _is_dead(carried: HopClaims) -> bool:
    """Whether it is the hop of a dead letter, which lets nothing back into a queue."""
    return carried.role is HopRole.SELF and carried.expires_at == carried.issued_at
