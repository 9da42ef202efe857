"""Items of the management API's lists as values of `letrade_topo.broker`: pure.

The API spells one thing in several ways, by version and by how it was made; here each gets one
spelling, so that two equal objects are equal values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from letrade_topo.broker.objects import (
    Binding,
    Exchange,
    Permission,
    Policy,
    Queue,
    TopicPermission,
    User,
    UserLimit,
    VhostLimit,
)
from letrade_topo.broker.state import Listener, QueueStatus
from letrade_topo.management.answers import JsonObject
from letrade_topo.management.transport import tags
from letrade_topo.model.messages import Json
from letrade_topo.model.names import ARGUMENT_QUEUE_TYPE, LOCK_QUEUE_PREFIX, RESERVED_PREFIX


def exchanges(items: Iterable[JsonObject]) -> Iterator[Exchange]:
    """All but the default exchange and RabbitMQ's own `amq.…`."""
    for item in items:
        name = item["name"]
        if name and not name.startswith(RESERVED_PREFIX):
            yield Exchange(
                name,
                item["type"],
                durable=_is_true(item.get("durable")),
                auto_delete=_is_true(item.get("auto_delete")),
                internal=_is_true(item.get("internal")),
                arguments=_mapping(item.get("arguments")),
            )


def queues(items: Iterable[JsonObject], operator_policies: Iterable[JsonObject]) -> Iterator[tuple[Queue, QueueStatus]]:
    """All but the tool's own locks, each with its status.

    Every queue gets `x-queue-type` as an argument: 4.0 writes the default type into the arguments
    where the declarer sent none, 3.10 does not, and either may say `undefined` (rabbitmq-server#12776).
    """
    operators = list(_operator_policies(operator_policies))
    for item in items:
        name = item["name"]
        if name.startswith(LOCK_QUEUE_PREFIX):
            continue
        arguments = _mapping(item.get("arguments"))
        if arguments.get(ARGUMENT_QUEUE_TYPE) in {None, "undefined"}:
            arguments[ARGUMENT_QUEUE_TYPE] = item.get("type") or "classic"
        queue = Queue(
            name,
            durable=_is_true(item.get("durable")),
            auto_delete=_is_true(item.get("auto_delete")),
            arguments=arguments,
        )
        yield (
            queue,
            QueueStatus(
                messages=item.get("messages") or 0,
                exclusive=_is_true(item.get("exclusive")),
                policy=item.get("policy") or None,
                operator_policy=_operator_policy_of(name, str(arguments[ARGUMENT_QUEUE_TYPE]), operators),
            ),
        )


def bindings(items: Iterable[JsonObject]) -> Iterator[Binding]:
    """All but those of the default exchange, which every queue has."""
    for item in items:
        if item["source"]:
            yield Binding(
                item["source"],
                item["destination_type"],
                item["destination"],
                # A binding made by an old client may have no key at all.
                item.get("routing_key") or "",
                _mapping(item.get("arguments")),
                item.get("properties_key"),
            )


def policies(items: Iterable[JsonObject]) -> Iterator[Policy]:
    """All policies."""
    for item in items:
        yield Policy(
            item["name"],
            item["pattern"],
            item.get("apply-to") or "all",
            _mapping(item.get("definition")),
            item.get("priority") or 0,
        )


def permissions(items: Iterable[JsonObject]) -> Iterator[Permission]:
    """All permissions."""
    return (Permission(item["user"], item["configure"], item["write"], item["read"]) for item in items)


def topic_permissions(items: Iterable[JsonObject]) -> Iterator[TopicPermission]:
    """All topic permissions."""
    return (TopicPermission(item["user"], item["exchange"], item["write"], item["read"]) for item in items)


def users(items: Iterable[JsonObject]) -> Iterator[User | UserLimit]:
    """All users and their limits."""
    for item in items:
        password_hash = item.get("password_hash") or ""
        # Without a hash the algorithm says nothing; the broker fills in whatever is its default.
        algorithm = item.get("hashing_algorithm") or "" if password_hash else ""
        yield User(item["name"], tags(item.get("tags")), password_hash, algorithm)
        for name, value in _mapping(item.get("limits")).items():
            yield UserLimit(item["name"], name, _integer(value))


def vhost_limits(items: Iterable[JsonObject]) -> Iterator[VhostLimit]:
    """The limits of a vhost, which come together in one item."""
    for item in items:
        for name, value in _mapping(item.get("value")).items():
            yield VhostLimit(name, _integer(value))


def listeners(items: Iterable[JsonObject]) -> Iterator[Listener]:
    """The listeners of all nodes."""
    for item in items:
        # The management plugin's listeners say `::` on 3.10 (and those with TLS on 4.0) wherever they
        # really listen; that stands in the socket's options.
        options = _mapping(item.get("socket_opts"))
        real = options.get("ip") or _mapping(options.get("ssl_opts")).get("ip") or item.get("ip_address")
        yield Listener(item["protocol"], str(real or ""), int(item["port"]), item.get("node") or "")


def _operator_policies(items: Iterable[JsonObject]) -> Iterator[tuple[re.Pattern[str], str, str]]:
    """Pattern, what it applies to, and name; the highest priority first."""
    for item in sorted(items, key=lambda item: item.get("priority") or 0, reverse=True):
        try:
            yield re.compile(item["pattern"]), item.get("apply-to") or "all", item["name"]
        except re.error:
            continue  # the broker's PCRE knows more than Python; such a pattern is left to people


def _operator_policy_of(
    queue: str, queue_type: str, policies: Iterable[tuple[re.Pattern[str], str, str]]
) -> str | None:
    # Found here as the broker finds it (rabbit_policy:match): its listing without statistics has no such field.
    own = "streams" if queue_type == "stream" else f"{queue_type}_queues"
    fitting = (name for pattern, target, name in policies if target in {"all", "queues", own} and pattern.search(queue))
    return next(fitting, None)


def _is_true(value: Any) -> bool:
    # Objects of old definition files may say "undefined" (rabbitmq-server#15130).
    return value is True


def _mapping(value: Any) -> dict[str, Json]:
    # An empty Erlang property list is written as [], an empty map as {}.
    return dict(value) if isinstance(value, Mapping) else {}


def _integer(value: Json) -> int:
    return value if isinstance(value, int) else -1
