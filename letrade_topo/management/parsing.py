"""Items of the management API's lists as values of `letrade_topo.broker`: pure.

The API spells one thing in several ways, by version and by how it was made; here each gets one
spelling, so that two equal objects are equal values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from letrade_topo.broker.objects import (
    Binding,
    Exchange,
    GlobalParameter,
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
from letrade_topo.broker.state import LiveListener, QueueStatus
from letrade_topo.management.answers import JsonObject
from letrade_topo.management.transport import tags
from letrade_topo.model.messages import Json
from letrade_topo.model.names import (
    ARGUMENT_QUEUE_TYPE,
    INTERNAL_PREFIX,
    LOCK_QUEUE_PREFIX,
    OWNERSHIP_RECORD_PREFIX,
    RESERVED_PREFIX,
    VHOST_RECORD_PREFIX,
)
from letrade_topo.model.policy_keys import keys_that_keep_off, targets_queues

Matches: TypeAlias = Callable[[str, str], bool | None]
"""Whether a policy's pattern matches a name; None when nobody could tell."""


def vhost(item: JsonObject) -> Vhost:
    """A vhost; before 4.0.6 the broker knows no protection."""
    protected, queue_type = item.get("protected_from_deletion"), item.get("default_queue_type")
    return Vhost(
        item["name"],
        None if protected is None else _is_true(protected),
        description=str(item.get("description") or ""),
        tags=tags(item.get("tags")),
        default_queue_type=None if queue_type in {None, "undefined"} else str(queue_type),
        tracing=_is_true(item.get("tracing")),
    )


def exchanges(items: Iterable[JsonObject]) -> Iterator[Exchange]:
    """All but the default exchange, RabbitMQ's own `amq.…`, and the tool's own records."""
    for item in items:
        name = item["name"]
        if name and not name.startswith((RESERVED_PREFIX, VHOST_RECORD_PREFIX)):
            yield Exchange(
                name,
                item["type"],
                durable=_is_true(item.get("durable")),
                auto_delete=_is_true(item.get("auto_delete")),
                internal=_is_true(item.get("internal")),
                arguments=_mapping(item.get("arguments")),
            )


def exchange_policies(items: Iterable[JsonObject]) -> Iterator[tuple[str, str]]:
    """Exchanges, RabbitMQ's own too, that are under a policy, with its name."""
    return ((item["name"], item["policy"]) for item in items if item.get("policy"))


def queues(
    items: Iterable[JsonObject], operator_policies: Iterable[JsonObject], matches: Matches
) -> Iterator[tuple[Queue, QueueStatus]]:
    """All but the tool's own locks, each with its status.

    Every queue gets `x-queue-type` as an argument: 4.0 writes the default type into the arguments
    where the declarer sent none, 3.10 does not, and either may say `undefined` (rabbitmq-server#12776).

    Args:
        items: of the listing.
        operator_policies: likewise.
        matches: whether a pattern matches a queue's name.
    """
    operators = sorted(policies(operator_policies), key=lambda policy: policy.priority, reverse=True)
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
                operator_policy=item.get("operator_policy") or _operator_policy_of(queue, operators, matches),
                state=str(item.get("state") or "running"),
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


def operator_policies(items: Iterable[JsonObject]) -> Iterator[OperatorPolicy]:
    """All operator policies."""
    for one in policies(items):
        yield OperatorPolicy(one.name, one.pattern, one.apply_to, one.definition, one.priority)


def global_parameters(items: Iterable[JsonObject]) -> Iterator[GlobalParameter]:
    """All but the tool's own records, and what the broker keeps for itself."""
    for item in items:
        if not item["name"].startswith((OWNERSHIP_RECORD_PREFIX, INTERNAL_PREFIX)):
            yield GlobalParameter(item["name"], item["value"])


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


def parameters(items: Iterable[JsonObject], vhost: str) -> Iterator[Parameter]:
    """The parameters of one vhost, but its limits and policies, which have listings of their own."""
    for item in items:
        if item.get("vhost") == vhost and item["component"] not in {"vhost-limits", "policy", "operator_policy"}:
            yield Parameter(item["component"], item["name"], item.get("value"))


def listeners(items: Iterable[JsonObject]) -> Iterator[LiveListener]:
    """The listeners of all nodes."""
    for item in items:
        # The management plugin's listeners say `::` on 3.10 (and those with TLS on 4.0) wherever they
        # really listen; that stands in the socket's options.
        options = _mapping(item.get("socket_opts"))
        real = options.get("ip") or _mapping(options.get("ssl_opts")).get("ip") or item.get("ip_address")
        yield LiveListener(item["protocol"], str(real or ""), int(item["port"]), item.get("node") or "")


def exchange_types(items: Any) -> frozenset[str] | None:
    """The exchange types that the broker knows; None where it does not say."""
    return frozenset(str(item["name"]) for item in items) if isinstance(items, list) and items else None


def plugins(items: Iterable[JsonObject]) -> frozenset[str] | None:
    """The plug-ins that are enabled on any running node; None when one of them does not say."""
    running = [item for item in items if item.get("running")]
    if not running or any(not isinstance(item.get("enabled_plugins"), list) for item in running):
        return None
    return frozenset(str(name) for item in running for name in item["enabled_plugins"])


def _operator_policy_of(queue: Queue, operators: Iterable[Policy], matches: Matches) -> str | None:
    # Found as the broker finds it (rabbit_policy:match): its listing without statistics has the field on newer versions
    # and of quorum queues alone, and the one with statistics says it up to 7.8 s late (3.10.8, 4.0.5 and 4.3.6).
    own = str(queue.arguments[ARGUMENT_QUEUE_TYPE])
    fitting = (
        policy.name
        for policy in operators
        if targets_queues(policy.apply_to, own)
        and not keys_that_keep_off(own, policy.definition)
        and matches(policy.pattern, queue.name)
    )
    return next(fitting, None)


def _is_true(value: Any) -> bool:
    # Objects of old definition files may say "undefined" (rabbitmq-server#15130).
    return value is True


def _mapping(value: Any) -> dict[str, Json]:
    # An empty Erlang property list is written as [], an empty map as {}.
    return dict(value) if isinstance(value, Mapping) else {}


def _integer(value: Json) -> int:
    return value if isinstance(value, int) else -1
