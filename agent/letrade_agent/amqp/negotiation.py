"""The handshake as functions: protocol header, login, tuning, properties. Nothing here knows what comes next.

The agent is a server towards the application and a client towards the broker; the two negotiations are
independent but for the limits, which the broker sets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from typing import Final

from letrade_topo.amqp.connection_commands import Tune, TuneOk
from letrade_topo.amqp.faults import AmqpFault, ReplyCode
from letrade_topo.amqp.frames import MIN_FRAME_MAX, PROTOCOL_HEADER
from letrade_topo.amqp.handshake import SaslLogin
from letrade_topo.amqp.header_table import (
    HeaderTable,
    boolean_entry,
    long_string_entry,
    table_entry,
    table_value,
)
from letrade_topo.amqp.wire import boolean_value, long_string_value

MECHANISMS: Final = b"PLAIN AMQPLAIN"

_ACCEPTED_HEADERS: Final = (PROTOCOL_HEADER, b"AMQP\x01\x01\x00\x09")
"""0-9-1, and 0-9, which RabbitMQ treats as 0-9-1."""

_AMQP_1_0_HEADERS: Final = tuple(b"AMQP" + bytes((layer, 1, 0, 0)) for layer in (0, 2, 3))
"""Plain, over TLS, over SASL."""

_HTTP_VERBS: Final = (b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI", b"PATC", b"CONN", b"PRI ")

AGENT_CAPABILITIES: Final = (
    b"publisher_confirms",
    b"exchange_exchange_bindings",
    b"basic.nack",
    b"consumer_cancel_notify",
    b"connection.blocked",
    b"consumer_priorities",
    b"authentication_failure_close",
    b"per_consumer_qos",
    b"direct_reply_to",
)
"""What the agent can deal with upstream, whatever its client can: it gates the rest itself."""


class Speaker(Enum):
    """Who knocks at the port, by the first bytes."""

    AMQP = "AMQP 0-9-1"
    AMQP_1_0 = "an AMQP 1.0 client"
    OTHER_AMQP = "an AMQP client of another version"
    TLS = "a TLS client; this port speaks plain AMQP"
    HTTP = "an HTTP client; this port speaks AMQP"
    UNKNOWN = "something that does not speak AMQP"


def recognise(start: bytes) -> Speaker | None:
    """Tell from the first bytes of a connection who speaks; None while there are too few of them.

    Everyone but AMQP 0-9-1 is to be answered with `PROTOCOL_HEADER` and closed (AMQP 0-9-1, 4.2.2).
    """
    if start[:8] in _ACCEPTED_HEADERS:
        return Speaker.AMQP
    if len(start) < 4:
        return None
    if start[:4] == b"AMQP":
        if len(start) < 8:
            return None
        return Speaker.AMQP_1_0 if start[:8] in _AMQP_1_0_HEADERS else Speaker.OTHER_AMQP
    if start[0] == 0x16 and start[1] == 0x03:
        return Speaker.TLS
    return Speaker.HTTP if start[:4] in _HTTP_VERBS else Speaker.UNKNOWN


def read_login(mechanism: bytes, response: bytes) -> SaslLogin:
    """Read the response of connection.start-ok.

    Raises:
        AmqpFault: COMMAND_INVALID for a mechanism that was not offered, SYNTAX_ERROR for a response that does
            not have its form. Neither text holds any of the response.
    """
    match mechanism:
        case b"PLAIN":
            parts = response.split(b"\0")
            if len(parts) == 3:
                return SaslLogin(parts[1], parts[2])
        case b"AMQPLAIN":
            table = HeaderTable.parse(len(response).to_bytes(4, "big") + response)
            username, password = (long_string_value(table.get(key) or b"V") for key in (b"LOGIN", b"PASSWORD"))
            if username is not None and password is not None:
                return SaslLogin(username, password)
        case _:
            raise AmqpFault(
                ReplyCode.COMMAND_INVALID, f"unknown authentication mechanism; offered are {MECHANISMS.decode()}"
            )
    raise AmqpFault(ReplyCode.SYNTAX_ERROR, f"the response does not have the form of {mechanism.decode()}")


def check_limits(offered: Tune, chosen: TuneOk) -> None:
    """As a server: whether the client settled on what was offered. Its heartbeat is its own choice.

    Raises:
        AmqpFault: NOT_ALLOWED in RabbitMQ's words; 0, no limit, is more than any limit.
    """
    _check_limit("channel_max", chosen.channel_max, 1, offered.channel_max)
    _check_limit("frame_max", chosen.frame_max, MIN_FRAME_MAX, offered.frame_max)


def _check_limit(name: str, chosen: int, lowest: int, highest: int) -> None:
    if 0 < chosen < lowest:
        problem = f"lower than the minimum allowed value ({lowest})"
    elif highest and (chosen == 0 or chosen > highest):
        problem = f"higher than the maximum allowed value ({highest})"
    else:
        return
    raise AmqpFault(ReplyCode.NOT_ALLOWED, f"negotiated {name} = {chosen} is {problem}", class_id=10, method_id=30)


def capabilities(properties: HeaderTable) -> frozenset[bytes]:
    """The capabilities that a side says it has, from its properties; anything malformed is none.

    Raises:
        AmqpFault: SYNTAX_ERROR, the table inside is malformed.
    """
    table = table_value(properties.get(b"capabilities") or b"V")
    if table is None:
        return frozenset()
    return frozenset(name for name in table if boolean_value(table.get(name) or b"V"))


def upstream_properties(client: HeaderTable, *, connection_name: bytes) -> HeaderTable:
    """The client's properties as the broker shall see them: its own, under the agent's name and capabilities."""
    able = HeaderTable(tuple(boolean_entry(name, truth=True) for name in AGENT_CAPABILITIES))
    kept = client.without(lambda name: name in (b"capabilities", b"connection_name"))
    return kept.with_entries(table_entry(b"capabilities", able), long_string_entry(b"connection_name", connection_name))


def connection_name(client: HeaderTable) -> bytes | None:
    """What the client calls its connection, else its product; None if it says neither."""
    for name in (b"connection_name", b"product"):
        text = long_string_value(client.get(name) or b"V")
        if text:
            return text
    return None


def counts_nacks(broker: HeaderTable) -> bool:
    """Whether the broker counts basic.nack with `requeue` and basic.recover towards a queue's delivery limit.

    RabbitMQ from 4.3.0 on does not: only basic.reject and a channel or connection that ends do (rabbit_channel.erl,
    `requeue`; rabbit_fifo.erl, `return_one`). What has another name or a version that cannot be read is taken for one
    that does not: a reject counts everywhere.
    """
    product, version = (long_string_value(broker.get(name) or b"V") for name in (b"product", b"version"))
    found = _VERSION.match(version or b"")
    if product != b"RabbitMQ" or found is None:
        return False
    return (int(found[1]), int(found[2])) < _NACKS_UNCOUNTED_SINCE


_VERSION: Final = re.compile(rb"([0-9]{1,9})\.([0-9]{1,9})")
_NACKS_UNCOUNTED_SINCE: Final = (4, 3)


def server_properties(broker: HeaderTable, *, withheld: Iterable[bytes] = ()) -> HeaderTable:
    """The broker's properties as the client shall see them: unchanged but for capabilities that are refused.

    Product and version stay RabbitMQ's: some clients decide by them.
    """
    refused = frozenset(withheld)
    able = table_value(broker.get(b"capabilities") or b"V")
    if not refused or able is None:
        return broker
    kept = able.without(lambda name: name in refused)
    others = broker.without(lambda name: name == b"capabilities")
    return others.with_entries(table_entry(b"capabilities", kept))
