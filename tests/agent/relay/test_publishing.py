"""What the client publishes, row by row of the list of what a proxy has to get right."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pamqp.body
import pamqp.header
import pytest
from letrade_agent.filters.decisions import Refusal
from letrade_agent.relay.effects import Ended
from letrade_agent.relay.libraries import RefusalForm
from pamqp.commands import Basic, Channel, Confirm, Connection, Queue, Tx

from letrade_topo.amqp.faults import ReplyCode
from letrade_topo.amqp.frames import BODY, HEADER, METHOD, encode_frame

from .kit import ReadContent, Rig, content, marshal, publish


def test_bodies_are_cut_anew_for_each_side() -> None:
    """row 7, row 8: no frame is larger than its side agreed to, whatever the other side's frames were."""
    rig = Rig(client_frame_max=131_072, upstream_frame_max=8_192).open(confirms=True)
    body = bytes(range(256)) * 200

    rig.client_sends(content(_to("good"), body, cut=100_000))
    assert [one.body for one in rig.take_broker() if isinstance(one, ReadContent)] == [body]  # the reader checks sizes

    small = Rig(client_frame_max=4_096, upstream_frame_max=131_072).open().consume()
    small.broker_sends(content(_delivered(1), body, cut=100_000))
    assert [one.body for one in small.take_client() if isinstance(one, ReadContent)] == [body]


def _to(key: str, *, mandatory: bool = False, immediate: bool = False) -> Basic.Publish:
    return Basic.Publish(exchange="ex", routing_key=key, mandatory=mandatory, immediate=immediate)


def _delivered(tag: int) -> Basic.Deliver:
    return Basic.Deliver(consumer_tag="c", delivery_tag=tag, redelivered=False, exchange="ex", routing_key="good")


def test_more_body_than_announced_ends_the_connection() -> None:
    """row 8: a body frame bigger than what is left is FRAME_ERROR 501."""
    rig = Rig().open()

    rig.client_sends(publish("good", b"abc")[: -len(encode_frame(BODY, 1, b"abc"))], encode_frame(BODY, 1, b"abcd"))

    (close,) = rig.take_client()
    assert (close.name, close.channel, close.method.reply_code) == ("Connection.Close", 0, 501)
    assert rig.broker_names() == ["Connection.Close"]
    assert rig.measures.disconnects == {"protocol_error": 1}


@pytest.mark.parametrize("within", [marshal(Basic.Ack(1)), marshal(Channel.Close(200, "bye", 0, 0)), publish("good")])
def test_a_method_within_a_content_ends_the_connection(within: bytes) -> None:
    """row 8: anything but a body frame inside a content is UNEXPECTED_FRAME 505; nothing of the content went out."""
    rig = Rig().open()
    whole = publish("good", b"abc")

    rig.client_sends(whole[: -len(encode_frame(BODY, 1, b"abc"))], within)

    (close,) = rig.take_client()
    assert (close.name, close.method.reply_code) == ("Connection.Close", 505)
    assert rig.broker_names() == ["Connection.Close"]


def test_an_empty_body_has_no_frame() -> None:
    """row 9: a content of size 0 is complete with its header, on both ways."""
    rig = Rig().open(confirms=True).consume()

    rig.client_sends(publish("good", b""), publish("no.body", b"", mandatory=True), publish("good", b"x"))
    assert [one.body for one in rig.take_broker() if isinstance(one, ReadContent)] == [b"", b"x"]
    assert rig.client_names() == ["Basic.Return", "Basic.Nack"]

    rig.broker_sends(content(_delivered(1), b""))
    assert rig.client_names() == ["Basic.Deliver"]


def test_channels_interleave_and_contents_stay_whole() -> None:
    """row 10: frames of two channels mixed; each publish leaves in one piece when its last frame has come."""
    rig = Rig().open(1).open(2)
    one, two = publish("good", b"one", channel=1), publish("good", b"two", channel=2)
    tails = (len(encode_frame(BODY, 1, b"one")), len(encode_frame(BODY, 2, b"two")))

    rig.client_sends(one[: -tails[0]], two[: -tails[1]])
    assert rig.broker == []
    rig.client_sends(two[-tails[1] :], one[-tails[0] :])

    assert [(seen.channel, seen.body) for seen in rig.take_broker() if isinstance(seen, ReadContent)] == [
        (2, b"two"),
        (1, b"one"),
    ]


def test_half_a_publish_at_the_end_of_the_client_is_dropped() -> None:
    """row 10: the client dies between header and body; the broker never hears of that publish."""
    rig = Rig().open()
    rig.client_sends(publish("good", b"whole"), publish("good", b"half")[:-5])

    rig.relay.client_gone()
    rig.collect()

    assert rig.broker_names() == ["Basic.Publish", "Connection.Close"]
    rig.broker_sends(Connection.CloseOk(), channel=0)
    assert rig.ended == [Ended("client_closed", "the client is gone")]


def test_methods_do_not_overtake_publishes() -> None:
    """row 10: what the client sent after a publish, on any channel, goes upstream after it."""
    rig = Rig().open(1).open(2).consume(channel=2)
    rig.broker_sends(content(_delivered(1), b"in", channel=2))
    rig.take_client()

    rig.client_sends(
        publish("good", b"out"), marshal(Basic.Ack(1), 2), publish("good", b"more"), Queue.Declare(queue="q")
    )

    assert rig.broker_names() == ["Basic.Publish", "Basic.Ack", "Basic.Publish", "Queue.Declare"]


def test_publishes_of_one_read_are_sealed_at_once() -> None:
    """Row 10: one seal for a read, in order, refusals between; the filter decides what one signature covers."""
    rig = Rig().open(confirms=True)

    rig.client_sends(*[publish("no.body" if number == 3 else "good", b"%d" % number) for number in range(10)])

    assert rig.outbound.batches == [9]
    assert [one.body for one in rig.take_broker() if isinstance(one, ReadContent)] == [
        b"%d" % n for n in range(10) if n != 3
    ]
    (nack,) = rig.take_client()
    assert (nack.name, nack.method.delivery_tag, nack.method.multiple) == ("Basic.Nack", 4, False)


def test_a_header_that_does_not_fit_upstream_is_refused() -> None:
    """row 11: sealed it is larger than a frame of the broker; this publish alone is refused."""
    rig = Rig(upstream_frame_max=4_096).open(confirms=True)
    rig.outbound.sealed_header = lambda header: header.payload + b"x" * 4_089

    rig.client_sends(publish("good"))

    assert rig.client_names() == ["Basic.Nack"]
    assert rig.broker == []
    assert rig.measures.refused == {("publish", "frame_size"): 1}


def test_a_header_table_of_100_kilobytes_passes_where_it_fits() -> None:
    """row 11: whole frames of 131,072 bytes carry it, in both ways."""
    rig = Rig().open().consume()
    table = {"big": "x" * 100_000}

    rig.client_sends(publish("good", headers=table))
    (seen,) = rig.take_broker()
    assert isinstance(seen, ReadContent)
    assert seen.header.properties.headers == table
    rig.broker_sends(content(_delivered(1), b"", headers=table))
    (seen,) = rig.take_client()
    assert isinstance(seen, ReadContent)
    assert seen.header.properties.headers == table


def test_names_that_are_no_text_pass_as_they_are() -> None:
    """row 14: zero bytes and invalid UTF-8 in exchange and key; a refusal's text says them readably."""
    rig = Rig().open()
    method = Basic.Publish().index.to_bytes(4, "big") + b"\0\0\x03e\xff\0\x02k\xfe\0"
    header = b"\0\x3c\0\0" + bytes(8) + b"\0\0"

    rig.relay.from_client([(METHOD, 1, method), (HEADER, 1, header)])
    assert method in rig.relay.take_to_upstream()


def test_a_text_of_any_length_is_cut_at_a_character() -> None:
    """row 14: reply texts hold 255 bytes of whole characters."""
    rig = Rig().open()
    rig.declares.rulings["queue.declare"] = Refusal(ReplyCode.ACCESS_REFUSED, "policy", "é" * 300)
    rig.client_sends(Queue.Declare(queue="q"))

    (close,) = rig.take_client()
    assert len(close.method.reply_text.encode()) in (254, 255)


def test_immediate_is_the_brokers_to_refuse() -> None:
    """row 15: `immediate` goes upstream, and the broker's 540 comes back in its own words."""
    rig = Rig().open()
    rig.client_sends(content(_to("good", immediate=True), b""))
    assert rig.take_broker()[0].method.immediate

    rig.broker_sends(Connection.Close(540, "NOT_IMPLEMENTED - immediate=true", 60, 40), channel=0)
    (close,) = rig.take_client()
    assert (close.method.reply_code, close.method.reply_text) == (540, "NOT_IMPLEMENTED - immediate=true")


@pytest.mark.parametrize("size", [0, 5, 9_000, 1_000_000])
def test_what_is_refused_at_its_header_returns_whole(size: int) -> None:
    """row 18: however many reads it comes in, as far as bodies may be as large as that."""
    rig = Rig().open(confirms=True)
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    data = content(_to("no.header", mandatory=True), body, message_id="m")

    for start in range(0, len(data), 70_000):
        rig.client_sends(data[start : start + 70_000])

    returned, nack = rig.take_client()
    assert isinstance(returned, ReadContent)
    assert (returned.body, returned.header.properties.message_id) == (body, "m")
    assert nack.name == "Basic.Nack"


def test_what_is_refused_at_its_header_is_drained_and_never_stored() -> None:
    """row 16: 8 MB of a refused body take no memory; its return is empty and keeps its message id."""
    rig = Rig().open(confirms=True)
    piece = encode_frame(BODY, 1, bytes(100_000))
    start = content(_to("no.header", mandatory=True), bytes(8_000_000), message_id="m")
    head = start[: start.index(b"\xce", start.index(b"\xce") + 1) + 1]
    rig.client_sends(head)
    tracemalloc.start()
    for _ in range(79):
        rig.client_sends(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    assert rig.client == []

    rig.client_sends(piece, publish("good", b"next"))

    returned, nack = rig.take_client()
    assert isinstance(returned, ReadContent)
    assert (returned.body, returned.header.properties.message_id) == (b"", "m")
    assert nack.method.delivery_tag == 1
    assert [one.body for one in rig.take_broker() if isinstance(one, ReadContent)] == [b"next"]


def test_confirms_count_from_the_clients_confirm_select() -> None:
    """row 17: publishes before it have no number, a second confirm.select changes none."""
    rig = Rig().open()
    rig.client_sends(publish("good"), Confirm.Select(), publish("good"), publish("no.body"), Confirm.Select())
    rig.broker_sends(Confirm.SelectOk(), Confirm.SelectOk(), Basic.Ack(1, False))
    rig.client_sends(publish("good"))
    rig.broker_sends(Basic.Ack(2, False))

    confirms = [(one.name, one.method.delivery_tag) for one in rig.client if "ck" in one.name]
    assert confirms == [("Basic.Nack", 2), ("Basic.Ack", 1), ("Basic.Ack", 3)]


def test_a_return_comes_before_its_ack_as_its_publisher_sent_it() -> None:
    """row 18: what sealing added is gone, the message id is the client's own, the order is the broker's."""
    rig = Rig().open(confirms=True)
    rig.client_sends(content(_to("good", mandatory=True), b"body", message_id="mine"))

    rig.broker_sends(
        content(Basic.Return(312, "NO_ROUTE", "ex", "good"), b"body", message_id="mine", content_type="signed"),
        Basic.Ack(1, False),
    )

    returned, ack = rig.take_client()
    assert isinstance(returned, ReadContent)
    assert (returned.body, returned.header.properties.message_id, returned.header.properties.content_type) == (
        b"body",
        "mine",
        None,
    )
    assert (returned.method.reply_code, returned.method.reply_text) == (312, "NO_ROUTE")
    assert ack.name == "Basic.Ack"


@pytest.mark.parametrize("key", ["no.header", "no.body", "no.seal"])
def test_a_nack_alone_where_a_return_would_hide_it(key: str) -> None:
    """row 19: nothing is returned, mandatory or not; the channel goes on."""
    rig = Rig(refusal_form=RefusalForm.NACK).open(confirms=True)
    rig.client_sends(publish(key, mandatory=True), publish("good", mandatory=True))

    (nack,) = rig.take_client()
    assert (nack.name, nack.method.delivery_tag) == ("Basic.Nack", 1)
    rig.broker_sends(Basic.Ack(1))
    (ack,) = rig.take_client()
    assert (ack.name, ack.method.delivery_tag) == ("Basic.Ack", 2)


@pytest.mark.parametrize("key", ["no.header", "no.body", "no.seal"])
def test_a_close_where_a_nack_would_be_hidden(key: str) -> None:
    """row 19: with confirms, too; with the reason, and nothing that came behind it goes upstream."""
    rig = Rig(refusal_form=RefusalForm.CLOSE).open(confirms=True)
    rig.client_sends(publish("good"), publish(key, mandatory=True), publish("good"))

    (close,) = rig.take_client()
    assert (close.name, close.method.reply_code) == ("Channel.Close", 406)
    assert f"refused: {key}" in close.method.reply_text
    assert rig.broker_names() == ["Basic.Publish", "Channel.Close"]


@pytest.mark.parametrize("key", ["no.header", "no.body", "no.seal"])
def test_a_refused_mandatory_publish_returns_and_is_nacked(key: str) -> None:
    """row 19: return with the reason and the original, then nack, wherever it was refused."""
    rig = Rig().open(confirms=True)

    rig.client_sends(content(_to(key, mandatory=True), b"body", message_id="m", content_type="text/plain"))

    returned, nack = rig.take_client()
    assert isinstance(returned, ReadContent)
    assert returned.method.reply_code == 406
    assert returned.method.reply_text == f"PRECONDITION_FAILED - refused: {key}"
    assert (returned.method.exchange, returned.method.routing_key) == ("ex", key)
    assert (returned.header.properties.message_id, returned.header.properties.content_type) == ("m", "text/plain")
    assert returned.body == b"body"  # it came with the read
    assert (nack.name, nack.method.delivery_tag, nack.method.multiple) == ("Basic.Nack", 1, False)
    assert rig.broker == []


@pytest.mark.parametrize("key", ["no.header", "no.body", "no.seal"])
def test_a_refused_publish_without_confirms_closes_the_channel_alone(key: str) -> None:
    """row 19, row 37: 406 in words, what came before it is published, what came behind it is not; others go on."""
    rig = Rig().open(1).open(2)

    rig.client_sends(publish("good", b"1"), publish(key, b"2"), publish("good", b"3"), publish("good", b"4", channel=2))

    (close,) = rig.take_client()
    assert (close.name, close.channel, close.method.reply_code) == ("Channel.Close", 1, 406)
    assert (close.method.class_id, close.method.method_id) == (60, 40)
    assert close.method.reply_text == f"PRECONDITION_FAILED - refused: {key}"
    sent = rig.take_broker()
    assert [one.body for one in sent if isinstance(one, ReadContent)] == [b"1", b"4"]
    assert [one.channel for one in sent if one.name == "Channel.Close"] == [1]


@pytest.mark.parametrize("name", ["Select", "Commit", "Rollback"])
def test_transactions_are_refused(name: str) -> None:
    """row 20: 540 on the channel, with what to do instead."""
    rig = Rig().open()
    rig.client_sends(getattr(Tx, name)())

    (close,) = rig.take_client()
    assert (close.name, close.method.reply_code, close.method.class_id) == ("Channel.Close", 540, 90)
    assert "confirm.select" in close.method.reply_text
    assert rig.broker_names() == ["Channel.Close"]


@pytest.mark.wide
def test_every_tenth_refused_of_ten_thousand() -> None:
    """Every confirm is right: acks for what the broker confirmed, nacks for what was refused, each once."""
    rig = Rig().open(confirms=True)
    heard: dict[int, str] = {}
    total = 10_000
    upstream = 0
    for start in range(1, total + 1, 100):
        numbers = range(start, start + 100)
        rig.client_sends(*[publish("no.body" if number % 10 == 0 else "good", b"x") for number in numbers])
        upstream += 90
        rig.broker_sends(Basic.Ack(upstream, True))
        for seen in rig.take_client():
            method = seen.method
            tags = [method.delivery_tag]
            if method.multiple:
                tags = [tag for tag in range(start, method.delivery_tag + 1) if tag not in heard]
            for tag in tags:
                assert tag not in heard
                heard[tag] = seen.name
        rig.take_broker()

    assert heard == {n: "Basic.Nack" if n % 10 == 0 else "Basic.Ack" for n in range(1, total + 1)}
    assert rig.measures.confirms == {"ack": 9_000}
    assert rig.measures.messages[("publish", "_other", "rejected")] == 1_000


@pytest.mark.parametrize("end", ["whole", "channel closed", "refused", "connection gone"])
def test_what_has_begun_is_counted_until_it_ends(end: str) -> None:
    """Header and body of what is not whole, on every channel, whatever becomes of it."""
    rig = Rig().open(1).open(2)
    pieces = [marshal(frame, number) for number in (1, 2) for frame in begun(b"first")]
    rig.client_sends(*pieces)
    assert rig.relay.unfinished_bytes == 2 * (len(header_of(b"first")) + 5)
    match end:
        case "whole":
            rig.client_sends(*(marshal(pamqp.body.ContentBody(b"rest!"), number) for number in (1, 2)))
        case "channel closed":
            rig.broker_sends(Channel.Close(406, "", 0, 0), channel=1)
            rig.broker_sends(Channel.Close(406, "", 0, 0), channel=2)
        case "refused":
            rig.client_sends(Basic.Publish(), channel=1)
        case "connection gone":
            rig.relay.client_gone()
    assert rig.relay.unfinished_bytes == 0


def header_of(body: bytes) -> bytes:
    """The payload of a header of twice that many bytes."""
    return marshal(pamqp.header.ContentHeader(body_size=2 * len(body), properties=Basic.Properties()))[7:-1]


def begun(body: bytes) -> list[Any]:
    """The frames of a publish that lacks half its body."""
    header = pamqp.header.ContentHeader(body_size=2 * len(body), properties=Basic.Properties())
    return [Basic.Publish(exchange="ex", routing_key="good"), header, pamqp.body.ContentBody(body)]
