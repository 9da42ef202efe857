"""Every method of AMQP 0-9-1 with RabbitMQ's additions, as one literal table.

The table says what the rest asks: the arguments in their order and type, whether a content follows, what
answers, and where the bit stands that waives the answer. What a method means is not known here.

Argument types: `octet`, `short`, `long`, `longlong` unsigned integers of 8 to 64 bits, `shortstr`, `longstr`,
`bit` (up to eight in a row share an octet), `table`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .faults import AmqpFault, ReplyCode


@dataclass(frozen=True, slots=True, repr=False)
class Method:
    """One method of the protocol.

    Attributes:
        class_id, method_id: its numbers.
        name: as the specification spells it, `queue.declare`.
        index: the first four bytes of its payload, by which it is looked up.
        arguments: name and type of each argument.
        has_content: whether a content header follows.
        reply: name of the method that answers it, None if it is not answered. `basic.get` may also be
            answered by `basic.get-empty`.
    """

    class_id: int
    method_id: int
    name: str
    index: bytes
    arguments: tuple[tuple[str, str], ...]
    has_content: bool
    reply: str | None

    @property
    def no_wait_argument(self) -> int | None:
        """Which argument waives the answer, counted from 0; None if the method has no such bit."""
        for position, (name, _) in enumerate(self.arguments):
            if name == "no_wait":
                return position
        return None

    def __repr__(self) -> str:
        return f"<{self.name}>"


def _method(
    class_id: int, method_id: int, name: str, arguments: str = "", *, content: bool = False, reply: str | None = None
) -> Method:
    index = class_id.to_bytes(2, "big") + method_id.to_bytes(2, "big")
    pairs = (argument.split(":") for argument in arguments.split())
    return Method(class_id, method_id, name, index, tuple((key, kind) for key, kind in pairs), content, reply)


_CLOSE = "reply_code:short reply_text:shortstr class_id:short method_id:short"
_TUNE = "channel_max:short frame_max:long heartbeat:short"
_BIND = "destination:shortstr source:shortstr routing_key:shortstr no_wait:bit arguments:table"

TABLE: Final[tuple[Method, ...]] = (
    _method(
        10,
        10,
        "connection.start",
        "version_major:octet version_minor:octet server_properties:table mechanisms:longstr locales:longstr",
        reply="connection.start-ok",
    ),
    _method(
        10,
        11,
        "connection.start-ok",
        "client_properties:table mechanism:shortstr response:longstr locale:shortstr",
    ),
    _method(10, 20, "connection.secure", "challenge:longstr", reply="connection.secure-ok"),
    _method(10, 21, "connection.secure-ok", "response:longstr"),
    _method(10, 30, "connection.tune", _TUNE, reply="connection.tune-ok"),
    _method(10, 31, "connection.tune-ok", _TUNE),
    _method(
        10,
        40,
        "connection.open",
        "virtual_host:shortstr capabilities:shortstr insist:bit",
        reply="connection.open-ok",
    ),
    _method(10, 41, "connection.open-ok", "known_hosts:shortstr"),
    _method(10, 50, "connection.close", _CLOSE, reply="connection.close-ok"),
    _method(10, 51, "connection.close-ok"),
    _method(10, 60, "connection.blocked", "reason:shortstr"),
    _method(10, 61, "connection.unblocked"),
    _method(
        10,
        70,
        "connection.update-secret",
        "new_secret:longstr reason:shortstr",
        reply="connection.update-secret-ok",
    ),
    _method(10, 71, "connection.update-secret-ok"),
    _method(20, 10, "channel.open", "out_of_band:shortstr", reply="channel.open-ok"),
    _method(20, 11, "channel.open-ok", "channel_id:longstr"),
    _method(20, 20, "channel.flow", "active:bit", reply="channel.flow-ok"),
    _method(20, 21, "channel.flow-ok", "active:bit"),
    _method(20, 40, "channel.close", _CLOSE, reply="channel.close-ok"),
    _method(20, 41, "channel.close-ok"),
    _method(
        30,
        10,
        "access.request",
        "realm:shortstr exclusive:bit passive:bit active:bit write:bit read:bit",
        reply="access.request-ok",
    ),
    _method(30, 11, "access.request-ok", "ticket:short"),
    _method(
        40,
        10,
        "exchange.declare",
        "ticket:short exchange:shortstr exchange_type:shortstr "
        "passive:bit durable:bit auto_delete:bit internal:bit no_wait:bit arguments:table",
        reply="exchange.declare-ok",
    ),
    _method(40, 11, "exchange.declare-ok"),
    _method(
        40,
        20,
        "exchange.delete",
        "ticket:short exchange:shortstr if_unused:bit no_wait:bit",
        reply="exchange.delete-ok",
    ),
    _method(40, 21, "exchange.delete-ok"),
    _method(40, 30, "exchange.bind", "ticket:short " + _BIND, reply="exchange.bind-ok"),
    _method(40, 31, "exchange.bind-ok"),
    _method(40, 40, "exchange.unbind", "ticket:short " + _BIND, reply="exchange.unbind-ok"),
    _method(40, 51, "exchange.unbind-ok"),  # 51, not 41: an accident of RabbitMQ's that everyone has to keep
    _method(
        50,
        10,
        "queue.declare",
        "ticket:short queue:shortstr passive:bit durable:bit exclusive:bit auto_delete:bit no_wait:bit arguments:table",
        reply="queue.declare-ok",
    ),
    _method(50, 11, "queue.declare-ok", "queue:shortstr message_count:long consumer_count:long"),
    _method(
        50,
        20,
        "queue.bind",
        "ticket:short queue:shortstr exchange:shortstr routing_key:shortstr no_wait:bit arguments:table",
        reply="queue.bind-ok",
    ),
    _method(50, 21, "queue.bind-ok"),
    _method(50, 30, "queue.purge", "ticket:short queue:shortstr no_wait:bit", reply="queue.purge-ok"),
    _method(50, 31, "queue.purge-ok", "message_count:long"),
    _method(
        50,
        40,
        "queue.delete",
        "ticket:short queue:shortstr if_unused:bit if_empty:bit no_wait:bit",
        reply="queue.delete-ok",
    ),
    _method(50, 41, "queue.delete-ok", "message_count:long"),
    _method(
        50,
        50,
        "queue.unbind",
        "ticket:short queue:shortstr exchange:shortstr routing_key:shortstr arguments:table",
        reply="queue.unbind-ok",
    ),
    _method(50, 51, "queue.unbind-ok"),
    _method(60, 10, "basic.qos", "prefetch_size:long prefetch_count:short global_:bit", reply="basic.qos-ok"),
    _method(60, 11, "basic.qos-ok"),
    _method(
        60,
        20,
        "basic.consume",
        "ticket:short queue:shortstr consumer_tag:shortstr "
        "no_local:bit no_ack:bit exclusive:bit no_wait:bit arguments:table",
        reply="basic.consume-ok",
    ),
    _method(60, 21, "basic.consume-ok", "consumer_tag:shortstr"),
    _method(60, 30, "basic.cancel", "consumer_tag:shortstr no_wait:bit", reply="basic.cancel-ok"),
    _method(60, 31, "basic.cancel-ok", "consumer_tag:shortstr"),
    _method(
        60,
        40,
        "basic.publish",
        "ticket:short exchange:shortstr routing_key:shortstr mandatory:bit immediate:bit",
        content=True,
    ),
    _method(
        60,
        50,
        "basic.return",
        "reply_code:short reply_text:shortstr exchange:shortstr routing_key:shortstr",
        content=True,
    ),
    _method(
        60,
        60,
        "basic.deliver",
        "consumer_tag:shortstr delivery_tag:longlong redelivered:bit exchange:shortstr routing_key:shortstr",
        content=True,
    ),
    _method(60, 70, "basic.get", "ticket:short queue:shortstr no_ack:bit", reply="basic.get-ok"),
    _method(
        60,
        71,
        "basic.get-ok",
        "delivery_tag:longlong redelivered:bit exchange:shortstr routing_key:shortstr message_count:long",
        content=True,
    ),
    _method(60, 72, "basic.get-empty", "cluster_id:shortstr"),
    _method(60, 80, "basic.ack", "delivery_tag:longlong multiple:bit"),
    _method(60, 90, "basic.reject", "delivery_tag:longlong requeue:bit"),
    _method(60, 100, "basic.recover-async", "requeue:bit"),
    _method(60, 110, "basic.recover", "requeue:bit", reply="basic.recover-ok"),
    _method(60, 111, "basic.recover-ok"),
    _method(60, 120, "basic.nack", "delivery_tag:longlong multiple:bit requeue:bit"),
    _method(85, 10, "confirm.select", "no_wait:bit", reply="confirm.select-ok"),
    _method(85, 11, "confirm.select-ok"),
    _method(90, 10, "tx.select", reply="tx.select-ok"),
    _method(90, 11, "tx.select-ok"),
    _method(90, 20, "tx.commit", reply="tx.commit-ok"),
    _method(90, 21, "tx.commit-ok"),
    _method(90, 30, "tx.rollback", reply="tx.rollback-ok"),
    _method(90, 31, "tx.rollback-ok"),
)

BY_INDEX: Final[dict[bytes, Method]] = {method.index: method for method in TABLE}
BY_NAME: Final[dict[str, Method]] = {method.name: method for method in TABLE}


def method_of(payload: bytes) -> Method:
    """Which method a method frame carries.

    Raises:
        AmqpFault: NOT_IMPLEMENTED for a method that is not in the table, FRAME_ERROR for less than four bytes.
    """
    method = BY_INDEX.get(payload[:4])
    if method is not None:
        return method
    if len(payload) < 4:
        raise AmqpFault(ReplyCode.FRAME_ERROR, f"a method frame of {len(payload)} bytes")
    class_id, method_id = int.from_bytes(payload[:2], "big"), int.from_bytes(payload[2:4], "big")
    raise AmqpFault(
        ReplyCode.NOT_IMPLEMENTED,
        f"no method {method_id} of class {class_id} in AMQP 0-9-1",
        class_id=class_id,
        method_id=method_id,
    )
