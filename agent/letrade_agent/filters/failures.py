"""What is known of a message that failed, and the hop token that goes with every copy of it.

Whose it is and where it was first published is what its token proves; of a message without one that was retried
before, what the hop of this very agent says; else how it came.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from typing import NamedTuple

from letrade_agent.filters.verdicts import Delivery
from letrade_topo.amqp.faults import AmqpFault, shorten
from letrade_topo.amqp.header_table import Entry, integer_entry, long_string_entry
from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.amqp.wire import long_string_value
from letrade_topo.keys.claims import HopClaims, HopRole
from letrade_topo.keys.headers import (
    ATTEMPT_HEADER,
    COPY_HEADERS,
    HOP_HEADER,
    JWS_HEADER,
    PROOF_HEADER,
    REASON_HEADER,
    TO_HEADER,
    USER_HEADER,
    TokenHeaders,
    is_reserved,
)
from letrade_topo.keys.hop import HopRules, sign_hop, verify_hop
from letrade_topo.keys.jws import SigningKey
from letrade_topo.keys.leaf import SignableMessage, SignedProperties, leaf_hash
from letrade_topo.keys.reasons import Refused
from letrade_topo.keys.token import Origin, Verifier

TOKEN_HEADERS = frozenset((JWS_HEADER, TO_HEADER, PROOF_HEADER))
"""The publisher's, which no copy changes."""

_LONGEST_REASON_BYTES = 200


@dataclass(frozen=True, slots=True)
class HopSigning:
    """What writing a hop token needs.

    Args:
        key_at: the key to sign with at a moment (seconds since the epoch); None: there is none.
        rules: what a hop that came with a message has to agree with; the queue in it is replaced.
        random_bytes: gives so many random bytes.
    """

    key_at: Callable[[float], SigningKey | None]
    rules: HopRules
    random_bytes: Callable[[int], bytes]


class Failure(NamedTuple):
    """What is known of a message that failed.

    Attributes:
        delivery: as it came.
        entries: all its headers; none where the table cannot be read.
        message: as it was first published, as far as that can be known.
        origin: whose it is; or why that is not proven.
        hop: how it came into its queue, if that is proven to be about this message and this queue.
        hop_refused: why its hop proves nothing; None: it has none, or a good one.
    """

    delivery: Delivery
    entries: list[Entry]
    message: SignableMessage
    origin: Origin | Refused
    hop: HopClaims | None
    hop_refused: Refused | None

    @property
    def is_doubtful(self) -> bool:
        """Whether a roll-out of keys may be under way, so that later more can be proven."""
        refused = (self.origin if isinstance(self.origin, Refused) else None, self.hop_refused)
        return any(one is not None and one.hold for one in refused)


class FailureOutcome(NamedTuple):
    """What becomes of a failed message.

    Attributes:
        reason: the word for why it failed.
        attempt: how often it came back so far, this time included if it comes back now; 0: never.
        first_failure: seconds since the epoch.
        delay_seconds: until it is back; None: it does not come back.
    """

    reason: str
    attempt: int
    first_failure: int
    delay_seconds: float | None = None


class Failures:
    """Reads what failed, and signs what is said of it.

    Args:
        verifier: says whose a message is, where that can be proven.
        signing: how the hop token is written.
        tolerance_seconds: how long a hop is good beyond its delay (`hop_tolerance`).
    """

    def __init__(self, verifier: Verifier, signing: HopSigning, tolerance_seconds: float) -> None:
        self._verifier = verifier
        self._signing = signing
        self._tolerance = tolerance_seconds

    def read(self, delivery: Delivery, now: float) -> Failure:
        """Whatever can be known of any delivery, whatever is wrong with it."""
        header = delivery.header
        entries = _entries(header)
        tokens = TokenHeaders.gather((name, long_string_value(entry[len(name) + 1 :])) for name, entry in entries)
        properties = SignedProperties(
            header.message_id, header.correlation_id, header.content_type, header.content_encoding, header.type
        )
        origin = self._verifier.authenticate(tokens, properties, delivery.body, now)
        hop = self._hop_of(tokens, delivery.queue, now)
        refused = hop if isinstance(hop, Refused) else None
        claims = hop if isinstance(hop, HopClaims) else None
        if isinstance(origin, Origin):
            message = SignableMessage(*origin.destination, properties, delivery.body)
            claims = claims if claims is not None and claims.leaf == origin.leaf else None
            return Failure(delivery, entries, message, origin, claims, refused)
        message = SignableMessage(_text(delivery.exchange), _text(delivery.routing_key), properties, delivery.body)
        if claims is not None:
            handed = SignableMessage(claims.exchange.encode(), claims.routing_key.encode(), properties, delivery.body)
            if claims.leaf == leaf_hash(handed):
                message = handed
            else:
                claims = None
        return Failure(delivery, entries, message, origin, claims, refused)

    def said(self, failure: Failure, outcome: FailureOutcome, now: float) -> list[Entry]:
        """The headers that a copy gets. Without a key no hop is among them: kept unproven is better than lost."""
        ours = [
            long_string_entry(REASON_HEADER, shorten(outcome.reason, _LONGEST_REASON_BYTES)),
            integer_entry(ATTEMPT_HEADER, outcome.attempt),
        ]
        user_id = failure.delivery.header.user_id
        if user_id is not None:
            ours.append(long_string_entry(USER_HEADER, user_id))
        elif failure.hop is not None:  # an agent wrote it
            ours += [entry for entry in failure.entries if entry[0] == USER_HEADER]
        key = self._signing.key_at(now)
        if key is not None:
            claims = self._claims(failure, outcome, key.issuer, now)
            ours.append(long_string_entry(HOP_HEADER, sign_hop(key, claims)))
        return ours

    def is_over(self, failure: Failure, first_failure: float) -> bool:
        """Whether the message was already too old for its consumer when it first failed."""
        return isinstance(failure.origin, Origin) and self._verifier.is_over(failure.origin, first_failure)

    def _hop_of(self, tokens: TokenHeaders, queue: str, now: float) -> HopClaims | Refused | None:
        if not tokens.hop:
            return None
        return verify_hop(tokens.hop, replace(self._signing.rules, queue=queue), now)

    def _claims(self, failure: Failure, outcome: FailureOutcome, issuer: str, now: float) -> HopClaims:
        message, issued_at = failure.message, int(now)
        # What does not come back proves what happened, and lets nothing into a queue: that takes an operator.
        lasts = 0 if outcome.delay_seconds is None else ceil(outcome.delay_seconds + self._tolerance)
        return HopClaims(
            issuer=issuer,
            audience=self._signing.rules.audience,
            issued_at=issued_at,
            expires_at=issued_at + lasts,
            jti=self._signing.random_bytes(16),
            leaf=leaf_hash(message),
            exchange=message.exchange.decode(errors="replace"),
            routing_key=message.routing_key.decode(errors="replace"),
            queue=failure.delivery.queue,
            attempt=max(outcome.attempt, 1),
            first_failure=outcome.first_failure,
            reason=outcome.reason,
            role=HopRole.SELF,
        )


def is_dropped(name: bytes) -> bool:
    """Whether a header does not travel on: what agents and brokers said before, and what would make copies."""
    return name not in TOKEN_HEADERS and (is_reserved(name) or name in COPY_HEADERS)


def _entries(header: ContentHeader) -> list[Entry]:
    try:
        table = header.headers
    except AmqpFault:
        return []
    return [] if table is None else list(table.entries)


def _text(name: bytes) -> bytes:
    """A name as a hop token can hold it, so that its leaf is the same when it comes back."""
    return name.decode(errors="replace").encode()
