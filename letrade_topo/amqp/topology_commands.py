"""Commands that make, bind and delete exchanges and queues."""

from __future__ import annotations

from dataclasses import dataclass

from .command import Command
from .header_table import EMPTY_TABLE, HeaderTable
from .methods import BY_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeDeclare(Command):
    """Make an exchange, or with `passive` ask whether it is there."""

    method = BY_NAME["exchange.declare"]
    ticket: int = 0
    exchange: bytes
    exchange_type: bytes
    passive: bool = False
    durable: bool = False
    auto_delete: bool = False
    internal: bool = False
    no_wait: bool = False
    arguments: HeaderTable = EMPTY_TABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeDeclareOk(Command):
    """The exchange is there."""

    method = BY_NAME["exchange.declare-ok"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeDelete(Command):
    """Delete an exchange."""

    method = BY_NAME["exchange.delete"]
    ticket: int = 0
    exchange: bytes
    if_unused: bool = False
    no_wait: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeDeleteOk(Command):
    """It is gone."""

    method = BY_NAME["exchange.delete-ok"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeBind(Command):
    """Bind an exchange to an exchange."""

    method = BY_NAME["exchange.bind"]
    ticket: int = 0
    destination: bytes
    source: bytes
    routing_key: bytes
    no_wait: bool = False
    arguments: HeaderTable = EMPTY_TABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeBindOk(Command):
    """It is bound."""

    method = BY_NAME["exchange.bind-ok"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeUnbind(Command):
    """Unbind an exchange from an exchange."""

    method = BY_NAME["exchange.unbind"]
    ticket: int = 0
    destination: bytes
    source: bytes
    routing_key: bytes
    no_wait: bool = False
    arguments: HeaderTable = EMPTY_TABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeUnbindOk(Command):
    """It is unbound."""

    method = BY_NAME["exchange.unbind-ok"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDeclare(Command):
    """Make a queue, or with `passive` ask whether it is there. Without a name the broker makes one up."""

    method = BY_NAME["queue.declare"]
    ticket: int = 0
    queue: bytes
    passive: bool = False
    durable: bool = False
    exclusive: bool = False
    auto_delete: bool = False
    no_wait: bool = False
    arguments: HeaderTable = EMPTY_TABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDeclareOk(Command):
    """The queue is there, with its name and depth."""

    method = BY_NAME["queue.declare-ok"]
    queue: bytes
    message_count: int = 0
    consumer_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueBind(Command):
    """Bind a queue to an exchange."""

    method = BY_NAME["queue.bind"]
    ticket: int = 0
    queue: bytes
    exchange: bytes
    routing_key: bytes
    no_wait: bool = False
    arguments: HeaderTable = EMPTY_TABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueBindOk(Command):
    """It is bound."""

    method = BY_NAME["queue.bind-ok"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePurge(Command):
    """Remove all messages that are ready."""

    method = BY_NAME["queue.purge"]
    ticket: int = 0
    queue: bytes
    no_wait: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePurgeOk(Command):
    """They are gone."""

    method = BY_NAME["queue.purge-ok"]
    message_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDelete(Command):
    """Delete a queue."""

    method = BY_NAME["queue.delete"]
    ticket: int = 0
    queue: bytes
    if_unused: bool = False
    if_empty: bool = False
    no_wait: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDeleteOk(Command):
    """It is gone."""

    method = BY_NAME["queue.delete-ok"]
    message_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueUnbind(Command):
    """Unbind a queue from an exchange."""

    method = BY_NAME["queue.unbind"]
    ticket: int = 0
    queue: bytes
    exchange: bytes
    routing_key: bytes
    arguments: HeaderTable = EMPTY_TABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueUnbindOk(Command):
    """It is unbound."""

    method = BY_NAME["queue.unbind-ok"]


TOPOLOGY_COMMANDS: tuple[type[Command], ...] = (
    ExchangeDeclare,
    ExchangeDeclareOk,
    ExchangeDelete,
    ExchangeDeleteOk,
    ExchangeBind,
    ExchangeBindOk,
    ExchangeUnbind,
    ExchangeUnbindOk,
    QueueDeclare,
    QueueDeclareOk,
    QueueBind,
    QueueBindOk,
    QueuePurge,
    QueuePurgeOk,
    QueueDelete,
    QueueDeleteOk,
    QueueUnbind,
    QueueUnbindOk,
)
