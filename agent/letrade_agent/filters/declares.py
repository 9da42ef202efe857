"""What a service may declare, bind, delete and consume, and how much it may prefetch (A4).

A service that declares its own exchanges and queues when it starts keeps working: what the topology owns is there
already, so its declares are answered, and nothing is created but the queues that an instance makes for itself.

Under `absorb` a prefetch for a whole channel becomes one for each consumer: the queues are quorum queues, for which
RabbitMQ knows no other (up to 4.2 it ends the connection with 540, from 4.3 on it does the same as is done here).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

from letrade_agent.config import DeclareMode, Undeclared
from letrade_agent.filters.bindings import Bindings
from letrade_agent.filters.decisions import Refusal
from letrade_agent.filters.declared import Declared, QueueKind
from letrade_agent.filters.rulings import Absorbed, Pass, Ruling
from letrade_agent.filters.words import Word, shown
from letrade_topo.amqp.channel_commands import Consume, Get, Qos
from letrade_topo.amqp.command import Command
from letrade_topo.amqp.faults import ReplyCode
from letrade_topo.amqp.topology_commands import (
    ExchangeBind,
    ExchangeBindOk,
    ExchangeDeclare,
    ExchangeDeclareOk,
    ExchangeDelete,
    ExchangeUnbind,
    QueueBind,
    QueueBindOk,
    QueueDeclare,
    QueueDeclareOk,
    QueueDelete,
    QueuePurge,
    QueueUnbind,
)
from letrade_topo.model.topology import DestinationType

_NAME_BYTES = 12
_NAMED_BY_LIBRARY: Final = re.compile(rb"amq_[0-9a-f]{32}")
"""What aio-pika's robust channels call a queue without a name. They go on with the name that the answer has."""

_PASS = Pass()
_Removing: TypeAlias = QueueDelete | QueuePurge


class DeclareFilter:
    """`Declares` of one service.

    Args:
        declared: the topology's names.
        mode: what becomes of declares of what the topology owns.
        undeclared: what becomes of what it does not know.
        random_bytes: gives so many random bytes, for names of run-time queues.
    """

    def __init__(
        self,
        declared: Declared,
        *,
        mode: DeclareMode,
        undeclared: Undeclared,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._declared = declared
        self._bindings = Bindings(declared)
        self._mode = mode
        self._passes = undeclared is Undeclared.PASS
        self._random_bytes = random_bytes

    def rule(self, command: Command) -> Ruling:
        """Decide on one command. See `Declares.rule`."""
        match command:
            case ExchangeDeclare():
                return self._exchange_declare(command)
            case QueueDeclare():
                return self._queue_declare(command)
            case QueueBind():
                return self._queue_bind(command)
            case QueueUnbind():
                return self._queue_unbind(command)
            case ExchangeBind():
                return self._exchange_bind(command)
            case ExchangeUnbind():
                return self._exchange_unbind(command)
            case ExchangeDelete():
                return self._exchange_delete(command)
            case QueueDelete() | QueuePurge():
                return self._queue_remove(command)
            case Consume() | Get():
                return self._consume(command)
            case Qos():
                return self._qos(command)
            case _:
                text = f"the agent does not know what {command.method.name} may do"
                return Refusal(ReplyCode.ACCESS_REFUSED, Word.DECLARE, text)

    def may_come_back(self, queue: str) -> bool:
        """Whether a queue that is gone may be migrated. See `Declares.may_come_back`."""
        return self._declared.queue_kind(queue) is QueueKind.OWN

    def _exchange_declare(self, command: ExchangeDeclare) -> Ruling:
        name = _text(command.exchange)
        if not self._declared.knows_exchange(name):
            if self._passes or command.passive:
                return _PASS
            return self._denied(Word.DECLARE, "configure", "exchange", command.exchange, _UNKNOWN)
        match self._mode:
            case DeclareMode.ABSORB:
                # answered here, not asked of the broker: from 4.3 on it wants the right to configure for a passive one
                return Absorbed(None if command.no_wait else ExchangeDeclareOk())
            case DeclareMode.REFUSE if not command.passive:
                return self._denied(Word.DECLARE, "configure", "exchange", command.exchange, _OWNED)
            case _:
                return _PASS

    def _queue_declare(self, command: QueueDeclare) -> Ruling:
        if not command.queue and not command.passive:
            return self._server_named(command)
        kind = self._kind(command.queue)
        if kind is QueueKind.RUN_TIME or command.passive:
            return _PASS
        if kind in (QueueKind.UNKNOWN, QueueKind.REPLY_TO):
            if self._passes:
                return _PASS
            if command.exclusive and _NAMED_BY_LIBRARY.fullmatch(command.queue) is not None:
                return self._renamed(command, _text(command.queue))
            own = " or ".join(shown(prefix.encode()) for prefix in self._declared.run_time_prefixes)
            why = f"{_UNKNOWN}; own ones begin with {own}"
            return self._denied(Word.DECLARE, "configure", "queue", command.queue, why)
        match self._mode:
            case DeclareMode.ABSORB if kind is QueueKind.FOREIGN:
                # not asked of the broker: from 4.2.7 and 4.3.1 on it answers nobody without a right on that very queue
                return Absorbed(None if command.no_wait else QueueDeclareOk(queue=command.queue))
            case DeclareMode.ABSORB:
                passive = QueueDeclare(queue=command.queue, passive=True, no_wait=command.no_wait)
                return Absorbed(None, passive)
            case DeclareMode.REFUSE:
                return self._denied(Word.DECLARE, "configure", "queue", command.queue, _OWNED)
            case DeclareMode.ALLOW:
                return _PASS

    def _server_named(self, command: QueueDeclare) -> Ruling:
        """The broker would call it `amq.gen-…`, for which no service has rights."""
        if command.exclusive:
            return self._renamed(command, self._random_bytes(_NAME_BYTES).hex())
        if self._passes:
            return _PASS
        why = "a queue that the broker names has to be exclusive, or nobody would ever delete it"
        return self._denied(Word.DECLARE, "configure", "queue", command.queue, why)

    def _renamed(self, command: QueueDeclare, identifier: str) -> Ruling:
        """A run-time queue; always answered, so that client and relay learn the name."""
        name = f"{self._declared.run_time_prefixes[0]}{identifier}".encode()
        return Absorbed(None, replace(command, queue=name, no_wait=False))

    def _qos(self, command: Qos) -> Ruling:
        if self._mode is DeclareMode.ABSORB and command.global_:
            return Absorbed(None, replace(command, global_=False))
        return _PASS

    def _queue_bind(self, command: QueueBind) -> Ruling:
        if not command.queue:
            return _PASS if self._passes else _no_queue(Word.BIND)
        exchange, key = _text(command.exchange), _text(command.routing_key)
        answer = None if command.no_wait else QueueBindOk()
        match self._kind(command.queue):
            case QueueKind.OWN | QueueKind.FOREIGN:
                target = (DestinationType.QUEUE, _text(command.queue))
                return self._bind_declared(exchange, target, key, answer)
            case QueueKind.RUN_TIME if self._declared.knows_exchange(exchange):
                if self._bindings.may_listen(exchange, key):
                    return _PASS
                why = f"{self._declared.service.name} does not consume that"
                return self._denied_topic(command.routing_key, command.exchange, why)
        if self._passes:
            return _PASS
        kind = self._kind(command.queue)
        if kind is QueueKind.RUN_TIME:
            return self._denied(Word.BIND, "read", "exchange", command.exchange, _UNKNOWN)
        return self._denied(Word.BIND, "write", "queue", command.queue, _UNKNOWN)

    def _queue_unbind(self, command: QueueUnbind) -> Ruling:
        if not command.queue:
            return _PASS if self._passes else _no_queue(Word.BIND)
        match self._kind(command.queue):
            case QueueKind.RUN_TIME:
                return _PASS
            case QueueKind.OWN | QueueKind.FOREIGN:
                allowed, why = self._mode is DeclareMode.ALLOW, _OWNED
            case _:
                allowed, why = self._passes, _UNKNOWN
        return _PASS if allowed else self._denied(Word.BIND, "write", "queue", command.queue, why)

    def _exchange_bind(self, command: ExchangeBind) -> Ruling:
        source, destination = _text(command.source), _text(command.destination)
        if self._declared.knows_exchange(destination):
            answer = None if command.no_wait else ExchangeBindOk()
            target = (DestinationType.EXCHANGE, destination)
            return self._bind_declared(source, target, _text(command.routing_key), answer)
        if self._passes:
            return _PASS
        return self._denied(Word.BIND, "write", "exchange", command.destination, _UNKNOWN)

    def _exchange_unbind(self, command: ExchangeUnbind) -> Ruling:
        known = self._declared.knows_exchange(_text(command.destination))
        if self._mode is DeclareMode.ALLOW if known else self._passes:
            return _PASS
        return self._denied(Word.BIND, "write", "exchange", command.destination, _OWNED if known else _UNKNOWN)

    def _bind_declared(
        self, exchange: str, target: tuple[DestinationType, str], key: str, answer: Command | None
    ) -> Ruling:
        if self._mode is DeclareMode.ALLOW:
            return _PASS
        kind, name = target
        if self._mode is DeclareMode.ABSORB and self._bindings.has(exchange, target, key):
            return Absorbed(answer)
        why = (
            _OWNED
            if self._mode is DeclareMode.REFUSE
            else f"the topology has no binding of {shown(exchange.encode())} to it with {shown(key.encode())}"
        )
        return self._denied(Word.BIND, "write", kind.value, name.encode(), why)

    def _exchange_delete(self, command: ExchangeDelete) -> Ruling:
        known = self._declared.knows_exchange(_text(command.exchange))
        if self._mode is DeclareMode.ALLOW if known else self._passes:
            return _PASS
        return self._denied(Word.DELETE, "configure", "exchange", command.exchange, _OWNED if known else _UNKNOWN)

    def _queue_remove(self, command: _Removing) -> Ruling:
        if not command.queue:
            return _PASS if self._passes else _no_queue(Word.DELETE)
        right = "configure" if isinstance(command, QueueDelete) else "read"
        match self._kind(command.queue):
            case QueueKind.RUN_TIME:
                return _PASS
            case QueueKind.OWN | QueueKind.FOREIGN:
                allowed, why = self._mode is DeclareMode.ALLOW, _OWNED
            case _:
                allowed, why = self._passes, _UNKNOWN
        return _PASS if allowed else self._denied(Word.DELETE, right, "queue", command.queue, why)

    def _consume(self, command: Consume | Get) -> Ruling:
        if not command.queue:
            return _PASS if self._passes else _no_queue(Word.CONSUME)
        match self._kind(command.queue):
            case QueueKind.OWN | QueueKind.RUN_TIME:
                return _PASS
            case QueueKind.FOREIGN:
                why = f"it is not a queue of {self._declared.service.name}"
            case QueueKind.REPLY_TO:
                if self._passes or self._declared.service.direct_reply_to:
                    return _PASS
                why = "the topology does not give this service direct reply-to"
            case QueueKind.UNKNOWN:
                if self._passes:
                    return _PASS
                why = _UNKNOWN
        return self._denied(Word.CONSUME, "read", "queue", command.queue, why)

    def _kind(self, queue: bytes) -> QueueKind:
        return self._declared.queue_kind(_text(queue))

    def _denied(self, word: Word, right: str, kind: str, name: bytes, why: str) -> Refusal:
        """In the words that RabbitMQ has, and then the reason."""
        vhost, user = self._declared.topology.vhost, self._declared.service.user
        text = f"{right} access to {kind} {shown(name)} in vhost '{vhost}' refused for user '{user}': {why}"
        return Refusal(ReplyCode.ACCESS_REFUSED, word, text)

    def _denied_topic(self, key: bytes, exchange: bytes, why: str) -> Refusal:
        vhost, user = self._declared.topology.vhost, self._declared.service.user
        text = (
            f"read access to topic {shown(key)} in exchange {shown(exchange)} in vhost '{vhost}' "
            f"refused for user '{user}': {why}"
        )
        return Refusal(ReplyCode.ACCESS_REFUSED, Word.BIND, text)


_OWNED = "it is changed with letrade-topo alone"
_UNKNOWN = "the topology does not declare it"


def _no_queue(word: Word) -> Refusal:
    return Refusal(ReplyCode.NOT_FOUND, word, "no previously declared queue")


def _text(name: bytes) -> str:
    return name.decode(errors="replace")
