"""A private broker for people: a node that outlives the program that started it, in one folder.

What is known about it lies in the folder (`state`), under a lock, so that any later program finds
it again, sees that it crashed, starts it again with its data, or stops it.
"""

from __future__ import annotations

import datetime
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from letrade_topo.node.certificates import Credential, write_private
from letrade_topo.node.errors import NodeError
from letrade_topo.node.folder_lock import folder_lock
from letrade_topo.node.installation import Installation, find_installation
from letrade_topo.node.node import Lifetime, Node, NodeProcesses
from letrade_topo.node.settings import ADMINISTRATOR, Listener, NodeSettings, Ports
from letrade_topo.node.state import STATE_FILE, BrokerState, read_state, write_state

_LOCK_FILE = "lock"
_ENVIRONMENT_FILE = "env"
_NODE_FOLDER = "node"


class BrokerStatus(StrEnum):
    """How it is with a private broker."""

    RUNNING = "running"
    NOT_ANSWERING = "not answering"
    DIED = "died"
    STOPPED = "stopped"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class BrokerReport:
    """A private broker as a person or a script wants to know it. No secret is in it.

    Args:
        status: how it is; of an absent one nothing but its folder is known.
        started_at: when its last start was, RFC 3339.
        management_url, amqps_url: None before its first start.
        clients: the client certificates by name.
    """

    status: BrokerStatus
    folder: Path
    version: str | None = None
    pid: int | None = None
    started_at: str | None = None
    management_url: str | None = None
    amqps_url: str | None = None
    username: str = ADMINISTRATOR
    password_file: Path | None = None
    ca_file: Path | None = None
    environment_file: Path | None = None
    log_folder: Path | None = None
    clients: tuple[tuple[str, Credential], ...] = ()


class PrivateBroker:
    """The private broker of a folder.

    Args:
        folder: made by the first start.
        say: told, line by line, what takes time.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder = folder.absolute()
        self._say = say

    def start(self, *, root: Path | None = None, clients: Sequence[str] = ()) -> BrokerReport:
        """Start it, unless it runs, and make certificates for further clients.

        Args:
            root: the root folder whose RabbitMQ shall run; None for the one of the last start,
                or else this machine's.
            clients: names that shall have a client certificate.

        Raises:
            NodeError: it cannot be started, or the folder holds something else.
        """
        self._check_ours()
        with self._locked():
            self._check_ours()
            state = self._state_for(root)
            write_state(self.folder, state)
            node = self._node(state)
            if node.is_running and node.certificates.is_due(_now()):
                self._say("the certificates are about to expire: starting it again with new ones")
                node.stop()
            node.certificates.ensure(clients, now=_now())
            if node.is_running and node.answers:
                self._say(f"RabbitMQ {state.version} runs already")
            else:
                self._start(node)
            self._write_environment(node)
        return self.report()

    def stop(self, *, delete: bool = False) -> bool:
        """Stop it; its data stay unless they are to be deleted. False when it did not run.

        Raises:
            NodeError: the folder is to be deleted, but holds something else.
        """
        if not self.folder.exists():
            return False
        if read_state(self.folder) is None:
            if delete:
                self._check_ours()
            return False
        with self._locked():
            state = read_state(self.folder)
            if state is None:  # deleted while we waited
                return False
            node = self._node(state)
            was_running = node.is_running
            if was_running:
                self._say(f"stopping RabbitMQ {state.version}")
            node.stop()
            write_state(self.folder, replace(state, processes=None))
            if delete:
                self._delete()
        return was_running

    def report(self) -> BrokerReport:
        """How it is."""
        state = read_state(self.folder)
        if state is None:
            return BrokerReport(BrokerStatus.ABSENT, self.folder)
        node = self._node(state)
        clients = sorted(path.stem for path in (node.folder.tls / "clients").glob("*.pem"))
        broker = state.processes.broker if state.processes else None
        return BrokerReport(
            status=_status(state, node),
            folder=self.folder,
            version=state.version,
            pid=broker.pid if broker and node.is_running else None,
            started_at=state.started_at,
            management_url=node.url(Listener.HTTPS) if state.ports else None,
            amqps_url=node.url(Listener.AMQPS) if state.ports else None,
            password_file=node.folder.password_file,
            ca_file=node.certificates.ca_file,
            environment_file=self.folder / _ENVIRONMENT_FILE,
            log_folder=node.folder.log,
            clients=tuple((name, node.certificates.client(name)) for name in clients),
        )

    def ctl_command(self, *arguments: str) -> tuple[list[str], dict[str, str]]:
        """The command and the whole environment that run rabbitmqctl on it.

        Raises:
            NodeError: it does not run.
        """
        state = read_state(self.folder)
        node = self._node(state) if state else None
        if node is None or not node.is_running:
            raise NodeError(f"no private broker runs in {self.folder}", fix="start it: letrade-topo broker start")
        return node.ctl_command(*arguments)

    def _start(self, node: Node) -> None:
        version = node.settings.installation.version
        self._say(f"starting RabbitMQ {version} in {self.folder} (some seconds)")
        node.start()
        self._say(f"RabbitMQ {version} is ready")

    def _state_for(self, root: Path | None) -> BrokerState:
        old = read_state(self.folder)
        if old is None:
            installation = find_installation(root)
            return BrokerState(installation.version, installation.root)
        installation = find_installation(root or old.root)
        if installation.root != old.root:
            raise NodeError(
                f"{self.folder} holds a broker of the RabbitMQ {old.version} {_place(old.root)}",
                why=f"the one asked for is {installation.version} {_place(installation.root)};"
                " data of one installation are not given to another",
                fix="use another --folder, or delete this one: letrade-topo broker stop --delete",
            )
        return replace(old, version=installation.version)

    def _node(self, state: BrokerState) -> Node:
        def record(ports: Ports, processes: NodeProcesses) -> None:
            started_at = _now().isoformat(timespec="seconds").replace("+00:00", "Z")
            write_state(self.folder, replace(state, ports=ports, processes=processes, started_at=started_at))

        settings = NodeSettings(self.folder / _NODE_FOLDER, Installation(state.version, state.root))
        return Node(settings, lifetime=Lifetime.OWN, ports=state.ports, processes=state.processes, on_change=record)

    def _write_environment(self, node: Node) -> None:
        variables = {
            "LETRADE_TOPO_BROKER_FOLDER": str(self.folder),
            "LETRADE_TOPO_MANAGEMENT": node.url(Listener.HTTPS),
            "LETRADE_TOPO_USERNAME": ADMINISTRATOR,
            "LETRADE_TOPO_PASSWORD_FILE": str(node.folder.password_file),
            "LETRADE_TOPO_AMQP": node.url(Listener.AMQPS),
            "LETRADE_TOPO_CA_FILE": str(node.certificates.ca_file),
            "LETRADE_AGENT_UPSTREAM": node.url(Listener.AMQPS),
        }
        text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
        write_private(self.folder / _ENVIRONMENT_FILE, text.encode())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        def waiting() -> None:
            self._say(f"another program is at work in {self.folder}: waiting for it")

        with folder_lock(self.folder / _LOCK_FILE, waiting):
            yield

    def _check_ours(self) -> None:
        if not self.folder.exists() or (self.folder / STATE_FILE).exists():
            return
        if not self.folder.is_dir() or {each.name for each in self.folder.iterdir()} - {_LOCK_FILE}:
            raise NodeError(
                f"{self.folder} is not a private broker's folder",
                why=f"it has no {STATE_FILE} and holds something else",
                fix="name another --folder, one that is empty or does not exist",
            )

    def _delete(self) -> None:
        shutil.rmtree(self.folder / _NODE_FOLDER, ignore_errors=False)
        # The state before the lock: whoever waits for the lock then finds no broker.
        for name in (_ENVIRONMENT_FILE, STATE_FILE, _LOCK_FILE):
            (self.folder / name).unlink(missing_ok=True)
        with suppress(OSError):  # somebody else has put something in it
            self.folder.rmdir()


def _status(state: BrokerState, node: Node) -> BrokerStatus:
    if state.processes is None:
        return BrokerStatus.STOPPED
    if not node.is_running:
        return BrokerStatus.DIED
    return BrokerStatus.RUNNING if node.answers else BrokerStatus.NOT_ANSWERING


def _place(root: Path | None) -> str:
    return f"in {root}" if root else "of this machine"


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
