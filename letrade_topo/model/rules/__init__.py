"""The rules that a topology must keep, beyond the shape of its file. Pure functions of the model."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from letrade_topo.model.rules import (
    arguments,
    claim_check,
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
    *claim_check.RULES,
)
"""Every rule, in the order of the reference page."""


def broken_rules(
    topology: Topology, *, whole: bool = True, unreadable: Collection[str] = frozenset()
) -> Iterator[Problem]:
    """The problems of a topology.

    Args:
        topology: the model.
        whole: all of the file could be read; otherwise rules that need to see all of it are left out.
        unreadable: sections of which nothing could be read; rules that look names up in them are left out.
    """
    for rule in RULES:
        if (whole or not rule.needs_whole) and rule.looks_up not in unreadable:
            text = rule.text
            for breach in rule.check(topology):
                yield Problem(
                    text.id, text.severity, breach.path, text.title, breach.why, breach.fix, at_key=breach.at_key
                )


__all__ = ["RULES", "Breach", "Problem", "Rule", "RuleText", "Severity", "broken_rules"]
