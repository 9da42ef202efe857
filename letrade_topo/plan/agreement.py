"""Whether topologies that are applied together say the same of what more than one of them names. Pure.

What they name together is the cluster's (users with their limits, global parameters), a vhost, or lies in a vhost that
they share. Passwords agree where they are read in the same place, or are the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from letrade_topo.broker.kinds import CLUSTER_KINDS
from letrade_topo.broker.objects import Address, BrokerObject, Parameter, User, UserLimit, Vhost
from letrade_topo.broker.passwords import matches, parse_hash
from letrade_topo.expand.desired import Desired, DesiredState, DocumentPath
from letrade_topo.load.diagnostics import Diagnostic, Location
from letrade_topo.load.nodes import Sources
from letrade_topo.model.messages import Json
from letrade_topo.model.rules import Severity
from letrade_topo.model.security import SecretReference
from letrade_topo.plan.change import public_attributes, same
from letrade_topo.plan.scope import Scope

NOTHING_READ: Mapping[SecretReference, str] = {}


@dataclass(frozen=True, slots=True)
class DeclaredFile:
    """What one file declares.

    Args:
        scope: of its topology.
        desired: what it implies.
        sources: where it says so.
    """

    scope: Scope
    desired: DesiredState
    sources: Sources


def disagreements(
    files: Sequence[DeclaredFile], secrets: Mapping[SecretReference, str] = NOTHING_READ
) -> Iterator[Diagnostic]:
    """Where two files cannot both be right, at the later one, with the place in the other.

    Args:
        files: in their order.
        secrets: what references resolve to; two that are not among them are taken to be the same.
    """
    first: dict[tuple[str, Address], tuple[DeclaredFile, Desired]] = {}
    topologies: dict[str, DeclaredFile] = {}
    for file in files:
        other = topologies.setdefault(file.scope.record_name, file)
        if other is not file:
            yield _twice(other, file)
            continue
        limits = _limits(file.desired)
        for address, one in file.desired.objects.items():
            key = ("" if one.object.kind in CLUSTER_KINDS else file.scope.vhost, address)
            before, declared = first.setdefault(key, (file, one))
            if before is file or isinstance(one.object, UserLimit):
                continue
            found = list(_differences(declared.object, one.object, secrets))
            if isinstance(one.object, User):
                found += _between(_limits(before.desired).get(one.object.name, {}), limits.get(one.object.name, {}))
            if found:
                yield _differs((before, declared), (file, one), found)


def _limits(desired: DesiredState) -> dict[str, dict[str, Json]]:
    """The limits of each user."""
    limits: dict[str, dict[str, Json]] = {}
    for one in desired.objects.values():
        if isinstance(one.object, UserLimit):
            limits.setdefault(one.object.user, {})[one.object.name] = one.object.value
    return limits


def _differences(one: BrokerObject, other: BrokerObject, secrets: Mapping[SecretReference, str]) -> Iterator[str]:
    match one, other:
        case User(), User():
            if list(one.tags) != list(other.tags):
                yield _told("tags", list(one.tags), list(other.tags))
            if not _is_same_password(one, other, secrets):
                yield f"its password is {_password(other)} here and {_password(one)} there"
        case Vhost(), Vhost():  # what one of them does not care about is the other's to say
            here, there = other.attributes, one.attributes
            both = [name for name in there if name in here]
            yield from _between({name: there[name] for name in both}, {name: here[name] for name in both})
        case Parameter(), Parameter():
            if not same(one.blanked().value, other.blanked().value):
                yield "its value is another one here"  # not shown: it may hold a secret
            theirs = dict(one.references)
            for place, reference in other.references:
                if place in theirs and not _is_same_secret(theirs[place], reference, secrets):
                    yield f"{'.'.join(map(str, place))} is {reference} here and {theirs[place]} there"
        case _:
            yield from _between(public_attributes(one), public_attributes(other))


def _between(before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[str]:
    for name in dict.fromkeys([*before, *after]):
        if not same(before.get(name), after.get(name)):
            yield _told(name, before.get(name), after.get(name))


def _told(name: str, there: Json, here: Json) -> str:
    return f"{name} is {_shown(here)} here and {_shown(there)} there"


def _shown(value: Json) -> str:
    return "not said" if value is None else json.dumps(value, ensure_ascii=False)


def _password(user: User) -> str:
    if user.is_password_unmanaged:
        return "unmanaged"
    return f"{'a hash at ' if user.is_hash else ''}{user.password}" if user.password else "none"


def _is_same_password(one: User, other: User, secrets: Mapping[SecretReference, str]) -> bool:
    if one.is_password_unmanaged or other.is_password_unmanaged:
        return one.is_password_unmanaged is other.is_password_unmanaged
    if one.password is None or other.password is None:
        return one.password is other.password
    if one.is_hash is other.is_hash:
        return _is_same_secret(one.password, other.password, secrets)
    hashed = one if one.is_hash else other
    stored, password = secrets.get(one.password), secrets.get(other.password)
    if other.is_hash:
        stored, password = password, stored
    if stored is None or password is None:
        return True
    try:
        found, algorithm = parse_hash(stored, hashed.hashed_by)
    except ValueError:
        return True  # the plan refuses it
    return matches(password, found, algorithm)


def _is_same_secret(one: SecretReference, other: SecretReference, secrets: Mapping[SecretReference, str]) -> bool:
    if one == other or one not in secrets or other not in secrets:
        return True
    return secrets[one].strip() == secrets[other].strip()


def _twice(before: DeclaredFile, file: DeclaredFile) -> Diagnostic:
    location = file.sources.locate(("name",))
    why = (
        f"Topology {file.scope.topology!r} on vhost {file.scope.vhost!r} is in another file of this run already: "
        "one would delete what the other makes."
    )
    related = ((before.sources.locate(("name",)), "the other one"),)
    fix = "Leave one of the files out, or give them different names."
    return _diagnostic("topology-twice", file, location, "topology in two files", why, fix, ("name",), related)


def _differs(
    before: tuple[DeclaredFile, Desired], after: tuple[DeclaredFile, Desired], found: Sequence[str]
) -> Diagnostic:
    (there, declared), (here, one) = before, after
    location = here.sources.locate(one.path)
    summary = f"{one.object.address} is declared otherwise in another file"
    related = ((there.sources.locate(declared.path), "declared here, too"),)
    fix = "Declare it in one file alone, or in the same way in both."
    return _diagnostic("files-disagree", here, location, summary, f"{'; '.join(found)}.", fix, one.path, related)


def _diagnostic(
    rule: str,
    file: DeclaredFile,
    location: Location,
    summary: str,
    why: str,
    fix: str,
    path: DocumentPath,
    related: tuple[tuple[Location, str], ...],
) -> Diagnostic:
    excerpt = file.sources.excerpt(location)
    return Diagnostic(rule, Severity.ERROR, location, summary, why, fix, path, related, excerpt)
