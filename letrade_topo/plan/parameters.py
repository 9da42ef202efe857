"""Runtime parameters with their secrets in place, and what may be shown of a difference. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from letrade_topo.broker.objects import GlobalParameter, Parameter
from letrade_topo.broker.parameters import without_logins
from letrade_topo.expand.desired import DesiredState
from letrade_topo.model.messages import Json
from letrade_topo.model.security import SecretReference


def settle_parameters(desired: DesiredState, secrets: Mapping[SecretReference, str]) -> DesiredState:
    """The desired state with every secret where it belongs.

    Args:
        desired: parameters with references.
        secrets: what they resolve to.
    """
    objects = {
        address: replace(one, object=one.object.filled(secrets)) if isinstance(one.object, Parameter) else one
        for address, one in desired.objects.items()
    }
    return replace(desired, objects=objects)


def public_value(thing: Parameter | GlobalParameter) -> Json:
    """A value as it may be shown."""
    return thing.public_value() if isinstance(thing, Parameter) else without_logins(thing.value)


def parts(value: Json) -> Iterator[tuple[str, Json]]:
    """The parts that are compared one by one: the keys of a mapping, or all of it."""
    if isinstance(value, dict):
        yield from ((f"value.{key}", one) for key, one in value.items())
    else:
        yield "value", value
