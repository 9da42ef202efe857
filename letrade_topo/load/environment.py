"""Values for variables of a topology from the environment, as all programs and the message bus take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

VARIABLE_PREFIX: Final = "LETRADE_TOPO_VAR_"


def topology_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Values for variables that the topology declares.

    Args:
        environment: of the process.

    Returns:
        Values by name in upper case, without the prefix.
    """
    return {
        name.removeprefix(VARIABLE_PREFIX): value
        for name, value in environment.items()
        if name.startswith(VARIABLE_PREFIX) and name != VARIABLE_PREFIX
    }
