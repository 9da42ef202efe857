"""What the broker delivers: verified, no repeat, fetched, decrypted, an envelope of its issuer, its payload's schema.

Checks and their order are token.md's. What the service gets has no header of the agents left in it. Every doubt is
a refusal: only mode `warn` and `off`, and what the topology does not know where that may pass, goes on unproven.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from letrade_agent.config import Undeclared
from letrade_agent.filters.claims import claim_from, without_claim
from letrade_agent.filters.contents import Contents
from letrade_agent.filters.copies import DeadLetter
from letrade_agent.filters.dead_letters import DeadLetters
from letrade_agent.filters.declared import OTHER_LABEL, Declared
from letrade_agent.filters.ordinary_deliveries import OrdinaryDeliveries
from letrade_agent.filters.outbound import has_copies
from letrade_agent.filters.repeats import Repeats
from letrade_agent.filters.sealing import AGENT_PREFIXES, without_agents_headers
from letrade_agent.filters.treatments import Treatment, Treatments
from letrade_agent.filters.verdicts import Arrived as ArrivedAs
from letrade_agent.filters.verdicts import (
    Delivery,
    Examined,
    Failed,
    Fetched,
    Held,
    Proven,
    Remembered,
    Repeated,
    Shown,
    ToFetch,
)
from letrade_agent.filters.words import Undelivered
from letrade_agent.measures import Measures
from letrade_agent.rehearsal import Place
from letrade_topo.amqp.faults import AmqpFault, readable
from letrade_topo.amqp.header_table import EMPTY_ENCODED, Entry, append_entries, integer_entry, take_entries
from letrade_topo.amqp.properties import with_body_size
from letrade_topo.amqp.wire import long_string_value
from letrade_topo.keys.headers import ATTEMPT_HEADER, COPY_HEADERS, TokenHeaders
from letrade_topo.keys.keyset import KeySet
from letrade_topo.keys.leaf import SignedProperties
from letrade_topo.keys.policy import TokenPolicy
from letrade_topo.keys.reasons import Reason, Refused
from letrade_topo.keys.replay import identity_of
from letrade_topo.keys.token import Accepted, Arrival, Verifier
from letrade_topo.messages.claim import NoClaim, is_stub
from letrade_topo.messages.envelope import EnvelopeProperties

RABBITMQ_MESSAGE_SIZE: Final = 16 * 1024 * 1024
"""The largest body, in bytes, that RabbitMQ takes from 4.0 on unless it is told otherwise (`max_message_size`)."""

_DELIVER = "deliver"
_REPEATED: Final = "this service has settled it, or has it, already"
_COPIED = [(name, None) for name in COPY_HEADERS]


@dataclass(frozen=True, slots=True)
class Checks:
    """What a delivery is checked with.

    Args:
        keys: the public keys.
        policy: what the topology says about tokens.
        verifier: of the service.
        contents: what is in a body.
        repeats: the memory against repeats.
        clock: seconds, for measuring alone.
        hold_seconds: that a delivery is kept while what it needs may be on its way.
    """

    keys: KeySet
    policy: TokenPolicy
    verifier: Verifier
    contents: Contents
    repeats: Repeats
    clock: Callable[[], float]
    hold_seconds: float


class InboundFilter:
    """`Inbound` of one service.

    Args:
        declared: the topology's names.
        checks: what deliveries are checked with.
        dead_letters: how what failed is handed over.
        measures: what is counted.
        undeclared: what becomes of queues and exchanges that the topology does not know.

    Attributes:
        largest_body: see `Inbound`: as large as the topology lets bodies be, and at least what RabbitMQ does by itself,
            because what is not judged may be larger.
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
        self._message_size = declared.topology.limits.message_size.bytes
        self.largest_body: Final = max(self._message_size, RABBITMQ_MESSAGE_SIZE)
        self._declared = declared
        self._checks = checks
        self._algorithms = {kid: key.algorithm for kid, key in checks.keys.public.items()}
        self._dead_letters = dead_letters
        self._measures = measures
        self._repeats = checks.repeats
        self._hold_seconds = checks.hold_seconds
        self._treatments = Treatments(declared, undeclared)
        self._ordinary = OrdinaryDeliveries(
            checks.verifier, checks.policy, checks.contents, self._treatments.judged_label, self._message_size
        )

    def prove(self, batch: Sequence[ArrivedAs], now: float) -> Sequence[Proven | None]:
        """Find the ordinary ones. See `Inbound.prove`."""
        clock = self._checks.clock
        start = clock()
        genuine = self._ordinary.genuine(batch, now)
        by_kid: dict[str, int] = {}
        latest: dict[str, tuple[str, float]] = {}
        for one in genuine:
            if one is not None:
                source, kid = one[0], one[4]
                by_kid[kid] = by_kid.get(kid, 0) + 1
                latest[source[0]] = source[2].message_type, one[2]
        if not by_kid:
            return [None] * len(batch)
        seconds = (clock() - start) / len(batch)
        for kid, count in by_kid.items():
            algorithm = self._algorithms.get(kid)
            if algorithm is not None:
                self._measures.verify_seconds[algorithm].observe(seconds, count)
        self._repeats.proven(latest, now)
        return self._ordinary.proven(batch, genuine, now)

    def accept(self, proven: Proven, now: float) -> Shown | None:
        """Ask the memory against repeats. See `Inbound.accept`."""
        return self._repeats.accept(proven, now)

    def examine(self, delivery: Delivery, now: float, fetched: Fetched | None = None) -> Examined:
        """Decide on one delivery. See `Inbound.examine`."""
        treatment, label = self._treatments.of(delivery.queue, delivery.exchange)
        header = delivery.header
        table = header.encoded_headers
        taken: list[Entry] = []
        rest = EMPTY_ENCODED
        if table is not None:
            try:
                taken, rest = take_entries(table, AGENT_PREFIXES)
            except AmqpFault as fault:
                if treatment is Treatment.JUDGED:
                    return Failed(Reason.TOKEN_MALFORMED, f"the headers table: {fault.text}", "", label)
        if is_stub(header.content_type):
            is_warned = treatment is Treatment.WARNED
            return self._redeem(delivery, taken, rest, label, now, fetched, is_warned=is_warned)
        if treatment is Treatment.JUDGED or treatment is Treatment.WARNED:
            is_warned = treatment is Treatment.WARNED
            return self._judge(delivery, taken, rest, label, now, is_warned=is_warned)
        self._measures.unverified[_DELIVER, treatment.value] += 1
        return _unproven(delivery, taken, rest, label)

    def settled(self, remembered: Remembered, now: float) -> None:
        """Remember that the service is done with it. See `Inbound.settled`."""
        self._repeats.settled(remembered, now)

    def rejected(self, remembered: Remembered, now: float) -> None:
        """Remember that the service does not want it. See `Inbound.rejected`."""
        self._repeats.rejected(remembered, now)

    def given_back(self, remembered: Remembered, now: float) -> None:
        """It comes again. See `Inbound.given_back`."""
        self._repeats.given_back(remembered, now)

    def let_go(self, number: int, now: float) -> None:
        """It comes again. See `Inbound.let_go`."""
        self._repeats.let_go(number, now)

    def handed_over(self, number: int, now: float) -> None:
        """It does not come again. See `Inbound.handed_over`."""
        self._repeats.handed_over(number, now)

    def keeps_up(self, queue: str, now: float, *, was_active: bool) -> None:
        """A consumer is idle. See `Inbound.keeps_up`."""
        self._repeats.keeps_up(queue, now, was_active=was_active)

    def dead_letter(self, delivery: Delivery, failed: Failed, now: float) -> DeadLetter:
        """What to hand over. See `Inbound.dead_letter`."""
        return self._dead_letters.make(delivery, failed, now)

    def _judge(
        self, delivery: Delivery, taken: Sequence[Entry], rest: bytes, label: str, now: float, *, is_warned: bool
    ) -> Examined:
        checks = self._checks
        start = checks.clock()
        verdict = self._repeats.verified(delivery, arrival_of(delivery, taken, rest), now)
        if isinstance(verdict, Refused):
            self._timed(verdict.kid, start)
            if is_warned:
                return self._warned(delivery, verdict.reason, verdict.detail, _unproven(delivery, taken, rest, label))
            failed = Failed(verdict.reason, verdict.detail, verdict.issuer, label)
            return Held(failed, self._hold_seconds) if verdict.hold else failed
        self._timed(verdict.origin.token.kid, start)
        shown = _shown(delivery, verdict, taken, rest, label)
        if len(delivery.body) > self._message_size:
            text = f"message size {len(delivery.body)} is larger than configured max size {self._message_size}"
            if is_warned:
                return self._warned(delivery, Undelivered.OVERSIZE, text, shown)
            # a roll-out of a larger limit may be under way
            failed = Failed(Undelivered.OVERSIZE, text, verdict.origin.token.claims.issuer, label)
            return Held(failed, self._hold_seconds)
        refused: Repeated | Held | Failed | None = self._repeats.of(delivery, shown, verdict, now)
        if refused is None:
            shown, refused = self._content(delivery, verdict, shown, delivery.body, now)
        if refused is None:
            return shown
        if is_warned:
            match refused:
                case Failed():
                    return self._warned(delivery, refused.reason, refused.detail, shown)
                case _:
                    return self._warned(delivery, Reason.REPEAT, _REPEATED, shown)
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
        verdict = self._repeats.verified(delivery, arrival_of(delivery, taken, rest), now)
        if isinstance(verdict, Refused):
            self._timed(verdict.kid, start)
            failed = Failed(verdict.reason, verdict.detail, verdict.issuer, label)
            return Held(failed, self._hold_seconds) if verdict.hold else failed
        self._timed(verdict.origin.token.kid, start)
        shown = _shown(delivery, verdict, taken, rest, label)
        refused: Repeated | Held | Failed | None = self._repeats.of(delivery, shown, verdict, now)
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
        return self._warned(delivery, refused.reason, refused.detail, shown) if is_warned else refused

    def _to_fetch(self, delivery: Delivery, issuer: str, label: str) -> ToFetch | Failed | Held:
        topology = self._declared.topology
        claim = claim_from(delivery.body, topology, issuer)
        if isinstance(claim, NoClaim):
            return Failed(Reason.CLAIM_ALTERED, f"the stub: {claim.why}", issuer, label)
        if topology.claim_check is None:
            why = f"the topology has no `claim_check`, so {claim.object} cannot be fetched"
            return Held(Failed(Reason.CLAIM_MISSING, why, issuer, label), self._hold_seconds)
        return ToFetch(claim, label)

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
            for name in content.differing:
                self._measures.differing[_DELIVER, name] += 1
            return shown, None
        return shown, Failed(content.reason, content.why, issuer, shown.queue_label)

    def _warned(self, delivery: Delivery, reason: str, text: str, shown: Shown) -> Shown:
        self._measures.warned[_DELIVER, reason] += 1
        exchange = delivery.exchange if shown.exchange is None else shown.exchange
        routing_key = delivery.routing_key if shown.routing_key is None else shown.routing_key
        route = self._checks.policy.route(exchange, routing_key)
        about = readable(routing_key) if route is None else route.message_type
        place = Place(_DELIVER, self._exchange_label(exchange), shown.queue_label, about, route is not None, reason)
        self._measures.rehearsal.note(place, routing_key, delivery.header.message_id, text)
        return shown

    def _exchange_label(self, exchange: bytes) -> str:
        name = readable(exchange)
        return name if name in self._declared.topology.exchanges else OTHER_LABEL

    def _timed(self, kid: str, start: float) -> None:
        algorithm = self._algorithms.get(kid)
        if algorithm is not None:
            self._measures.verify_seconds[algorithm].observe(self._checks.clock() - start)


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
    exchange, routing_key = accepted.origin.destination
    if not accepted.attempt:  # moved before it ever failed: as it was published
        return Shown(without_agents_headers(delivery.header, taken, rest), remembered, label, exchange, routing_key)
    table = append_entries(rest, integer_entry(ATTEMPT_HEADER, accepted.attempt))
    return Shown(delivery.header.rewrite(table), remembered, label, exchange, routing_key)


def _unproven(delivery: Delivery, taken: Sequence[Entry], rest: bytes, label: str) -> Shown:
    header = without_agents_headers(delivery.header, taken, rest)
    return Shown(header, Remembered(delivery.queue, None, 0.0), label)
