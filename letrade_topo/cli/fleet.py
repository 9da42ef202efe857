"""The jobs of one run: topologies that are planned, applied, compared or destroyed together, on one broker."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from letrade_topo.broker.capabilities import NEWEST, for_version
from letrade_topo.cli.connection import PASSWORD_FILE_VARIABLE, PASSWORD_VARIABLE, ConnectionOptions
from letrade_topo.cli.session import Job, job_of_saved_plan, job_of_topology
from letrade_topo.expand.expansion import expand
from letrade_topo.load.diagnostics import Diagnostic, InvalidTopology
from letrade_topo.load.topology_file import LoadedTopology
from letrade_topo.model.rules import Severity
from letrade_topo.model.security import SecretReference
from letrade_topo.model.topology import BrokerAccess
from letrade_topo.plan import saved
from letrade_topo.plan.agreement import NOTHING_READ, DeclaredFile, disagreements
from letrade_topo.plan.guards import Allowances, InvalidAllowance
from letrade_topo.plan.prepare import PlanRequest
from letrade_topo.plan.scope import Scope


@dataclass(frozen=True, slots=True)
class Fleet:
    """What a command is to work on, all of it on one broker.

    Args:
        jobs: one for each topology, in the order of the files.
        access: the files' own idea of where the broker is.
    """

    jobs: tuple[Job, ...]
    access: BrokerAccess | None

    @property
    def requests(self) -> tuple[PlanRequest, ...]:
        """For the planner."""
        return tuple(job.request for job in self.jobs)

    def loaded(self, scope: Scope) -> LoadedTopology | None:
        """The topology file of a plan; None for a saved one."""
        return next((job.loaded for job in self.jobs if job.request.scope.record_name == scope.record_name), None)


def fleet_of_topologies(
    loaded: Sequence[LoadedTopology],
    connection: ConnectionOptions,
    allow: Sequence[str] = (),
    *,
    destroys: bool = False,
) -> Fleet:
    """The jobs for topology files; warnings of the files are said.

    Raises:
        InvalidAllowance: `--allow` was given something unknown.
        InvalidTopology: the files disagree in where the broker is, or in a password.
        MissingSecret: a password reference leads nowhere.
    """
    names = [one.topology.name for one in loaded]
    allowed = [allowances_for(name, names, allow) for name in names]
    access = _access(loaded, connection)
    jobs = tuple(job_of_topology(one, given, destroys=destroys) for one, given in zip(loaded, allowed, strict=True))
    if len(jobs) > 1 and not destroys:
        check_agreement(loaded, {reference: text for job in jobs for reference, text in job.request.secrets.items()})
    return Fleet(jobs, access)


def fleet_of_saved_plan(path: Path, allow: Sequence[str] = ()) -> Fleet:
    """The jobs for a saved plan; allowances given now are added to those it was saved with.

    Raises:
        InvalidAllowance: `--allow` was given something unknown.
        InvalidPlanFile: it was edited or damaged, or is of another format.
        MissingSecret: a password reference leads nowhere.
    """
    plans = saved.load(path)
    names = [plan.scope.topology for plan in plans]
    jobs = tuple(job_of_saved_plan(plan, allowances_for(plan.scope.topology, names, allow)) for plan in plans)
    return Fleet(jobs, jobs[0].access)


def check_agreement(loaded: Sequence[LoadedTopology], secrets: Mapping[SecretReference, str] = NOTHING_READ) -> None:
    """Make sure that files say the same of what more than one of them names.

    Args:
        loaded: the files.
        secrets: what password references resolve to, where that is known.

    Raises:
        InvalidTopology: with every place where two of them do not, and the warnings of all.
    """
    capabilities = for_version(NEWEST)  # any would do: no broker is asked
    files = [DeclaredFile(Scope.of(one.topology), expand(one.topology, capabilities), one.sources) for one in loaded]
    found = list(disagreements(files, secrets))
    if found:
        raise InvalidTopology([*found, *(item for one in loaded for item in one.diagnostics)])


def allowances_for(topology: str, topologies: Sequence[str], allow: Sequence[str]) -> Allowances:
    """What `--allow` allows for one of several topologies: `KIND[=ADDRESS]` for all, `TOPOLOGY/KIND[=ADDRESS]` for it.

    What is given up object by object needs the topology where there are several.

    Args:
        topology: for which.
        topologies: the names of all.
        allow: as given.

    Raises:
        InvalidAllowance: an unknown kind or topology, or one that could mean several objects.
    """
    given: list[str] = []
    for text in allow:
        name, slash, rest = text.partition("/")
        if not slash or "=" in name:
            name, rest = "", text
        parsed = Allowances.parse([rest])
        by_name = any(kind.needs_address for kind, _ in parsed.given)
        if name and name not in topologies:
            known = ", ".join(dict.fromkeys(topologies))
            raise InvalidAllowance(
                f"--allow {shlex.quote(text)} names no topology of this run", fix=f"there are: {known}"
            )
        if by_name and (Counter(topologies)[name] > 1 if name else len(topologies) > 1):
            raise InvalidAllowance(
                f"--allow {shlex.quote(text)} could mean an object of several topologies",
                why="messages and consumers are given up one object at a time",
                fix=f"write --allow {shlex.quote(f'TOPOLOGY/{rest}')}"
                if not name
                else "run the topology by itself: another one of this run has the same name",
            )
        if name in ("", topology):
            given.append(rest)
    return Allowances.parse(given)


def _access(loaded: Sequence[LoadedTopology], connection: ConnectionOptions) -> BrokerAccess | None:
    """Where the broker is, by the files; those that say it, and that no option overrides, have to agree."""
    saying = [one for one in loaded if one.topology.broker is not None]
    if len(loaded) == 1 or not saying:
        return saying[0].topology.broker if saying else None
    chosen: dict[str, object] = {}
    problems: list[Diagnostic] = []
    for name in (field.name for field in fields(BrokerAccess)):
        said = [one for one in saying if getattr(one.topology.broker, name) is not None]
        chosen[name] = getattr(said[0].topology.broker, name) if said else None
        if name not in _overridden(connection):
            others = (one for one in said[1:] if getattr(one.topology.broker, name) != chosen[name])
            problems += (_other_broker(said[0], other, name) for other in others)
    if problems:
        raise InvalidTopology(problems)
    return BrokerAccess(**chosen)  # type: ignore[arg-type]  # field by field as it was


def _overridden(connection: ConnectionOptions) -> Iterator[str]:
    """What options and environment variables say of the connection."""
    for name in ("management", "username", "ca_file"):
        if getattr(connection, name):
            yield name
    if connection.password_file or os.environ.get(PASSWORD_VARIABLE) or os.environ.get(PASSWORD_FILE_VARIABLE):
        yield "password"


def _other_broker(first: LoadedTopology, other: LoadedTopology, name: str) -> Diagnostic:
    path = ("broker", name)
    location = other.sources.locate(path)
    return Diagnostic(
        rule="files-disagree",
        severity=Severity.ERROR,
        location=location,
        summary=f"`broker: {name}` is another one than in another file",
        why="Topologies that are run together are on one broker.",
        fix="Say the same in both, run them one by one, or give the option that overrides it.",
        path=path,
        related=((first.sources.locate(path), "the other one"),),
        excerpt=other.sources.excerpt(location),
    )
