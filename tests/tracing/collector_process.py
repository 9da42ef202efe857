"""A real collector: OpenTelemetry's own, built here out of its Go modules, as a process that writes to a file.

Debian packages none. Building it takes minutes once; it is kept by what it is built of.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
import yaml

from tests.ports import LOOPBACK, free_ports
from tests.retry.world import until
from tests.tracing.seen import SeenSpan, spans_of_file

SOURCES = Path(__file__).parent / "collector"
BUILD_SECONDS = 3600.0


def built() -> Path:
    """The program, built if it is not there yet.

    Raises:
        RuntimeError: there is no Go here.
        CalledProcessError: it cannot be built.
    """
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum", "main.go"):
        digest.update((SOURCES / name).read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    program = cache / "letrade-topo" / f"collector-{digest.hexdigest()[:12]}"
    if not program.exists():
        go = shutil.which("go")
        if go is None:
            raise RuntimeError("no Go here: the collector is built with Go 1.26 (https://go.dev/dl/)")
        program.parent.mkdir(parents=True, exist_ok=True)
        made = program.with_suffix(f".{os.getpid()}")
        command = [go, "build", "-C", str(SOURCES), "-trimpath", "-ldflags", "-s -w", "-o", str(made), "."]
        subprocess.run(command, check=True, timeout=BUILD_SECONDS)
        made.rename(program)
    return program


@dataclass(slots=True)
class RunningCollector:
    """A collector as a test sees it.

    Args:
        process: the collector.
        port: of OTLP over HTTP.
        file: what it has written.
    """

    process: subprocess.Popen[bytes]
    port: int
    file: Path

    @property
    def url(self) -> str:
        """For `OTEL_EXPORTER_OTLP_ENDPOINT`."""
        return f"http://{LOOPBACK}:{self.port}"

    def of(self, trace: str) -> list[SeenSpan]:
        """The spans of a trace that it has written, by their beginning."""
        found = [span for span in spans_of_file(self.file) if span.trace == trace]
        return sorted(found, key=lambda span: span.began)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()


@contextmanager
def running_collector(folder: Path, port: int | None = None) -> Iterator[RunningCollector]:
    """A collector that takes spans, and writes them into `spans.json` of a folder."""
    port = port or free_ports(1)[0]
    file = folder / "spans.json"
    configuration = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"{LOOPBACK}:{port}"}}}},
        "processors": {"batch": {"timeout": "200ms"}},
        "exporters": {"file": {"path": str(file), "append": True, "flush_interval": "200ms"}},
        "service": {
            "pipelines": {"traces": {"receivers": ["otlp"], "processors": ["batch"], "exporters": ["file"]}},
            "telemetry": {"metrics": {"level": "none"}},
        },
    }
    config = folder / "collector.yaml"
    config.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    with (folder / "collector.log").open("ab") as log:
        command = ["setpriv", "--pdeathsig", "KILL", str(built()), str(config)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    collector = RunningCollector(process, port, file)
    try:
        until(lambda: _answers(collector), f"the collector listens (see {folder}/collector.log)")
        yield collector
        process.terminate()
        process.wait(60)
    finally:
        if process.poll() is None:
            collector.kill()


def _answers(collector: RunningCollector) -> bool:
    assert collector.process.poll() is None, "the collector has ended"
    try:
        requests.get(collector.url, timeout=10)
    except requests.ConnectionError:
        return False
    return True
