"""One dead letter, as it says itself: where from, why, since when. What of it is proven is `provenance`'s business.

A dead letter that an agent wrote says it in `letrade-reason`, `letrade-attempt` and its hop token; one that waits in
`<queue>.rejected` in the death record that the broker wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from letrade_topo.amqp.faults import AmqpFault
from letrade_topo.keys.claims import HopClaims, parse_hop_claims
from letrade_topo.keys.headers import ATTEMPT_HEADER, REASON_HEADER, parse_to
from letrade_topo.keys.jws import Malformed, parse_compact
from letrade_topo.keys.topic_index import TopicIndex
from letrade_topo.model.messages import MessageType
from letrade_topo.model.names import DEAD_KEY_SUFFIX, rejected_queue
from letrade_topo.model.topology import Topology
from letrade_topo.queues.claims import ClaimedBody, claimed_body
from letrade_topo.queues.content import Properties
from letrade_topo.queues.link import DeliveredLetter

DEATHS_HEADER: Final = b"x-death"
UNKNOWN: Final = "(unknown)"

_SUFFIX = DEAD_KEY_SUFFIX.encode()
_ID_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queue that holds what failed.

    Args:
        name: of the queue.
        failed_queue: the consumer queue whose messages wait here; None for the dead letters of all.
    """

    name: str
    failed_queue: str | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """What a dead letter says of itself. Nothing here is proven.

    Args:
        id: the `message_id`, or else something made of the content that stays the same.
        exchange: that the message was published to.
        routing_key: that it was published with.
        queue: that failed it; None where nothing says so.
        reason: the word for why.
        attempts: how often it was tried again before.
        died_at: seconds since the epoch; None where nothing says so.
        first_failure: likewise.
        message_type: the name; None where the topology has no such type.
        size: of the body, in bytes.
        claimed: where the body lies, if it is not in the letter; None: it is.
    """

    id: str
    exchange: str
    routing_key: str
    queue: str | None
    reason: str
    attempts: int
    died_at: float | None
    first_failure: float | None
    message_type: str | None
    size: int
    claimed: ClaimedBody | None = None

    def age(self, now: float) -> float | None:
        """Seconds since it died; never below 0."""
        return None if self.died_at is None else max(0.0, now - self.died_at)


class LetterReader:
    """Reads dead letters of one topology.

    Args:
        topology: a valid one.
        waiting: the queue that they come from.
    """

    def __init__(self, topology: Topology, waiting: Waiting) -> None:
        self._waiting = waiting
        self._topology = topology
        self._by_exchange: dict[str, TopicIndex[MessageType]] = {}
        for message in topology.messages.values():
            self._by_exchange.setdefault(message.exchange, TopicIndex()).add(message.key.binding_key, message)

    def read(self, delivery: DeliveredLetter) -> tuple[Letter, Properties | None]:
        """A letter of any delivery, and its properties where they can be read."""
        try:
            properties = Properties.parse(delivery.raw)
        except AmqpFault:
            return self._unreadable(delivery), None
        tokens = properties.tokens
        hop = claimed_hop(tokens.hop)
        death = _newest_death(properties)
        exchange, key = self._destination(delivery, properties, death)
        message = self.message_type(exchange, key)
        if self._waiting.failed_queue is None:
            queue = hop.queue if hop else None
            reason = _text(properties.header(REASON_HEADER)) or (hop.reason if hop else None)
            died_at = float(hop.issued_at) if hop else None
        else:
            queue = self._waiting.failed_queue
            reason = _text(death.get("reason"))
            time = death.get("time")
            died_at = time.timestamp() if isinstance(time, datetime) else None
        attempts = properties.header(ATTEMPT_HEADER)
        if not isinstance(attempts, int):
            attempts = hop.attempt if hop else 0
        return (
            Letter(
                _identity(properties, delivery.body),
                exchange,
                key,
                queue,
                reason or UNKNOWN,
                attempts,
                died_at,
                float(hop.first_failure) if hop else died_at,
                message.name if message else None,
                len(delivery.body),
                claimed_body(properties, delivery.body, self._topology.claim_check),
            ),
            properties,
        )

    def message_type(self, exchange: str, routing_key: str) -> MessageType | None:
        """The message type of a destination, if the topology has one."""
        types = self._by_exchange.get(exchange)
        if types is None:
            return None
        return next((message for message in types.matches(routing_key) if message.key.matches(routing_key)), None)

    def _destination(
        self, delivery: DeliveredLetter, properties: Properties, death: Mapping[str, object]
    ) -> tuple[str, str]:
        to = properties.tokens.to
        if len(to) == 1 and to[0] is not None:
            found = parse_to(to[0])
            if not isinstance(found, Malformed):
                return found.exchange.decode(errors="replace"), found.routing_key.decode(errors="replace")
        if self._waiting.failed_queue is not None:
            keys = death.get("routing-keys")
            first = keys[0] if isinstance(keys, list) and keys else None
            return _text(death.get("exchange")) or "", _text(first) or ""
        key = delivery.routing_key.removesuffix(_SUFFIX).decode(errors="replace")
        exchanges = [name for name in self._by_exchange if self.message_type(name, key)]
        return (exchanges[0] if len(exchanges) == 1 else ""), key

    def _unreadable(self, delivery: DeliveredLetter) -> Letter:
        digest = sha256(delivery.raw + delivery.body).hexdigest()[:_ID_CHARACTERS]
        key = delivery.routing_key.removesuffix(_SUFFIX).decode(errors="replace")
        queue = self._waiting.failed_queue
        return Letter(f"~{digest}", "", key, queue, UNKNOWN, 0, None, None, None, len(delivery.body))


def waiting_queue(topology: Topology, name: str | None) -> Waiting | None:
    """The queue of failed messages of that name: the dead letters without one; None where there is none such.

    Looking into any other queue would eat the delivery limit of what its service has yet to consume.
    """
    if topology.has_dead_letters and name in (None, topology.dead_letter.queue):
        return Waiting(topology.dead_letter.queue)
    for queue in topology.queues.values():
        if queue.has_rejected_queue and name == rejected_queue(queue.name):
            return Waiting(name, queue.name)
    return None


def claimed_hop(values: tuple[bytes | None, ...]) -> HopClaims | None:
    """What a hop token says, whoever signed it."""
    if len(values) != 1 or values[0] is None:
        return None
    compact = parse_compact(values[0])
    if isinstance(compact, Malformed):
        return None
    claims = parse_hop_claims(compact.payload)
    return None if isinstance(claims, Malformed) else claims


def _identity(properties: Properties, body: bytes) -> str:
    message_id = properties.text("message_id")
    if message_id:
        return message_id.decode(errors="replace")
    own = b"".join(b for name in ("correlation_id", "type", "timestamp") for b in (_field(properties, name), b"\0"))
    jws = b"".join(value or b"" for value in properties.tokens.jws)
    return "~" + sha256(own + jws + body).hexdigest()[:_ID_CHARACTERS]


def _field(properties: Properties, name: str) -> bytes:
    value = properties.number(name)
    return b"" if value is None else str(value).encode()


def _newest_death(properties: Properties) -> Mapping[str, object]:
    """The newest entry of the broker's death record."""
    deaths = properties.header(DEATHS_HEADER)
    newest = deaths[0] if isinstance(deaths, list) and deaths else None
    return newest if isinstance(newest, dict) else {}


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else None
