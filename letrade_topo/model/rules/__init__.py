"""The rules that a topology must keep, beyond the shape of its file. Pure functions of the model."""

from __future__ import annotations

from collections.abc import Iterator

from letrade_topo.model.rules import (
    arguments,
    flows,
    keys,
    logins,
    naming,
    policies,
    queue_features,
    references,
    sensitive,
)
from letrade_topo.model.rules.problem import Breach, Problem, Rule, RuleText, Severity
from letrade_topo.model.topology import Topology

RULES: tuple[Rule, ...] = (
    *references.RULES,
    *naming.RULES,
    *keys.RULES,
    *sensitive.RULES,
    *flows.RULES,
    *queue_features.RULES,
    *arguments.RULES,
    *logins.RULES,
    *policies.RULES,
)
"""Every rule, in the order of the reference page."""


def broken_rules(topology: Topology, *, whole: bool = True) -> Iterator[Problem]:
    """The problems of a topology; unless it is `whole`, only those that need not see all of it."""
    for rule in RULES:
        if whole or not rule.needs_whole:
            text = rule.text
            for breach in rule.check(topology):
                yield Problem(
                    text.id, text.severity, breach.path, text.title, breach.why, breach.fix, at_key=breach.at_key
                )


__all__ = ["RULES", "Breach", "Problem", "Rule", "RuleText", "Severity", "broken_rules"]
