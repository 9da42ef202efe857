"""What failed is handed over whole: whatever is wrong with it, and with a hop token that says who gave it up."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from letrade_agent.filters.copies import DeadLetter
from letrade_agent.filters.dead_letters import dead_key
from letrade_agent.filters.verdicts import Delivery, Failed

from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.keys.claims import HopClaims, HopRole
from letrade_topo.keys.hop import HopRules, verify_hop
from letrade_topo.keys.keyset import KeySet
from letrade_topo.keys.leaf import SignableMessage, SignedProperties, leaf_hash
from tests.agent.filters.test_inbound import CONNECTOR, connector, malformed, retried
from tests.agent.filters.world import (
    COMMANDS,
    EXECUTE,
    QUEUE,
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
from tests.keys.world import NOW, audience

FAILED = Failed("schema", "wrong", "strategy", QUEUE)
CONSUMER = connector()
RULES = HopRules(keys_of(None), audience(), CONNECTOR, QUEUE, ())


def handed_over(delivery: Delivery, failed: Failed = FAILED, now: float = NOW) -> DeadLetter:
    """The dead letter of a delivery."""
    return CONSUMER.filters.inbound.dead_letter(delivery, failed, now)


def hop_of(letter: DeadLetter, queue: str = QUEUE) -> HopClaims:
    """The hop token of a dead letter, which has to hold."""
    rules = HopRules(RULES.keys, RULES.audience, RULES.service, queue, ())
    hop = verify_hop([text_of(ContentHeader.parse(letter.header), b"letrade-hop")], rules, NOW)
    assert isinstance(hop, HopClaims), hop
    return hop


def leaf_of(delivery: Delivery, exchange: bytes, routing_key: bytes) -> bytes:
    """The leaf of a delivery as if it had been published there."""
    own = delivery.header
    properties = SignedProperties(own.message_id, own.correlation_id, own.content_type, own.content_encoding, own.type)
    return leaf_hash(SignableMessage(exchange, routing_key, properties, delivery.body))


def test_a_dead_letter_says_who_gave_up_what_where_and_why() -> None:
    """C7 and decisions: the exchange of dead letters, the original key + `.dead`, a signed hop."""
    arrived = signed_trade()
    letter = handed_over(arrived)
    assert (letter.exchange, letter.routing_key) == (b"letrade.dlq", b"commands.execute_trade.dead")
    assert (letter.body, letter.queue, letter.reason, letter.detail) == (arrived.body, QUEUE, "schema", "wrong")
    assert text_of(ContentHeader.parse(letter.header), b"letrade-reason") == b"schema"
    hop = hop_of(letter)
    assert (hop.role, hop.issuer, hop.reason, hop.queue, hop.attempt) == (HopRole.SELF, CONNECTOR, "schema", QUEUE, 1)
    assert (hop.exchange, hop.routing_key) == (COMMANDS.decode(), EXECUTE.decode())
    assert hop.leaf == leaf_of(arrived, COMMANDS, EXECUTE)
    assert (hop.issued_at, hop.first_failure, hop.expires_at) == (NOW, NOW, NOW)


def test_the_publishers_tokens_stay_untouched_and_what_agents_and_brokers_said_is_gone() -> None:
    """token.md: the original token stays; S4: forged or old control headers do not travel on."""
    arrived = with_entries(
        signed_trade(),
        text_entry(b"mine", b"yes"),
        text_entry(b"x-death", b""),
        number_entry(b"x-delivery-count", 2),
        number_entry(b"x-acquired-count", 2),
        text_entry(b"letrade-reason", b"forged"),
        text_entry(b"letrade-hop", b"forged"),
        text_entry(b"CC", b""),
        text_entry(b"BCC", b""),
    )
    letter = handed_over(arrived)
    assert names_of(letter.header) == [
        b"letrade-jws",
        b"letrade-to",
        b"mine",
        b"letrade-reason",
        b"letrade-attempt",
        b"letrade-hop",
    ]
    for name in (b"letrade-jws", b"letrade-to"):
        assert text_of(ContentHeader.parse(letter.header), name) == text_of(arrived.header, name)


def test_properties_that_would_cut_it_short_or_have_it_refused_are_taken_off() -> None:
    """Facts: another user's id is refused by the broker; an expiration would delete the dead letter."""
    letter = handed_over(with_properties(signed_trade(), user_id=b"strategy", expiration=b"1000", reply_to=b"r"))
    own = ContentHeader.parse(letter.header)
    assert (own.user_id, own.expiration, own.reply_to) == (None, None, b"r")
    assert own.content_type == b"application/json"
    assert text_of(own, b"letrade-orig-user-id") == b"strategy"


def test_a_retry_that_fails_keeps_its_history() -> None:
    """Attempts and the first failure come from the hop that it came with; the key is the original one."""
    letter = handed_over(retried(2, first_failure=NOW - 30), now=NOW + 20)
    hop = hop_of(letter)
    assert (hop.attempt, hop.first_failure, hop.issued_at) == (2, NOW - 30, NOW + 20)
    assert (hop.exchange, letter.routing_key) == ("letrade.commands", b"commands.execute_trade.dead")
    table = ContentHeader.parse(letter.header).headers
    assert table is not None
    assert number_entry(b"letrade-attempt", 2) in table.entries


def test_a_forged_hop_gives_no_history() -> None:
    """Only what is signed counts."""
    forged = with_entries(signed_trade(), text_entry(b"letrade-hop", b"a.b.c"), text_entry(b"letrade-attempt", b"9"))
    assert hop_of(handed_over(forged)).attempt == 1


def test_an_unsigned_message_is_handed_over_as_it_came() -> None:
    """There is nothing to prove; the hop says what arrived."""
    own = header(b"x")
    arrived = Delivery(QUEUE, b"somewhere", b"some.key", False, own, b"x")
    letter = handed_over(arrived)
    assert letter.routing_key == b"some.key.dead"
    assert hop_of(letter).leaf == leaf_of(arrived, b"somewhere", b"some.key")
    assert hop_of(letter).exchange == "somewhere"


def test_a_tampered_message_is_not_taken_for_what_it_was_signed_as() -> None:
    """The leaf is of what arrived, so that a hop never vouches for something else."""
    arrived = signed_trade()._replace(body=b"tampered", exchange=b"", routing_key=QUEUE.encode())
    assert hop_of(handed_over(arrived)).leaf == leaf_of(arrived, b"", QUEUE.encode())


def test_without_a_key_it_is_handed_over_without_a_hop() -> None:
    """Kept is better than lost."""
    mute = connector(keys=KeySet(None, keys_of(None).public))
    letter = mute.filters.inbound.dead_letter(signed_trade(), FAILED, NOW)
    assert b"letrade-hop" not in names_of(letter.header)
    assert b"letrade-jws" in names_of(letter.header)


def test_a_table_that_cannot_be_read_is_left_behind() -> None:
    """The broker would not take it again."""
    letter = handed_over(malformed(signed_trade()))
    assert names_of(letter.header) == [b"letrade-reason", b"letrade-attempt", b"letrade-hop"]


def test_its_own_headers_may_be_left_behind_where_all_are_too_many_for_a_frame() -> None:
    """Facts: stack traces in headers exceed frame_max, and such a dead letter would be offered for ever."""
    assert handed_over(signed_trade()).shorter == ()
    letter = handed_over(with_entries(signed_trade(), text_entry(b"stack", b"x" * 3500)))
    (shorter,) = letter.shorter
    assert b"stack" in names_of(letter.header)
    assert len(shorter) <= 4096 - 8
    assert b"stack" not in names_of(shorter)
    assert {b"letrade-jws", b"letrade-to", b"letrade-hop"} <= set(names_of(shorter))
    huge = handed_over(with_entries(signed_trade(), text_entry(b"letrade-proof", b"x" * 5000)))
    assert [b"letrade-proof" in names_of(header) for header in huge.shorter] == [True, False]
    assert len(huge.shorter[-1]) <= 4096 - 8


@given(st.binary(max_size=255))
@example(b"market_data.bin\nance.btc")
@example(b"k" * 255)
def test_every_key_of_a_dead_letter_is_one_that_the_service_may_publish(routing_key: bytes) -> None:
    """Its topic permission on the exchange of dead letters is `.+\\.dead`; no key may be refused for ever."""
    key = dead_key(routing_key)
    assert len(key) <= 255
    if routing_key:
        assert re.fullmatch(rb".+\.dead", key)
    printable = routing_key.isascii() and routing_key.decode().isprintable()
    if printable and len(routing_key) <= 250:
        assert key == routing_key + b".dead"


def test_a_message_without_a_key_is_dead_under_its_queues_name() -> None:
    """`.dead` alone is no key that a service may publish."""
    arrived = Delivery(QUEUE, b"fanout", b"", False, header(b"x"), b"x")
    assert handed_over(arrived).routing_key == QUEUE.encode() + b".dead"


@given(content_headers(), st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=255))
def test_whatever_arrives_is_judged_and_can_be_handed_over(
    payload: bytes, body: bytes, exchange: bytes, routing_key: bytes
) -> None:
    """Any bytes: a verdict, and a dead letter with a hop that holds; never an exception."""
    arrived = Delivery(QUEUE, exchange, routing_key, False, ContentHeader.parse(payload), body)
    failed = CONSUMER.failed(arrived)
    letter = handed_over(arrived, failed)
    assert letter.body == body
    assert hop_of(letter).reason == failed.reason
    ContentHeader.parse(letter.header)


@pytest.mark.parametrize("queue", ["exchange_connector.cancel_order", "unheard.of"])
def test_the_hop_is_for_the_queue_that_it_failed_in(queue: str) -> None:
    """A dead letter of one queue is no retry of another."""
    assert hop_of(handed_over(signed_trade()._replace(queue=queue)), queue).queue == queue
