"""A rejected message in, its copy out: who it is, how often it came, what travels on and what does not."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from letrade_agent.filters.build import Chance, build_rejected
from letrade_agent.filters.copies import Copy, DeadLetter, RetryCopy
from letrade_agent.filters.verdicts import Delivery, Held, Repeated, Shown
from letrade_agent.filters.words import Cause
from letrade_agent.retry.deaths import UNRECORDED, newest_death
from letrade_agent.retry.routing import Routing

from letrade_topo.amqp.header_table import Entry, HeaderTable, raw_entry
from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.amqp.wire import long_string
from letrade_topo.keys.claims import HopClaims
from letrade_topo.keys.hop import HopRules, verify_hop
from letrade_topo.keys.keyset import KeySet
from letrade_topo.model.security import Enforcement
from letrade_topo.model.topology import Topology
from tests.agent.filters.test_inbound import CONNECTOR, connector
from tests.agent.filters.world import (
    COMMANDS,
    EXECUTE,
    QUEUE,
    Chances,
    header,
    keys_of,
    names_of,
    number_entry,
    signed_trade,
    text_entry,
    text_of,
    with_entries,
    with_properties,
)
from tests.amqp.strategies import content_headers
from tests.keys.world import NOW, audience, topology


def text(value: bytes) -> bytes:
    """A tagged long string."""
    return b"S" + long_string(value)


def array(*values: bytes) -> bytes:
    """A tagged array."""
    return b"A" + long_string(b"".join(values))


def death(reason: bytes = b"rejected", exchange: bytes = COMMANDS, key: bytes = EXECUTE, queue: str = QUEUE) -> Entry:
    """The header `x-death` with one death, as the broker writes it."""
    entries = (
        number_entry(b"count", 1),
        raw_entry(b"reason", text(reason)),
        raw_entry(b"queue", text(queue.encode())),
        raw_entry(b"exchange", text(exchange)),
        raw_entry(b"routing-keys", array(text(key))),
    )
    return raw_entry(b"x-death", array(b"F" + HeaderTable(entries).encode()))


def routing(model: Topology | None = None, keys: KeySet | None = None) -> Routing:
    """The router's decisions beside the consumer of trade commands."""
    model = topology() if model is None else model
    keys = keys_of(CONNECTOR, model) if keys is None else keys
    return Routing(build_rejected(model, keys, CONNECTOR, Chance(Chances().random_bytes, lambda: 0.0)))


ROUTING = routing()


def rejected(
    message: Delivery, reason: bytes = b"rejected", *, exchange: bytes = COMMANDS, key: bytes = EXECUTE
) -> Delivery:
    """A delivery as it comes from `<queue>.rejected`."""
    died = with_entries(message, death(reason, exchange, key), without=[b"x-death"])
    return died._replace(exchange=b"letrade.retry", routing_key=f"{QUEUE}.rejected".encode())


def judged(message: Delivery, by: Routing = ROUTING, now: float = NOW) -> Copy:
    """What is published of it."""
    found = by.judge(message, now, may_hold=False)
    assert not isinstance(found, Held)
    return found


def retried(message: Delivery, by: Routing = ROUTING, now: float = NOW) -> RetryCopy:
    """The copy for a retry, which it has to be."""
    copy = judged(message, by, now)
    assert isinstance(copy, RetryCopy), copy
    return copy


def back(copy: RetryCopy) -> Delivery:
    """A copy as it arrives from its delay queue, which the broker notes on it."""
    arrived = Delivery(QUEUE, b"", QUEUE.encode(), False, ContentHeader.parse(copy.header), copy.body)
    return with_entries(arrived, death(b"expired", b"letrade.retry", copy.routing_key, copy.routing_key.decode()))


def hop_of(copy: Copy) -> HopClaims:
    """Its hop token, which has to hold."""
    rules = HopRules(keys_of(None), audience(), CONNECTOR, QUEUE, ())
    hop = verify_hop([text_of(ContentHeader.parse(copy.header), b"letrade-hop")], rules, NOW)
    assert isinstance(hop, HopClaims), hop
    return hop


def test_round_and_round_and_dead() -> None:
    """C7: three copies, each known for what it is by the consumer's agent, then the dead letter."""
    message, service = signed_trade(), connector()
    assert isinstance(service.examine(message), Shown)
    now = NOW
    for attempt, delay in ((1, 5), (2, 10), (3, 20)):
        copy = retried(rejected(message), now=now)
        assert (copy.exchange, copy.routing_key) == (b"letrade.retry", f"{QUEUE}.retry.{attempt}".encode())
        assert copy.body == message.body
        hop = hop_of(copy)
        assert (hop.attempt, hop.first_failure, hop.issued_at) == (attempt, NOW, now)
        assert hop.expires_at == now + delay + 300
        now += delay
        message = back(copy)
        shown = service.shown(message, now)
        assert (shown.exchange, shown.routing_key) == (COMMANDS, EXECUTE)
        assert names_of(shown.header) == [b"x-death", b"letrade-attempt"]
    letter = judged(rejected(message), now=now)
    assert isinstance(letter, DeadLetter)
    assert (letter.exchange, letter.routing_key) == (b"letrade.dlq", EXECUTE + b".dead")
    assert (hop_of(letter).attempt, hop_of(letter).first_failure, letter.reason) == (3, NOW, "rejected")


def test_a_doubled_copy_is_a_repeat() -> None:
    """Killed between confirm and acknowledgement: the second copy has the same identity."""
    first, second = retried(rejected(signed_trade())), retried(rejected(signed_trade()))
    service = connector()
    shown = service.shown(back(first), NOW + 5)
    service.filters.inbound.settled(shown.remembered, NOW + 5)
    assert service.examine(back(first), NOW + 6) == Repeated(QUEUE)
    assert hop_of(second).attempt == hop_of(first).attempt


def test_what_travels_on() -> None:
    """token.md: the publisher's tokens untouched, his own headers kept; what agents and brokers said is gone."""
    forged = (text_entry(b"letrade-reason", b"forged"), number_entry(b"x-delivery-count", 9), text_entry(b"CC", b"x"))
    message = with_properties(with_entries(signed_trade(), text_entry(b"mine", b"yes"), *forged), user_id=b"shop")
    message = with_properties(message, expiration=b"60000", reply_to=b"r")
    copy = retried(rejected(message))
    assert names_of(copy.header) == [
        b"letrade-jws",
        b"letrade-to",
        b"mine",
        b"letrade-reason",
        b"letrade-attempt",
        b"letrade-orig-user-id",
        b"letrade-hop",
    ]
    own = ContentHeader.parse(copy.header)
    assert (own.user_id, own.expiration, own.reply_to) == (None, None, b"r")
    for name in (b"letrade-jws", b"letrade-to"):
        assert text_of(own, name) == text_of(message.header, name)
    again = ContentHeader.parse(retried(rejected(back(copy))).header)
    assert text_of(again, b"letrade-orig-user-id") == b"shop", "also on the second way"


@pytest.mark.parametrize("reason", ["expired", "delivery_limit", "maxlen"])
def test_every_cause_keeps_its_word(reason: str) -> None:
    """Deaths of the broker's own: once round, then dead, with their reason."""
    copy = retried(rejected(signed_trade(), reason.encode()))
    assert (copy.reason, copy.step) == (reason, 1)
    letter = judged(rejected(back(copy), reason.encode()))
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, hop_of(letter).attempt) == (reason, 1)


def test_only_this_agents_own_hop_of_this_message_counts() -> None:
    """Forged attempts, another message's hop, another queue's: attempt 1 of the full ladder."""
    third = retried(rejected(back(retried(rejected(back(retried(rejected(signed_trade()))))))))
    honest = text_of(ContentHeader.parse(third.header), b"letrade-hop")
    for hops in ([text_entry(b"letrade-hop", b"a.b.c")], [text_entry(b"letrade-hop", honest)] * 2):
        forged = with_entries(signed_trade(), *hops, number_entry(b"letrade-attempt", 3))
        assert hop_of(retried(rejected(forged))).attempt == 1
    stolen = with_entries(signed_trade(now=NOW + 1), text_entry(b"letrade-hop", honest))
    changed = stolen._replace(body=stolen.body.replace(b"0.01", b"0.02"))
    letter = judged(rejected(changed))
    assert isinstance(letter, DeadLetter), "its content is not the one that was signed"
    assert hop_of(letter).attempt == 1


def test_a_forged_record_of_deaths_changes_neither_attempt_nor_key() -> None:
    """The token says where it was published; the record only why it died."""
    forged = rejected(signed_trade(), exchange=b"elsewhere", key=b"forged.key")
    assert hop_of(retried(forged)).routing_key == EXECUTE.decode()
    assert newest_death(with_entries(signed_trade(), death(queue="another")).header, QUEUE) == UNRECORDED
    unknown = rejected(signed_trade(), b"unheard of")
    assert newest_death(unknown.header, QUEUE).cause is Cause.UNKNOWN


def test_unsigned_where_nobody_asks_for_a_signature() -> None:
    """Mode `off`: the ladder works too, the key from the broker's record, counted by our own hop alone."""
    model = topology()
    exchanges = {name: replace(one, mode=Enforcement.OFF) for name, one in model.exchanges.items()}
    lax = routing(replace(model, exchanges=exchanges))
    message = Delivery(QUEUE, COMMANDS, EXECUTE, False, header(b"x"), b"x")
    for attempt in (1, 2, 3):
        copy = retried(rejected(message), lax)
        assert hop_of(copy).attempt == attempt
        assert hop_of(copy).routing_key == EXECUTE.decode()
        assert b"letrade-to" in names_of(copy.header)
        # on the way back the broker notes the default exchange and the queue's name
        message = back(copy)
    letter = judged(rejected(message, exchange=b"", key=QUEUE.encode()), lax)
    assert isinstance(letter, DeadLetter)
    assert letter.routing_key == EXECUTE + b".dead"


def test_what_no_agent_would_let_through_is_buried() -> None:
    """Mode `enforce`: no ladder for what is unsigned or tampered with, nor for what was too old before it failed."""
    tampered = signed_trade()._replace(body=b"tampered")
    unsigned = Delivery(QUEUE, COMMANDS, EXECUTE, False, header(b"x"), b"x")
    for message, now in ((tampered, NOW), (unsigned, NOW), (signed_trade(), NOW + 3600)):
        letter = judged(rejected(message), now=now)
        assert isinstance(letter, DeadLetter)
        assert (letter.reason, letter.routing_key) == ("rejected", EXECUTE + b".dead")


def test_keys_that_are_on_their_way_are_waited_for() -> None:
    """A rotation: kept for a minute, not judged by what is not known yet."""
    own = keys_of(CONNECTOR)
    public = {kid: key for kid, key in own.public.items() if key.issuer == CONNECTOR}
    stranger = routing(keys=KeySet(CONNECTOR, MappingProxyType(public), own.signing))
    message = rejected(signed_trade())
    assert isinstance(stranger.judge(message, NOW, may_hold=True), Held)
    assert isinstance(stranger.judge(message, NOW, may_hold=False), DeadLetter)


def test_what_could_not_be_counted_is_buried() -> None:
    """Without a key to sign with, or without room for the hop, it would come back for ever."""
    mute = routing(keys=KeySet(CONNECTOR, keys_of(None).public))
    assert isinstance(judged(rejected(signed_trade()), mute), DeadLetter)
    big = with_entries(signed_trade(), text_entry(b"stack", b"x" * 3200))
    assert isinstance(ROUTING.judge(rejected(big), NOW, may_hold=False, largest_header=4088), DeadLetter)
    assert isinstance(ROUTING.judge(rejected(big), NOW, may_hold=False, largest_header=8184), RetryCopy)


@given(
    content_headers(), st.binary(max_size=40), st.binary(max_size=255), st.binary(max_size=255), st.sampled_from(Cause)
)
def test_anything_ends(payload: bytes, body: bytes, exchange: bytes, key: bytes, cause: Cause) -> None:
    """Any bytes, unsigned in mode `off`: never an exception, never more than three ways round."""
    model = topology()
    exchanges = {name: replace(one, mode=Enforcement.OFF) for name, one in model.exchanges.items()}
    jwt = replace(model.security.jwt, mode=Enforcement.OFF)
    model = replace(model, exchanges=exchanges, security=replace(model.security, jwt=jwt))
    lax = routing(model)
    arrived = Delivery(QUEUE, b"letrade.retry", key, False, ContentHeader.parse(payload), body)
    judged(arrived, lax)
    message = arrived._replace(header=ContentHeader.parse(arrived.header.rewrite(HeaderTable().encode())))
    for _ in range(4):
        copy = judged(rejected(message, cause.value.encode(), exchange=exchange, key=key), lax)
        if isinstance(copy, DeadLetter):
            return
        message = back(copy)
    raise AssertionError("it goes round for ever")
