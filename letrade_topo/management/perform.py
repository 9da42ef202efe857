"""Acting on the broker: making, changing and deleting single objects, and making many at once.

Each function does one thing to the broker and knows nothing of plans, guards or order. All of them may be
repeated: what is already so is no error.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import assert_never

from letrade_topo.broker.capabilities import TABLE
from letrade_topo.broker.objects import (
    Attributes,
    Binding,
    BrokerObject,
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
from letrade_topo.management import parsing
from letrade_topo.management.answers import JsonObject
from letrade_topo.management.calls import encoded
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.definition import body_of, category_of, definition_of
from letrade_topo.management.errors import BrokerRefused, NotFound, ReservedName
from letrade_topo.model.messages import Json
from letrade_topo.model.names import why_never_unbound

_MOST_BINDING_BYTES = min(row.max_binding_body_bytes for _, row in TABLE if row.max_binding_body_bytes is not None)
"""A longer body of a call about one binding some version refuses; an import of definitions has no such limit."""


def create(client: ManagementClient, vhost: str, thing: BrokerObject) -> None:
    """Make an object.

    Raises:
        BrokerRefused: among others when an exchange or queue of this name is different.
        BrokerError: the broker did not answer, or does not allow it.
    """
    match thing:
        case Exchange(name=name):
            client.put_exchange(vhost, name, body_of(thing))
        case Queue(name=name):
            client.put_queue(vhost, name, body_of(thing))
        case Binding():
            body = body_of(thing)
            if len(encoded(body)) > _MOST_BINDING_BYTES:
                bulk_create(client, vhost, [thing])
            else:
                client.post_binding(vhost, thing.source, thing.destination_type, thing.destination, body)
        case Vhost() | VhostLimit() | User() | UserLimit() | Policy() | Permission() | TopicPermission():
            update(client, vhost, thing)
        case OperatorPolicy() | Parameter() | GlobalParameter():
            update(client, vhost, thing)
        case _:
            assert_never(thing)


def update(client: ManagementClient, vhost: str, thing: BrokerObject) -> None:
    """Overwrite an object in place.

    Raises:
        BrokerError: the broker did not answer, does not allow it, or refused.
        TypeError: exchanges, queues and bindings cannot be changed; that is the caller's mistake.
    """
    match thing:
        case Vhost(name=name, protected=protected):
            client.put_vhost(name, _vhost_body(thing))
            _protect(client, name, protected)
        case VhostLimit(name=name, value=value):
            client.put_vhost_limit(vhost, name, value)
        case User(name=name):
            client.put_user(name, body_of(thing))
        case UserLimit(user=user, name=name, value=value):
            client.put_user_limit(user, name, value)
        case Policy(name=name):
            client.put_policy(vhost, name, body_of(thing))
        case Permission(user=user):
            client.put_permission(vhost, user, body_of(thing))
        case TopicPermission(user=user):
            client.put_topic_permission(vhost, user, body_of(thing))
        case OperatorPolicy(name=name):
            client.put_operator_policy(vhost, name, thing.attributes)
        case Parameter(component=component, name=name, value=value):
            client.put_parameter(vhost, component, name, value)
        case GlobalParameter(name=name, value=value):
            client.put_global_parameter(name, value)
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
        BrokerError: the broker did not answer, or does not allow it.
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
        case TopicPermission(user=user, exchange=""):
            _delete_on_default_exchange(client, vhost, user)
        case TopicPermission(user=user, exchange=exchange):
            client.delete_topic_permission(vhost, user, exchange)
        case OperatorPolicy(name=name):
            client.delete_operator_policy(vhost, name)
        case Parameter(component=component, name=name):
            client.delete_parameter(vhost, component, name)
        case GlobalParameter(name=name):
            client.delete_global_parameter(name)
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
        BrokerError: the broker did not answer.
    """
    categories: dict[str, list[JsonObject]] = {}
    for thing in things:
        match thing:
            case Vhost() | VhostLimit() | UserLimit() | OperatorPolicy() | Parameter() | GlobalParameter():
                create(client, vhost, thing)
            case _:
                categories.setdefault(category_of(thing), []).append(definition_of(thing, vhost))
    if categories:
        client.import_definitions(categories, vhost)


def _unbind(client: ManagementClient, vhost: str, binding: Binding) -> None:
    if why := why_never_unbound(binding.routing_key, has_arguments=bool(binding.arguments)):
        raise ReservedName(
            f"the management API cannot delete {binding.address}",
            why=why,
            fix="unbind it with an AMQP client (queue.unbind, exchange.unbind), or delete its queue",
        )
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


def _vhost_body(vhost: Vhost) -> dict[str, Json]:
    body: Attributes = {name: value for name, value in vhost.attributes.items() if name != "protected"}
    if vhost.default_queue_type is not None:
        body["defaultqueuetype"] = vhost.default_queue_type  # 3.10 and early 3.11 know it by this name
    return body


def _protect(client: ManagementClient, vhost: str, protected: bool | None) -> None:
    match protected:
        case True:
            client.protect_vhost(vhost)
        case False:
            client.unprotect_vhost(vhost)
        case None:
            return


def _delete_on_default_exchange(client: ManagementClient, vhost: str, user: str) -> None:
    """A topic permission on the exchange without a name, which no path can address: all of the user's go with it.

    So the others are made again, and until they are, the user may neither write nor read: without a topic permission
    every key would be allowed.
    """
    others = [one for one in parsing.topic_permissions(client.topic_permissions(vhost)) if one.user == user]
    kept = [one for one in others if one.exchange]
    if len(kept) == len(others):
        return
    held = [one for one in parsing.permissions(client.permissions(vhost)) if one.user == user] if kept else []
    for permission in held:
        update(client, vhost, replace(permission, write="", read=""))
    client.delete_topic_permissions(vhost, user)
    for one in kept:
        update(client, vhost, one)
    for permission in held:
        update(client, vhost, permission)


def _lift_vhost_limit(client: ManagementClient, vhost: str, name: str) -> None:
    try:
        client.delete_vhost_limit(vhost, name)
    except BrokerRefused as refused:
        # 3.10 answers 500, not 404, when the vhost is gone.
        if refused.status != 500 or client.has_vhost(vhost):
            raise


def _lift_user_limit(client: ManagementClient, user: str, name: str) -> None:
    try:
        client.delete_user_limit(user, name)
    except BrokerRefused as refused:
        if refused.status != 500 or client.has_user(user):
            raise
