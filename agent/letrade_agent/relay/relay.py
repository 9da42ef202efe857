"""One relayed connection: frames of both sides in, bytes and effects out.

It begins when both legs are open (after connection.open-ok) and ends with the effect `Ended`. It knows no socket, no
task and no clock but those it is given; nothing in here waits. Any frames of either side give bytes, effects and
closes, never an exception.

    client ─frames→ from_client ─→ take_to_upstream ─bytes→ broker
    client ←bytes─ take_to_client ←─ from_upstream ←frames─ broker

Channels keep their numbers: what the client calls channel 7 is channel 7 upstream, and publisher and consumer of a
direct reply-to share it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from letrade_agent.amqp.basic import ACK, DELIVER, GET_OK, PUBLISH, RETURN
from letrade_agent.amqp.channel import ChannelAction, ChannelInput, ChannelState, step
from letrade_agent.amqp.commands import parse_command
from letrade_agent.amqp.connection_commands import Blocked, ConnectionClose, UpdateSecretOk
from letrade_agent.amqp.faults import AmqpFault, BrokerFault, ClientFault, ReplyCode, Scope, readable
from letrade_agent.amqp.frames import BODY, HEADER, HEARTBEAT, METHOD, Frame
from letrade_agent.amqp.methods import BY_NAME, method_of
from letrade_agent.filters.verdicts import Filters, Refusal
from letrade_agent.measures import Measures

from .channel import HAND_OVER_SECONDS, OPEN, RelayedChannel, broker_input, client_input, unexpected
from .commands import from_broker, from_client
from .effects import Effect, Ticket, UpstreamBlocked
from .ending import CLOSE_OK_PAYLOAD, Ending, Leg, agent_close
from .publishing import seal_and_send
from .session import Log, Session
from .snapshot import ConnectionSnapshot, ConsumerSnapshot

MAX_DELIVERY_BYTES: Final = 16 * 1024 * 1024
"""RabbitMQ's own default for the largest message since 4.0. A larger delivery would not be published today."""

DRAIN_SECONDS: Final = 2.0
"""How long the end of a drain waits for the broker's confirms."""

_CLOSE: Final = BY_NAME["connection.close"].index
_CLOSE_OK: Final = BY_NAME["connection.close-ok"].index
_BLOCKED: Final = BY_NAME["connection.blocked"].index
_UNBLOCKED: Final = BY_NAME["connection.unblocked"].index
_UPDATE_SECRET: Final = BY_NAME["connection.update-secret"].index
_CONNECTION_CLASS: Final = b"\x00\x0a"
_WITH_CONTENT: Final = frozenset((DELIVER, GET_OK, RETURN))


class Relay:
    """One relayed connection.

    Args:
        filters: those in force; what they hold may be exchanged at any time (then call `filters_changed`).
        measures: where to count.
        client_frame_max, upstream_frame_max: as tuned on each leg, in bytes; 0 for no limit.
        client_capabilities: names of the capabilities that the client says it has.
        now: seconds since the epoch.
        monotonic: seconds, for durations.
        log: takes level, event and details.
        max_delivery_bytes: a delivery with a larger body is not taken into memory: it is rejected, so that the
            broker moves it to its dead letters.
    """

    __slots__ = ("_channels", "_drain", "_ending", "_session")

    def __init__(
        self,
        filters: Filters,
        measures: Measures,
        *,
        client_frame_max: int,
        upstream_frame_max: int,
        client_capabilities: frozenset[bytes],
        now: Callable[[], float],
        monotonic: Callable[[], float],
        log: Log,
        max_delivery_bytes: int = MAX_DELIVERY_BYTES,
    ) -> None:
        self._session = Session(
            filters,
            measures,
            client_frame_max=client_frame_max,
            upstream_frame_max=upstream_frame_max,
            client_capabilities=client_capabilities,
            max_delivery_bytes=max_delivery_bytes,
            now=now,
            monotonic=monotonic,
            log=log,
        )
        self._ending = Ending(self._session)
        self._channels: dict[int, RelayedChannel] = {}
        self._drain: tuple[str, float] | None = None

    # What goes out

    def take_to_client(self) -> bytes:
        """What is to be written to the client; empty if nothing."""
        return _take(self._session.to_client)

    def take_to_upstream(self) -> bytes:
        """What is to be written to the broker; empty if nothing."""
        return _take(self._session.to_upstream)

    def take_effects(self) -> list[Effect]:
        """What is to be done, in order."""
        effects = self._session.effects
        self._session.effects = []
        return effects

    @property
    def held_bytes(self) -> int:
        """How much memory withheld deliveries take: kept ones, and those whose hand-over is not confirmed."""
        return self._session.held_bytes

    def snapshot(self) -> ConnectionSnapshot:
        """What the connection looks like now."""
        channels = self._channels.values()
        return ConnectionSnapshot(
            channels=len(channels),
            consumers=tuple(
                ConsumerSnapshot(channel.number, readable(consumer.tag), consumer.queue.text, consumer.no_ack)
                for channel in channels
                for consumer in channel.consumers.active
            ),
            unsettled=sum(channel.deliveries.ledger.visible for channel in channels),
            unconfirmed=sum(channel.publishing.confirms.unanswered for channel in channels),
            held=sum(channel.deliveries.ledger.held for channel in channels),
            held_bytes=self._session.held_bytes,
            closing=bool(self._ending.cause),
        )

    # What comes in

    def from_client(self, frames: Sequence[Frame]) -> None:
        """Frames of the client, in order."""
        session = self._session
        session.begin()
        known = self._channels.get
        for frame_type, number, payload in frames:
            try:
                channel = known(number)
                if channel is None or not channel.accepting:
                    self._client_elsewhere(frame_type, number, payload)
                elif frame_type == BODY:
                    content = channel.publishing.assembler.body(payload)
                    if content is not None:
                        channel.published(content)
                elif frame_type == HEADER:
                    content = channel.publishing.assembler.header(payload)
                    if content is not None:
                        channel.published(content)
                elif payload[:4] == PUBLISH:
                    channel.publishing.assembler.method(payload, has_content=True)
                elif payload[:4] == ACK:
                    channel.publishing.assembler.method(payload, has_content=False)
                    if session.decided:
                        seal_and_send(session)
                    if channel.accepting:
                        channel.deliveries.acknowledge(payload)
                else:
                    self._client_method(channel, payload)
            except AmqpFault as fault:
                self._fault_of_client(number, fault)
        self._flush()
        self._after()

    def from_upstream(self, frames: Sequence[Frame]) -> None:
        """Frames of the broker, in order."""
        self._session.begin()
        known = self._channels.get
        for frame_type, number, payload in frames:
            try:
                channel = known(number)
                if channel is None or not channel.hearing:
                    self._broker_elsewhere(frame_type, number, payload)
                elif frame_type == BODY:
                    content = channel.assembler.body(payload)
                    if content is not None:
                        channel.arrived(content)
                elif frame_type == HEADER:
                    content = channel.assembler.header(payload)
                    if content is not None:
                        channel.arrived(content)
                elif payload[:4] == DELIVER:
                    channel.assembler.method(payload, has_content=True)
                else:
                    self._broker_method(channel, payload)
            except AmqpFault as fault:
                self._fault_of_broker(fault)
        self._after()

    def tick(self) -> None:
        """Once a second: kept deliveries are examined again, closes do not wait for ever."""
        self._session.begin()
        self._examine_again()
        for channel in tuple(self._channels.values()):
            channel.close_if_handed_over()
        self._after()

    def filters_changed(self) -> None:
        """Keys or topology are new: what is kept may be good now."""
        self._session.begin()
        self._examine_again()
        self._after()

    def handed_over(self, ticket: Ticket) -> None:
        """The broker has confirmed the dead letter: acknowledge the delivery, if its channel is still that one."""
        self._session.begin()
        self._session.hand_over_ends(ticket)
        channel = self._channels.get(ticket.channel)
        if channel is not None and channel.opening == ticket.opening and ticket.upstream_tag is not None:
            channel.handed_over(ticket.upstream_tag)
        self._after()

    def client_gone(self, cause: str = "client_closed", text: str = "the client is gone") -> None:
        """The client's socket is closed.

        Args:
            cause: the label to count it under, if nothing else has ended the connection before.
            text: for the log.
        """
        self._session.begin()
        self._ending.because(cause, text)
        self._ending.client_closed()
        self._end(agent_close(text))

    def upstream_gone(self, text: str) -> None:
        """The broker's socket is closed: the client is told, and nothing is told upstream any more."""
        self._session.begin()
        self._ending.because("broker_closed", text)
        self._ending.close_client(ClientFault(ReplyCode.CONNECTION_FORCED, f"the agent lost the broker: {text}"))
        self._forget_channels()
        self._ending.upstream_closed()
        self._after()

    def shut_down(self, text: str) -> None:
        """The agent ends the connection. Publishes that are unconfirmed get their answer, for up to two seconds."""
        self._session.begin()
        if self._drain is None and not self._ending.cause:
            self._drain = (text, self._session.started + DRAIN_SECONDS)
            self._session.refusing = Refusal(ReplyCode.CONNECTION_FORCED, "drain", text)
        self._after()

    # The client's frames that are not on an open channel

    def _client_elsewhere(self, frame_type: int, number: int, payload: bytes) -> None:
        if self._ending.client is not Leg.OPEN or self._ending.upstream is not Leg.OPEN:
            if number == 0 and frame_type == METHOD:
                self._client_while_ending(payload[:4], payload)
            return
        if number == 0:
            if frame_type != HEARTBEAT:
                self._flush()
                self._client_on_channel_0(frame_type, payload)
            return
        happened = ChannelInput.CLIENT_CONTENT
        if frame_type == METHOD:
            method = method_of(payload)
            happened = ChannelInput.CLIENT_CONTENT_METHOD if method.has_content else client_input(payload[:4])
            if happened is not ChannelInput.CLIENT_METHOD and not method.has_content:
                parse_command(payload)
        channel = self._channels.get(number)
        if channel is not None:
            channel.client_opens_or_closes(payload, happened)
            self._remove_if_closed(channel)
            return
        self._flush()
        state, action = step(ChannelState.CLOSED, happened)
        if action is ChannelAction.RELAY and payload[:4] == OPEN:
            self._channels[number] = RelayedChannel(self._session, number, state)
            self._session.tell_upstream(number, payload)

    def _client_method(self, channel: RelayedChannel, payload: bytes) -> None:
        if payload[:2] == _CONNECTION_CLASS:
            raise unexpected(payload, ClientFault, f"on channel {channel.number}; it belongs on channel 0")
        from_client(channel, payload)
        self._remove_if_closed(channel)

    def _client_on_channel_0(self, frame_type: int, payload: bytes) -> None:
        index = payload[:4]
        if frame_type != METHOD:
            raise ClientFault(ReplyCode.UNEXPECTED_FRAME, "a content frame on channel 0")
        command = parse_command(payload)
        if index == _CLOSE:
            self._ending.because("client_closed", _text_of(command))
            self._ending.client = Leg.WAITING
            self._end(payload)
        elif index == _UPDATE_SECRET:  # the agent logs in upstream as itself; what the client logs in with has no use
            self._session.tell_client(0, UpdateSecretOk().encode())
        else:
            method = method_of(payload)
            text = f"'{method.name}' is not for a client to send on channel 0 of an open connection"
            raise ClientFault(ReplyCode.CHANNEL_ERROR, text, class_id=method.class_id, method_id=method.method_id)

    def _client_while_ending(self, index: bytes, payload: bytes) -> None:
        ending = self._ending
        if index == _CLOSE_OK and ending.client is Leg.CLOSING:
            ending.client_closed()
        elif index == _CLOSE and ending.client is Leg.CLOSING:
            self._session.tell_client(0, CLOSE_OK_PAYLOAD)
            ending.client_closed()

    # The broker's frames that are not on an open channel

    def _broker_elsewhere(self, frame_type: int, number: int, payload: bytes) -> None:
        if number == 0:
            if frame_type != HEARTBEAT:
                self._broker_on_channel_0(frame_type, payload)
            return
        if self._ending.cause and (self._ending.client is not Leg.OPEN or self._ending.upstream is not Leg.OPEN):
            return
        channel = self._channels.get(number)
        happened = ChannelInput.BROKER_FRAME
        if frame_type == METHOD:
            method_of(payload)
            happened = broker_input(payload[:4])
        if channel is None:
            step(ChannelState.CLOSED, happened)
            return
        if channel.state is ChannelState.CLOSING_BY_CLIENT and happened is ChannelInput.BROKER_FRAME:
            self._broker_while_client_closes(channel, frame_type, payload)
            return
        if happened is not ChannelInput.BROKER_FRAME:
            parse_command(payload)
        channel.broker_opens_or_closes(payload, happened)
        self._remove_if_closed(channel)

    def _broker_while_client_closes(self, channel: RelayedChannel, frame_type: int, payload: bytes) -> None:
        """What was on its way still reaches the client, but for deliveries."""
        if frame_type == METHOD:
            self._broker_method(channel, payload)
            return
        take = channel.assembler.body if frame_type == BODY else channel.assembler.header
        content = take(payload)
        if content is not None:
            channel.arrived(content)

    def _broker_method(self, channel: RelayedChannel, payload: bytes) -> None:
        if payload[:4] in _WITH_CONTENT:
            channel.assembler.method(payload, has_content=True)
            return
        from_broker(channel, payload)
        self._remove_if_closed(channel)

    def _broker_on_channel_0(self, frame_type: int, payload: bytes) -> None:
        if frame_type != METHOD:
            raise BrokerFault(ReplyCode.UNEXPECTED_FRAME, "a content frame on channel 0")
        command = parse_command(payload)
        index = payload[:4]
        ending = self._ending
        if index == _CLOSE:
            if ending.upstream is not Leg.CLOSED:
                ending.because("broker_closed", _text_of(command))
                ending.relay_close_to_client(payload)
                self._session.tell_upstream(0, CLOSE_OK_PAYLOAD)
                self._forget_channels()
                ending.upstream_closed()
        elif index == _CLOSE_OK and ending.upstream is Leg.CLOSING:
            ending.upstream_closed()
        elif isinstance(command, Blocked) or index == _UNBLOCKED:
            self._blocked(payload, command)
        elif ending.upstream is Leg.OPEN:
            raise unexpected(payload, BrokerFault, "is not for a broker to send on channel 0 of an open connection")

    def _blocked(self, payload: bytes, command: object) -> None:
        reason = readable(command.reason) if isinstance(command, Blocked) else ""
        self._session.effects.append(UpstreamBlocked(isinstance(command, Blocked), reason))
        if b"connection.blocked" in self._session.capabilities and self._ending.client is Leg.OPEN:
            self._session.tell_client(0, payload)

    # Channels

    def _remove_if_closed(self, channel: RelayedChannel) -> None:
        number = channel.number
        if self._channels.get(number) is not channel:
            return
        if channel.state is ChannelState.CLOSED:
            channel.leave()
            del self._channels[number]
        elif channel.state is ChannelState.OPENING and channel.held_open is not None:
            channel.leave()  # the broker's close-ok has come: the open that waited for it begins another channel
            self._channels[number] = RelayedChannel(self._session, number, ChannelState.OPENING)
            self._session.tell_upstream(number, channel.held_open)

    def _examine_again(self) -> None:
        if not self._ending.cause:
            for channel in self._channels.values():
                if channel.accepting:
                    channel.deliveries.examine_again()

    def _forget_channels(self) -> None:
        for channel in self._channels.values():
            channel.leave()
        self._channels.clear()

    # Faults and the end

    def _flush(self) -> None:
        if self._session.decided:
            try:
                seal_and_send(self._session)
            except AmqpFault as fault:
                self._fault_of_client(0, fault)

    def _fault_of_client(self, number: int, fault: AmqpFault) -> None:
        """What the client did wrong ends its channel or the connection; what it sent before is carried out first."""
        self._flush()
        if isinstance(fault, BrokerFault):
            self._fault_of_broker(fault)
            return
        channel = self._channels.get(number)
        if fault.scope is Scope.CHANNEL and channel is not None:
            channel.close(_client_fault(fault))
            return
        self._log_fault("client_fault", fault)
        self._ending.because("protocol_error", str(fault))
        self._ending.close_client(fault)
        self._end(agent_close(f"the agent closed it towards its client: {fault}"))

    def _fault_of_broker(self, fault: AmqpFault) -> None:
        """What the broker did wrong ends the connection: going on would be guessing."""
        if isinstance(fault, ClientFault):
            self._fault_of_client(0, fault)
            return
        self._log_fault("broker_fault", fault)
        self._ending.because("internal_error", str(fault))
        text = f"the agent does not understand the broker: {fault.text}"
        self._ending.close_client(ClientFault(ReplyCode.INTERNAL_ERROR, text))
        self._end(agent_close(f"the agent does not understand this broker: {fault}"))

    def _log_fault(self, event: str, fault: AmqpFault) -> None:
        if not self._ending.cause:
            self._session.log("error", event, {"code": int(fault.code), "text": fault.text})

    def _end(self, upstream_close: bytes) -> None:
        """The connection ends: nothing more is relayed, and the broker's leg closes when hand-overs are done."""
        for channel in self._channels.values():
            channel.accepting = channel.hearing = False
            channel.deliveries.stop()
        self._ending.hold_upstream_close(upstream_close, HAND_OVER_SECONDS)
        self._after()

    def _after(self) -> None:
        """The end of every call: closes that waited, and the end of the connection."""
        session = self._session
        ending = self._ending
        if session.published or session.shown:
            session.end()
        if self._drain is not None:
            self._drain_further(*self._drain)
        if ending.held_close is not None:
            handing = any(channel.deliveries.handing for channel in self._channels.values())
            if not handing or session.started >= ending.wait_until:
                ending.send_upstream_close()
                self._forget_channels()
        if ending.cause and ending.finish():
            self._forget_channels()
            session.forget_hand_overs()

    def _drain_further(self, text: str, until: float) -> None:
        unconfirmed = any(channel.publishing.confirms.unanswered for channel in self._channels.values())
        if unconfirmed and self._session.started < until and not self._ending.cause:
            return
        self._drain = None
        self._ending.because("drain", text)
        self._ending.close_client(ClientFault(ReplyCode.CONNECTION_FORCED, text))
        self._end(agent_close(text))


def _take(pieces: list[bytes]) -> bytes:
    if not pieces:
        return b""
    data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    pieces.clear()
    return data


def _text_of(command: object) -> str:
    if not isinstance(command, ConnectionClose):
        return ""
    return f"{command.reply_code} {readable(command.reply_text)}"


def _client_fault(fault: AmqpFault) -> ClientFault:
    if isinstance(fault, ClientFault):
        return fault
    return ClientFault(fault.code, fault.text, class_id=fault.class_id, method_id=fault.method_id, scope=fault.scope)
