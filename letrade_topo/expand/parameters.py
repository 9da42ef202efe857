"""Operator policies, runtime and global parameters, as declared."""

from __future__ import annotations

from collections.abc import Iterator

from letrade_topo.broker.objects import GlobalParameter, OperatorPolicy, Parameter
from letrade_topo.expand.desired import Desired
from letrade_topo.model.topology import Topology


def expand_parameters(topology: Topology) -> Iterator[Desired]:
    """Each of them, with its place in the file."""
    for name, policy in topology.operator_policies.items():
        definition = dict(policy.definition)
        made = OperatorPolicy(name, policy.pattern, str(policy.apply_to), definition, policy.priority)
        yield Desired(made, ("operator_policies", name))
    for one in topology.parameters:
        made_parameter = Parameter(one.component, one.name, one.value, one.references)
        yield Desired(made_parameter, ("parameters", one.component, one.name))
    for name, value in topology.global_parameters.items():
        yield Desired(GlobalParameter(name, value), ("global_parameters", name))
