"""Users and what each may do: exactly what the topology says of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from letrade_topo.broker.objects import Permission, TopicPermission, User, UserLimit
from letrade_topo.expand.desired import Desired, DocumentPath
from letrade_topo.model.access import access_of
from letrade_topo.model.name_patterns import Found, NamePattern
from letrade_topo.model.services import ConnectionLimits, DeclaredUser
from letrade_topo.model.topology import Topology


def expand_services(topology: Topology) -> Iterator[Desired]:
    """The user of each service, its permission and its topic permissions."""
    access = access_of(topology)
    for service in topology.services.values():
        path: DocumentPath = ("services", service.name)
        yield Desired(User(service.user, password=service.password), path)
        yield from _limits(service.user, service.limits, path)
        may = access[service.name]
        permission = Permission(service.user, _text(may.configure), _text(may.write), _text(may.read))
        yield Desired(permission, path)
        for topic in may.topics:
            yield Desired(TopicPermission(service.user, topic.exchange, _text(topic.write), _text(topic.read)), path)


def expand_users(topology: Topology) -> Iterator[Desired]:
    """The users that are no service, as declared."""
    for user in topology.users.values():
        path: DocumentPath = ("users", user.name)
        yield Desired(_user(user), path)
        yield from _limits(user.name, user.limits, path)
        if user.configure or user.write or user.read:
            yield Desired(Permission(user.name, user.configure, user.write, user.read), path)
        for rule in user.topic_permissions:
            yield Desired(TopicPermission(user.name, rule.exchange, rule.write, rule.read), path)


def _user(user: DeclaredUser) -> User:
    made = User(user.name, tuple(sorted(user.tags)), is_password_unmanaged=user.is_password_unmanaged)
    if user.password_hash is None:
        return replace(made, password=user.password)
    reference, algorithm = user.password_hash.reference, user.password_hash.algorithm
    return replace(made, password=reference, is_hash=True, hashed_by=str(algorithm))


def _limits(user: str, limits: ConnectionLimits, path: DocumentPath) -> Iterator[Desired]:
    for name, value in (("max-connections", limits.max_connections), ("max-channels", limits.max_channels)):
        if value is not None:
            yield Desired(UserLimit(user, name, value), (*path, "limits"))


def _text(found: Found) -> str:
    if not isinstance(found, NamePattern):
        raise ValueError("the rules let no topology through of which a pattern would be too long")
    return found.expression
