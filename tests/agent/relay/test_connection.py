"""Channel 0, lost legs and the end of a connection, row by row."""

from __future__ import annotations

import pytest
from letrade_agent.relay.effects import Ended, UpstreamBlocked
from pamqp.commands import Basic, Channel, Connection

from letrade_topo.amqp.connection_commands import UpdateSecret
from letrade_topo.amqp.frames import BODY, HEADER, HEARTBEAT_FRAME, METHOD, encode_frame, encode_method

from .kit import Rig, deliver, marshal, publish

CLOSE = Connection.Close(200, "bye", 0, 0)


@pytest.mark.parametrize("able", [True, False])
def test_blocked_reaches_those_who_know_it(able: bool) -> None:
    """row 32: passed on by the client's capability, and the agent is told in any case."""
    rig = Rig(capabilities=frozenset((b"connection.blocked",)) if able else frozenset())
    rig.broker_sends(Connection.Blocked("low on memory"), Connection.Unblocked(), channel=0)
    assert rig.client_names() == (["Connection.Blocked", "Connection.Unblocked"] if able else [])
    assert rig.effects == [UpstreamBlocked(True, "low on memory"), UpstreamBlocked(False, "")]


def test_a_lost_broker_is_320_for_the_client() -> None:
    """row 33: nobody hangs, nothing is confirmed that was not, and the unconfirmed are counted as lost."""
    rig = Rig().open(confirms=True).consume()
    rig.broker_sends(deliver(1), deliver(2, "bad"), deliver(3, "held"))
    rig.client_sends(publish("good"), publish("good"))
    rig.take_client()
    rig.take_broker()

    rig.relay.upstream_gone("connection reset")
    rig.collect()

    (close,) = rig.take_client()
    assert (close.name, close.method.reply_code) == ("Connection.Close", 320)
    assert "connection reset" in close.method.reply_text
    assert rig.measures.confirms == {"lost": 2}
    rig.client_sends(publish("good"), Basic.Ack(1))
    assert rig.ended == []
    rig.client_sends(Connection.CloseOk(), channel=0)
    assert [one.cause for one in rig.ended] == ["broker_closed"]
    assert rig.broker == []
    measures = rig.measures
    assert (measures.unsettled, measures.held, measures.channels, rig.relay.held_bytes) == (0, 0, 0, 0)
    assert measures.disconnects == {"broker_closed": 1}


def test_the_clients_close_is_passed_on_and_answered_by_the_broker() -> None:
    """row 37: publishes before it are published; its close-ok comes when the broker's has."""
    rig = Rig().open()
    rig.client_sends(publish("good"), marshal(CLOSE, 0), publish("good"))
    assert rig.broker_names() == ["Basic.Publish", "Connection.Close"]
    assert rig.client == []
    rig.broker_sends(deliver(1), marshal(Connection.CloseOk(), 0))
    assert rig.client_names() == ["Connection.CloseOk"]
    assert rig.ended == [Ended("client_closed", "200 bye")]
    assert rig.measures.disconnects == {"client_closed": 1}


def test_the_brokers_close_is_passed_on_in_its_own_words() -> None:
    """row 37, row 49: for example 530 of a limit; answered at once, ended by the client's close-ok."""
    rig = Rig().open()
    text = "NOT_ALLOWED - connection refused: user 'x' has reached its maximum of 3 connections"
    rig.broker_sends(Connection.Close(530, text, 10, 40), channel=0)

    (close,) = rig.take_client()
    assert (close.method.reply_code, close.method.reply_text) == (530, text)
    assert (close.method.class_id, close.method.method_id) == (10, 40)
    assert rig.broker_names() == ["Connection.CloseOk"]
    rig.client_sends(Connection.CloseOk(), channel=0)
    assert rig.ended == [Ended("broker_closed", f"530 {text}")]


def test_connection_closes_that_cross() -> None:
    """row 37: each is answered, in either order, and the connection ends once."""
    one = Rig()
    one.client_sends(CLOSE, channel=0)
    one.broker_sends(Connection.Close(320, "CONNECTION_FORCED", 0, 0), channel=0)
    assert one.broker_names() == ["Connection.Close", "Connection.CloseOk"]
    assert one.client_names() == ["Connection.CloseOk"]
    one.broker_sends(Connection.CloseOk(), channel=0)
    assert [effect.cause for effect in one.ended] == ["client_closed"]

    other = Rig()
    other.broker_sends(Connection.Close(320, "CONNECTION_FORCED", 0, 0), channel=0)
    other.client_sends(CLOSE, channel=0)
    assert other.broker_names() == ["Connection.CloseOk"]
    assert other.client_names() == ["Connection.Close", "Connection.CloseOk"]
    other.client_sends(Connection.CloseOk(), channel=0)
    assert [effect.cause for effect in other.ended] == ["broker_closed"]


def test_a_close_ok_that_never_comes_is_not_awaited_for_ever() -> None:
    """row 37: after ten seconds the connection has ended, once."""
    rig = Rig().open()
    rig.client_sends(CLOSE, channel=0)
    rig.tick(9.9)
    assert rig.ended == []
    rig.tick(0.2)
    rig.tick(9.0)
    rig.client_sends(publish("good"))
    assert [one.cause for one in rig.ended] == ["client_closed"]


def test_update_secret_is_answered_here() -> None:
    """row 39: what a client logs in with has no use upstream."""
    rig = Rig()
    rig.client_sends(encode_method(0, UpdateSecret(new_secret=b"s", reason=b"r").encode()))
    assert rig.client_names() == ["Connection.UpdateSecretOk"]
    assert rig.broker == []
    assert rig.logged == []


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (encode_frame(HEADER, 0, bytes(14)), 505),
        (marshal(Basic.Ack(1), 0), 504),
        (marshal(Connection.TuneOk(1, 4096, 1), 0), 504),
        (marshal(Connection.Blocked("x"), 0), 504),
        (encode_frame(METHOD, 0, b"\0\x0a\0\x99"), 540),
    ],
)
def test_what_has_no_place_on_channel_0(frame: bytes, code: int) -> None:
    """row 48: content 505, other methods 504, unknown ones 540."""
    rig = Rig()
    rig.client_sends(frame)
    (close,) = rig.take_client()
    assert (close.name, close.method.reply_code) == ("Connection.Close", code)
    assert rig.measures.disconnects == {"protocol_error": 1}


def test_heartbeats_are_nothing_to_the_relay() -> None:
    """row 35: each leg has its own, in the shell."""
    rig = Rig()
    rig.client_sends(HEARTBEAT_FRAME)
    rig.broker_sends(HEARTBEAT_FRAME)
    assert (rig.client, rig.broker, rig.effects) == ([], [], [])


def test_a_drain_waits_for_confirms() -> None:
    """row 46: every publish has an answer before the connection is closed with 320; later ones are nacked."""
    rig = Rig().open(confirms=True)
    rig.client_sends(publish("good"))
    rig.take_broker()

    rig.relay.shut_down("the agent is shutting down")
    rig.collect()
    rig.client_sends(publish("good"))
    assert [(one.name, one.method.delivery_tag) for one in rig.take_client()] == [("Basic.Nack", 2)]
    assert rig.broker == []
    rig.broker_sends(Basic.Ack(1))

    ack, close = rig.take_client()
    assert (ack.name, close.name, close.method.reply_code) == ("Basic.Ack", "Connection.Close", 320)
    assert rig.broker_names() == ["Connection.Close"]
    rig.client_sends(Connection.CloseOk(), channel=0)
    rig.broker_sends(Connection.CloseOk(), channel=0)
    assert [one.cause for one in rig.ended] == ["drain"]
    assert rig.measures.confirms == {"ack": 1}


def test_a_drain_does_not_wait_for_ever() -> None:
    """row 46: a broker that does not confirm has two seconds; a publish without confirms is dropped meanwhile."""
    rig = Rig().open(1, confirms=True).open(2)
    rig.client_sends(publish("good"))
    rig.relay.shut_down("drain")
    rig.client_sends(publish("good", channel=2))
    rig.tick(1.0)
    assert rig.client_names() == []
    rig.tick(1.0)
    assert rig.client_names() == ["Connection.Close"]
    assert rig.broker_names() == ["Basic.Publish", "Connection.Close"]
    assert rig.measures.confirms == {"lost": 1}


def test_a_malformed_publish_while_draining_is_the_clients_fault() -> None:
    """It would be refused, but nobody can say what: 502, as at any time."""
    rig = Rig().open(confirms=True)
    rig.client_sends(publish("good"))  # unconfirmed, so that the connection stays for a while
    rig.relay.shut_down("drain")
    method = b"\x00\x3c\x00\x28\x00\x00\xff"  # a name that is longer than the method
    header = bytes((0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0))
    rig.relay.from_client([(METHOD, 1, method), (HEADER, 1, header), (BODY, 1, b"x")])
    rig.collect()

    (close,) = rig.take_client()
    assert (close.name, close.method.reply_code) == ("Connection.Close", 502)


def test_a_client_that_is_gone_is_closed_upstream() -> None:
    """row 33: whatever its cause, the broker hears a close, and takes everything back."""
    rig = Rig().open().consume()
    rig.broker_sends(deliver(1))
    rig.relay.client_gone("idle_timeout", "no heartbeat for 20 s")
    rig.collect()
    assert rig.broker_names() == ["Connection.Close"]
    assert rig.measures.disconnects == {"idle_timeout": 1}
    assert rig.measures.unsettled == 0
    rig.relay.upstream_gone("reset")
    rig.collect()
    assert rig.ended == [Ended("idle_timeout", "no heartbeat for 20 s")]


def test_both_legs_gone_end_at_once() -> None:
    """row 33: whichever was first is the cause, and it is counted once."""
    rig = Rig().open()
    rig.relay.upstream_gone("reset")
    rig.relay.client_gone()
    rig.relay.client_gone()
    rig.collect()
    assert [one.cause for one in rig.ended] == ["broker_closed"]
    assert rig.measures.disconnects == {"broker_closed": 1}


def test_a_snapshot_says_what_is_open() -> None:
    """For the status page: channels, consumers, unsettled, unconfirmed, withheld."""
    rig = Rig().open(1, confirms=True).open(2).consume("c", queue="q", channel=2)
    rig.client_sends(publish("good"), publish("good"))
    rig.broker_sends(deliver(1, channel=2), deliver(2, "bad", channel=2), deliver(3, "held", channel=2))

    seen = rig.relay.snapshot()

    assert (seen.channels, seen.unsettled, seen.unconfirmed, seen.held, seen.closing) == (2, 1, 2, 2, False)
    assert [(one.channel, one.tag, one.queue, one.no_ack) for one in seen.consumers] == [(2, "c", "q", False)]
    assert seen.held_bytes == rig.relay.held_bytes > 0
    rig.client_sends(marshal(CLOSE, 0))
    assert rig.relay.snapshot().closing


def test_added_latency_is_counted_per_message() -> None:
    """One observation for a read, as many times as it held messages."""
    rig = Rig().open().consume()
    rig.client_sends(publish("good"), publish("good"))
    rig.broker_sends(deliver(1), deliver(2), deliver(3))
    assert sum(rig.measures.added_latency["publish"].counts) == 2
    assert sum(rig.measures.added_latency["deliver"].counts) == 3


def test_a_fault_on_one_connection_is_told_upstream_cleanly() -> None:
    """row 37: the broker hears 200 with the reason, not the client's mistake as its own."""
    rig = Rig().open()
    rig.client_sends(marshal(Channel.Open(), 1))
    (close,) = rig.take_broker()
    assert (close.method.reply_code, "second 'channel.open'" in close.method.reply_text) == (200, True)
