"""Operator policies and runtime parameters: what the broker refuses, and what must not stand in a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from letrade_topo.model.messages import Json
from letrade_topo.model.names import INTERNAL_PREFIX, OWNERSHIP_RECORD_PREFIX
from letrade_topo.model.parameters import OPERATOR_SETTINGS, PARAMETER_PLUGINS, URI_KEYS
from letrade_topo.model.rules.problem import Breach, Path, Rule, Severity, did_you_mean, rule
from letrade_topo.model.settings import POLICY_SETTINGS
from letrade_topo.model.topology import Topology

_ELSEWHERE: Final[Mapping[str, str]] = {
    "policy": "policies",
    "operator_policy": "operator_policies",
    "vhost-limits": "limits",
}
_LOGIN = re.compile(r"://[^/\s@]*@")


@rule(
    "operator-policy-setting",
    "setting that an operator policy cannot have",
    "Operator policies set limits (lengths, expiry, deliveries, what a full queue does): where messages go is for "
    "policies. RabbitMQ refuses the whole operator policy otherwise.",
)
def operator_policy_setting(topology: Topology) -> Iterator[Breach]:
    """Settings that every version refuses in an operator policy, and values of the wrong kind."""
    for name, policy in topology.operator_policies.items():
        for key, value in policy.definition.items():
            path: Path = ("operator_policies", name, "definition", key)
            if key not in OPERATOR_SETTINGS:
                fix = did_you_mean(key, OPERATOR_SETTINGS, "Remove it, or write it in a policy.")
                yield Breach(path, f"{key!r} is no setting of an operator policy.", fix, at_key=True)
            elif not (values := POLICY_SETTINGS[key].values).accepts(value):
                yield Breach(path, f"{key!r} is {values}; this is not.", f"Write {values}.")


@rule(
    "parameter-component",
    "parameters that stand elsewhere",
    "Policies, operator policies and the limits of a vhost are runtime parameters of RabbitMQ, too; in a topology each "
    "has a section of its own.",
)
def parameter_component(topology: Topology) -> Iterator[Breach]:
    """Components that have a section of their own."""
    for component in dict.fromkeys(one.component for one in topology.parameters):
        if component in _ELSEWHERE:
            why = f"{component!r} is what `{_ELSEWHERE[component]}` stands for."
            yield Breach(("parameters", component), why, f"Write it under `{_ELSEWHERE[component]}`.", at_key=True)


@rule(
    "parameter-unknown",
    "parameters that nobody reads as far as is known",
    "RabbitMQ refuses the parameters of a component that no enabled plug-in has.",
    severity=Severity.WARNING,
)
def parameter_unknown(topology: Topology) -> Iterator[Breach]:
    """Components that are in no table."""
    for component in dict.fromkeys(one.component for one in topology.parameters):
        if component not in PARAMETER_PLUGINS and component not in _ELSEWHERE:
            fix = did_you_mean(component, PARAMETER_PLUGINS, "Leave it, if a plug-in of the broker's own reads it.")
            yield Breach(("parameters", component), f"{component!r} is not known here.", fix, at_key=True)


@rule(
    "secret-in-parameter",
    "login in an address of the file",
    "The address of a shovel or an upstream logs in somewhere: it is read where a reference says, as passwords are. An "
    "address without a login may stand in the file.",
)
def secret_in_parameter(topology: Topology) -> Iterator[Breach]:
    """Addresses with a login, written out."""
    for one in topology.parameters:
        value = one.value if isinstance(one.value, dict) else {}
        for key in sorted(URI_KEYS & value.keys()):
            if _has_login(value[key]):
                why = "A topology is kept in version control and shown in plans; a password in it is a password lost."
                fix = f"Put the address into a file or a variable, and write `{key}: {{file: PATH}}` or {{env: NAME}}."
                yield Breach(("parameters", one.component, one.name, key), why, fix)


def _has_login(value: Json) -> bool:
    if isinstance(value, list):
        return any(map(_has_login, value))
    return isinstance(value, str) and _LOGIN.search(value) is not None


@rule(
    "reserved-parameter",
    "global parameter of somebody else",
    "Global parameters whose names begin with `letrade-topo.` are this tool's records, and with `internal` the "
    "broker's own.",
)
def reserved_parameter(topology: Topology) -> Iterator[Breach]:
    """Global parameters with such names."""
    for name in topology.global_parameters:
        for prefix, owner in ((OWNERSHIP_RECORD_PREFIX, "this tool"), (INTERNAL_PREFIX, "the broker")):
            if name.startswith(prefix):
                why = f"{name!r} begins with {prefix!r}, which {owner} keeps to itself."
                yield Breach(("global_parameters", name), why, "Rename it, or remove it.", at_key=True)


RULES: tuple[Rule, ...] = (
    operator_policy_setting,
    parameter_component,
    parameter_unknown,
    secret_in_parameter,
    reserved_parameter,
)
