"""What a private broker's folder remembers between two programs: ports, processes, installation.

One JSON file. It also marks the folder as one that this program made and may delete.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from letrade_topo import files
from letrade_topo.node.errors import NodeError
from letrade_topo.node.node import NodeProcesses
from letrade_topo.node.processes import ProcessIdentity
from letrade_topo.node.settings import Listener, Ports

STATE_FILE = "broker.json"
_FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class BrokerState:
    """The state of a private broker.

    Args:
        version: of its RabbitMQ: its data are of that version.
        root: the root folder of its installation, or None.
        ports: as of its last start, used again by the next one where they are free.
        processes: as of its last start; None when it was stopped.
        started_at: when its last start was, RFC 3339; None before the first one.
    """

    version: str
    root: Path | None = None
    ports: Ports | None = None
    processes: NodeProcesses | None = None
    started_at: str | None = None


def read_state(folder: Path) -> BrokerState | None:
    """The state of the broker in a folder; None when the folder holds none.

    Raises:
        NodeError: the file is there and cannot be understood.
    """
    path = folder / STATE_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return _from_json(json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise NodeError(
            f"{path} cannot be understood",
            why=f"{type(error).__name__}: {error}",
            fix="end its processes, if there are any, by hand, and remove the folder",
        ) from error


def write_state(folder: Path, state: BrokerState) -> None:
    """Replace the state in one step: a reader sees the old or the new one, whoever is killed."""
    ports = state.ports
    document = {
        "format_version": _FORMAT_VERSION,
        "version": state.version,
        "root": str(state.root) if state.root else None,
        "ports": {
            "listeners": {listener.value: port for listener, port in ports.listeners.items()},
            "epmd": ports.epmd,
            "distribution": ports.distribution,
            "cli": ports.cli,
        }
        if ports
        else None,
        "processes": asdict(state.processes) if state.processes else None,
        "started_at": state.started_at,
    }
    files.write(folder / STATE_FILE, (json.dumps(document, indent=2) + "\n").encode())


def _from_json(document: dict[str, Any]) -> BrokerState:
    if document["format_version"] != _FORMAT_VERSION:
        raise ValueError(f"format_version {document['format_version']} is not {_FORMAT_VERSION}")
    ports, processes = document["ports"], document["processes"]
    return BrokerState(
        version=document["version"],
        root=Path(document["root"]) if document["root"] else None,
        ports=_ports(ports) if ports else None,
        processes=NodeProcesses(
            ProcessIdentity(**processes["epmd"]),
            ProcessIdentity(**processes["broker"]) if processes["broker"] else None,
        )
        if processes
        else None,
        started_at=document["started_at"],
    )


def _ports(document: dict[str, Any]) -> Ports:
    listeners = {Listener(name): int(port) for name, port in document["listeners"].items()}
    return Ports(MappingProxyType(listeners), document["epmd"], document["distribution"], document["cli"])
