"""What becomes of the methods on an open channel that carry no message: one function each, in two tables.

What is relayed leaves as the bytes it came as, once it was read without fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

from letrade_agent.amqp.basic import ACK, NACK, REJECT
from letrade_agent.amqp.channel_commands import (
    AccessRequestOk,
    Cancel,
    CancelOk,
    ConfirmSelect,
    Consume,
    ConsumeOk,
    Flow,
    FlowOk,
    Get,
    Qos,
    Recover,
    RecoverAsync,
    RecoverOk,
)
from letrade_agent.amqp.command import Command
from letrade_agent.amqp.commands import parse_command
from letrade_agent.amqp.faults import BrokerFault, ClientFault, ReplyCode, Scope
from letrade_agent.amqp.methods import BY_INDEX, BY_NAME, Method
from letrade_agent.amqp.topology_commands import QueueDeclare, QueueDeclareOk
from letrade_agent.filters.verdicts import Absorbed, Refusal

from . import requests
from .channel import RelayedChannel, broker_input, client_input, unexpected
from .requests import ANSWERS, REPLIES, Consumer, QueueName, Request

DEFAULT_PREFETCH: Final = 50
"""For a client that consumes with acknowledgement and sets none: what is unacknowledged has to be bounded."""

Handler = Callable[[RelayedChannel, bytes], None]
AnyCommand = TypeVar("AnyCommand", bound=Command)

_QOS_OK: Final = BY_NAME["basic.qos-ok"].index
_DEFAULT_QOS: Final = Qos(prefetch_count=DEFAULT_PREFETCH).encode()


def _index(name: str) -> bytes:
    return BY_NAME[name].index


def _read(kind: type[AnyCommand], payload: bytes) -> AnyCommand:
    return kind.parse(payload)


def _waives_answer(command: Command) -> bool:
    return bool(getattr(command, "no_wait", False))


def _fault(method: Method, code: ReplyCode, text: str, scope: Scope | None = None) -> ClientFault:
    return ClientFault(code, text, class_id=method.class_id, method_id=method.method_id, scope=scope)


# From the client


def from_client(channel: RelayedChannel, payload: bytes) -> None:
    """A method of the client on a channel that is open, but for basic.publish.

    Raises:
        AmqpFault: it breaks the protocol, or a rule says no.
    """
    channel.publishing.assembler.method(payload, has_content=False)
    channel.flush()
    if not channel.accepting:
        return  # a refusal has just closed it
    index = payload[:4]
    handler = FROM_CLIENT.get(index)
    if handler is not None:
        handler(channel, payload)
        return
    happened = client_input(index)
    if happened is client_input(b""):
        raise unexpected(payload, ClientFault, "is not for a client to send on a channel")
    parse_command(payload)
    channel.client_opens_or_closes(payload, happened)


def _acknowledge(channel: RelayedChannel, payload: bytes) -> None:
    channel.settlements.acknowledge(payload)


def _reject(channel: RelayedChannel, payload: bytes) -> None:
    channel.settlements.reject(payload)


def _ruled(channel: RelayedChannel, payload: bytes) -> None:
    """A command that the filters decide on."""
    command = parse_command(payload)
    if command is None:
        raise AssertionError("ruled methods all have commands")
    _decide(channel, payload, command)


def _decide(channel: RelayedChannel, payload: bytes, command: Command) -> None:
    method = command.method
    name = _queue_of(channel, command)
    if name is not None and name.name and not isinstance(command, QueueDeclare):
        known: Any = command
        asked = replace(known, queue=name.name)
    else:
        asked = command
    ruling = channel.session.filters.declares.rule(asked)
    if isinstance(ruling, Refusal):
        raise _fault(method, ruling.code, ruling.text, Scope.CHANNEL)
    waived = _waives_answer(command)
    if isinstance(command, QueueDeclare):
        name = channel.last_queue = QueueName(command.queue)
    if not isinstance(ruling, Absorbed):
        _pass(channel, payload, command, name, waived)
    elif ruling.replacement is not None:
        replaced = ruling.replacement
        if isinstance(replaced, QueueDeclare) and name is not None:
            name.name = replaced.queue  # the client may mean it by its next command, before there is an answer
        channel.tell_upstream(replaced.encode())
        reply = REPLIES.get(replaced.method.index)
        if reply is not None and not _waives_answer(replaced):
            channel.requests.sent(Request(reply, name, swallow=waived))
    if isinstance(ruling, Absorbed) and ruling.answer is not None:
        if isinstance(ruling.answer, QueueDeclareOk) and name is not None:
            name.name = ruling.answer.queue
        if not waived:
            channel.requests.answer(ruling.answer.encode())


def _queue_of(channel: RelayedChannel, command: Command) -> QueueName | None:
    """The queue that a command is about; left empty, it is the one declared last on the channel."""
    queue = getattr(command, "queue", None)
    if queue is None:
        return None
    return QueueName(queue) if queue else channel.last_queue


def _pass(channel: RelayedChannel, payload: bytes, command: Command, name: QueueName | None, waived: bool) -> None:
    if isinstance(command, Consume) and name is not None:
        _consume(channel, payload, command, name)
        return
    if isinstance(command, Get) and name is not None:
        get = requests.Get(payload, name, command.no_ack, channel.session.started)
        channel.tell_upstream(payload)
        channel.requests.sent(Request(REPLIES[payload[:4]], get))
        return
    channel.tell_upstream(payload)
    if not waived:
        channel.requests.sent(Request(REPLIES[payload[:4]], name))


def _consume(channel: RelayedChannel, payload: bytes, command: Consume, name: QueueName) -> None:
    if not command.no_ack and not channel.prefetch_known:
        channel.prefetch_known = True
        channel.tell_upstream(_DEFAULT_QOS)
        channel.requests.sent(Request(_QOS_OK, swallow=True))
    consumer = Consumer(command.consumer_tag, name, command.no_ack)
    channel.consumers.asked(consumer, command.no_wait)
    channel.tell_upstream(payload)
    if not command.no_wait:
        channel.requests.sent(Request(REPLIES[payload[:4]], consumer))


def _qos(channel: RelayedChannel, payload: bytes) -> None:
    _read(Qos, payload)
    channel.prefetch_known = True
    channel.tell_upstream(payload)
    channel.requests.sent(Request(_QOS_OK))


def _cancel(channel: RelayedChannel, payload: bytes) -> None:
    command = _read(Cancel, payload)
    channel.tell_upstream(payload)
    if command.no_wait:
        _cancelled(channel, command.consumer_tag)
    else:
        channel.requests.sent(Request(REPLIES[payload[:4]]))


def _cancelled(channel: RelayedChannel, tag: bytes) -> None:
    consumer = channel.consumers.cancelled(tag)
    if consumer is not None:
        channel.deliveries.cancelled(consumer)


def _recover(channel: RelayedChannel, payload: bytes) -> None:
    channel.settlements.recover(_read(Recover, payload).requeue)
    channel.requests.answer(RecoverOk().encode())


def _recover_async(channel: RelayedChannel, payload: bytes) -> None:
    channel.settlements.recover(_read(RecoverAsync, payload).requeue)


def _confirm_select(channel: RelayedChannel, payload: bytes) -> None:
    command = _read(ConfirmSelect, payload)
    channel.publishing.confirms.select()
    channel.tell_upstream(payload)
    if not command.no_wait:
        channel.requests.sent(Request(REPLIES[payload[:4]]))


def _flow(channel: RelayedChannel, payload: bytes) -> None:
    if not _read(Flow, payload).active:
        raise _fault(Flow.method, ReplyCode.NOT_IMPLEMENTED, "active=false")
    channel.requests.answer(FlowOk(active=True).encode())


def _flow_ok(channel: RelayedChannel, payload: bytes) -> None:
    _read(FlowOk, payload)
    channel.tell_upstream(payload)


def _access_request(channel: RelayedChannel, payload: bytes) -> None:
    channel.requests.answer(AccessRequestOk(ticket=1).encode())


def _transaction(channel: RelayedChannel, payload: bytes) -> None:
    text = "the agent does not relay transactions; use publisher confirms (confirm.select)"
    raise _fault(BY_INDEX[payload[:4]], ReplyCode.NOT_IMPLEMENTED, text, Scope.CHANNEL)


_RULED: Final = (
    "exchange.declare exchange.delete exchange.bind exchange.unbind "
    "queue.declare queue.bind queue.unbind queue.purge queue.delete basic.consume basic.get"
)

FROM_CLIENT: Final[dict[bytes, Handler]] = {
    ACK: _acknowledge,
    NACK: _reject,
    REJECT: _reject,
    **{_index(name): _ruled for name in _RULED.split()},
    _index("basic.qos"): _qos,
    _index("basic.cancel"): _cancel,
    _index("basic.recover"): _recover,
    _index("basic.recover-async"): _recover_async,
    _index("confirm.select"): _confirm_select,
    _index("channel.flow"): _flow,
    _index("channel.flow-ok"): _flow_ok,
    _index("access.request"): _access_request,
    _index("tx.select"): _transaction,
    _index("tx.commit"): _transaction,
    _index("tx.rollback"): _transaction,
}

# From the broker


def from_broker(channel: RelayedChannel, payload: bytes) -> None:
    """A method of the broker on an open channel, or on one that the client is closing; none with content.

    Raises:
        AmqpFault: it breaks the protocol.
    """
    channel.assembler.method(payload, has_content=False)
    index = payload[:4]
    if index in (ACK, NACK):
        channel.publishing.confirmed(payload)
    elif index == _CANCEL:
        channel.cancel_by_broker(_read(Cancel, payload).consumer_tag, payload)
    elif index in _RELAYED:
        parse_command(payload)
        channel.tell_client(payload)
    elif index in ANSWERS:
        _answered(channel, payload, index)
    elif index == _GET_EMPTY:
        parse_command(payload)
        channel.requests.done(channel.requests.find(_GET_OK), payload)
    elif broker_input(index) is broker_input(b""):
        raise unexpected(payload, BrokerFault, "is not for a broker to send on a channel")
    else:
        parse_command(payload)
        channel.broker_opens_or_closes(payload, broker_input(index))


_CANCEL: Final = _index("basic.cancel")
_GET_OK: Final = _index("basic.get-ok")
_GET_EMPTY: Final = _index("basic.get-empty")
_RELAYED: Final = frozenset((_index("channel.flow"),))


def _answered(channel: RelayedChannel, payload: bytes, index: bytes) -> None:
    if index in _CHANNEL_ANSWERS:
        channel.broker_opens_or_closes(payload, broker_input(index))
        return
    answer = parse_command(payload)
    tag = answer.consumer_tag if isinstance(answer, ConsumeOk) else b""
    request = channel.requests.find(index, tag)
    about = request.about
    if isinstance(answer, QueueDeclareOk) and isinstance(about, QueueName):
        about.name = answer.queue
    elif isinstance(answer, ConsumeOk) and isinstance(about, Consumer):
        channel.consumers.subscribed(about, answer.consumer_tag)
    elif isinstance(answer, CancelOk):
        _cancelled(channel, answer.consumer_tag)
    channel.requests.done(request, payload)


_CHANNEL_ANSWERS: Final = frozenset((_index("channel.open-ok"), _index("channel.close-ok")))
