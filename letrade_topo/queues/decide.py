"""What a replay does with one dead letter: the copies that it publishes, or why it leaves it alone. Pure.

A copy goes straight to the queue, through the default exchange, and carries a hop token of the role `replay`: the
operator answers for its being there. Two rules make the consumer's agent take it:

- The hop's attempt is one above the last. The agent remembers what its service has settled, a rejection too, and
  would take the same attempt for a repeat.
- The lifetime of a message type is judged at the hop's `iat`. It is the moment of the first failure: the message
  came in time, and what happened since was not its publisher's doing. One that was too late already when it failed
  is replayed only where a person says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from letrade_topo.keys.claims import HopClaims, HopRole
from letrade_topo.keys.headers import (
    ATTEMPT_HEADER,
    COPY_HEADERS,
    HOP_HEADER,
    JWS_HEADER,
    PROOF_HEADER,
    TO_HEADER,
    USER_HEADER,
    is_reserved,
)
from letrade_topo.keys.hop import hop_tolerance, sign_hop
from letrade_topo.keys.jws import SigningKey
from letrade_topo.keys.policy import Route
from letrade_topo.keys.replay import WINDOW_SECONDS
from letrade_topo.keys.token import Origin
from letrade_topo.model.security import Enforcement
from letrade_topo.model.topology import Topology
from letrade_topo.queues.content import Properties
from letrade_topo.queues.letter import Letter
from letrade_topo.queues.link import LetterCopy
from letrade_topo.queues.provenance import Provenance, Prover

DEFAULT_EXCHANGE = ""
_KEPT = frozenset((JWS_HEADER, TO_HEADER, PROOF_HEADER, USER_HEADER))
_GOING = ("user_id", "expiration")  # of somebody else's login; and it would cut the way short
_MARGIN_SECONDS = 30.0
"""So long a message may take to its consumers."""


@dataclass(frozen=True, slots=True)
class Left:
    """A letter is left where it is.

    Args:
        why: in words; the same for all of a kind.
        fix: what to do about it.
    """

    why: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Intent:
    """What a person wants.

    Args:
        fan_out: to every queue that the message was published for, not to the one that failed it.
        unproven: also what nobody can be proven to have published.
        past_lifetime: also what was too late already when it first failed.
    """

    fan_out: bool = False
    unproven: bool = False
    past_lifetime: bool = False


class Decider:
    """Decides on dead letters.

    Args:
        topology: a valid one.
        prover: what is proven.
        key_at: the operator's key at a moment; None: there is none.
        random_bytes: gives so many random bytes.
        intent: what a person wants.
        largest_properties: bytes that the properties may have.
    """

    def __init__(
        self,
        topology: Topology,
        prover: Prover,
        key_at: Callable[[float], SigningKey | None],
        random_bytes: Callable[[int], bytes],
        intent: Intent,
        largest_properties: int,
    ) -> None:
        self._topology = topology
        self._prover = prover
        self._key_at = key_at
        self._random_bytes = random_bytes
        self._intent = intent
        self._largest = largest_properties

    def decide(
        self, letter: Letter, properties: Properties | None, body: bytes, now: float
    ) -> tuple[LetterCopy, ...] | Left:
        """The copies of one letter; all of them have to arrive before it may go."""
        if properties is None:
            return Left("its properties cannot be read")
        proof = self._prover.prove(properties, body)
        if proof.problem:
            if not self._intent.unproven:
                return Left(f"its origin is not proven ({proof.problem})", "--unproven replays it all the same")
            copies = self._unproven(letter, properties, body)
        else:
            copies = self._proven(letter, properties, body, proof, now)
        if not isinstance(copies, Left) and any(len(copy.raw) > self._largest for copy in copies):
            return Left("its headers are too long for one frame")
        return copies

    def _proven(
        self, letter: Letter, properties: Properties, body: bytes, proof: Provenance, now: float
    ) -> tuple[LetterCopy, ...] | Left:
        origin, route = proof.origin, proof.route
        assert isinstance(origin, Origin)  # noqa: S101  # there is no problem
        if route is None:
            return Left("no message type of this topology has its exchange and routing key")
        hop = proof.hop if isinstance(proof.hop, HopClaims) else None
        if self._intent.fan_out:
            if self._is_taken_anew(letter, origin, route, now):
                return (self._original(origin, properties, body),)
            queues = sorted(route.queues)
            if not queues:
                return Left("the topology routes it to no queue")
        else:
            found = self._failed_queue(letter, hop, route)
            if isinstance(found, Left):
                return found
            queues = [found]
        vouched = self._vouched_at(letter, hop, origin, route, now)
        if vouched is None:
            return Left(
                f"it was older than the lifetime of {route.message_type} when it failed", "--past-lifetime replays it"
            )
        key = self._key_at(now)
        if key is None:
            return Left("there is no replay key to sign with", "give --keys, the folder of `letrade-topo keys init`")
        attempt = (hop.attempt if hop else 0) + 1
        copies = []
        added: list[tuple[bytes, bytes | int]]
        for queue in queues:
            claims = HopClaims(
                issuer=key.issuer,
                audience=self._prover.audience,
                issued_at=vouched,
                expires_at=int(now + hop_tolerance(self._topology.security.jwt.outage_tolerance.seconds)),
                jti=self._random_bytes(16),
                leaf=origin.leaf,
                exchange=origin.destination.exchange.decode(),
                routing_key=origin.destination.routing_key.decode(),
                queue=queue,
                attempt=attempt,
                first_failure=hop.first_failure if hop else vouched,
                reason=hop.reason if hop else letter.reason,
                role=HopRole.REPLAY,
            )
            added = [(ATTEMPT_HEADER, attempt), (HOP_HEADER, sign_hop(key, claims))]
            raw = properties.rewritten(is_dropped=_is_dropped, added=added, without=_GOING).encode()
            copies.append(LetterCopy(DEFAULT_EXCHANGE, queue, raw, body))
        return tuple(copies)

    def _failed_queue(self, letter: Letter, hop: HopClaims | None, route: Route) -> str | Left:
        queue = hop.queue if hop else letter.queue
        if queue is None and len(route.queues) == 1:
            queue = next(iter(route.queues))
        if queue is None:
            return Left("nothing says which queue failed it", "--fan-out sends it to every queue it was published for")
        if queue not in self._topology.queues:
            return Left(
                "it failed in a queue that an instance had made for itself, or that is declared no more",
                "--fan-out sends it to every queue it was published for",
            )
        return queue if queue in route.queues else Left(f"the topology does not route {route.message_type} to {queue}")

    def _vouched_at(
        self, letter: Letter, hop: HopClaims | None, origin: Origin, route: Route, now: float
    ) -> int | None:
        """The moment at which its lifetime is judged."""
        claims = origin.token.claims
        end = int(min(claims.expires_at, claims.issued_at + route.lifetime_seconds))
        failed = hop.first_failure if hop else letter.died_at
        failed = int(now if failed is None else min(failed, now))
        if failed <= end + self._topology.security.jwt.leeway.seconds:
            return min(max(failed, claims.issued_at), end)
        return end if self._intent.past_lifetime else None

    def _is_taken_anew(self, letter: Letter, origin: Origin, route: Route, now: float) -> bool:
        """Whether every consumer takes it as it was published, without a hop."""
        if self._topology.mode_of(letter.exchange) is Enforcement.OFF:
            return True
        claims = origin.token.claims
        is_alive = now + _MARGIN_SECONDS < min(claims.expires_at, claims.issued_at + route.lifetime_seconds)
        age = letter.age(now)
        return is_alive and age is not None and age > WINDOW_SECONDS + _MARGIN_SECONDS

    def _unproven(self, letter: Letter, properties: Properties, body: bytes) -> tuple[LetterCopy, ...] | Left:
        added = [(ATTEMPT_HEADER, letter.attempts + 1)]
        raw = properties.rewritten(is_dropped=_is_dropped, added=added, without=_GOING)
        if self._intent.fan_out:
            if letter.exchange not in self._topology.exchanges or letter.message_type is None:
                return Left("nothing says to which declared exchange it was published")
            return (LetterCopy(letter.exchange, letter.routing_key, raw.encode(), body),)
        if letter.queue not in self._topology.queues:
            return Left("nothing says which declared queue failed it", "--fan-out sends it to its exchange and key")
        assert letter.queue is not None  # noqa: S101  # it is one of the queues
        return (LetterCopy(DEFAULT_EXCHANGE, letter.queue, raw.encode(), body),)

    @staticmethod
    def _original(origin: Origin, properties: Properties, body: bytes) -> LetterCopy:
        raw = properties.rewritten(is_dropped=_is_dropped, added=(), without=_GOING).encode()
        exchange, routing_key = origin.destination
        return LetterCopy(exchange.decode(), routing_key.decode(), raw, body)


def _is_dropped(name: bytes) -> bool:
    return (is_reserved(name) and name not in _KEPT) or name in COPY_HEADERS
