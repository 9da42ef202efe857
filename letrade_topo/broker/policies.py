"""Policies of a vhost, and those of operators, which limit what all others say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from letrade_topo.broker.addresses import Address
from letrade_topo.broker.kinds import Attributes, Kind
from letrade_topo.model.messages import Json


@dataclass(frozen=True, slots=True)
class _Settings:
    """What both are: settings for whatever a pattern matches."""

    name: str
    pattern: str
    apply_to: str
    definition: Mapping[str, Json] = field(hash=False)
    priority: int = 0

    @property
    def attributes(self) -> Attributes:
        return {
            "pattern": self.pattern,
            "apply-to": self.apply_to,
            "definition": dict(self.definition),
            "priority": self.priority,
        }


@dataclass(frozen=True, slots=True)
class Policy(_Settings):
    """A policy of the vhost."""

    kind: ClassVar[Kind] = Kind.POLICY

    @property
    def address(self) -> Address:
        """How plans, `ignore` and findings name it."""
        return Address(f"policy:{self.name}")


@dataclass(frozen=True, slots=True)
class OperatorPolicy(_Settings):
    """An operator policy of the vhost."""

    kind: ClassVar[Kind] = Kind.OPERATOR_POLICY

    @property
    def address(self) -> Address:
        """How plans, `ignore` and findings name it."""
        return Address(f"operator-policy:{self.name}")
