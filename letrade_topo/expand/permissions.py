"""Users and what each may do: exactly what the topology says of it.

RabbitMQ judges three regular expressions on resource names (configure, write, read) and, for a topic
exchange, two on keys. A run-time queue is declared, bound and consumed by the service itself, so it appears
in all three; a durable queue is declared and bound by this tool, so it is only read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from letrade_topo.broker.objects import Permission, TopicPermission, User, UserLimit
from letrade_topo.expand.desired import Desired, DocumentPath
from letrade_topo.model import names
from letrade_topo.model.routing import escape
from letrade_topo.model.services import ConnectionLimits, Service
from letrade_topo.model.topology import Queue, Topology

NOTHING = ""
"""RabbitMQ reads an empty expression as `^$`, which no resource of ours is called."""


def expand_services(topology: Topology) -> Iterator[Desired]:
    """The user of each service, its permission and its topic permissions."""
    queues: dict[str, list[Queue]] = {}
    for queue in topology.queues.values():
        if queue.service is not None:
            queues.setdefault(queue.service, []).append(queue)
    for service in topology.services.values():
        path: DocumentPath = ("services", service.name)
        yield Desired(User(service.user, password=service.password), path)
        yield from _limits(service.user, service.limits, path)
        own = queues.get(service.name, [])
        yield Desired(_permission(topology, service, own), path)
        for permission in _topic_permissions(topology, service, own):
            yield Desired(permission, path)


def expand_users(topology: Topology) -> Iterator[Desired]:
    """The users that are no service, as declared."""
    for user in topology.users.values():
        path: DocumentPath = ("users", user.name)
        yield Desired(User(user.name, tuple(sorted(user.tags)), password=user.password), path)
        yield from _limits(user.name, user.limits, path)
        if user.configure or user.write or user.read:
            yield Desired(Permission(user.name, user.configure, user.write, user.read), path)
        for rule in user.topic_permissions:
            yield Desired(TopicPermission(user.name, rule.exchange, rule.write, rule.read), path)


def _limits(user: str, limits: ConnectionLimits, path: DocumentPath) -> Iterator[Desired]:
    for name, value in (("max-connections", limits.max_connections), ("max-channels", limits.max_channels)):
        if value is not None:
            yield Desired(UserLimit(user, name, value), (*path, "limits"))


def _permission(topology: Topology, service: Service, own: list[Queue]) -> Permission:
    listens, has_rejected = bool(service.consumes or service.patterns), any(queue.has_rejected_queue for queue in own)
    run_time = [names.run_time_queues_expression(service.name)] if listens else []
    write = [escape(name) for name in _published_exchanges(topology, service)]
    read = [escape(name) for name in _consumed_exchanges(topology, service)]
    for queue in own:
        read.append(escape(queue.name))
        if queue.has_rejected_queue:
            read.append(escape(names.rejected_queue(queue.name)))
    if has_rejected:
        write.append(escape(topology.dead_letter.retry_exchange))
    if listens or has_rejected:
        write.append(escape(topology.dead_letter.exchange))
    if service.direct_reply_to:
        write.append(escape(names.DEFAULT_EXCHANGE_RESOURCE))
    return Permission(
        service.user,
        configure=_any_of(run_time),
        write=_any_of(write + run_time),
        read=_any_of(read + run_time),
    )


def _topic_permissions(topology: Topology, service: Service, own: list[Queue]) -> Iterator[TopicPermission]:
    published, consumed = _published_exchanges(topology, service), _consumed_exchanges(topology, service)
    for exchange in dict.fromkeys([*published, *consumed]):
        write = [
            topology.messages[name].key.publish_expression
            for name in service.publishes
            if topology.messages[name].exchange == exchange
        ]
        read = [
            topology.messages[name].key.bind_expression
            for name in service.consumes
            if topology.messages[name].exchange == exchange
        ]
        read += [pattern.bind_expression for pattern in service.patterns]
        if exchange not in consumed:
            read = []
        yield TopicPermission(service.user, exchange, write=_any_of(write), read=_any_of(read))
    retried = [escape(queue.name) for queue in own if queue.has_rejected_queue]
    if retried:
        keys = rf"(?:{'|'.join(retried)})\.(?:rejected|retry\.\d+)"
        yield TopicPermission(service.user, topology.dead_letter.retry_exchange, _any_of([keys]), NOTHING)
    if service.consumes or service.patterns or retried:
        keys = rf".+{escape(names.DEAD_KEY_SUFFIX)}"
        yield TopicPermission(service.user, topology.dead_letter.exchange, _any_of([keys]), NOTHING)


def _published_exchanges(topology: Topology, service: Service) -> list[str]:
    return list(dict.fromkeys(topology.messages[name].exchange for name in service.publishes))


def _consumed_exchanges(topology: Topology, service: Service) -> list[str]:
    """A pattern may match on every exchange that carries messages."""
    named = [topology.messages[name].exchange for name in service.consumes]
    if service.patterns:
        named += [message.exchange for message in topology.messages.values()]
    return list(dict.fromkeys(named))


def _any_of(expressions: Iterable[str]) -> str:
    unique = list(dict.fromkeys(expressions))
    return f"^(?:{'|'.join(unique)})$" if unique else NOTHING
