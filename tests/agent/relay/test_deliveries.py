"""What the broker delivers and the client settles, row by row."""

from __future__ import annotations

from math import inf

import pytest
from letrade_agent.filters.rulings import Absorbed
from letrade_agent.filters.verdicts import Shown
from letrade_agent.relay.effects import HandOver, Ticket
from pamqp.commands import Basic, Channel, Connection, Queue

from letrade_topo.amqp.channel_commands import Qos
from letrade_topo.amqp.topology_commands import QueueBind

from .kit import ReadContent, Rig, content, deliver, get_ok, marshal


def settlements(rig: Rig) -> list[tuple[str, int, bool]]:
    """What went upstream, as name, tag, multiple."""
    return [
        (one.name.removeprefix("Basic.").lower(), one.method.delivery_tag, getattr(one.method, "multiple", False))
        for one in rig.take_broker()
    ]


def test_a_header_that_does_not_fit_the_clients_frames_is_handed_over() -> None:
    """row 11: never sent in pieces, never dropped: it goes to the dead letters as `frame_size`."""
    rig = Rig(client_frame_max=4_096).open().consume()

    rig.broker_sends(deliver(1, headers={"big": "x" * 5_000}), deliver(2))

    assert [one.method.delivery_tag for one in rig.take_client()] == [1]
    (one,) = rig.hand_overs
    assert one.dead_letter.reason == "frame_size"
    rig.hand_over(one)
    assert settlements(rig) == [("ack", 1, False)]


def test_header_bytes_are_not_read_in_order_to_be_written() -> None:
    """row 12: a header with types that other libraries cannot write arrives byte for byte as the filter gave it."""
    rig = Rig().open().consume()
    table = b"\x04keyd" + bytes(8) + b"\x01sf" + bytes(4)
    header = b"\0\x3c\0\0" + bytes(8) + b"\x20\0" + len(table).to_bytes(4, "big") + table
    method = marshal(Basic.Deliver("c", 1, False, "ex", "good"))[7:-1]

    rig.relay.from_upstream([(1, 1, method), (2, 1, header)])

    assert header in rig.relay.take_to_client()


def test_tags_are_counted_per_channel() -> None:
    """row 21: each channel has its own tags from 1, on both sides."""
    rig = Rig().open(1).open(2).consume(channel=1).consume(channel=2)

    rig.broker_sends(deliver(1, "bad"), deliver(2), deliver(1, channel=2), deliver(3))

    assert [(one.channel, one.method.delivery_tag) for one in rig.take_client()] == [(1, 1), (2, 1), (1, 2)]


def test_ack_of_everything_so_far() -> None:
    """row 21: tag 0 with `multiple` means all; what is withheld in between is left alone."""
    rig = Rig().open().consume()
    rig.broker_sends(deliver(1), deliver(2), deliver(3, "bad"), deliver(4), deliver(5, "held"), deliver(6))

    rig.client_sends(Basic.Ack(0, True))

    assert settlements(rig) == [("ack", 2, True), ("ack", 4, False), ("ack", 6, False)]


def test_a_multiple_passes_around_what_was_shown_late() -> None:
    """row 21: upstream tag 1 was held and is the client's third; an ack up to its second must not settle it."""
    rig = Rig().open().consume()
    rig.broker_sends(deliver(1, "held", b"late"), deliver(2), deliver(3))
    rig.inbound.verdicts[b"late"] = "good"
    rig.relay.filters_changed()
    rig.collect()
    assert [one.method.delivery_tag for one in rig.take_client()] == [1, 2, 3]

    rig.client_sends(Basic.Ack(2, True))
    assert settlements(rig) == [("ack", 2, False), ("ack", 3, False)]
    rig.broker_sends(deliver(4))
    rig.client_sends(Basic.Ack(4, True))
    assert settlements(rig) == [("ack", 4, True)]


@pytest.mark.parametrize(
    ("method", "ids"),
    [
        (Basic.Ack(9, False), (60, 80)),
        (Basic.Ack(9, True), (60, 80)),
        (Basic.Nack(9, True, True), (60, 120)),
        (Basic.Reject(9, True), (60, 90)),
    ],
)
def test_an_unknown_tag_closes_the_channel_on_both_sides(method: Basic.Ack, ids: tuple[int, int]) -> None:
    """row 21: 406 in RabbitMQ's words towards the client, a close upstream, no settlement: never a guess."""
    rig = Rig().open().consume()
    rig.broker_sends(deliver(1))
    rig.take_client()

    rig.client_sends(method, Basic.Ack(1))

    (close,) = rig.take_client()
    assert (close.name, close.method.reply_code) == ("Channel.Close", 406)
    assert close.method.reply_text == "PRECONDITION_FAILED - unknown delivery tag 9"
    assert (close.method.class_id, close.method.method_id) == ids
    assert rig.broker_names() == ["Channel.Close"]
    assert rig.measures.unsettled == 0


def test_an_ack_twice_is_an_unknown_tag() -> None:
    """row 21: settled is settled, with `multiple` too."""
    rig = Rig().open().consume()
    rig.broker_sends(deliver(1), deliver(2))
    rig.client_sends(Basic.Ack(1))
    rig.take_client()

    rig.client_sends(Basic.Ack(1, True))

    assert rig.client_names() == ["Channel.Close"]


def test_tags_of_withheld_deliveries_do_not_exist_for_the_client() -> None:
    """row 21: the upstream tag 2 is withheld; the client's tag 2 is another one, and there is no tag 3."""
    rig = Rig().open().consume()
    rig.broker_sends(deliver(1), deliver(2, "bad"), deliver(3))

    rig.client_sends(Basic.Ack(2))
    assert settlements(rig) == [("ack", 3, False)]
    rig.client_sends(Basic.Ack(3))
    assert "Channel.Close" in rig.client_names()


@pytest.mark.parametrize("requeue", [True, False])
def test_nack_and_reject_pass_as_what_they_are(requeue: bool) -> None:
    """row 22: they differ at the broker; only what is finished is remembered as finished."""
    rig = Rig().open().consume()
    rig.broker_sends(deliver(1), deliver(2), deliver(3))

    rig.client_sends(Basic.Nack(2, True, requeue), Basic.Reject(3, requeue))

    nack, reject = rig.take_broker()
    assert (nack.name, nack.method.delivery_tag, nack.method.multiple, nack.method.requeue) == (
        "Basic.Nack",
        2,
        True,
        requeue,
    )
    assert (reject.name, reject.method.delivery_tag, reject.method.requeue) == ("Basic.Reject", 3, requeue)
    assert rig.inbound.settled_queues == []
    assert len(rig.inbound.rejected_queues) == (0 if requeue else 3)


def test_a_prefetch_that_the_filters_change_goes_upstream_changed() -> None:
    """row 30: said once a channel, and the client has its answer."""
    rig = Rig().open()
    rig.declares.rulings["basic.qos"] = Absorbed(None, Qos(prefetch_count=3))
    for _ in range(2):
        rig.client_sends(Basic.Qos(0, 3, True))
        rig.broker_sends(Basic.QosOk())
        (qos,) = rig.take_broker()
        assert (qos.method.prefetch_count, qos.method.global_) == (3, False)
    assert rig.client_names() == ["Basic.QosOk", "Basic.QosOk"]
    assert [event for _, event, _ in rig.logged] == ["prefetch_for_each_consumer"]


def test_what_was_rejected_before_is_rejected_again() -> None:
    """The broker may have died before it heard of the rejection: an ack would lose the message."""
    rig = Rig().open().consume()

    rig.broker_sends(deliver(1, "rejected"), deliver(2, "repeated"), deliver(3))

    assert [message.method.delivery_tag for message in rig.take_client()] == [1]
    rejected, acknowledged = rig.take_broker()
    assert (rejected.name, rejected.method.delivery_tag, rejected.method.requeue) == ("Basic.Reject", 1, False)
    assert (acknowledged.name, acknowledged.method.delivery_tag) == ("Basic.Ack", 2)
    assert rig.measures.repeats["_other"] == 2


def test_what_is_acknowledged_is_told_to_the_filters() -> None:
    """row 21: the memory against repeats hears of it when the service has settled, not before."""
    rig = Rig().open().consume(queue="orders")
    rig.broker_sends(deliver(1), deliver(2))
    assert rig.inbound.settled_queues == []

    rig.client_sends(Basic.Ack(1))

    assert rig.inbound.settled_queues == ["orders"]


@pytest.mark.parametrize("end", ["client closes", "broker closes", "client gone", "broker gone"])
def test_what_a_channel_leaves_unsettled_is_given_back(end: str) -> None:
    """Shown or withheld: the filters are told, so that it is no copy of itself when it comes again."""
    rig = Rig().open().consume()
    rig.broker_sends(deliver(1), deliver(2, "bad"), deliver(3, "held"), deliver(4, "claim"), deliver(5))
    match end:
        case "client closes":
            rig.client_sends(Channel.Close(200, "", 0, 0))
            rig.tick(3)  # hand-overs are not waited for any longer
            rig.broker_sends(Channel.CloseOk())
        case "broker closes":
            rig.broker_sends(Channel.Close(406, "", 0, 0))
        case "client gone":
            rig.relay.client_gone()
            rig.tick(3)
        case "broker gone":
            rig.relay.upstream_gone("lost")

    numbers = {one.body: one.number for one in rig.inbound.seen}
    assert rig.inbound.given_back_queues == ["q"]
    assert len(set(rig.inbound.let_go_numbers)) == 4
    assert numbers


@pytest.mark.parametrize("give_back", [Basic.Nack(1, requeue=True), Basic.Reject(1, requeue=True), Basic.Recover(True)])
def test_what_the_client_gives_back_is_told_to_the_filters(give_back: object) -> None:
    """It is neither settled nor rejected."""
    rig = Rig().open().consume()
    rig.broker_sends(deliver(1))
    rig.client_sends(give_back)

    assert rig.inbound.given_back_queues == ["q"]
    assert rig.inbound.settled_queues == rig.inbound.rejected_queues == []


def test_a_dead_letter_is_told_to_the_filters_when_it_is_there() -> None:
    """Not before it is confirmed; what nobody acknowledges at once."""
    rig = Rig().open().consume()
    rig.broker_sends(deliver(1, "bad"))
    assert rig.inbound.handed_over_numbers == []
    rig.hand_over(rig.hand_overs[0])
    assert rig.inbound.handed_over_numbers == [rig.inbound.seen[0].number]


def test_copies_that_wait_are_acknowledged_when_their_time_is_over() -> None:
    """The service has another delivery of the same; they are no dead letters, and do not wait for ever."""
    rig = Rig().open().consume()
    rig.broker_sends(deliver(1), *(deliver(tag, "copy") for tag in range(2, 11)))
    assert rig.take_broker()[2:] == []
    assert len(rig.take_client()) == 1
    rig.tick(59)
    assert settlements(rig) == []
    rig.tick(1)

    assert settlements(rig) == [("ack", tag, False) for tag in range(2, 11)]
    assert rig.hand_overs == []
    assert rig.measures.repeats == {"_other": 9}
    assert "delivery_held" not in [event for _, event, _ in rig.logged]


def test_idle_consumers_are_told_to_the_filters() -> None:
    """One that could take more and gets nothing for two seconds, while the broker is read."""
    rig = Rig().open()
    rig.client_sends(Basic.Qos(prefetch_count=2))
    rig.broker_sends(Basic.QosOk())
    rig.take_broker()
    rig.consume()

    def noted(seconds: float, heard_since: float = 0.0) -> list[tuple[str, bool]]:
        rig.clock += seconds
        rig.inbound.idle.clear()
        rig.relay.tick(heard_since)
        rig.collect()
        return list(rig.inbound.idle)

    assert noted(1.0) == []
    assert noted(1.0) == [("q", False)]
    assert noted(1.0, heard_since=rig.clock) == []
    assert noted(1.0, heard_since=inf) == []
    rig.broker_sends(deliver(1))
    assert noted(1.0) == []
    assert noted(1.0) == [("q", True)]
    rig.broker_sends(deliver(2))
    assert noted(9.0) == [], "no room"
    rig.client_sends(Basic.Ack(1))
    assert noted(9.0) == [("q", True)]
    rig.broker_sends(deliver(3, "claim"))
    rig.client_sends(Basic.Ack(2))
    assert noted(9.0) == [], "what is fetched holds up all others"


def test_an_empty_answer_to_a_get_is_told_to_the_filters() -> None:
    """Who asks and gets nothing has got all that there was."""
    rig = Rig().open()
    rig.client_sends(Basic.Get(queue="q"))
    rig.broker_sends(Basic.GetEmpty())
    assert rig.inbound.idle == [("q", True)]


def test_get_tries_again_until_something_may_be_shown() -> None:
    """row 23: failed and repeated ones are dealt with, the client gets the first good one, with the last count."""
    rig = Rig().open()
    rig.client_sends(Basic.Get(0, "q"))
    for tag, key in enumerate(("bad", "repeated", "held"), start=1):
        rig.broker_sends(get_ok(tag, key, left=10 - tag))
        assert rig.client == []
    rig.broker_sends(get_ok(4, "good", left=6))

    (seen,) = rig.take_client()
    assert (seen.name, seen.method.delivery_tag, seen.method.message_count) == ("Basic.GetOk", 1, 6)
    assert rig.broker_names() == ["Basic.Get", "Basic.Get", "Basic.Ack", "Basic.Get", "Basic.Get"]
    assert [one.ticket.upstream_tag for one in rig.hand_overs] == [1]
    assert rig.inbound.seen[0].queue == "q"


def test_get_gives_up_after_a_hundred() -> None:
    """row 23: then the queue is empty as far as the client is concerned."""
    rig = Rig().open()
    rig.client_sends(Basic.Get(0, "q"))
    for tag in range(1, 101):
        assert rig.client == []
        rig.broker_sends(get_ok(tag, "bad"))

    assert rig.client_names() == ["Basic.GetEmpty"]
    assert rig.broker_names() == ["Basic.Get"] * 100
    assert len(rig.hand_overs) == 100


def test_get_gives_up_after_200_milliseconds() -> None:
    """row 23: a client that asks does not wait for long."""
    rig = Rig().open()
    rig.client_sends(Basic.Get(0, "q"))
    rig.clock += 0.25
    rig.broker_sends(get_ok(1, "bad"))

    assert rig.client_names() == ["Basic.GetEmpty"]


def test_get_keeps_the_order_of_answers() -> None:
    """row 23: with other requests behind it a get is not repeated, as its answer would come behind theirs."""
    rig = Rig().open()
    rig.client_sends(Basic.Get(0, "q"), Queue.Declare(queue="other"), Basic.Get(0, "q"))

    rig.broker_sends(get_ok(1, "bad"), Queue.DeclareOk("other", 0, 0), get_ok(2, "good"))

    assert rig.client_names() == ["Basic.GetEmpty", "Queue.DeclareOk", "Basic.GetOk"]


def test_a_held_message_of_a_get_goes_back_when_it_is_good() -> None:
    """row 23: its answer has been given; the next get brings it."""
    rig = Rig().open()
    rig.client_sends(Basic.Get(0, "q"))
    rig.broker_sends(get_ok(1, "held", b"late"), Basic.GetEmpty())
    assert rig.client_names() == ["Basic.GetEmpty"]
    rig.take_broker()

    rig.inbound.verdicts[b"late"] = "good"
    rig.tick()

    (nack,) = rig.take_broker()
    assert (nack.name, nack.method.delivery_tag, nack.method.requeue) == ("Basic.Nack", 1, True)


def test_what_a_broker_does_not_count_goes_back_by_a_reject_each() -> None:
    """rows 22 and 24: nack and recover with requeue; oldest first, no `multiple`, and nothing that is withheld."""
    rig = Rig(broker_counts_nacks=False).open().consume()
    rig.broker_sends(*(deliver(tag, "bad" if tag == 2 else "good") for tag in range(1, 8)))
    rig.take_client()

    rig.client_sends(Basic.Nack(3, True, True))  # the client's tags have no gap: 1, 3 and 4 upstream
    rig.client_sends(Basic.Nack(4, False, False))
    rig.client_sends(Basic.Recover(True))

    rejects, (nack,), recovered = (rig.broker[:3], rig.broker[3:4], rig.broker[4:])
    assert [(one.name, one.method.delivery_tag, one.method.requeue) for one in (*rejects, *recovered)] == [
        ("Basic.Reject", tag, True) for tag in (1, 3, 4, 6, 7)
    ]
    assert (nack.name, nack.method.delivery_tag, nack.method.requeue) == ("Basic.Nack", 5, False)
    assert rig.client_names() == ["Basic.RecoverOk"]
    assert len(rig.inbound.rejected_queues) == 1


def test_recover_touches_only_what_the_client_sees() -> None:
    """row 24: nacks with requeue, then recover-ok; the broker's recover would give back what is withheld."""
    rig = Rig().open().consume()
    rig.broker_sends(deliver(1), deliver(2, "bad"), deliver(3))
    rig.take_client()

    rig.client_sends(Basic.Recover(True))

    sent = rig.take_broker()
    assert [(one.name, one.method.delivery_tag, one.method.requeue) for one in sent] == [
        ("Basic.Nack", 1, True),
        ("Basic.Nack", 3, True),
    ]
    assert rig.client_names() == ["Basic.RecoverOk"]
    assert rig.inbound.settled_queues == []


def test_recover_without_requeue_is_not_implemented() -> None:
    """row 24: 540 for the connection, as RabbitMQ has it."""
    rig = Rig().open()
    rig.client_sends(Basic.Recover(False))
    (close,) = rig.take_client()
    assert (close.name, close.method.reply_code) == ("Connection.Close", 540)


def test_no_ack_stays_no_ack() -> None:
    """row 25: nothing is acknowledged, what fails is handed over with nothing left to acknowledge."""
    rig = Rig().open()
    rig.client_sends(Basic.Consume(queue="q", consumer_tag="c", no_ack=True))
    assert rig.take_broker()[0].method.no_ack
    rig.broker_sends(Basic.ConsumeOk("c"), deliver(1), deliver(2, "bad"), deliver(3, "repeated"), deliver(4))

    tags = [one.method.delivery_tag for one in rig.take_client() if isinstance(one, ReadContent)]
    assert tags == [1, 2]
    (one,) = rig.hand_overs
    assert one.ticket == Ticket(1, 1, None)
    rig.hand_over(one)
    assert rig.broker == []
    assert rig.relay.held_bytes == 0
    assert rig.inbound.settled_queues == ["q", "q"], "sent is settled"
    rig.client_sends(Basic.Ack(1))
    assert rig.client_names() == ["Channel.Close"]


def test_a_kept_no_ack_delivery_is_not_lost_with_its_channel() -> None:
    """row 25: the broker has forgotten it, so it becomes a dead letter."""
    rig = Rig().open().consume(no_ack=True)
    rig.broker_sends(deliver(1, "held"))
    assert rig.hand_overs == []

    rig.client_sends(Channel.Close(200, "", 0, 0))

    assert [one.ticket.upstream_tag for one in rig.hand_overs] == [None]


def test_direct_reply_to_is_left_alone() -> None:
    """row 26: the consume passes as it is, on its own channel and without a prefetch; filters see the queue's name."""
    rig = Rig().open(7)
    rig.client_sends(Basic.Consume(queue="amq.rabbitmq.reply-to", no_ack=True), channel=7)
    (consume,) = rig.take_broker()
    assert (consume.channel, consume.method.queue, consume.method.no_ack) == (7, "amq.rabbitmq.reply-to", True)
    rig.broker_sends(Basic.ConsumeOk("amq.ctag"), deliver(1, consumer="amq.ctag", channel=7), channel=7)

    assert rig.client_names() == ["Basic.ConsumeOk", "Basic.Deliver"]
    assert rig.inbound.seen[0].queue == "amq.rabbitmq.reply-to"


def test_consumer_tags_lead_to_queues() -> None:
    """row 27: chosen by the broker or by the client, with no_wait too, and for a delivery before the consume-ok."""
    rig = Rig().open()
    rig.client_sends(
        Basic.Consume(queue="named", consumer_tag="mine"),
        Basic.Consume(queue="made up"),
        Basic.Consume(queue="silent", consumer_tag="quiet", nowait=True),
    )
    rig.broker_sends(
        Basic.QosOk(),
        deliver(1, consumer="mine"),
        Basic.ConsumeOk("mine"),
        deliver(2, consumer="amq.1"),
        Basic.ConsumeOk("amq.1"),
        deliver(3, consumer="amq.1"),
        deliver(4, consumer="quiet"),
    )

    assert [one.queue for one in rig.inbound.seen] == ["named", "made up", "made up", "silent"]
    snapshot = rig.relay.snapshot()
    assert {(one.tag, one.queue) for one in snapshot.consumers} == {
        ("mine", "named"),
        ("amq.1", "made up"),
        ("quiet", "silent"),
    }


def test_an_empty_queue_name_is_the_last_one_declared() -> None:
    """row 27: as the broker named it, even when consume was sent ahead of the declare-ok."""
    rig = Rig().open()
    rig.client_sends(Queue.Declare(queue=""), Basic.Consume(queue="", consumer_tag="c"))
    rig.broker_sends(Queue.DeclareOk("amq.gen-1", 0, 0), Basic.QosOk(), Basic.ConsumeOk("c"), deliver(1))
    assert rig.inbound.seen[0].queue == "amq.gen-1"

    rig.client_sends(Queue.Bind(queue="", exchange="ex"))
    asked = rig.declares.asked[-1]
    assert isinstance(asked, QueueBind)
    assert asked.queue == b"amq.gen-1"


def test_a_tag_that_changes_its_queue() -> None:
    """row 27: cancelled and subscribed anew in one go, deliveries in between are still the old queue's."""
    rig = Rig().open().consume("c", queue="old")
    rig.client_sends(Basic.Cancel("c"), Basic.Consume(queue="new", consumer_tag="c"))
    rig.broker_sends(deliver(1), Basic.CancelOk("c"), Basic.ConsumeOk("c"), deliver(2))
    assert [one.queue for one in rig.inbound.seen] == ["old", "new"]


def test_a_delivery_to_nobody_ends_the_connection() -> None:
    """row 27: the relay cannot know its queue, and a guess would be worse."""
    rig = Rig().open()
    rig.broker_sends(deliver(1, consumer="who"))
    assert rig.client_names() == ["Connection.Close"]
    assert rig.broker_names() == ["Connection.Close"]
    assert rig.measures.disconnects == {"internal_error": 1}


@pytest.mark.parametrize("able", [True, False])
def test_a_cancel_by_the_broker(able: bool) -> None:
    """row 28: passed on to clients that know it; others have their channel closed, not a silent consumer."""
    rig = Rig(capabilities=frozenset((b"consumer_cancel_notify",)) if able else frozenset()).open().consume()

    rig.broker_sends(Basic.Cancel("c", True))

    assert rig.client_names() == (["Basic.Cancel"] if able else ["Channel.Close"])


def test_a_cancel_that_crosses_the_brokers() -> None:
    """row 28: the client still gets its cancel-ok."""
    rig = Rig().open().consume()
    rig.client_sends(Basic.Cancel("c"))
    rig.broker_sends(Basic.Cancel("c", True), Basic.CancelOk("c"))
    assert rig.client_names() == ["Basic.Cancel", "Basic.CancelOk"]


def test_what_is_kept_for_a_cancelled_consumer_goes_back() -> None:
    """row 28: after cancel-ok nothing is shown to it any more; visible ones stay the client's to settle."""
    rig = Rig().open().consume()
    rig.broker_sends(deliver(1, "held", b"h"), deliver(2))
    rig.client_sends(Basic.Cancel("c"))
    rig.broker_sends(Basic.CancelOk("c"))
    rig.inbound.verdicts[b"h"] = "good"
    rig.tick()
    rig.client_sends(Basic.Ack(1))

    cancel, nack, ack = rig.take_broker()
    assert cancel.name == "Basic.Cancel"
    assert (nack.name, nack.method.delivery_tag, nack.method.requeue) == ("Basic.Nack", 1, True)
    assert (ack.name, ack.method.delivery_tag) == ("Basic.Ack", 2)
    assert rig.client_names() == ["Basic.Deliver", "Basic.CancelOk"]


def test_the_brokers_ack_timeout_is_passed_on() -> None:
    """row 29: its 406 closes the channel; what was kept is forgotten, as the broker delivers it again."""
    rig = Rig().open().consume()
    rig.broker_sends(deliver(1), deliver(2, "held"), deliver(3, "bad"))
    rig.take_client()

    rig.broker_sends(Channel.Close(406, "PRECONDITION_FAILED - delivery acknowledgement timed out", 0, 0))

    (close,) = rig.take_client()
    assert close.method.reply_text == "PRECONDITION_FAILED - delivery acknowledgement timed out"
    assert rig.broker_names() == ["Channel.CloseOk"]
    assert (rig.measures.unsettled, rig.relay.snapshot().held) == (0, 0)
    rig.hand_over(rig.hand_overs[0])
    assert rig.broker == []
    assert rig.relay.held_bytes == 0


def test_a_prefetch_is_set_where_the_client_sets_none() -> None:
    """row 30: 50, once per channel, before the first consume with acknowledgement; its answer is swallowed."""
    rig = Rig().open()
    rig.client_sends(Basic.Consume(queue="q", consumer_tag="a"), Basic.Consume(queue="q", consumer_tag="b"))

    qos, *consumes = rig.take_broker()
    assert (qos.name, qos.method.prefetch_count, qos.method.global_) == ("Basic.Qos", 50, False)
    assert [one.name for one in consumes] == ["Basic.Consume", "Basic.Consume"]
    rig.broker_sends(Basic.QosOk(), Basic.ConsumeOk("a"), Basic.ConsumeOk("b"))
    assert rig.client_names() == ["Basic.ConsumeOk", "Basic.ConsumeOk"]


def test_the_clients_own_prefetch_is_passed_on() -> None:
    """row 30: then the agent sets none; a later change of mind passes too, and its answer is not swallowed."""
    rig = Rig().open()
    rig.client_sends(Basic.Qos(0, 0, True), Basic.Consume(queue="q", consumer_tag="a"))
    assert rig.broker_names() == ["Basic.Qos", "Basic.Consume"]
    rig.broker_sends(Basic.QosOk(), Basic.ConsumeOk("a"))
    assert rig.client_names() == ["Basic.QosOk", "Basic.ConsumeOk"]

    late = Rig().open()
    late.client_sends(Basic.Consume(queue="q", consumer_tag="a"), Basic.Qos(0, 7, False))
    late.broker_sends(Basic.QosOk(), Basic.ConsumeOk("a"), Basic.QosOk())
    assert late.client_names() == ["Basic.ConsumeOk", "Basic.QosOk"]


def test_held_deliveries_fail_when_their_time_is_over() -> None:
    """Section 3.2: asked again each second, and block nobody meanwhile."""
    rig = Rig().open().consume()
    rig.broker_sends(deliver(1, "held"), deliver(2))
    assert rig.client_names() == ["Basic.Deliver"]
    for _ in range(59):
        rig.tick()
    assert rig.hand_overs == []
    assert rig.relay.held_bytes > 0

    rig.tick()

    (one,) = rig.hand_overs
    assert isinstance(one, HandOver)
    rig.hand_over(one)
    assert settlements(rig) == [("ack", 1, False)]
    assert rig.relay.held_bytes == 0


def test_a_hand_over_of_an_earlier_opening_is_ignored() -> None:
    """row 37: the number is another channel now, its tag 1 another delivery."""
    rig = Rig().open().consume()
    rig.broker_sends(deliver(1, "bad"))
    rig.broker_sends(Channel.Close(404, "NOT_FOUND", 0, 0))
    rig.client_sends(Channel.CloseOk())
    rig.open().consume()
    rig.broker_sends(deliver(1, "bad", b"new"))

    old, new = rig.hand_overs
    rig.hand_over(old)
    assert rig.broker == []
    rig.hand_over(new)
    rig.hand_over(new)
    assert settlements(rig) == [("ack", 1, False)]


def test_a_close_waits_for_hand_overs() -> None:
    """Section 3.2: at most two seconds; closed before, the message would come and be handed over again."""
    rig = Rig().open()
    rig.client_sends(Basic.Get(0, "q"))
    rig.broker_sends(get_ok(1, "bad"), Basic.GetEmpty())
    rig.take_broker()

    rig.client_sends(Channel.Close(200, "bye", 0, 0))
    assert rig.broker == []
    rig.hand_over(rig.hand_overs[0])
    assert rig.broker_names() == ["Basic.Ack", "Channel.Close"]
    rig.broker_sends(Channel.CloseOk())
    assert rig.client_names() == ["Basic.GetEmpty", "Channel.CloseOk"]

    rig.open().consume()
    rig.broker_sends(deliver(1, "bad"))
    rig.client_sends(Connection.Close(200, "bye", 0, 0), channel=0)
    assert rig.broker == []
    rig.tick(2.0)
    assert rig.broker_names() == ["Connection.Close"]


def test_a_close_by_the_broker_while_ours_waits() -> None:
    """row 37: nothing is left to close: the client has its close-ok, and so has the broker."""
    rig = Rig().open().consume()
    rig.broker_sends(deliver(1, "bad"))
    rig.client_sends(Channel.Close(200, "bye", 0, 0))

    rig.broker_sends(Channel.Close(404, "NOT_FOUND", 0, 0))

    assert rig.broker_names() == ["Channel.CloseOk"]
    assert rig.client_names() == ["Channel.CloseOk"]
    assert rig.relay.snapshot().channels == 0
    rig.tick(5.0)
    rig.open()


def test_a_delivery_too_large_for_memory_is_the_brokers_to_move() -> None:
    """row 16: rejected without requeue, at its header; the broker's dead letters take it, the next one passes."""
    rig = Rig().open().consume()
    rig.inbound.largest_body = 1_000

    rig.broker_sends(deliver(1, body=bytes(5_000)), deliver(2))

    (reject,) = rig.take_broker()
    assert (reject.name, reject.method.delivery_tag, reject.method.requeue) == ("Basic.Reject", 1, False)
    assert [one.method.delivery_tag for one in rig.take_client()] == [1]
    assert rig.measures.refused == {("deliver", "oversize"): 1}


def test_a_retry_is_shown_where_it_was_first_published() -> None:
    """What the filter says of exchange and key is what the client reads, by deliver and by get."""
    rig = Rig().open().consume()
    original = rig.inbound.examine
    rig.inbound.examine = lambda delivery, now, fetched=None: _moved(original(delivery, now))  # type: ignore[method-assign]  # this rig's only

    rig.broker_sends(content(Basic.Deliver("c", 1, True, "", "q"), b"again"))
    rig.client_sends(Basic.Get(0, "q"))
    rig.broker_sends(get_ok(2))

    shown, got = rig.take_client()
    assert (shown.method.exchange, shown.method.routing_key, shown.method.redelivered) == ("first", "key", True)
    assert (got.method.exchange, got.method.routing_key, got.method.delivery_tag) == ("first", "key", 2)


def _moved(verdict: object) -> Shown:
    assert isinstance(verdict, Shown)
    return verdict._replace(exchange=b"first", routing_key=b"key")


def test_tags_that_do_not_rise_end_the_connection() -> None:
    """Section 3.2: a broker that counts wrongly cannot be acknowledged rightly."""
    rig = Rig().open().consume()
    rig.broker_sends(deliver(2), deliver(2))
    assert rig.client_names() == ["Basic.Deliver", "Connection.Close"]
