"""A definitions file of RabbitMQ (`rabbitmqctl export_definitions`, `GET /api/definitions`) as values.

Files of every version from 3.8 on are read, of a whole broker or of one vhost, whose objects then do not say which.
What has no place in a topology is kept by name, so that nobody thinks it was read. The management API's lists and this
file spell objects in the same way: what the items mean is known in `management.parsing`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, TypeVar

from letrade_topo.broker.objects import (
    BrokerObject,
    GlobalParameter,
    Permission,
    Queue,
    TopicPermission,
    User,
    UserLimit,
)
from letrade_topo.errors import TopoError
from letrade_topo.export.definitions_shape import flaw
from letrade_topo.management import parsing
from letrade_topo.management.answers import JsonObject
from letrade_topo.model.names import RESERVED_PREFIX
from letrade_topo.model.topology import QueueType, VhostSettings

Parsed = TypeVar("Parsed")

_VHOST_LIMITS = "vhost-limits"
_OPERATOR_POLICY = "operator_policy"
_OF_EVERY_BROKER = frozenset({"cluster_name", "cluster_tags"})
"""Global parameters that are no part of a topology: what a broker says of itself."""
_IN_EVERY_VHOST = re.compile(r"amq\.(?:direct|fanout|headers|match|topic|rabbitmq\..*)")
_LISTS = (
    "bindings",
    "exchanges",
    "global_parameters",
    "parameters",
    "permissions",
    "policies",
    "queues",
    "topic_permissions",
    "users",
    "vhosts",
)


class InvalidDefinitions(TopoError):
    """A file is not what a broker exports; says where."""


@dataclass(frozen=True, slots=True)
class DefinedVhost:
    """What a definitions file says of one vhost.

    Args:
        name: of the vhost.
        objects: in the order of the file: exchanges, queues, bindings, policies, limits, permissions.
        settings: what it says of itself, where that is not what any new vhost says.
        reserved: exchanges that a file has and no broker takes.
    """

    name: str
    objects: tuple[BrokerObject, ...] = ()
    settings: VhostSettings = field(default_factory=VhostSettings)
    reserved: tuple[str, ...] = ()

    @property
    def users(self) -> frozenset[str]:
        """Names of the users that have rights here."""
        return frozenset(one.user for one in self.objects if isinstance(one, Permission | TopicPermission))


@dataclass(frozen=True, slots=True)
class Definitions:
    """What a definitions file holds.

    Args:
        version: RabbitMQ's, as the file says; empty if it does not.
        vhosts: by name, in the order of the file.
        users: with their limits.
        global_parameters: without what every broker has.
        passwords: in plain text, by user: a file written by hand may have them in place of hashes.
    """

    version: str
    vhosts: Mapping[str, DefinedVhost]
    users: tuple[User | UserLimit, ...] = ()
    global_parameters: tuple[GlobalParameter, ...] = ()
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)


def read_definitions(content: bytes, name: str, vhost: str = "/") -> Definitions:
    """Read a definitions file.

    Args:
        content: all of it, UTF-8.
        name: of the file, for messages.
        vhost: of a file of one vhost, whose objects do not say so.

    Raises:
        InvalidDefinitions: with line and column where it is no JSON, and the entry that is not as a broker writes it.
    """
    return parse_definitions(_document(content, name), name, vhost)


def parse_definitions(document: Any, name: str, vhost: str = "/") -> Definitions:
    """The same of what is JSON already, for example a broker's answer.

    Raises:
        InvalidDefinitions: names the entry that is not as a broker writes it.
    """
    lists = _lists(document, name)
    by_vhost: dict[str, dict[str, list[JsonObject]]] = {
        str(one.get("name", "")): {} for one in lists["vhosts"] if one.get("name")
    }
    settings = {str(one.get("name", "")): _settings(one) for one in lists["vhosts"]}
    for category in ("exchanges", "queues", "bindings", "policies", "parameters", "permissions", "topic_permissions"):
        for item in lists[category]:
            by_vhost.setdefault(str(item.get("vhost", vhost)), {}).setdefault(category, []).append(item)
    defined = {}
    for each, categories in by_vhost.items():
        objects = _parsed(categories, each, name)
        reserved = tuple(_reserved(categories.get("exchanges", ())))
        defined[each] = DefinedVhost(each, objects, settings.get(each, VhostSettings()), reserved)
    return Definitions(
        str(document.get("rabbitmq_version") or document.get("rabbit_version") or ""),
        defined,
        tuple(_guarded("users", lists["users"], parsing.users, name)),
        tuple(
            one
            for one in _guarded("global_parameters", lists["global_parameters"], parsing.global_parameters, name)
            if one.name not in _OF_EVERY_BROKER
        ),
        {one["name"]: one["password"] for one in lists["users"] if _has_plain_password(one)},
    )


def _reserved(exchanges: Iterable[JsonObject]) -> Iterator[str]:
    """Names of exchanges that begin with `amq.` and are none that every vhost has."""
    names = (str(one["name"]) for one in exchanges)
    return (one for one in names if one.startswith(RESERVED_PREFIX) and not _IN_EVERY_VHOST.fullmatch(one))


def _has_plain_password(user: JsonObject) -> bool:
    """RabbitMQ hashes it when it imports the file."""
    return isinstance(user.get("password"), str) and bool(user["password"]) and not user.get("password_hash")


def by_name(found: Definitions) -> Definitions:
    """The same in the order of addresses, kind by kind: a broker lists its objects in none that would mean anything.

    A file keeps its order, which somebody may have chosen.
    """
    vhosts = {
        name: replace(vhost, objects=tuple(sorted(vhost.objects, key=lambda one: (_kind(one), one.address))))
        for name, vhost in sorted(found.vhosts.items())
    }
    return replace(found, vhosts=vhosts, users=tuple(sorted(found.users, key=lambda one: one.address)))


def _kind(one: BrokerObject) -> str:
    return type(one).__name__


def _document(content: bytes, name: str) -> Any:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _place(content[: error.start].decode("utf-8", "replace"))
        raise InvalidDefinitions(
            f"{name}:{line}:{column}: the file is not UTF-8", why=str(error.reason), fix="export it again"
        ) from None
    try:
        return json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise InvalidDefinitions(
            f"{name}:{error.lineno}:{error.colno}: this is not JSON",
            why=error.msg,
            fix="JSON has neither comments, nor a comma behind the last item, nor a placeholder without quotes: "
            "correct it here, or export it again (`rabbitmqctl export_definitions FILE`)",
        ) from None
    except _NoNumber as error:
        raise InvalidDefinitions(
            f"{name}: {error} is no number of JSON", fix="export it again, or correct it"
        ) from None
    except RecursionError:
        raise InvalidDefinitions(f"{name}: it is nested too deeply", fix="export it again") from None


class _NoNumber(Exception):
    """`NaN` or `Infinity`, which Python's reader takes."""


def _no_number(text: str) -> None:
    raise _NoNumber(text)


def _place(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _lists(document: Any, name: str) -> dict[str, list[JsonObject]]:
    if not isinstance(document, dict):
        raise InvalidDefinitions(
            f"{name}: this is no definitions file",
            why="it is not an object with lists such as `queues` and `exchanges`",
            fix="name what `rabbitmqctl export_definitions FILE` wrote",
        )
    if not document.keys() & set(_LISTS):
        raise InvalidDefinitions(
            f"{name}: this is no definitions file",
            why=f"it has none of {', '.join(_LISTS)}",
            fix="name what `rabbitmqctl export_definitions FILE` wrote",
        )
    lists: dict[str, list[JsonObject]] = {}
    for category in _LISTS:
        items = document.get(category) or []
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise InvalidDefinitions(
                f"{name}: {category!r} is not a list of objects", fix="export it again, or correct it there"
            )
        for index, item in enumerate(items):
            if (found := flaw(category, item)) is not None:
                raise _not_as_a_broker(name, category, index, item, found)
        lists[category] = items
    return lists


def _not_as_a_broker(name: str, category: str, index: int, item: JsonObject, why: str) -> InvalidDefinitions:
    shown = item.get("name") or item.get("user") or item.get("source") or ""
    return InvalidDefinitions(
        f"{name}: {category}[{index}] {shown!r} is not as a broker writes it", why=why, fix="correct it there"
    )


def _settings(vhost: JsonObject) -> VhostSettings:
    metadata = vhost.get("metadata")
    found = parsing.vhost({"name": "", **(metadata if isinstance(metadata, dict) else {}), **vhost})
    kinds = set(QueueType) - {QueueType.CLASSIC}  # which a vhost has by itself
    return VhostSettings(
        description=found.description or None,
        tags=found.tags or None,
        default_queue_type=QueueType(found.default_queue_type) if found.default_queue_type in kinds else None,
        tracing=found.tracing or None,
    )


def _parsed(categories: Mapping[str, Iterable[JsonObject]], vhost: str, name: str) -> tuple[BrokerObject, ...]:
    def of(category: str) -> list[JsonObject]:
        return list(categories.get(category, ()))

    limits = [{"value": one.get("value")} for one in of("parameters") if one.get("component") == _VHOST_LIMITS]
    operators = [
        {"name": one.get("name"), **(one.get("value") or {})}
        for one in of("parameters")
        if one.get("component") == _OPERATOR_POLICY
    ]
    rest = [{**one, "vhost": vhost} for one in of("parameters")]
    return tuple(
        chain(
            _guarded("exchanges", of("exchanges"), parsing.exchanges, name),
            _guarded("queues", of("queues"), _queues, name),
            _guarded("bindings", of("bindings"), parsing.bindings, name),
            _guarded("policies", of("policies"), parsing.policies, name),
            _guarded("parameters", limits, parsing.vhost_limits, name),
            _guarded("parameters", operators, parsing.operator_policies, name),
            _guarded("parameters", rest, lambda items: parsing.parameters(items, vhost), name),
            _guarded("permissions", of("permissions"), parsing.permissions, name),
            _guarded("topic_permissions", of("topic_permissions"), parsing.topic_permissions, name),
        )
    )


def _queues(items: Iterable[JsonObject]) -> Iterator[Queue]:
    return (queue for queue, _ in parsing.queues(items, (), lambda _pattern, _name: None))


def _guarded(
    category: str, items: Sequence[JsonObject], parse: Callable[[Iterable[JsonObject]], Iterable[Parsed]], name: str
) -> list[Parsed]:
    """Parse item by item, so that the one that is not as a broker writes it is named."""
    found: list[Parsed] = []
    for index, item in enumerate(items):
        try:
            found.extend(parse([item]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
            raise _not_as_a_broker(name, category, index, item, what) from None
    return found
