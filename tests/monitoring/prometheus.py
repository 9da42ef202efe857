"""A real Prometheus: Debian's, on loopback, with data of its own, that asks often and does not wait long."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.monitoring.rules import groups
from tests.ports import LOOPBACK, free_port

EVERY = "1s"
LIMIT_SECONDS = 60.0


def impatient_rules() -> dict[str, Any]:
    """The shipped rules with every `for` cut to a second, and nothing else changed."""
    text = json.dumps({"groups": groups()})
    return dict(json.loads(re.sub(r'"for": "[^"]+"', '"for": "1s"', text)))


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A Prometheus as a test sees it.

    Args:
        url: without a slash at its end.
        log_file: what it said.
    """

    url: str
    log_file: Path

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query; AssertionError with Prometheus' words when it is refused."""
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=30).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def query_range(self, expression: str, seconds: float, step: float) -> list[dict[str, Any]]:
        """The series of the last so many seconds."""
        now = time.time()
        span: Mapping[str, str] = {"start": f"{now - seconds}", "end": f"{now}", "step": f"{step}"}
        answer = requests.get(f"{self.url}/api/v1/query_range", params={"query": expression, **span}, timeout=60).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def firing(self, name: str) -> list[dict[str, Any]]:
        """The alerts of a name that fire, with labels and annotations."""
        found = requests.get(f"{self.url}/api/v1/alerts", timeout=30).json()["data"]["alerts"]
        return [one for one in found if one["labels"]["alertname"] == name and one["state"] == "firing"]

    def until(self, condition: Callable[[], object], what: str, limit_seconds: float = LIMIT_SECONDS) -> None:
        """Wait for a condition; fail with its name when it does not come."""
        deadline = time.monotonic() + limit_seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {limit_seconds:g} s: {what}"
            time.sleep(0.1)


@contextmanager
def running_prometheus(
    folder: Path, targets: Mapping[str, Mapping[str, int]], every: str = EVERY
) -> Iterator[Prometheus]:
    """Start it, wait until it takes queries, and stop it at the end.

    Args:
        folder: an empty one of its own.
        targets: by job, ports on this machine by the name that `instance` shall have.
        every: between two scrapes, and between two looks at the rules.
    """
    program = shutil.which("prometheus")
    assert program, "prometheus is missing: Debian's package of this name has it; script/test installs it"
    port = free_port()
    configuration = {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [
            {
                "job_name": job,
                "static_configs": [
                    {"targets": [f"{LOOPBACK}:{port}"], "labels": {"instance": name}} for name, port in ports.items()
                ],
            }
            for job, ports in targets.items()
        ],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    (folder / "rules.yaml").write_text(yaml.safe_dump(impatient_rules()), encoding="utf-8")
    log_file = folder / "prometheus.log"
    command = ["setpriv", "--pdeathsig", "KILL", program, f"--config.file={folder / 'prometheus.yaml'}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={LOOPBACK}:{port}"]
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
    prometheus = Prometheus(f"http://{LOOPBACK}:{port}", log_file)
    try:
        prometheus.until(lambda: _is_ready(prometheus, process), "Prometheus is ready")
        yield prometheus
    finally:
        process.terminate()
        process.wait(30)


def _is_ready(prometheus: Prometheus, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, prometheus.log_file.read_text(encoding="utf-8")
    try:
        return requests.get(f"{prometheus.url}/-/ready", timeout=5).ok
    except (requests.ConnectionError, requests.Timeout):
        return False
