"""A bare AMQP client that is cheap enough to saturate an agent: blocking sockets, ready-made frames, no checks.

It stands for any client; what it costs is not measured.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from letrade_topo.amqp.channel_commands import ChannelOpen, ConfirmSelect, Consume, Qos
from letrade_topo.amqp.command import Command
from letrade_topo.amqp.commands import parse_command
from letrade_topo.amqp.connection_commands import ConnectionClose, Open, StartOk, Tune, TuneOk
from letrade_topo.amqp.frames import METHOD, PROTOCOL_HEADER, Frame, FrameDecoder, encode_method
from letrade_topo.amqp.handshake import SaslLogin, plain_response
from letrade_topo.amqp.header_table import EMPTY_TABLE

CHANNEL = 1
READ_BYTES = 262_144


class Target(NamedTuple):
    """Where to connect, and as whom.

    Args:
        url: `amqp://` or `amqps://`, host and port.
        vhost: to open.
        username, password: for PLAIN.
        ca_file: of the broker, for `amqps`.
    """

    url: str
    vhost: str
    username: str = "bench"
    password: str = "bench"  # noqa: S105  # an agent on loopback takes anything
    ca_file: Path | None = None


class OtherSideClosed(Exception):
    """The other side closed the connection."""


class BenchClient:
    """One connection with one open channel."""

    def __init__(self, target: Target) -> None:
        address = urlsplit(target.url)
        assert address.hostname is not None
        assert address.port is not None
        self.socket: socket.socket = socket.create_connection((address.hostname, address.port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if address.scheme == "amqps":
            context = ssl.create_default_context(cafile=str(target.ca_file))
            self.socket = context.wrap_socket(self.socket, server_hostname=address.hostname)
        self._decoder = FrameDecoder()
        self._frames: list[Frame] = []
        self.frame_max = 131_072
        try:
            self._log_in(target)
        except BaseException:
            self.close()
            raise

    def call(self, channel: int, command: Command) -> Command:
        """Send a method and wait for its answer."""
        self.socket.sendall(encode_method(channel, command.encode()))
        return self.wait_method()

    def wait_method(self) -> Command:
        """The next method that has a class here."""
        while True:
            for index, (kind, _, payload) in enumerate(self._frames):
                command = parse_command(payload) if kind == METHOD else None
                if command is not None:
                    del self._frames[: index + 1]
                    if isinstance(command, ConnectionClose):
                        raise OtherSideClosed(command.reply_text.decode(errors="replace"))
                    return command
            self._frames = self.read()

    def read(self) -> list[Frame]:
        """What has come in, at least one byte."""
        data = self.socket.recv(READ_BYTES)
        if not data:
            raise OtherSideClosed("without a word")
        frames = self._decoder.feed(data)
        if self._decoder.fault is not None:
            raise self._decoder.fault
        return frames

    def frames(self) -> Iterator[list[Frame]]:
        """All that comes in, read by read; what had come before first."""
        pending, self._frames = self._frames, []
        yield pending
        while True:
            yield self.read()

    def confirm(self) -> None:
        """Ask for confirms."""
        self.call(CHANNEL, ConfirmSelect())

    def consume(self, queue: str, prefetch: int) -> None:
        """Subscribe, with acknowledgements."""
        self.call(CHANNEL, Qos(prefetch_count=prefetch))
        self.call(CHANNEL, Consume(queue=queue.encode()))

    def close(self) -> None:
        """Without ceremony."""
        self.socket.close()

    def _log_in(self, target: Target) -> None:
        self.socket.sendall(PROTOCOL_HEADER)
        self.wait_method()  # start
        response = plain_response(SaslLogin(target.username.encode(), target.password.encode()))
        tune = self.call(0, StartOk(client_properties=EMPTY_TABLE, mechanism=b"PLAIN", response=response))
        assert isinstance(tune, Tune), tune
        self.frame_max = tune.frame_max or self.frame_max
        self._decoder.frame_max = self.frame_max
        tune_ok = TuneOk(channel_max=tune.channel_max, frame_max=self.frame_max, heartbeat=0)
        self.socket.sendall(encode_method(0, tune_ok.encode()))
        self.call(0, Open(virtual_host=target.vhost.encode()))
        self.call(CHANNEL, ChannelOpen())
