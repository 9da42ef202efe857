"""Reads a topology in a process of its own: `python -m letrade_agent.watch.topology_reader` is the other end.

Reading takes a YAML parser and two schema libraries, a tenth of the agent's memory, and holds the interpreter for as
long as it takes; the agent needs neither for long, and its connections cannot wait.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from letrade_agent.limits import DEFAULT_LIMITS
from letrade_topo.errors import TopoError
from letrade_topo.model.topology import Topology


class TopologyRefused(TopoError):
    """The topology cannot be used; the text is the reader's, with every problem at its place in the file."""

    def __init__(self, text: str) -> None:
        super().__init__(text)


class Read(NamedTuple):
    """A topology that can be used.

    Attributes:
        topology: the model.
        sha: the first hexadecimal digits of the SHA-256 of its files.
    """

    topology: Topology
    sha: str


def read_topology(
    files: Sequence[Path], variables: Mapping[str, str], seconds: float = DEFAULT_LIMITS.watch.reading_seconds
) -> Read:
    """Read a topology and its overlays in another process.

    Args:
        files: the file, then the overlays.
        variables: values for declared variables, by upper-case name.
        seconds: for that process.

    Raises:
        TopologyRefused: it cannot be used, or could not be read.
    """
    question = json.dumps({"files": [str(path) for path in files], "variables": dict(variables)})
    try:
        answer = subprocess.run(
            [sys.executable, "-m", __name__],
            input=question.encode(),
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TopologyRefused(f"cannot read {files[0]}: {error}") from None
    if answer.returncode:
        last = answer.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise TopologyRefused(f"reading {files[0]} ended with {answer.returncode}: {last}")
    found = pickle.loads(answer.stdout)  # noqa: S301  # our own process wrote it
    if isinstance(found, Read):
        return found
    raise TopologyRefused(str(found))


def _main() -> None:
    from letrade_topo.load.source_text import read_source, topology_sha
    from letrade_topo.load.topology_file import load_sources

    question = json.load(sys.stdin)
    try:
        texts = [read_source(Path(name)) for name in question["files"]]
        topology = load_sources(texts, environment=question["variables"]).topology
        found: Read | str = Read(topology, topology_sha(texts))
    except TopoError as error:
        found = str(error)
    sys.stdout.buffer.write(pickle.dumps(found))


if __name__ == "__main__":
    # Under its own name, as what is pickled here has to be found there.
    from letrade_agent.watch import topology_reader

    topology_reader._main()
