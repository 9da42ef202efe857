"""Plans on disk: what was reviewed is what is applied, or nothing.

A saved plan holds the desired state, the allowances and the fingerprint of the live state. `apply` reads the
broker again, and does what the file says only if the fingerprint is still the same. A digest over the whole
file finds edits. Secrets are not in it: passwords stay references and are read again at apply.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from letrade_topo import files
from letrade_topo.broker.objects import (
    Binding,
    BrokerObject,
    Exchange,
    GlobalParameter,
    Kind,
    OperatorPolicy,
    Parameter,
    Permission,
    Policy,
    Queue,
    TopicPermission,
    User,
    UserLimit,
    Vhost,
    VhostLimit,
)
from letrade_topo.errors import TopoError
from letrade_topo.expand.desired import Desired, DesiredState, Notice, by_address
from letrade_topo.model.messages import Json
from letrade_topo.model.security import SecretReference, SecretSource
from letrade_topo.model.topology import BrokerAccess, Ownership
from letrade_topo.plan.guards import Allowances
from letrade_topo.plan.plan import Plan
from letrade_topo.plan.scope import Scope
from letrade_topo.reading import CannotRead, Trust, read_file

FORMAT_VERSION = "1.0"
"""A reader accepts every 1.x: minor versions only add."""
FLEET_VERSION = "2.0"
"""Of what holds several topologies, each under `topologies` as it would be alone."""

CLASSES: dict[Kind, type[BrokerObject]] = {
    Kind.VHOST: Vhost,
    Kind.VHOST_LIMIT: VhostLimit,
    Kind.USER: User,
    Kind.USER_LIMIT: UserLimit,
    Kind.EXCHANGE: Exchange,
    Kind.POLICY: Policy,
    Kind.QUEUE: Queue,
    Kind.BINDING: Binding,
    Kind.TOPIC_PERMISSION: TopicPermission,
    Kind.PERMISSION: Permission,
    Kind.OPERATOR_POLICY: OperatorPolicy,
    Kind.PARAMETER: Parameter,
    Kind.GLOBAL_PARAMETER: GlobalParameter,
}
_BEGINNING = re.compile(rb'\s*\{\s*"format_version"')
SECRET_FIELDS = frozenset({"password_hash", "hashing_algorithm", "properties_key"})


LARGEST_PLAN_BYTES = 256 * 2**20


class InvalidPlanFile(TopoError):
    """A saved plan cannot be used: edited, damaged, or of another format."""


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """What a saved plan holds beyond what people read in it.

    Args:
        scope: of which topology.
        desired: the desired state, as it was.
        allowances: what was allowed when it was saved.
        fingerprint: of the live state it was made for.
        tls_required: plain-text listeners are findings.
        access: where and as whom it was made, as far as the topology said so; of a password only the reference.
    """

    scope: Scope
    desired: DesiredState
    allowances: Allowances
    fingerprint: str
    tls_required: bool
    access: BrokerAccess

    @classmethod
    def of(cls, plan: Plan, *, tls_required: bool, access: BrokerAccess) -> Self:
        """Of a plan, what is saved.

        Args:
            plan: the plan.
            tls_required: as planned.
            access: where and as whom, as far as the topology says so; the URL of the management API as it was used.
        """
        return cls(plan.scope, plan.desired, plan.allowances, plan.fingerprint, tls_required, access)


def is_saved_plan(path: Path) -> bool:
    """Whether a file is a saved plan rather than a topology."""
    try:
        with path.open("rb") as file:
            return _BEGINNING.match(file.read(512)) is not None
    except OSError:
        return False


def save(path: Path, plans: Sequence[SavedPlan], report: Mapping[str, Json]) -> None:
    """Write plans, whole or not at all, for this user alone: they hold no secret, but the broker's whole layout.

    Args:
        path: the file, a pipe, or a device.
        plans: of one or more topologies.
        report: what `plan --format json` shows of them; begins with `format_version`.

    Raises:
        CannotWrite: says why; a plan that was there before still is.
    """
    stored = [_to_json(plan) for plan in plans]
    content: dict[str, Json] = {**report, "apply": stored[0] if len(stored) == 1 else list[Json](stored)}
    content["digest"] = _digest(content)
    files.write(path, _text(content).encode())


def load(path: Path) -> tuple[SavedPlan, ...]:
    """Read what was saved, of one or more topologies.

    Raises:
        InvalidPlanFile: it was edited or damaged, or is of another format.
    """
    again = "make it again with `letrade-topo plan -o FILE`"
    try:
        text = read_file(path, trust=Trust.DECIDES, most=LARGEST_PLAN_BYTES, streams=True).decode("utf-8")
        content = json.loads(text)
    except CannotRead as error:
        raise InvalidPlanFile(error.what, why=error.why, fix=error.fix) from error
    except (ValueError, RecursionError) as error:
        raise InvalidPlanFile(
            f"{path} is not a whole saved plan", why=f"its JSON breaks off: {error}", fix=again
        ) from error
    known = {version.split(".")[0] for version in (FORMAT_VERSION, FLEET_VERSION)}
    if not isinstance(content, dict) or str(content.get("format_version")).split(".")[0] not in known:
        why = f"this version reads format {FORMAT_VERSION}, and {FLEET_VERSION} of several topologies"
        raise InvalidPlanFile(f"{path} is a plan of another format", why=why, fix=again)
    # The whole text, too: of a name that stands there twice, a person reads the first and JSON keeps the last.
    is_as_written = text == _text(content)
    digest = content.pop("digest", None)
    if not is_as_written or "apply" not in content or digest != _digest(content):
        raise InvalidPlanFile(
            f"{path} was changed after it was saved", why="its digest does not fit its content", fix=again
        )
    stored = content["apply"]
    return tuple(map(_from_json, stored if isinstance(stored, list) else [stored]))


def _to_json(plan: SavedPlan) -> Json:
    return {
        "scope": _scope_to_json(plan.scope),
        "desired": [_desired_to_json(one) for one in plan.desired.objects.values()],
        "policies": dict(plan.desired.policies),
        "keeping": list[Json](sorted(plan.desired.keeping)),
        "dead_letter_exchanges": list[Json](sorted(plan.desired.dead_letter_exchanges)),
        "notices": [{"name": one.name, "text": one.text, "path": list(one.path)} for one in plan.desired.notices],
        "allowances": list[Json](plan.allowances.texts),
        "fingerprint": plan.fingerprint,
        "tls_required": plan.tls_required,
        "access": {
            "management": plan.access.management,
            "username": plan.access.username,
            "password": _reference_to_json(plan.access.password),
            "ca_file": plan.access.ca_file,
        },
    }


def _from_json(stored: dict[str, Any]) -> SavedPlan:
    return SavedPlan(
        scope=_scope_from_json(stored["scope"]),
        desired=DesiredState(
            by_address(_desired_from_json(one) for one in stored["desired"]),
            stored["policies"],
            frozenset(stored["dead_letter_exchanges"]),
            tuple(Notice(one["name"], one["text"], tuple(one["path"])) for one in stored["notices"]),
            frozenset(stored.get("keeping", ())),
        ),
        allowances=Allowances.parse(stored["allowances"]),
        fingerprint=stored["fingerprint"],
        tls_required=stored["tls_required"],
        access=BrokerAccess(
            stored["access"]["management"],
            stored["access"]["username"],
            _reference_from_json(stored["access"]["password"]),
            stored["access"]["ca_file"],
        ),
    )


def _text(content: Mapping[str, Json]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _digest(content: Mapping[str, Json]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _scope_to_json(scope: Scope) -> Json:
    return {
        "topology": scope.topology,
        "vhost": scope.vhost,
        "ownership": str(scope.ownership),
        "ignore": list[Json](scope.ignore),
        "run_time_queues": list[Json](scope.run_time_queues),
        "vhost_protected": scope.vhost_protected,
    }


def _scope_from_json(stored: dict[str, Any]) -> Scope:
    return Scope(
        stored["topology"],
        stored["vhost"],
        Ownership(stored["ownership"]),
        tuple(stored["ignore"]),
        tuple(stored["run_time_queues"]),
        stored.get("vhost_protected", False),
    )


def _desired_to_json(one: Desired) -> Json:
    thing = one.object.blanked() if isinstance(one.object, Parameter) else one.object
    values: dict[str, Json] = {"kind": str(thing.kind)}
    for field in fields(thing):
        value = getattr(thing, field.name)
        if field.name in SECRET_FIELDS:
            continue
        if isinstance(value, SecretReference):
            value = _reference_to_json(value)
        if field.name == "references" and isinstance(thing, Parameter):
            value = [[list(place), _reference_to_json(reference)] for place, reference in thing.references]
        values[field.name] = list(value) if isinstance(value, tuple) else value
    return {"object": values, "path": list(one.path), "as_found": one.as_found}


def _desired_from_json(stored: dict[str, Any]) -> Desired:
    values = dict(stored["object"])
    made = CLASSES[Kind(values.pop("kind"))]
    if made is User:
        values["tags"] = tuple(values["tags"])
        values["password"] = _reference_from_json(values.get("password"))
    if made is Parameter:
        stored_references = ((place, _reference_from_json(found)) for place, found in values["references"])
        values["references"] = tuple((tuple(place), found) for place, found in stored_references if found)
    if made is Vhost and values.get("tags") is not None:
        values["tags"] = tuple(values["tags"])
    return Desired(made(**values), tuple(stored["path"]), bool(stored.get("as_found")))


def _reference_to_json(reference: SecretReference | None) -> Json:
    return None if reference is None else {"source": str(reference.source), "name": reference.name}


def _reference_from_json(stored: dict[str, Any] | None) -> SecretReference | None:
    return SecretReference(SecretSource(stored["source"]), stored["name"]) if stored else None
