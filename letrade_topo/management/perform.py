"""Acting on the broker: making, changing and deleting single objects, and making many at once.

Each function does one thing to the broker and knows nothing of plans, guards or order. All of them may be
repeated: what is already so is no error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias, assert_never

from letrade_topo.broker.objects import (
    Binding,
    BrokerObject,
    Exchange,
    Permission,
    Policy,
    Queue,
    TopicPermission,
    User,
    UserLimit,
    Vhost,
    VhostLimit,
)
from letrade_topo.broker.passwords import HASHING_ALGORITHM
from letrade_topo.management import parsing
from letrade_topo.management.answers import JsonObject
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.errors import BrokerRefused, NotFound
from letrade_topo.model.messages import Json

_Imported: TypeAlias = User | Exchange | Queue | Binding | Policy | Permission | TopicPermission
"""What a definitions import makes just as single calls do."""


def create(client: ManagementClient, vhost: str, thing: BrokerObject) -> None:
    """Make an object.

    Raises:
        BrokerRefused: among others when an exchange or queue of this name is different.
        ManagementError: the broker did not answer, or does not allow it.
    """
    match thing:
        case Exchange(name=name):
            client.put_exchange(vhost, name, _body(thing))
        case Queue(name=name):
            client.put_queue(vhost, name, _body(thing))
        case Binding():
            client.post_binding(vhost, thing.source, thing.destination_type, thing.destination, _body(thing))
        case Vhost() | VhostLimit() | User() | UserLimit() | Policy() | Permission() | TopicPermission():
            update(client, vhost, thing)
        case _:
            assert_never(thing)


def update(client: ManagementClient, vhost: str, thing: BrokerObject) -> None:
    """Overwrite an object in place.

    Raises:
        ManagementError: the broker did not answer, does not allow it, or refused.
        TypeError: exchanges, queues and bindings cannot be changed; that is the caller's mistake.
    """
    match thing:
        case Vhost(name=name):
            client.put_vhost(name, {})
        case VhostLimit(name=name, value=value):
            client.put_vhost_limit(vhost, name, value)
        case User(name=name):
            client.put_user(name, _body(thing))
        case UserLimit(user=user, name=name, value=value):
            client.put_user_limit(user, name, value)
        case Policy(name=name):
            client.put_policy(vhost, name, _body(thing))
        case Permission(user=user):
            client.put_permission(vhost, user, _body(thing))
        case TopicPermission(user=user):
            client.put_topic_permission(vhost, user, _body(thing))
        case Exchange() | Queue() | Binding():
            raise TypeError(f"{thing.address} cannot be changed in place")
        case _:
            assert_never(thing)


def delete(
    client: ManagementClient, vhost: str, thing: BrokerObject, *, if_empty: bool = False, if_unused: bool = False
) -> None:
    """Delete an object; one that is not there is no error.

    Args:
        client, vhost: where.
        thing: a binding needs no `properties_key`: without one it is looked up.
        if_empty: a classic queue only while it holds no messages.
        if_unused: a classic queue only while nobody consumes from it.

    Raises:
        BrokerRefused: a condition does not hold (400), or the queue is a quorum queue and a condition was given.
        ManagementError: the broker did not answer, or does not allow it.
    """
    match thing:
        case Vhost(name=name):
            client.delete_vhost(name)
        case VhostLimit(name=name):
            _lift_vhost_limit(client, vhost, name)
        case User(name=name):
            client.delete_user(name)
        case UserLimit(user=user, name=name):
            _lift_user_limit(client, user, name)
        case Exchange(name=name):
            client.delete_exchange(vhost, name)
        case Queue(name=name):
            client.delete_queue(vhost, name, if_empty=if_empty, if_unused=if_unused)
        case Binding():
            _unbind(client, vhost, thing)
        case Policy(name=name):
            client.delete_policy(vhost, name)
        case Permission(user=user):
            client.delete_permission(vhost, user)
        case TopicPermission(user=user, exchange=exchange):
            client.delete_topic_permission(vhost, user, exchange)
        case _:
            assert_never(thing)


def bulk_create(client: ManagementClient, vhost: str, things: Iterable[BrokerObject]) -> None:
    """Make many objects that do not exist, in one call; about five times as fast as one by one.

    Vhosts and limits go one by one all the same: imported limits would take the place of all others.

    A return says nothing about single objects: an exchange or queue that exists with other attributes is
    skipped, and 3.10 skips a binding whose ends are missing. Read the state afterwards.

    Raises:
        BrokerRefused: the first error that the broker met; part of the objects are made.
        MissingRight: the caller is no administrator.
        ManagementError: the broker did not answer.
    """
    categories: dict[str, list[JsonObject]] = {}
    for thing in things:
        match thing:
            case Vhost() | VhostLimit() | UserLimit():
                create(client, vhost, thing)
            case _:
                categories.setdefault(_category(thing), []).append(_definition(thing, vhost))
    if categories:
        client.import_definitions(categories, vhost)


def _body(thing: _Imported) -> dict[str, Json]:
    """An object without its name, in the management API's spelling; every field written."""
    match thing:
        case User():
            # Both always: a user written without a hash loses the password, and with an empty one has none.
            algorithm = thing.hashing_algorithm or HASHING_ALGORITHM
            tags: list[Json] = list(thing.tags)
            return {"password_hash": thing.password_hash, "hashing_algorithm": algorithm, "tags": tags}
        case Binding():
            return {"routing_key": thing.routing_key, "arguments": dict(thing.arguments)}
        case TopicPermission():
            return {"exchange": thing.exchange, **thing.attributes}
        case _:
            return thing.attributes


def _category(thing: _Imported) -> str:
    match thing:
        case User():
            return "users"
        case Exchange():
            return "exchanges"
        case Queue():
            return "queues"
        case Binding():
            return "bindings"
        case Policy():
            return "policies"
        case Permission():
            return "permissions"
        case TopicPermission():
            return "topic_permissions"
        case _:
            assert_never(thing)


def _definition(thing: _Imported, vhost: str) -> dict[str, Json]:
    """An object as definitions files spell it."""
    match thing:
        case User(name=name):
            return {"name": name, **_body(thing)}
        case Exchange(name=name) | Queue(name=name) | Policy(name=name):
            return {"vhost": vhost, "name": name, **_body(thing)}
        case Binding():
            return {"vhost": vhost, **thing.attributes}
        case Permission(user=user) | TopicPermission(user=user):
            return {"vhost": vhost, "user": user, **_body(thing)}
        case _:
            assert_never(thing)


def _unbind(client: ManagementClient, vhost: str, binding: Binding) -> None:
    key = binding.properties_key
    if key is None:
        # The broker's key of a binding with arguments is a hash of Erlang's own: it must be looked up.
        key = _properties_key(client, vhost, binding)
    if key is not None:
        client.delete_binding(vhost, binding.source, binding.destination_type, binding.destination, key)


def _properties_key(client: ManagementClient, vhost: str, binding: Binding) -> str | None:
    try:
        items = client.bindings_between(vhost, binding.source, binding.destination_type, binding.destination)
    except NotFound:
        return None
    for live in parsing.bindings(items):
        if live.routing_key == binding.routing_key and _is_same(live.arguments, binding.arguments):
            return live.properties_key
    return None


def _is_same(one: Mapping[str, Json], other: Mapping[str, Json]) -> bool:
    # As text: in Python 1, 1.0 and True are equal, on the broker they are three different arguments.
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _lift_vhost_limit(client: ManagementClient, vhost: str, name: str) -> None:
    try:
        client.delete_vhost_limit(vhost, name)
    except BrokerRefused as refused:
        # 3.10 answers 500, not 404, when the vhost is gone.
        if refused.status != 500 or _exists(client.vhost, vhost):
            raise


def _lift_user_limit(client: ManagementClient, user: str, name: str) -> None:
    try:
        client.delete_user_limit(user, name)
    except BrokerRefused as refused:
        if refused.status != 500 or _exists(client.user, user):
            raise


def _exists(read: Callable[[str], object], name: str) -> bool:
    try:
        read(name)
    except NotFound:
        return False
    return True
