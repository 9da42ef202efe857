"""Whose message a dead letter is, and who gave it up where: what of it can be proven with the public keys."""

from __future__ import annotations

from dataclasses import dataclass
from hmac import compare_digest

from letrade_topo.keys.claims import HopClaims, HopRole
from letrade_topo.keys.hop import HopRules, verify_hop
from letrade_topo.keys.keyset import KeySet
from letrade_topo.keys.policy import RUN_TIME_QUEUE_KINDS, Route, TopologyPolicy
from letrade_topo.keys.reasons import Refused
from letrade_topo.keys.token import Origin, Verifier
from letrade_topo.model.topology import Topology
from letrade_topo.queues.content import Properties
from letrade_topo.queues.letter import claimed_hop

NO_KEYS = "there are no keys to check with (give --keys)"


@dataclass(frozen=True, slots=True)
class Provenance:
    """What is proven of one dead letter.

    Args:
        origin: whose it is and where it was published, or why that is not proven.
        hop: who handed it over from which queue, or why that is not proven; None where nobody says anything.
        route: what the topology says of where it was published; None where that is not proven or not declared.
    """

    origin: Origin | str
    hop: HopClaims | str | None
    route: Route | None = None

    @property
    def problem(self) -> str:
        """Why it is not proven that the message is what it says and failed where it says; empty when it is."""
        if isinstance(self.origin, str):
            return self.origin
        return self.hop if isinstance(self.hop, str) else ""


class Prover:
    """Checks dead letters of one topology.

    Args:
        topology: a valid one.
        keys: the public keys; None: nothing can be proven.
        now: seconds since the epoch.
    """

    def __init__(self, topology: Topology, keys: KeySet | None, now: float) -> None:
        self._topology = topology
        self._policy = TopologyPolicy(topology, "")
        self._keys = keys
        self._verifier = None if keys is None else Verifier(keys, self._policy)
        self._now = now

    @property
    def audience(self) -> str:
        """Of every token."""
        return self._policy.audience

    def prove(self, properties: Properties | None, body: bytes) -> Provenance:
        """Check one."""
        if properties is None:
            return Provenance("its properties cannot be read", None)
        if self._keys is None or self._verifier is None:
            return Provenance(NO_KEYS, NO_KEYS if properties.tokens.hop else None)
        origin = self._verifier.authenticate(properties.tokens, properties.signed, body, self._now)
        if isinstance(origin, Refused):
            return Provenance(str(origin), self._hop(properties, None))
        route = self._policy.route(*origin.destination)
        if route is not None and origin.token.claims.issuer not in route.publishers:
            issuer = origin.token.claims.issuer
            why = f"not_allowed: {issuer} may not publish {route.message_type}"
            return Provenance(why, self._hop(properties, origin))
        return Provenance(origin, self._hop(properties, origin), route)

    def _hop(self, properties: Properties, origin: Origin | None) -> HopClaims | str | None:
        values = properties.tokens.hop
        if not values:
            return None
        assert self._keys is not None  # noqa: S101  # `prove` asked
        claims = claimed_hop(values)
        issuer, queue = (claims.issuer, claims.queue) if claims else ("", "")
        checked = verify_hop(values, HopRules(self._keys, self.audience, issuer, queue, self._policy.movers), self._now)
        if isinstance(checked, Refused):
            return str(checked)
        if checked.role is HopRole.SELF and not self._owns(checked.issuer, checked.queue):
            return f"hop_queue: {checked.queue} is no queue of {checked.issuer}"
        if origin is not None and not _is_about(checked, origin):
            return "content: the hop is for another message"
        return checked

    def _owns(self, service: str, queue: str) -> bool:
        declared = self._topology.queues.get(queue)
        if declared is not None:
            return declared.service == service
        return queue.startswith(tuple(f"{service}.{kind}." for kind in RUN_TIME_QUEUE_KINDS))


def _is_about(hop: HopClaims, origin: Origin) -> bool:
    exchange, routing_key = origin.destination
    named = hop.exchange.encode(errors="replace"), hop.routing_key.encode(errors="replace")
    return compare_digest(hop.leaf, origin.leaf) and named == (exchange, routing_key)
