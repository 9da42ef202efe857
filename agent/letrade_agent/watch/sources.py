"""Topology and keys as the settings name them: read and checked, for the start and for every reload."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from letrade_agent.config import InvalidSetting, Settings
from letrade_agent.state import InForce
from letrade_agent.watch.topology_reader import read_topology
from letrade_topo.errors import TopoError
from letrade_topo.keys.folder import private_folder, public_file
from letrade_topo.keys.keyset import KeySet, load_keyset, private_files
from letrade_topo.model.security import Enforcement
from letrade_topo.model.topology import Topology


class NotReloadable(TopoError):
    """A new topology cannot replace the one in force without a restart."""


def topology_files(settings: Settings) -> Iterable[Path]:
    """The files of the topology."""
    return (settings.topology, *settings.overlays)


def key_files(settings: Settings) -> Iterable[Path]:
    """The files of the keys that concern this service; none without a key folder."""
    if settings.keys is None:
        return ()
    return (public_file(settings.keys), *private_files(private_folder(settings.keys, settings.service)))


def load(settings: Settings) -> InForce:
    """Read everything.

    Raises:
        TopologyRefused: with every problem of the files.
        InvalidKeySet: a key file is missing or not what it should be.
        InvalidSetting: the topology does not know the service, or demands keys and there is no folder of them.
    """
    topology, topology_sha = load_topology(settings)
    keys = load_keys(settings)
    return InForce(topology, topology_sha, keys, time.time())


def load_topology(settings: Settings) -> tuple[Topology, str]:
    """Read the topology and the beginning of its hash.

    Raises:
        TopologyRefused: with every problem of the files.
        InvalidSetting: it does not know the service, or demands keys and there is no folder of them.
    """
    topology, topology_sha = read_topology(tuple(topology_files(settings)), settings.variables)
    if settings.service not in topology.services:
        near = get_close_matches(settings.service, topology.services, n=1)
        raise InvalidSetting(
            f"--service {settings.service!r} is not a service of {settings.topology}",
            why=f"its services are {', '.join(topology.services) or 'none'}",
            fix=f"did you mean {near[0]!r}?" if near else "",
        )
    if settings.keys is None and demands_keys(topology):
        raise InvalidSetting(
            f"no key folder, and {settings.topology} demands signed messages (security.jwt.mode)",
            fix="give --keys DIR; `letrade-topo keys init DIR` makes one",
        )
    return topology, topology_sha


def load_keys(settings: Settings) -> KeySet | None:
    """Read the keys; None without a key folder.

    Raises:
        InvalidKeySet: a file is missing or not what it should be.
    """
    return None if settings.keys is None else load_keyset(settings.keys, settings.service)


def demands_keys(topology: Topology) -> bool:
    """Whether messages of any exchange are signed."""
    return any(topology.mode_of(exchange) is not Enforcement.OFF for exchange in topology.exchanges)


def succeeded(current: InForce, topology: Topology, topology_sha: str, service: str) -> InForce:
    """The new topology in the place of the one in force.

    Raises:
        NotReloadable: open connections stand on what has changed.
    """
    if topology.vhost != current.topology.vhost:
        raise NotReloadable(
            f"the virtual host changed from {current.topology.vhost!r} to {topology.vhost!r}",
            why="open connections are to the old one",
            fix="restart the agent",
        )
    old, new = current.topology.services[service].user, topology.services[service].user
    if old != new:
        raise NotReloadable(
            f"the broker user of {service} changed from {old!r} to {new!r}",
            why="open connections are logged in as the old one",
            fix="restart the agent",
        )
    return replace(current, topology=topology, topology_sha=topology_sha)
