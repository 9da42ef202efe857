"""One change to one object, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from letrade_topo.broker.objects import Address, BrokerObject, Kind, User
from letrade_topo.broker.order import Stage
from letrade_topo.model.messages import Json


class Action(StrEnum):
    """What is done to the object."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"

    @property
    def symbol(self) -> str:
        """The mark in front of a line of a plan."""
        return {"create": "+", "update": "~", "replace": "±", "delete": "-"}[self]


class Reason(StrEnum):
    """Why; for people, it decides nothing after the plan is made."""

    MISSING = "missing"
    DIFFERS = "differs"
    IMMUTABLE = "immutable"
    REBIND = "rebind"
    REMOVED = "removed"
    UNMANAGED = "unmanaged"

    @property
    def text(self) -> str:
        """The reason in words."""
        return {
            "missing": "declared, but not on the broker",
            "differs": "differs from what is declared",
            "immutable": "differs in what a broker cannot change on an existing object",
            "rebind": "is lost when its queue or exchange is replaced",
            "removed": "made by this tool, no longer declared",
            "unmanaged": "in the vhost, but not declared",
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
    reason: Reason
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
    def differences(self) -> tuple[Difference, ...]:
        """What differs between before and after, attribute by attribute."""
        if self.before is None or self.after is None:
            return ()
        before, after = public_attributes(self.before), public_attributes(self.after)
        if self.before.attributes.get("password_hash") == self.after.attributes.get("password_hash"):
            after = {name: before[name] if name == "password" else value for name, value in after.items()}
        return tuple(_differences("", before, after))


def public_attributes(thing: BrokerObject) -> dict[str, Json]:
    """An object's attributes without any secret: of a password only where it comes from."""
    attributes = thing.attributes
    if isinstance(thing, User):
        has_password = bool(attributes.pop("password_hash"))
        source = str(thing.password) if thing.password else "set"
        attributes["password"] = source if has_password or thing.password else "none"
    return attributes


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
    """JSON equality: unlike in Python, `true` is not `1`."""
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
        case list(), list():
            return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
        case _:
            return isinstance(one, bool) == isinstance(other, bool) and one == other
