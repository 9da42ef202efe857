"""Processes that are known by more than their pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from letrade_topo.node.enclosure import enclose
from letrade_topo.node.node import Lifetime
from letrade_topo.node.processes import ProcessIdentity, spawn
from tests.brokers import installation_of

ENVIRONMENT = {"PATH": os.environ["PATH"]}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., ProcessIdentity]]:
    """Start a process that is ended after the test."""
    started: list[ProcessIdentity] = []

    def run(*argv: str) -> ProcessIdentity:
        started.append(spawn(argv, ENVIRONMENT, tmp_path / "output"))
        return started[-1]

    yield run
    for each in started:
        each.kill()


def wait_for(condition: Callable[[], bool], limit_seconds: float = 60) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + limit_seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_is_ended(run: Callable[..., ProcessIdentity]) -> None:
    """It runs, is ended, and leaves no zombie of this program."""
    process = run("sleep", "1000")
    assert process.is_running()
    assert ProcessIdentity.of(process.pid) == process

    process.end(5)

    assert not process.is_running()
    assert not Path(f"/proc/{process.pid}").exists()


def test_a_stubborn_process_is_killed(run: Callable[..., ProcessIdentity], tmp_path: Path) -> None:
    """One that does not end when asked to is ended all the same."""
    process = run("sh", "-c", "trap '' TERM; echo trapped; while :; do sleep 0.05; done")
    wait_for(lambda: "trapped" in (tmp_path / "output").read_text())

    process.end(0.2)

    assert not process.is_running()


def test_a_pid_that_is_used_again_is_left_alone(run: Callable[..., ProcessIdentity]) -> None:
    """Neither another start time nor another boot is taken for the process that was meant."""
    process = run("sleep", "1000")
    for other in (
        replace(process, start_ticks=process.start_ticks - 1),
        replace(process, boot_id="of another boot"),
    ):
        assert not other.is_running()

        other.kill()

        assert process.is_running()


def test_a_zombie_does_not_run() -> None:
    """A child that another part of the program has not waited for yet counts as ended."""
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    wait_for(lambda: Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
    try:
        stat = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        assert not ProcessIdentity(child.pid, int(stat[19]), boot_id).is_running()
    finally:
        child.wait()


def test_signals_are_not_inherited_as_ignored(run: Callable[..., ProcessIdentity]) -> None:
    """Python ignores SIGPIPE; what it starts does not."""
    process = run("sleep", "1000")

    status = Path(f"/proc/{process.pid}/status").read_text()

    ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
    assert not ignored & (1 << (signal.SIGPIPE - 1))


STARTER = """
import sys, time
from pathlib import Path
from letrade_topo.node.enclosure import enclose
from letrade_topo.node.installation import Installation
from letrade_topo.node.node import Lifetime
from letrade_topo.node.processes import spawn
folder, root, lifetime = Path(sys.argv[1]), sys.argv[2], Lifetime[sys.argv[3]]
inside = enclose(Installation("", Path(root) if root else None), folder)
argv = inside.command(*lifetime.command, "sleep", "1000")
print(spawn(argv, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, folder / "output").pid, flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("lifetime", list(Lifetime))
def test_whose_life_it_depends_on(broker_version: str, tmp_path: Path, lifetime: Lifetime) -> None:
    """Killed with -9, a test takes what it started with it, and a command does not; also in a root folder.

    What was started is the program itself, so that killing its pid kills it.
    """
    root = installation_of(broker_version).root
    arguments = [str(tmp_path), str(root or ""), lifetime.name]
    with subprocess.Popen([sys.executable, "-c", STARTER, *arguments], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        process = ProcessIdentity.of(int(starter.stdout.readline()))
        try:
            wait_for(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n")

            starter.kill()
            starter.wait()

            if lifetime is Lifetime.CALLER:
                assert process.wait(60)
            else:
                assert not process.wait(0.5)
        finally:
            starter.kill()
            process.kill()


def test_a_root_folder_is_left_as_it_was(one_broker_version: str, tmp_path: Path) -> None:
    """Entering a root mounts nothing that another process could see."""
    inside = enclose(installation_of(one_broker_version), tmp_path)
    (tmp_path / "file").write_text("seen")
    before = Path("/proc/self/mountinfo").read_text()

    with subprocess.Popen(
        inside.command("sh", "-c", "cat file; read _"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(4) == "seen"
        during = Path("/proc/self/mountinfo").read_text()
        process.communicate("\n")

    assert during == before
