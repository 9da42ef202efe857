"""The command line as its users run it: a process, its exit code, what it says where."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests import preloaded
from tests.brokers import RunningBroker

LONGEST_RUN_SECONDS = 300
OUTPUT_BYTES = 1 << 20
"""How much a started tool may print before somebody reads it; with less, a long plan would hold it up."""
INHERITED = ("PATH", "HOME", "LANG")
FOR_THE_INTERPRETER = ("PYTHON", "LANG", "LC_")
"""What these variables begin with is read when an interpreter starts."""


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """How a run ended; `check` also makes sure that no traceback reached the user."""

    code: int
    out: str
    err: str

    def check(self, code: int) -> ToolAnswer:
        """Assert the exit code, with everything that was said in the failure's text."""
        assert self.code == code, f"exit code {self.code}, expected {code}\n{self.out}\n{self.err}"
        assert "Traceback" not in self.out + self.err, self.err
        return self


@dataclass(frozen=True, slots=True)
class Tool:
    """`letrade-topo` with an environment of its own.

    Args:
        environment: variables besides the inherited ones.
        folder: the working folder.
    """

    environment: dict[str, str] = field(default_factory=dict)
    folder: Path = Path()

    @classmethod
    def at(cls, broker: RunningBroker, folder: Path) -> Tool:
        """The tool as the administrator of a broker."""
        settings = {
            "LETRADE_TOPO_MANAGEMENT": broker.management_url,
            "LETRADE_TOPO_USERNAME": broker.username,
            "LETRADE_TOPO_PASSWORD_FILE": str(broker.password_file),
            "LETRADE_TOPO_CA_FILE": str(broker.ca_file),
        }
        return cls(settings, folder)

    def having(self, **environment: str) -> Tool:
        """The same with further variables."""
        return Tool(self.environment | environment, self.folder)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it and do not wait."""
        return subprocess.Popen(
            [sys.executable, "-m", "letrade_topo", *arguments],
            env=self._variables(),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pipesize=OUTPUT_BYTES,
            text=True,
        )

    def run(self, *arguments: str) -> ToolAnswer:
        """Run it to its end."""
        if any(name.startswith(FOR_THE_INTERPRETER) for name in self.environment):
            return ended(self.start(*arguments))
        return ToolAnswer(*preloaded.run(arguments, self._variables(), self.folder, LONGEST_RUN_SECONDS))

    def _variables(self) -> dict[str, str]:
        return {name: os.environ[name] for name in INHERITED if name in os.environ} | self.environment


def ended(process: subprocess.Popen[str]) -> ToolAnswer:
    """Wait for a started process; kill it when it takes unreasonably long."""
    try:
        out, err = process.communicate(timeout=LONGEST_RUN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"still running after {LONGEST_RUN_SECONDS} s\n{out}\n{err}") from None
    return ToolAnswer(process.returncode, out, err)
