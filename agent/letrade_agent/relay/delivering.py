"""The way of what a broker sends, from top to bottom: frames, rows, proofs, what the client sees.

    frames ─take→ rows ─prove→ ordinary ─no repeat→ shown
                        ╲ everything else, one by one: `Deliveries.deliver`

Theory of operation. A delivery that came whole is a row of its read; a read is worked on to its end, or to the
broker's next other frame. Then the ordinary ones of all rows are proven at once (see
`letrade_agent.filters.ordinary_deliveries`) and shown one after the other, each in its place among those that have to
be examined. A delivery in pieces is examined when its last frame has come.

Everything else that a broker sends leaves here by the side: methods for `letrade_agent.relay.answers`, frames of
channel 0, and those on channels that are not open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, TypeAlias

from letrade_agent.amqp.channel import ChannelInput
from letrade_agent.filters.decisions import Refusal
from letrade_agent.filters.verdicts import Arrived, Delivery
from letrade_topo.amqp.basic import DELIVER, GET_OK, RETURN, parse_deliver
from letrade_topo.amqp.commands import parse_command
from letrade_topo.amqp.content import Content, is_whole
from letrade_topo.amqp.faults import AmqpFault
from letrade_topo.amqp.frames import BODY, HEADER, METHOD, Frame
from letrade_topo.amqp.methods import method_of
from letrade_topo.amqp.properties import ContentHeader

from . import channel_zero
from .answers import carry_out
from .channel import RelayedChannel
from .connection import RelayedConnection
from .ending import LegState
from .inputs import broker_input
from .requests import Consumer

Row: TypeAlias = tuple[RelayedChannel, bytes, bytes, bytes]
"""A delivery that waits for the end of its read: channel, payloads of method and content header, body."""

_WITH_CONTENT: Final = frozenset((DELIVER, GET_OK, RETURN))

_SHORTEST: Final = 16
"""Bytes of a deliver without any names."""

_NAMES_AT: Final = 9
"""Where exchange and routing key stand in a deliver, behind the consumer tag: after delivery tag and bits."""

_new: Final = tuple.__new__


def take(connection: RelayedConnection, frames: Sequence[Frame]) -> None:
    """Frames of the broker, in order."""
    known, largest = connection.channels.get, connection.session.filters.inbound.largest_body
    rows: list[Row] = []
    count, place = len(frames), 0
    while place < count:
        frame_type, number, payload = frames[place]
        place += 1
        try:
            channel = known(number)
            if channel is not None and channel.hearing and frame_type == METHOD and payload[:4] == DELIVER:
                if place + 1 < count and channel.assembler.is_idle:
                    (kind, at, header), (last_kind, last_at, body) = frames[place], frames[place + 1]
                    if (
                        kind == HEADER
                        and last_kind == BODY
                        and at == number == last_at
                        and is_whole(header, body)
                        and len(body) <= largest
                    ):
                        rows.append((channel, payload, header, body))
                        place += 2
                        continue
                channel.assembler.method(payload, has_content=True)
                continue
            content: Content[Refusal] | None = None
            if channel is not None and channel.hearing and frame_type != METHOD:
                assembler = channel.assembler
                content = assembler.body(payload) if frame_type == BODY else assembler.header(payload)
                if content is None:
                    continue
                method, whole_header, whole_body, refusal = content
                if refusal is None and method[:4] == DELIVER:  # in pieces, as at the end of a read
                    rows.append((channel, method, whole_header.payload, whole_body))
                    continue
            if rows:
                _show(connection, rows)
            if channel is None or not channel.hearing:
                _take_elsewhere(connection, frame_type, number, payload)
            elif content is not None:
                _arrived(channel, content)
            else:
                _take_method(connection, channel, payload)
        except AmqpFault as fault:
            if rows:
                _show(connection, rows)
            connection.fault_of_broker(fault)
    if rows:
        _show(connection, rows)


# Deliveries


def _show(connection: RelayedConnection, rows: list[Row]) -> None:
    """Carry out the deliveries so far, in order, and take them out of `rows`."""
    session = connection.session
    batch: list[Arrived] = []
    consumers: list[Consumer] = []
    fault: AmqpFault | None = None
    try:
        for channel, method, header, body in rows:
            if len(method) < _SHORTEST:
                parse_deliver(method)  # says what is wrong with it
            names_at = 5 + method[4]
            consumers.append(channel.consumers.of(method[5:names_at], channel.requests))
            batch.append((consumers[-1].queue.text, method[names_at + _NAMES_AT :], header, body))
    except AmqpFault as found:
        fault = found  # of this one; those before it are shown
    session.measures.sizes["deliver"].observe_all([len(row[3]) for row in batch])
    shown: defaultdict[str, int] = defaultdict(int)
    proofs = session.filters.inbound.prove(batch, session.epoch)
    try:
        for (channel, method, header, body), consumer, proven in zip(rows, consumers, proofs, strict=False):
            if not channel.accepting:
                continue
            if proven is not None and channel.deliveries.proven(method, consumer, proven, body):
                consumer.last = session.started
                shown[proven.shown.queue_label] += 1
                continue
            _examine(channel, method, consumer, ContentHeader.parse(header), body)
    except AmqpFault as found:
        fault = found
    rows.clear()
    for label, count in shown.items():
        session.measures.messages["deliver", label, "forwarded"] += count
        session.shown += count
    if fault is not None:
        connection.fault_of_broker(fault)


def _examine(channel: RelayedChannel, method: bytes, consumer: Consumer, header: ContentHeader, body: bytes) -> None:
    """A delivery that is not ordinary, or came in pieces.

    Raises:
        AmqpFault: it is malformed, or its tag does not rise.
    """
    deliver = parse_deliver(method)
    session = channel.session
    row = (consumer.queue.text, deliver[3], deliver[4], deliver[2], header, body, session.number_delivery())
    consumer.last = session.started
    channel.deliveries.deliver(method, deliver, consumer, _new(Delivery, row))


def _arrived(channel: RelayedChannel, content: Content[Refusal]) -> None:
    """The last frame of a content has come, that is no delivery, or one that is too large.

    Raises:
        AmqpFault: it has no place here.
    """
    method, header, _, _ = content
    index = method[:4]
    if index == GET_OK:
        channel.got(content)
    elif index == RETURN:
        channel.publishes.returned(content)
    elif channel.accepting:
        deliver = parse_deliver(method)
        consumer = channel.consumers.of(deliver[0], channel.requests)
        queue = consumer.queue.text
        channel.outcomes.oversized(deliver.delivery_tag, queue, header.body_size, consumer.no_ack)


# Everything else


def _take_method(connection: RelayedConnection, channel: RelayedChannel, payload: bytes) -> None:
    """A method on an open channel, but for deliver.

    Raises:
        AmqpFault: it has no place there.
    """
    if payload[:4] in _WITH_CONTENT:
        channel.assembler.method(payload, has_content=True)
        return
    carry_out(channel, payload)
    connection.remove_if_closed(channel)


def _take_elsewhere(connection: RelayedConnection, frame_type: int, number: int, payload: bytes) -> None:
    """A frame on channel 0, or on a channel that is not open, or waits.

    Raises:
        AmqpFault: it has no place there.
    """
    if number == 0:
        channel_zero.take_from_upstream(connection, frame_type, payload)
        return
    if connection.ending.cause and (
        connection.ending.client is not LegState.OPEN or connection.ending.upstream is not LegState.OPEN
    ):
        return
    channel = connection.channels.get(number)
    if channel is not None and channel.hear_later((frame_type, number, payload)):
        return
    happened = broker_input(frame_type, payload)
    if frame_type == METHOD:
        method_of(payload)
        if happened is not ChannelInput.BROKER_FRAME:
            parse_command(payload)
    connection.happens(number, happened, frame_type, payload)
