"""What a private node is: one frozen description, from which its files follow (see `files`).

Knows no process and no socket, but for choosing free ports.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from pathlib import Path
from random import SystemRandom
from types import MappingProxyType
from typing import Self

from letrade_topo.node.installation import Installation

LOOPBACK = "127.0.0.1"
_CHOICE = range(10_000, 20_000)
ADMINISTRATOR = "admin"


class Listener(StrEnum):
    """What a node may listen on; the value is the URL scheme."""

    AMQPS = "amqps"
    AMQP = "amqp"
    HTTPS = "https"
    HTTP = "http"

    @property
    def is_management(self) -> bool:
        """Whether the management plugin listens there."""
        return self in {Listener.HTTPS, Listener.HTTP}

    @property
    def is_tls(self) -> bool:
        """Whether it speaks TLS."""
        return self in {Listener.AMQPS, Listener.HTTPS}


TLS_ONLY = frozenset({Listener.AMQPS, Listener.HTTPS})


@dataclass(frozen=True, slots=True)
class Ports:
    """The loopback ports of a node.

    Args:
        listeners: one for each of its listeners.
        epmd: the node's own Erlang port mapper.
        distribution: the node's Erlang distribution.
        cli: where rabbitmqctl's own distribution listens, this and the ten ports above.
    """

    listeners: Mapping[Listener, int]
    epmd: int
    distribution: int
    cli: int

    @classmethod
    def free(cls, listeners: frozenset[Listener]) -> Self:
        """Ports that are free at this moment: nothing keeps them so until the node binds them.

        They lie below those that Linux gives to outgoing connections (`ip_local_port_range`): a node
        that is down for a moment would lose one of those to whoever connects to anything meanwhile.
        """
        candidates = SystemRandom().sample(_CHOICE, len(_CHOICE))
        return cls.of(listeners, list(islice(filter(_is_free, candidates), len(listeners) + 3)))

    @classmethod
    def of(cls, listeners: frozenset[Listener], ports: Sequence[int]) -> Self:
        """These ports, which are three more than there are listeners."""
        epmd, distribution, cli, *rest = ports
        return cls(MappingProxyType(dict(zip(sorted(listeners), rest, strict=True))), epmd, distribution, cli)

    def are_free(self) -> bool:
        """Whether a node could bind all of them now."""
        with ExitStack() as stack:
            for port in (*self.listeners.values(), self.epmd, self.distribution):
                each = stack.enter_context(socket.socket())
                # As Erlang does: connections of a node just ended, in TIME_WAIT, are no obstacle.
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    each.bind((LOOPBACK, port))
                except OSError:
                    return False
        return True


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """A private node.

    Args:
        folder: absolute; holds everything of the node, and nothing else's.
        installation: the RabbitMQ that runs.
        listeners: at least one of AMQP's; the management plugin is enabled when one is its own.
        plugins: further plugins; RabbitMQ starts without those it does not know.
        path_prefix: the management plugin's, beginning with a slash, or empty.
        extra_configuration: further lines of rabbitmq.conf.
        name: the part of the node's name before `@localhost`.
    """

    folder: Path
    installation: Installation
    listeners: frozenset[Listener] = TLS_ONLY
    plugins: tuple[str, ...] = ()
    path_prefix: str = ""
    extra_configuration: tuple[str, ...] = ()
    name: str = field(default="letrade")

    @property
    def has_management(self) -> bool:
        """Whether the management plugin is enabled."""
        return any(listener.is_management for listener in self.listeners)


@dataclass(frozen=True, slots=True)
class NodeFolder:
    """Where a node's files lie. The node writes below `data`, `log`, `config` and `schema`."""

    path: Path

    @property
    def home(self) -> Path:
        """Its HOME, which decides the Erlang cookie."""
        return self.path / "home"

    @property
    def cookie(self) -> Path:
        """The Erlang cookie: the node and rabbitmqctl must share it."""
        return self.home / ".erlang.cookie"

    @property
    def configuration(self) -> Path:
        """rabbitmq.conf."""
        return self.path / "rabbitmq.conf"

    @property
    def enabled_plugins(self) -> Path:
        """The list of enabled plugins, an Erlang term."""
        return self.path / "enabled_plugins"

    @property
    def definitions(self) -> Path:
        """What the node loads at each start: administrator and default vhost."""
        return self.path / "definitions.json"

    @property
    def data(self) -> Path:
        """The messages and the metadata."""
        return self.path / "data"

    @property
    def log(self) -> Path:
        """Logs and crash dumps."""
        return self.path / "log"

    @property
    def output(self) -> Path:
        """What the node writes to its standard output: the reason of a failed start is there."""
        return self.log / "stdout"

    @property
    def generated(self) -> tuple[Path, Path]:
        """Where the node puts the configuration it generates, and the plugins' schemas."""
        return self.path / "config", self.path / "schema"

    @property
    def tls(self) -> Path:
        """The certificates."""
        return self.path / "tls"

    @property
    def password_file(self) -> Path:
        """The administrator's password, readable by its owner only."""
        return self.path / "admin.password"
