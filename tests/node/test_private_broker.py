"""`letrade-topo broker`, as a person uses it: each command is a program of its own."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from letrade_topo.node.processes import ProcessIdentity
from tests.brokers import installation_of

COMMAND = (sys.executable, "-m", "letrade_topo.cli.main", "broker")
LIMIT_SECONDS = 60.0
ATTEMPTS = 5
Result = subprocess.CompletedProcess[str]


class Folder:
    """The commands on one folder, with the RabbitMQ of one version."""

    def __init__(self, path: Path, version: str) -> None:
        self.path = path
        root = installation_of(version).root
        self.environment = {
            "PATH": os.environ["PATH"],
            "LETRADE_TOPO_BROKER_FOLDER": str(path),
            **({"LETRADE_TOPO_BROKER_ROOT": str(root)} if root else {}),
        }

    def run(self, *arguments: str) -> Result:
        """Run one command to its end."""
        return subprocess.run(
            [*COMMAND, *arguments], env=self.environment, capture_output=True, text=True, check=False, timeout=120
        )

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin one command."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ok(self, *arguments: str) -> Result:
        """Run one command, which must succeed."""
        result = self.run(*arguments)
        assert result.returncode == 0, result.stderr
        return result

    def status(self) -> dict[str, Any]:
        """The status as a script reads it."""
        document: dict[str, Any] = json.loads(self.run("status", "--format", "json").stdout)
        return document

    def runs(self) -> dict[str, Any]:
        """The status, once the broker runs and answers: one that does not within three seconds is said not to."""
        wait_until(lambda: self.status()["status"] == "running", "the broker runs")
        return self.status()

    def listens(self) -> bool:
        """Whether the broker has begun to listen, whoever stopped it since."""
        ports = json.loads((self.path / "broker.json").read_text())["ports"]["listeners"].values()
        with ExitStack() as stack:
            return any(stack.enter_context(socket.socket()).connect_ex(("127.0.0.1", port)) == 0 for port in ports)

    def processes(self) -> list[ProcessIdentity]:
        """Every process that the folder's state names."""
        try:
            recorded = json.loads((self.path / "broker.json").read_text())["processes"] or {}
        except (FileNotFoundError, json.JSONDecodeError):  # no start, or a test's own damage
            return []
        return [ProcessIdentity(**each) for each in recorded.values() if each]


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition; fail with its name when it does not come true."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {LIMIT_SECONDS:g} s: {what}"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def folder_factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Folder]]:
    """Make folders for a version; whatever runs in them afterwards is ended."""
    folders: list[Folder] = []

    def make(version: str) -> Folder:
        folders.append(Folder(tmp_path_factory.mktemp("private") / "broker", version))
        return folders[-1]

    yield make
    for each in folders:
        for process in each.processes():
            process.kill()


@pytest.fixture
def folder(one_broker_version: str, folder_factory: Callable[[str], Folder]) -> Folder:
    """A folder in which nothing was started yet."""
    return folder_factory(one_broker_version)


@pytest.fixture(scope="module")
def started(broker_version: str, folder_factory: Callable[[str], Folder]) -> Folder:
    """A folder whose broker runs, with a certificate for one service; for tests that leave it so."""
    folder = folder_factory(broker_version)
    result = folder.ok("start", "--service", "strategy")
    (folder.path.parent / "start.out").write_text(result.stdout)
    (folder.path.parent / "start.err").write_text(result.stderr)
    return folder


def whoami(folder: Folder) -> requests.Response:
    """Ask management who we are, with nothing but what `env` says, read by a shell."""
    names = ("MANAGEMENT", "USERNAME", "PASSWORD_FILE", "CA_FILE")
    script = f'. "$0" && printf "%s\\n" {" ".join(f"$LETRADE_TOPO_{name}" for name in names)}'
    output = subprocess.run(
        ["/bin/sh", "-c", script, str(folder.path / "env")], capture_output=True, text=True, check=True
    ).stdout
    management, username, password_file, ca_file = output.splitlines()
    return requests.get(
        f"{management}/api/whoami",
        auth=(username, Path(password_file).read_text()),
        verify=ca_file,
        timeout=60,
    )


def test_start_prints_where_everything_is_and_never_the_password(started: Folder) -> None:
    """URLs, authority, certificates, password file on stdout; progress on stderr; no secret on either."""
    stdout, stderr = ((started.path.parent / name).read_text() for name in ("start.out", "start.err"))
    status = started.status()

    for key in ("management", "amqps", "ca_file", "password_file", "environment_file", "version"):
        assert status[key] in stdout
    assert status["client_certificates"]["strategy"]["certificate"] in stdout
    assert "is ready" in stderr
    password = Path(status["password_file"]).read_text()
    assert len(password) >= 32
    everything = stdout + stderr + json.dumps(status) + (started.path / "env").read_text()
    assert password not in everything


def test_the_environment_file_is_all_that_is_needed(started: Folder) -> None:
    """A shell that reads `env` reaches management, verified, as the administrator."""
    answer = whoami(started)

    assert answer.status_code == 200
    assert answer.json()["name"] == "admin"


def test_status_of_a_running_broker(started: Folder) -> None:
    """It runs: exit code 0, the broker's pid, its version, as text and as JSON."""

    def is_said_to_run() -> bool:
        result = started.run("status")
        return result.returncode == 0 and "running" in result.stdout

    wait_until(is_said_to_run, "the broker runs")
    status = started.runs()

    assert status["pid"] in [process.pid for process in started.processes()]
    assert Path(f"/proc/{status['pid']}/comm").read_text() == "beam.smp\n"


def test_a_second_start_leaves_it_running_and_adds_a_service(started: Folder) -> None:
    """It says that it runs, exits 0, keeps the process, and a further service joins the same authority."""
    before = started.status()
    authority = Path(before["ca_file"]).read_bytes()

    def runs_already() -> bool:  # unless it does not answer within three seconds: then the command waits for it
        return "runs already" in started.ok("start", "--service", "core_engine").stderr

    wait_until(runs_already, "it says so")
    after = started.status()
    assert after["pid"] == before["pid"]
    assert set(after["client_certificates"]) == {"strategy", "core_engine"}
    assert Path(before["ca_file"]).read_bytes() == authority


def test_ctl_runs_rabbitmqctl(started: Folder) -> None:
    """Its output, its errors and its exit code are rabbitmqctl's own."""
    assert json.loads(started.ok("ctl", "--", "-q", "list_users", "--formatter", "json").stdout)[0]["user"] == "admin"
    assert started.run("ctl", "no_such_command").returncode == 64


def test_another_installation_is_refused(started: Folder, tmp_path: Path) -> None:
    """Data of one installation are not given to another; the broker goes on."""
    (tmp_path / "usr/lib/rabbitmq/bin").mkdir(parents=True)
    (tmp_path / "usr/lib/rabbitmq/bin/rabbitmq-server").touch()
    (tmp_path / "usr/lib/rabbitmq/lib/rabbitmq_server-9.9.9").mkdir(parents=True)

    result = started.run("start", "--root", str(tmp_path))

    assert result.returncode == 1
    assert "9.9.9" in result.stderr
    started.runs()


@pytest.mark.one_version
def test_crash_restart_stop_delete(broker_version: str, folder_factory: Callable[[str], Folder]) -> None:
    """A crash is seen; a start brings data and URL back; stop ends exactly its processes; delete removes all."""
    folder = folder_factory(broker_version)
    folder.ok("start")
    folder.ok("ctl", "--", "-q", "add_vhost", "kept")
    folder.ok("ctl", "--", "-q", "eval", "mnesia:sync_log().")
    url = folder.status()["management"]
    os.kill(folder.status()["pid"], signal.SIGKILL)

    assert any(each.wait(LIMIT_SECONDS) for each in folder.processes()[1:])
    result = folder.run("status")
    assert result.returncode == 1
    assert folder.status()["status"] == "died"

    folder.ok("start")
    assert folder.status()["management"] == url
    assert "kept" in folder.ok("ctl", "--", "-q", "list_vhosts").stdout
    assert whoami(folder).status_code == 200

    processes = folder.processes()
    assert len(processes) == 2
    assert all(each.is_running() for each in processes)
    folder.ok("stop")
    assert not any(each.is_running() for each in processes)
    assert folder.run("status").returncode == 1
    assert folder.status()["status"] == "stopped"

    folder.ok("stop", "--delete")
    assert not folder.path.exists()
    assert folder.status()["status"] == "absent"


def test_two_starts_at_once(folder: Folder) -> None:
    """One starts it; the other waits, says so, and reports the same broker."""
    both, processes = begin_starts(folder, 2)
    errors = dict.fromkeys(both, "")
    while not any("waiting for it" in each for each in errors.values()):
        for each in both:
            assert each.stderr is not None
            if select.select([each.stderr], [], [], 0.1)[0]:
                said = os.read(each.stderr.fileno(), 65_536)
                assert said, "it has ended, although the broker stands still"
                errors[each] += said.decode()
    processes[-1].send(signal.SIGCONT)

    for each in both:
        errors[each] += each.communicate(timeout=120)[1]

    assert [each.returncode for each in both] == [0, 0]
    assert sum("is ready" in each for each in errors.values()) == 1
    assert sum("waiting for it" in each and "runs already" in each for each in errors.values()) == 1
    folder.runs()


def begin_starts(folder: Folder, count: int) -> tuple[list[subprocess.Popen[str]], list[ProcessIdentity]]:
    """Begin so many starts, and wait until both processes were started; the broker stands still (SIGSTOP) before it is
    ready. If it was too late for that, they are begun anew.
    """
    for _ in range(ATTEMPTS):
        starting = [folder.begin("start") for _ in range(count)]
        wait_until(lambda: len(folder.processes()) == 2, "the processes were started")
        processes = folder.processes()
        processes[-1].send(signal.SIGSTOP)
        if processes[-1].is_running() and not folder.listens():
            return starting, processes
        processes[-1].send(signal.SIGCONT)
        for each in starting:
            each.communicate(timeout=120)
        folder.ok("stop")
    raise AssertionError(f"{ATTEMPTS} brokers were ready before they could be stopped")


def test_ctrl_c_in_the_middle_of_a_start(folder: Folder) -> None:
    """Nothing is left running, and the next start works."""
    (starting,), processes = begin_starts(folder, 1)

    starting.send_signal(signal.SIGINT)
    starting.communicate(timeout=60)

    assert starting.returncode == 130
    assert not any(each.is_running() for each in processes)
    folder.ok("start")
    folder.runs()


def test_kill_in_the_middle_of_a_start(folder: Folder) -> None:
    """The broker goes on by itself; status tells, the next start waits for it and takes it over."""
    (starting,), processes = begin_starts(folder, 1)
    starting.kill()
    starting.communicate()
    assert folder.status()["status"] == "not answering"
    processes[-1].send(signal.SIGCONT)

    folder.ok("start")

    assert folder.processes() == processes
    folder.runs()


def test_stop_without_a_broker(folder: Folder) -> None:
    """There is nothing to do: exit code 0, nothing is made."""
    result = folder.ok("stop", "--delete")

    assert "no broker" in result.stderr
    assert not folder.path.exists()


def test_a_folder_that_holds_something_else(folder: Folder) -> None:
    """Neither start nor stop --delete touches a folder that is not the broker's."""
    folder.path.mkdir()
    (folder.path / "precious").write_text("mine")

    for command in (["start"], ["stop", "--delete"]):
        result = folder.run(*command)

        assert result.returncode == 1
        assert "is not a private broker's folder" in result.stderr
    assert [each.name for each in folder.path.iterdir()] == ["precious"]


def test_a_state_that_cannot_be_understood(folder: Folder) -> None:
    """A damaged state file is named, with what to do; no traceback."""
    folder.path.mkdir()
    (folder.path / "broker.json").write_text('{"format_version": 1')

    result = folder.run("status")

    assert result.returncode == 1
    assert str(folder.path / "broker.json") in result.stderr
    assert "Traceback" not in result.stderr


def test_rabbitmq_missing(folder: Folder, tmp_path: Path) -> None:
    """Exit code 69, and what to do about it; the folder is not made."""
    result = folder.run("start", "--root", str(tmp_path))

    assert result.returncode == 69
    assert "script/rabbitmq-root" in result.stderr
    assert not (folder.path / "broker.json").exists()


def test_ctl_without_a_broker(folder: Folder) -> None:
    """It says how to start one."""
    result = folder.run("ctl", "list_users")

    assert result.returncode == 1
    assert "letrade-topo broker start" in result.stderr
