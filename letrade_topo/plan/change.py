"""One change to one object, as a value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from letrade_topo.broker.objects import Address, BrokerObject, GlobalParameter, Kind, Parameter, User
from letrade_topo.broker.order import Stage
from letrade_topo.model.messages import Json
from letrade_topo.plan.parameters import parts, public_value


class Action(StrEnum):
    """What is done to the object."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    MIGRATE = "migrate"
    DELETE = "delete"

    @property
    def symbol(self) -> str:
        """The mark in front of a line of a plan."""
        return {"create": "+", "update": "~", "replace": "±", "migrate": "»", "delete": "-"}[self]


class ChangeReason(StrEnum):
    """Why; for people, it decides nothing after the plan is made."""

    MISSING = "missing"
    EXPIRED = "expired"
    DIFFERS = "differs"
    IMMUTABLE = "immutable"
    UNDER_WAY = "under-way"
    REBIND = "rebind"
    REMOVED = "removed"
    UNMANAGED = "unmanaged"
    TAKEN_ALONG = "taken-along"
    TWIN = "twin"

    @property
    def text(self) -> str:
        """The reason in words."""
        return {
            "missing": "declared, but not on the broker",
            "expired": "has expired, as declared",
            "differs": "differs from what is declared",
            "immutable": "differs in what a broker cannot change on an existing object",
            "under-way": "a migration of it has begun and has not ended",
            "rebind": "is lost when its queue or exchange is replaced",
            "removed": "made by this tool, no longer declared",
            "unmanaged": "in the vhost, but not declared",
            "taken-along": "nobody's here, and goes with what it belongs to",
            "twin": "may lead nowhere once the one goes that differs in arguments alone",
        }[self]


@dataclass(frozen=True, slots=True)
class Difference:
    """One attribute that differs, for example `arguments.x-message-ttl`. None: not there."""

    attribute: str
    before: Json
    after: Json


@dataclass(frozen=True, slots=True)
class Change:
    """One change.

    Args:
        action: what is done.
        before: the live object; None for a create.
        after: the desired object; None for a delete.
        reason: why.
        stage: in which stage of creation (or, backwards, of deletion) it runs.
        origin: `file:line:column` of what it follows from; empty when nothing declares it.
        adopts: the live object was not made by this tool.
        messages: live messages, for a queue that would go; None where the broker does not say.
        consumers: likewise.
    """

    action: Action
    before: BrokerObject | None
    after: BrokerObject | None
    reason: ChangeReason
    stage: Stage
    origin: str = ""
    adopts: bool = False
    messages: int | None = None
    consumers: int | None = None

    @property
    def object(self) -> BrokerObject:
        """The desired object if there is one, the live one otherwise."""
        thing = self.after or self.before
        if thing is None:
            raise ValueError("a change has an object before or after it")
        return thing

    @property
    def address(self) -> Address:
        """The address of the object."""
        return self.object.address

    @property
    def kind(self) -> Kind:
        """The kind of the object."""
        return self.object.kind

    @property
    def removes_queue(self) -> bool:
        """Whether a queue, and whatever is in it, would go."""
        return self.kind is Kind.QUEUE and self.action in {Action.DELETE, Action.REPLACE}

    @property
    def empties_queue(self) -> bool:
        """Whether a queue, and whatever is in it, would go, or be moved away and back."""
        return self.removes_queue or self.action is Action.MIGRATE

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What differs between before and after, attribute by attribute."""
        if self.before is None or self.after is None:
            return ()
        if isinstance(self.before, Parameter | GlobalParameter) and isinstance(self.after, Parameter | GlobalParameter):
            return tuple(_value_differences(self.before, self.after))
        before, after = public_attributes(self.before), public_attributes(self.after)
        if self.before.attributes.get("password_hash") == self.after.attributes.get("password_hash"):
            after = {name: before[name] if name == "password" else value for name, value in after.items()}
        return tuple(_differences("", before, after))


def public_attributes(thing: BrokerObject) -> dict[str, Json]:
    """An object's attributes without any secret: of a password only where it comes from."""
    attributes = thing.attributes
    if isinstance(thing, Parameter | GlobalParameter):
        attributes["value"] = public_value(thing)
    if isinstance(thing, User):
        has_password = bool(attributes.pop("password_hash"))
        source = f"{'hash ' if thing.is_hash else ''}{thing.password}" if thing.password else "set"
        if thing.is_password_unmanaged:
            source = "unmanaged"
        is_there = has_password or thing.password or thing.is_password_unmanaged
        attributes["password"] = source if is_there else "none"
    return attributes


def _value_differences(before: Parameter | GlobalParameter, after: Parameter | GlobalParameter) -> Iterator[Difference]:
    """By the values themselves; shown is where a secret is read, or an address without its login."""
    old, new = dict(parts(before.value)), dict(parts(after.value))
    shown_old, shown_new = dict(parts(public_value(before))), dict(parts(public_value(after)))
    for name in dict.fromkeys([*old, *new]):
        if not same(old.get(name), new.get(name)):
            yield Difference(name, shown_old.get(name), shown_new.get(name))


def _differences(prefix: str, before: dict[str, Json], after: dict[str, Json]) -> list[Difference]:
    found: list[Difference] = []
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name), after.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(f"{prefix}{name}.", old, new)
        elif not same(old, new):
            found.append(Difference(f"{prefix}{name}", old, new))
    return found


def same(one: Json, other: Json) -> bool:
    """JSON equality: unlike in Python, `true` is not `1`, and neither is `1.0`, which the broker keeps as a double."""
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
        case list(), list():
            return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
        case _:
            return all(isinstance(one, kind) == isinstance(other, kind) for kind in (bool, float)) and one == other
