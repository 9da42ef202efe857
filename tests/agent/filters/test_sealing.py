"""Whatever a client sends: a returned message is given back as it was sent, and what is signed verifies."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from letrade_agent.config import Undeclared
from letrade_agent.filters.decisions import Approved
from letrade_agent.filters.sealing import restored, strip_reserved

from letrade_topo.amqp.faults import AmqpFault
from letrade_topo.amqp.header_table import Entry, HeaderTable
from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.keys.headers import is_reserved
from letrade_topo.model.topology import Topology
from tests.agent.filters.world import agent, delivery, header, publish, text_entry, trade
from tests.amqp.strategies import content_headers
from tests.topologies import loaded, orders


def warned_model() -> Topology:
    """A topology that judges nothing strictly."""
    return loaded(orders(exchanges={"orders": {"mode": "warn"}}))


SHOP, CLERK = agent("shop", model=warned_model()), agent("clerk", model=warned_model())
ORDER = publish(b"orders", b"order.placed")


def sealed(own: ContentHeader, body: bytes) -> bytes:
    """The header as it goes upstream, signed."""
    approved = SHOP.outbound.approve(ORDER, own, body, 1_750_000_000)
    assert isinstance(approved, Approved)
    (payload,) = SHOP.outbound.seal([approved], 1_750_000_000)
    assert isinstance(payload, bytes)
    return payload


@given(content_headers(), st.binary(max_size=50))
def test_a_returned_message_has_the_header_that_its_publisher_sent(payload: bytes, body: bytes) -> None:
    """Facts, row 18: byte for byte, message_id above all; reserved headers of the publisher's own excepted."""
    own = ContentHeader.parse(payload)
    table = own.headers
    if table is not None and any(map(is_reserved, table)):
        own = ContentHeader.parse(own.rewrite(table.without(is_reserved).encode()))
    sent = sealed(own, body)
    assert sent != own.payload
    assert SHOP.outbound.restore(ContentHeader.parse(sent), body) == (own.payload, body)


@given(
    st.booleans(), st.booleans(), st.sampled_from([None, 0, 9]), st.sampled_from([None, [], [text_entry(b"a", b"b")]])
)
def test_properties_that_were_added_are_taken_off_again(
    with_id: bool, with_app: bool, priority: int | None, table: list[Entry] | None
) -> None:
    """Every combination of what a client leaves out; an empty table is another thing than none."""
    body = trade()[2]
    own = header(body, table, priority=priority)
    short = {"message_id": b"0b7c1f9e-5b0e-4c57-9d5e-0f0d1c2b3a49"} if with_id else {}
    short |= {"app_id": b"strategy"} if with_app else {}
    own = ContentHeader.parse(own.rewrite(replace=short))
    (sent,) = agent().seal((publish(), own, body))
    assert restored(ContentHeader.parse(sent)) == own.payload


@given(content_headers())
def test_what_was_not_sealed_is_restored_as_it_is(payload: bytes) -> None:
    """A return of a message that passed unsigned; and a table that cannot be read is not the agent's to judge."""
    own = ContentHeader.parse(payload)
    table = own.headers
    if table is None or not any(name.startswith(b"letrade-") for name in table):
        assert restored(own) == payload


def test_a_returned_table_that_cannot_be_read_is_given_as_it_is() -> None:
    """No exception for any bytes."""
    broken = ContentHeader.parse(
        header(table=[text_entry(b"letrade-to", b"x")]).payload.replace(b"letrade-toS", b"letrade-to?")
    )
    assert restored(broken) == broken.payload


@given(content_headers(), st.binary(max_size=50))
def test_whatever_is_signed_verifies_and_is_shown_without_a_trace(payload: bytes, body: bytes) -> None:
    """Any properties, any headers, any body: sealed by one agent, accepted by the other."""
    own = ContentHeader.parse(payload)
    names = set(own.headers or ())
    if {b"CC", b"BCC"} & names:
        return
    CLERK.measures.warned.clear()
    arrived = delivery(sealed(own, body), body, queue="clerk.orders", exchange=b"orders", routing_key=b"order.placed")
    shown = CLERK.shown(arrived, 1_750_000_000)
    # Only an envelope it is not, or, where it begins like one, no encrypted one: hypothesis knows how those begin.
    assert set(CLERK.measures.warned) <= {("deliver", "envelope"), ("deliver", "decrypt")}, "the token holds"
    kept = HeaderTable.parse(own.encoded_headers).without(is_reserved) if own.encoded_headers is not None else None
    left = ContentHeader.parse(shown.header).headers
    assert left == kept


@given(st.lists(st.sampled_from([b"letrade-jws", b"x-death", b"x-deathly", b"x-delivery-count", b"mine", b"x-mine"])))
def test_exactly_the_reserved_headers_are_stripped(names: list[bytes]) -> None:
    """Neither fewer nor more, in any order and number."""
    table = HeaderTable(tuple(text_entry(name, b"v") for name in names))
    left = HeaderTable.parse(strip_reserved(table.encode()))
    assert list(left) == [name for name in names if name in (b"x-deathly", b"mine", b"x-mine")]


@given(st.binary(max_size=80))
def test_any_bytes_as_a_table_are_a_fault_or_none(table: bytes) -> None:
    """Never another exception, on the way out and on the way back."""
    one = agent(undeclared=Undeclared.PASS)
    own = ContentHeader.parse(header().rewrite(len(table).to_bytes(4, "big") + table))
    restored(own)
    with suppress(AmqpFault):
        HeaderTable.parse(own.encoded_headers or b"")
        assert one.outbound.admit(publish(b"elsewhere", b"k"), own) is None
        one.outbound.approve(publish(b"elsewhere", b"k"), own, b"", 0)
        return
    with pytest.raises(AmqpFault, match="SYNTAX_ERROR"):
        one.outbound.approve(publish(b"elsewhere", b"k"), own, b"", 0)
