"""Channels and their commands: opening, closing, answers in order, what is ruled, row by row."""

from __future__ import annotations

import pytest
from letrade_agent.filters.decisions import Refusal
from letrade_agent.filters.rulings import Absorbed
from pamqp.commands import Basic, Channel, Confirm, Connection, Exchange, Queue

from letrade_topo.amqp.faults import ReplyCode
from letrade_topo.amqp.frames import HEADER, METHOD, encode_frame
from letrade_topo.amqp.topology_commands import (
    ExchangeDeclareOk,
    QueueBind,
    QueueBindOk,
    QueueDeclare,
    QueueDeclareOk,
    QueuePurge,
)

from .kit import Rig, deliver, marshal, publish

CLOSE = Channel.Close(200, "bye", 0, 0)


def test_open_ok_is_the_brokers() -> None:
    """row 38: it comes when the broker has said it, and the number is the same on both sides."""
    rig = Rig()
    rig.client_sends(Channel.Open(), channel=7)
    assert rig.client == []
    assert [(one.name, one.channel) for one in rig.take_broker()] == [("Channel.Open", 7)]
    rig.broker_sends(Channel.OpenOk(), channel=7)
    assert [(one.name, one.channel) for one in rig.take_client()] == [("Channel.OpenOk", 7)]
    assert rig.measures.channels == 1


def test_the_client_may_send_ahead_of_open_ok() -> None:
    """row 38: what it sends goes upstream behind the open."""
    rig = Rig()
    rig.client_sends(Channel.Open(), Confirm.Select(), publish("good"))
    assert rig.broker_names() == ["Channel.Open", "Confirm.Select", "Basic.Publish"]


def test_two_thousand_channels() -> None:
    """row 38: each has its own state, and none is left when they are closed."""
    rig = Rig()
    for number in range(1, 2_001):
        rig.open(number)
    assert rig.relay.snapshot().channels == rig.measures.channels == 2_000
    for number in range(1, 2_001):
        rig.client_sends(CLOSE, channel=number)
        rig.broker_sends(Channel.CloseOk(), channel=number)
    assert rig.relay.snapshot().channels == rig.measures.channels == 0


def test_the_clients_close_is_passed_on() -> None:
    """row 37: code, text and ids as they came; close-ok is the broker's; what it says in between arrives."""
    rig = Rig().open(confirms=True)
    rig.client_sends(publish("good"), Channel.Close(200, "Normal", 7, 8))
    close = rig.take_broker()[-1].method
    assert (close.reply_code, close.reply_text, close.class_id, close.method_id) == (200, "Normal", 7, 8)

    rig.client_sends(publish("good"), Basic.Ack(9))
    rig.broker_sends(Basic.Ack(1), Channel.CloseOk())

    assert rig.client_names() == ["Basic.Ack", "Channel.CloseOk"]
    assert rig.broker == [], "frames behind a close are thrown away"


def test_the_brokers_close_is_passed_on_and_answered() -> None:
    """row 37: preserved in every field; late frames of the client are thrown away; then the number is free."""
    rig = Rig().open()
    rig.broker_sends(Channel.Close(404, "NOT_FOUND - no queue 'q'", 50, 10))
    close = rig.take_client()[0].method
    assert (close.reply_code, close.reply_text, close.class_id, close.method_id) == (
        404,
        "NOT_FOUND - no queue 'q'",
        50,
        10,
    )
    assert rig.broker_names() == ["Channel.CloseOk"]

    rig.client_sends(publish("good"), Basic.Ack(1), Channel.CloseOk(), Channel.Open())
    assert rig.broker_names() == ["Channel.Open"]
    assert rig.client == []


def test_closes_that_cross_are_each_answered() -> None:
    """row 37: client and broker close at the same time; nobody hears a close-ok twice."""
    rig = Rig().open()
    rig.client_sends(CLOSE)
    rig.broker_sends(Channel.Close(406, "PRECONDITION_FAILED", 0, 0))
    assert rig.broker_names() == ["Channel.Close", "Channel.CloseOk"]
    assert rig.client == []
    rig.broker_sends(Channel.CloseOk())
    assert rig.client_names() == ["Channel.CloseOk"]
    rig.open()


def test_the_agents_close_crosses_both() -> None:
    """row 37: each close is answered, each close-ok is taken, and the number is free after both."""
    rig = Rig().open()
    rig.client_sends(publish("no.body"))
    assert (rig.client_names(), rig.broker_names()) == (["Channel.Close"], ["Channel.Close"])

    rig.client_sends(CLOSE)
    rig.broker_sends(Channel.Close(404, "NOT_FOUND", 0, 0))
    assert (rig.client_names(), rig.broker_names()) == (["Channel.CloseOk"], ["Channel.CloseOk"])
    rig.client_sends(Channel.CloseOk())
    rig.broker_sends(Channel.CloseOk())
    assert (rig.client, rig.broker) == ([], [])
    assert rig.relay.snapshot().channels == 0


def test_a_number_is_used_again_after_the_brokers_close_ok() -> None:
    """row 37: the client was faster; its open waits, and everything counts anew."""
    rig = Rig().open(confirms=True).consume()
    rig.broker_sends(deliver(1))
    rig.client_sends(publish("good"), Basic.Ack(5))
    rig.take_client()
    rig.take_broker()

    rig.client_sends(Channel.CloseOk(), Channel.Open())
    assert rig.broker == []
    rig.broker_sends(Basic.Ack(1), deliver(2), Channel.CloseOk())
    assert rig.broker_names() == ["Channel.Open"]
    assert rig.client == []

    rig.broker_sends(Channel.OpenOk())
    rig.client_sends(Confirm.Select(), publish("good"))
    rig.broker_sends(Confirm.SelectOk(), Basic.Ack(1))
    assert rig.client_names() == ["Channel.OpenOk", "Confirm.SelectOk", "Basic.Ack"]
    assert rig.measures.confirms == {"lost": 1, "ack": 1}
    assert rig.measures.channels == 1


AHEAD = (Channel.Open(), Confirm.Select(), publish("good", b"1"), publish("no.body"), publish("good", bytes(9_000)))


@pytest.mark.parametrize("cut", [1, 3, 5])
def test_what_is_sent_ahead_on_a_reopened_channel_waits_with_its_open(cut: int) -> None:
    """row 38: close-ok, open and more at once; all of it counts on the new channel, and no byte stays counted."""
    rig = Rig().open()
    rig.client_sends(Basic.Ack(5), Channel.CloseOk())
    rig.take_client()
    rig.take_broker()

    for start in range(0, len(AHEAD), cut):
        rig.client_sends(*AHEAD[start : start + cut])
    assert (rig.client, rig.broker) == ([], [])
    assert rig.relay.storing_bytes > 9_000

    rig.broker_sends(Channel.CloseOk())
    assert rig.broker_names() == ["Channel.Open", "Confirm.Select", "Basic.Publish", "Basic.Publish"]
    rig.broker_sends(Channel.OpenOk(), Confirm.SelectOk(), Basic.Ack(2, True))
    assert rig.client_names() == ["Basic.Nack", "Channel.OpenOk", "Confirm.SelectOk", "Basic.Ack"]
    assert rig.relay.storing_bytes == 0
    assert rig.measures.channels == 1


def test_a_reopened_channel_may_be_closed_at_once() -> None:
    """row 37: open and close wait together, and are answered by the broker."""
    rig = Rig().open()
    rig.client_sends(Basic.Ack(5), Channel.CloseOk(), Channel.Open(), CLOSE)
    rig.take_client()
    rig.take_broker()
    rig.broker_sends(Channel.CloseOk())
    assert rig.broker_names() == ["Channel.Open", "Channel.Close"]
    rig.broker_sends(Channel.OpenOk(), Channel.CloseOk())
    assert rig.client_names() == ["Channel.OpenOk", "Channel.CloseOk"]
    assert rig.relay.snapshot().channels == 0


def test_what_was_sent_ahead_goes_before_the_connection_closes() -> None:
    """row 37: who publishes and closes has published."""
    rig = Rig().open()
    rig.client_sends(Basic.Ack(5), Channel.CloseOk(), Channel.Open(), publish("good"))
    rig.client_sends(Connection.Close(200, "bye", 0, 0), channel=0)
    rig.take_broker()
    rig.broker_sends(Channel.CloseOk())
    assert rig.broker_names() == ["Channel.Open", "Basic.Publish", "Connection.Close"]


def test_a_reopened_channel_that_is_lost_leaves_nothing_counted() -> None:
    """row 45: what waited is dropped with its connection."""
    rig = Rig().open()
    rig.client_sends(Basic.Ack(5), Channel.CloseOk(), *AHEAD)
    rig.relay.client_gone()
    rig.relay.upstream_gone("gone")
    rig.collect()
    assert (rig.relay.storing_bytes, rig.measures.channels) == (0, 0)
    assert len(rig.ended) == 1


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (marshal(Basic.Ack(1), 9), 504),
        (publish("good", channel=9), 504),
        (encode_frame(HEADER, 9, bytes(14)), 504),
        (marshal(CLOSE, 9), 504),
        (marshal(Channel.Open(), 1), 504),
        (encode_frame(METHOD, 1, b"\0\x3c\0\x99"), 540),
        (encode_frame(METHOD, 1, b"\0\x99\0\x0a"), 540),
        (encode_frame(METHOD, 9, b"\0\x99\0\x0a"), 540),
        (encode_frame(METHOD, 1, b"\0\x3c"), 501),
        (encode_frame(METHOD, 1, b"\0\x3c\0\x50\0"), 502),
        (encode_frame(METHOD, 1, b"\0\x32\0\x0a\0\0\xff"), 502),
        (marshal(Basic.ConsumeOk("c"), 1), 503),
        (deliver(1), 503),
        (encode_frame(METHOD, 1, b"\0\x0a\0\x33"), 503),
    ],
)
def test_what_no_client_may_send_ends_the_connection(frame: bytes, code: int) -> None:
    """row 48: unopened channel 504, unknown method 540, malformed 501 and 502, a server's method 503."""
    rig = Rig().open()
    rig.client_sends(frame)
    close = rig.take_client()[0]
    assert (close.name, close.channel, close.method.reply_code) == ("Connection.Close", 0, code)
    assert rig.broker_names() == ["Connection.Close"]


@pytest.mark.parametrize(
    "frame",
    [
        marshal(Basic.Ack(1), 9),
        marshal(Channel.OpenOk(), 1),
        marshal(Channel.CloseOk(), 1),
        marshal(Queue.DeclareOk("q", 0, 0)),
        marshal(Basic.GetEmpty()),
        marshal(Basic.Ack(1)),
        publish("good"),
        encode_frame(METHOD, 1, b"\0\x3c\0\x99"),
        encode_frame(HEADER, 1, bytes(14)),
        encode_frame(METHOD, 1, b"\0\x3c\0\x1f\x05c"),
    ],
)
def test_what_no_broker_may_send_ends_the_connection(frame: bytes) -> None:
    """row 48: going on would be guessing; the client is told 541, the broker what it did."""
    rig = Rig().open()
    rig.broker_sends(frame)
    (close,) = rig.take_client()
    assert (close.name, close.method.reply_code) == ("Connection.Close", 541)
    assert rig.broker_names() == ["Connection.Close"]
    assert rig.measures.disconnects == {"internal_error": 1}


def test_a_method_that_does_not_fit_upstream_ends_the_connection() -> None:
    """row 7: the client's frames are larger than the broker's, and a method cannot be cut."""
    rig = Rig(upstream_frame_max=8_192).open()
    rig.client_sends(Queue.Declare(queue="q", arguments={"x": "y" * 9_000}))
    (close,) = rig.take_client()
    assert (close.name, close.method.reply_code) == ("Connection.Close", 501)
    assert "8192" in close.method.reply_text


@pytest.mark.parametrize(("active", "answer"), [(True, "Channel.FlowOk"), (False, "Connection.Close")])
def test_flow_is_answered_here(active: bool, answer: str) -> None:
    """row 31: going on is granted, stopping is 540, and the broker hears nothing of either."""
    rig = Rig().open()
    rig.client_sends(Channel.Flow(active))
    seen = rig.take_client()[0]
    assert seen.name == answer
    assert getattr(seen.method, "reply_code", 540) == 540
    assert "Channel.Flow" not in rig.broker_names()


def test_flow_of_a_broker_is_relayed() -> None:
    """row 31: RabbitMQ never sends it; another broker's is the client's to answer."""
    rig = Rig().open()
    rig.broker_sends(Channel.Flow(False))
    rig.client_sends(Channel.FlowOk(False))
    assert (rig.client_names(), rig.broker_names()) == (["Channel.Flow"], ["Channel.FlowOk"])


def test_commands_are_ruled() -> None:
    """row 40: what passes, passes as the bytes it came as; a refusal closes the channel in the broker's form."""
    rig = Rig().open()
    rig.client_sends(Queue.Bind(queue="q", exchange="ex", routing_key="k"))
    asked = rig.declares.asked[0]
    assert isinstance(asked, QueueBind)
    assert asked.routing_key == b"k"
    assert rig.broker_names() == ["Queue.Bind"]

    rig.declares.rulings["queue.delete"] = Refusal(ReplyCode.ACCESS_REFUSED, "policy", "'q' belongs to the topology")
    rig.client_sends(Queue.Delete(queue="q"))
    (close,) = rig.take_client()
    assert (close.method.reply_code, close.method.reply_text) == (
        403,
        "ACCESS_REFUSED - 'q' belongs to the topology",
    )
    assert (close.method.class_id, close.method.method_id) == (50, 40)
    assert rig.broker_names() == ["Channel.Close"]


def test_answers_keep_the_clients_order() -> None:
    """row 40: an absorbed bind between two relayed commands is answered between their answers."""
    rig = Rig().open()
    rig.declares.rulings["queue.bind"] = Absorbed(QueueBindOk())
    rig.client_sends(
        Exchange.Declare(exchange="ex"),
        Queue.Bind(queue="q", exchange="ex"),
        Queue.Purge(queue="q"),
        Basic.Recover(True),
    )
    assert rig.broker_names() == ["Exchange.Declare", "Queue.Purge"]
    assert rig.client == []

    rig.broker_sends(Exchange.DeclareOk(), Queue.PurgeOk(1))
    assert rig.client_names() == ["Exchange.DeclareOk", "Queue.BindOk", "Queue.PurgeOk", "Basic.RecoverOk"]


def test_an_absorbed_declare_asks_passively() -> None:
    """row 40: name and counts are the broker's; a missing queue is its 404."""
    rig = Rig().open()
    rig.declares.rulings["queue.declare"] = Absorbed(None, QueueDeclare(queue=b"q", passive=True))
    rig.client_sends(Queue.Declare(queue="q", durable=True), Basic.Consume(queue="", consumer_tag="c"))
    (asked, *_) = rig.take_broker()
    assert (asked.method.passive, asked.method.durable) == (True, False)
    rig.broker_sends(Queue.DeclareOk("q", 5, 2), Basic.QosOk(), Basic.ConsumeOk("c"), deliver(1))

    answer, *_ = rig.take_client()
    assert (answer.method.queue, answer.method.message_count, answer.method.consumer_count) == ("q", 5, 2)
    assert rig.inbound.seen[0].queue == "q"


def test_a_waived_answer_is_not_given() -> None:
    """row 41: with no_wait nothing is answered, whoever would have; errors still close the channel."""
    rig = Rig().open()
    rig.declares.rulings["queue.bind"] = Absorbed(QueueBindOk())
    rig.declares.rulings["exchange.declare"] = Absorbed(ExchangeDeclareOk())
    rig.client_sends(
        Queue.Bind(queue="q", exchange="ex", nowait=True),
        Exchange.Declare(exchange="ex", nowait=True),
        Queue.Delete(queue="q", nowait=True),
        Confirm.Select(nowait=True),
        publish("no.body"),
    )
    assert rig.client_names() == ["Basic.Nack"]
    assert rig.broker_names() == ["Queue.Delete", "Confirm.Select"]

    rig.declares.rulings["queue.declare"] = Absorbed(None, QueueDeclare(queue=b"q", passive=True))
    rig.client_sends(Queue.Declare(queue="q", nowait=True), Queue.Purge(queue="q"))
    rig.broker_sends(Queue.DeclareOk("q", 0, 0), Queue.PurgeOk(0))
    assert rig.client_names() == ["Queue.PurgeOk"]

    rig.broker_sends(Channel.Close(404, "NOT_FOUND", 50, 40))
    assert rig.client_names() == ["Channel.Close"]


def test_a_locally_declared_queue_is_the_last_one() -> None:
    """row 40: an answer of the agent's own names the queue as the broker's would."""
    rig = Rig().open()
    rig.declares.rulings["queue.declare"] = Absorbed(QueueDeclareOk(queue=b"mine"))
    rig.client_sends(Queue.Declare(queue=""), Queue.Purge(queue=""))
    asked = rig.declares.asked[-1]
    assert isinstance(asked, QueuePurge)
    assert asked.queue == b"mine"


def test_a_queue_that_the_agent_names_is_the_last_one_at_once() -> None:
    """rows 27 and 40: whoever binds it without waiting for the declare-ok means the queue that the agent named."""
    rig = Rig().open()
    rig.declares.rulings["queue.declare"] = Absorbed(None, QueueDeclare(queue=b"named", exclusive=True))
    rig.client_sends(Queue.Declare(queue="", exclusive=True), Queue.Bind(queue="", exchange="ex"))
    asked = rig.declares.asked[-1]
    assert isinstance(asked, QueueBind)
    assert asked.queue == b"named"


def test_access_request_is_granted() -> None:
    """row 43: a method of older versions; it is answered here, in order."""
    rig = Rig().open()
    relay = rig.relay
    relay.from_client([(METHOD, 1, marshal(Queue.Purge(queue="q"))[7:-1]), (METHOD, 1, b"\0\x1e\0\x0a\x05/data\x1f")])
    assert relay.take_to_client() == b""
    purged = marshal(Queue.PurgeOk(0))
    relay.from_upstream([(METHOD, 1, purged[7:-1])])
    assert relay.take_to_client() == purged + encode_frame(METHOD, 1, b"\0\x1e\0\x0b\0\x01")  # pamqp knows no class 30


def test_consume_ok_may_be_overtaken() -> None:
    """row 27: RabbitMQ's queue sends it, so a later answer may come first; neither is taken for the other."""
    rig = Rig().open()
    rig.client_sends(
        Basic.Consume(queue="q", consumer_tag="c", no_ack=True), Queue.Purge(queue="q"), Basic.Recover(True)
    )
    rig.broker_sends(Queue.PurgeOk(0), Basic.ConsumeOk("c"))
    assert rig.client_names() == ["Queue.PurgeOk", "Basic.ConsumeOk", "Basic.RecoverOk"]
