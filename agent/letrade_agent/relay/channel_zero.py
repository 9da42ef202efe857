"""Channel 0: what either side says about the whole connection."""

from __future__ import annotations

from typing import Final

from letrade_topo.amqp.commands import parse_command
from letrade_topo.amqp.connection_commands import Blocked, ConnectionClose, UpdateSecretOk
from letrade_topo.amqp.faults import BrokerFault, ClientFault, ReplyCode, readable
from letrade_topo.amqp.frames import HEARTBEAT, METHOD
from letrade_topo.amqp.methods import BY_NAME, method_of

from .connection import RelayedConnection
from .effects import UpstreamBlocked
from .ending import CLOSE_OK_PAYLOAD, LegState
from .inputs import unexpected

_CLOSE: Final = BY_NAME["connection.close"].index
_CLOSE_OK: Final = BY_NAME["connection.close-ok"].index
_UNBLOCKED: Final = BY_NAME["connection.unblocked"].index
_UPDATE_SECRET: Final = BY_NAME["connection.update-secret"].index


def take_from_client(connection: RelayedConnection, frame_type: int, payload: bytes) -> None:
    """A frame of the client on channel 0, while nothing has ended.

    Raises:
        AmqpFault: it has no place there.
    """
    if frame_type == HEARTBEAT:
        return
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


def take_from_ending_client(connection: RelayedConnection, payload: bytes) -> None:
    """A method of the client on channel 0, when the connection is on its way to its end."""
    ending, index = connection.ending, payload[:4]
    if index == _CLOSE_OK and ending.client is LegState.CLOSING:
        ending.client_closed()
    elif index == _CLOSE and ending.client is LegState.CLOSING:
        connection.session.tell_client(0, CLOSE_OK_PAYLOAD)
        ending.client_closed()


def take_from_upstream(connection: RelayedConnection, frame_type: int, payload: bytes) -> None:
    """A frame of the broker on channel 0.

    Raises:
        AmqpFault: it has no place there.
    """
    if frame_type == HEARTBEAT:
        return
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


def _blocked(connection: RelayedConnection, payload: bytes, command: object) -> None:
    reason = readable(command.reason) if isinstance(command, Blocked) else ""
    connection.session.effects.append(UpstreamBlocked(isinstance(command, Blocked), reason))
    if b"connection.blocked" in connection.session.capabilities and connection.ending.client is LegState.OPEN:
        connection.session.tell_client(0, payload)


def _text_of(command: object) -> str:
    if not isinstance(command, ConnectionClose):
        return ""
    return f"{command.reply_code} {readable(command.reply_text)}"
