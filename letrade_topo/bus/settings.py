"""Where a bus finds its agent and its topology, and for which service it speaks.

From arguments, else from the environment:

    LETRADE_SERVICE       the service, as the topology names it
    LETRADE_TOPOLOGY      the topology file; without it, topology.yaml in this folder or the nearest above it
    LETRADE_URL           where the agent listens; amqp://127.0.0.1:5672
    LETRADE_ADMIN         the agent's admin address; 127.0.0.1:9464
    LETRADE_TOPO_VAR_…    values for variables of the topology, as for `letrade-topo` and `letrade-agent`
    LETRADE_TOPO_OVERLAY  files that change the topology, likewise
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from letrade_topo.bus.errors import ConfigurationError
from letrade_topo.host_names import host_problem
from letrade_topo.load.environment import topology_variables
from letrade_topo.load.source_text import read_source
from letrade_topo.load.topology_file import load_sources
from letrade_topo.model.services import Service
from letrade_topo.model.topology import Topology

DEFAULT_URL: Final = "amqp://127.0.0.1:5672"
DEFAULT_ADMIN: Final = "127.0.0.1:9464"
DEFAULT_FILE: Final = "topology.yaml"


@dataclass(frozen=True, slots=True)
class BusSettings:
    """How a bus is set up.

    Args:
        service: for which it speaks.
        topology: the file.
        url: where the agent listens; never printed, it may hold a password.
        admin: HOST:PORT of the agent's admin port.
        overlays: files that change the topology, in this order.
        variables: values for variables of the topology, by upper-case name.
    """

    service: str
    topology: Path
    url: str = field(default=DEFAULT_URL, repr=False)
    admin: str = DEFAULT_ADMIN
    overlays: tuple[Path, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def address(self) -> str:
        """Where the agent listens, without user and password."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def url_of(self, vhost: str) -> str:
        """The URL with the topology's vhost, where it names none."""
        parts = urlsplit(self.url)
        if parts.path in ("", "/"):
            parts = parts._replace(path=f"/{quote(vhost, safe='')}")
        return urlunsplit(parts)

    def vhost_of(self, vhost: str) -> str:
        """The vhost that is meant: the URL's, or the topology's where that names none."""
        return unquote(urlsplit(self.url_of(vhost)).path.removeprefix("/"))

    def load(self) -> tuple[Topology, Service]:
        """Read the topology.

        Raises:
            InvalidTopology: the file cannot be used; with every problem.
            ConfigurationError: the service is not in it.
        """
        texts = [read_source(path) for path in (self.topology, *self.overlays)]
        topology = load_sources(texts, environment=self.variables).topology
        service = topology.services.get(self.service)
        if service is None:
            near = get_close_matches(self.service, topology.services, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"its services: {', '.join(topology.services)}"
            raise ConfigurationError(f"{self.topology} has no service {self.service!r}", fix=hint)
        return topology, service


def read_settings(
    environment: Mapping[str, str],
    folder: Path,
    *,
    service: str | None = None,
    topology: str | os.PathLike[str] | None = None,
    url: str | None = None,
    admin: str | None = None,
) -> BusSettings:
    """Settings from arguments, else from variables, else the defaults.

    Args:
        environment: variables.
        folder: where the search for the topology begins.
        service, topology, url, admin: override variables.

    Raises:
        ConfigurationError: no service, no topology, or a URL that is none.
    """
    name = service or environment.get("LETRADE_SERVICE")
    if not name:
        raise ConfigurationError(
            "the bus does not know for which service it speaks",
            fix="set LETRADE_SERVICE, or write MessageBus(service='…'), to a name under `services` in topology.yaml",
        )
    given = topology or environment.get("LETRADE_TOPOLOGY")
    overlays = environment.get("LETRADE_TOPO_OVERLAY", "").split(os.pathsep)
    return BusSettings(
        name,
        Path(given) if given else _found(folder),
        _checked(url or environment.get("LETRADE_URL") or DEFAULT_URL),
        admin or environment.get("LETRADE_ADMIN") or DEFAULT_ADMIN,
        tuple(Path(overlay) for overlay in overlays if overlay),
        topology_variables(environment),
    )


def _found(folder: Path) -> Path:
    for place in (folder, *folder.parents):
        if (place / DEFAULT_FILE).is_file():
            return place / DEFAULT_FILE
    raise ConfigurationError(
        "the bus does not find the topology",
        why=f"there is no {DEFAULT_FILE} in {folder} or above it",
        fix="set LETRADE_TOPOLOGY to the path of the file",
    )


def _checked(url: str) -> str:
    fix = f"write amqp://HOST:PORT, for example {DEFAULT_URL}"
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in ("amqp", "amqps") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_right = False
    if not is_right:
        raise ConfigurationError("LETRADE_URL is not an AMQP URL", fix=fix)
    if problem := host_problem(parts.hostname or ""):
        raise ConfigurationError("LETRADE_URL names no host", why=problem, fix=fix)
    return url
