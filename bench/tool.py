"""Running `letrade-topo` as its users do: a whole process, measured from outside."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from letrade_topo.node.node import Node
from letrade_topo.node.settings import ADMINISTRATOR, Listener

_MEASURED = Path(__file__).with_name("measured.py")


@dataclass(frozen=True, slots=True)
class Taken:
    """What one run took."""

    exit_code: int
    wall_seconds: float
    cpu_seconds: float
    peak_megabytes: float


class UnexpectedExit(Exception):
    """The tool did not do what was to be measured."""


def run_tool(*arguments: str, node: Node | None = None, expected: int = 0, folder: Path) -> Taken:
    """Run the tool and wait for its end.

    Args:
        arguments: of the command line.
        node: the broker that it shall talk to.
        expected: the exit code.
        folder: where its output goes.

    Raises:
        UnexpectedExit: another exit code; with the last lines of the output.
    """
    output = folder / "output"
    # -S: without site-packages the parent stays smaller than what it measures.
    command = [sys.executable, "-I", "-S", str(_MEASURED), str(output), _tool(), *arguments]
    environment = environment_of(node) if node else {}
    result = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    taken = Taken(**json.loads(result.stdout))
    if taken.exit_code != expected:
        lines = output.read_text(errors="replace").splitlines()[-20:]
        raise UnexpectedExit(f"letrade-topo {arguments[0]} ended with {taken.exit_code}:\n" + "\n".join(lines))
    return taken


def environment_of(node: Node) -> dict[str, str]:
    """The variables by which the tool finds a broker."""
    return {
        "LETRADE_TOPO_MANAGEMENT": node.url(Listener.HTTPS),
        "LETRADE_TOPO_USERNAME": ADMINISTRATOR,
        "LETRADE_TOPO_PASSWORD_FILE": str(node.folder.password_file),
        "LETRADE_TOPO_CA_FILE": str(node.certificates.ca_file),
    }


def _tool() -> str:
    return str(Path(sys.executable).with_name("letrade-topo"))
