"""Runtime parameters as a topology declares them: shovels, upstreams and whatever else a plug-in reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from letrade_topo.model.messages import Json
from letrade_topo.model.security import SecretReference
from letrade_topo.model.settings import ALWAYS, Versions

URI_KEYS: Final = frozenset({"uri", "src-uri", "dest-uri"})
"""Of shovels and upstreams (rabbit_shovel_parameters, rabbit_federation_parameters): what logs in stands there."""

PARAMETER_PLUGINS: Final[Mapping[str, str]] = {
    "shovel": "rabbitmq_shovel",
    "federation-upstream": "rabbitmq_federation",
    "federation-upstream-set": "rabbitmq_federation",
}
"""Which plug-in reads the parameters of a component."""

OPERATOR_SETTINGS: Final[Mapping[str, Versions]] = {
    "delivery-limit": ALWAYS,
    "expires": ALWAYS,
    "max-in-memory-bytes": ALWAYS,
    "max-in-memory-length": ALWAYS,
    "max-length": ALWAYS,
    "max-length-bytes": ALWAYS,
    "message-ttl": ALWAYS,
    "queue-version": Versions(since=(3, 11)),
    "overflow": Versions(since=(3, 12)),
    "target-group-size": Versions(since=(3, 13)),
    "delayed-retry-max": Versions(since=(4, 3, 1)),
    "delayed-retry-min": Versions(since=(4, 3, 1)),
    "delayed-retry-type": Versions(since=(4, 3, 1)),
}
"""What an operator policy may set (rabbit_policies, operator_policy_validator): limits, no ways."""


@dataclass(frozen=True, slots=True)
class DeclaredParameter:
    """A runtime parameter of the vhost.

    Args:
        component: what reads it, for example `shovel`.
        name: its name.
        value: as the broker gets it, with null where a secret belongs.
        references: those places, each with where the secret is read.
    """

    component: str
    name: str
    value: Json = field(hash=False)
    references: tuple[tuple[tuple[str | int, ...], SecretReference], ...] = ()
