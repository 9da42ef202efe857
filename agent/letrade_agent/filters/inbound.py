"""What the broker delivers: verified, no repeat, fetched, decrypted, an envelope of its issuer, its payload's schema.

Checks and their order are token.md's. What the service gets has no header of the agents left in it. Every doubt is
a refusal: only mode `warn` and `off`, and what the topology does not know where that may pass, goes on unproven.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from math import inf
from typing import NamedTuple

from letrade_agent.amqp.faults import AmqpFault
from letrade_agent.amqp.header_table import EMPTY_ENCODED, Entry, append_entries, integer_entry, take_entries
from letrade_agent.amqp.properties import with_body_size
from letrade_agent.amqp.wire import long_string_value
from letrade_agent.config import Undeclared
from letrade_agent.filters.claims import claim_from, without_claim
from letrade_agent.filters.contents import Contents
from letrade_agent.filters.dead_letters import DeadLetters
from letrade_agent.filters.declared import KEPT_NAMES, OTHER_LABEL, Declared, QueueKind
from letrade_agent.filters.outbound import has_copies
from letrade_agent.filters.sealing import AGENT_PREFIXES, without_agents_headers
from letrade_agent.filters.verdicts import (
    DeadLetter,
    Delivery,
    Examined,
    Failed,
    Fetched,
    Held,
    Remembered,
    Repeated,
    Shown,
    ToFetch,
)
from letrade_agent.measures import Measures
from letrade_topo.keys.headers import ATTEMPT_HEADER, COPY_HEADERS, TokenHeaders
from letrade_topo.keys.keyset import KeySet
from letrade_topo.keys.leaf import SignedProperties
from letrade_topo.keys.reasons import HOLD_SECONDS, Reason, Refused
from letrade_topo.keys.replay import Arrived, Replay, identity_of
from letrade_topo.keys.token import Accepted, Arrival, Verifier
from letrade_topo.messages.claim import NoClaim, is_stub
from letrade_topo.messages.envelope import EnvelopeProperties
from letrade_topo.model.security import Enforcement

_DELIVER = "deliver"
_COPIED = [(name, None) for name in COPY_HEADERS]


class _Treatment(Enum):
    """How a delivery is treated, by its queue and exchange alone."""

    JUDGED = "judged"
    WARNED = "warned"
    OFF = "off"
    UNDECLARED = "undeclared"


class _Place(NamedTuple):
    treatment: _Treatment
    label: str


@dataclass(frozen=True, slots=True)
class Checks:
    """What a delivery is checked with.

    Args:
        keys: the public keys.
        verifier: of the service.
        contents: what is in a body.
        replay: the memory against repeats; outlives this filter.
        clock: seconds, for measuring alone.
    """

    keys: KeySet
    verifier: Verifier
    contents: Contents
    replay: Replay
    clock: Callable[[], float]


class InboundFilter:
    """`Inbound` of one service.

    Args:
        declared: the topology's names.
        checks: what deliveries are checked with.
        dead_letters: how what failed is handed over.
        measures: what is counted.
        undeclared: what becomes of queues and exchanges that the topology does not know.
    """

    def __init__(
        self,
        declared: Declared,
        checks: Checks,
        dead_letters: DeadLetters,
        measures: Measures,
        *,
        undeclared: Undeclared,
    ) -> None:
        self._declared = declared
        self._checks = checks
        self._algorithms = {kid: key.algorithm for kid, key in checks.keys.public.items()}
        self._dead_letters = dead_letters
        self._measures = measures
        self._passes = undeclared is Undeclared.PASS
        self._place = lru_cache(maxsize=KEPT_NAMES)(self._find_place)

    def examine(self, delivery: Delivery, now: float, fetched: Fetched | None = None) -> Examined:
        """Decide on one delivery. See `Inbound.examine`."""
        treatment, label = self._place(delivery.queue, delivery.exchange)
        header = delivery.header
        table = header.encoded_headers
        taken: list[Entry] = []
        rest = EMPTY_ENCODED
        if table is not None:
            try:
                taken, rest = take_entries(table, AGENT_PREFIXES)
            except AmqpFault as fault:
                if treatment is _Treatment.JUDGED:
                    return Failed(Reason.TOKEN_MALFORMED, f"the headers table: {fault.text}", "", label)
        if is_stub(header.content_type):
            is_warned = treatment is _Treatment.WARNED
            return self._redeem(delivery, taken, rest, label, now, fetched, is_warned=is_warned)
        if treatment is _Treatment.JUDGED or treatment is _Treatment.WARNED:
            is_warned = treatment is _Treatment.WARNED
            return self._judge(delivery, taken, rest, label, now, is_warned=is_warned)
        self._measures.unverified[_DELIVER, treatment.value] += 1
        return _unproven(delivery, taken, rest, label)

    def settled(self, remembered: Remembered, now: float) -> None:
        """Remember that the service is done with it. See `Inbound.settled`."""
        if remembered.identity is not None:
            self._checks.replay.settle(
                remembered.queue, remembered.identity, valid_until=remembered.valid_until, now=now
            )

    def rejected(self, remembered: Remembered, now: float) -> None:
        """Remember that the service does not want it. See `Inbound.rejected`."""
        if remembered.identity is not None:
            self._checks.replay.reject(
                remembered.queue, remembered.identity, valid_until=remembered.valid_until, now=now
            )

    def dead_letter(self, delivery: Delivery, failed: Failed, now: float) -> DeadLetter:
        """What to hand over. See `Inbound.dead_letter`."""
        return self._dead_letters.make(delivery, failed, now)

    def _judge(
        self, delivery: Delivery, taken: Sequence[Entry], rest: bytes, label: str, now: float, *, is_warned: bool
    ) -> Examined:
        checks = self._checks
        start = checks.clock()
        verdict = checks.verifier.verify(arrival_of(delivery, taken, rest), now)
        if isinstance(verdict, Refused):
            self._timed(verdict.kid, start)
            if is_warned:
                return self._warned(verdict.reason, _unproven(delivery, taken, rest, label))
            failed = Failed(verdict.reason, verdict.detail, verdict.issuer, label)
            return Held(failed, HOLD_SECONDS) if verdict.hold else failed
        self._timed(verdict.origin.token.kid, start)
        shown = _shown(delivery, verdict, taken, rest, label)
        refused: Repeated | Held | Failed | None = self._repeat(shown, verdict, now)
        if refused is None:
            shown, refused = self._content(delivery, verdict, shown, delivery.body, now)
        if refused is None:
            return shown
        if is_warned:
            return self._warned(Reason.REPEAT if isinstance(refused, Repeated | Held) else refused.reason, shown)
        return refused

    def _redeem(
        self,
        delivery: Delivery,
        taken: Sequence[Entry],
        rest: bytes,
        label: str,
        now: float,
        fetched: Fetched | None,
        *,
        is_warned: bool,
    ) -> Examined:
        """A claim stub, in every mode: no service sees one, and none is redeemed that is not proven."""
        checks = self._checks
        start = checks.clock()
        verdict = checks.verifier.verify(arrival_of(delivery, taken, rest), now)
        if isinstance(verdict, Refused):
            self._timed(verdict.kid, start)
            failed = Failed(verdict.reason, verdict.detail, verdict.issuer, label)
            return Held(failed, HOLD_SECONDS) if verdict.hold else failed
        self._timed(verdict.origin.token.kid, start)
        shown = _shown(delivery, verdict, taken, rest, label)
        refused: Repeated | Held | Failed | None = self._repeat(shown, verdict, now)
        if refused is not None:
            return refused
        issuer = verdict.origin.token.claims.issuer
        if fetched is None:
            return self._to_fetch(delivery, issuer, label)
        if fetched.reason:
            return Failed(fetched.reason, fetched.why, issuer, label)
        header = without_claim(shown.header, delivery.body, len(fetched.body))
        shown = shown._replace(header=header, body=fetched.body)
        shown, refused = self._content(delivery, verdict, shown, fetched.body, now)
        if refused is None:
            return shown
        return self._warned(refused.reason, shown) if is_warned else refused

    def _to_fetch(self, delivery: Delivery, issuer: str, label: str) -> ToFetch | Failed | Held:
        topology = self._declared.topology
        claim = claim_from(delivery.body, topology, issuer)
        if isinstance(claim, NoClaim):
            return Failed(Reason.CLAIM_ALTERED, f"the stub: {claim.why}", issuer, label)
        if topology.claim_check is None:
            why = f"the topology has no `claim_check`, so {claim.object} cannot be fetched"
            return Held(Failed(Reason.CLAIM_MISSING, why, issuer, label), HOLD_SECONDS)
        return ToFetch(claim, label)

    def _repeat(self, shown: Shown, accepted: Accepted, now: float) -> Repeated | Held | None:
        identity = shown.remembered.identity
        assert identity is not None  # noqa: S101  # `_shown` gives one
        arrived = self._checks.replay.arrive(
            shown.remembered.queue, identity, valid_until=accepted.valid_until, now=now
        )
        if arrived is Arrived.NEW or arrived is Arrived.OPEN:
            return None
        if arrived is Arrived.REPEAT or arrived is Arrived.REJECTED:
            return Repeated(shown.queue_label, is_rejected=arrived is Arrived.REJECTED)
        why = f"the memory against repeats is full: {len(self._checks.replay)} tokens"
        return Held(Failed(Reason.REPEAT, why, identity.issuer, shown.queue_label), inf)

    def _content(
        self, delivery: Delivery, accepted: Accepted, shown: Shown, body: bytes, now: float
    ) -> tuple[Shown, Failed | None]:
        issuer, header = accepted.origin.token.claims.issuer, delivery.header
        # not the timestamp: a broker may be told to write its own (message interceptors)
        properties = EnvelopeProperties(header.message_id, None, header.app_id)
        content = self._checks.contents.check(body, properties, issuer, accepted.route.message_type, now)
        if content.body is not body:
            shown = shown._replace(header=with_body_size(shown.header, len(content.body)), body=content.body)
        if content.reason is None:
            return shown, None
        return shown, Failed(content.reason, content.why, issuer, shown.queue_label)

    def _warned(self, reason: str, shown: Shown) -> Shown:
        self._measures.warned[_DELIVER, reason] += 1
        return shown

    def _timed(self, kid: str, start: float) -> None:
        algorithm = self._algorithms.get(kid)
        if algorithm is not None:
            self._measures.verify_seconds[algorithm].observe(self._checks.clock() - start)

    def _find_place(self, queue: str, exchange: bytes) -> _Place:
        source = exchange.decode(errors="replace")
        kind = self._declared.queue_kind(queue)
        label = queue if queue in self._declared.topology.queues else OTHER_LABEL
        if kind is QueueKind.REPLY_TO and (self._passes or self._declared.service.direct_reply_to):
            return _Place(_Treatment.UNDECLARED, label)
        if self._passes and kind is QueueKind.UNKNOWN:
            return _Place(_Treatment.UNDECLARED, label)
        if self._passes and kind is QueueKind.RUN_TIME and not self._declared.knows_exchange(source):
            return _Place(_Treatment.UNDECLARED, label)
        match self._declared.mode_of(queue, source):
            case Enforcement.OFF:
                return _Place(_Treatment.OFF, label)
            case Enforcement.WARN:
                return _Place(_Treatment.WARNED, label)
            case _:
                return _Place(_Treatment.JUDGED, label)


def arrival_of(delivery: Delivery, taken: Sequence[Entry], rest: bytes) -> Arrival:
    """A delivery as the verifier wants it.

    Args:
        delivery: as it came.
        taken: the agents' headers in it.
        rest: the table without them.
    """
    named = [(name, long_string_value(entry[len(name) + 1 :])) for name, entry in taken]
    if b"CC" in rest and has_copies(rest):
        named += _COPIED
    header = delivery.header
    properties = SignedProperties(
        header.message_id, header.correlation_id, header.content_type, header.content_encoding, header.type
    )
    return Arrival(
        delivery.queue,
        delivery.exchange,
        delivery.routing_key,
        TokenHeaders.gather(named),
        properties,
        delivery.body,
    )


def _shown(delivery: Delivery, accepted: Accepted, taken: Sequence[Entry], rest: bytes, label: str) -> Shown:
    remembered = Remembered(delivery.queue, identity_of(accepted), accepted.valid_until)
    if accepted.hop is None:
        return Shown(without_agents_headers(delivery.header, taken, rest), remembered, label)
    table = append_entries(rest, integer_entry(ATTEMPT_HEADER, accepted.attempt))
    exchange, routing_key = accepted.origin.destination
    return Shown(delivery.header.rewrite(table), remembered, label, exchange, routing_key)


def _unproven(delivery: Delivery, taken: Sequence[Entry], rest: bytes, label: str) -> Shown:
    header = without_agents_headers(delivery.header, taken, rest)
    return Shown(header, Remembered(delivery.queue, None, 0.0), label)
