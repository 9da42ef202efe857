"""From a file and options to a request that the planner understands; shared by plan, apply, drift, destroy."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import lru_cache

from letrade_topo.broker.capabilities import Capabilities
from letrade_topo.broker.objects import Parameter, User
from letrade_topo.cli.terminal import say
from letrade_topo.expand.desired import DesiredState, DocumentPath
from letrade_topo.expand.expansion import expand
from letrade_topo.load.topology_file import LoadedTopology
from letrade_topo.model.security import SecretReference
from letrade_topo.model.topology import BrokerAccess, Topology
from letrade_topo.plan.guards import Allowances
from letrade_topo.plan.prepare import PlanRequest
from letrade_topo.plan.saved import SavedPlan
from letrade_topo.plan.scope import Scope
from letrade_topo.secrets import NeededSecrets

_NOTHING = Allowances()


@dataclass(frozen=True, slots=True)
class Job:
    """What a command is to work on.

    Args:
        request: for the planner.
        access: the file's own idea of where the broker is.
        loaded: the topology file; None for a saved plan.
    """

    request: PlanRequest
    access: BrokerAccess | None
    loaded: LoadedTopology | None = None


def job_of_topology(loaded: LoadedTopology, allowances: Allowances = _NOTHING, *, destroys: bool = False) -> Job:
    """A job for a topology file; warnings of the file are said.

    Raises:
    """
    for warning in loaded.diagnostics:
        say(f"{warning.severity}: {warning.location}: {warning.summary} [{warning.rule}]")
    return Job(request_of(loaded, allowances, destroys=destroys), loaded.topology.broker, loaded)


def request_of(loaded: LoadedTopology, allowances: Allowances = _NOTHING, *, destroys: bool = False) -> PlanRequest:
    """What the planner needs of a topology file; secrets that cannot be read are missed when they are needed."""
    topology = loaded.topology

    @lru_cache(maxsize=1)
    def expanded(capabilities: Capabilities) -> DesiredState:
        return expand(topology, capabilities)

    def locate(path: DocumentPath) -> str:
        return str(loaded.sources.locate(path))

    return PlanRequest(
        scope=Scope.of(topology),
        expand=expanded,
        locate=locate,
        secrets={} if destroys else _secrets_of(topology),
        allowances=allowances,
        tls_required=topology.security.tls.required,
        destroys=destroys,
    )


def password_references(topology: Topology) -> Collection[SecretReference]:
    """Where the passwords of a topology's users are, and the addresses of its shovels and upstreams."""
    passwords = [service.password for service in topology.services.values()]
    passwords += [user.password for user in topology.users.values()]
    passwords += [
        user.password_hash.reference
        for user in topology.users.values()
        if user.password_hash is not None and not user.is_password_unmanaged
    ]
    addresses = [reference for one in topology.parameters for _, reference in one.references]
    return dict.fromkeys([*(password for password in passwords if password is not None), *addresses])


def _secrets_of(topology: Topology) -> NeededSecrets:
    """What they resolve to; of passwords that are somebody else's business only what happens to be there."""
    hashes = (user.password_hash for user in topology.users.values() if user.is_password_unmanaged)
    unmanaged = [one.reference for one in hashes if one is not None]
    return NeededSecrets(password_references(topology), unmanaged, os.environ)


def job_of_saved_plan(plan: SavedPlan, allowances: Allowances) -> Job:
    """A job for a saved plan; allowances given now are added to those it was saved with.

    Raises:
        MissingSecret: a password reference leads nowhere.
    """
    references: dict[SecretReference, None] = {}
    unmanaged: dict[SecretReference, None] = {}
    for one in plan.desired.objects.values():
        if isinstance(one.object, User) and one.object.password is not None:
            (unmanaged if one.object.is_password_unmanaged else references)[one.object.password] = None
        if isinstance(one.object, Parameter):
            references.update(dict.fromkeys(reference for _, reference in one.object.references))
    request = PlanRequest(
        scope=plan.scope,
        expand=lambda _: plan.desired,
        locate=lambda _: "",
        secrets=NeededSecrets(references, unmanaged, os.environ),
        allowances=replace(plan.allowances, given=plan.allowances.given | allowances.given),
        tls_required=plan.tls_required,
        fingerprint=plan.fingerprint,
    )
    return Job(request, plan.access)
