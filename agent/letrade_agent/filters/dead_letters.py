"""What failed, as it is handed over to the dead letters: the message as it came, and who gave it up, where and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from letrade_agent.amqp.faults import AmqpFault, shorten
from letrade_agent.amqp.header_table import Entry, HeaderTable, integer_entry, long_string_entry
from letrade_agent.amqp.properties import ContentHeader
from letrade_agent.amqp.wire import long_string_value
from letrade_agent.filters.verdicts import DeadLetter, Delivery, Failed
from letrade_topo.keys.claims import HopClaims, HopRole
from letrade_topo.keys.headers import (
    COPY_HEADERS,
    HOP_HEADER,
    JWS_HEADER,
    PROOF_HEADER,
    TO_HEADER,
    TokenHeaders,
    is_reserved,
)
from letrade_topo.keys.hop import HopRules, sign_hop, verify_hop
from letrade_topo.keys.jws import SigningKey
from letrade_topo.keys.leaf import Message, SignedProperties, leaf_hash
from letrade_topo.keys.reasons import Refused
from letrade_topo.keys.token import Verifier
from letrade_topo.model.names import DEAD_KEY_SUFFIX, LONGEST_NAME_BYTES

REASON_HEADER = b"letrade-reason"
ATTEMPT_HEADER = b"letrade-attempt"
USER_HEADER = b"letrade-orig-user-id"

_KEPT_HEADERS = frozenset((JWS_HEADER, TO_HEADER, PROOF_HEADER))
_SUFFIX = DEAD_KEY_SUFFIX.encode()
_UNPRINTABLE = bytes(range(0x20)) + b"\x7f"
_PRINTABLE = bytes.maketrans(_UNPRINTABLE, b"_" * len(_UNPRINTABLE))
_LONGEST_REASON_BYTES = 200


@dataclass(frozen=True, slots=True)
class HandingOver:
    """What writing a hop token needs.

    Args:
        key_at: the key to sign with at a moment (seconds since the epoch); None: there is none.
        rules: what a hop that came with a message has to agree with; the queue in it is replaced.
        random_bytes: gives so many random bytes.
    """

    key_at: Callable[[float], SigningKey | None]
    rules: HopRules
    random_bytes: Callable[[int], bytes]


class DeadLetters:
    """Makes dead letters.

    Args:
        exchange: where they go.
        verifier: says whose a message is, where that can be proven.
        handing_over: how the hop token is written.
        largest_header: bytes that a content header may have; None: as many as it likes.
    """

    def __init__(
        self, exchange: str, verifier: Verifier, handing_over: HandingOver, *, largest_header: int | None
    ) -> None:
        self._exchange = exchange.encode()
        self._verifier = verifier
        self._handing_over = handing_over
        self._largest_header = largest_header

    def make(self, delivery: Delivery, failed: Failed, now: float) -> DeadLetter:
        """The dead letter of a delivery; of any delivery, whatever is wrong with it."""
        header = delivery.header
        entries = _entries(header)
        tokens = TokenHeaders.gather((name, long_string_value(entry[len(name) + 1 :])) for name, entry in entries)
        message = self._message(delivery, tokens, now)
        attempt, first_failure = self._history(delivery.queue, tokens, now)
        ours = [
            long_string_entry(REASON_HEADER, shorten(failed.reason, _LONGEST_REASON_BYTES)),
            integer_entry(ATTEMPT_HEADER, attempt),
        ]
        if header.user_id is not None:
            ours.append(long_string_entry(USER_HEADER, header.user_id))
        hop = self._hop(delivery.queue, message, failed, max(attempt, 1), first_failure, now)
        if hop is not None:
            ours.append(long_string_entry(HOP_HEADER, hop))
        payload = self._header(header, entries, ours)
        key = dead_key(message.routing_key or delivery.queue.encode())
        return DeadLetter(self._exchange, key, payload, delivery.body, delivery.queue, failed.reason, failed.detail)

    def _message(self, delivery: Delivery, tokens: TokenHeaders, now: float) -> Message:
        """As it was signed, if that can be proven; else as it came."""
        header = delivery.header
        properties = SignedProperties(
            header.message_id, header.correlation_id, header.content_type, header.content_encoding, header.type
        )
        origin = self._verifier.authenticate(tokens, properties, delivery.body, now)
        if isinstance(origin, Refused):
            return Message(delivery.exchange, delivery.routing_key, properties, delivery.body)
        return Message(*origin.destination, properties, delivery.body)

    def _history(self, queue: str, tokens: TokenHeaders, now: float) -> tuple[int, int]:
        """Attempts before this one, and when the first of them failed."""
        if tokens.hop:
            rules = self._handing_over.rules
            hop = verify_hop(tokens.hop, HopRules(rules.keys, rules.audience, rules.service, queue), now)
            if not isinstance(hop, Refused):
                return hop.attempt, hop.first_failure
        return 0, int(now)

    def _hop(
        self, queue: str, message: Message, failed: Failed, attempt: int, first_failure: int, now: float
    ) -> bytes | None:
        """Without a key it goes without: what nobody can prove is still better kept than lost."""
        handing_over = self._handing_over
        key = handing_over.key_at(now)
        if key is None:
            return None
        claims = HopClaims(
            issuer=key.issuer,
            audience=handing_over.rules.audience,
            issued_at=int(now),
            expires_at=int(now),  # it proves what happened, and lets nothing back into a queue: that takes an operator
            jti=handing_over.random_bytes(16),
            leaf=leaf_hash(message),
            exchange=message.exchange.decode(errors="replace"),
            routing_key=message.routing_key.decode(errors="replace"),
            queue=queue,
            attempt=attempt,
            first_failure=first_failure,
            reason=failed.reason,
            role=HopRole.SELF,
        )
        return sign_hop(key, claims)

    def _header(self, header: ContentHeader, entries: list[Entry], ours: list[Entry]) -> bytes:
        """Its own headers go first where all of them are too many for one frame; the tokens stay."""
        replace: dict[str, bytes | None] = {"user_id": None, "expiration": None}
        tokens = [entry for entry in entries if entry[0] in _KEPT_HEADERS]
        kept = [entry for entry in entries if entry[0] in _KEPT_HEADERS or not _is_dropped(entry[0])]
        payload = b""
        for some in (kept, tokens, []):
            payload = header.rewrite(HeaderTable((*some, *ours)).encode(), replace=replace)
            if self._largest_header is None or len(payload) <= self._largest_header:
                break
        return payload


def dead_key(routing_key: bytes) -> bytes:
    """The key of a dead letter: the original one with `.dead`, at most 255 bytes.

    Control characters become `_`: a topic permission's `.+` does not match a line break, and a dead letter that the
    broker refuses would be offered for ever.
    """
    return routing_key[: LONGEST_NAME_BYTES - len(_SUFFIX)].translate(_PRINTABLE) + _SUFFIX


def _entries(header: ContentHeader) -> list[Entry]:
    """All headers; none where the table cannot be read."""
    try:
        table = header.headers
    except AmqpFault:
        return []
    return [] if table is None else list(table.entries)


def _is_dropped(name: bytes) -> bool:
    return is_reserved(name) or name in COPY_HEADERS
