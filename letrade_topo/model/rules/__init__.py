"""The rules that a topology must keep, beyond the shape of its file. Pure functions of the model."""

from __future__ import annotations

from collections.abc import Iterator

from letrade_topo.model.rules.problem import Problem, Rule, Severity
from letrade_topo.model.topology import Topology

RULES: tuple[Rule, ...] = ()
"""Every rule."""


def broken_rules(topology: Topology, *, whole: bool = True) -> Iterator[Problem]:
    """The problems of a topology; unless it is `whole`, only those that need not see all of it."""
    for rule in RULES:
        if whole or not rule.needs_whole:
            yield from rule.check(topology)


__all__ = ["RULES", "Problem", "Rule", "Severity", "broken_rules"]
