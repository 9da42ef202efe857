"""A broker for a suite, with an agent beside it or without, and the environment that tells the suite of them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Final
from urllib.parse import quote

from letrade_topo.node.node import Node
from letrade_topo.node.settings import Listener
from tests.agents import AgentLogin, make_key_folder, running_agent
from tests.brokers import RunningBroker, running_broker
from tests.client_suites.suites import Environment
from tests.topologies import loaded, orders, write

_VHOST: Final = "/"
_GUEST: Final = "guest"
"""As whom both suites log in, with the name as password."""

_LARGEST_MEBIBYTES: Final = 64
"""Message, for the broker, too: its own 16 MiB are less than what aio-pika's suite sends."""
_LOOK_SECONDS: Final = 0.2
AGENT_OPTIONS: Final = ("--undeclared", "pass", "--declares", "allow")


@contextmanager
def served(version: str, folder: Path, *, straight: bool) -> Iterator[Environment]:
    """A fresh broker, and an agent that passes what its topology does not declare.

    Args:
        version: of the broker, as in `tests.brokers.SUITES`.
        folder: for the files of both.
        straight: without an agent.

    Raises:
        RuntimeError: at the end: the agent had an error of its own.
    """
    nodes = folder / "broker"
    nodes.mkdir(parents=True)
    size = f"max_message_size = {_LARGEST_MEBIBYTES * 1024 * 1024}"
    with ExitStack() as stack:
        options = {"listeners": frozenset(Listener), "extra_configuration": (size,)}
        broker = stack.enter_context(running_broker(nodes, version, **options))
        _let_guest_in(broker)
        stack.enter_context(_kept_running(broker.node))
        ports = broker.node.ports.listeners
        secure = {
            "AMQPS_PORT": str(broker.amqps_port),
            "MANAGEMENT_PORT": str(ports[Listener.HTTP]),
            "RABBITMQ_RABBITMQCTL_PATH": str(_rabbitmqctl(broker, folder)),
        }
        if straight:
            yield {"AMQP_URL": _url(ports[Listener.AMQP]), **secure}
            return
        document = orders(vhost=_VHOST, limits={"message_size": f"{_LARGEST_MEBIBYTES}MiB"})
        password = folder / "guest.password"
        password.write_text(_GUEST, encoding="ascii")
        password.chmod(0o600)
        agent = stack.enter_context(
            running_agent(
                folder,
                service="shop",
                topology=write(folder / "topology.yaml", document),
                vhost=_VHOST,
                upstream=broker.amqps_url,
                ca_file=broker.ca_file,
                login=AgentLogin(
                    username=_GUEST, password_file=password
                ),  # the user id that the suites give their messages
                keys=make_key_folder(folder / "keys", loaded(document)),
                options=[*AGENT_OPTIONS, "--local-password-file", str(password)],
            )
        )
        yield {"AMQP_URL": _url(agent.port), **secure}
        if agent.metric("internal_errors_total"):
            errors = [line for line in agent.log() if line.get("level") == "error"]
            raise RuntimeError(f"the agent had errors of its own: {errors}")


@contextmanager
def _kept_running(node: Node) -> Iterator[None]:
    """Start it again whenever it has ended: suites kill their broker."""
    is_over = Event()

    def watch() -> None:
        while not is_over.wait(_LOOK_SECONDS):
            if not node.is_running:
                node.start()

    watcher = Thread(target=watch, name="broker")  # what it starts ends with it
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()


def _url(port: int) -> str:
    return f"amqp://{_GUEST}:{_GUEST}@127.0.0.1:{port}/"


def _let_guest_in(broker: RunningBroker) -> None:
    user = {"password": _GUEST, "tags": "administrator"}
    broker.api("PUT", f"/api/users/{_GUEST}", json=user).raise_for_status()
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    broker.api("PUT", f"/api/permissions/{quote(_VHOST, safe='')}/{_GUEST}", json=everything).raise_for_status()


def _rabbitmqctl(broker: RunningBroker, folder: Path) -> Path:
    """A program that takes rabbitmqctl's arguments for this node."""
    argv, variables = broker.node.ctl_command()
    command = ["env", "-i", *(f"{name}={value}" for name, value in variables.items()), *argv]
    program = folder / "rabbitmqctl"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', encoding="utf-8")
    program.chmod(0o700)
    return program
