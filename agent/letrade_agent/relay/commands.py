"""What becomes of the methods of a client on an open channel that carry no message: one function each, in a table.

What is relayed leaves as the bytes it came as, once it was read without fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

from letrade_agent.amqp.channel import ChannelInput
from letrade_agent.filters.decisions import Refusal
from letrade_agent.filters.rulings import Absorbed
from letrade_topo.amqp.basic import ACK, NACK, REJECT
from letrade_topo.amqp.channel_commands import (
    AccessRequestOk,
    Cancel,
    ConfirmSelect,
    Consume,
    Flow,
    FlowOk,
    Get,
    Qos,
    Recover,
    RecoverAsync,
    RecoverOk,
)
from letrade_topo.amqp.command import Command
from letrade_topo.amqp.commands import parse_command
from letrade_topo.amqp.faults import ClientFault, FaultScope, ReplyCode
from letrade_topo.amqp.frames import METHOD
from letrade_topo.amqp.methods import BY_INDEX, BY_NAME, Method
from letrade_topo.amqp.topology_commands import QueueDeclare, QueueDeclareOk

from .channel import RelayedChannel
from .inputs import client_input, unexpected
from .requests import REPLIES, Consumer, QueueName, Request

Handler = Callable[[RelayedChannel, bytes], None]
AnyCommand = TypeVar("AnyCommand", bound=Command)

_EACH_CONSUMER: Final = "a prefetch for the whole channel counts for each consumer: its queues know no other"
_QOS_OK: Final = BY_NAME["basic.qos-ok"].index


def _index(name: str) -> bytes:
    return BY_NAME[name].index


def _read(kind: type[AnyCommand], payload: bytes) -> AnyCommand:
    return kind.parse(payload)


def _waives_answer(command: Command) -> bool:
    return bool(getattr(command, "no_wait", False))


def _fault(method: Method, code: ReplyCode, text: str, scope: FaultScope | None = None) -> ClientFault:
    return ClientFault(code, text, class_id=method.class_id, method_id=method.method_id, scope=scope)


def carry_out(channel: RelayedChannel, payload: bytes) -> None:
    """A method of the client on a channel that is open, but for basic.publish.

    Raises:
        AmqpFault: it breaks the protocol, or a rule says no.
    """
    index = payload[:4]
    handler = FROM_CLIENT.get(index)
    if handler is not None:
        handler(channel, payload)
        return
    happened = client_input(METHOD, index)
    if happened is ChannelInput.CLIENT_FRAME:
        raise unexpected(payload, ClientFault, "is not for a client to send on a channel")
    parse_command(payload)
    channel.happens(happened, payload)
    channel.close_if_handed_over()  # the close goes on at once, unless deliveries have to be handed over before


def _acknowledge(channel: RelayedChannel, payload: bytes) -> None:
    channel.settlements.acknowledge(payload)
    if channel.staying.due:
        channel.stay_on()


def _reject(channel: RelayedChannel, payload: bytes) -> None:
    channel.settlements.reject(payload)
    if channel.staying.due:
        channel.stay_on()


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
        raise _fault(method, ruling.code, ruling.text, FaultScope.CHANNEL)
    waived = _waives_answer(command)
    if isinstance(command, QueueDeclare):
        name = channel.last_queue = QueueName(command.queue)
    if not isinstance(ruling, Absorbed):
        _pass(channel, payload, command, name, waived)
    elif ruling.replacement is not None:
        replaced = ruling.replacement
        if isinstance(replaced, QueueDeclare) and name is not None:
            name.name = replaced.queue  # the client may mean it by its next command, before there is an answer
            if channel.staying.answers(replaced, name, 0):
                return
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
    if name is not None and channel.staying.answers(command, name, 0):
        return
    if isinstance(command, Get) and name is not None:
        if channel.staying.finds_nothing(name):
            return
        channel.gets.ask(payload, name, no_ack=command.no_ack)
        return
    channel.tell_upstream(payload)
    if not waived:
        channel.requests.sent(Request(REPLIES[payload[:4]], name))


def _consume(channel: RelayedChannel, payload: bytes, command: Consume, name: QueueName) -> None:
    if not command.no_ack and channel.prefetch is None:
        channel.prefetch = channel.session.limits.prefetch
        channel.tell_upstream(Qos(prefetch_count=channel.prefetch).encode())
        channel.requests.sent(Request(_QOS_OK, swallow=True))
    if channel.staying.answers(command, name, channel.prefetch or 0):
        return
    consumer = Consumer(command, name, channel.prefetch or 0, channel.session.started)
    channel.consumers.asked(consumer, command.no_wait)
    channel.tell_upstream(payload)
    if not command.no_wait:
        channel.requests.sent(Request(REPLIES[payload[:4]], consumer))


def _qos(channel: RelayedChannel, payload: bytes) -> None:
    command = _read(Qos, payload)
    ruling = channel.session.filters.declares.rule(command)
    if isinstance(ruling, Absorbed) and ruling.replacement is not None:
        payload = ruling.replacement.encode()
        if channel.prefetch is None:
            about = {"channel": channel.number, "text": _EACH_CONSUMER}
            channel.session.log("info", "prefetch_for_each_consumer", about)
    channel.prefetch = command.prefetch_count
    channel.tell_upstream(payload)
    channel.requests.sent(Request(_QOS_OK))


def _cancel(channel: RelayedChannel, payload: bytes) -> None:
    command = _read(Cancel, payload)
    if channel.staying.cancelled(command):
        return
    channel.tell_upstream(payload)
    if command.no_wait:
        channel.cancel(command.consumer_tag)
    else:
        channel.requests.sent(Request(REPLIES[payload[:4]]))


def _recover(channel: RelayedChannel, payload: bytes) -> None:
    channel.settlements.recover(_read(Recover, payload).requeue)
    channel.requests.answer(RecoverOk().encode())


def _recover_async(channel: RelayedChannel, payload: bytes) -> None:
    channel.settlements.recover(_read(RecoverAsync, payload).requeue)


def _confirm_select(channel: RelayedChannel, payload: bytes) -> None:
    command = _read(ConfirmSelect, payload)
    channel.publishes.confirms.select()
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
    raise _fault(BY_INDEX[payload[:4]], ReplyCode.NOT_IMPLEMENTED, text, FaultScope.CHANNEL)


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
