"""Which input of the channel's table a frame is (`letrade_agent.amqp.channel`), and the fault of one that is none."""

from __future__ import annotations

from typing import Final

from letrade_agent.amqp.channel import ChannelInput
from letrade_topo.amqp.faults import BrokerFault, ClientFault, ReplyCode
from letrade_topo.amqp.frames import METHOD
from letrade_topo.amqp.methods import BY_NAME, method_of

_OPEN: Final = BY_NAME["channel.open"].index
_OPEN_OK: Final = BY_NAME["channel.open-ok"].index
_CLOSE: Final = BY_NAME["channel.close"].index
_CLOSE_OK: Final = BY_NAME["channel.close-ok"].index

_CLIENT_INPUTS: Final = {
    _OPEN: ChannelInput.CLIENT_OPEN,
    _CLOSE: ChannelInput.CLIENT_CLOSE,
    _CLOSE_OK: ChannelInput.CLIENT_CLOSE_OK,
}
_BROKER_INPUTS: Final = {
    _OPEN_OK: ChannelInput.BROKER_OPEN_OK,
    _CLOSE: ChannelInput.BROKER_CLOSE,
    _CLOSE_OK: ChannelInput.BROKER_CLOSE_OK,
}


def client_input(frame_type: int, payload: bytes) -> ChannelInput:
    """Which input a frame of the client is."""
    found = _CLIENT_INPUTS.get(payload[:4]) if frame_type == METHOD else None
    return found or ChannelInput.CLIENT_FRAME


def broker_input(frame_type: int, payload: bytes) -> ChannelInput:
    """Which input a frame of the broker is."""
    found = _BROKER_INPUTS.get(payload[:4]) if frame_type == METHOD else None
    return found or ChannelInput.BROKER_FRAME


def unexpected(payload: bytes, fault: type[ClientFault] | type[BrokerFault], text: str) -> ClientFault | BrokerFault:
    """COMMAND_INVALID for a method that its sender may not send there.

    Raises:
        AmqpFault: NOT_IMPLEMENTED, no such method.
    """
    method = method_of(payload)
    return fault(
        ReplyCode.COMMAND_INVALID,
        f"'{method.name}' {text}",
        class_id=method.class_id,
        method_id=method.method_id,
    )
