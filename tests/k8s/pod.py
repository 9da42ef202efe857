"""A pod without a cluster: what the kubelet does with the sidecar's manifest, done with processes and folders.

The container's command line, its probes and its volumes are read from what `letrade_topo.k8s.sidecar` writes; only
paths are put below a folder. Volumes are written as the kubelet's atomic writer does: a folder with a number, and the
link `..data` turned to it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml

from letrade_topo.k8s.sidecar import container, volumes
from letrade_topo.k8s.values import Values, complete
from tests.agents import RunningAgent
from tests.ports import free_ports

Manifest = dict[str, Any]
Files = dict[str, bytes]
Cluster = dict[tuple[str, str], Files]
"""Secrets and ConfigMaps: kind (`secret`, `configMap`) and name to their entries."""

_ETC = "/etc/letrade-agent"
_KILLED_AFTER_SECONDS = 60


@dataclass(slots=True)
class Volume:
    """One mounted volume.

    Args:
        spec: the entry of the pod's `volumes`.
        folder: where it is mounted.
    """

    spec: Manifest
    folder: Path
    _written: Files | None = None
    _count: int = 0

    def sync(self, cluster: Cluster) -> bool:
        """Bring it up to date, as the kubelet does from time to time; whether anything has changed."""
        files = self._projected(cluster)
        if files == self._written:
            return False
        self._count += 1
        before, data = self.folder / "..data", self.folder / f"..{self._count}"
        old = before.resolve() if before.is_symlink() else None
        data.mkdir(parents=True)
        for name, content in files.items():
            (data / name).write_bytes(content)
            (data / name).chmod(self.spec["projected"]["defaultMode"])
        turned = self.folder / "..data_tmp"
        turned.symlink_to(data.name)
        turned.rename(before)
        for name in files.keys() - (self._written or {}).keys():
            (self.folder / name).symlink_to(f"..data/{name}")
        for name in (self._written or {}).keys() - files.keys():
            (self.folder / name).unlink()
        if old is not None:
            for path in old.iterdir():
                path.unlink()
            old.rmdir()
        self._written = files
        return True

    def _projected(self, cluster: Cluster) -> Files:
        files: Files = {}
        for source in self.spec["projected"]["sources"]:
            ((kind, chosen),) = source.items()
            entries = cluster[kind, chosen["name"]]
            items = chosen.get("items") or [{"key": key, "path": key} for key in entries]
            files |= {item["path"]: entries[item["key"]] for item in items}
        return files


@dataclass(slots=True)
class Pod:
    """A service's pod, as far as its sidecar goes.

    Args:
        folder: for volumes and logs.
        vhost: of the topology.
        values: of the sidecar.
        cluster: what its volumes are made of; changes come with `sync`.
    """

    folder: Path
    vhost: str
    values: Values
    cluster: Cluster
    spec: Manifest = field(init=False)
    agent: RunningAgent = field(init=False)
    _volumes: list[Volume] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.spec,) = yaml.safe_load("\n".join(container(self.values)))
        mounts = {mount["name"]: mount["mountPath"] for mount in self.spec["volumeMounts"]}
        for spec in yaml.safe_load("\n".join(volumes(self.values))):
            place = self.folder / mounts[spec["name"]].removeprefix("/")
            place.mkdir(parents=True)
            self._volumes.append(Volume(spec, place))

    def sync(self) -> int:
        """How many volumes have changed."""
        return sum(volume.sync(self.cluster) for volume in self._volumes)

    def start(self) -> None:
        """Start the sidecar and ask its startup probe until it says yes; nobody else has been started before."""
        self.sync()
        log_file = self.folder / "agent.log"
        command: list[str] = [*self.spec["command"], *self.spec["args"]]
        assert command[0] == "letrade-agent"
        below = [argument.replace(_ETC, f"{self.folder}{_ETC}") for argument in command[1:]]
        module = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "letrade_agent.cli.main"]
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environment |= {one["name"]: one["value"] for one in self.spec.get("env", [])}
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [*module, *below],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        ports = (self.values["listenPort"], self.spec["ports"][0]["containerPort"])
        self.agent = RunningAgent(self.values["service"], self.vhost, process, *ports, log_file)
        probe = self.spec["startupProbe"]
        for _ in range(probe["failureThreshold"]):
            assert process.poll() is None, log_file.read_text(encoding="utf-8")
            if self.asks("startupProbe"):
                return
            time.sleep(probe["periodSeconds"])  # as the kubelet does
        raise AssertionError(f"the startup probe gave up\n{log_file.read_text(encoding='utf-8')}")

    def asks(self, probe: str) -> bool:
        """What a probe finds."""
        http, limit = self.spec[probe]["httpGet"], self.spec[probe]["timeoutSeconds"]
        assert http["port"] == self.spec["ports"][0]["name"]
        try:
            return requests.get(f"http://127.0.0.1:{self.agent.admin_port}{http['path']}", timeout=limit).ok
        except requests.RequestException:
            return False

    def terminate(self, service: subprocess.Popen[str], grace_seconds: float) -> tuple[str, int, float]:
        """End the pod as the kubelet does: the service first, the sidecar when the service is gone.

        Args:
            service: the pod's own container.
            grace_seconds: `terminationGracePeriodSeconds`, for both together.

        Returns:
            What the service printed, the agent's exit code, and the seconds that it took to end.
        """
        deadline = time.monotonic() + grace_seconds
        service.send_signal(signal.SIGTERM)
        printed, _ = service.communicate(timeout=grace_seconds)
        assert self.agent.process.poll() is None, "the agent has ended before its service"
        probe = self.spec["livenessProbe"]
        assert any(self.asks("livenessProbe") for _ in range(probe["failureThreshold"]))  # one may come too late
        began = time.monotonic()
        self.agent.signal(signal.SIGTERM)
        code = self.agent.wait(deadline - began)
        return printed, code, time.monotonic() - began

    def kill(self) -> None:
        """End what is left."""
        process = getattr(self, "agent", None) and self.agent.process
        if process and process.poll() is None:
            process.kill()
            process.wait(_KILLED_AFTER_SECONDS)


@contextmanager
def running_pod(folder: Path, vhost: str, cluster: Cluster, values: Mapping[str, Any]) -> Iterator[Pod]:
    """A pod whose sidecar has started; its ports are free ones."""
    listen, admin = free_ports(2)
    ports = {"listenPort": listen, "admin": {"port": admin}}
    folder.mkdir()
    pod = Pod(folder, vhost, complete(values, ports), cluster)
    try:
        pod.start()
        yield pod
    finally:
        pod.kill()
