"""A difference that no write of ours repairs."""

from __future__ import annotations

from dataclasses import dataclass

from letrade_topo.broker.objects import Address


@dataclass(frozen=True, slots=True)
class Finding:
    """One such difference.

    Args:
        name: the kind of finding.
        address: what it is about.
        text: what was found.
        fix: what to do about it.
    """

    name: str
    address: Address
    text: str
    fix: str
