"""From a file and options to a request that the planner understands; shared by plan, apply, drift, destroy."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from letrade_topo.broker.capabilities import Capabilities
from letrade_topo.cli.terminal import say
from letrade_topo.expand.desired import DesiredState, DocumentPath
from letrade_topo.expand.expansion import expand
from letrade_topo.load.topology_file import LoadedTopology
from letrade_topo.model.security import SecretReference
from letrade_topo.model.topology import BrokerAccess, Topology
from letrade_topo.plan import saved
from letrade_topo.plan.guards import Allowances
from letrade_topo.plan.prepare import Request
from letrade_topo.plan.scope import Scope
from letrade_topo.secrets import resolve

_NOTHING = Allowances()


@dataclass(frozen=True, slots=True)
class Job:
    """What a command is to work on.

    Args:
        request: for the planner.
        access: the file's own idea of where the broker is.
        fingerprint: of a saved plan; None for a topology file.
        loaded: the topology file; None for a saved plan.
    """

    request: Request
    access: BrokerAccess | None
    fingerprint: str | None = None
    loaded: LoadedTopology | None = None


def job_of_topology(loaded: LoadedTopology, allow: Sequence[str] = (), *, destroys: bool = False) -> Job:
    """A job for a topology file; warnings of the file are said.

    Raises:
        InvalidAllowance: `--allow` was given something unknown.
        MissingSecret: a password reference leads nowhere.
    """
    for warning in loaded.diagnostics:
        say(f"{warning.severity}: {warning.location}: {warning.summary} [{warning.rule}]")
    return Job(request_of(loaded, Allowances.parse(allow), destroys=destroys), loaded.topology.broker, loaded=loaded)


def request_of(loaded: LoadedTopology, allowances: Allowances = _NOTHING, *, destroys: bool = False) -> Request:
    """What the planner needs of a topology file.

    Raises:
        MissingSecret: a password reference leads nowhere.
    """
    topology = loaded.topology

    @lru_cache(maxsize=1)
    def expanded(capabilities: Capabilities) -> DesiredState:
        return expand(topology, capabilities)

    def locate(path: DocumentPath) -> str:
        return str(loaded.sources.locate(path))

    references = password_references(topology)
    return Request(
        scope=Scope.of(topology),
        expand=expanded,
        locate=locate,
        secrets={} if destroys else resolve(references, os.environ),
        allowances=allowances,
        tls_required=topology.security.tls.required,
        destroys=destroys,
    )


def password_references(topology: Topology) -> Collection[SecretReference]:
    """Where the passwords of a topology's users are."""
    passwords = [service.password for service in topology.services.values()]
    passwords += [user.password for user in topology.users.values()]
    return dict.fromkeys(password for password in passwords if password is not None)


def job_of_saved_plan(path: Path, allow: Sequence[str] = ()) -> Job:
    """A job for a saved plan; allowances given now are added to those it was saved with."""
    plan = saved.load(path)
    references: dict[SecretReference, None] = {}
    for one in plan.desired.objects.values():
        password = getattr(one.object, "password", None)
        if isinstance(password, SecretReference):
            references[password] = None
    request = Request(
        scope=plan.scope,
        expand=lambda _: plan.desired,
        locate=lambda _: "",
        secrets=resolve(references, os.environ),
        allowances=replace(plan.allowances, given=plan.allowances.given | Allowances.parse(allow).given),
        tls_required=plan.tls_required,
    )
    return Job(request, plan.access, plan.fingerprint)
