"""A channel that the peer has closed is opened again at once, with everything that is to happen on it in one write."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from pamqp import body, commands, frame, header
from pamqp.base import Frame

from tests.interop.client import LIMIT_SECONDS, Endpoint
from tests.interop.conftest import Ways

TIMES = 20


@pytest.fixture
def connection(ways: Ways) -> Iterator[socket.socket]:
    """A connection through the agent, open, and nothing more."""
    endpoint: Endpoint = ways.by("agent")
    with socket.create_connection((endpoint.host, endpoint.port), LIMIT_SECONDS) as one:
        one.sendall(frame.marshal(header.ProtocolHeader(0, 9, 1), 0))
        answer = f"\0{endpoint.username}\0{endpoint.password}"
        _send(one, commands.Connection.StartOk({}, "PLAIN", answer, "en_US"), channel=0)
        _send(one, commands.Connection.TuneOk(2047, 131_072, 0), channel=0)
        _send(one, commands.Connection.Open(endpoint.vhost), channel=0)
        _hear(one, "Connection.Start", "Connection.Tune", "Connection.OpenOk")
        yield one


def test_close_ok_open_and_consume_in_one_write(connection: socket.socket, name: str) -> None:
    """As often as one likes: the broker's close-ok may still be on its way, and the client need not know."""
    _send(connection, commands.Channel.Open(), commands.Queue.Declare(0, name, exclusive=True))
    _hear(connection, "Channel.OpenOk", "Queue.DeclareOk")
    for number in range(TIMES):
        _send(connection, commands.Basic.Ack(99))  # an unknown delivery tag: the agent closes the channel
        _hear(connection, "Channel.Close")
        sent = b"%d" % number
        _send(
            connection,
            commands.Channel.CloseOk(),
            commands.Channel.Open(),
            commands.Basic.Publish(0, "", name),
            header.ContentHeader(body_size=len(sent), properties=commands.Basic.Properties()),
            body.ContentBody(sent),
            commands.Basic.Consume(0, name, no_ack=True),
        )
        heard = _hear(connection, "Channel.OpenOk", "Basic.ConsumeOk", "Basic.Deliver", "ContentHeader", "ContentBody")
        assert heard[-1].value == sent


def _send(one: socket.socket, *frames: Frame | header.ContentHeader | body.ContentBody, channel: int = 1) -> None:
    one.sendall(b"".join(frame.marshal(each, channel) for each in frames))


def _hear(one: socket.socket, *names: str) -> list[Any]:
    """The next frames, which are these, deliveries behind the answers."""
    heard = []
    for name in names:
        data = _exactly(one, 7)
        data += _exactly(one, int.from_bytes(data[3:7], "big") + 1)
        heard.append(frame.unmarshal(data)[2])
        assert heard[-1].name == name, heard[-1]
    return heard


def _exactly(one: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = one.recv(size - len(found))
        assert more, "the peer has closed"
        found += more
    return found
