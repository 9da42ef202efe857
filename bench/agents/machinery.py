"""Broker, keys, agents and the two ends as processes, with the CPU time and memory of each agent."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import yaml

from bench.agents.messages import CONSUMER, PUBLISHER, VHOST, topology
from bench.tool import run_tool
from letrade_topo.node.node import Node
from letrade_topo.node.settings import ADMINISTRATOR, Listener

START_SECONDS = 30
END_SECONDS = 30
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class BenchBus:
    """A broker with the topology of the bench on it, and keys for its services.

    Args:
        node: the broker.
        folder: with `topology.yaml` and `keys`.
    """

    node: Node
    folder: Path

    @property
    def topology(self) -> Path:
        """The topology's file."""
        return self.folder / "topology.yaml"

    @property
    def keys(self) -> Path:
        """The folder of keys."""
        return self.folder / "keys"

    @property
    def direct(self) -> dict[str, Any]:
        """Where and as whom an end connects without an agent."""
        return {
            "url": self.node.url(Listener.AMQPS),
            "vhost": VHOST,
            "username": ADMINISTRATOR,
            "password": self.node.password,
            "ca_file": str(self.node.certificates.ca_file),
        }

    def prepare(self) -> None:
        """Put the topology onto the broker and make the keys."""
        self.topology.write_text(yaml.safe_dump(topology()), encoding="utf-8")
        run_tool("apply", "--yes", str(self.topology), node=self.node, folder=self.folder)
        run_tool("keys", "init", str(self.keys), str(self.topology), folder=self.folder)
        # The ends that go straight to the broker do so as its administrator.
        self.node.ctl("set_permissions", "-p", VHOST, ADMINISTRATOR, ".*", ".*", ".*")


class AgentProcess:
    """A running agent.

    Args:
        bus: what it works with.
        service: whose it is.
        flags: more of its command line.
    """

    def __init__(self, bus: BenchBus, service: str, *flags: str) -> None:
        credential = bus.node.client_credential(service)
        self.port, self.admin_port = _free_ports(2)
        self._log = (bus.folder / f"{service}.log").open("wb")
        upstream = bus.node.url(Listener.AMQPS)
        command = [
            str(Path(sys.executable).with_name("letrade-agent")),
            *("run", "--service", service, "--topology", str(bus.topology), "--keys", str(bus.keys)),
            *("--upstream", upstream, "--ca-file", str(bus.node.certificates.ca_file)),
            *("--cert-file", str(credential.certificate), "--key-file", str(credential.key)),
            *("--listen", f"127.0.0.1:{self.port}", "--admin", f"127.0.0.1:{self.admin_port}"),
            *flags,
        ]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        self._wait_until_started()

    @property
    def end(self) -> dict[str, Any]:
        """Where and as whom an end connects to it."""
        return {"url": f"amqp://127.0.0.1:{self.port}", "vhost": VHOST, "username": "any", "password": "any"}

    @property
    def cpu_seconds(self) -> float:
        """User and system time so far."""
        return cpu_seconds(self.process.pid)

    def megabytes(self, *, peak: bool = False) -> float:
        """Resident memory now, or the most so far."""
        name = "VmHWM:" if peak else "VmRSS:"
        for line in Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith(name):
                return int(line.split()[1]) / 1024
        raise LookupError(name)

    def metrics(self) -> str:
        """What Prometheus would see."""
        return requests.get(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=10).text

    def stop(self) -> int:
        """End it as Kubernetes does; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(END_SECONDS)
        finally:
            self.process.kill()
            self._log.close()

    def _wait_until_started(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                if requests.get(f"http://127.0.0.1:{self.admin_port}/startup", timeout=1).ok:
                    return
            except requests.RequestException:
                time.sleep(0.05)
        self.process.kill()
        raise RuntimeError(f"the agent did not start:\n{Path(self._log.name).read_text(errors='replace')[-2000:]}")


class Floor:
    """A plain TLS proxy in the place of an agent, nothing but bytes: the least that anything there can cost.

    Args:
        bus: what it works with.

    Raises:
        RuntimeError: there is no haproxy; `script/setup --bench` installs it.
    """

    def __init__(self, bus: BenchBus) -> None:
        program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
        if program is None:
            raise RuntimeError("haproxy is missing: script/setup --bench installs it")
        (self.port,) = _free_ports(1)
        self._bus = bus
        upstream = urlsplit(bus.node.url(Listener.AMQPS))
        settings = bus.folder / f"haproxy-{self.port}.cfg"
        settings.write_text(
            "global\n  nbthread 1\n"
            "defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 1h\n  timeout server 1h\n"
            f"listen floor\n  bind 127.0.0.1:{self.port}\n"
            f"  server broker 127.0.0.1:{upstream.port} ssl verify required verifyhost localhost"
            f" ca-file {bus.node.certificates.ca_file}\n",
            encoding="utf-8",
        )
        self.process = subprocess.Popen([program, "-db", "-f", str(settings)], stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.05)
        self.process.kill()
        raise RuntimeError("haproxy did not start")

    @property
    def end(self) -> dict[str, Any]:
        """Where and as whom an end connects to it."""
        return self._bus.direct | {"url": f"amqp://127.0.0.1:{self.port}", "ca_file": None}

    @property
    def cpu_seconds(self) -> float:
        """User and system time so far."""
        return cpu_seconds(self.process.pid)

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


def cpu_seconds(process: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


class EndProcess:
    """A publisher or consumer as a process."""

    def __init__(self, module: str, what: str, where: Mapping[str, Any], **order: Any) -> None:
        command = [sys.executable, "-m", f"bench.agents.{module}", what, json.dumps({**where, **order})]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def result(self, timeout_seconds: float = 600) -> dict[str, Any]:
        """What it printed; it must have ended well."""
        try:
            out, _ = self._process.communicate(timeout=timeout_seconds)
        finally:
            self._process.kill()
        if self._process.returncode:
            raise RuntimeError(f"an end of the load ended with {self._process.returncode}")
        answer: dict[str, Any] = json.loads(out)
        return answer


def agents(bus: BenchBus) -> tuple[AgentProcess, AgentProcess]:
    """One for the publisher, one for the consumer."""
    return AgentProcess(bus, PUBLISHER), AgentProcess(bus, CONSUMER)


def _free_ports(count: int) -> tuple[int, ...]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = tuple(one.getsockname()[1] for one in sockets)
    for one in sockets:
        one.close()
    return ports
