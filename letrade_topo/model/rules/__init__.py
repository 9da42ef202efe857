"""The rules that a topology must keep, beyond the shape of its file. Pure functions of the model."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from letrade_topo.model.rules import (
    arguments,
    claim_check,
    cycles,
    exchange_types,
    flows,
    keys,
    logins,
    naming,
    parameters,
    patterns,
    permanence,
    policies,
    policy_effects,
    queue_features,
    references,
    sensitive,
    ways,
)
from letrade_topo.model.rules.problem import Breach, Problem, Rule, RuleText, Severity
from letrade_topo.model.topology import Topology

RULES: tuple[Rule, ...] = (
    *references.RULES,
    *naming.RULES,
    *keys.RULES,
    *sensitive.RULES,
    *flows.RULES,
    *cycles.RULES,
    *ways.RULES,
    *queue_features.RULES,
    *permanence.RULES,
    *exchange_types.RULES,
    *arguments.RULES,
    *logins.RULES,
    *policies.RULES,
    *policy_effects.RULES,
    *parameters.RULES,
    *patterns.RULES,
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
    for rule in RULES:  # references first
        if (whole or not rule.needs_whole) and rule.looks_up not in unreadable:
            text = rule.text
            for breach in rule.check(topology):
                whole = whole and rule not in references.RULES  # what is missing elsewhere then may be what is misspelt
                yield Problem(
                    text.id,
                    breach.severity or text.severity,
                    breach.path,
                    text.title,
                    breach.why,
                    breach.fix,
                    at_key=breach.at_key,
                    otherwise=breach.otherwise,
                    related=breach.related,
                )


__all__ = ["RULES", "Breach", "Problem", "Rule", "RuleText", "Severity", "broken_rules"]
