"""A real agent beside a real broker: a `letrade-agent run` process, its ports, its log, its metrics.

For tests by the fixture `start_agent`, for benches and campaigns by the context manager `running_agent`. An agent
ends by SIGTERM to its own process, and dies with the program that started it.

With LETRADE_TOPO_TEST_SOCKET=yes agents listen on Unix sockets, and each port leads to one: whatever a suite tests of
agents, it then tests over those.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pika
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from letrade_topo.keys.making import make_keys
from letrade_topo.model.topology import Topology
from tests.brokers import RunningBroker
from tests.ports import LOOPBACK, free_ports
from tests.relay import relay_to

START_SECONDS = 60.0
STOP_SECONDS = 60.0
_ANSWER_SECONDS = 60.0
_POLL_SECONDS = 0.02
_METRIC_PREFIX = "letrade_agent_"
_INHERITED = ("PATH", "HOME", "LANG", "PYTHONPATH", "PYTHONASYNCIODEBUG")


@dataclass(frozen=True, slots=True)
class AgentLogin:
    """How an agent logs in to the broker.

    Args:
        certificate, key: a client certificate: EXTERNAL.
        username, password_file: PLAIN.
    """

    certificate: Path | None = None
    key: Path | None = None
    username: str | None = None
    password_file: Path | None = None

    def flags(self) -> list[str]:
        """As the command line has them."""
        given = {
            "--cert-file": self.certificate,
            "--key-file": self.key,
            "--username": self.username,
            "--password-file": self.password_file,
        }
        return [part for flag, value in given.items() if value is not None for part in (flag, str(value))]


@dataclass(slots=True)
class RunningAgent:
    """An agent as a test sees it.

    Args:
        service: beside which it stands.
        vhost: of its topology.
        process: the agent itself.
        port: where clients connect.
        admin_port: where metrics and health are.
        log_file: what it wrote to stderr.
        socket: where it listens, if that is a Unix socket; the port then leads there.
    """

    service: str
    vhost: str
    process: subprocess.Popen[bytes]
    port: int
    admin_port: int
    log_file: Path
    socket: Path | None = None

    @property
    def url(self) -> str:
        """For clients, with the vhost."""
        return f"amqp://guest:guest@{LOOPBACK}:{self.port}/{quote(self.vhost, safe='')}"

    @property
    def parameters(self) -> pika.ConnectionParameters:
        """For clients by pika, which try again: an agent whose broker stands still for three seconds lets nobody in."""
        parameters = pika.URLParameters(self.url)
        parameters.connection_attempts, parameters.retry_delay = 5, 0.2
        return parameters

    @property
    def pid(self) -> int:
        """Of the process."""
        return self.process.pid

    def admin(self, path: str) -> requests.Response:
        """Ask its admin port; `path` begins with a slash."""
        return requests.get(f"http://{LOOPBACK}:{self.admin_port}{path}", timeout=_ANSWER_SECONDS)

    def status(self) -> dict[str, Any]:
        """What /status says."""
        found: dict[str, Any] = self.admin("/status").json()
        return found

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all samples of a metric that have these labels; 0 when there is none.

        Args:
            name: as scraped, without the prefix `letrade_agent_`.
            labels: a subset of the samples' labels.
        """
        wanted = labels.items()
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.admin("/metrics").text)
            for sample in family.samples
            if sample.name == _METRIC_PREFIX + name and wanted <= sample.labels.items()
        )

    def log(self) -> list[dict[str, Any]]:
        """Its log lines; what is no JSON (a traceback, say) as {"text": …}."""
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        return [_log_line(line) for line in lines if line.strip()]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self, limit_seconds: float = STOP_SECONDS) -> int:
        """Its exit code, waited for."""
        return self.process.wait(limit_seconds)

    def stop(self) -> int:
        """SIGTERM, and the exit code; nothing is done to one that has ended."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(
                f"the agent did not end within {STOP_SECONDS:g} s of SIGTERM\n{self._tail()}"
            ) from None

    def _tail(self) -> str:
        return "\n".join(self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-40:])

    def wait_until_started(self) -> None:
        """Until /startup answers 200; AssertionError with its log when it ends or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self.process.poll() is None, f"the agent ended with {self.process.returncode}\n{self._tail()}"
            try:
                if self.admin("/startup").status_code == requests.codes.ok:
                    return
            except requests.ConnectionError:
                pass  # it does not listen yet
            assert time.monotonic() < deadline, f"no agent after {START_SECONDS:g} s\n{self._tail()}"
            time.sleep(_POLL_SECONDS)


def _log_line(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {"text": line}
    return found if isinstance(found, dict) else {"text": line}


def make_key_folder(folder: Path, topology: Topology) -> Path:
    """Keys for every service of a topology, as `letrade-topo keys init` makes them."""
    make_keys(
        folder,
        list(topology.services),
        topology.security.jwt.movers,
        algorithm=topology.security.jwt.algorithm,
        now=int(time.time()),
        valid_for_seconds=None,
    )
    return folder


def login_of(broker: RunningBroker, user: str) -> AgentLogin:
    """By the client certificate of a user."""
    certificate, key = broker.client_certificate(user)
    return AgentLogin(certificate, key)


def administrator_of(broker: RunningBroker) -> AgentLogin:
    """As the administrator, by password."""
    return AgentLogin(username=broker.username, password_file=broker.password_file)


@contextmanager
def running_agent(
    folder: Path,
    *,
    service: str,
    topology: Path,
    vhost: str,
    upstream: str,
    ca_file: Path | None,
    login: AgentLogin,
    keys: Path | None = None,
    options: Sequence[str] = (),
    environment: dict[str, str] | None = None,
    subcommand: str = "run",
    ports: tuple[int, int] | None = None,
    over_socket: bool = os.environ.get("LETRADE_TOPO_TEST_SOCKET") == "yes",
) -> Iterator[RunningAgent]:
    """Start an agent, wait until it takes clients, and stop it at the end.

    Args:
        folder: its log goes there.
        service: beside which it stands.
        topology: the file.
        vhost: of the topology.
        upstream: value of `--upstream`.
        ca_file: the authority of the broker.
        login: how it logs in.
        keys: key folder.
        options: further flags.
        environment: further variables.
        subcommand: `run`, or `route`, which takes no clients.
        ports: where clients connect, and the admin port; free ones without it.
        over_socket: it listens on a Unix socket, to which the port leads.
    """
    port, admin_port = ports or free_ports(2)
    path = folder / f"{port}.sock" if over_socket and subcommand == "run" else None
    where = f"unix:{path}" if path else f"{LOOPBACK}:{port}"
    command = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        sys.executable,
        "-m",
        "letrade_agent.cli.main",
        subcommand,
        "--service",
        service,
        "--topology",
        str(topology),
    ]
    command += ["--upstream", upstream, "--admin", f"{LOOPBACK}:{admin_port}"]
    command += [
        *(["--listen", where] if subcommand == "run" else []),
        *login.flags(),
        *(["--keys", str(keys)] if keys else []),
        *(["--ca-file", str(ca_file)] if ca_file else []),
    ]
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    log_file = folder / f"agent-{service}-{port}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [*command, *options],
            env=inherited | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    agent = RunningAgent(service, vhost, process, port, admin_port, log_file, path)
    try:
        agent.wait_until_started()
        with relay_to(path, port) if path else nullcontext():
            yield agent
            agent.stop()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


AgentFactory = Callable[..., RunningAgent]


@pytest.fixture
def start_agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentFactory]:
    """Start agents: `start_agent(broker, service=…, topology=…, vhost=…, login=…, keys=…, options=…)`.

    They stop at the end of the test, in the order of their starts.
    """
    folder = tmp_path_factory.mktemp("agents-")
    with ExitStack() as stack:

        def start(broker: RunningBroker, **options: Any) -> RunningAgent:
            upstream: dict[str, Any] = {"upstream": broker.amqps_url, "ca_file": broker.ca_file}
            return stack.enter_context(running_agent(folder, **upstream | options))

        yield start
