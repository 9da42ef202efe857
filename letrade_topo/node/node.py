"""A private RabbitMQ node: start, stop, kill, ask.

Theory of operation: files are rendered and written, an Erlang port mapper (epmd) of the node's own
is started, then the node. Both are processes in sessions of their own. They either survive this
program (`Lifetime.OWN`) or die with the thread that started them (`Lifetime.CALLER`, for tests:
start them from the main thread). The node's own pid is that of the Erlang machine, so that a kill
hits what it means to hit. Ready means: each listener answers in its protocol, verified with our
authority where it has TLS.
"""

from __future__ import annotations

import datetime
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from letrade_topo.node.boot_failure import port_was_taken, why_it_ended
from letrade_topo.node.certificates import CertificateFolder, Credential, write_private
from letrade_topo.node.enclosure import enclose
from letrade_topo.node.errors import NodeDied, NodeError, NodeNotReady
from letrade_topo.node.files import (
    render_configuration,
    render_definitions,
    render_enabled_plugins,
    render_environment,
)
from letrade_topo.node.installation import BIN
from letrade_topo.node.processes import ProcessIdentity, spawn
from letrade_topo.node.readiness import answers
from letrade_topo.node.settings import LOOPBACK, Listener, NodeFolder, NodeSettings, Ports

START_SECONDS = 120.0
# 3.10 needs 6 s with the management plugin: a supervisor's time-out of 5 s in rabbit_event_sup.
STOP_SECONDS = 60.0
_POLL_SECONDS = 0.1
_EPMD_SECONDS = 10.0


class Lifetime(Enum):
    """What the life of a node's processes depends on."""

    OWN = "own"
    CALLER = "caller"

    @property
    def command(self) -> tuple[str, ...]:
        """What stands before a command to make it so."""
        return ("setpriv", "--pdeathsig", "KILL", "--") if self is Lifetime.CALLER else ()


@dataclass(frozen=True, slots=True)
class NodeProcesses:
    """The processes of a node; the broker itself is None until it was started."""

    epmd: ProcessIdentity
    broker: ProcessIdentity | None = None


class Node:
    """One node in one folder.

    Args:
        settings: what it is.
        lifetime: whether its processes survive this program.
        ports: those of an earlier start, to be used again; None for free ones.
        processes: those of an earlier start, by this or another program.
        on_change: told the processes as soon as one was started, so that they can be recorded.
    """

    def __init__(
        self,
        settings: NodeSettings,
        *,
        lifetime: Lifetime,
        ports: Ports | None = None,
        processes: NodeProcesses | None = None,
        on_change: Callable[[Ports, NodeProcesses], None] = lambda _ports, _processes: None,
    ) -> None:
        self.settings = settings
        self.folder = NodeFolder(settings.folder)
        self.certificates = CertificateFolder(self.folder.tls)
        self.ports = ports or Ports.free(settings.listeners)
        self.processes = processes
        self._lifetime = lifetime
        self._on_change = on_change
        self._enclosure = enclose(settings.installation, settings.folder)

    @property
    def is_running(self) -> bool:
        """Whether the broker's process runs."""
        return self._broker is not None and self._broker.is_running()

    @property
    def answers(self) -> bool:
        """Whether it answers on each of its listeners."""
        return answers(self.ports, self.certificates.ca_file)

    @property
    def password(self) -> str:
        """The administrator's password; the first start makes it."""
        return self.folder.password_file.read_text(encoding="ascii").strip()

    def url(self, listener: Listener) -> str:
        """The URL of a listener; management's ends without a slash."""
        prefix = self.settings.path_prefix if listener.is_management else ""
        return f"{listener.value}://{LOOPBACK}:{self.ports.listeners[listener]}{prefix}"

    def client_credential(self, name: str) -> Credential:
        """A certificate with the common name `name`, made when there is none."""
        self.certificates.ensure((name,), now=datetime.datetime.now(datetime.UTC))
        return self.certificates.client(name)

    def start(self, timeout_seconds: float = START_SECONDS) -> None:
        """Start the node and wait until it is ready; its data of an earlier start are kept.

        Ports that are taken by now are replaced by others, once. A start that fails leaves no
        process behind.

        Raises:
            NodeDied: it ended while it started.
            NodeNotReady: it did not answer within the limit.
        """
        try:
            if self._broker is not None and self._broker.is_running():
                self._wait_until_ready(self._broker, time.monotonic() + timeout_seconds)
                return
            if not self.ports.are_free() and not self._has_epmd():
                self.ports = Ports.free(self.settings.listeners)
            try:
                self._start_once(timeout_seconds)
            except NodeDied as died:
                if not died.port_was_taken:
                    raise
                self.kill()
                self.ports = Ports.free(self.settings.listeners)
                self._start_once(timeout_seconds)
        except BaseException:  # an interrupt as well
            self.kill()
            raise

    def stop(self, timeout_seconds: float = STOP_SECONDS) -> None:
        """Stop the node in good order, then its epmd. One that does not stop is killed."""
        if self._broker is not None:
            self._broker.end(timeout_seconds)
        self._end_epmd()

    def kill(self) -> None:
        """End the node as a crash would, then its epmd."""
        self.crash()
        self._end_epmd()

    def crash(self) -> None:
        """End the node as a crash would; its epmd stays."""
        if self._broker is not None:
            self._broker.kill()

    def ctl(self, *arguments: str, tool: str = "rabbitmqctl", timeout_seconds: float = 60) -> str:
        """Run rabbitmqctl, or a tool beside it, on this node, and return its standard output.

        Paths in the arguments are those that the node sees.

        Raises:
            NodeError: it failed; `why` has its own words.
        """
        argv, environment = self.ctl_command(*arguments, tool=tool)
        try:
            result = subprocess.run(
                argv,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout_seconds,
            )
        except subprocess.TimeoutExpired as expired:
            raise NodeError(f"{tool} did not end within {timeout_seconds:g} s") from expired
        if result.returncode != 0:
            # Only the command's name: an argument may be a password.
            raise NodeError(
                f"{tool} {arguments[0] if arguments else ''} failed with exit code {result.returncode}",
                why=(result.stderr or result.stdout).strip(),
            )
        return result.stdout

    def ctl_command(self, *arguments: str, tool: str = "rabbitmqctl") -> tuple[list[str], dict[str, str]]:
        """The command and the whole environment that run rabbitmqctl on this node.

        Raises:
            NodeError: the node was stopped. Without its epmd, rabbitmqctl would start another,
                which stays when it ends.
        """
        if not self._has_epmd():
            raise NodeError(f"{tool} cannot be run: the node in {self.settings.folder} is not running")
        argv = self._enclosure.command(str(BIN / tool), *arguments)
        return argv, render_environment(self.settings, self.ports, self._enclosure)

    def _start_once(self, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        self._write_files()
        if not self._has_epmd():
            self._start_epmd()
        # `detached` makes the start script replace itself by the Erlang machine, else it stays as a
        # parent that turns signals into orders.
        environment = render_environment(self.settings, self.ports, self._enclosure) | {"detached": "1"}
        argv = self._enclosure.command(*self._lifetime.command, str(BIN / "rabbitmq-server"))
        broker = spawn(argv, environment, self.folder.output)
        self._record(replace(self._running_processes(), broker=broker))
        self._wait_until_ready(broker, deadline)

    def _write_files(self) -> None:
        folder = self.folder
        for path in (folder.path, folder.home, folder.data, folder.log, *folder.generated):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path, characters in (
            (folder.cookie, secrets.token_hex(16)),
            (folder.password_file, secrets.token_urlsafe(24)),
        ):
            if not path.exists():
                write_private(path, characters.encode())
        self.certificates.ensure((), now=datetime.datetime.now(datetime.UTC))
        for path, text in (
            (folder.configuration, render_configuration(self.settings, self.ports, self._enclosure)),
            (folder.enabled_plugins, render_enabled_plugins(self.settings)),
            (folder.definitions, render_definitions(self.password, os.urandom(4))),
        ):
            write_private(path, text.encode())
        # What is in them afterwards is this start's; the log of the one before is kept.
        folder.output.write_bytes(b"")
        if self._log_file.exists():
            self._log_file.replace(self._log_file.with_suffix(".log.1"))

    def _start_epmd(self) -> None:
        argv = self._enclosure.command(
            *self._lifetime.command, "epmd", "-address", LOOPBACK, "-port", str(self.ports.epmd)
        )
        environment = render_environment(self.settings, self.ports, self._enclosure)
        output = self.folder.log / "epmd"
        output.unlink(missing_ok=True)
        epmd = spawn(argv, environment, output)
        self._record(NodeProcesses(epmd))
        deadline = time.monotonic() + _EPMD_SECONDS
        while not _accepts(self.ports.epmd):
            if not epmd.is_running():
                raise _died("the Erlang port mapper (epmd) ended at once", output)
            if time.monotonic() > deadline:
                raise NodeNotReady(f"the Erlang port mapper (epmd) did not listen within {_EPMD_SECONDS:g} s")
            time.sleep(_POLL_SECONDS / 5)

    def _wait_until_ready(self, broker: ProcessIdentity, deadline: float) -> None:
        name = f"RabbitMQ {self.settings.installation.version}"
        while not self.answers:
            if not broker.is_running():
                raise _died(f"{name} ended while it started", self.folder.output)
            if port_was_taken(_read(self._log_file)):
                raise NodeDied(f"{name} started without a listener whose port was taken", port_was_taken=True)
            if time.monotonic() > deadline:
                raise NodeNotReady(
                    f"{name} runs, but does not answer in time",
                    fix=f"see its logs in {self.folder.log}; a busy machine may need longer",
                )
            time.sleep(_POLL_SECONDS)

    @property
    def _log_file(self) -> Path:
        return self.folder.log / f"{self.settings.name}@localhost.log"

    @property
    def _broker(self) -> ProcessIdentity | None:
        return self.processes.broker if self.processes else None

    def _has_epmd(self) -> bool:
        return self.processes is not None and self.processes.epmd.is_running()

    def _running_processes(self) -> NodeProcesses:
        assert self.processes is not None  # noqa: S101 - epmd was started before
        return self.processes

    def _end_epmd(self) -> None:
        if self.processes:
            self.processes.epmd.end(_EPMD_SECONDS)

    def _record(self, processes: NodeProcesses) -> None:
        self.processes = processes
        self._on_change(self.ports, processes)


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False


def _died(what: str, output: Path) -> NodeDied:
    text = _read(output)
    return NodeDied(
        what,
        why=why_it_ended(text),
        fix=f"see its logs in {output.parent}",
        port_was_taken=port_was_taken(text),
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
