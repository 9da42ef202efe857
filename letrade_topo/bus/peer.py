"""Whether what answered is the agent of this service, or a broker that will do."""

from __future__ import annotations

from letrade_topo.bus.errors import ConfigurationError
from letrade_topo.bus.link import Link
from letrade_topo.bus.settings import BusSettings
from letrade_topo.model.security import Enforcement
from letrade_topo.model.services import Service
from letrade_topo.model.topology import Topology


def check_peer(link: Link, settings: BusSettings, topology: Topology, service: Service) -> None:
    """See that it is the agent of this service that answered, or that a broker will do.

    Raises:
        ConfigurationError: neither.
    """
    if link.agent:
        if link.agent != service.name:
            raise ConfigurationError(
                f"the agent at {settings.address} stands beside {link.agent!r}, and this is {service.name!r}",
                why="it would sign what this service says with another's name",
                fix="set LETRADE_URL to the address of this service's own agent",
            )
        return
    guarded = [name for name in _exchanges_of(topology, service) if topology.mode_of(name) is not Enforcement.OFF]
    if guarded:
        raise ConfigurationError(
            f"{settings.address} is a broker, not an agent",
            why=f"messages on {', '.join(guarded)} have to be signed and verified, which agents do",
            fix=f"run `letrade-agent run --service {service.name}` and set LETRADE_URL to where it listens; or give "
            "these exchanges `mode: off` in topology.yaml",
        )


def _exchanges_of(topology: Topology, service: Service) -> list[str]:
    """Every exchange that a service uses."""
    if service.patterns:
        return list(dict.fromkeys(message.exchange for message in topology.messages.values()))
    names = (*service.publishes, *service.consumes)
    return list(dict.fromkeys(topology.messages[name].exchange for name in names))
