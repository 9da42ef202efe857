"""Somebody who does what a page of the documentation says: its files, its commands in their order.

Nothing of a page is changed but its addresses, which are the test's own.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from tests.brokers import RunningBroker
from tests.tool import Tool

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
LIMIT_SECONDS = 60.0
_BLOCK = re.compile(r"```(console|python|yaml)\n(.*?)```", re.DOTALL)


@dataclass
class Follower:
    """Follows one page.

    Args:
        page: its text.
        broker: that the page is about.
        folder: the working folder.
        stack: ends what was started.
        port: of the agent that the page starts; its admin port.
        addresses: what stands here for what the page has.
        different: exit codes other than 0, by command.
        environment: further variables.
    """

    page: str
    broker: RunningBroker
    folder: Path
    stack: ExitStack
    port: int
    admin: int
    addresses: Mapping[str, str]
    different: Mapping[str, int] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _commands: dict[str, str] = field(default_factory=dict)

    def follow(self, first: str, last: str = "") -> None:
        """Run every command between two places, and see that it shows what the page shows."""
        part = self.page[self.page.index(first) : self.page.index(last) if last else len(self.page)]
        for kind, block in _BLOCK.findall(part):
            if kind == "console":
                for command, shown in _commands(block):
                    self._run(command, shown)

    def _run(self, command: str, shown: str) -> None:
        if command.endswith("&"):
            self._start(command.removesuffix("&"))
            return
        done = subprocess.run(
            ["/bin/bash", "-c", self._here(command)],
            env=self._environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == self.different.get(command, 0), f"$ {command}\n{said}"
        lines = iter(said.splitlines())
        for line in shown.splitlines():
            assert line == "…" or line in lines, f"$ {command}\n{said}\nhas no line: {line}"

    def _start(self, command: str) -> None:
        name = "agent" if command.startswith("letrade-agent") else command.split()[-1]
        self._commands[name] = command
        log = self.stack.enter_context((self.folder / f"{name}.log").open("ab"))
        self.started[name] = process = subprocess.Popen(
            ["/bin/bash", "-c", f"exec setpriv --pdeathsig KILL env {self._here(command)}"],
            env=self._environment(),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        self.stack.callback(_end, process)

    def stop(self, name: str) -> None:
        """Stop something that was started; it has to run still."""
        process = self.started.pop(name)
        assert process.poll() is None, (self.folder / f"{name}.log").read_text()
        _end(process)

    def start_again(self, name: str) -> None:
        """Start something that was stopped, as the page starts it."""
        assert name not in self.started
        self._start(self._commands[name])

    def metric(self, name: str) -> float:
        """A metric of the agent, summed."""
        text = requests.get(f"http://127.0.0.1:{self.admin}/metrics", timeout=10).text
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"letrade_agent_{name}{{"))

    def _here(self, command: str) -> str:
        """With this test's addresses."""
        for shown, own in self.addresses.items():
            command = command.replace(shown, own)
        return command

    def _environment(self) -> dict[str, str]:
        return {
            **Tool.at(self.broker, self.folder).environment,
            **self.environment,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LETRADE_AGENT_LISTEN": f"127.0.0.1:{self.port}",
            "LETRADE_AGENT_ADMIN": f"127.0.0.1:{self.admin}",
            "LETRADE_URL": f"amqp://127.0.0.1:{self.port}",
            "LETRADE_ADMIN": f"127.0.0.1:{self.admin}",
        }


def blocks(page: str, kind: str) -> Iterator[str]:
    """The blocks of a page that are of a kind: `python`, `yaml`."""
    return (block for found, block in _BLOCK.findall(page) if found == kind)


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {LIMIT_SECONDS:g} s: {what}"
        time.sleep(0.05)


def _commands(block: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        match = re.match(r"((?:[^\n]*\\\n)*[^\n]*)\n(.*)", part, re.DOTALL)
        assert match is not None
        yield match[1], match[2]


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        pytest.fail("it did not end after SIGTERM")
