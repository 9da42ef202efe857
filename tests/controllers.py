"""A real controller: a `letrade-topo watch` process, its metrics, its log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.brokers import RunningBroker
from tests.ports import LOOPBACK, free_port

LIMIT_SECONDS = 60.0
_PREFIX = "letrade_topo_"


@dataclass(slots=True)
class RunningController:
    """A controller as a test sees it.

    Args:
        process: the controller itself.
        port: where its pages are.
        log_file: what it wrote to stderr.
    """

    process: subprocess.Popen[bytes]
    port: int
    log_file: Path

    def page(self, path: str) -> requests.Response:
        """Ask for a page; `path` begins with a slash."""
        return requests.get(f"http://{LOOPBACK}:{self.port}{path}", timeout=60)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all samples of a metric that have these labels; 0 when there is none.

        Args:
            name: as scraped, without the prefix `letrade_topo_`.
            labels: a subset of the samples' labels.
        """
        wanted = labels.items()
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.page("/metrics").text)
            for sample in family.samples
            if sample.name == _PREFIX + name and wanted <= sample.labels.items()
        )

    def log(self, event: str) -> list[dict[str, Any]]:
        """Its log lines about an event."""
        text = self.log_file.read_text(encoding="utf-8", errors="replace")
        # the last one may be half written
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line[0] == "{" and line[-1] == "\n"]
        return [line for line in lines if line["event"] == event]

    def until(self, condition: Callable[[], object], what: str, limit_seconds: float = LIMIT_SECONDS) -> None:
        """Wait for a condition; fail with its name and the log when it does not come, or the controller ends."""
        deadline = time.monotonic() + limit_seconds
        while not self._holds(condition):
            assert self.process.poll() is None, f"it ended with {self.process.returncode}\n{self._text()}"
            assert time.monotonic() < deadline, f"not within {limit_seconds:g} s: {what}\n{self._text()}"
            time.sleep(0.05)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LIMIT_SECONDS)

    @staticmethod
    def _holds(condition: Callable[[], object]) -> bool:
        try:
            return bool(condition())
        except (requests.ConnectionError, requests.Timeout):
            return False  # it does not listen yet, or this machine does nothing

    def _text(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")


@contextmanager
def running_controller(
    broker: RunningBroker,
    topology: Path,
    *,
    mode: str = "detect",
    interval: str = "1s",
    options: Sequence[str] = (),
    environment: dict[str, str] | None = None,
) -> Iterator[RunningController]:
    """Start a controller as the administrator of a broker, and stop it at the end.

    Args:
        broker: the broker.
        topology: the file; the log is written beside it.
        mode, interval: as its flags.
        options: further flags.
        environment: further variables.
    """
    port = free_port()
    login = {
        "LETRADE_TOPO_MANAGEMENT": broker.management_url,
        "LETRADE_TOPO_USERNAME": broker.username,
        "LETRADE_TOPO_PASSWORD_FILE": str(broker.password_file),
        "LETRADE_TOPO_CA_FILE": str(broker.ca_file),
    }
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
    command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "letrade_topo", "watch"]
    command += ["--topology", str(topology), "--mode", mode, "--interval", interval]
    command += ["--listen", f"{LOOPBACK}:{port}", *options]
    log_file = topology.parent / f"watch-{port}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command, env=inherited | login | (environment or {}), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    controller = RunningController(process, port, log_file)
    try:
        controller.until(lambda: controller.page("/readyz").ok, "it listens")
        yield controller
        assert controller.stop() == 0, controller._text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
