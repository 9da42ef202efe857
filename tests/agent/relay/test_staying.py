"""Consumers whose queue is migrated: the client keeps them, and what it asks meanwhile is answered."""

from __future__ import annotations

import pytest
from letrade_agent.limits import DEFAULT_LIMITS
from letrade_agent.relay.effects import AwaitQueue
from pamqp.commands import Basic, Channel, Queue

from .kit import Rig, deliver, publish

LATE = DEFAULT_LIMITS.relay.settle_first_seconds


def rig(capabilities: frozenset[bytes] = Rig.capabilities) -> Rig:
    """A channel whose client consumes a queue that may be migrated."""
    made = Rig(capabilities=capabilities).open()
    made.declares.migratable.add("q")
    return made


def awaited(one: Rig) -> list[AwaitQueue]:
    """What is to be found out, and forgotten."""
    found = [effect for effect in one.effects if isinstance(effect, AwaitQueue)]
    one.effects.clear()
    return found


def leave(one: Rig, *tags: str) -> None:
    """The queue is deleted."""
    one.broker_sends(*(Basic.Cancel(tag, True) for tag in tags))
    one.away.add("q")


def come_back(one: Rig) -> None:
    """It is there again."""
    one.away.clear()
    one.relay.queue_is_back("q")
    one.collect()


def test_a_migrated_queue_is_a_pause() -> None:
    """row 51: no cancel; the same consume again, whose answer the client does not see; tags and settling go on."""
    one = rig()
    one.client_sends(Basic.Qos(prefetch_count=7))
    one.broker_sends(Basic.QosOk())
    one.client_sends(Basic.Consume(queue="q", consumer_tag="c", exclusive=True, arguments={"x-priority": 3}))
    one.broker_sends(Basic.ConsumeOk("c"), deliver(1), deliver(2))
    one.client_sends(Basic.Ack(2, True))
    one.take_client()
    (first,) = [seen.method for seen in one.take_broker() if seen.name == "Basic.Consume"]

    leave(one, "c")
    assert (one.take_client(), awaited(one)) == ([], [AwaitQueue("q", needs_sign=False)])
    assert one.measures.waiting_consumers["q"] == 1
    come_back(one)
    (again,) = one.take_broker()
    assert (again.name, dict(again.method)) == ("Basic.Consume", dict(first))
    one.broker_sends(Basic.ConsumeOk("c"), deliver(3))
    (seen,) = one.take_client()
    assert (seen.name, seen.method.delivery_tag) == ("Basic.Deliver", 3)
    one.client_sends(Basic.Ack(3))
    assert [seen.method.delivery_tag for seen in one.take_broker()] == [3]
    assert (one.measures.waiting_consumers["q"], one.measures.returns["q", "back"]) == (0, 1)


def test_a_queue_that_is_gone_is_told() -> None:
    """row 51: as without an agent: by a cancel, or where the client knows none, by the end of the channel."""
    one = rig().consume()
    leave(one, "c")
    one.relay.queue_is_gone("q")
    one.collect()
    (cancel,) = one.take_client()
    assert (cancel.name, cancel.method.consumer_tag, cancel.method.nowait) == ("Basic.Cancel", "c", True)
    assert (one.measures.waiting_consumers["q"], one.measures.returns["q", "gone"]) == (0, 1)

    other = rig(capabilities=frozenset()).consume()
    leave(other, "c")
    assert other.take_client() == []
    other.relay.queue_is_gone("q")
    other.collect()
    assert other.client_names() == ["Channel.Close"]


def test_other_queues_and_consumers_that_want_to_know() -> None:
    """A queue that is not the service's own by the topology, and a consumer that asked for the cancel: told at once."""
    one = Rig().open().consume()
    leave(one, "c")
    assert (one.client_names(), awaited(one)) == (["Basic.Cancel"], [])

    one = rig()
    one.client_sends(Basic.Consume(queue="q", consumer_tag="c", arguments={"x-cancel-on-ha-failover": True}))
    one.broker_sends(Basic.QosOk(), Basic.ConsumeOk("c"))
    one.take_client()
    leave(one, "c")
    assert (one.client_names(), awaited(one)) == (["Basic.Cancel"], [])


def test_what_is_unsettled_comes_first() -> None:
    """row 51: no more than the prefetch: it goes on when the old queue's deliveries are settled, or late."""
    for is_settled in (True, False):
        one = rig().consume()
        one.broker_sends(deliver(1), deliver(2))
        leave(one, "c")
        assert awaited(one) == [AwaitQueue("q", needs_sign=False)]
        come_back(one)
        one.client_sends(Basic.Ack(1))
        assert one.broker_names() == ["Basic.Ack"]
        if is_settled:
            one.client_sends(Basic.Nack(2, requeue=True))
            assert one.broker_names() == ["Basic.Nack", "Basic.Consume"]
        else:
            one.tick(LATE - 1)
            assert one.broker_names() == []
            one.tick()
            assert one.broker_names() == ["Basic.Consume"]


@pytest.mark.parametrize("is_unsettled", [True, False])
def test_a_time_out_is_no_migration(is_unsettled: bool) -> None:
    """From 4.3 on a broker cancels a consumer that does not settle: then it takes more to believe in a migration."""
    one = Rig(broker_counts_nacks=False).open()
    one.declares.migratable.add("q")
    one.consume()
    if is_unsettled:
        one.broker_sends(deliver(1))
    leave(one, "c")
    assert awaited(one) == [AwaitQueue("q", needs_sign=is_unsettled)]


def test_each_goes_on_with_its_own_prefetch() -> None:
    """A prefetch that was set later is that of the consumers after it."""
    one = rig()
    for prefetch, tag in ((1, "a"), (100, "b")):
        one.client_sends(Basic.Qos(prefetch_count=prefetch), Basic.Consume(queue="q", consumer_tag=tag))
        one.broker_sends(Basic.QosOk(), Basic.ConsumeOk(tag))
    one.take_client()
    one.take_broker()
    leave(one, "a", "b")
    come_back(one)
    asked = [(seen.name, getattr(seen.method, "prefetch_count", None)) for seen in one.take_broker()]
    assert asked == [("Basic.Qos", 1), ("Basic.Consume", None), ("Basic.Qos", 100), ("Basic.Consume", None)]
    one.broker_sends(Basic.QosOk(), Basic.ConsumeOk("a"), Basic.QosOk(), Basic.ConsumeOk("b"))
    assert one.take_client() == []


def test_a_consumer_that_comes_meanwhile_waits_with_the_others() -> None:
    """row 51: its answer is given at once, with a tag; what it gets comes when the queue is back."""
    one = rig()
    one.away.add("q")
    one.client_sends(Basic.Consume(queue="q"), Basic.Consume(queue="q", consumer_tag="b", no_ack=True, nowait=True))
    assert one.broker_names() == ["Basic.Qos"]
    one.broker_sends(Basic.QosOk())
    (ok,) = one.take_client()
    assert ok.name == "Basic.ConsumeOk"
    assert ok.method.consumer_tag
    assert awaited(one) == [AwaitQueue("q", needs_sign=False)] * 2
    come_back(one)
    asked = [(seen.method.consumer_tag, seen.method.no_ack) for seen in one.take_broker()]
    assert asked == [(ok.method.consumer_tag, False), ("b", True)]
    one.broker_sends(Basic.ConsumeOk(ok.method.consumer_tag), Basic.ConsumeOk("b"))
    one.broker_sends(deliver(1, consumer="b"))
    assert [(seen.name, seen.method.consumer_tag) for seen in one.take_client()] == [("Basic.Deliver", "b")]


def test_what_else_is_asked_meanwhile() -> None:
    """row 51: a get finds nothing, a declare the queue, in the client's order; what needs the queue is refused."""
    one = rig()
    one.away.add("q")
    declare = Queue.Declare(queue="q", passive=True)
    one.client_sends(Basic.Qos(prefetch_count=5), Basic.Get(queue="q"), declare, Basic.Get(queue="other"))
    assert one.broker_names() == ["Basic.Qos", "Basic.Get"]
    assert one.take_client() == []
    one.broker_sends(Basic.QosOk(), Basic.GetEmpty())
    assert one.client_names() == ["Basic.QosOk", "Basic.GetEmpty", "Queue.DeclareOk", "Basic.GetEmpty"]
    one.client_sends(Queue.Purge(queue="q"))
    (close,) = one.take_client()
    assert (close.name, close.method.reply_code) == ("Channel.Close", 405)


def test_a_consumer_that_the_client_ends_meanwhile() -> None:
    """Its cancel is answered, and nobody consumes when the queue is back."""
    one = rig().consume()
    leave(one, "c")
    one.client_sends(Basic.Cancel("c"))
    assert (one.client_names(), one.broker_names()) == (["Basic.CancelOk"], [])
    come_back(one)
    assert one.broker_names() == []
    assert one.measures.waiting_consumers["q"] == 0


def test_a_tag_that_waits_is_taken() -> None:
    """The client has a consumer of this tag, as far as it knows: 530, as the broker says."""
    one = rig().consume()
    leave(one, "c")
    one.client_sends(Basic.Consume(queue="other", consumer_tag="c"))
    (close,) = one.take_client()
    assert (close.name, close.method.reply_code) == ("Connection.Close", 530)


@pytest.mark.parametrize("end", ["channel", "connection", "broker"])
def test_an_end_while_it_waits(end: str) -> None:
    """row 51: nobody waits any more, nobody consumes on a channel that is over, and nothing stays counted."""
    one = rig().consume()
    leave(one, "c")
    match end:
        case "channel":
            one.client_sends(Channel.Close(200, "bye", 0, 0))
            one.broker_sends(Channel.CloseOk())
            one.open()
        case "connection":
            one.relay.client_gone()
        case _:
            one.relay.upstream_gone("lost")
    one.collect()
    assert one.measures.waiting_consumers["q"] == 0
    one.take_broker()
    come_back(one)
    assert one.broker_names() == []


def test_publishing_goes_on() -> None:
    """The pause is that of the consumer alone."""
    one = rig().consume()
    leave(one, "c")
    one.client_sends(publish("good"))
    assert one.broker_names() == ["Basic.Publish"]


@pytest.mark.parametrize(
    "asked",
    [Basic.Consume(queue="q", consumer_tag="c"), Basic.Get(queue="q"), Queue.Declare(queue="q", passive=True)],
)
def test_a_queue_that_was_missing_is_asked_for(asked: object) -> None:
    """The channel is lost, as without an agent; the next who asks is to wait, if the queue is being migrated."""
    one = rig()
    one.client_sends(asked)
    if "Basic.Qos" in one.broker_names():
        one.broker_sends(Basic.QosOk())
    one.broker_sends(Channel.Close(404, "NOT_FOUND - no queue 'q' in vhost 'v'", 60, 20))
    assert one.client_names()[-1] == "Channel.Close"
    assert awaited(one) == [AwaitQueue("q", needs_sign=True)]
