"""Bodies that lie in an object store: what waits for it, what does not, and in which order all of it goes on."""

from __future__ import annotations

from letrade_agent.filters.verdicts import Fetched
from pamqp.commands import Basic, Channel, Connection

from tests.agent.relay.kit import ReadContent, ReadMethod, Rig, Seen, deliver, get_ok, publish


def bodies(seen: list[Seen]) -> list[bytes]:
    """Of all contents."""
    return [one.body for one in seen if isinstance(one, ReadContent)]


# Publishing


def test_a_stub_goes_upstream_when_its_body_is_stored() -> None:
    """Not before; what the channel publishes meanwhile waits, and goes behind it."""
    rig = Rig().open(confirms=True)

    rig.client_sends(publish("a", b"1"), publish("big", b"2"), publish("b", b"3"), Basic.Qos(prefetch_count=1))
    assert bodies(rig.take_broker()) == [b"1"]
    (effect,) = rig.stores
    assert (effect.object, effect.body) == ("object of 2", b"2")
    rig.client_sends(publish("c", b"4"))
    assert not rig.take_broker()

    rig.store(effect)
    seen = rig.take_broker()
    assert [one.name for one in seen] == ["Basic.Publish", "Basic.Publish", "Basic.Qos", "Basic.Publish"]
    assert bodies(seen) == [b"stub of 2", b"3", b"4"]
    rig.broker_sends(Basic.Ack(delivery_tag=4, multiple=True))
    (ack,) = rig.take_client()
    assert isinstance(ack, ReadMethod)
    assert (ack.method.delivery_tag, ack.method.multiple) == (4, True)
    assert rig.relay.storing_bytes == 0


def test_several_stubs_of_one_channel_keep_their_order() -> None:
    """One body at a time is stored for a channel."""
    rig = Rig().open()

    rig.client_sends(publish("big", b"1"), publish("big", b"2"), publish("a", b"3"))
    rig.store(rig.stores[0])
    assert bodies(rig.take_broker()) == [b"stub of 1"]
    rig.store(rig.stores[1])
    assert bodies(rig.take_broker()) == [b"stub of 2", b"3"]


def test_other_channels_go_on() -> None:
    """A store that is slow delays the channel that needs it, and nobody else; nor what the broker sends there."""
    rig = Rig().open(1).open(2).consume()

    rig.client_sends(publish("big", b"1"), publish("a", b"2", channel=2))
    rig.broker_sends(deliver(1, body=b"3"))

    assert bodies(rig.take_broker()) == [b"2"]
    assert bodies(rig.take_client()) == [b"3"]


def test_a_store_that_is_away_refuses_the_publish() -> None:
    """A return if it is mandatory, and a nack in its place between the others; the channel stays."""
    rig = Rig().open(confirms=True)

    rig.client_sends(publish("a", b"1"), publish("big", b"2", mandatory=True), publish("b", b"3"))
    rig.relay.not_stored(rig.stores[0].opening, "the store is away")
    rig.collect()

    assert bodies(rig.take_broker()) == [b"1", b"3"]
    returned, nack = rig.take_client()
    assert isinstance(returned, ReadContent)
    assert (returned.body, returned.method.reply_code) == (b"2", 406)
    assert returned.method.reply_text.endswith("message size 1 needs the claim check's store: the store is away")
    assert (nack.name, nack.method.delivery_tag) == ("Basic.Nack", 2)
    assert rig.measures.refused["publish", "claim_store"] == 1


def test_a_store_that_is_away_without_confirms() -> None:
    """The channel closes, as for any refusal; what waited behind is thrown away."""
    rig = Rig().open()

    rig.client_sends(publish("big", b"1"), publish("a", b"2"))
    rig.relay.not_stored(rig.stores[0].opening, "away")
    rig.collect()

    assert rig.client_names() == ["Channel.Close"]
    assert rig.broker_names() == ["Channel.Close"]


def test_nothing_is_stored_behind_a_refusal_that_closes_the_channel() -> None:
    """In the same read: nobody would wait for it, and its object would stay."""
    rig = Rig().open()
    rig.client_sends(publish("no.seal"), publish("big", b"1"))

    assert rig.client_names() == ["Channel.Close"]
    assert not rig.stores
    assert rig.relay.storing_bytes == 0


def test_a_close_waits_for_what_was_published_before() -> None:
    """Of the channel and of the connection: a client that publishes and closes has published."""
    for close in (Channel.Close(200, "", 0, 0), Connection.Close(200, "", 0, 0)):
        rig = Rig().open()
        rig.client_sends(publish("big", b"1"))
        rig.client_sends(close, channel=0 if isinstance(close, Connection.Close) else 1)
        assert not rig.take_broker()

        rig.store(rig.stores[0])

        assert rig.broker_names() == ["Basic.Publish", close.name]


def test_a_channel_that_closes_meanwhile() -> None:
    """The broker's close ends it; the client's close-ok is not lost behind the body, and nothing goes upstream."""
    rig = Rig().open()
    rig.client_sends(publish("big", b"1"), publish("a", b"2"))

    rig.broker_sends(Channel.Close(404, "x", 0, 0))
    rig.client_sends(Channel.CloseOk())
    rig.store(rig.stores[0])

    assert rig.client_names() == ["Channel.Close"]
    assert rig.broker_names() == ["Channel.CloseOk"]
    rig.open()
    rig.store(rig.stores[0])
    assert not rig.take_broker()
    assert rig.relay.storing_bytes == 0


def test_a_client_that_goes_away_meanwhile() -> None:
    """Nothing is left behind."""
    rig = Rig().open()
    rig.client_sends(publish("big", b"1"), publish("a", b"2"))

    rig.relay.client_gone()
    rig.store(rig.stores[0])

    assert rig.broker_names() == ["Connection.Close"]
    assert rig.relay.storing_bytes == 0


# Deliveries


def test_a_delivery_waits_for_its_object_and_later_ones_behind_it() -> None:
    """All in the order of the broker, under tags without gaps; what was settled meanwhile is settled."""
    rig = Rig().open().consume()

    rig.broker_sends(deliver(1, body=b"1"), deliver(2, "claim", b"2"), deliver(3, body=b"3"), deliver(4, "claim", b"4"))
    assert bodies(rig.take_client()) == [b"1"]
    rig.client_sends(Basic.Ack(delivery_tag=1))
    assert [one.method.delivery_tag for one in rig.take_broker()] == [1]
    assert [effect.claim.object for effect in rig.fetches] == ["object of 2"]
    assert rig.relay.held_bytes > 0

    rig.fetch(rig.fetches[0], Fetched(b"two"))
    seen = rig.take_client()
    assert (bodies(seen), [one.method.delivery_tag for one in seen]) == ([b"two", b"3"], [2, 3])
    rig.fetch(rig.fetches[1], Fetched(b"four"))
    assert bodies(rig.take_client()) == [b"four"]
    rig.client_sends(Basic.Ack(delivery_tag=0, multiple=True))
    assert [(one.method.delivery_tag, one.method.multiple) for one in rig.take_broker()] == [(4, True)]
    assert (rig.relay.held_bytes, rig.measures.held) == (0, 0)


def test_a_missing_object_is_handed_over() -> None:
    """It goes to the dead letters as it came, and what waited goes on."""
    rig = Rig().open().consume()
    rig.broker_sends(deliver(1, "claim", b"1"), deliver(2, body=b"2"))

    rig.fetch(rig.fetches[0], Fetched(reason="claim_missing", why="gone"))

    assert bodies(rig.take_client()) == [b"2"]
    (one,) = rig.hand_overs
    assert (one.dead_letter.reason, one.dead_letter.body) == ("claim_missing", b"1")
    rig.hand_over(one)
    (ack,) = rig.take_broker()
    assert isinstance(ack, ReadMethod)
    assert (ack.name, ack.method.delivery_tag) == ("Basic.Ack", 1)


def test_a_subscription_that_ends_meanwhile() -> None:
    """What waits goes back to its queue; other subscriptions of the channel go on."""
    rig = Rig().open().consume("c").consume("d")
    rig.broker_sends(deliver(1, "claim", b"1"), deliver(2, "claim", b"2", consumer="d"))

    rig.client_sends(Basic.Cancel(consumer_tag="c"))
    rig.broker_sends(Basic.CancelOk(consumer_tag="c"))
    assert rig.broker_names() == ["Basic.Cancel", "Basic.Nack"]
    assert not rig.relay.awaits(rig.fetches[0].ticket)
    rig.fetch(rig.fetches[0], Fetched(b"one"))
    rig.fetch(rig.fetches[1], Fetched(b"two"))

    assert bodies(rig.take_client()) == [b"two"]


def test_a_channel_that_closes_while_a_body_is_fetched() -> None:
    """The broker has it back; a late answer of the store means nothing."""
    rig = Rig().open().consume()
    rig.broker_sends(deliver(1, "claim", b"1"), deliver(2, body=b"2"))

    rig.client_sends(Channel.Close(200, "", 0, 0))
    rig.broker_sends(Channel.CloseOk())
    assert not rig.relay.awaits(rig.fetches[0].ticket)
    rig.fetch(rig.fetches[0], Fetched(b"one"))

    assert rig.client_names() == ["Channel.CloseOk"]
    assert (rig.relay.held_bytes, rig.measures.held) == (0, 0)


def test_a_consumer_without_acknowledgement() -> None:
    """What it will not see any more is handed over: the broker has it no more."""
    rig = Rig().open().consume(no_ack=True)
    rig.broker_sends(deliver(1, "claim", b"1"), deliver(2, "claim", b"2"))
    rig.fetch(rig.fetches[0], Fetched(b"one"))
    assert bodies(rig.take_client()) == [b"one"]

    rig.client_sends(Channel.Close(200, "", 0, 0))

    assert [(one.dead_letter.reason, one.dead_letter.body) for one in rig.hand_overs] == [("undeliverable", b"2")]


# basic.get


def getting() -> Rig:
    """A get whose answer is a stub."""
    rig = Rig().open(confirms=True)
    rig.client_sends(Basic.Get(queue="q"))
    rig.broker_sends(get_ok(1, "claim", b"1"))
    rig.take_broker()
    return rig


def test_an_answer_to_get_waits_for_its_object() -> None:
    """What the broker sends on the channel meanwhile comes behind it: answers have an order."""
    rig = getting()
    rig.client_sends(publish("a"), Basic.Qos(prefetch_count=1))
    rig.broker_sends(Basic.Ack(delivery_tag=1), Basic.QosOk())
    assert not rig.take_client()

    rig.fetch(rig.fetches[0], Fetched(b"one"))

    seen = rig.take_client()
    assert [one.name for one in seen] == ["Basic.GetOk", "Basic.Ack", "Basic.QosOk"]
    assert bodies(seen) == [b"one"]
    rig.client_sends(Basic.Ack(delivery_tag=1))
    assert rig.broker_names() == ["Basic.Publish", "Basic.Qos", "Basic.Ack"]
    assert (rig.relay.held_bytes, rig.measures.held) == (0, 0)


def test_a_get_does_not_wait_for_a_store_that_is_away() -> None:
    """The message goes back to its queue, and the queue seems empty."""
    rig = getting()

    rig.fetch(rig.fetches[0], None)

    assert rig.broker_names() == ["Basic.Nack"]
    assert rig.client_names() == ["Basic.GetEmpty"]


def test_a_get_whose_object_is_missing() -> None:
    """It is handed over, and the next message is asked for."""
    rig = getting()

    rig.fetch(rig.fetches[0], Fetched(reason="claim_missing"))

    assert [one.dead_letter.reason for one in rig.hand_overs] == ["claim_missing"]
    assert rig.broker_names() == ["Basic.Get"]
    rig.broker_sends(Basic.GetEmpty())
    assert rig.client_names() == ["Basic.GetEmpty"]


def test_a_channel_that_closes_while_a_get_is_fetched() -> None:
    """By either side: the close does not wait for the store."""
    rig = getting()
    rig.broker_sends(Channel.Close(406, "x", 0, 0))
    assert (rig.client_names(), rig.broker_names()) == (["Channel.Close"], ["Channel.CloseOk"])

    other = getting()
    other.client_sends(Channel.Close(200, "", 0, 0))
    other.broker_sends(Channel.CloseOk())
    assert (other.client_names(), other.broker_names()) == (["Channel.CloseOk"], ["Channel.Close"])
    for one in (rig, other):
        one.fetch(one.fetches[0], Fetched(b"one"))
        assert not one.take_client()
        assert (one.relay.held_bytes, one.measures.held) == (0, 0)


def test_what_waits_behind_a_get_counts_as_held() -> None:
    """Every frame of the broker on that channel, until the answer is given: the broker is not read without a bound."""
    rig = Rig().open().consume()
    rig.client_sends(Basic.Get(queue="q"))
    rig.broker_sends(get_ok(1, "claim", b"1"))
    before = rig.relay.held_bytes
    behind = [deliver(tag, "good", bytes(5000)) for tag in (2, 3)]
    rig.broker_sends(*behind)
    assert rig.relay.held_bytes == before + sum(map(len, behind))
    assert rig.measures.held == 1, "frames are no deliveries yet"

    rig.fetch(rig.fetches[0], Fetched(b"object"))
    assert rig.relay.held_bytes == 0
    assert [seen.name for seen in rig.take_client()] == ["Basic.GetOk", "Basic.Deliver", "Basic.Deliver"]


def test_what_waits_behind_a_get_that_is_lost_is_not_counted_any_more() -> None:
    """Its channel closes meanwhile."""
    rig = getting()
    rig.broker_sends(Basic.Ack(delivery_tag=1))
    rig.client_sends(Channel.Close(200, "", 0, 0))
    assert rig.relay.held_bytes == 0
