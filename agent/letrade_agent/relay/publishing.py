"""The way of what a client sends, from top to bottom: frames, rows, decisions, signatures, bytes for the broker.

    frames ─take→ rows ─decide→ decided ─seal→ headers ─splice→ one write upstream
                        ╲ refused, to be stored

Theory of operation. A publish that came whole is a row of its read at once, one in pieces when its last frame has
come; a read is worked on to its end, or to the client's next other method. Then all rows are decided, those that may
go are sealed at once, and everything is carried out in the order of the client: written upstream, or refused. Hence no
method overtakes a publish, and a refusal has its number between its neighbours'. A row whose body has to be stored
leaves, and what is behind it on its channel (see `letrade_agent.relay.waiting`); it comes back by `stored`.

Everything else that a client sends leaves here by the side: methods for `letrade_agent.relay.commands`, frames of
channel 0, and those on channels that are not open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Final, TypeAlias

from letrade_agent.amqp.channel import ChannelInput
from letrade_agent.filters.decisions import SEALABLE, SETTLED, Approved, Decision, Refusal, Sealable, ToStore, Whole
from letrade_agent.filters.words import Word
from letrade_topo.amqp.basic import ACK, PUBLISH
from letrade_topo.amqp.commands import parse_command
from letrade_topo.amqp.content import Content, is_whole
from letrade_topo.amqp.faults import AmqpFault, ClientFault, ReplyCode
from letrade_topo.amqp.frames import BODY, HEADER, METHOD, Frame, encode_content
from letrade_topo.amqp.methods import method_of
from letrade_topo.amqp.properties import ContentHeader

from . import channel_zero
from .channel import RelayedChannel
from .commands import carry_out
from .connection import RelayedConnection
from .effects import Opening
from .ending import LegState
from .inputs import client_input, unexpected

Row: TypeAlias = tuple[RelayedChannel, Whole, Decision | None]
"""A publish that waits for the end of its read, where all are decided (None: not yet) and sealed at once."""

_CONNECTION_CLASS: Final = b"\x00\x0a"


def take(connection: RelayedConnection, frames: Sequence[Frame]) -> None:
    """Frames of the client, in order."""
    known = connection.channels.get
    rows: list[Row] = []
    count, place = len(frames), 0
    while place < count:
        frame_type, number, payload = frames[place]
        place += 1
        try:
            channel = known(number)
            if channel is None or not channel.taking:
                if rows and (channel is None or not channel.accepting):  # what only waits may wait behind them
                    _publish(connection, rows)
                _take_elsewhere(connection, frame_type, number, payload)
            elif frame_type == BODY:
                content = channel.publishes.assembler.body(payload)
                if content is not None:
                    rows.append(_row(channel, content))
            elif frame_type == HEADER:
                content = channel.publishes.assembler.header(payload)
                if content is not None:
                    rows.append(_row(channel, content))
            elif payload[:4] == PUBLISH:
                if place + 1 < count and channel.publishes.assembler.is_idle:
                    (kind, at, header), (last_kind, last_at, body) = frames[place], frames[place + 1]
                    if kind == HEADER and last_kind == BODY and at == number == last_at and is_whole(header, body):
                        rows.append((channel, (payload, header, body), None))
                        place += 2
                        continue
                channel.publishes.assembler.method(payload, has_content=True)
            else:
                if rows:
                    _publish(connection, rows)
                if not channel.taking:  # a refusal has just closed it
                    _take_elsewhere(connection, frame_type, number, payload)
                    continue
                channel.publishes.assembler.method(payload, has_content=False)
                if payload[:4] == ACK:
                    channel.settlements.acknowledge(payload)
                else:
                    _take_method(connection, channel, payload)
        except AmqpFault as fault:
            if rows:
                _publish(connection, rows)
            connection.fault_of_client(number, fault)
    if rows:
        _publish(connection, rows)


def _row(channel: RelayedChannel, content: Content[Refusal]) -> Row:
    return channel, (content.method, content.header.payload, content.body), content.refusal


# Publishes


def stored(connection: RelayedConnection, opening: Opening, decide: Callable[[ToStore], Approved | Refusal]) -> None:
    """A body is in the store, or cannot be: its publish goes on, and those of its read that are behind it."""
    channel = connection.channel_of(opening)
    if channel is not None:
        rows: list[Row] = [(channel, whole, decision) for whole, decision in channel.stored(decide)]
        if rows:
            _publish(connection, rows)


def _publish(connection: RelayedConnection, rows: list[Row]) -> None:
    """Carry out the publishes so far, and take them out of `rows`."""
    settled, stores, fault = _decide(connection, rows)
    rows.clear()
    session = connection.session
    sealable = [row[2] for row in settled if isinstance(row[2], SEALABLE)]
    sealed = iter(session.filters.outbound.seal(sealable, session.epoch) if sealable else ())
    room, frame_max, started = session.upstream_room, session.upstream_frame_max, session.started
    write, tracer = session.to_upstream.append, session.tracer
    forwarded: defaultdict[str, int] = defaultdict(int)
    try:
        for channel, whole, decision in settled:
            if isinstance(decision, SEALABLE):
                header = next(sealed)
                if isinstance(header, bytes):
                    if len(header) <= room:
                        if channel.accepting:
                            channel.publishes.sent(started)
                            write(encode_content(channel.number, whole[0], header, decision.body, frame_max))
                            forwarded[decision.destination] += 1
                            if tracer is not None:
                                tracer.publish(whole[0], header, len(decision.body))
                        continue
                    header = _too_large(len(header), frame_max)
                refusal = header._replace(destination=decision.destination)
            else:
                refusal = decision
            if channel.accepting:  # else an earlier refusal of this very read has closed the channel
                if tracer is not None:
                    tracer.publish(whole[0], whole[1], len(whole[2]), refusal.reason)
                _refuse(channel, whole, refusal)
    except AmqpFault as found:  # one that is refused and malformed; what came before it has been carried out
        fault = found
    for channel in stores:
        channel.send_to_store()
    session.measures.sizes["publish"].observe_all([int.from_bytes(whole[1][4:12], "big") for _, whole, _ in settled])
    for destination, count in forwarded.items():
        session.measures.messages["publish", destination, "forwarded"] += count
        session.published += count
    if fault is not None:
        connection.fault_of_client(0, fault)


def _decide(
    connection: RelayedConnection, rows: Sequence[Row]
) -> tuple[Sequence[tuple[RelayedChannel, Whole, Sealable | Refusal]], Sequence[RelayedChannel], AmqpFault | None]:
    """What becomes of each publish, up to the first that is malformed; channels with one to store; that first's fault.

    One that goes to the object store first is taken out, and what comes behind it on its channel. It goes there when
    the others have been carried out: a refusal of one before it may close the channel.
    """
    session = connection.session
    undecided = [row[1] for row in rows if row[2] is None]
    decisions: Iterator[Decision] = iter(())
    if undecided:
        refusing = session.refusing
        found = session.filters.outbound.decide(undecided, session.epoch) if refusing is None else repeat(refusing)
        decisions = iter(found)
    result: list[tuple[RelayedChannel, Whole, Sealable | Refusal]] = []
    stores: list[RelayedChannel] = []
    for channel, whole, decided in rows:
        decision = next(decisions) if decided is None else decided
        if channel.storing is not None:
            channel.storing.publish_behind(whole, decided)
        elif isinstance(decision, SETTLED):
            result.append((channel, whole, decision))
        elif isinstance(decision, ToStore):
            channel.store(whole, decision)
            stores.append(channel)
        else:
            return result, stores, decision
    return result, stores, None


def _refuse(channel: RelayedChannel, whole: Whole, refusal: Refusal) -> None:
    method, header, body = whole
    fault = channel.publishes.refuse(Content(method, ContentHeader.parse(header), body, refusal), refusal)
    if fault is not None and channel.session.refusing is None:
        channel.close(fault)


def _too_large(size: int, frame_max: int) -> Refusal:
    text = f"content header of {size} bytes with its signature does not fit into a frame of {frame_max}"
    return Refusal(ReplyCode.PRECONDITION_FAILED, Word.FRAME_SIZE, text)


# Everything else


def _take_method(connection: RelayedConnection, channel: RelayedChannel, payload: bytes) -> None:
    """A method on an open channel, but for publish and ack.

    Raises:
        AmqpFault: it has no place there.
    """
    if payload[:2] == _CONNECTION_CLASS:
        raise unexpected(payload, ClientFault, f"on channel {channel.number}; it belongs on channel 0")
    carry_out(channel, payload)
    connection.remove_if_closed(channel)


def _take_elsewhere(connection: RelayedConnection, frame_type: int, number: int, payload: bytes) -> None:
    """A frame on channel 0, or on a channel that is not open, or waits.

    Raises:
        AmqpFault: it has no place there.
    """
    if connection.ending.client is not LegState.OPEN or connection.ending.upstream is not LegState.OPEN:
        if number == 0 and frame_type == METHOD:
            channel_zero.take_from_ending_client(connection, payload)
        return
    if number == 0:
        channel_zero.take_from_client(connection, frame_type, payload)
        return
    channel = connection.channels.get(number)
    if channel is not None and channel.storing is not None:
        channel.storing.behind((frame_type, number, payload))
        return
    happened = client_input(frame_type, payload)
    if frame_type == METHOD and (channel is None or channel.reopening is None):  # what is held is read when taken up
        method_of(payload)
        if happened is not ChannelInput.CLIENT_FRAME:
            parse_command(payload)
    connection.happens(number, happened, frame_type, payload)


def close_if_stored(connection: RelayedConnection) -> None:
    """The client has said close while what it published before was being stored: now that is done."""
    payload = connection.waiting_close
    if payload is not None and not connection.session.storing:
        connection.waiting_close = None
        take(connection, [(METHOD, 0, payload)])
