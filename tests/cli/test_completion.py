"""Completion in the real shells: a tabulator key is pressed, and the line is what was meant."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from letrade_topo.keys.making import make_keys
from letrade_topo.model.security import JwtAlgorithm
from tests.topologies import orders, write

pytestmark = pytest.mark.wide  # --fast has only one of the shells

LIMIT_SECONDS = 60.0
READY = "completion-is-loaded"
_CONTROL = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r|\x07|\x08")
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], ""),
    "zsh": (["zsh", "-f", "-i"], "autoload -U compinit; compinit -u -D; "),
}
"""How they are started without anybody's settings, and what they need before."""
EXPECTED = [
    ("letrade-topo valid", "letrade-topo validate"),
    ("letrade-topo dlq repl", "letrade-topo dlq replay"),
    ("letrade-topo dlq ls --queue cl", "letrade-topo dlq ls --queue clerk.orders"),
    ("letrade-topo keys rotate keys --service sh", "letrade-topo keys rotate keys --service shop"),
    ("letrade-agent verif", "letrade-agent verify"),
    ("letrade-agent run --service cl", "letrade-agent run --service clerk"),
]
"""What is typed before the tabulator, and what the line is then."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a topology, and keys."""
    write(tmp_path / "topology.yaml", orders())
    make_keys(tmp_path / "keys", ["shop"], (), algorithm=JwtAlgorithm.ES256, now=1, valid_for_seconds=None)
    return tmp_path


def environment(folder: Path) -> dict[str, str]:
    """A newcomer's: both programs in PATH, a simple terminal."""
    found = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"PATH": found, "HOME": str(folder), "TERM": "dumb", "LANG": "C.UTF-8", "PS1": "$ "}


class Terminal:
    """A shell that believes that somebody types.

    Args:
        master: the other end of its terminal.
    """

    def __init__(self, master: int) -> None:
        self._master = master
        self._seen = b""

    def type(self, text: str) -> None:
        """Type, and forget what was shown before."""
        self._seen = b""
        os.write(self._master, text.encode())

    def wait_for(self, text: str) -> None:
        """Wait until the terminal shows this."""
        end = time.monotonic() + LIMIT_SECONDS
        while text.encode() not in _CONTROL.sub(b"", self._seen):
            ready, _, _ = select.select([self._master], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"{text!r} is not shown: {self._seen!r}"
            self._seen += os.read(self._master, 4096)


@contextmanager
def terminal(argv: list[str], folder: Path) -> Iterator[Terminal]:
    """A shell on a terminal of its own, ended afterwards."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        argv, stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=environment(folder), start_new_session=True
    )
    os.close(slave)
    try:
        yield Terminal(master)
    finally:
        process.kill()
        process.wait()
        os.close(master)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_tabulator_completes_the_line(shell: str, folder: Path) -> None:
    """Commands, and names of queues and services that only the topology knows; of both programs."""
    argv, before = SHELLS[shell]
    assert shutil.which(shell), "script/setup --test installs it"
    with terminal(argv, folder) as typed:
        load = "; ".join(f"source <({program} completion {shell})" for program in ("letrade-topo", "letrade-agent"))
        typed.type(f"{before}{load}; echo completion-is-'loaded'\n")
        typed.wait_for(f"{READY}\n")
        for begun, line in EXPECTED:
            typed.type(f"{begun}\t")
            typed.wait_for(line)
            typed.type("\x15\n")  # the line is thrown away


def test_fish_completes_the_line(folder: Path) -> None:
    """fish tells by itself what it would offer."""
    load = "; ".join(f"{program} completion fish | source" for program in ("letrade-topo", "letrade-agent"))
    asked = "; ".join(f"complete -C '{begun}'; echo ---" for begun, _ in EXPECTED)

    done = subprocess.run(
        ["fish", "--no-config", "-c", f"{load}; {asked}"],  # noqa: S607  # the one that script/setup found
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS * 2,
        check=True,
    )

    offered = [[line.split("\t")[0] for line in part.split()] for part in done.stdout.split("---\n")]
    for (_, line), names in zip(EXPECTED, offered, strict=False):
        assert line.split()[-1] in names, done.stdout + done.stderr


def test_a_broken_topology_is_silent(folder: Path) -> None:
    """A shell that completes is no place for errors; commands are completed still."""
    (folder / "topology.yaml").write_text("topology: [\n")
    variables = {
        "_LETRADE_TOPO_COMPLETE": "bash_complete",
        "COMP_WORDS": "letrade-topo dlq ls --queue ",
        "COMP_CWORD": "4",
    }

    done = subprocess.run(
        [Path(sys.executable).parent / "letrade-topo"],
        cwd=folder,
        env=environment(folder) | variables,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )

    assert (done.stdout.strip(), done.stderr) == ("", "")
