"""A client's program that runs: what it was given, what it said, whether it ended."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.interop.with_amqplib import modules_folder

LIMIT_SECONDS: Final = 90.0
_LOOK_SECONDS: Final = 0.05
_HERE: Final = Path(__file__).resolve().parent
_ROOT: Final = _HERE.parents[1]


class ClientProgram:
    """A process of its own, which dies with this one.

    Args:
        name: whose program it is, for failures.
        process: started with pipes for standard input and output, text.
        log: what it writes to standard error.
    """

    def __init__(self, name: str, process: subprocess.Popen[str], log: Path) -> None:
        self.name: Final = name
        self.process: Final = process
        self.log: Final = log
        self.said: Final[list[str]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.rstrip("\n"))

    @property
    def has_ended(self) -> bool:
        """Whether it ran to its end, and all that it said was read."""
        return self.process.poll() is not None and not self._reader.is_alive()

    def give(self, key: str, body: bytes) -> None:
        """Have it published; nothing happens if the program has ended."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # whoever gave it sees that it ended
            self.process.stdin.write(f"{key} {body.decode()}\n")
            self.process.stdin.flush()

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something that it is to do."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"not within {LIMIT_SECONDS:g} s: {what}\n{self}"
            time.sleep(_LOOK_SECONDS)

    def until_said(self, line: str, times: int = 1) -> None:
        """Wait for a line; it may not end before."""
        self.until(lambda: self.said.count(line) >= times or self.has_ended, f"it says {line!r}")
        assert self.said.count(line) >= times, f"it ended before it said {line!r}\n{self}"

    def until_it_ends(self) -> int:
        """Wait for its end; the exit code."""
        self.until(lambda: self.has_ended, "it ends")
        return self.process.returncode

    @property
    def errors(self) -> str:
        """What it wrote to standard error."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def __str__(self) -> str:
        ended = self.process.poll()
        state = "still runs" if ended is None else f"ended with {ended}"
        return f"{self.name} {state}, said {self.said[-30:]}\n{self.errors[-3000:]}"


@contextmanager
def running_program(
    name: str, command: list[str], folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[ClientProgram]:
    """Start one; killed at the end if it runs still."""
    log = folder / f"{name.replace(' ', '-').replace('/', '-')}-{time.monotonic_ns()}.log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command],  # noqa: S607  # found in PATH, as the programs are
            cwd=_ROOT,
            env={**os.environ, "LETRADE_GO": str(folder / "go"), **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        try:
            yield ClientProgram(name, process, log)
        finally:
            process.kill()
            with suppress(BrokenPipeError):  # what nobody read
                process.stdin.close()


def python(module: str) -> list[str]:
    """The command of a Python program."""
    return [sys.executable, "-m", f"tests.clients.programs.{module}"]


def node(library: str) -> list[str]:
    """The command of a program on Node."""
    return ["env", f"NODE_PATH={modules_folder()}", "node", str(_HERE / "node" / "programs.js"), library]
