"""A cluster of private RabbitMQ nodes on loopback: one epmd, one Erlang cookie, one authority, one administrator.

The nodes start at the same time and are then joined, step by step, with rabbitmqctl. They die with the program that
started them.
"""

from __future__ import annotations

import datetime
import secrets
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from letrade_topo.node.certificates import CertificateFolder, write_private
from letrade_topo.node.enclosure import enclose
from letrade_topo.node.files import render_environment
from letrade_topo.node.node import Lifetime, Node, NodeProcesses
from letrade_topo.node.processes import ProcessIdentity, spawn
from letrade_topo.node.settings import LOOPBACK, TLS_ONLY, NodeFolder, NodeSettings
from tests.brokers import RunningBroker, installation_of
from tests.ports import free_port, node_ports

_ONLINE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster as a test sees it.

    Args:
        nodes: all of them; each may be crashed and started again (`start`).
        threads: nodes die with the thread that started them, so these stay.
    """

    nodes: Sequence[RunningBroker]
    threads: ThreadPoolExecutor

    @property
    def upstream(self) -> str:
        """All nodes, as value of `--upstream`."""
        return ",".join(node.amqps_url for node in self.nodes)

    def at(self, url: str) -> RunningBroker:
        """The node with this AMQP listener."""
        return next(node for node in self.nodes if node.amqps_url == url)

    def start(self, node: RunningBroker) -> None:
        """Start a node that was crashed; it joins the others by itself."""
        self.threads.submit(node.node.start).result()


@contextmanager
def running_cluster(folder: Path, version: str, size: int = 3) -> Iterator[Cluster]:
    """Start nodes and join them; they are killed at the end.

    Args:
        folder: for their folders.
        version: of RabbitMQ, as in tests/brokers.py.
        size: how many.
    """
    first = folder / "n1"
    epmd_port = free_port()
    epmd = _start_epmd(first, version, epmd_port)
    try:
        nodes = [_node(folder, version, f"n{number}", epmd_port, epmd) for number in range(1, size + 1)]
        _share_secrets(nodes)
        with ThreadPoolExecutor(size) as threads:
            try:
                list(threads.map(Node.start, nodes))
                _join(nodes, threads)
                yield Cluster([RunningBroker(node) for node in nodes], threads)
            finally:
                for node in nodes:
                    node.crash()
    finally:
        epmd.kill()


def _node(folder: Path, version: str, name: str, epmd_port: int, epmd: ProcessIdentity) -> Node:
    settings = NodeSettings(folder / name, installation_of(version), name=name)
    ports = replace(node_ports(settings.listeners), epmd=epmd_port)
    return Node(settings, lifetime=Lifetime.CALLER, ports=ports, processes=NodeProcesses(epmd))


def _start_epmd(folder: Path, version: str, port: int) -> ProcessIdentity:
    settings = NodeSettings(folder, installation_of(version))
    folder.mkdir()
    enclosure = enclose(settings.installation, folder)
    argv = enclosure.command(*Lifetime.CALLER.command, "epmd", "-address", LOOPBACK, "-port", str(port))
    environment = render_environment(settings, replace(node_ports(TLS_ONLY), epmd=port), enclosure)
    epmd = spawn(argv, environment, folder / "epmd")
    deadline = time.monotonic() + _ONLINE_SECONDS
    while not _accepts(port):  # a node that comes before it ends
        assert epmd.is_running(), (folder / "epmd").read_text(encoding="utf-8", errors="replace")
        assert time.monotonic() < deadline, f"no epmd after {_ONLINE_SECONDS} s"
        time.sleep(0.02)
    return epmd


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((LOOPBACK, port)) == 0


def _share_secrets(nodes: Sequence[Node]) -> None:
    """Every start loads the administrator anew: with one password, so that it is the same whoever started last."""
    first = CertificateFolder(nodes[0].folder.tls)
    first.ensure((), now=datetime.datetime.now(datetime.UTC))
    cookie, password = secrets.token_hex(16).encode(), secrets.token_urlsafe(24).encode()
    for node in nodes:
        folder = NodeFolder(node.settings.folder)
        folder.home.mkdir(parents=True)
        write_private(folder.cookie, cookie)
        write_private(folder.password_file, password)
        if node is not nodes[0]:
            shutil.copytree(first.folder, folder.tls)


def _join(nodes: Sequence[Node], threads: ThreadPoolExecutor) -> None:
    """Let the others join the first, one after the other."""
    first, *others = nodes
    list(threads.map(lambda node: node.ctl("stop_app"), others))
    for node in others:
        node.ctl("join_cluster", f"{first.settings.name}@localhost")  # resets the node itself
        node.ctl("start_app")
    first.ctl("await_online_nodes", str(len(nodes)), "--timeout", str(_ONLINE_SECONDS))
