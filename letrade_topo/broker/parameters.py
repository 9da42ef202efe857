"""Runtime parameters: what plug-ins and operators set up in a vhost, and what holds for the whole cluster.

A shovel's or an upstream's address may hold a password. So what is shown of a value never has a login in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final, TypeAlias

from letrade_topo.broker.addresses import Address, pair_address
from letrade_topo.broker.kinds import Attributes, Kind
from letrade_topo.model.messages import Json
from letrade_topo.model.security import SecretReference

Place: TypeAlias = tuple[str | int, ...]
"""Keys and indices that lead to a part of a value."""

MASK: Final = "***"
_LOGIN = re.compile(r"://[^\s\"'<>/]*@")
_QUERY = re.compile(r"(://[^\s\"'<>?]*\?)[^\s\"'<>]+")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A runtime parameter of the vhost: a shovel, an upstream.

    Args:
        component: what reads it.
        name: its name.
        value: may hold secrets.
        references: where in the value secrets belong, and where they are read; null stands there until they are.
    """

    kind: ClassVar[Kind] = Kind.PARAMETER

    component: str
    name: str
    value: Json = field(default_factory=dict, repr=False, hash=False)
    references: tuple[tuple[Place, SecretReference], ...] = field(default=(), compare=False)

    @property
    def address(self) -> Address:
        """How plans, `ignore` and findings name it."""
        return pair_address("parameter", self.component, self.name)

    @property
    def attributes(self) -> Attributes:
        return {"value": self.value}

    def filled(self, secrets: Mapping[SecretReference, str]) -> Parameter:
        """With the secrets in their places."""
        value = self.value
        for place, reference in self.references:
            value = _with(value, place, secrets[reference])
        return replace(self, value=value)

    def blanked(self) -> Parameter:
        """With null where secrets belong."""
        value = self.value
        for place, _ in self.references:
            value = _with(value, place, None)
        return replace(self, value=value)

    def public_value(self) -> Json:
        """What may be shown: where a secret is read, instead of it."""
        value = self.value
        for place, reference in self.references:
            value = _with(value, place, str(reference))
        return without_logins(value)


@dataclass(frozen=True, slots=True)
class GlobalParameter:
    """A parameter of the whole cluster."""

    kind: ClassVar[Kind] = Kind.GLOBAL_PARAMETER

    name: str
    value: Json = field(repr=False, hash=False)

    @property
    def address(self) -> Address:
        return Address(f"global-parameter:{self.name}")

    @property
    def attributes(self) -> Attributes:
        return {"value": self.value}


def without_logins(value: Json) -> Json:
    """A value whose addresses have neither login nor query."""
    match value:
        case str():
            return _QUERY.sub(rf"\1{MASK}", _LOGIN.sub(f"://{MASK}@", value))
        case dict():
            return {key: without_logins(one) for key, one in value.items()}
        case list():
            return [without_logins(one) for one in value]
        case _:
            return value


def _with(value: Json, place: Place, part: Json) -> Json:
    """A copy of a value with another part at a place."""
    if not place:
        return part
    step, rest = place[0], place[1:]
    match value:
        case dict() if isinstance(step, str):
            return {**value, step: _with(value.get(step), rest, part)}
        case list() if isinstance(step, int):
            return [_with(one, rest, part) if index == step else one for index, one in enumerate(value)]
        case _:
            return value
