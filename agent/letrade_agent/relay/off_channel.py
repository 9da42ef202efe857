"""Frames that are not on an open channel: channel 0, opening and closing, and what is thrown away."""

from __future__ import annotations

from typing import Final

from letrade_agent.amqp.basic import DELIVER, GET_OK, RETURN
from letrade_agent.amqp.channel import ChannelAction, ChannelInput, ChannelState, step
from letrade_agent.amqp.commands import parse_command
from letrade_agent.amqp.connection_commands import Blocked, ConnectionClose, UpdateSecretOk
from letrade_agent.amqp.faults import BrokerFault, ClientFault, ReplyCode, readable
from letrade_agent.amqp.frames import BODY, HEARTBEAT, METHOD
from letrade_agent.amqp.methods import BY_NAME, method_of

from .channel import OPEN, RelayedChannel, broker_input, client_input, unexpected
from .commands import from_broker, from_client
from .connection import Connection
from .effects import UpstreamBlocked
from .ending import CLOSE_OK_PAYLOAD, LegState

_CLOSE: Final = BY_NAME["connection.close"].index
_CLOSE_OK: Final = BY_NAME["connection.close-ok"].index
_UNBLOCKED: Final = BY_NAME["connection.unblocked"].index
_UPDATE_SECRET: Final = BY_NAME["connection.update-secret"].index
_CONNECTION_CLASS: Final = b"\x00\x0a"
_WITH_CONTENT: Final = frozenset((DELIVER, GET_OK, RETURN))


# The client's


def client_frame(connection: Connection, frame_type: int, number: int, payload: bytes) -> None:
    """A frame of the client on channel 0, or on a channel that is not open.

    Raises:
        AmqpFault: it has no place there.
    """
    if connection.ending.client is not LegState.OPEN or connection.ending.upstream is not LegState.OPEN:
        if number == 0 and frame_type == METHOD:
            _client_while_ending(connection, payload[:4], payload)
        return
    if number == 0:
        if frame_type != HEARTBEAT:
            connection.flush()
            _client_on_channel_0(connection, frame_type, payload)
        return
    channel = connection.channels.get(number)
    if channel is not None and channel.storing is not None:
        channel.storing.behind((frame_type, number, payload))
        return
    happened = ChannelInput.CLIENT_CONTENT
    if frame_type == METHOD:
        method = method_of(payload)
        happened = ChannelInput.CLIENT_CONTENT_METHOD if method.has_content else client_input(payload[:4])
        if happened is not ChannelInput.CLIENT_METHOD and not method.has_content:
            parse_command(payload)
    if channel is not None:
        channel.client_opens_or_closes(payload, happened)
        connection.remove_if_closed(channel)
        return
    connection.flush()
    state, action = step(ChannelState.CLOSED, happened)
    if action is ChannelAction.RELAY and payload[:4] == OPEN:
        connection.channels[number] = RelayedChannel(connection.session, number, state)
        connection.session.tell_upstream(number, payload)


def client_method(connection: Connection, channel: RelayedChannel, payload: bytes) -> None:
    """A method of the client on an open channel, but for publish and ack.

    Raises:
        AmqpFault: it has no place there.
    """
    if payload[:2] == _CONNECTION_CLASS:
        raise unexpected(payload, ClientFault, f"on channel {channel.number}; it belongs on channel 0")
    from_client(channel, payload)
    connection.remove_if_closed(channel)


def _client_on_channel_0(connection: Connection, frame_type: int, payload: bytes) -> None:
    index = payload[:4]
    if frame_type != METHOD:
        raise ClientFault(ReplyCode.UNEXPECTED_FRAME, "a content frame on channel 0")
    command = parse_command(payload)
    if index == _CLOSE and connection.session.storing:
        connection.waiting_close = payload
    elif index == _CLOSE:
        connection.ending.because("client_closed", _text_of(command))
        connection.ending.client = LegState.WAITING
        connection.end(payload)
    elif index == _UPDATE_SECRET:  # the agent logs in upstream as itself; what the client logs in with has no use
        connection.session.tell_client(0, UpdateSecretOk().encode())
    else:
        method = method_of(payload)
        text = f"'{method.name}' is not for a client to send on channel 0 of an open connection"
        raise ClientFault(ReplyCode.CHANNEL_ERROR, text, class_id=method.class_id, method_id=method.method_id)


def close_if_stored(connection: Connection) -> None:
    """The client has said close while what it published before was being stored: now that is done."""
    payload = connection.waiting_close
    if payload is not None and not connection.session.storing:
        connection.waiting_close = None
        client_frame(connection, METHOD, 0, payload)


def _client_while_ending(connection: Connection, index: bytes, payload: bytes) -> None:
    ending = connection.ending
    if index == _CLOSE_OK and ending.client is LegState.CLOSING:
        ending.client_closed()
    elif index == _CLOSE and ending.client is LegState.CLOSING:
        connection.session.tell_client(0, CLOSE_OK_PAYLOAD)
        ending.client_closed()


# The broker's


def broker_frame(connection: Connection, frame_type: int, number: int, payload: bytes) -> None:
    """A frame of the broker on channel 0, or on a channel that is not open.

    Raises:
        AmqpFault: it has no place there.
    """
    if number == 0:
        if frame_type != HEARTBEAT:
            _broker_on_channel_0(connection, frame_type, payload)
        return
    if connection.ending.cause and (
        connection.ending.client is not LegState.OPEN or connection.ending.upstream is not LegState.OPEN
    ):
        return
    channel = connection.channels.get(number)
    if channel is not None and channel.hear_later((frame_type, number, payload)):
        return
    happened = ChannelInput.BROKER_FRAME
    if frame_type == METHOD:
        method_of(payload)
        happened = broker_input(payload[:4])
    if channel is None:
        step(ChannelState.CLOSED, happened)
        return
    if channel.state is ChannelState.CLOSING_BY_CLIENT and happened is ChannelInput.BROKER_FRAME:
        _broker_while_client_closes(connection, channel, frame_type, payload)
        return
    if happened is not ChannelInput.BROKER_FRAME:
        parse_command(payload)
    channel.broker_opens_or_closes(payload, happened)
    connection.remove_if_closed(channel)


def _broker_while_client_closes(
    connection: Connection, channel: RelayedChannel, frame_type: int, payload: bytes
) -> None:
    """What was on its way still reaches the client, but for deliveries."""
    if frame_type == METHOD:
        broker_method(connection, channel, payload)
        return
    take = channel.assembler.body if frame_type == BODY else channel.assembler.header
    content = take(payload)
    if content is not None:
        channel.arrived(content)


def broker_method(connection: Connection, channel: RelayedChannel, payload: bytes) -> None:
    """A method of the broker on an open channel, but for deliver.

    Raises:
        AmqpFault: it has no place there.
    """
    if payload[:4] in _WITH_CONTENT:
        channel.assembler.method(payload, has_content=True)
        return
    from_broker(channel, payload)
    connection.remove_if_closed(channel)


def _broker_on_channel_0(connection: Connection, frame_type: int, payload: bytes) -> None:
    if frame_type != METHOD:
        raise BrokerFault(ReplyCode.UNEXPECTED_FRAME, "a content frame on channel 0")
    command = parse_command(payload)
    index = payload[:4]
    ending = connection.ending
    if index == _CLOSE:
        if ending.upstream is not LegState.CLOSED:
            ending.because("broker_closed", _text_of(command))
            ending.relay_close_to_client(payload)
            connection.session.tell_upstream(0, CLOSE_OK_PAYLOAD)
            connection.forget_channels()
            ending.upstream_closed()
    elif index == _CLOSE_OK and ending.upstream is LegState.CLOSING:
        ending.upstream_closed()
    elif isinstance(command, Blocked) or index == _UNBLOCKED:
        _blocked(connection, payload, command)
    elif ending.upstream is LegState.OPEN:
        raise unexpected(payload, BrokerFault, "is not for a broker to send on channel 0 of an open connection")


def _blocked(connection: Connection, payload: bytes, command: object) -> None:
    reason = readable(command.reason) if isinstance(command, Blocked) else ""
    connection.session.effects.append(UpstreamBlocked(isinstance(command, Blocked), reason))
    if b"connection.blocked" in connection.session.capabilities and connection.ending.client is LegState.OPEN:
        connection.session.tell_client(0, payload)


def _text_of(command: object) -> str:
    if not isinstance(command, ConnectionClose):
        return ""
    return f"{command.reply_code} {readable(command.reply_text)}"
