"""Neighbours of a good client, each its own process at the lowest priority: it takes of the cores what is left.

    python -m bench.fairness.neighbours BYTES|HEARTBEATS|REFUSED|GREEDY|CROWD|SLOW '{"url": …}'

Each says `ready` when it has begun, a crowd also `settled` when all its connections are open, and goes on until its
standard input ends. What they send is made beforehand, and what they are sent is not looked at, so that they are cheap.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
import time
from collections import deque
from contextlib import suppress
from enum import Enum
from typing import Final
from urllib.parse import urlsplit

from bench.agents.client import CHANNEL, BenchClient, Target
from bench.agents.load import content
from bench.agents.messages import MessageKind
from letrade_topo.amqp.connection_commands import Open, OpenOk, StartOk, TuneOk
from letrade_topo.amqp.frames import BODY, HEARTBEAT_FRAME, PROTOCOL_HEADER, encode_frame, encode_method
from letrade_topo.amqp.handshake import SaslLogin, plain_response
from letrade_topo.amqp.header_table import EMPTY_TABLE

CROWD: Final = 2_000
_AT_ONCE: Final = 200
_PATIENCE_SECONDS: Final = 180.0
_BLOCK_BYTES: Final = 1 << 20
_BODY_BYTES: Final = 50_000
PREFETCH: Final = 5_000
"""Messages on offer to a consumer, more than all sockets between take."""
_SIPS_A_SECOND: Final = 50
_SIP_BYTES: Final = 512


class Neighbour(Enum):
    """What it does."""

    BYTES = "sends messages in frames of one byte"
    HEARTBEATS = "sends heartbeats without pause"
    REFUSED = "publishes what is refused, without pause"
    GREEDY = "publishes as fast as it can"
    CROWD = f"opens {CROWD:,} connections"
    SLOW = "takes its messages byte by byte"


def main() -> int:
    """Be a neighbour until standard input ends."""
    os.nice(19)
    neighbour, order = Neighbour[sys.argv[1]], json.loads(sys.argv[2])
    where = Target(order["url"], order["vhost"], order["username"], order["password"])
    if neighbour is Neighbour.CROWD:
        _Crowd(where).run()
        return 0
    client = BenchClient(where)
    client.confirm()
    if neighbour is Neighbour.SLOW:
        _take_slowly(client)
    else:
        _flood(client.socket, _block(neighbour, client.frame_max))
    return 0


def _block(neighbour: Neighbour, frame_max: int) -> bytes:
    """About a mebibyte to send again and again: whole messages."""
    match neighbour:
        case Neighbour.BYTES:
            before_body = len(content(MessageKind.NOISE, b"", frame_max))
            whole = content(MessageKind.NOISE, b"x" * _BODY_BYTES, frame_max)
            one = whole[:before_body] + encode_frame(BODY, CHANNEL, b"x") * _BODY_BYTES
        case Neighbour.HEARTBEATS:
            one = HEARTBEAT_FRAME
        case Neighbour.REFUSED:
            one = content(MessageKind.NOISE, b"{}", frame_max)
        case _:
            one = b"".join(content(MessageKind.NOISE, MessageKind.NOISE.body(0.0), frame_max) for _ in range(200))
    return one * max(1, _BLOCK_BYTES // len(one))


def _flood(to: socket.socket, block: bytes) -> None:
    to.setblocking(False)
    rest = memoryview(block)
    with selectors.DefaultSelector() as ready:
        ready.register(to, selectors.EVENT_READ | selectors.EVENT_WRITE)
        ready.register(sys.stdin, selectors.EVENT_READ)
        _say("ready")
        while True:
            for key, events in ready.select():
                if key.fileobj is sys.stdin:
                    return
                if events & selectors.EVENT_READ and not to.recv(_BLOCK_BYTES):
                    raise SystemExit("the connection was closed")
                if events & selectors.EVENT_WRITE:
                    rest = rest[to.send(rest) :] or memoryview(block)


def _take_slowly(client: BenchClient) -> None:
    """Much is on offer, and a few bytes of it are taken at a time; what is sent trickles as well."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.consume(MessageKind.NOISE.queue, PREFETCH)
    message = deque(content(MessageKind.NOISE, MessageKind.NOISE.body(0.0), client.frame_max))
    client.socket.setblocking(False)
    _say("ready")
    with selectors.DefaultSelector() as ready:
        ready.register(sys.stdin, selectors.EVENT_READ)
        while not ready.select(1 / _SIPS_A_SECOND):
            with suppress(BlockingIOError):
                client.socket.recv(_SIP_BYTES)
            client.socket.send(bytes((message[0],)))
            message.rotate(-1)


class _Crowd:
    """Logs in many times, so many at once, again where it is thrown out; then all of them do nothing."""

    def __init__(self, where: Target) -> None:
        address = urlsplit(where.url)
        self._address = (address.hostname, address.port)
        response = plain_response(SaslLogin(where.username.encode(), where.password.encode()))
        start_ok = StartOk(client_properties=EMPTY_TABLE, mechanism=b"PLAIN", response=response)
        tune_ok = TuneOk(channel_max=2047, frame_max=131_072, heartbeat=0)
        opening = Open(virtual_host=where.vhost.encode())
        login = [encode_method(0, command.encode()) for command in (start_ok, tune_ok, opening)]
        self._login = PROTOCOL_HEADER + b"".join(login)
        self._wanted = encode_method(0, OpenOk().encode())[7:11]
        self._ready = selectors.DefaultSelector()
        self._open: list[socket.socket] = []
        self._coming = 0

    def run(self) -> None:
        self._ready.register(sys.stdin, selectors.EVENT_READ)
        _say("ready")
        began, thrown_out = time.monotonic(), 0
        while True:
            while self._coming < min(_AT_ONCE, CROWD - len(self._open)):
                self._come()
            if began and time.monotonic() - began > _PATIENCE_SECONDS:
                raise SystemExit(f"{len(self._open)} of {CROWD} connections are open after {_PATIENCE_SECONDS:g} s")
            for key, _ in self._ready.select(1):
                if key.fileobj is sys.stdin:
                    return
                thrown_out += self._hear(key)
            if len(self._open) == CROWD and began:
                _say(f"settled {time.monotonic() - began:.1f} {thrown_out}")
                began = 0.0

    def _come(self) -> None:
        one = socket.create_connection(self._address)
        one.sendall(self._login)
        self._ready.register(one, selectors.EVENT_READ, bytearray())
        self._coming += 1

    def _hear(self, key: selectors.SelectorKey) -> int:
        one = key.fileobj
        assert isinstance(one, socket.socket)
        try:
            data = one.recv(4096)
        except ConnectionError:
            data = b""
        key.data.extend(data)
        if data and self._wanted not in key.data:
            return 0
        self._ready.unregister(one)
        self._coming -= 1
        if data:
            self._open.append(one)
        else:
            one.close()
        return not data


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
