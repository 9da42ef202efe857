"""Plans on disk: what was reviewed is what is applied, or nothing.

A saved plan holds the desired state, the allowances and the fingerprint of the live state. `apply` reads the
broker again, and does what the file says only if the fingerprint is still the same. A digest over the whole
file finds edits. Secrets are not in it: passwords stay references and are read again at apply.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from letrade_topo.broker.objects import (
    Binding,
    BrokerObject,
    Exchange,
    Kind,
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

FORMAT_VERSION = "1.0"
"""A reader accepts every 1.x: minor versions only add."""

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
}
_BEGINNING = re.compile(rb'\s*\{\s*"format_version"')
SECRET_FIELDS = frozenset({"password_hash", "hashing_algorithm", "properties_key"})


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


def is_saved_plan(path: Path) -> bool:
    """Whether a file is a saved plan rather than a topology."""
    try:
        with path.open("rb") as file:
            return _BEGINNING.match(file.read(512)) is not None
    except OSError:
        return False


def save(path: Path, plan: Plan, report: Mapping[str, Json], *, tls_required: bool, access: BrokerAccess) -> None:
    """Write a plan, whole or not at all.

    Args:
        path: the file.
        plan: the plan.
        report: what `plan --format json` shows of it; begins with `format_version`.
        tls_required: as planned.
        access: where and as whom, as far as the topology says so; the URL of the management API as it was used.
    """
    content: dict[str, Json] = dict(report)
    content["apply"] = {
        "scope": _scope_to_json(plan.scope),
        "desired": [_desired_to_json(one) for one in plan.desired.objects.values()],
        "policies": dict(plan.desired.policies),
        "dead_letter_exchanges": list[Json](sorted(plan.desired.dead_letter_exchanges)),
        "notices": [{"name": one.name, "text": one.text, "path": list(one.path)} for one in plan.desired.notices],
        "allowances": list[Json](plan.allowances.texts),
        "fingerprint": plan.fingerprint,
        "tls_required": tls_required,
        "access": {
            "management": access.management,
            "username": access.username,
            "password": _reference_to_json(access.password),
            "ca_file": access.ca_file,
        },
    }
    content["digest"] = _digest(content)
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(_text(content), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise TopoError(f"cannot write the plan to {path}", why=error.strerror or str(error)) from error


def load(path: Path) -> SavedPlan:
    """Read a saved plan.

    Raises:
        InvalidPlanFile: it was edited or damaged, or is of another format.
    """
    again = "make it again with `letrade-topo plan -o FILE`"
    try:
        text = path.read_bytes().decode("utf-8")
        content = json.loads(text)
    except OSError as error:
        raise InvalidPlanFile(f"cannot read {path}", why=error.strerror or str(error)) from error
    except (ValueError, RecursionError) as error:
        raise InvalidPlanFile(
            f"{path} is not a whole saved plan", why=f"its JSON breaks off: {error}", fix=again
        ) from error
    if (
        not isinstance(content, dict)
        or str(content.get("format_version")).split(".")[0] != FORMAT_VERSION.split(".")[0]
    ):
        raise InvalidPlanFile(
            f"{path} is a plan of another format", why=f"this version reads format {FORMAT_VERSION}", fix=again
        )
    # The whole text, too: of a name that stands there twice, a person reads the first and JSON keeps the last.
    is_as_written = text == _text(content)
    digest = content.pop("digest", None)
    if not is_as_written or "apply" not in content or digest != _digest(content):
        raise InvalidPlanFile(
            f"{path} was changed after it was saved", why="its digest does not fit its content", fix=again
        )
    stored = content["apply"]
    return SavedPlan(
        scope=_scope_from_json(stored["scope"]),
        desired=DesiredState(
            by_address(_desired_from_json(one) for one in stored["desired"]),
            stored["policies"],
            frozenset(stored["dead_letter_exchanges"]),
            tuple(Notice(one["name"], one["text"], tuple(one["path"])) for one in stored["notices"]),
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
    }


def _scope_from_json(stored: dict[str, Any]) -> Scope:
    return Scope(
        stored["topology"],
        stored["vhost"],
        Ownership(stored["ownership"]),
        tuple(stored["ignore"]),
        tuple(stored["run_time_queues"]),
    )


def _desired_to_json(one: Desired) -> Json:
    thing = one.object
    values: dict[str, Json] = {"kind": str(thing.kind)}
    for field in fields(thing):
        value = getattr(thing, field.name)
        if field.name in SECRET_FIELDS:
            continue
        if isinstance(value, SecretReference):
            value = _reference_to_json(value)
        values[field.name] = list(value) if isinstance(value, tuple) else value
    return {"object": values, "path": list(one.path)}


def _desired_from_json(stored: dict[str, Any]) -> Desired:
    values = dict(stored["object"])
    made = CLASSES[Kind(values.pop("kind"))]
    if made is User:
        values["tags"] = tuple(values["tags"])
        values["password"] = _reference_from_json(values.get("password"))
    return Desired(made(**values), tuple(stored["path"]))


def _reference_to_json(reference: SecretReference | None) -> Json:
    return None if reference is None else {"source": str(reference.source), "name": reference.name}


def _reference_from_json(stored: dict[str, Any] | None) -> SecretReference | None:
    return SecretReference(SecretSource(stored["source"]), stored["name"]) if stored else None
