"""Commands on a channel that move no message: its life, flow, confirms, consumers, recovery."""

from __future__ import annotations

from dataclasses import dataclass

from .command import Command
from .header_table import EMPTY_TABLE, HeaderTable
from .methods import BY_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOpen(Command):
    """The client opens the channel."""

    method = BY_NAME["channel.open"]
    out_of_band: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOpenOk(Command):
    """The channel is open."""

    method = BY_NAME["channel.open-ok"]
    channel_id: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow(Command):
    """One side asks the other to stop or go on; RabbitMQ refuses to stop."""

    method = BY_NAME["channel.flow"]
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowOk(Command):
    """The answer to it."""

    method = BY_NAME["channel.flow-ok"]
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelClose(Command):
    """One side ends the channel and says why."""

    method = BY_NAME["channel.close"]
    reply_code: int
    reply_text: bytes
    class_id: int = 0
    method_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelCloseOk(Command):
    """The answer to it: the number is free again."""

    method = BY_NAME["channel.close-ok"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRequestOk(Command):
    """The answer to a method of older AMQP versions that grants nothing."""

    method = BY_NAME["access.request-ok"]
    ticket: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Qos(Command):
    """How much may be unacknowledged at once."""

    method = BY_NAME["basic.qos"]
    prefetch_size: int = 0
    prefetch_count: int
    global_: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QosOk(Command):
    """The answer to it."""

    method = BY_NAME["basic.qos-ok"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Consume(Command):
    """The client subscribes to a queue."""

    method = BY_NAME["basic.consume"]
    ticket: int = 0
    queue: bytes
    consumer_tag: bytes = b""
    no_local: bool = False
    no_ack: bool = False
    exclusive: bool = False
    no_wait: bool = False
    arguments: HeaderTable = EMPTY_TABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumeOk(Command):
    """The answer to it, with the tag the broker chose."""

    method = BY_NAME["basic.consume-ok"]
    consumer_tag: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(Command):
    """The client unsubscribes, or the broker ends a subscription."""

    method = BY_NAME["basic.cancel"]
    consumer_tag: bytes
    no_wait: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOk(Command):
    """The answer to it."""

    method = BY_NAME["basic.cancel-ok"]
    consumer_tag: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Get(Command):
    """The client asks for one message."""

    method = BY_NAME["basic.get"]
    ticket: int = 0
    queue: bytes
    no_ack: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GetEmpty(Command):
    """There is none."""

    method = BY_NAME["basic.get-empty"]
    cluster_id: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverAsync(Command):
    """The client wants everything unacknowledged again; unanswered."""

    method = BY_NAME["basic.recover-async"]
    requeue: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Recover(Command):
    """The client wants everything unacknowledged again."""

    method = BY_NAME["basic.recover"]
    requeue: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverOk(Command):
    """The answer to it."""

    method = BY_NAME["basic.recover-ok"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmSelect(Command):
    """Publishes of the channel shall be confirmed from here on."""

    method = BY_NAME["confirm.select"]
    no_wait: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmSelectOk(Command):
    """The answer to it."""

    method = BY_NAME["confirm.select-ok"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TxSelect(Command):
    """The channel shall have transactions."""

    method = BY_NAME["tx.select"]


CHANNEL_COMMANDS: tuple[type[Command], ...] = (
    ChannelOpen,
    ChannelOpenOk,
    Flow,
    FlowOk,
    ChannelClose,
    ChannelCloseOk,
    AccessRequestOk,
    Qos,
    QosOk,
    Consume,
    ConsumeOk,
    Cancel,
    CancelOk,
    Get,
    GetEmpty,
    RecoverAsync,
    Recover,
    RecoverOk,
    ConfirmSelect,
    ConfirmSelectOk,
    TxSelect,
)
