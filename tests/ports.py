"""Loopback ports that nobody else takes between the choice and the start of what listens there.

They lie below those that the kernel gives to connections and to whoever asks for any port, and each process of a test
run has its own share.
"""

from __future__ import annotations

import os
import socket
from itertools import cycle, islice

from letrade_topo.node.settings import Listener, Ports

LOOPBACK = "127.0.0.1"
_FIRST = 20_000
_SHARE = 1_200
_SHARES = 10


def _share() -> range:
    """Those of this process, by the number of the pytest worker (`gw3`)."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARES
    first = _FIRST + number * _SHARE
    return range(first, first + _SHARE)


# Not from the first one on: another run on this machine may have begun there.
_OWN = _share()
_NEXT = cycle([*_OWN[os.getpid() % _SHARE :], *_OWN[: os.getpid() % _SHARE]])


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """So many ports that are free, all different, and not given out again soon."""
    found = list(islice(filter(_is_free, islice(_NEXT, _SHARE)), count))
    assert len(found) == count, f"{len(found)} of {count} free ports in {_OWN}"
    return found


def node_ports(listeners: frozenset[Listener]) -> Ports:
    """Those of a RabbitMQ node; the last is the first of the eleven that rabbitmqctl may use."""
    found = free_ports(len(listeners) + 2 + 11)
    return Ports.of(listeners, [*found[:2], found[-11], *found[2:-11]])


def free_port() -> int:
    """One."""
    (port,) = free_ports(1)
    return port
