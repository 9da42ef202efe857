"""What becomes of the methods of a broker on an open channel that carry no message: answers, confirms, what it ends.

What is relayed leaves as the bytes it came as, once it was read without fault.
"""

from __future__ import annotations

from typing import Final

from letrade_agent.amqp.channel import ChannelInput
from letrade_topo.amqp.basic import ACK, NACK
from letrade_topo.amqp.channel_commands import Cancel, CancelOk, ChannelClose, ConsumeOk
from letrade_topo.amqp.commands import parse_command
from letrade_topo.amqp.faults import BrokerFault, ReplyCode
from letrade_topo.amqp.frames import METHOD
from letrade_topo.amqp.methods import BY_NAME
from letrade_topo.amqp.topology_commands import QueueDeclareOk

from .channel import RelayedChannel
from .inputs import broker_input, unexpected
from .requests import ANSWERS, Consumer, QueueName

_CANCEL: Final = BY_NAME["basic.cancel"].index
_GET_EMPTY: Final = BY_NAME["basic.get-empty"].index
_FLOW: Final = BY_NAME["channel.flow"].index


def carry_out(channel: RelayedChannel, payload: bytes) -> None:
    """A method of the broker on an open channel, or on one that the client is closing; none with content.

    Raises:
        AmqpFault: it breaks the protocol.
    """
    channel.assembler.method(payload, has_content=False)
    index = payload[:4]
    if index in (ACK, NACK):
        channel.publishes.confirmed(payload)
    elif index == _CANCEL:
        _cancelled(channel, payload)
    elif index == _FLOW:
        parse_command(payload)
        channel.tell_client(payload)
    elif (happened := broker_input(METHOD, index)) is not ChannelInput.BROKER_FRAME:
        command = parse_command(payload)
        if isinstance(command, ChannelClose) and command.reply_code == ReplyCode.NOT_FOUND:
            channel.staying.note_missing(command.reply_text)
        channel.happens(happened, payload)
    elif index in ANSWERS:
        _answered(channel, payload, index)
    elif index == _GET_EMPTY:
        parse_command(payload)
        channel.gets.empty(payload)
    else:
        raise unexpected(payload, BrokerFault, "is not for a broker to send on a channel")


def _answered(channel: RelayedChannel, payload: bytes, index: bytes) -> None:
    answer = parse_command(payload)
    tag = answer.consumer_tag if isinstance(answer, ConsumeOk) else b""
    request = channel.requests.find(index, tag)
    about = request.about
    if isinstance(answer, QueueDeclareOk) and isinstance(about, QueueName):
        about.name = answer.queue
    elif isinstance(answer, ConsumeOk) and isinstance(about, Consumer):
        channel.consumers.subscribed(about, answer.consumer_tag)
    elif isinstance(answer, CancelOk):
        channel.cancel(answer.consumer_tag)
    channel.requests.done(request, payload)


def _cancelled(channel: RelayedChannel, payload: bytes) -> None:
    """The broker ends a subscription, because the queue is gone or has moved."""
    consumer = channel.cancel(Cancel.parse(payload).consumer_tag)
    if consumer is None:
        if b"consumer_cancel_notify" in channel.session.capabilities:
            channel.tell_client(payload)
    elif not (channel.accepting and channel.staying.keep(consumer)):
        channel.lost(consumer)
