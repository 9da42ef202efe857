"""Any bytes as frames, from either side: closes, never an exception, and no frame that its side did not agree to."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from letrade_agent.relay.effects import HandOver, Ticket
from pamqp.commands import Basic, Channel, Confirm, Connection, Exchange, Queue

from letrade_topo.amqp.frames import Frame, FrameDecoder
from letrade_topo.amqp.methods import TABLE
from tests.amqp.strategies import content_headers
from tests.examples_per_property import ordinary_examples

from .kit import Rig, content, deliver, get_ok, marshal, publish

_LEGAL = (
    Channel.Open(),
    Channel.OpenOk(),
    Channel.Close(200, "", 0, 0),
    Channel.CloseOk(),
    Channel.Flow(True),
    Confirm.Select(),
    Confirm.SelectOk(),
    Basic.Qos(0, 1, False),
    Basic.QosOk(),
    Basic.Consume(queue="q", consumer_tag="c"),
    Basic.ConsumeOk("c"),
    Basic.Cancel("c"),
    Basic.CancelOk("c"),
    Basic.Get(0, "q"),
    Basic.GetEmpty(),
    Basic.Ack(1, False),
    Basic.Ack(0, True),
    Basic.Nack(1, True, True),
    Basic.Reject(1, False),
    Basic.Recover(True),
    Queue.Declare(queue="q"),
    Queue.DeclareOk("q", 0, 0),
    Queue.Bind(queue="", exchange="ex"),
    Queue.BindOk(),
    Exchange.Delete(exchange="ex"),
    Exchange.DeleteOk(),
)
_CONTENTS = (
    publish("good", mandatory=True),
    publish("no.body"),
    publish("no.header", bytes(9000)),
    publish("no.seal"),
    *(deliver(tag, key) for tag in (1, 2) for key in ("good", "bad", "held", "repeated")),
    get_ok(1, "bad"),
    get_ok(2, "good"),
    content(Basic.Return(312, "NO_ROUTE", "ex", "k"), b"body"),
)


def _frames(data: bytes) -> list[Frame]:
    return FrameDecoder(131_072).feed(data)


_legal = st.sampled_from([_frames(marshal(one)) for one in _LEGAL] + [_frames(one) for one in _CONTENTS])
_on_channel_0 = st.sampled_from(
    [
        _frames(marshal(one, 0))
        for one in (
            Connection.Close(200, "", 0, 0),
            Connection.CloseOk(),
            Connection.Blocked("x"),
            Connection.Unblocked(),
        )
    ]
)
_indices = st.sampled_from([method.index for method in TABLE]) | st.binary(max_size=5)
_any = st.tuples(
    st.sampled_from((1, 1, 1, 2, 3)),
    st.sampled_from((0, 1, 1, 1, 2)),
    st.tuples(_indices, st.binary(max_size=40)).map(b"".join) | content_headers() | st.binary(max_size=60),
).map(lambda frame: [frame])
_huge = st.sampled_from([[(1, 1, method.index + bytes(9000))] for method in TABLE])
_piece = _legal | _legal | _legal | _on_channel_0 | _any | _huge
_steps = st.lists(
    st.tuples(
        st.sampled_from(("client", "client", "broker", "broker", "tick", "handed", "drain", "lost", "gone")), _piece
    ),
    max_size=25,
)


@settings(max_examples=3 * ordinary_examples())
@given(_steps, st.sampled_from((4_096, 131_072)), st.sampled_from((8_192, 131_072)), st.booleans())
def test_any_frames_give_closes_and_never_an_exception(
    steps: list[tuple[str, list[Frame]]], client_frame_max: int, upstream_frame_max: int, opened: bool
) -> None:
    """Whatever comes in, what goes out are frames of the agreed size; at the end nothing is counted as open."""
    rig = Rig(client_frame_max=client_frame_max, upstream_frame_max=upstream_frame_max)
    if opened:
        rig.open().consume()
    outputs = (FrameDecoder(client_frame_max - 8), FrameDecoder(upstream_frame_max - 8))
    relay = rig.relay
    tickets: list[Ticket] = []
    for what, frames in steps:
        match what:
            case "client":
                relay.from_client(frames)
            case "broker":
                relay.from_upstream(frames)
            case "tick":
                rig.clock += 1.0
                relay.tick()
            case "handed" if tickets:
                relay.handed_over(tickets.pop())
            case "drain" if len(steps) > 20:
                relay.shut_down("drain")
            case "lost" if len(steps) > 22:
                relay.upstream_gone("lost")
            case "gone" if len(steps) > 23:
                relay.client_gone()
            case _:
                pass
        tickets += [effect.ticket for effect in relay.take_effects() if isinstance(effect, HandOver)]
        for decoder, data in zip(outputs, (relay.take_to_client(), relay.take_to_upstream()), strict=True):
            decoder.feed(data)
            assert decoder.fault is None
            assert decoder.pending_bytes == 0

    relay.client_gone()
    relay.upstream_gone("the end")
    measures = rig.measures
    assert (measures.channels, measures.unsettled, measures.held, relay.held_bytes) == (0, 0, 0, 0)
    assert sum(measures.disconnects.values()) == 1
